"""What a definition can be wrapped in: conditions, merges, priorities, order, and a file of its own.

Legal nesting is, from outside to inside: mk_merge and mk_if, then one priority, then one order, then the value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any, Final

from clanpy.modules.errors import ModuleError, Place, WrapperError
from clanpy.modules.lazy import Lazy, force
from clanpy.modules.show import show_path, show_value, type_name
from clanpy.modules.sources import Def, Level, Path, Source


VM: Final = 10
FORCE: Final = 50
IMAGE: Final = 60
PLAIN: Final = 100
DEFAULT: Final = 1000
OPTION_DEFAULT: Final = 1500
BEFORE: Final = 500
MIDDLE: Final = 1000
AFTER: Final = 1500

ATOMS: Final = frozenset({str, int, bool, float, type(None)})
UNWRAPPED: Final = ATOMS | {dict, list, tuple}
"""Types whose values are certainly no wrapper and no lazy value."""

_OVERRIDES: Final = {
    VM: "mk_vm_override",
    FORCE: "mk_force",
    IMAGE: "mk_image_media_override",
    DEFAULT: "mk_default",
    OPTION_DEFAULT: "mk_option_default",
}
_ORDERS: Final = {BEFORE: "mk_before", AFTER: "mk_after"}


class Wrapper:
    """Something around a definition's value. Wrappers are values: equal when their contents are."""

    __slots__ = ()

    @property
    def called(self) -> str:
        """The function that makes it."""
        raise NotImplementedError

    @property
    def _shown_(self) -> str:
        return f"<{self.called}>"

    def parts(self) -> tuple[str, ...]:
        """The names of what it is made of, in the order of its constructor."""
        return tuple(self.__slots__)

    def __repr__(self) -> str:
        inner = ", ".join(repr(getattr(self, name)) for name in self.parts())
        return f"{type(self).__name__}({inner})"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and all(getattr(self, n) == getattr(other, n) for n in self.parts())

    __hash__ = None  # type: ignore[assignment]  # contents are lists and mappings

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), tuple(getattr(self, name) for name in self.parts()))


class If(Wrapper):
    """The content, when the condition holds. The condition is a bool, a lazy one, or a function that gives one."""

    __slots__ = ("condition", "content")

    def __init__(self, condition: Any, content: Any) -> None:
        self.condition = condition
        self.content = content

    @property
    def called(self) -> str:
        return "mk_if"


class Merge(Wrapper):
    """Several definitions at once, in this order."""

    __slots__ = ("contents",)

    def __init__(self, contents: Any) -> None:
        self.contents = contents

    @property
    def called(self) -> str:
        return "mk_merge"


class Override(Wrapper):
    """A definition with a priority: the lowest number wins, all others are dropped."""

    __slots__ = ("priority", "content")  # noqa: RUF023  # the order of the constructor's arguments

    def __init__(self, priority: int, content: Any) -> None:
        self.priority = priority
        self.content = content

    @property
    def called(self) -> str:
        return _OVERRIDES.get(self.priority, "mk_override")


class Order(Wrapper):
    """A definition that goes before or after others when they are concatenated."""

    __slots__ = ("priority", "content")  # noqa: RUF023  # the order of the constructor's arguments

    def __init__(self, priority: int, content: Any) -> None:
        self.priority = priority
        self.content = content

    @property
    def called(self) -> str:
        return _ORDERS.get(self.priority, "mk_order")


class Definition(Wrapper):
    """A definition that says itself where it comes from."""

    __slots__ = ("file", "value")

    def __init__(self, file: str | Source, value: Any) -> None:
        self.file = file
        self.value = value

    @property
    def called(self) -> str:
        return "mk_definition"

    def unpacked(self, around: Def) -> Def:
        """The definition itself. A bare file name has no positions, but the scope of where it stands."""
        if isinstance(self.file, Source):
            return Def(self.value, self.file)
        return Def(self.value, Source(self.file, scope=around.source.scope, fixed=Place(self.file)))


def mk_if(condition: Any, content: Any) -> If:
    """The content counts when the condition holds: a bool, a lazy value (`config.x.enable`) or a function giving one."""
    return If(condition, content)


def mk_merge(contents: Iterable[Any]) -> Merge:
    """Several definitions where one is expected.

    Raises:
        WrapperError: the argument is no list.
    """
    if isinstance(contents, str | bytes | Mapping | Wrapper | Lazy) or not isinstance(contents, Iterable):
        raise WrapperError(f"`mk_merge' takes a list of definitions, not a value of type `{type_name(contents)}'")
    return Merge(list(contents))


def mk_override(priority: int, content: Any) -> Override:
    """A definition with a priority; 100 is what a plain one has, and lower wins.

    Raises:
        WrapperError: the priority is no whole number.
    """
    return Override(_whole(priority, "mk_override"), content)


def _whole(priority: Any, called: str) -> int:
    if isinstance(priority, int) and not isinstance(priority, bool):
        return priority
    raise WrapperError(f"`{called}' takes a number and a value, and {show_value(priority)} is no whole number")


def mk_force(content: Any) -> Override:
    """Wins over plain definitions (priority 50)."""
    return Override(FORCE, content)


def mk_vm_override(content: Any) -> Override:
    """Wins over mk_force (priority 10)."""
    return Override(VM, content)


def mk_image_media_override(content: Any) -> Override:
    """Wins over plain definitions, loses to mk_force (priority 60)."""
    return Override(IMAGE, content)


def mk_default(content: Any) -> Override:
    """Gives way to plain definitions (priority 1000)."""
    return Override(DEFAULT, content)


def mk_option_default(content: Any) -> Override:
    """As weak as the option's own default, and merged with it (priority 1500)."""
    return Override(OPTION_DEFAULT, content)


def mk_order(priority: int, content: Any) -> Order:
    """Where this definition stands among those it is concatenated with; 1000 is the middle."""
    return Order(_whole(priority, "mk_order"), content)


def mk_before(content: Any) -> Order:
    """Before the others (order 500)."""
    return Order(BEFORE, content)


def mk_after(content: Any) -> Order:
    """After the others (order 1500)."""
    return Order(AFTER, content)


def mk_definition(*, file: str, value: Any) -> Definition:
    """A definition that is shown as coming from this file."""
    return Definition(file, value)


def push_down(value: Any, source: Source, path: Path) -> Level:
    """The definitions of a group of options as mappings without wrappers: those are passed on to the members.

    So a condition may read the configuration: it is looked at when a member's value is wanted, and not before.

    Raises:
        WrapperError: an order stands around a group, where there is nothing to concatenate.
        ModuleError: something else than a mapping.
    """
    if value.__class__ is dict:
        return [(value, source)]
    value = force(value, source.scope)
    if isinstance(value, Mapping):
        return [(value, source)]
    if isinstance(value, Merge):
        return [level for part in value.contents for level in push_down(part, source, path)]
    if isinstance(value, If):
        inner = push_down(value.content, source, path)
        return [({k: If(value.condition, v) for k, v in m.items()}, s) for m, s in inner]
    if isinstance(value, Override):
        inner = push_down(value.content, source, path)
        return [({k: Override(value.priority, v) for k, v in m.items()}, s) for m, s in inner]
    if isinstance(value, Definition):
        unpacked = value.unpacked(Def(value, source))
        return push_down(unpacked.value, unpacked.source, path)
    if isinstance(value, Order):
        raise WrapperError(
            f"`{value.called}' stands around a set of options at `{show_path(path)}', where there is nothing to put in order",
            path=path,
            place=source.place(path),
            hint=f"Put `{value.called}' around the value of the list option itself.",
        )
    raise not_a_set(value, source, path)


def not_a_set(value: Any, source: Source, path: Path) -> ModuleError:
    name = show_path(path) or "the whole configuration"
    place = source.place(path, value)
    return ModuleError(
        f"In module `{source.file}', you're trying to define a value of type `{type_name(value)}' "
        f"rather than an attribute set for the option `{name}'",
        path=path,
        place=place,
        definitions=[f"In `{place}': {show_value(value)}"],
        hint=f"`{name}' is a group of options: define the options in it.",
    )


def condition_of(wrapper: If, d: Def, path: Path) -> bool:
    """Whether the content counts.

    Raises:
        ModuleError: the condition is no bool.
    """
    condition = force(wrapper.condition, d.source.scope)
    if callable(condition):
        condition = force(Lazy(condition, scoped=True), d.source.scope)
    if condition is True or condition is False:
        return condition
    raise ModuleError(
        f"`mk_if' called with a non-Boolean condition (`{type_name(condition)}') at option `{show_path(path)}'",
        path=path,
        place=d.place(path),
    )


def wrapper_error(outer: Wrapper, inner: Wrapper, d: Def, path: Path) -> WrapperError:
    """`mk_force(mk_if(…))` and the like, named as what they are."""
    if type(outer) is type(inner):
        hint = f"Keep one of the two: `{outer.called}' and `{inner.called}' can't both stand around one value."
    elif isinstance(outer, Definition):
        hint = f"Write {inner.called}(…, {outer.called}(…)) instead."
    else:
        hint = f"Write {_sketch(inner, outer)} instead: conditions and merges go outside, then the priority, then the order."
    return WrapperError(
        f"`{inner.called}' is inside `{outer.called}' at option `{show_path(path)}', which is the wrong way round",
        path=path,
        place=d.place(path),
        hint=hint,
    )


def _sketch(outer: Wrapper, inner: Wrapper) -> str:
    content = f"{inner.called}(value)" if inner.called != "mk_override" else f"mk_override({_number(inner)}, value)"
    if isinstance(outer, If):
        return f"mk_if(condition, {content})"
    if isinstance(outer, Merge):
        return f"mk_merge([{content}, …])"
    return f"{outer.called}({content})"


def _number(wrapper: Wrapper) -> str:
    return str(getattr(wrapper, "priority", ""))


def is_plain(value: Any) -> bool:
    """Whether a value is certainly neither a wrapper nor lazy."""
    return value.__class__ in UNWRAPPED or not isinstance(value, Wrapper | Lazy)


def is_path(value: Any) -> bool:
    return isinstance(value, PurePath)
