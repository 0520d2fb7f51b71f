"""Types around one other type: null or, unique, checked, not empty."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from clanpy.modules.calls import protected
from clanpy.modules.context import Context
from clanpy.modules.errors import ConflictError
from clanpy.modules.merge import MISSING, files, shown
from clanpy.modules.priority import Wrapper
from clanpy.modules.show import show_path
from clanpy.modules.sources import Def, Path, Source
from clanpy.modules.types.base import Type, only_one
from clanpy.modules.types.structure import ListOf


class Around(Type):
    """A type around one other, which does most of the work."""

    __slots__ = ("elem", "name", "phrase")

    def __init__(self, elem: Type, name: str, phrase: str | None) -> None:
        self.elem = elem
        self.name = name
        self.phrase = phrase

    def takes(self, wrapper: Wrapper) -> bool:
        return self.elem.takes(wrapper)

    def rebuilt(self, elem: Type) -> Type:
        """The same around another type."""
        raise NotImplementedError

    @property
    def description(self) -> str:
        return self.elem.description

    def check(self, value: Any) -> bool:
        return self.elem.check(value)

    def quick(self, context: Context, path: Path, name: str, value: Any, source: Source) -> Any:
        return self.elem.quick(context, path, name, value, source)

    def atom(self, value: Any) -> Any:
        return self.elem.atom(value)

    def merge(self, context: Context, path: Path, defs: list[Def]) -> Any:
        return self.elem.merge(context, path, defs)

    @property
    def empty_atom(self) -> Any:
        return self.elem.empty_atom

    def empty(self, context: Context, path: Path) -> Any:
        return self.elem.empty(context, path)

    def join(self, other: Type) -> Type | None:
        if not isinstance(other, Around) or type(self) is not type(other):
            return None
        elem = self.elem.combine(other.elem)
        return None if elem is None else self.rebuilt(elem)

    @property
    def nested(self) -> Mapping[str, Type]:
        return {"elem": self.elem}

    @property
    def modules(self) -> Sequence[Any] | None:
        return self.elem.modules

    def with_modules(self, modules: Sequence[Any]) -> Type:
        return self.rebuilt(self.elem.with_modules(modules))

    def sub_options(self, path: Path) -> Mapping[str, Any]:
        return self.elem.sub_options(path)


class NullOr(Around):
    """None, or a value of another type."""

    __slots__ = ()

    def __init__(self, elem: Type) -> None:
        super().__init__(elem, "nullOr", "conjunction")

    def rebuilt(self, elem: Type) -> Type:
        return NullOr(elem)

    @property
    def description(self) -> str:
        return f"null or {self.elem.within('noun', 'conjunction')}"

    def check(self, value: Any) -> bool:
        return value is None or self.elem.check(value)

    def quick(self, context: Context, path: Path, name: str, value: Any, source: Source) -> Any:
        return None if value is None else self.elem.quick(context, path, name, value, source)

    def atom(self, value: Any) -> Any:
        return None if value is None else self.elem.atom(value)

    def merge(self, context: Context, path: Path, defs: list[Def]) -> Any:
        nulls = sum(d.value is None for d in defs)
        if not nulls:
            self.elem.verify(path, defs)
            return self.elem.merge(context, path, defs)
        if nulls == len(defs):
            return None
        raise ConflictError(
            f"The option `{show_path(path)}` is defined both null and not null, in {files(defs, path)}",
            path=path,
            place=defs[0].place(path),
            definitions=shown(defs, path),
        )

    @property
    def empty_atom(self) -> Any:
        return None

    def empty(self, context: Context, path: Path) -> Any:
        return None


def null_or(elem: Type) -> Type:
    """None, or a value of this type; None when nobody defines it."""
    return NullOr(elem)


class Unique(Around):
    """Only one definition, and why."""

    __slots__ = ("message",)

    def __init__(self, elem: Type, message: str) -> None:
        super().__init__(elem, "unique", elem.phrase)
        self.message = message

    def rebuilt(self, elem: Type) -> Type:
        return Unique(elem, self.message)

    def merge(self, context: Context, path: Path, defs: list[Def]) -> Any:
        only_one(path, defs, self.message)
        self.elem.verify(path, defs)
        return self.elem.merge(context, path, defs)


def unique(elem: Type, *, message: str = "") -> Type:
    """Values of this type, defined once (at the priority that counts); the message says why."""
    return Unique(elem, message)


def uniq(elem: Type) -> Type:
    """`unique` without a message."""
    return Unique(elem, "")


class Checked(Around):
    """Values of another type that also pass a check."""

    __slots__ = ("_given", "predicate")

    def __init__(self, elem: Type, predicate: Callable[[Any], bool], description: str | None = None) -> None:
        super().__init__(elem, elem.name, elem.phrase)
        self.predicate = predicate
        self._given = description

    def rebuilt(self, elem: Type) -> Type:
        return Checked(elem, self.predicate, self._given)

    @property
    def description(self) -> str:
        return self._given or self.elem.description

    def check(self, value: Any) -> bool:
        return self.elem.check(value) and bool(protected(self.predicate, value))

    def verify(self, path: Path, defs: Sequence[Def]) -> None:
        super().verify(path, defs)
        self.elem.verify(path, defs)

    def quick(self, context: Context, path: Path, name: str, value: Any, source: Source) -> Any:
        return MISSING

    def atom(self, value: Any) -> Any:
        return MISSING

    def join(self, other: Type) -> Type | None:
        # As in Nix, merging forgets the check; unless both sides have the very same one.
        if isinstance(other, Checked) and other.predicate is self.predicate:
            return super().join(other)
        return self.elem.combine(other.unrefined)

    @property
    def unrefined(self) -> Type:
        return self.elem.unrefined


def add_check(elem: Type, predicate: Callable[[Any], bool], *, description: str | None = None) -> Type:
    """Values of this type for which the function holds; it is given each definition's value."""
    return Checked(elem, predicate, description)


class NonEmptyList(Checked):
    """A list of which every definition has an element."""

    __slots__ = ()

    def __init__(self, elem: Type) -> None:
        super().__init__(ListOf(elem), bool)

    @property
    def description(self) -> str:
        return f"non-empty ({self.elem.description})"

    def rebuilt(self, elem: Type) -> Type:
        return NonEmptyList(elem.elem) if isinstance(elem, ListOf) else elem

    @property
    def empty_atom(self) -> Any:
        return MISSING

    def empty(self, context: Context, path: Path) -> Any:
        return MISSING


def non_empty_list_of(elem: Type) -> Type:
    """Lists with at least one element; there is no empty value."""
    return NonEmptyList(elem)
