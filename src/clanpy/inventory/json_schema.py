"""A JSON Schema of inventory.toml, for editors: of the fleet's own options and of those that its modules declare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clanpy.inventory.kinds import Data, Free, Text
from clanpy.inventory.spelling import ROOT, Level
from clanpy.modules import MISSING
from clanpy.modules.introspect import DocumentedOption
from clanpy.modules.types.around import Around, NonEmptyList, NullOr
from clanpy.modules.types.base import Type
from clanpy.modules.types.choice import CoercedTo, Either, Enum
from clanpy.modules.types.deferred import DeferredModuleType
from clanpy.modules.types.free import Unspecified
from clanpy.modules.types.scalars import Bounded
from clanpy.modules.types.structure import AttrsOf, ListOf
from clanpy.modules.types.submodule import Submodule
from clanpy.modules.types.tagged import AttrTag


_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_SIGILS: dict[str, Any] = {
    "description": "A value with a priority or an order.",
    "type": "object",
    "minProperties": 1,
    "maxProperties": 1,
    "additionalProperties": False,
    "properties": {
        "_force": {"description": "Wins over everything: priority 50."},
        "_default": {"description": "Gives way to everything: priority 1000."},
        "_before": {"description": "In front of other lists: order 500."},
        "_after": {"description": "Behind other lists: order 1500."},
        **{
            name: {"description": text, "type": "array", "minItems": 2, "maxItems": 2}
            for name, text in {
                "_override": "A number and a value: the lowest number wins; plain values have 100.",
                "_order": "A number and a list: lists are joined by their numbers; plain ones have 1000.",
            }.items()
        },
    },
}
_WORDS = {"bool": "boolean", "boolByOr": "boolean", "int": "integer", "float": "number", "number": "number"}
_TEXTS = {"str", "path", "package", "separatedString", "lines", "commas", "envVar", "singleLineStr", "strMatching"}


def schema_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of all options, with every description. Both spellings of keys are not known to it: it has ours."""
    return {
        "$schema": _DRAFT,
        "title": "clanpy inventory",
        **_group(options, ROOT),
        "$defs": {"sigil": _SIGILS},
    }


def plain_default(option: DocumentedOption) -> Any:
    """A default that can be written down; None when there is none, or when it is computed."""
    default = None if option.default is MISSING else option.default
    return default if _is_plain(default) else None


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | bool | int | float)


def _group(options: Mapping[str, Any], level: Level | None) -> dict[str, Any]:
    fields = level.fields if level is not None else {}
    names = [name for name in options if name != "_module" and not _is_hidden(options[name])]
    properties = {name: _property(options[name], fields.get(name)) for name in names}
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _is_hidden(found: Any) -> bool:
    return isinstance(found, DocumentedOption) and found.read_only


def _property(found: Any, level: Level | None) -> dict[str, Any]:
    if not isinstance(found, DocumentedOption):
        return _short(_group(found, level), level)
    made = _short(_type(found.type, level, found.loc), level)
    if made and not isinstance(found.type, Data | AttrsOf):
        made = {"anyOf": [made, {"$ref": "#/$defs/sigil"}]}
    described: dict[str, Any] = {"description": found.description} if found.description else {}
    if plain_default(found) is not None:
        described["default"] = found.default
    if found.example is not MISSING and _is_plain(found.example):
        described["examples"] = [found.example]
    return {**described, **made}


def _short(schema: dict[str, Any], level: Level | None) -> dict[str, Any]:
    """A schema that takes the short form as well: found by asking what becomes of a text and of a list."""
    if level is None or level.short is None:
        return schema
    forms = [({"type": "string"}, "x"), ({"type": "array", "items": {"type": "string"}}, ["x"])]
    also = [form for form, example in forms if level.short(example) != example]
    return {"anyOf": [schema, *also]}


def _type(kind: Type, level: Level | None, path: tuple[str, ...]) -> dict[str, Any]:  # noqa: PLR0911 - one for each type
    match kind:
        case NonEmptyList():
            return {**_type(kind.elem, level, path), "minItems": 1}
        case NullOr() | Around():
            return _type(kind.elem, level, path)
        case Submodule():
            return _submodule(kind, level, path)
        case AttrsOf():
            each = level.each if level is not None else None
            return {"type": "object", "additionalProperties": _short(_type(kind.elem, each, path), each)}
        case ListOf():
            return {"type": "array", "items": _type(kind.elem, None, path)}
        case Either():
            return {"anyOf": [_type(kind.left, None, path), _type(kind.right, None, path)]}
        case CoercedTo():
            return {"anyOf": [_type(kind.source_type, None, path), _type(kind.target, None, path)]}
        case AttrTag():
            return {**_group(kind.sub_options(path), None), "minProperties": 1, "maxProperties": 1}
    return _single(kind)


def _submodule(kind: Submodule, level: Level | None, path: tuple[str, ...]) -> dict[str, Any]:
    schema = _group(kind.sub_options(path), level)
    if kind.documented().freeform is not None:
        schema["additionalProperties"] = True
    return schema


def _single(kind: Type) -> dict[str, Any]:
    match kind:
        case Data() | DeferredModuleType():
            return {} if isinstance(kind, Free) else {"type": "object"}
        case Text():
            return _text(kind)
        case Enum():
            return {"enum": list(kind.values)} if _is_plain(kind.values) else {}
        case Bounded():
            return _bounded(kind)
        case Unspecified():
            return {}
    name = getattr(kind, "refines", None) or kind.name
    return {"type": _WORDS[name]} if name in _WORDS else {"type": "string"} if name in _TEXTS else {}


def _bounded(kind: Bounded) -> dict[str, Any]:
    below = "exclusiveMinimum" if kind.exclusive else "minimum"
    bounds = {below: kind.lowest, "maximum": kind.highest}
    return {**_single(kind.base), **{key: value for key, value in bounds.items() if value is not None}}


def _text(kind: Text) -> dict[str, Any]:
    if kind.words:
        return {"enum": list(kind.words)}
    if kind.pattern is None:
        return {"type": "string"}
    return {"type": "string"} if "(?i" in kind.pattern else {"type": "string", "pattern": f"^(?:{kind.pattern})$"}
