"""Types of many values: lists and attribute sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from clanpy.modules.context import Context
from clanpy.modules.errors import EvaluationError, ModuleError, Place
from clanpy.modules.lazy import Lazy
from clanpy.modules.mapping import LazyMapping, cycle
from clanpy.modules.merge import MISSING, checked_merge, final, mismatch, unset
from clanpy.modules.priority import UNWRAPPED, Wrapper
from clanpy.modules.show import show_path
from clanpy.modules.sources import Def, Path, Source
from clanpy.modules.stack import frames, guarded
from clanpy.modules.types.base import Type


class ListOf(Type):
    """Lists, joined in the order of their definitions."""

    __slots__ = ("elem",)

    name = "listOf"
    phrase = "composite"

    def __init__(self, elem: Type) -> None:
        self.elem = elem

    @property
    def description(self) -> str:
        return f"list of {self.elem.within('noun', 'composite')}"

    def check(self, value: Any) -> bool:
        return isinstance(value, list | tuple)

    def quick(self, context: Context, path: Path, name: str, value: Any, source: Source) -> Any:
        if value.__class__ is not list:
            return MISSING
        atom = self.elem.atom
        found = [atom(v) for v in value]
        return MISSING if any(v is MISSING for v in found) else found

    def merge(self, context: Context, path: Path, defs: list[Def]) -> Any:
        values: list[Any] = []
        errors: list[ModuleError] = []
        for n, d in enumerate(defs, 1):
            for m, value in enumerate(d.value, 1):
                atom = self.elem.atom(value)
                if atom is not MISSING:
                    values.append(atom)
                    continue
                try:
                    self._element(context, (*path, f"[definition {n}-entry {m}]"), Def(value, d.source), values)
                except ModuleError as error:
                    errors.append(error)
        if errors:
            report = errors[0] if len(errors) == 1 else EvaluationError(errors)
            # A check goes on in the other elements, and in what is left of these.
            report.resume = [*values, *(e.resume for e in errors if e.resume is not None)]
            raise report
        return values

    def _element(self, context: Context, path: Path, d: Def, values: list[Any]) -> None:
        counted = final([d], path, self.elem).defs
        if counted:
            values.append(checked_merge(context, self.elem, path, counted))

    def empty(self, context: Context, path: Path) -> Any:
        return []

    def join(self, other: Type) -> Type | None:
        if not isinstance(other, ListOf):
            return None
        elem = self.elem.combine(other.elem)
        return None if elem is None else ListOf(elem)

    @property
    def nested(self) -> Mapping[str, Type]:
        return {"elem": self.elem}

    @property
    def modules(self) -> Sequence[Any] | None:
        return self.elem.modules

    def with_modules(self, modules: Sequence[Any]) -> Type:
        return ListOf(self.elem.with_modules(modules))

    def sub_options(self, path: Path) -> Mapping[str, Any]:
        return self.elem.sub_options((*path, "*"))


def list_of(elem: Type) -> Type:
    """Lists whose elements are of this type; definitions are joined."""
    return ListOf(elem)


# As the name of an entry: all of them, while it is found out which there are.
_ITSELF: Final = "\0"


class Entries(LazyMapping):
    """The value of an attrs_of: each entry is merged when it is looked at.

    Which entries there are is known as soon as anything is asked: an entry all of whose definitions are under a false
    condition does not exist (it does when `lazy`).
    """

    __slots__ = ("_defs", "_elem", "_gathered", "_gathering", "_lazy", "_single")

    def __init__(self, context: Context, path: Path, elem: Type, defs: list[Def], *, lazy: bool) -> None:
        super().__init__(context, path)
        self._elem = elem
        self._defs = defs
        self._lazy = lazy
        self._single = self._plain(defs[0].value) if len(defs) == 1 else None
        self._gathered: dict[str, list[Def]] | None = None
        self._gathering = False

    def _plain(self, value: Any) -> dict[str, Any] | None:
        plain = value.__class__ is dict and all(
            v.__class__ in UNWRAPPED and k.__class__ is str for k, v in value.items()
        )
        return value if plain else None

    def _all(self) -> dict[str, list[Def]]:
        if self._gathered is None:
            return guarded(self._gather)
        return self._gathered

    def _gather(self) -> dict[str, list[Def]]:
        if self._gathering:
            raise cycle(self, _ITSELF)
        self._gathering = True
        frames().append((self, _ITSELF))
        try:
            found = self._by_name()
            self._gathered = found if self._lazy else {k: v for k, v in found.items() if self._defined(k, v)}
        finally:
            frames().pop()
            self._gathering = False
        return self._gathered

    def _by_name(self) -> dict[str, list[Def]]:
        found: dict[str, list[Def]] = {}
        for d in self._defs:
            for key in d.value:
                if not isinstance(key, str):
                    raise mismatch(self._elem, self._loc, [d], f": its name {key!r} is no string")
                found.setdefault(key, []).append(Def(d.value[key], d.source))
        return found

    def _defined(self, name: str, defs: list[Def]) -> bool:
        if any(d.value.__class__ in UNWRAPPED for d in defs):
            return True
        if not any(isinstance(d.value, Wrapper | Lazy) for d in defs):
            return True
        return bool(final(defs, (*self._loc, name), self._elem).defs)

    def _names(self) -> Iterator[str]:
        return iter(self._all() if self._single is None else self._single)

    def _has(self, name: str) -> bool:
        return name in (self._all() if self._single is None else self._single)

    def _quick(self, name: str) -> Any:
        if self._single is None or name not in self._single:
            return MISSING
        return self._elem.quick(self._context, self._loc, name, self._single[name], self._defs[0].source)

    def _evaluate(self, name: str) -> Any:
        path = (*self._loc, name)
        counted = final(self.definitions_(name), path, self._elem).defs
        if not counted:
            empty = self._elem.empty(self._context, path)
            if empty is MISSING:
                raise unset(path)
            return empty
        return checked_merge(self._context, self._elem, path, counted)

    def definitions_(self, name: str) -> list[Def]:
        """All definitions of an entry, as they were written."""
        if self._single is not None:
            return [Def(self._single[name], self._defs[0].source)]
        return self._all()[name]

    def places_(self, name: str) -> tuple[Place, ...]:
        path = (*self._loc, name)
        return tuple(d.place(path) for d in guarded(final, self.definitions_(name), path, self._elem).defs)

    @property
    def elem_type_(self) -> Type:
        return self._elem

    def described_(self, name: str) -> str:
        if name == _ITSELF:
            return f"{show_path(self._loc)} ({self._defs[0].place(self._loc)})"
        path = (*self._loc, name)
        defs = self.definitions_(name)
        computed = [d for d in defs if d.value.__class__ not in UNWRAPPED] or defs
        return f"{show_path(path)} ({computed[0].place(path)})"


class AttrsOf(Type):
    """Attribute sets, merged name by name."""

    __slots__ = ("elem", "lazy", "name", "placeholder")

    phrase = "composite"

    def __init__(self, elem: Type, *, lazy: bool = False, placeholder: str = "name") -> None:
        self.elem = elem
        self.lazy = lazy
        self.placeholder = placeholder
        self.name = "lazyAttrsOf" if lazy else "attrsOf"

    @property
    def description(self) -> str:
        kind = "lazy attribute set" if self.lazy else "attribute set"
        return f"{kind} of {self.elem.within('noun', 'composite')}"

    def check(self, value: Any) -> bool:
        return value.__class__ is dict or isinstance(value, Mapping)

    def quick(self, context: Context, path: Path, name: str, value: Any, source: Source) -> Any:
        if value.__class__ is not dict:
            return MISSING
        return Entries(context, (*path, name), self.elem, [Def(value, source)], lazy=self.lazy)

    def merge(self, context: Context, path: Path, defs: list[Def]) -> Any:
        return Entries(context, path, self.elem, defs, lazy=self.lazy)

    def empty(self, context: Context, path: Path) -> Any:
        return {}

    def join(self, other: Type) -> Type | None:
        if not isinstance(other, AttrsOf) or other.lazy != self.lazy:
            return None
        if type(other) is not type(self) and isinstance(other, type(self)):
            return other.join(self)  # a kind of its own, which knows more of itself
        elem = self.elem.combine(other.elem)
        names = {self.placeholder, other.placeholder} - {"name"}
        if elem is None or len(names) > 1:
            return None
        return AttrsOf(elem, lazy=self.lazy, placeholder=next(iter(names), "name"))

    @property
    def nested(self) -> Mapping[str, Type]:
        return {"elem": self.elem}

    @property
    def modules(self) -> Sequence[Any] | None:
        return self.elem.modules

    def with_modules(self, modules: Sequence[Any]) -> Type:
        return AttrsOf(self.elem.with_modules(modules), lazy=self.lazy, placeholder=self.placeholder)

    def sub_options(self, path: Path) -> Mapping[str, Any]:
        return self.elem.sub_options((*path, f"<{self.placeholder}>"))


def attrs_of(elem: Type) -> Type:
    """Attribute sets whose values are of this type. An entry under a false condition does not exist."""
    return AttrsOf(elem)


def lazy_attrs_of(elem: Type) -> Type:
    """As attrs_of, but which entries exist is known without looking at their conditions; entries may use each other."""
    return AttrsOf(elem, lazy=True)


def attrs_with(*, elem: Type, lazy: bool = False, placeholder: str = "name") -> Type:
    """attrs_of or lazy_attrs_of; documentation shows the names as `<placeholder>`."""
    return AttrsOf(elem, lazy=lazy, placeholder=placeholder)
