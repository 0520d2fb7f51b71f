"""What can be set in a role, as values for people and for pages: path, type, default, meaning."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo


_WORDS = (("str", "string"), ("Any", "anything"), ("bool", "true or false"), ("int", "integer"), (" | None", ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting of a role. `default` is as in TOML; None when it is required, and empty when nothing is set."""

    path: str
    type: str
    default: str | None
    description: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON: `path, type, required, default, description`."""
        return {
            "path": self.path,
            "type": self.type,
            "required": self.default is None,
            "default": self.default or None,
            "description": self.description,
        }


def settings_of(model: type[BaseModel], prefix: str = "") -> Iterator[Setting]:
    """Every setting of a model; those of inner models by their dotted paths, `<name>` for a free name and `<n>` for a number."""
    for name, info in model.model_fields.items():
        inner = info.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from settings_of(inner, f"{prefix}{name}.")
            continue
        entry = next((part for part in get_args(inner) if isinstance(part, type) and issubclass(part, BaseModel)), None)
        is_table = get_origin(inner) is dict
        yield Setting(
            path=prefix + name,
            type=_type(info) if entry is None else "table of tables" if is_table else "list of tables",
            default=None if info.is_required() else _default(info.get_default(call_default_factory=True)),
            description=info.description or "",
        )
        if entry is not None:
            yield from settings_of(entry, f"{prefix}{name}.{'<name>.' if is_table else '<n>.'}")


def _type(info: FieldInfo) -> str:
    """The type of a setting; of one that is an option, in the words of its type."""
    more = info.json_schema_extra
    said = more.get("type_text") if isinstance(more, dict) else None
    return said if isinstance(said, str) else type_text(info.annotation)


def type_text(annotation: Any) -> str:
    """A type in words: `string`, `list of integers`, `"a" | "b"`."""
    found = (
        annotation.__name__ if isinstance(annotation, type) and not hasattr(annotation, "__args__") else str(annotation)
    )
    found = re.sub(r"typing\.|Annotated\[(\w+), .*?\)\]", lambda match: match[1] or "", found)
    literal = re.search(r"Literal\[(.*?)\]", found)
    if literal:
        return literal[1].replace("'", '"').replace(", ", " | ")
    found = re.sub(r"\b(list\[\w+\]) \| (dict\[.*\])", r"\1, or \2", found)
    for ours, toml in _WORDS:
        found = re.sub(rf"\b{ours}\b" if ours.isalpha() else re.escape(ours), toml, found)
    found = re.sub(r"list\[(\w+)\]", r"list of \1s", found)
    return re.sub(r"dict\[string, (\w+)\]", r"table of \1s", found).replace("anythings", "anything")


def _default(value: Any) -> str:
    return "" if value is None else _toml(value)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{ " + ", ".join(f'"{key}" = {_toml(item)}' for key, item in value.items()) + " }" if value else "{ }"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(item) for item in value)}]"
    return f'"{value}"' if isinstance(value, str) else str(value)
