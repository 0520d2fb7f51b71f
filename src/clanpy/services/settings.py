"""Settings of roles: the base of their pydantic models, their other spelling, and checking plain data against them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel


__all__ = ["AspectName", "Field", "Problem", "Refers", "Settings", "UserName", "canonical", "check", "references"]


class Settings(BaseModel):
    """Base of every role's settings: unknown keys are errors, nothing is converted silently, clan's camelCase is accepted."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        alias_generator=to_camel,
        populate_by_name=True,
    )


class Nothing(Settings):
    """For a role without settings."""


Kind = Literal["user", "machine", "tag", "home aspect", "person or group"]


@dataclass(frozen=True, slots=True)
class Refers:
    """Marks a setting as the name of something of the fleet, so that it is checked to exist."""

    kind: Kind


UserName = Annotated[str, Refers("user")]
AspectName = Annotated[str, Refers("home aspect")]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with settings. `candidates` are the names that an unknown one may have meant."""

    kind: Literal["unknown", "missing", "wrong"]
    path: tuple[str, ...]
    message: str
    candidates: tuple[str, ...] = ()


def check(model: type[BaseModel], data: Mapping[str, Any]) -> tuple[BaseModel | None, list[Problem]]:
    """The settings as an instance of the model, or what is wrong with them."""
    try:
        return model.model_validate(data), []
    except ValidationError as error:
        return None, [_problem(model, item) for item in error.errors(include_url=False)]


def _problem(model: type[BaseModel], item: Mapping[str, Any]) -> Problem:
    path = tuple(str(part) for part in item["loc"])
    match item["type"]:
        case "extra_forbidden":
            inner = model_at(model, path[:-1]) or model
            return Problem("unknown", path, f"unknown setting '{'.'.join(path)}'", tuple(inner.model_fields))
        case "missing":
            return Problem("missing", path, f"the setting '{'.'.join(path)}' is required")
        case _:
            said = str(item["msg"])
            return Problem("wrong", path, f"'{'.'.join(path)}': {said[:1].lower()}{said[1:]} (it is {item['input']!r})")


def canonical(model: type[BaseModel], data: Any) -> Any:
    """Data with the names of fields in place of their other spelling, as deep as the model knows them."""
    if not isinstance(data, Mapping):
        return data
    names = {info.alias: name for name, info in model.model_fields.items() if info.alias}
    found: dict[str, Any] = {}
    for written, value in data.items():
        name = names.get(str(written), str(written))
        if name in found and name != written:
            found[written] = value  # both spellings at once: left as it is, and then unknown
        else:
            found[name] = _canonical_value(model.model_fields, name, value)
    return found


def _canonical_value(fields: Mapping[str, Any], name: str, value: Any) -> Any:
    if name.startswith("_"):  # a sigil: its content stands where the sigil does
        return value
    inner = _models(fields[name].annotation) if name in fields else ()
    for kind, model in inner:
        if kind == "one":
            return canonical(model, value)
        if kind == "map" and isinstance(value, Mapping):
            return {key: canonical(model, item) for key, item in value.items()}
        if kind == "list" and isinstance(value, list):
            return [canonical(model, item) for item in value]
    return value


def _models(annotation: Any) -> Iterator[tuple[str, type[BaseModel]]]:
    """The models in a type: itself, the values of a mapping, or the elements of a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield "one", annotation
        return
    origin = get_origin(annotation)
    kind = "map" if origin is dict else "list" if origin is list else None
    for argument in get_args(annotation):
        for found, model in _models(argument):
            yield (kind if kind and found == "one" else found), model


def model_at(model: type[BaseModel], path: tuple[str, ...]) -> type[BaseModel] | None:
    """The model that describes what is at a path of settings."""
    here: type[BaseModel] | None = model
    pending = list(path)
    while pending and here is not None:
        info = here.model_fields.get(pending.pop(0))
        kind, here = next(_models(info.annotation), ("", None)) if info is not None else ("", None)
        if kind in {"map", "list"} and pending:
            pending.pop(0)
    return here


def references(
    model: type[BaseModel], data: Mapping[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[Kind, tuple[str, ...], str]]:
    """The names of things of the fleet in settings: (kind, path, name)."""
    for field, info in model.model_fields.items():
        marks = [mark.kind for mark in info.metadata if isinstance(mark, Refers)] or list(_marks(info.annotation))
        kind, inner = next(_models(info.annotation), ("", None))
        for where, value in _parts(data.get(field), (*path, field), is_map=kind == "map"):
            if isinstance(value, str):
                yield from ((mark, where, value) for mark in marks)
            elif inner is not None and isinstance(value, Mapping):
                yield from references(inner, value, where)


def _parts(value: Any, path: tuple[str, ...], *, is_map: bool) -> Iterator[tuple[tuple[str, ...], Any]]:
    """A value, or the elements of a list or of a table with free names."""
    if isinstance(value, list):
        yield from (((*path, str(n)), item) for n, item in enumerate(value))
    elif is_map and isinstance(value, Mapping):
        yield from (((*path, key), item) for key, item in value.items())
    else:
        yield path, value


def _marks(annotation: Any) -> Iterator[Kind]:
    for argument in get_args(annotation):
        if isinstance(argument, Refers):
            yield argument.kind
        else:
            yield from _marks(argument)
