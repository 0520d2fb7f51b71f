"""What the tests of the module system have in common: one option, some definitions, a value or an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clanpy.modules import MISSING, ModuleError, evaluate, option, to_data
from clanpy.modules import types as t


NAMES = "ABCDEFGH"


def one_option(kind: t.Type | None, *definitions: Any, **more: Any) -> list[Mapping[str, Any]]:
    """Modules that declare an option `x` and define it once each, in files called A, B, C and so on."""
    declaring = {"_file": "decl", "options": {"x": option(kind, **more)}}
    return [declaring, *({"_file": NAMES[n], "config": {"x": d}} for n, d in enumerate(definitions))]


def x(kind: t.Type | None, *definitions: Any, **more: Any) -> Any:
    """The value of `x`."""
    return to_data(evaluate(one_option(kind, *definitions, **more)).config.x)


def value(modules: list[Any], path: str = "", **more: Any) -> Any:
    """The value at a path."""
    found: Any = evaluate(modules, **more).config
    for name in path.split(".") if path else []:
        found = found[name]
    return to_data(found)


def error(modules: list[Any], path: str = "", **more: Any) -> ModuleError:
    """The error of the value at a path."""
    try:
        found = value(modules, path, **more)
    except ModuleError as raised:
        return raised
    raise AssertionError(f"no error, but {found!r}")


def error_of_x(kind: t.Type | None, *definitions: Any, **more: Any) -> ModuleError:
    return error(one_option(kind, *definitions, **more), "x")


__all__ = ["MISSING", "error", "error_of_x", "one_option", "value", "x"]
