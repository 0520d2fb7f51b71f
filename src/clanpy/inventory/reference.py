"""The fleet's options for people and for editors: a reference in Markdown, and a JSON Schema of inventory.toml."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clanpy.inventory.json_schema import plain_default, schema_of
from clanpy.inventory.kinds import Data, what
from clanpy.inventory.schema import MODULE
from clanpy.modules import MISSING, evaluate, to_data
from clanpy.modules import errors as module_errors
from clanpy.modules.introspect import DocumentedOption
from clanpy.modules.types.structure import AttrsOf


if TYPE_CHECKING:
    from clanpy.modules import Result

_OWN = "clanpy"


def built_in() -> Result:
    """The options that every fleet has."""
    return evaluate([MODULE])


def of_fleet(root: Path) -> Result:
    """The options of a fleet: those that every fleet has and those that its modules declare, whatever else is wrong with it."""
    from clanpy.inventory.loading import load_all  # noqa: PLC0415 - only for a fleet

    result: Result = load_all(root).fleet.memo["evaluated"].result
    try:
        len(result.options)
    except module_errors.ModuleError:
        return built_in()
    return result


def json_schema(result: Result | None = None) -> dict[str, Any]:
    """A JSON Schema of inventory.toml, with every description."""
    return schema_of((result or built_in()).options)


def options(result: Result | None = None) -> tuple[DocumentedOption, ...]:
    """Every option of the fleet, those inside of machines, roles and so on included."""
    return tuple((result or built_in()).documented())


def option_rows(found: Iterable[DocumentedOption], root: Path | None = None) -> list[dict[str, Any]]:
    """The options as JSON: `path, type, default, required, example, description, declared_in`."""
    return [
        {
            "path": ".".join(option.loc),
            "type": what(option.type),
            "default": plain_default(option),
            "default_text": _default_text(option),
            "required": option.default is MISSING and not isinstance(option.type, Data | AttrsOf),
            "example": None if option.example is MISSING else to_data(option.example),
            "description": option.description,
            "declared_in": _files(option, root),
        }
        for option in found
    ]


def _default_text(option: DocumentedOption) -> str | None:
    """A default in words, where it is computed."""
    if option.default_text is not None or option.default is MISSING or option.default is None:
        return option.default_text
    return "computed" if plain_default(option) is None else None


def _files(option: DocumentedOption, root: Path | None) -> list[str]:
    """The files of the fleet that declare an option; `clanpy` where every fleet has it."""
    found = []
    for file in option.declarations:
        path = Path(file)
        inside = root is not None and path.is_absolute() and path.is_relative_to(root.absolute())
        if inside and root is not None:
            found.append(path.relative_to(root.absolute()).as_posix())
        else:
            found.append(_OWN if file.startswith(("<clanpy>", "/")) else file)
    return list(dict.fromkeys(found))


def option_reference(found: Iterable[DocumentedOption], root: Path | None = None) -> str:
    """The options as a page of Markdown."""
    return "\n".join(_page(option_rows(found, root)))


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
        elif row["default_text"] is not None:
            yield f"- Default: {row['default_text']}"
        elif row["default"] is not None:
            yield f"- Default: `{json.dumps(row['default'], ensure_ascii=False)}`"
        if row["example"] is not None:
            yield f"- Example: `{json.dumps(row['example'], ensure_ascii=False)}`"
        files = [file for file in row["declared_in"] if file != _OWN]
        if files:
            yield f"- Declared in {', '.join(f'`{file}`' for file in files)}"
