"""Pydantic models as submodules: fields become options, with their constraints, defaults and documentation."""

from __future__ import annotations

import types as python_types
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from functools import cache
from pathlib import Path, PurePath
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import annotated_types as limits
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from clanpy.modules import types as t
from clanpy.modules.data import to_data
from clanpy.modules.errors import ModuleError, Place, TypeMismatchError
from clanpy.modules.merge import MISSING
from clanpy.modules.options import Option, constant
from clanpy.modules.rename import mk_alias_option_module
from clanpy.modules.show import show_path
from clanpy.modules.types.base import Atomic, Type
from clanpy.modules.types.scalars import Bounded


_PLAIN: Final[dict[Any, Type]] = {
    bool: t.bool,
    int: t.int,
    # What is written `1` in a file is meant as 1.0 where a model wants a float.
    float: t.number,
    str: t.str,
    Path: t.path_with(),
    PurePath: t.path_with(),
    Any: t.anything,
    object: t.anything,
}
_LISTS: Final = (list, tuple, set, frozenset, Sequence, Iterable)
_PAIR: Final = 2


@cache
def of_model(cls: type[BaseModel]) -> Type:
    """The submodule type of a model; the same type each time, so that what it needs is prepared once."""
    return t.submodule_with(modules=[module_of(cls)], shorthand_only_defines_config=True)


def module_of(cls: type[BaseModel]) -> Mapping[str, Any]:
    """A module that declares the fields of a model as options."""
    return _Builder(()).module(cls)


class _Builder:
    """Builds types; knows the models it is inside of, because a model may contain itself."""

    def __init__(self, outer: tuple[type[BaseModel], ...]) -> None:
        self.outer = outer

    def module(self, cls: type[BaseModel]) -> Mapping[str, Any]:
        inner = _Builder((*self.outer, cls))
        made: dict[str, Any] = {
            "_file": f"{cls.__module__}.{cls.__qualname__}",
            "imports": [
                mk_alias_option_module([field.alias], [name], listed=False)
                for name, field in cls.model_fields.items()
                if field.alias and field.alias != name
            ],
            "options": {name: inner.option(cls, field) for name, field in cls.model_fields.items()},
        }
        if cls.model_config.get("extra") == "allow":
            made["freeform_type"] = t.lazy_attrs_of(t.anything)
        if _has_validators(cls):
            made["_problems"] = [lambda config, options: _validated(cls, config)]
        return made

    def option(self, cls: type[BaseModel], field: FieldInfo) -> Option:
        kind = self.kind(field.annotation, tuple(field.metadata))
        examples = field.examples or [MISSING]
        description = field.description
        if field.deprecated:
            note = field.deprecated if isinstance(field.deprecated, str) else "no longer to be used"
            description = f"{description or ''} (deprecated: {note})".strip()
        return Option(
            kind,
            None,
            place=Place(f"{cls.__module__}.{cls.__qualname__}"),
            default=_default(field),
            example=examples[0],
            description=description,
        )

    def kind(self, annotation: Any, metadata: tuple[Any, ...] = ()) -> Type:
        """The type for an annotation, with whatever `Annotated` says about it."""
        if get_origin(annotation) is Annotated:
            inner, *more = get_args(annotation)
            return self.kind(inner, (*more, *metadata))
        base = self._base(annotation)
        metadata = tuple(m for m in metadata if not isinstance(m, str))
        if base is None:
            return _adapted(annotation, metadata)
        if not metadata:
            return base
        return _bounded(annotation, base, metadata) or _constrained(annotation, base, metadata)

    def _base(self, annotation: Any) -> Type | None:
        """The type without constraints; None when only pydantic knows how to check it."""
        if annotation in _PLAIN:
            return _PLAIN[annotation]
        origin, args = get_origin(annotation), get_args(annotation)
        if origin is Literal:
            return t.enum(list(args))
        if origin in {Union, python_types.UnionType}:
            return self._union(args)
        if origin in _LISTS or annotation in _LISTS:
            return self._list(args)
        if origin in {dict, Mapping} or annotation in {dict, Mapping}:
            return t.attrs_of(self.kind(args[1]) if len(args) == _PAIR else t.anything)
        return self._class(annotation)

    def _class(self, annotation: Any) -> Type | None:
        if not isinstance(annotation, type):
            return None
        if issubclass(annotation, Enum):
            return t.enum([member.value for member in annotation])
        if issubclass(annotation, BaseModel) and annotation not in self.outer:
            return t.submodule_with(modules=[self.module(annotation)], shorthand_only_defines_config=True)
        return None

    def _list(self, args: tuple[Any, ...]) -> Type | None:
        kinds = [a for a in args if a is not Ellipsis]
        if len(kinds) > 1:
            return None
        return t.list_of(self.kind(kinds[0]) if kinds else t.anything)

    def _union(self, args: tuple[Any, ...]) -> Type | None:
        members = [a for a in args if a is not type(None)]
        if sum(1 for m in members if isinstance(m, type) and issubclass(m, BaseModel)) > 1:
            return None
        # A model takes every mapping, so it is asked last.
        members.sort(key=lambda m: isinstance(m, type) and issubclass(m, BaseModel))
        kind = t.one_of([self.kind(m) for m in members])
        return t.null_or(kind) if len(members) < len(args) else kind


def _default(field: FieldInfo) -> Any:
    if field.default_factory is not None:
        factory: Callable[..., Any] = field.default_factory
        return lambda: _plain(factory())
    if field.default is PydanticUndefined:
        return MISSING
    value = _plain(field.default)
    return constant(value) if callable(value) else value


def _plain(value: Any) -> Any:
    """A default as one would write it in a file."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_unset=True)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, set | frozenset | tuple):
        return [_plain(v) for v in (sorted(value, key=str) if isinstance(value, set | frozenset) else value)]
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return value


def _bounded(annotation: Any, base: Type, metadata: tuple[Any, ...]) -> Type | None:
    """A range of whole numbers, where that is all there is to check."""
    if annotation is not int or not isinstance(base, Atomic):
        return None
    lowest, highest = None, None
    for limit in metadata:
        match limit:
            case limits.Ge(ge=bound):
                lowest = bound
            case limits.Gt(gt=int(bound)):
                lowest = bound + 1
            case limits.Le(le=bound):
                highest = bound
            case limits.Lt(lt=int(bound)):
                highest = bound - 1
            case _:
                return None
    if isinstance(lowest, int) and isinstance(highest, int):
        return t.ints.between(lowest, highest)
    if highest is None and lowest in {0, 1}:
        return t.ints.positive if lowest else t.ints.unsigned
    text = f"integer, meaning >={lowest}" if highest is None else f"integer, meaning <={highest}"
    return Bounded("intBounded", text, base, lowest, highest, phrase="nonRestrictiveClause")  # type: ignore[arg-type]  # limits of int are ints


def _constrained(annotation: Any, base: Type, metadata: tuple[Any, ...]) -> Type:
    """The type, checked by pydantic as well."""
    passes = _passes(Annotated[annotation, *metadata])
    notes = ", ".join(note for m in metadata if (note := _note(m)))
    return t.add_check(base, passes, description=f"{base.description} ({notes})" if notes else None)


def _adapted(annotation: Any, metadata: tuple[Any, ...]) -> Type:
    """A type of its own for what has no counterpart among the types of options; values stay as they are written."""
    name = getattr(annotation, "__name__", None) or str(annotation)
    passes = _passes(Annotated[annotation, *metadata] if metadata else annotation)
    return Atomic(f"pydantic {name}", name, passes)


def _passes(annotation: Any) -> Callable[[Any], bool]:
    adapters: list[TypeAdapter[Any]] = []

    def passes(value: Any) -> bool:
        if not adapters:
            adapters.append(TypeAdapter(annotation))
        try:
            adapters[0].validate_python(to_data(value))
        except ValidationError:
            return False
        return True

    return passes


_NOTES: Final = {
    "ge": ">= {}",
    "gt": "> {}",
    "le": "<= {}",
    "lt": "< {}",
    "multiple_of": "a multiple of {}",
    "min_length": "at least {} long",
    "max_length": "at most {} long",
    "pattern": "matching {}",
}


def _note(constraint: Any) -> str:
    """What a constraint demands, for people."""
    said = [text.format(getattr(constraint, name)) for name, text in _NOTES.items() if _is_set(constraint, name)]
    return ", ".join(said)


def _is_set(constraint: Any, name: str) -> bool:
    return getattr(constraint, name, None) is not None


def _has_validators(cls: type[BaseModel]) -> bool:
    found = cls.__pydantic_decorators__
    return bool(found.validators or found.field_validators or found.root_validators or found.model_validators)


def _validated(cls: type[BaseModel], config: Any) -> ModuleError | None:
    """What the model's own validators say to the values."""
    try:
        data = to_data(config)
    except ModuleError:
        return None  # An option that can't be computed is reported by itself.
    try:
        cls.model_validate(data, by_name=True, by_alias=False)
    except ValidationError as error:
        path: tuple[str, ...] = config.loc_
        details = [f"{show_path([*path, *map(str, e['loc'])])}: {e['msg']}" for e in error.errors()]
        return TypeMismatchError(
            f"The value of `{show_path(path)}' is no valid {cls.__name__}: {'; '.join(details)}", path=path
        )
    return None
