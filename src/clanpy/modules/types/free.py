"""Types that take anything: anything, unspecified, raw; and functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from clanpy.modules.context import Context
from clanpy.modules.errors import ConflictError
from clanpy.modules.lazy import bound
from clanpy.modules.merge import MISSING, files, merge_definitions
from clanpy.modules.priority import ATOMS
from clanpy.modules.show import show_path, type_name
from clanpy.modules.sources import Def, Path, Source
from clanpy.modules.types.base import Type, merge_default, merge_equal, merge_one
from clanpy.modules.types.structure import Entries


BODY = "<function body>"


def _bound(defs: list[Def]) -> list[Def]:
    """The definitions, with lazy values inside that know whose arguments they ask for."""
    return [Def(bound(d.value, d.source.scope), d.source) for d in defs]


class Anything(Type):
    """Attribute sets merged to any depth; everything else has to be equal."""

    __slots__ = ()

    name = "anything"
    phrase = "noun"

    def atom(self, value: Any) -> Any:
        return value if value.__class__ in ATOMS else MISSING

    def quick(self, context: Context, path: Path, name: str, value: Any, source: Source) -> Any:
        if value.__class__ is dict:
            return Entries(context, (*path, name), self, [Def(value, source)], lazy=False)
        return self.atom(value)

    def merge(self, context: Context, path: Path, defs: list[Def]) -> Any:
        kinds = {type_name(d.value) for d in defs}
        if len(kinds) > 1:
            raise ConflictError(
                f"The option `{show_path(path)}' has conflicting option types in {files(defs, path)}",
                path=path,
                place=defs[0].place(path),
            )
        kind = kinds.pop()
        if kind == "set":
            return Entries(context, path, self, defs, lazy=False)
        if kind == "lambda" and len(defs) > 1:
            return _pointwise(context, self, path, defs)
        return merge_equal(path, _bound(defs))


class Unspecified(Type):
    """Whatever can be merged without knowing more; the type of an option without one."""

    __slots__ = ()

    name = "unspecified"
    phrase = "noun"

    @property
    def description(self) -> str:
        return "unspecified value"

    def atom(self, value: Any) -> Any:
        return value if value.__class__ in ATOMS else MISSING

    def quick(self, context: Context, path: Path, name: str, value: Any, source: Source) -> Any:
        return self.atom(value)

    def merge(self, context: Context, path: Path, defs: list[Def]) -> Any:
        return merge_default(path, _bound(defs))


class Raw(Unspecified):
    """One definition, which nobody looks into."""

    __slots__ = ()

    name = "raw"

    @property
    def description(self) -> str:
        return "raw value"

    def merge(self, context: Context, path: Path, defs: list[Def]) -> Any:
        return merge_one(path, _bound(defs))


anything = Anything()
unspecified = Unspecified()
raw = Raw()


class FunctionTo(Type):
    """Functions; what several of them give is merged."""

    __slots__ = ("elem",)

    name = "functionTo"
    phrase = "composite"

    def __init__(self, elem: Type) -> None:
        self.elem = elem

    @property
    def description(self) -> str:
        return f"function that evaluates to a(n) {self.elem.within('noun', 'composite')}"

    def check(self, value: Any) -> bool:
        return callable(value)

    def merge(self, context: Context, path: Path, defs: list[Def]) -> Any:
        return _pointwise(context, self.elem, path, defs)

    def join(self, other: Type) -> Type | None:
        if not isinstance(other, FunctionTo):
            return None
        elem = self.elem.combine(other.elem)
        return None if elem is None else FunctionTo(elem)

    @property
    def nested(self) -> Mapping[str, Type]:
        return {"elem": self.elem}

    @property
    def modules(self) -> Sequence[Any] | None:
        return self.elem.modules

    def with_modules(self, modules: Sequence[Any]) -> Type:
        return FunctionTo(self.elem.with_modules(modules))

    def sub_options(self, path: Path) -> Mapping[str, Any]:
        return self.elem.sub_options((*path, BODY))


def function_to(elem: Type) -> Type:
    """Functions that give values of this type; several definitions are merged where the function is called."""
    return FunctionTo(elem)


def _pointwise(context: Context, elem: Type, path: Path, defs: list[Def]) -> Callable[..., Any]:
    def merged(*args: Any, **kwargs: Any) -> Any:
        results = [Def(d.value(*args, **kwargs), d.source) for d in defs]
        return merge_definitions(context, elem, (*path, BODY), results)

    return merged
