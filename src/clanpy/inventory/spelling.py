"""One spelling for everything: clan's camelCase, short forms and sigils in a file's data, brought into the form of the options.

What has free names (machines, tags) keeps them; what is data for somebody else (settings, aspects) keeps its keys.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from clanpy.errors import ClanpyError, Place
from clanpy.inventory.errors import SigilError, UnknownKeyError
from clanpy.inventory.kinds import Data, Strings
from clanpy.inventory.places import snake
from clanpy.inventory.schema import OPTIONS
from clanpy.inventory.sigils import DROPPED, decode, unwrap
from clanpy.modules.options import Option
from clanpy.modules.priority import If, Merge, Order, Override, Wrapper
from clanpy.modules.types.deferred import DeferredModuleType
from clanpy.modules.types.structure import AttrsOf
from clanpy.modules.types.submodule import Submodule


Path_ = tuple[str, ...]
Short = Callable[[Any], Any]


def dotted(path: Path_) -> str:
    """A path as people write it in TOML."""
    return ".".join(part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else f'"{part}"' for part in path)


def _names_only(value: Any) -> Any:
    """`["a", "b"]` for `{ a = {}, b = {} }`."""
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return {name: {} for name in value}
    return value


def _members(value: Any) -> Any:
    """`["a", "b"]` for `{ machines = ["a", "b"] }`."""
    return {"machines": value} if isinstance(value, list) else value


def _service(value: Any) -> Any:
    """`"sshd"` for `{ name = "sshd" }`."""
    return {"name": value} if isinstance(value, str) else value


def _alone(value: Any) -> Any:
    """`"a"` for `["a"]`."""
    return [value] if isinstance(value, str) else value


_SHORT: Mapping[Path_, Short] = {
    ("tags", "*"): _members,
    ("machines", "*", "deploy", "target_host"): _alone,
    ("instances", "*", "module"): _service,
    ("vars", "generators", "*", "kind"): _service,
    ("machines", "*", "vars", "generators", "*", "kind"): _service,
    ("tags", "*", "vars", "generators", "*", "kind"): _service,
    ("instances", "*", "roles", "*", "machines"): _names_only,
    ("instances", "*", "roles", "*", "tags"): _names_only,
}
_ALSO: Mapping[Path_, Mapping[str, str]] = {
    ("meta",): {"tld": "domain"},
    ("machines", "*"): {"machine_class": "class"},
}


@dataclass(frozen=True, slots=True)
class Level:
    """What can stand at one place: known keys, or free names, or data that is carried."""

    fields: Mapping[str, Level | None] = field(default_factory=dict)
    each: Level | None = None
    also: Mapping[str, str] = field(default_factory=dict)
    short: Short | None = None
    is_carried: bool = False


@dataclass(slots=True)
class Report:
    """Collects what is wrong with one file. `place` finds a path in it; in data, the module system's own options can't be set."""

    place: Callable[[Path_], Place]
    is_data: bool = True
    errors: list[ClanpyError] = field(default_factory=list)
    spoiled: set[Path_] = field(default_factory=set)

    def misused(self, path: Path_, why: str) -> None:
        self.errors.append(SigilError(f"{why} (in '{dotted(path)}')" if path else why, place=self.place(path)))
        self.spoiled.add(path)


def _level(found: Any, path: Path_ = ()) -> Level | None:
    """The level that options, or an option's type, describe. None for values that stay as they are."""
    short = _SHORT.get(path)
    kind = found.type if isinstance(found, Option) else found
    if isinstance(kind, Mapping):
        inner = {name: _level(child, (*path, name)) for name, child in kind.items()}
        return Level(inner, also=_ALSO.get(path, {}), short=short)
    if isinstance(kind, Submodule):
        return _level(kind.given[0]["options"], path)
    if isinstance(kind, AttrsOf):
        return Level(each=_level(kind.elem, (*path, "*")), short=short)
    if isinstance(kind, Data | DeferredModuleType):
        return Level(is_carried=True, short=short)
    return Level(short=short) if isinstance(kind, Strings) and short else None


ROOT = _level(OPTIONS) or Level()


def rewrite(value: Any, path: Path_, report: Report, level: Level | None = ROOT) -> Any:
    """A value as it is meant; DROPPED when it is wrong, which was reported then."""
    value = unwrap(value, path, report.misused)
    if isinstance(value, Wrapper):
        return _inside(value, path, report, level)
    if level is None:
        return decode(value, path, report.misused) if value.__class__ is dict else value
    if level.short is not None:
        value = level.short(value)
    if not isinstance(value, dict):
        return value
    if level.is_carried:
        return decode(value, path, report.misused)
    return _fields(value, path, report, level) if level.each is None else _entries(value, path, report, level.each)


def _inside(value: Wrapper, path: Path_, report: Report, level: Level | None) -> Any:
    if isinstance(value, Merge) and isinstance(value.contents, list | tuple):
        return Merge([rewrite(part, path, report, level) for part in value.contents])
    if isinstance(value, Override | Order | If):
        content = rewrite(value.content, path, report, level)
        if content is DROPPED:
            return DROPPED
        return If(value.condition, content) if isinstance(value, If) else type(value)(value.priority, content)
    return value


def _entries(value: dict[str, Any], path: Path_, report: Report, each: Level) -> dict[str, Any]:
    found = {name: rewrite(item, (*path, name), report, each) for name, item in value.items()}
    return {name: item for name, item in found.items() if item is not DROPPED}


def _fields(value: dict[Any, Any], path: Path_, report: Report, level: Level) -> dict[str, Any]:
    found: dict[str, Any] = {}
    fields = level.fields
    for written, item in value.items():
        if item is None:
            continue
        if not isinstance(written, str) or (written == "_module" and report.is_data):
            message = f"unknown key {written!r}" + (f" in '{dotted(path)}'" if path else "")
            report.errors.append(UnknownKeyError(message, place=report.place((*path, str(written)))))
            continue
        key = written if written in fields else key_of(written, level)
        if key in found:
            message = f"'{dotted((*path, written))}' is written twice, in two spellings"
            report.errors.append(UnknownKeyError(message, place=report.place((*path, written))))
            continue
        inner = fields.get(key)
        if item.__class__ is dict or inner is not None or isinstance(item, Wrapper):
            item = rewrite(item, (*path, written), report, inner)  # noqa: PLW2901 - the value as it is meant
        if item is not DROPPED:
            found[key] = item
    return found


def key_of(written: str, level: Level) -> str:
    """The key that a written one means; one that is not known here is left as it is."""
    other = snake(str(written))
    other = level.also.get(other, other)
    return other if other in level.fields else written
