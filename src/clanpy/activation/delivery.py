"""Secrets on a host: sets of files that are exchanged as a whole, in one round trip, and can be gone back to.

What a host has is told by its facts as a digest that is keyed: it says nothing to whoever does not have the machine's private key.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from clanpy.activation.errors import DeliveryError
from clanpy.activation.scripts import assemble
from clanpy.activation.wire import Said, check_run, read
from clanpy.secrets import Secret


if TYPE_CHECKING:
    from clanpy.activation.scripts import Value
    from clanpy.activation.wire import Host

# Where a file goes: in memory for the first two; on disk what is needed before there is memory, or is encrypted, or is the machine's key.
Store = Literal["services", "users", "activation", "partitioning", "sops", "key"]
DELIVERY_SECONDS = 120.0
_PLAIN = frozenset(f"{string.ascii_letters}{string.digits} !\"#$%&'()*+,-./:;<=>?@[]^_`{{|}}~".encode())
_ESCAPED = tuple(bytes((n,)) if n in _PLAIN else b"\\0%03o" % n for n in range(256))
_WORD = re.compile(r"[A-Za-z0-9_.@:%+$-][A-Za-z0-9_.@:%+/$-]*")
_REFUSED = {
    "full": "there is no room for them: is its memory or disk full?",
    "cut_off": "the connection ended before all of them were there",
    "unwritable": "/var/lib/clanpy or /run can't be written there",
    "no_memory": "there is no place in memory for them, and they are not written to a disk",
    "sops_nix": "sops-nix has /run/secrets on this host",
}
_HINTS = {
    "sops_nix": 'write `delivery = "sops-nix"` under [vars.settings], or under [machines.<name>.vars] for this one',
    "no_memory": "on Linux /run has to be a tmpfs, or the account has to be allowed to mount one",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretFile:
    """One file for a host. `digest` is keyed, and another one whenever content, owner or mode are others."""

    store: Store
    name: str
    owner: str
    group: str
    mode: str
    digest: str
    content: Secret
    units: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretSet:
    """All secrets of a host. `direct` is False where sops-nix decrypts them there."""

    files: tuple[SecretFile, ...]
    digest: str
    direct: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """How a delivery went: the number of files that were not there like that before, and what was said about units and owners."""

    changed: int
    lines: tuple[str, ...]


async def deliver(conn: Host, secrets: SecretSet, *, run: str, name: str, apply: bool) -> Delivered:
    """Exchange the secrets of a host for these, as root, in one stream.

    Args:
        conn: the connection.
        secrets: all that the host is to have.
        run: who brings them; `take_back` of the same run, or its guard, puts the ones from before back.
        name: the set's own, never used before.
        apply: restart units whose secrets have changed now; without it that is for the guard, after the activation.

    Raises:
        DeliveryError: the host still has the secrets that it had.
    """
    variables: dict[str, Value] = {"act": "deliver", "run": check_run(run), "fresh": check_run(name)}
    said = await _call(conn, {**variables, "direct": secrets.direct, "apply": apply}, b"".join(stream(secrets)))
    return Delivered(changed=said.number("changed") or 0, lines=said.lines)


async def take_back(conn: Host, run: str) -> tuple[str, ...]:
    """Put the secrets back that a host had before a run brought others; nothing when it did not.

    Raises:
        DeliveryError: that could not be done.
    """
    variables: dict[str, Value] = {"act": "back", "run": check_run(run), "fresh": "back", "direct": True, "apply": True}
    return (await _call(conn, variables, b"")).lines


def stream(secrets: SecretSet) -> Iterator[bytes]:
    """What the script on the host reads: for each file a line about it and one with its content, and the digest of all."""
    for file in secrets.files:
        words = (file.store, file.owner, file.group, file.mode, str(len(file.content)), file.digest)
        units = ",".join(file.units) or "-"
        yield " ".join(("file", *map(_word, (*words, units, file.name)))).encode() + b"\n"
        yield escaped(file.content.reveal()) + b"\n"
    yield f"end {secrets.digest}\n".encode()


def escaped(content: bytes) -> bytes:
    """Bytes for `printf %b`, which every shell has built in: one line of printable ASCII."""
    return b"".join(_ESCAPED[byte] for byte in content)


def _word(text: str) -> str:
    if not _WORD.fullmatch(text.replace(",", "_")):
        raise DeliveryError(f"{text!r} can't be told to a host: it is no single word")
    return text


async def _call(conn: Host, variables: dict[str, Value], content: bytes) -> Said:
    # The script is an argument and what is secret is not: a script that were read from the same stream would be kept in files.
    script = assemble("secrets", "deliver", variables=variables)
    done = await conn.run(script, input=content, timeout=DELIVERY_SECONDS, elevate=True)
    said = read(done.stdout.splitlines())
    if "delivered" not in said.fields:
        raise _refused(conn.host, said)
    return said


def _refused(host: str, said: Said) -> DeliveryError:
    why = said.fields.get("refused", "")
    return DeliveryError(
        f"the secrets of {host} could not be put in place: {_REFUSED.get(why, 'its shell gave no answer')}",
        hint=_HINTS.get(why),
        details=said.lines,
    )
