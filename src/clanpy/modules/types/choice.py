"""Types that choose: either, enum, coerced."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from clanpy.modules.calls import protected
from clanpy.modules.context import Context
from clanpy.modules.merge import MISSING, mismatch, same
from clanpy.modules.priority import ATOMS, Wrapper
from clanpy.modules.show import show_value
from clanpy.modules.sources import Def, Path, Source
from clanpy.modules.types.base import Atomic, Type


class Either(Type):
    """The first of two types that takes all definitions."""

    __slots__ = ("left", "right")

    name = "either"
    phrase = "conjunction"

    def __init__(self, left: Type, right: Type) -> None:
        self.left = left
        self.right = right

    @property
    def description(self) -> str:
        if self.left.phrase == "nonRestrictiveClause":
            return f"{self.left.description}, or {self.right.within('noun', 'conjunction')}"
        left = self.left.within("noun", "conjunction")
        return f"{left} or {self.right.within('noun', 'conjunction', 'composite')}"

    def check(self, value: Any) -> bool:
        return self.left.check(value) or self.right.check(value)

    def takes(self, wrapper: Wrapper) -> bool:
        return self.left.takes(wrapper) or self.right.takes(wrapper)

    def verify(self, path: Path, defs: Sequence[Def]) -> None:
        super().verify(path, defs)
        if self._chosen(defs) is None:
            raise mismatch(self, path, defs, ": no part of it takes all of them")

    def _chosen(self, defs: Sequence[Def]) -> Type | None:
        for side in (self.left, self.right):
            if all(side.check(d.value) for d in defs):
                return side
        return None

    def atom(self, value: Any) -> Any:
        found = self.left.atom(value)
        return self.right.atom(value) if found is MISSING and not self.left.check(value) else found

    def quick(self, context: Context, path: Path, name: str, value: Any, source: Source) -> Any:
        return self.atom(value)

    def merge(self, context: Context, path: Path, defs: list[Def]) -> Any:
        side = self._chosen(defs)
        if side is None:
            raise mismatch(self, path, defs, ": no part of it takes all of them")
        side.verify(path, defs)
        return side.merge(context, path, defs)

    def join(self, other: Type) -> Type | None:
        if not isinstance(other, Either):
            return None
        left, right = self.left.combine(other.left), self.right.combine(other.right)
        return None if left is None or right is None else Either(left, right)

    @property
    def nested(self) -> Mapping[str, Type]:
        return {"left": self.left, "right": self.right}


def either(left: Type, right: Type) -> Type:
    """Values of the first type that takes all definitions."""
    return Either(left, right)


def one_of(*types: Type | Sequence[Type]) -> Type:
    """Values of the first of these types that takes all definitions."""
    found = [t for given in types for t in ([given] if isinstance(given, Type) else given)]
    if not found:
        raise ValueError("one_of needs at least one type")
    result = found[0]
    for following in found[1:]:
        result = Either(result, following)
    return result


class Enum(Atomic):
    """One of some values."""

    __slots__ = ("_strings", "values")

    def __init__(self, values: Sequence[Any]) -> None:
        self.values = tuple(values)
        self._strings = frozenset(v for v in self.values if isinstance(v, str))
        super().__init__("enum", self._described(), self._has, phrase="noun" if len(self.values) < 2 else "conjunction")  # noqa: PLR2004  # one value is singular

    def _described(self) -> str:
        if not self.values:
            return "impossible (empty enum)"
        if len(self.values) == 1:
            return f"value {show_value(self.values[0])} (singular enum)"
        return f"one of {', '.join(show_value(v) for v in self.values)}"

    def _has(self, value: Any) -> bool:
        if isinstance(value, str):
            return value in self._strings
        return any(same(value, v) for v in self.values)

    def join(self, other: Type) -> Type | None:
        if not isinstance(other, Enum):
            return None
        return Enum([*self.values, *(v for v in other.values if not self._has(v))])


def enum(values: Sequence[Any]) -> Type:
    """One of these values. Declared several times, it is one of all of them."""
    return Enum(values)


class CoercedTo(Type):
    """Values of one type, or of another one from which they can be made."""

    __slots__ = ("coerce", "source_type", "target")

    name = "coercedTo"

    def __init__(self, source_type: Type, coerce: Callable[[Any], Any], target: Type) -> None:
        if source_type.modules is not None:
            raise ValueError(f"coerced_to: the first type must not have submodules (it is a {source_type.description})")
        self.source_type = source_type
        self.coerce = coerce
        self.target = target

    @property
    def description(self) -> str:
        return f"{self.target.within('noun')} or {self.source_type.within('noun')} convertible to it"

    def takes(self, wrapper: Wrapper) -> bool:
        return self.target.takes(wrapper)

    def _coerced(self, value: Any) -> Any:
        return protected(self.coerce, value) if self.source_type.check(value) else value

    def check(self, value: Any) -> bool:
        if self.source_type.check(value) and self.target.check(protected(self.coerce, value)):
            return True
        return self.target.check(value)

    def _defs(self, defs: Sequence[Def]) -> list[Def]:
        return [Def(self._coerced(d.value), d.source) for d in defs]

    def verify(self, path: Path, defs: Sequence[Def]) -> None:
        bad = [d for d, c in zip(defs, self._defs(defs), strict=True) if not self.target.check(c.value)]
        if bad:
            raise mismatch(self, path, bad)
        self.target.verify(path, self._defs(defs))

    def quick(self, context: Context, path: Path, name: str, value: Any, source: Source) -> Any:
        return MISSING if self.source_type.check(value) else self.target.quick(context, path, name, value, source)

    def atom(self, value: Any) -> Any:
        return MISSING if value.__class__ not in ATOMS or self.source_type.check(value) else self.target.atom(value)

    def merge(self, context: Context, path: Path, defs: list[Def]) -> Any:
        return self.target.merge(context, path, self._defs(defs))

    @property
    def empty_atom(self) -> Any:
        return self.target.empty_atom

    def empty(self, context: Context, path: Path) -> Any:
        return self.target.empty(context, path)

    def join(self, other: Type) -> Type | None:
        return None

    @property
    def nested(self) -> Mapping[str, Type]:
        return {"from": self.source_type, "to": self.target}

    @property
    def modules(self) -> Sequence[Any] | None:
        return self.target.modules

    def with_modules(self, modules: Sequence[Any]) -> Type:
        return CoercedTo(self.source_type, self.coerce, self.target.with_modules(modules))

    def sub_options(self, path: Path) -> Mapping[str, Any]:
        return self.target.sub_options(path)


def coerced_to(source_type: Type, coerce: Callable[[Any], Any], target: Type) -> Type:
    """Values of `target`; definitions that `source_type` takes are converted first, one by one."""
    return CoercedTo(source_type, coerce, target)
