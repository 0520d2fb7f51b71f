"""A clan's own `inventory.json`, read as it is: what clan says elsewhere (in Nix) stands in as a default.

clan's machines are of class NixOS when nothing else is said, and their system is what their own files say. A folder that has an
`inventory.json` and no `inventory.toml` is a clan: there every folder of `machines/` is a machine.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from clanpy.errors import Place
from clanpy.inventory.errors import UnreadableFileError
from clanpy.inventory.sources import CLAN_INVENTORY
from clanpy.modules.positions_json import Steps, json_spots


SYSTEMS = {"nixos": "x86_64-linux", "darwin": "aarch64-darwin"}  # of a machine that does not say what it is
_OF_CLAN = frozenset({"modules", "$schema"})  # said for clan's own tools, and nothing of the inventory
_MAX_DEPTH = 64
_SYSTEM = re.compile(
    r"\b(?:hostPlatform|nixpkgs\.system)\s*=\s*(?:(?:lib\.)?mk\w+\s+)?\"([a-z0-9_]+-(?:linux|darwin))\""
)


def read_clan(text: str, root: Path, machines: tuple[str, ...], *, is_alone: bool) -> Mapping[str, Any]:
    """The data of an `inventory.json` as a file of the fleet says it.

    Args:
        text: the file.
        root: the fleet.
        machines: the folders of `machines/`.
        is_alone: there is no inventory.toml, so that those folders are machines and the fleet is called as its folder.

    Raises:
        UnreadableFileError: it is no JSON, or no object.
    """
    data = parse_clan(text)
    found = {key: value for key, value in data.items() if key not in _OF_CLAN}
    entries = found.get("machines")
    given = dict(entries) if isinstance(entries, dict) else {}
    if is_alone:
        found["meta"] = {"name": {"_default": clan_name(root)}, **_table(found.get("meta"))}
        given = {**{name: {} for name in machines}, **given}
    people: dict[str, Any] = {name: {} for name in _people(found.get("instances"))}
    if people:
        found["users"] = {**people, **_table(found.get("users"))}
    if given:
        found["machines"] = {
            name: _machine(root, name, entry) if isinstance(entry, dict) or entry is None else entry
            for name, entry in given.items()
        }
    return found


def parse_clan(text: str) -> Mapping[str, Any]:
    """The data of an `inventory.json`, exactly as it is.

    Raises:
        UnreadableFileError: it is no JSON, or no object.
    """
    place = CLAN_INVENTORY
    try:
        data = json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise UnreadableFileError(f"is no JSON: {error.msg}", place=Place(place, error.lineno, error.colno)) from None
    except RecursionError:
        raise UnreadableFileError("is nested too deeply", place=Place(place)) from None
    except _TwiceError as error:
        raise UnreadableFileError(f"has the key '{error}' twice in one object", place=Place(place)) from None
    if not isinstance(data, dict):
        raise UnreadableFileError("is no JSON object", place=Place(place))
    if _depth(data) > _MAX_DEPTH:
        raise UnreadableFileError("is nested too deeply", place=Place(place))
    return data


class _TwiceError(Exception):
    """A key that stands twice in one object: which one counts would be a matter of luck."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _TwiceError(key)
        found[key] = value
    return found


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level and depth <= _MAX_DEPTH:
        level = [
            item
            for one in level
            if isinstance(one, dict | list)
            for item in (one.values() if isinstance(one, dict) else one)
        ]
        depth += 1
    return depth


def _people(instances: Any) -> Iterator[str]:
    """Who has an account by the service `users`: clan knows them by nothing else."""
    for name, instance in _table(instances).items():
        module = _table(_table(instance).get("module"))
        if (module.get("name") or name) != "users" or module.get("input") == "self":
            continue
        for role in _table(_table(instance).get("roles")).values():
            entries = [role, *(entry for of in ("machines", "tags") for entry in _table(_table(role).get(of)).values())]
            users = [_table(_table(entry).get("settings")).get("user") for entry in entries]
            yield from (user for user in users if isinstance(user, str))


def _table(value: Any) -> Mapping[str, Any]:
    return {key: item for key, item in value.items() if item is not None} if isinstance(value, dict) else {}


def clan_name(root: Path) -> str:
    """What a clan is called that does not say so: as its folder."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", root.absolute().name).strip("-") or "clan"


def _machine(root: Path, name: str, entry: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """An entry with what clan takes from elsewhere, as defaults that anything else outdoes."""
    given = _table(entry)
    written = given.get("machineClass", given.get("machine_class", given.get("class")))
    class_ = written if isinstance(written, str) else "nixos"
    more: dict[str, Any] = {} if written is not None else {"class": {"_default": "nixos"}}
    if "system" not in given:
        system = system_of(root, name) or SYSTEMS.get(class_)
        more |= {"system": {"_default": system}} if system else {}
    return {**given, **more}


def system_of(root: Path, name: str) -> str | None:
    """What a machine's own files say of its processor and kernel: the hardware report, or a Nix file that writes it out."""
    folder = root / "machines" / name
    try:
        report = json.loads((folder / "facter.json").read_bytes())
    except (OSError, ValueError):
        report = None
    if isinstance(report, dict) and isinstance(report.get("system"), str):
        return str(report["system"])
    for file in ("hardware-configuration.nix", "configuration.nix", "disko.nix"):
        try:
            match = _SYSTEM.search((folder / file).read_text(encoding="utf-8", errors="replace"))
        except OSError:
            continue
        if match:
            return match[1]
    return None


class JsonIndex:
    """Positions in one JSON text."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def _spots(self) -> Mapping[Steps, tuple[int, int]]:
        return json_spots(self.text.encode())

    @cached_property
    def _data(self) -> Any:
        return json.loads(self.text)

    def find(self, path: tuple[str, ...]) -> tuple[int, int] | None:
        """Line and column of the longest part of the path that is written here."""
        from clanpy.inventory.places import same_key  # noqa: PLC0415 - which imports this

        here: Any = self._data
        steps: Steps = ()
        best: tuple[int, int] | None = None
        for part in path:
            step = _step(here, part, same_key)
            if step is None:
                break
            here, steps = here[step], (*steps, step)
            best = self._spots.get(steps, best)
        return best


def _step(here: Any, part: str, same: Callable[[str, str], bool]) -> str | int | None:
    """The key, or the number of the element, that a part of a path means."""
    if isinstance(here, dict):
        return next((key for key in here if same(key, part)), None)
    if isinstance(here, list):
        return here.index(part) if part in here else int(part) if part.isdecimal() and int(part) < len(here) else None
    return None
