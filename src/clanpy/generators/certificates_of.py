"""What certificates have to do with a person who goes: those that name them, and those whose keys they could read."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from clanpy.generators.graph import GeneratorId
from clanpy.generators.kinds.certificates import validity
from clanpy.services.generator import SshCertificate, X509Certificate


if TYPE_CHECKING:
    from clanpy.generators.graph import Graph, Node
    from clanpy.secrets.varstore import VarStore


def certificates_of(graph: Graph, store: VarStore, names: Collection[str], readable: Collection[str]) -> Iterator[str]:
    """Sentences for people: certificates that name a person, and what they could have signed or taken.

    `names` are what the person goes by, `readable` the folders of the secrets that they can read.
    """
    signed: dict[GeneratorId, list[GeneratorId]] = {}
    for id_, node in graph.nodes.items():
        kind = node.generator.kind
        if not isinstance(kind, SshCertificate | X509Certificate):
            continue
        authority = next(needed for needed in node.needs if needed.name == kind.authority)
        if str(authority.var(kind.authority_file).folder) in readable:
            signed.setdefault(authority, []).append(id_)
        yield from _of_themselves(id_, node, store, names)
        key = _key(node, kind)
        if key is not None and str(key) in readable:
            yield f"certificate {id_}: they could read its key, {key}"
    for authority, ids in signed.items():
        yield f"authority {authority}: they could sign with it; {', '.join(map(str, ids))} are of it"


def _of_themselves(id_: GeneratorId, node: Node, store: VarStore, names: Collection[str]) -> Iterator[str]:
    kind = node.generator.kind
    if not isinstance(kind, SshCertificate) or kind.type != "user":
        return
    mine = [principal for principal in kind.principals if principal in names]
    var = id_.var(kind.file)
    if not mine or not store.exists(var, secret=False):
        return
    found = validity(node.generator, kind.file, store.public(var))
    until = f"until {found.end:%Y-%m-%d}" if found else "for ever"
    yield f"certificate {id_} lets {', '.join(mine)} in {until}, whatever becomes of accounts and keys"


def _key(node: Node, kind: SshCertificate | X509Certificate) -> object | None:
    """The folder of the private key that a certificate is for."""
    if isinstance(kind, X509Certificate):
        return node.id.var(kind.file).folder
    owner = next((needed for needed in node.needs if needed.name == kind.key), None)
    return owner.var(kind.key_file.removesuffix(".pub")).folder if owner else None
