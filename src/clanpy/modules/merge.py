"""From definitions to one value: conditions, priorities, order, then the type."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from clanpy.modules.errors import TypeMismatchError, UnsetOptionError, WrapperError
from clanpy.modules.lazy import force
from clanpy.modules.priority import (
    MIDDLE,
    PLAIN,
    UNWRAPPED,
    Definition,
    If,
    Merge,
    Order,
    Override,
    Wrapper,
    condition_of,
    wrapper_error,
)
from clanpy.modules.show import show_path, show_value
from clanpy.modules.sources import Def, Path


if TYPE_CHECKING:
    from clanpy.modules.context import Context
    from clanpy.modules.types.base import Type


class Missing:
    """There is no value; None is one."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING = Missing()


class Final(NamedTuple):
    """The definitions that count, in order, and the priority that won."""

    defs: list[Def]
    priority: int


def merge_definitions(context: Context, kind: Type, path: Path, defs: list[Def]) -> Any:
    """The value that these definitions give an option of this type.

    Raises:
        UnsetOptionError: none of them counts, and the type has no empty value.
        TypeMismatchError: the type refuses some of them.
        ModuleError: whatever the type finds when it merges.
    """
    return checked_merge(context, kind, path, final(defs, path, kind).defs)


def checked_merge(context: Context, kind: Type, path: Path, defs: list[Def]) -> Any:
    if not defs:
        empty = kind.empty(context, path)
        if empty is MISSING:
            raise unset(path)
        return empty
    kind.verify(path, defs)
    return kind.merge(context, path, defs)


def final(defs: list[Def], path: Path, kind: Type) -> Final:
    """Conditions looked at, merges spliced, overridden ones dropped, the rest in order.

    Raises:
        WrapperError: a wrapper is inside one that has to be inside it, and the type makes nothing of that.
    """
    for d in defs:
        if d.value.__class__ not in UNWRAPPED:
            break
    else:
        return Final(defs, PLAIN)
    found = in_order(strongest(discharged(defs, path), path), path)
    for d in found.defs:
        if isinstance(d.value, Wrapper) and not kind.takes(d.value):
            raise misplaced(d, defs, path)
    return found


def discharged(defs: Iterable[Def], path: Path) -> list[Def]:
    """The definitions without mk_if, mk_merge and mk_definition around them."""
    found: list[Def] = []
    for d in defs:
        _discharge(d, path, found)
    return found


def _discharge(d: Def, path: Path, found: list[Def]) -> None:
    value = force(d.value, d.source.scope)
    if isinstance(value, Merge):
        for part in value.contents:
            _discharge(Def(part, d.source), path, found)
    elif isinstance(value, If):
        if condition_of(value, d, path):
            _discharge(Def(value.content, d.source), path, found)
    elif isinstance(value, Definition):
        found.append(value.unpacked(d))
    else:
        found.append(d if value is d.value else Def(value, d.source))


def priority_of(d: Def) -> int:
    return d.value.priority if isinstance(d.value, Override) else PLAIN


def strongest(defs: list[Def], path: Path) -> Final:
    """Those with the lowest priority number, without mk_override around them."""
    if not defs:
        return Final(defs, PLAIN)
    lowest = min(map(priority_of, defs))
    return Final([_without_override(d, path) for d in defs if priority_of(d) == lowest], lowest)


def _without_override(d: Def, path: Path) -> Def:
    if not isinstance(d.value, Override):
        return d
    return Def(force(d.value.content, d.source.scope), d.source)


def in_order(found: Final, path: Path) -> Final:
    """Sorted by mk_order, stably, without it around them."""
    if not any(isinstance(d.value, Order) for d in found.defs):
        return found
    keyed = [(d.value.priority if isinstance(d.value, Order) else MIDDLE, d) for d in found.defs]
    keyed.sort(key=lambda pair: pair[0])
    return Final([_without_order(d, path) for _, d in keyed], found.priority)


def _without_order(d: Def, path: Path) -> Def:
    if not isinstance(d.value, Order):
        return d
    return Def(force(d.value.content, d.source.scope), d.source)


def misplaced(d: Def, defs: list[Def], path: Path) -> WrapperError:
    """The mistake that left a wrapper after all of them should have been taken off."""
    for given in discharged(defs, path):
        outer: Any = None
        value = given.value
        while isinstance(value, Override | Order | Definition):
            outer, value = (
                value,
                force(value.value if isinstance(value, Definition) else value.content, given.source.scope),
            )
            if value is d.value:
                return wrapper_error(outer, value, given, path)
    # Only mk_definition is taken off together with conditions, so it was around this one.
    return wrapper_error(Definition(d.source, d.value), d.value, d, path)


def unset(path: Path) -> UnsetOptionError:
    return UnsetOptionError(
        f"The option `{show_path(path)}' was accessed but has no value defined. Try setting the option",
        path=path,
    )


def mismatch(kind: Type, path: Path, bad: Sequence[Def], why: str = "") -> TypeMismatchError:
    return TypeMismatchError(
        f"A definition for option `{show_path(path)}' is not of type `{kind.description}'{why}",
        path=path,
        place=bad[0].place(path) if bad else None,
        definitions=shown(bad, path),
    )


def shown(defs: Iterable[Def], path: Path) -> list[str]:
    """`In `A.toml:3:1': "b"` for each."""
    return [f"In `{d.place(path)}{d.source.via}': {show_value(_bare(d.value))}" for d in defs]


def _bare(value: Any) -> Any:
    """A value without its priority and order."""
    while isinstance(value, Override | Order):
        value = value.content
    return value


def files(defs: Iterable[Def], path: Path) -> str:
    names = dict.fromkeys(str(d.place(path)) for d in defs)
    return " and ".join(f"`{name}'" for name in names)


def same(a: Any, b: Any) -> bool:
    """Equality as Nix sees it: 1 and 1.0 are equal, 1 and true are not."""
    pending = [(a, b)]
    while pending:
        x, y = pending.pop()
        x, y = force(x), force(y)
        if x is y:
            continue
        if isinstance(x, bool) or isinstance(y, bool):
            return False
        if isinstance(x, list | tuple) and isinstance(y, list | tuple):
            if len(x) != len(y):
                return False
            pending.extend(zip(x, y, strict=True))
        elif _are_mappings(x, y):
            if x.keys() != y.keys():
                return False
            pending.extend((x[k], y[k]) for k in x)
        elif x != y:
            return False
    return True


def _are_mappings(x: Any, y: Any) -> bool:
    return hasattr(x, "keys") and hasattr(y, "keys")
