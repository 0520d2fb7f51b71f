"""Checking the shape of one file's data, and bringing it into the one spelling: what kinds of values there are.

Kinds are composed into the schema (`schema.py`). A kind takes a value as it is written and gives it as it is meant: keys in
snake_case, short forms written out. What is wrong is reported, all of it, and left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from clanpy.errors import ClanpyError, Place, nearest
from clanpy.inventory.errors import BadNameError, SigilError, UnknownKeyError, WrongTypeError
from clanpy.inventory.merge import Carried, Definition
from clanpy.inventory.places import snake
from clanpy.inventory.sigils import unwrap


Path_ = tuple[str, ...]
DROPPED: Any = object()
_TYPE_NAMES = {dict: "a table", list: "a list", str: "a string", bool: "a boolean", int: "a number", float: "a number"}


class Kind(Protocol):
    """A kind of value. `what` names it in messages: `a list of strings`."""

    @property
    def what(self) -> str: ...

    def read(self, value: Any, path: Path_, report: Report) -> Any:
        """The value as it is meant, or DROPPED after reporting what is wrong."""
        ...


@dataclass(slots=True)
class Report:
    """Collects what is wrong with one file. `place` finds a path in it; `spoiled` are fields that are there, but wrong."""

    file: str
    place: Callable[[Path_], Place]
    errors: list[ClanpyError] = field(default_factory=list)
    spoiled: set[Path_] = field(default_factory=set)

    def wrong(self, path: Path_, value: Any, expected: str, hint: str | None = None) -> Any:
        found = f"{_TYPE_NAMES.get(type(value), type(value).__name__)}"
        shown = f" ({value!r})" if isinstance(value, (str, bool, int, float)) else ""
        message = f"'{dotted(path)}' should be {expected} and is {found}{shown}"
        self.errors.append(WrongTypeError(message, place=self.place(path), hint=hint))
        return DROPPED


def dotted(path: Path_) -> str:
    """A path as people write it in TOML."""
    return ".".join(part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else f'"{part}"' for part in path)


def read(kind: Kind, value: Any, path: Path_, report: Report) -> Any:
    """Read a value of a kind, through the sigils that may be around it. None means: not set."""
    if value is None:
        return DROPPED
    try:
        sigil = unwrap(value)
    except ValueError as error:
        report.errors.append(SigilError(f"{error} (in '{dotted(path)}')", place=report.place(path)))
        return DROPPED
    if sigil is None or isinstance(kind, Data):
        return kind.read(value, path, report)
    content = read(kind, sigil.content, path, report)
    if content is DROPPED:
        return DROPPED
    return {"_override" if sigil.kind == "override" else "_order": [sigil.number, content]}


class Text(NamedTuple):
    """A string, of a pattern where one is given."""

    what: str = "a string"
    pattern: str | None = None
    hint: str | None = None

    def read(self, value: Any, path: Path_, report: Report) -> Any:
        if not isinstance(value, str) or (self.pattern is not None and not re.fullmatch(self.pattern, value)):
            return report.wrong(path, value, self.what, self.hint)
        return value


class OneOf(NamedTuple):
    """One of a few words."""

    words: tuple[str, ...]
    what: str = ""

    def read(self, value: Any, path: Path_, report: Report) -> Any:
        if value in self.words and isinstance(value, str):
            return value
        expected = " or ".join(f"'{word}'" for word in self.words)
        return report.wrong(path, value, expected, nearest(value, self.words) if isinstance(value, str) else None)


class Integer(NamedTuple):
    """A whole number."""

    what: str = "a whole number"

    def read(self, value: Any, path: Path_, report: Report) -> Any:
        return value if type(value) is int else report.wrong(path, value, self.what)


class Boolean(NamedTuple):
    """True or false."""

    what: str = "true or false"

    def read(self, value: Any, path: Path_, report: Report) -> Any:
        return value if isinstance(value, bool) else report.wrong(path, value, self.what)


class ListOf(NamedTuple):
    """A list. `single`: one value may be written without the brackets."""

    element: Kind
    what: str = "a list of strings"
    single: bool = False

    def read(self, value: Any, path: Path_, report: Report) -> Any:
        if self.single and not isinstance(value, list):
            value = [value]
        if not isinstance(value, list):
            return report.wrong(path, value, self.what)
        elements = [read(self.element, item, (*path, str(n)), report) for n, item in enumerate(value)]
        return [item for item in elements if item is not DROPPED]


class Table(NamedTuple):
    """A table with known keys. `also` are other spellings of a key; `short` writes a short form out before it is read."""

    fields: Mapping[str, Kind]
    what: str = "a table"
    also: Mapping[str, str] = MappingProxyType({})
    short: Callable[[Any], Any] | None = None

    def read(self, value: Any, path: Path_, report: Report) -> Any:
        if self.short is not None:
            value = self.short(value)
        if not isinstance(value, Mapping):
            return report.wrong(path, value, self.what)
        found: dict[str, Any] = {}
        for written, item in value.items():
            key = self.also.get(snake(written), snake(written))
            if key not in self.fields:
                report.errors.append(self._unknown(written, path, report))
            elif key in found:
                message = f"'{dotted((*path, written))}' is written twice, in two spellings"
                report.errors.append(UnknownKeyError(message, place=report.place((*path, written))))
            elif (meant := read(self.fields[key], item, (*path, written), report)) is not DROPPED:
                found[key] = meant
            elif item is not None:
                report.spoiled.add((*path, key))
        return found

    def _unknown(self, written: str, path: Path_, report: Report) -> UnknownKeyError:
        known = ", ".join(self.fields)
        where = f" in '{dotted(path)}'" if path else ""
        return UnknownKeyError(
            f"unknown key '{written}'{where}",
            place=report.place((*path, written)),
            hint=nearest(snake(written), self.fields) or f"known here: {known}",
        )


class MapOf(NamedTuple):
    """A table with free names as keys. `short` writes a short form (a list of names) out before it is read."""

    element: Kind
    what: str
    names: Text
    short: Callable[[Any], Any] | None = None

    def read(self, value: Any, path: Path_, report: Report) -> Any:
        if self.short is not None:
            value = self.short(value)
        if not isinstance(value, Mapping):
            return report.wrong(path, value, self.what)
        found: dict[str, Any] = {}
        for name, item in value.items():
            if re.fullmatch(self.names.pattern or ".*", name) is None:
                message = f"'{name}' can't be {self.names.what}"
                report.errors.append(BadNameError(message, place=report.place((*path, name)), hint=self.names.hint))
            elif (meant := read(self.element, item, (*path, name), report)) is not DROPPED:
                found[name] = meant
        return found


class Data(NamedTuple):
    """A table of plain data that somebody else knows the meaning of: carried as it is written."""

    what: str = "a table"

    def read(self, value: Any, path: Path_, report: Report) -> Any:
        if not isinstance(value, Mapping):
            return report.wrong(path, value, self.what)
        return Carried((Definition(value, report.file),))
