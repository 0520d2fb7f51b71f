"""From a clan to a fleet: what is there is taken over as it is, what clan says in Nix is written down, the rest is told.

`inventory.json`, `machines/`, `vars/` and `sops/` stay what they are. An `inventory.toml` beside them says what clan takes from
elsewhere: the name, and class and system of each machine.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clanpy.errors import Place, UsageError
from clanpy.inventory.clan import SYSTEMS, clan_name, parse_clan, system_of
from clanpy.inventory.errors import UnreadableFileError
from clanpy.inventory.findings import check_fleet
from clanpy.inventory.schema import MACHINE_NAME
from clanpy.inventory.sources import CLAN_INVENTORY, INVENTORY, machine_folders


_TAKEN = (CLAN_INVENTORY, "machines", "vars", "sops", "modules", "services", "pkgs", "flake.nix", "flake.lock")
_KINDS = ("users", "machines", "groups")
_NIX_FOLDERS = ("machines", "modules", "services")
_MOST = 20  # places of one kind that are told one by one
_MENTIONS: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (
        re.compile(r"clan\.core\.vars\.generators\.[^;{}]*\.files\.[^;{}]*\.(?:path|value)"),
        "reads a value by clan's option",
        "on the host the file is /run/secrets/vars/GENERATOR/FILE; a service reads public ones with `member.public(…)`",
    ),
    (
        re.compile(r"clan\.core\.vars\.generators\b"),
        "declares or reads generators in Nix",
        "declare them as vars.generators.NAME in inventory.toml: docs, Vars",
    ),
    (
        re.compile(r"clan\.core\b"),
        "sets an option that only clan's modules declare",
        "say it in inventory.toml (targets, users, services), or leave it out",
    ),
    (
        re.compile(r"\binputs\.clan-core\b|\bclan-core\.(?:nixosModules|clanModules)\b"),
        "imports a module of clan-core",
        "use the service of the same name: `clanpy services list`",
    ),
)
_IN_FLAKE = re.compile(r"\binventory\s*(?:=|\.)|\binventory\.(?:instances|machines|tags)\b")


@dataclass(frozen=True, slots=True)
class Hand:
    """Something that a person has to look at."""

    message: str
    place: Place | None = None
    hint: str | None = None

    def to_dict(self) -> dict[str, Any]:
        place = None if self.place is None else str(self.place)
        return {"message": self.message, "place": place, "hint": self.hint}


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted:
    """What was taken over, what was written, and what needs a hand."""

    root: Path
    written: tuple[str, ...]
    counts: Mapping[str, int]
    hands: tuple[Hand, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON: `schema, fleet, files, found, needs_a_hand`."""
        return {
            "schema": "clanpy.adopted/1",
            "fleet": str(self.root),
            "files": list(self.written),
            "found": dict(self.counts),
            "needs_a_hand": [hand.to_dict() for hand in self.hands],
        }


def adopt(clan: Path, folder: Path | None = None) -> Adopted:
    """Make a fleet of a clan: in its own folder, where nothing but an inventory.toml is written, or as a copy in another.

    Raises:
        UsageError: it is no clan, is a fleet already, or the other folder is not empty.
        UnreadableFileError: its inventory.json is no JSON.
    """
    clan = clan.absolute()
    _check_clan(clan)
    root = clan if folder is None else _copied(clan, folder.absolute())
    data = _data(root)
    machines = _machines(root, data)
    guessed = [name for name in machines if system_of(root, name) is None]
    (root / INVENTORY).write_text(_inventory(root, data, machines), encoding="utf-8")
    hands = (
        *_nix(root),
        *_inputs(root, set(machines.values())),
        *_guesses(guessed),
        *_keys(root, machines),
        *_errors(root),
    )
    return Adopted(root=root, written=(INVENTORY,), counts=_counts(root, data, machines), hands=hands)


def _check_clan(clan: Path) -> None:
    if not any((clan / name).exists() for name in (CLAN_INVENTORY, "machines", "vars", "sops")):
        raise UsageError(
            f"{clan} is no clan", hint="a clan has an inventory.json, or folders machines/, vars/ and sops/"
        )
    if (clan / INVENTORY).exists():
        raise UsageError(f"{clan} is a fleet already: it has an {INVENTORY}")


def _copied(clan: Path, folder: Path) -> Path:
    """The parts of a clan that make a fleet, in another folder; links stay links."""
    try:
        if folder.exists() and any(folder.iterdir()):
            raise UsageError(f"{folder} is not empty", hint="name a folder that does not exist yet")
        folder.mkdir(parents=True, exist_ok=True)
        for name in _TAKEN:
            source = clan / name
            if source.is_dir() and not source.is_symlink():
                shutil.copytree(source, folder / name, symlinks=True)
            elif source.exists():
                shutil.copy2(source, folder / name)
    except OSError as error:
        raise UsageError(
            f"can't copy the clan: {error.strerror}", place=Place(str(error.filename or folder))
        ) from error
    return folder


def _data(root: Path) -> Mapping[str, Any]:
    path = root / CLAN_INVENTORY
    try:
        return parse_clan(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableFileError(f"can't be read: {error}", place=Place(CLAN_INVENTORY)) from error


def _machines(root: Path, data: Mapping[str, Any]) -> Mapping[str, str]:
    """The class of every machine that anything names: the inventory, folders, values, keys."""
    given = data.get("machines")
    entries: Mapping[str, Any] = given if isinstance(given, dict) else {}
    names = {
        *entries,
        *machine_folders(root),
        *_folders(root / "vars" / "per-machine"),
        *_folders(root / "sops/machines"),
    }
    found: dict[str, str] = {}
    for name in sorted(name for name in names if MACHINE_NAME.fits(name)):
        entry = entries.get(name)
        said = entry.get("machineClass", entry.get("class")) if isinstance(entry, dict) else None
        by_system = "darwin" if (system_of(root, name) or "").endswith("-darwin") else "nixos"
        found[name] = said if said in SYSTEMS else by_system
    return found


def _folders(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))
    except OSError:
        return []


def _inventory(root: Path, data: Mapping[str, Any], machines: Mapping[str, str]) -> str:
    """What an inventory.toml has to say beside the clan's own files."""
    meta = data.get("meta")
    name = meta.get("name") if isinstance(meta, dict) else None
    lines = [
        f"# What {CLAN_INVENTORY} does not say: clan takes it from Nix. Both files are read, and what is new can stand in either.",
        "",
    ]
    if not isinstance(name, str):
        lines += ["[meta]", f"name = {json.dumps(clan_name(root))}", ""]
    for machine, class_ in machines.items():
        known = system_of(root, machine)
        lines += [f"[machines.{machine}]", f'class = "{class_}"', f'system = "{known or SYSTEMS[class_]}"']
        lines[-1] += "" if known else "  # a guess: nothing in its folder says so"
        lines.append("")
    return "\n".join(lines[:-1]) + "\n"


def _counts(root: Path, data: Mapping[str, Any], machines: Mapping[str, str]) -> Mapping[str, int]:
    instances = data.get("instances")
    values = list((root / "vars").rglob("value"))
    secrets = [path for path in (root / "vars").rglob("secret") if path.is_file()]
    return {
        "machines": len(machines),
        "instances": len(instances) if isinstance(instances, dict) else 0,
        "public_values": len(values),
        "secrets": len(secrets),
        **{f"keys_of_{kind}": len(_folders(root / "sops" / kind)) for kind in _KINDS},
    }


def _nix(root: Path) -> Iterator[Hand]:
    """What stands in Nix and is clan's own: the inventory, options, modules."""
    flake = root / "flake.nix"
    match = _IN_FLAKE.search(_text(flake)) if flake.is_file() else None
    if match:
        yield Hand(
            "a part of the inventory is written in Nix, which is not read",
            Place("flake.nix", _text(flake).count("\n", 0, match.start()) + 1),
            f"say it in {INVENTORY}: machines, tags and instances have the same names there",
        )
    files = [path for name in _NIX_FOLDERS for path in sorted((root / name).rglob("*.nix"))]
    for pattern, message, hint in _MENTIONS:
        found = [(path, line) for path in files for line in _lines(path, pattern)]
        for path, line in found[:_MOST]:
            yield Hand(message, Place(path.relative_to(root).as_posix(), line), hint)
        if len(found) > _MOST:
            yield Hand(f"{message}: at {len(found) - _MOST} more places", hint=hint)


def _inputs(root: Path, classes: set[str]) -> Iterator[Hand]:
    """The inputs that systems are made from: a clan may have them of clan-core."""
    text = "\n".join(line.partition("#")[0] for line in _text(root / "flake.nix").splitlines())
    wanted = {"nixos": ("nixpkgs",), "darwin": ("nix-darwin", "darwin")}
    for class_, names in wanted.items():
        if class_ in classes and not any(re.search(rf"(?<![\w-]){name}\s*(?:\.|=)", text) for name in names):
            yield Hand(
                f"flake.nix names no input '{names[0]}', from which systems of class {class_} are made",
                Place("flake.nix"),
                f'inputs.{names[0]}.url = "…", then `nix flake lock`',
            )


def _lines(path: Path, pattern: re.Pattern[str]) -> Iterator[int]:
    """The lines on which a pattern is the first of its kind to match."""
    earlier = [other for other, _, _ in _MENTIONS[: [p for p, _, _ in _MENTIONS].index(pattern)]]
    for number, line in enumerate(_text(path).splitlines(), 1):
        code = line.partition("#")[0]
        if pattern.search(code) and not any(other.search(code) for other in earlier):
            yield number


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _guesses(names: list[str]) -> Iterator[Hand]:
    if names:
        yield Hand(
            f"nothing says which system these machines have: {', '.join(names)}",
            Place(INVENTORY),
            "correct what was guessed there",
        )


def _keys(root: Path, machines: Mapping[str, str]) -> Iterator[Hand]:
    """Machines that no secret can be encrypted to, people whose keys are of another kind, values of whole exports."""
    without = [name for name in machines if not (root / "sops" / "machines" / name / "key.json").is_file()]
    if without and (root / "sops").is_dir():
        yield Hand(
            f"these machines have no key, so that no secret is encrypted to them: {', '.join(without)}",
            Place("sops/machines"),
            "`clanpy vars generate` makes the keys that are missing",
        )
    for user in _folders(root / "sops" / "users"):
        path = root / "sops" / "users" / user / "key.json"
        if '"pgp"' in _text(path):
            yield Hand(
                f"'{user}' has a PGP key: those secrets are read and written by the program sops",
                Place(path.relative_to(root).as_posix()),
                "install sops and gnupg, or register an age key",
            )
    for scope in _folders(root / "vars" / "per-export"):
        yield Hand(
            f"values of the export '{scope}' stay where they are, and no machine gets them",
            Place(f"vars/per-export/{scope}"),
            "declare them as shared generators",
        )


def _errors(root: Path) -> Iterator[Hand]:
    """What `clanpy check` says of the result."""
    found = check_fleet(root)
    for error in (*found.errors, *found.warnings):
        yield Hand(error.message, error.place, error.hint)
