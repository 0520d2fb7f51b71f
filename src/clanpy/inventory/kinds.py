"""The types of the fleet's options: those of the module system, with the words that people are told when a value does not fit."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from clanpy.modules import MISSING, types
from clanpy.modules.context import Context
from clanpy.modules.sources import Def, Path, Source
from clanpy.modules.types.around import NullOr
from clanpy.modules.types.base import Atomic, Type
from clanpy.modules.types.structure import AttrsOf, ListOf
from clanpy.modules.types.submodule import Submodule


class Name(NamedTuple):
    """What names of one kind look like. `what` completes “it can't be …”."""

    what: str
    pattern: str
    hint: str

    def fits(self, text: str) -> bool:
        return re.fullmatch(self.pattern, text) is not None


class Text(Atomic):
    """A string, of a pattern where one is given; or one of a few words."""

    __slots__ = ("hint", "pattern", "words")

    def __init__(
        self, what: str = "a string", pattern: str | None = None, hint: str | None = None, words: Sequence[str] = ()
    ) -> None:
        self.pattern = pattern
        self.hint = hint
        self.words = tuple(words)
        super().__init__(f"text {what}" if pattern or words else "str", what, self._holds, refines="str")

    def _holds(self, value: Any) -> bool:
        if not isinstance(value, str):
            return False
        if self.words:
            return value in self.words
        return self.pattern is None or re.fullmatch(self.pattern, value) is not None


class Strings(ListOf):
    """A list of texts."""

    __slots__ = ("what",)

    def __init__(self, elem: Type, what: str) -> None:
        super().__init__(elem)
        self.what = what

    @property
    def description(self) -> str:
        return self.what


class Table(AttrsOf):
    """A table with free names as keys, all of which have to look like names of a kind."""

    __slots__ = ("names", "what")

    def __init__(self, elem: Type, names: Name, what: str, *, placeholder: str, lazy: bool = False) -> None:
        super().__init__(elem, lazy=lazy, placeholder=placeholder)
        self.names = names
        self.what = what

    @property
    def description(self) -> str:
        return self.what

    def with_modules(self, modules: Sequence[Any]) -> Type:
        elem = self.elem.with_modules(modules)
        return Table(elem, self.names, self.what, placeholder=self.placeholder, lazy=self.lazy)

    def join(self, other: Type) -> Type | None:
        """A fleet's modules may declare further options of the entries: it stays a table of the same names."""
        joined = super().join(other)
        if not isinstance(joined, AttrsOf):
            return joined
        return Table(joined.elem, self.names, self.what, placeholder=joined.placeholder, lazy=joined.lazy)


class Carried(NamedTuple):
    """Data that is carried as it is written, each part with where it comes from; somebody else knows what it means."""

    parts: tuple[Def, ...]


NOTHING = Carried(())


class Data(Type):
    """A table of plain data that is carried and looked into only by those who know what it means."""

    __slots__ = ()

    name = "settings"
    phrase = "noun"

    @property
    def description(self) -> str:
        return "a table"

    def check(self, value: Any) -> bool:
        return isinstance(value, Mapping)

    def quick(self, context: Context, path: Path, name: str, value: Any, source: Source) -> Any:
        return Carried((Def(value, source),)) if value.__class__ is dict else MISSING

    def merge(self, context: Context, path: Path, defs: list[Def]) -> Any:
        return Carried(tuple(defs))

    def empty(self, context: Context, path: Path) -> Any:
        return NOTHING


class Free(Data):
    """Any plain data, carried in the same way."""

    __slots__ = ()

    name = "data"

    @property
    def description(self) -> str:
        return "text, number, boolean or table"

    def check(self, value: Any) -> bool:
        return True


class Member(Submodule):
    """What a role says of one member. Most say nothing, which costs nothing."""

    __slots__ = ()

    def quick(self, context: Context, path: Path, name: str, value: Any, source: Source) -> Any:
        return BARE if value.__class__ is dict and not value else super().quick(context, path, name, value, source)


BARE: Mapping[str, Any] = {"settings": NOTHING}
text = Text()
strings = Strings(text, "a list of strings")
day = Text("a date", r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])", "year, month and day as text: '2026-01-31'")
boolean = Atomic("bool", "true or false", lambda v: v is True or v is False)


class Uid(Atomic):
    """The number of an account, or a table of numbers by class of machine."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__("uid", "a number, or a table of numbers for nixos and darwin", self._holds)

    def _holds(self, value: Any) -> bool:
        if isinstance(value, Mapping):
            return value.keys() <= {"nixos", "darwin"} and all(map(_is_number, value.values()))
        return _is_number(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def words(*allowed: str) -> Type:
    """One of a few words."""
    return Text(" or ".join(f"'{word}'" for word in allowed), words=allowed)


def whole(what: str) -> Type:
    """A whole number; `what` says of what."""
    return Atomic(f"int {what}", what, types.int.check, refines="int")


def maybe(kind: Type) -> Type:
    """A value that need not be there."""
    return NullOr(kind)


def table(options: Mapping[str, Any], what: str = "a table", *, kind: type[Submodule] = Submodule) -> Type:
    """A table with these options."""
    return kind([{"options": options}], shorthand_only_defines_config=True, description=what)


def plain(kind: Type) -> Type:
    """The type that a value has to have when there is one."""
    return kind.elem if isinstance(kind, NullOr) else kind


def what(kind: Type) -> str:
    """A type in words: `a list of strings`."""
    return plain(kind).description


def hint_of(kind: Type, value: Any, nearest: Callable[[str, Sequence[str]], str | None]) -> str | None:
    """What may help somebody whose value does not fit."""
    found = plain(kind)
    if not isinstance(found, Text):
        return None
    if found.words and isinstance(value, str):
        return nearest(value, found.words)
    return found.hint
