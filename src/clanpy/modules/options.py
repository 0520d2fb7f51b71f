"""Option declarations: as written, merged, and as a tree."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import CodeType
from typing import TYPE_CHECKING, Any, Literal

from clanpy.modules.errors import DeclarationError, Place
from clanpy.modules.merge import MISSING, Missing
from clanpy.modules.sources import Path, Source


if TYPE_CHECKING:
    from clanpy.modules.types.base import Type


_DATA: frozenset[type] = frozenset({list, dict})

Visible = bool | Literal["shallow", "transparent"]


class Constant:
    """A value that is meant as it is, although it is a function."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def constant(value: Any) -> Constant:
    """As a default: the function itself, not what it gives when it is called."""
    return Constant(value)


class Option:
    """One declaration of an option, as a module writes it. Made by `option()`."""

    __slots__ = (
        "apply",
        "default",
        "default_text",
        "description",
        "example",
        "internal",
        "place",
        "read_only",
        "type",
        "visible",
        "written",
    )

    def __init__(self, type_: Type | None, written: tuple[CodeType, int] | None, **given: Any) -> None:
        self.type = type_
        self.written = written
        self.place: Place | None = given.pop("place", None)
        self.default: Any = given.pop("default", MISSING)
        self.default_text: str | None = given.pop("default_text", None)
        self.example: Any = given.pop("example", MISSING)
        self.description: str | None = given.pop("description", None)
        self.apply: Callable[..., Any] | None = given.pop("apply", None)
        self.read_only: bool = given.pop("read_only", False)
        self.internal: bool = given.pop("internal", False)
        self.visible: Visible = given.pop("visible", True)

    @property
    def _shown_(self) -> str:
        return "<option>"

    def where(self) -> Place | None:
        """Where it is written: the line of the call that made it."""
        if self.place is not None or self.written is None:
            return self.place
        code, instruction = self.written
        positions = list(code.co_positions())
        at = positions[instruction // 2] if 0 <= instruction // 2 < len(positions) else (None, None, None, None)
        line = at[0] if at[0] is not None else code.co_firstlineno
        self.place = Place(code.co_filename, line, None if at[2] is None else at[2] + 1)
        self.written = None
        return self.place


def option(
    type: Type | None = None,  # noqa: A002  # what everybody calls it, Nix included
    *,
    default: Any = MISSING,
    default_text: str | None = None,
    example: Any = MISSING,
    description: str | None = None,
    apply: Callable[..., Any] | None = None,
    read_only: bool = False,
    internal: bool = False,
    visible: Visible = True,
    place: Place | None = None,
) -> Any:
    """Declare an option.

    Args:
        type: which values it takes and how definitions are merged; None takes anything that can be merged.
        default: its value when nobody defines it: a value, or a function, which is called with the arguments it asks for by
            name (`lambda config: config.a + 1`, `lambda name: …`); `constant(f)` for a function that is itself the value.
        default_text: how documentation shows the default when it is computed.
        example: for documentation.
        description: for documentation.
        apply: makes the final value from the merged one; may ask for arguments by name after the value.
        read_only: defined at most once, the default counted.
        internal: not for users.
        visible: False hides it, "shallow" only what is below, "transparent" only itself.
        place: where it is declared, when not where this function is called.
    """
    frame = sys._getframe(1)  # noqa: SLF001  # the documented way to know one's caller
    return Option(
        type,
        (frame.f_code, frame.f_lasti) if place is None else None,
        default=default,
        default_text=default_text,
        example=example,
        description=description,
        apply=apply,
        read_only=read_only,
        internal=internal,
        visible=visible,
        place=place,
    )


mk_option = option


def mk_enable_option(name: str) -> Any:
    """A bool that is off by default: whether to enable `name`."""
    from clanpy.modules.types.scalars import boolean  # noqa: PLC0415  # types use this module

    frame = sys._getframe(1)  # noqa: SLF001  # as above
    return Option(
        boolean,
        (frame.f_code, frame.f_lasti),
        default=False,
        example=True,
        description=f"Whether to enable {name}.",
    )


class Declared:
    """An option of an evaluation: all its declarations merged. Shared by all evaluations with the same modules.

    `instant` is its value when nobody defines it and it is an immutable constant, `constant` a default that is data; `plain` is
    True when a definition needs nothing but its type.
    """

    __slots__ = ("constant", "instant", "option", "places", "plain", "source", "type", "written")

    def __init__(self, merged: Option, kind: Type, sources: Sequence[Source], places: Sequence[Place]) -> None:
        self.option = merged
        self.type = kind
        self.places = tuple(places)
        self.written = tuple(sources)
        self.source = sources[0] if sources else Source("<built in>")
        self.plain = merged.apply is None and not merged.read_only
        self.instant = self._instant()
        default = merged.default
        self.constant = default if self.plain and default.__class__ in _DATA else MISSING

    def _instant(self) -> Any:
        if not self.plain:
            return MISSING
        default = self.option.default
        if default is MISSING:
            return self.type.empty_atom
        return self.type.atom(default)

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(source.file for source in self.written)


class Group:
    """A level of options: name → an option or a further level."""

    __slots__ = ("children", "groups", "shown")

    def __init__(self, children: Mapping[str, Group | Declared]) -> None:
        self.children = dict(children)
        self.groups = tuple(name for name, child in self.children.items() if isinstance(child, Group))
        self.shown = frozenset(n for n, c in self.children.items() if isinstance(c, Group) or not c.type.unlisted)


Written = tuple[Any, Source]
"""What stands in a module's `options` at some path: an Option, a mapping, or something wrong; and whose it is."""


def already_declared(path: Path, source: Source, place: Place | None, others: Iterable[Place]) -> DeclarationError:
    from clanpy.modules.show import show_path  # noqa: PLC0415  # only for the message

    names = " and ".join(f"`{other}'" for other in dict.fromkeys(others))
    return DeclarationError(
        f"The option `{show_path(path)}' in `{place or source.file}' is already declared in {names}",
        path=path,
        place=place,
    )


__all__ = ["MISSING", "Constant", "Declared", "Group", "Missing", "Option", "constant", "mk_option", "option"]
