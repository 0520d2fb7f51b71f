"""What a machine's modules may know of vars: its own paths and public values, and the public values of others that they ask for."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clanpy.errors import Place
from clanpy.inventory.generators import public_value
from clanpy.inventory.vars import delivery, legacy_files
from clanpy.modules.deferred import DeferredModule, NixData
from clanpy.nix.errors import SourceError
from clanpy.secrets.errors import SecretsError
from clanpy.secrets.layout import PUBLIC_LEAF, SECRET_LEAF, Placement
from clanpy.secrets.structured import outline
from clanpy.services.errors import SecretValueError
from clanpy.services.generator import PUBLIC_FOLDER, VarFile, path_on_host


if TYPE_CHECKING:
    from clanpy.inventory.model import Fleet, HostConfig

Files = dict[str, dict[str, dict[str, Any]]]
_EARLY = frozenset(("activation", "partitioning"))
_SOPS_FOLDER = "/var/lib/sops-nix"


def own_vars(fleet: Fleet, host: HostConfig) -> Files:
    """The values of a machine by generator and file: `secret`, its `path` on the host, and the `value` of one that is public."""
    found: Files = {
        generator.name: {
            name: {
                "secret": file.secret,
                "path": path_on_host(generator.name, name, file) if file.deploy else None,
                "value": None if file.secret else _public(fleet, host.name, generator.name, name),
            }
            for name, file in generator.outputs().items()
        }
        for generator in host.generators
    }
    for rule in legacy_files(fleet, host.machine):
        seen = {
            key: {"secret": True, "path": rule.path_of(key), "value": None} for key in _keys(fleet.root / rule.file)
        }
        found.setdefault(rule.name, {}).update(seen)
    return found


def vars_of_others(fleet: Fleet, host: HostConfig, named: Collection[str] | None) -> dict[str, Files]:
    """The public values of other machines, as they are stored; of all of them when `named` is None."""
    names = fleet.machines if named is None else [name for name in sorted(named) if name in fleet.machines]
    return {name: dict(_stored(fleet.root, name)) for name in names if name != host.name}


def vars_modules(fleet: Fleet, host: HostConfig, own: Files) -> Iterator[DeferredModule]:
    """The modules that a machine has because of its vars: files with its public values, and what sops-nix is to decrypt."""
    class_ = host.machine.class_
    texts = {
        f"{PUBLIC_FOLDER}/{generator}/{name}": {"text": found["value"]}
        for generator, files in own.items()
        for name, found in files.items()
        if found["value"] is not None and found["path"] is not None
    }
    if texts:
        content = NixData({"environment": {"etc": texts}})
        yield DeferredModule(f"{class_}/vars", class_, content, "public values of its generators")
    secrets = dict(_for_sops_nix(host))
    if secrets and delivery(fleet, host.name) == "sops-nix":
        age = {"keyFile": f"{_SOPS_FOLDER}/key.txt"}
        content = NixData({"sops": {"age": age, "validateSopsFiles": False, "secrets": secrets}})
        yield DeferredModule(f"{class_}/vars/sops-nix", class_, content, "secrets of its generators, for sops-nix")


def _for_sops_nix(host: HostConfig) -> Iterator[tuple[str, dict[str, Any]]]:
    for generator in host.generators:
        for name, file in generator.outputs().items():
            if file.secret and file.deploy and file.needed_for not in _EARLY:
                yield f"vars/{generator.name}/{name}", _sops_secret(host, generator.name, name, file)


def _sops_secret(host: HostConfig, generator: str, name: str, file: VarFile) -> dict[str, Any]:
    group = file.group or ("wheel" if host.machine.class_ == "darwin" else "root")
    for_users = {"neededForUsers": True} if file.needed_for == "users" else {"owner": file.owner, "group": group}
    units = {"restartUnits": list(file.restart_units)} if file.restart_units else {}
    path = f"{_SOPS_FOLDER}/vars/{generator}/{name}"
    return {"sopsFile": path, "format": "binary", "mode": file.mode, **for_users, **units}


def _public(fleet: Fleet, machine: str, generator: str, name: str) -> str | None:
    try:
        return public_value(fleet, machine, generator, name)
    except SecretValueError:  # declared otherwise than it is stored: it is made anew when it is generated
        return None


def _keys(file: Path) -> tuple[str, ...]:
    try:
        return outline(file).places
    except SecretsError as error:
        raise SourceError(error.message, place=Place(str(file)), hint="`clanpy secrets check` tells more") from error


def _stored(root: Path, machine: str) -> Iterator[tuple[str, dict[str, dict[str, Any]]]]:
    """What is stored for a machine and for all: the values that are public, and which are secret."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for placement in (Placement.shared(), Placement.machine(machine)):
        for path in sorted((root / placement.folder).glob("*/*/*")):
            if path.name in {PUBLIC_LEAF, SECRET_LEAF}:
                secret = path.name == SECRET_LEAF
                value = None if secret else path.read_text(encoding="utf-8", errors="replace")
                files = found.setdefault(path.parent.parent.name, {})
                files[path.parent.name] = {"secret": secret, "path": None, "value": value}
    yield from sorted(found.items())
