"""The fleet's options for people and for editors: a reference in Markdown, and a JSON Schema of inventory.toml."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from clanpy.inventory.kinds import Data, Free, Text, what
from clanpy.inventory.schema import OPTIONS
from clanpy.inventory.spelling import ROOT, Level
from clanpy.modules import MISSING, evaluate
from clanpy.modules.introspect import DocumentedOption
from clanpy.modules.options import Option
from clanpy.modules.types.around import NullOr
from clanpy.modules.types.base import Atomic, Type
from clanpy.modules.types.deferred import DeferredModuleType
from clanpy.modules.types.structure import AttrsOf, ListOf
from clanpy.modules.types.submodule import Submodule


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


def json_schema() -> dict[str, Any]:
    """A JSON Schema of inventory.toml, with every description. Both spellings of keys are not known to it: it has ours."""
    return {
        "$schema": _DRAFT,
        "title": "clanpy inventory",
        **_group(OPTIONS, ROOT),
        "$defs": {"sigil": _SIGILS},
    }


def _group(options: Mapping[str, Any], level: Level | None) -> dict[str, Any]:
    fields = level.fields if level is not None else {}
    properties = {name: _property(found, fields.get(name)) for name, found in options.items()}
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _property(found: Any, level: Level | None) -> dict[str, Any]:
    if isinstance(found, Mapping):
        return _short(_group(found, level), level)
    assert isinstance(found, Option)
    assert found.type is not None
    made = _short(_type(found.type, level), level)
    if not isinstance(found.type, Data | AttrsOf):
        made = {"anyOf": [made, {"$ref": "#/$defs/sigil"}]}
    described: dict[str, Any] = {"description": found.description} if found.description else {}
    if found.default is not MISSING and found.default is not None:
        described["default"] = found.default
    if found.example is not MISSING:
        described["examples"] = [found.example]
    return {**described, **made}


def _short(schema: dict[str, Any], level: Level | None) -> dict[str, Any]:
    """A schema that takes the short form as well: found by asking what becomes of a text and of a list."""
    if level is None or level.short is None:
        return schema
    forms = [({"type": "string"}, "x"), ({"type": "array", "items": {"type": "string"}}, ["x"])]
    also = [form for form, example in forms if level.short(example) != example]
    return {"anyOf": [schema, *also]}


def _type(kind: Type, level: Level | None) -> dict[str, Any]:
    match kind:
        case NullOr():
            return _type(kind.elem, level)
        case Submodule():
            return _group(kind.given[0]["options"], level)
        case AttrsOf():
            each = level.each if level is not None else None
            return {"type": "object", "additionalProperties": _short(_type(kind.elem, each), each)}
        case ListOf():
            return {"type": "array", "items": _type(kind.elem, None)}
        case _:
            return _single(kind)


def _single(kind: Type) -> dict[str, Any]:
    if isinstance(kind, Data | DeferredModuleType):
        return {} if isinstance(kind, Free) else {"type": "object"}
    if isinstance(kind, Text):
        return _text(kind)
    assert isinstance(kind, Atomic)
    return {"type": "boolean" if kind.name == "bool" else "integer"}


def _text(kind: Text) -> dict[str, Any]:
    if kind.words:
        return {"enum": list(kind.words)}
    if kind.pattern is None:
        return {"type": "string"}
    return {"type": "string"} if "(?i" in kind.pattern else {"type": "string", "pattern": f"^(?:{kind.pattern})$"}


def options() -> tuple[DocumentedOption, ...]:
    """Every option of the fleet, those inside of machines, roles and so on included."""
    return tuple(evaluate([{"options": OPTIONS}]).documented())


def option_rows(found: Iterable[DocumentedOption]) -> list[dict[str, Any]]:
    """The options as JSON: `path, type, default, example, description`."""
    return [
        {
            "path": ".".join(option.loc),
            "type": what(option.type),
            "default": None if option.default is MISSING else option.default,
            "required": option.default is MISSING and not isinstance(option.type, Data | AttrsOf),
            "example": None if option.example is MISSING else option.example,
            "description": option.description,
        }
        for option in found
    ]


def option_reference(found: Iterable[DocumentedOption]) -> str:
    """The options as a page of Markdown."""
    return "\n".join(_page(option_rows(found)))


def _page(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    yield "# Options of the fleet"
    yield ""
    yield "`<name>` stands for a name of your own. What has a default need not be written."
    top = ""
    for row in rows:
        first = row["path"].partition(".")[0]
        if first != top:
            top = first
            yield f"\n## `{top}`"
        yield f"\n### `{row['path']}`\n"
        yield row["description"] or ""
        yield ""
        yield f"- Type: {row['type']}"
        if row["required"]:
            yield "- Required"
        elif row["default"] is not None:
            yield f"- Default: `{json.dumps(row['default'], ensure_ascii=False)}`"
        if row["example"] is not None:
            yield f"- Example: `{json.dumps(row['example'], ensure_ascii=False)}`"
