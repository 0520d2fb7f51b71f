"""Modules as values: collected here, evaluated by whoever imports them. And types as values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from clanpy.modules.context import Context
from clanpy.modules.deferred import DeferredModule, NixData, NixFile, NixTemplate
from clanpy.modules.errors import Place
from clanpy.modules.options import Option
from clanpy.modules.priority import If, Merge, Override, Wrapper
from clanpy.modules.shape import Given, Importable, Module, is_function
from clanpy.modules.show import show_path
from clanpy.modules.sources import UNKNOWN, Def, Path, Source
from clanpy.modules.types.base import Type


NIX_VALUES = DeferredModule | NixFile | NixData | NixTemplate


class Part:
    """One module of a deferred module: its value, and where it was written."""

    __slots__ = ("_path", "source", "value")

    def __init__(self, value: Any, source: Source, path: Path) -> None:
        self.value = value
        self.source = source
        self._path = path

    @property
    def file(self) -> str:
        """The file for people, with the option by which it came here."""
        return f"{self.source.file}{self.via}"

    @property
    def via(self) -> str:
        return f", via option {show_path(self._path)}" if self._path else ""

    @property
    def place(self) -> Place:
        return self.source.place(self._path, self.value)

    def definition(self, path: Path) -> Def:
        """The part as a definition of something at another path."""
        return Def(self.value, self.source.moved(self._path, path))

    def as_root(self) -> Source:
        """The source of the module where it is the root of an evaluation."""
        source = self.source.moved(self._path, ()).bound(None, ())
        source.fixed = source.fixed or Place(self.source.file)
        source.via = self.source.via + self.via
        return source

    def __repr__(self) -> str:
        return f"<module of {self.file}>"


class Deferred(Importable):
    """Modules that somebody else evaluates, in the order in which they are to be imported.

    It can be imported itself, be a definition of a submodule, or be turned into data for Nix (`to_nix_module`).
    """

    __slots__ = ("parts",)

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = tuple(parts)

    @property
    def imports(self) -> tuple[Any, ...]:
        """The values of the modules."""
        return tuple(part.value for part in self.parts)

    def __iter__(self) -> Iterator[Part]:
        return iter(self.parts)

    def __len__(self) -> int:
        return len(self.parts)

    def __repr__(self) -> str:
        return f"<deferred module of {len(self.parts)} parts>"

    def as_module(self, key: str) -> Module:
        module = Module(Source(UNKNOWN), key)
        module.imports = [self._importable(part) for part in self.parts]
        return module

    def _importable(self, part: Part) -> Given:
        return Given(part.value, part.as_root(), config_only=False, foreign=False)


class DeferredModuleType(Type):
    """Modules that are not evaluated here. All definitions count, and the static modules before them."""

    __slots__ = ("static",)

    name = "deferredModule"
    phrase = "noun"

    def __init__(self, static: Sequence[Any] = ()) -> None:
        self.static = tuple(static)

    @property
    def description(self) -> str:
        return "module"

    def check(self, value: Any) -> bool:
        if isinstance(value, Mapping | Importable | PurePath | Wrapper | NIX_VALUES) or is_function(value):
            return True
        return isinstance(value, str) and value.startswith("/")

    def takes(self, wrapper: Wrapper) -> bool:
        return isinstance(wrapper, If | Override | Merge)

    def merge(self, context: Context, path: Path, defs: list[Def]) -> Any:
        return Deferred([*map(_static, self.static), *(Part(d.value, d.source, path) for d in defs)])

    def join(self, other: Type) -> Type | None:
        return DeferredModuleType([*self.static, *other.static]) if isinstance(other, DeferredModuleType) else None

    @property
    def modules(self) -> Sequence[Any] | None:
        return self.static

    def with_modules(self, modules: Sequence[Any]) -> Type:
        return DeferredModuleType(modules)

    def sub_options(self, path: Path) -> Mapping[str, Any]:
        from clanpy.modules.types.submodule import Submodule  # noqa: PLC0415  # which evaluates

        return Submodule(self.static).sub_options(path) if self.static else {}


def _static(value: Any) -> Part:
    """A module of the type itself; its declaration may have put it into another one that knows where it is."""
    return Part(value.value, value.source, ()) if isinstance(value, Given) else Part(value, Source(UNKNOWN), ())


deferred_module = DeferredModuleType()


def deferred_module_with(*, static_modules: Sequence[Any] = ()) -> Type:
    """A module for somebody else, who gets these modules as well; their options are documented."""
    return DeferredModuleType(static_modules)


class OptionTypeType(Type):
    """Types as values; several are merged into one, as if an option were declared with each."""

    __slots__ = ()

    name = "optionType"
    phrase = "noun"

    def check(self, value: Any) -> bool:
        return isinstance(value, Type)

    def merge(self, context: Context, path: Path, defs: list[Def]) -> Any:
        from clanpy.modules.declare import merge_declarations  # noqa: PLC0415  # which uses types

        if len(defs) == 1:
            return defs[0].value
        written = [(Option(d.value, None, place=d.place(path)), d.source) for d in defs]
        return merge_declarations(path, written).type


option_type = OptionTypeType()
