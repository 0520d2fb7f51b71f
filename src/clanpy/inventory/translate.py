"""Errors of the module system, told as errors of the fleet: with our codes, the places in its files, and the nearest names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from clanpy.errors import ClanpyError, InventoryError, Place, nearest
from clanpy.inventory.errors import (
    CircularValueError,
    ConflictError,
    MissingFieldError,
    PythonModuleError,
    SigilError,
    UnknownKeyError,
    WrongTypeError,
)
from clanpy.inventory.kinds import Carried, hint_of, plain, what
from clanpy.inventory.places import Path_, Places, snake
from clanpy.inventory.spelling import dotted
from clanpy.modules import errors as module_errors
from clanpy.modules.config import Config
from clanpy.modules.errors import ModuleError
from clanpy.modules.lazy import Lazy
from clanpy.modules.merge import final
from clanpy.modules.options import Declared
from clanpy.modules.priority import Wrapper
from clanpy.modules.shape import Given
from clanpy.modules.sources import Def
from clanpy.modules.types.base import Type
from clanpy.modules.types.choice import Either
from clanpy.modules.types.structure import Entries, ListOf
from clanpy.modules.types.submodule import Submodule


_TYPE_NAMES = {dict: "a table", list: "a list", str: "a string", bool: "a boolean", int: "a number", float: "a number"}
_PLACE = re.compile(r"\((\S+?):(\d+)(?::(\d+))?\)")
_OWN = re.compile(rf"'{re.escape(__file__.rpartition('/')[0])}/schema\.py[:\d]*'")
_MISSING = {
    "class": 'write `class = "nixos" or "darwin"`',
    "system": 'write `system = "x86_64-linux" or "aarch64-darwin"`',
}
_CODES: tuple[tuple[type[ModuleError], type[InventoryError]], ...] = (
    (module_errors.InfiniteRecursionError, CircularValueError),
    (module_errors.WrapperError, SigilError),
    (module_errors.ReadOnlyError, ConflictError),
    (module_errors.UnsetOptionError, MissingFieldError),
    (module_errors.ConflictError, ConflictError),
    (module_errors.TypeMismatchError, WrongTypeError),
)


class Spot(NamedTuple):
    """What an error is about: the type that is wanted, and the definitions that count."""

    kind: Type | None
    defs: list[Def]


class Element(NamedTuple):
    """A part of a table that stands in a list.

    Attributes:
        path: its path, with the number of the table (from 0) in it.
        options: the types of the fields that such a table has.
        definition: the definition of the list that it is in.
    """

    path: Path_
    value: Any
    kind: Type
    options: Mapping[str, Type]
    definition: Def


class Translator:
    """Translates the errors of one evaluation. `spoiled` gathers the options that are concerned."""

    def __init__(self, root: Path, places: Places) -> None:
        self.root = root
        self.places = places
        self.spoiled: set[Path_] = set()

    def all(self, errors: Iterable[ModuleError], config: Config | None) -> Iterator[ClanpyError]:
        for error in module_errors.flat(errors):
            yield self._one(error, config)
            if not isinstance(error, module_errors.UnsetOptionError):
                self.spoiled.add(_named(error.path)[0])

    def _one(self, error: ModuleError, config: Config | None) -> ClanpyError:
        if config is not None:
            match error:
                case module_errors.UnknownOptionError():
                    return self._unknown(error, config)
                case module_errors.ConflictError():
                    return self._conflict(error, config)
                case module_errors.TypeMismatchError():
                    return self._mismatch(error, config)
                case module_errors.UnsetOptionError():
                    return self._missing(error, config)
            if type(error) is ModuleError and error.path:  # something else than a table where options are
                return self._no_table(error, config)
        return self._other(error)

    def place(self, place: module_errors.Place | None, path: Path_ = ()) -> Place | None:
        """A place in the fleet's files; where only the file is known, the path is looked for in it."""
        if place is None:
            return self.places.find(path) if path else None
        file = place.file
        if file.startswith(f"{self.root}/"):
            file = file[len(str(self.root)) + 1 :]
        if place.line is not None:
            return Place(file, place.line, place.column)
        return self.places.in_file(file, path) if path else Place(file)

    def of(self, definition: Def, path: Path_) -> Place | None:
        """Where a definition stands."""
        return self.place(definition.place(path), path)

    def _unknown(self, error: module_errors.UnknownOptionError, config: Config) -> UnknownKeyError:
        element = _element(error.path, config)
        *above, name = error.path if element is None else element.path
        siblings = _names_at(config, tuple(above)) if element is None else sorted(element.options)
        where = f" in '{dotted(tuple(above))}'" if above else ""
        return UnknownKeyError(
            f"unknown key '{name}'{where}",
            place=self.place(error.place, error.path) if element is None else self._of_element(element),
            hint=nearest(snake(name), siblings) or f"known here: {', '.join(siblings)}",
        )

    def _conflict(self, error: ModuleError, config: Config) -> ConflictError:
        spot = _spot(config, error.path)
        found = [(self.of(d, error.path), d.value) for d in self.places.in_order(spot.defs)]
        return ConflictError(
            f"'{dotted(error.path)}' has conflicting values",
            place=found[-1][0] if found else self.place(error.place, error.path),
            details=tuple(f"{place}: {shown(value)}" for place, value in found) or error.definitions,
            hint="remove one of them, or write { _force = … } around the one that counts",
        )

    def _mismatch(self, error: ModuleError, config: Config) -> WrongTypeError:
        element = _element(error.path, config)
        if element is not None:
            return self._wrong(element.kind, element.value, element.path, self._of_element(element))
        path, entry = _named(error.path)
        spot = _spot(config, path)
        if entry is not None and isinstance(plain(spot.kind) if spot.kind else None, ListOf):
            return self._wrong_element(error, path, entry, spot)
        bad = [d for d in spot.defs if spot.kind is not None and not spot.kind.check(d.value)]
        if not bad or spot.kind is None:
            return WrongTypeError(
                self.own_words(_sentence(error)), place=self.place(error.place, error.path), hint=error.hint
            )
        return self._wrong(spot.kind, bad[-1].value, path, self.of(bad[-1], path))

    def _wrong_element(self, error: ModuleError, path: Path_, entry: tuple[int, int], spot: Spot) -> WrongTypeError:
        kind = plain(spot.kind) if spot.kind else None
        assert isinstance(kind, ListOf)
        definition = spot.defs[entry[0] - 1]
        here = (*path, str(entry[1] - 1))
        return self._wrong(kind.elem, definition.value[entry[1] - 1], here, self.of(definition, here))

    def _of_element(self, element: Element) -> Place | None:
        """Where a part of a table in a list stands."""
        return self.of(element.definition, element.path)

    def _wrong(self, kind: Type, value: Any, path: Path_, place: Place | None) -> WrongTypeError:
        shown_ = f" ({value!r})" if isinstance(value, (str, bool, int, float)) else ""
        message = f"'{dotted(path)}' should be {what(kind)} and is {_type_name(value)}{shown_}"
        hint = hint_of(kind, value, nearest)
        return WrongTypeError(message, place=place, hint=hint)

    def _no_table(self, error: ModuleError, config: Config) -> ClanpyError:
        *above, name = error.path
        owner = _at(config, tuple(above))
        defs = owner.definitions_(name) if isinstance(owner, Config) else []
        bad = [d for d in defs if not isinstance(d.value, Mapping | Wrapper | Lazy)]
        if not bad:
            return self._other(error)
        message = f"'{dotted(error.path)}' should be a table and is {_type_name(bad[0].value)} ({bad[0].value!r})"
        if (error.path[0], name) == ("instances", "module"):
            message = message.replace("a table", "the name of a service or a table", 1)
        return WrongTypeError(message, place=self.of(bad[0], error.path))

    def _missing(self, error: ModuleError, config: Config) -> MissingFieldError:
        element = _element(error.path, config)
        if element is not None:
            message = f"'{dotted(element.path[:-1])}' has no {element.path[-1]}"
            return MissingFieldError(message, place=self._of_element(element))
        path = error.path
        if path == ("meta", "name"):
            place = self.places.find(("meta",)) or Place("inventory.toml")
            return MissingFieldError("the fleet has no name", place=place, hint='write `[meta]` with `name = "…"`')
        place = self.places.find(path[:-1]) or self.place(error.place, path) or Place("inventory.toml")
        if path[0] == "machines" and len(path) == 3:  # noqa: PLR2004 - machines, its name, the field
            return MissingFieldError(f"machine '{path[1]}' has no {path[2]}", place=place, hint=_MISSING.get(path[2]))
        return MissingFieldError(
            f"'{dotted(path)}' is used, and nothing gives it a value", place=place, hint=error.hint
        )

    def _other(self, error: ModuleError) -> ClanpyError:
        kind = next((ours for theirs, ours in _CODES if isinstance(error, theirs)), PythonModuleError)
        place = self.place(error.place, error.path) or self._in_cycle(error)
        if place is not None and place.file.startswith(
            "/"
        ):  # in clanpy itself: what the fleet's file does to it is meant
            place = self._mentioned(error)
        if place is None and error.path:
            place = self.places.find(error.path)
        return kind(
            self.own_words(_sentence(error)),
            place=place or Place("inventory.toml"),
            hint=None if error.hint is None else self.own_words(error.hint),
            details=tuple(self.own_words(line) for line in error.definitions),
        )

    def _in_cycle(self, error: ModuleError) -> Place | None:
        """Where the first of the values that wait for each other is computed."""
        for line in getattr(error, "cycle", ()):
            found = _PLACE.search(line)
            if found is not None:
                column = None if found[3] is None else int(found[3])
                return self.place(module_errors.Place(found[1], int(found[2]), column))
        return None

    def _mentioned(self, error: ModuleError) -> Place | None:
        """The first place in the fleet that the message names."""
        found = re.search(r"'([^/'][^':]*):(\d+)(?::(\d+))?'", self.own_words(error.message))
        return None if found is None else Place(found[1], int(found[2]), None if found[3] is None else int(found[3]))

    def own_words(self, text: str) -> str:
        """A text with our quotes, and with paths that begin at the fleet's folder."""
        return _OWN.sub("clanpy's schema", _plain_quotes(text).replace(f"{self.root}/", ""))


def _sentence(error: ModuleError) -> str:
    text = error.message
    return text[:1].lower() + text[1:]


def _plain_quotes(text: str) -> str:
    return text.replace("`", "'")


def _type_name(value: Any) -> str:
    return _TYPE_NAMES.get(type(value), f"a {type(value).__name__}")


def _named(path: Path_) -> tuple[Path_, tuple[int, int] | None]:
    """A path without a list's element at its end, and which that is: definition and entry, both counted from 1."""
    if path and path[-1].startswith("[definition "):
        first, _, second = path[-1].removeprefix("[definition ").removesuffix("]").partition("-entry ")
        return path[:-1], (int(first), int(second))
    return path, None


def _element(path: Path_, config: Config) -> Element | None:
    """What a path leads to that goes through a table in a list; None for other paths."""
    n = next((n for n, part in enumerate(path[:-1]) if part.startswith("[definition ")), None)
    if n is None:
        return None
    list_path, entry = _named(path[: n + 1])
    spot = _spot(config, list_path)
    kind = plain(spot.kind) if spot.kind is not None else None
    inner = _table_in(kind.elem) if isinstance(kind, ListOf) else None
    if entry is None or inner is None or not isinstance(kind, ListOf):
        return None
    definition = spot.defs[entry[0] - 1]
    field = path[n + 1]
    module = inner.given[0]
    declared = module.value if isinstance(module, Given) else module
    options = {name: found.type for name, found in declared["options"].items()}
    table = definition.value[entry[1] - 1]
    value = table.get(field) if isinstance(table, Mapping) else table
    here = (*list_path, str(entry[1] - 1), *path[n + 1 :])
    return Element(here, value, options.get(field, kind.elem), options, definition)


def _table_in(kind: Type) -> Submodule | None:
    """The table that a type is, or that is one of its alternatives."""
    if isinstance(kind, Either):
        return _table_in(kind.left) or _table_in(kind.right)
    return kind if isinstance(kind, Submodule) else None


def _at(config: Config, path: Path_) -> Any:
    """What stands at a path, as far as it can be read."""
    found: Any = config
    for name in path:
        try:
            found = found[name]
        except ModuleError as error:
            found = error.resume
        except (KeyError, TypeError):
            return None
    return found


def _spot(config: Config, path: Path_) -> Spot:
    owner = _at(config, path[:-1])
    kind: Type | None = None
    if isinstance(owner, Config):
        child = owner.group_.children.get(path[-1])
        kind = child.type if isinstance(child, Declared) else None
    elif isinstance(owner, Entries):
        kind = owner.elem_type_
    if kind is None or not isinstance(owner, Config | Entries):
        return Spot(kind, [])
    try:
        return Spot(kind, final(owner.definitions_(path[-1]), path, kind).defs)
    except (ModuleError, KeyError):
        return Spot(kind, [])


def _names_at(config: Config, path: Path_) -> list[str]:
    owner = _at(config, path)
    if not isinstance(owner, Config):
        return []
    return [name for name in owner.group_.children if name != "_module"]


def shown(value: Any) -> str:
    """A value as TOML would have it, cut where it is long."""
    if isinstance(value, (Mapping, Carried)):
        return "a table"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"  # noqa: PLR2004 - what fits on a line with its place
