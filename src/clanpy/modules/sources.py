"""Definitions, and where each comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from clanpy.modules.calls import Scope
from clanpy.modules.errors import Place


Path = tuple[str, ...]

UNKNOWN: Final = "<unknown-file>"


class Source:
    """Where definitions come from: a module, as seen from the evaluation that loaded it.

    Attributes:
        file: its name for people.
        scope: whose arguments a lazy value in it asks for; None means those of whoever looks.
        base: the path at which its config begins.
        under: the path in the file that corresponds to `base`.
        origin: what positions are looked up in: `("toml" | "json" | "python", file, first line)`, or None.
        fixed: the place of all of it, where that is known without looking.
        via: by which option the module came here, for messages.
    """

    __slots__ = ("base", "file", "fixed", "origin", "scope", "under", "via")

    def __init__(
        self,
        file: str,
        *,
        scope: Scope | None = None,
        base: Path = (),
        under: Path = (),
        origin: tuple[str, str, int] | None = None,
        fixed: Place | None = None,
        via: str = "",
    ) -> None:
        self.file = file
        self.scope = scope
        self.base = base
        self.under = under
        self.origin = origin
        self.fixed = fixed
        self.via = via

    def bound(self, scope: Scope | None, base: Path) -> Source:
        """The same source in another evaluation."""
        return Source(
            self.file, scope=scope, base=base, under=self.under, origin=self.origin, fixed=self.fixed, via=self.via
        )

    def moved(self, old: Path, new: Path) -> Source:
        """The same source for definitions that were written under `old` and are used under `new`."""
        under = self.under + old[len(self.base) :]
        return Source(
            self.file, scope=self.scope, base=new, under=under, origin=self.origin, fixed=self.fixed, via=self.via
        )

    def place(self, path: Sequence[str], value: Any = None) -> Place:
        """Where the definition of `path` stands, as exactly as can be found out."""
        if self.origin is None:
            return self.fixed or Place(self.file)
        from clanpy.modules.positions import locate  # noqa: PLC0415  # parsers are loaded when something went wrong

        relative = self.under + tuple(path[len(self.base) :])
        return locate(self.origin, self.file, relative, value) or self.fixed or Place(self.file)


class Def:
    """One definition: a value, and where it comes from."""

    __slots__ = ("source", "value")

    def __init__(self, value: Any, source: Source) -> None:
        self.value = value
        self.source = source

    def place(self, path: Path) -> Place:
        return self.source.place(path, self.value)

    def __repr__(self) -> str:
        return f"Def({self.value!r}, {self.source.file})"


Level = list[tuple[Mapping[str, Any], Source]]
"""The definitions of a group of options: mappings, each with its source, in the order in which they are merged."""
