"""What the value at a path of the inventory may be, and what somebody typed means there."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

from clanpy.errors import ClanpyError, NothingMatchedError, Place, UsageError, nearest
from clanpy.inventory.editing.spelling import Path_, level_at, normal
from clanpy.inventory.editing.splice import rendered
from clanpy.inventory.errors import BadNameError, UnknownKeyError, WrongTypeError
from clanpy.inventory.evaluation import Evaluated
from clanpy.inventory.kinds import Data, Table, hint_of, plain, what
from clanpy.inventory.sources import check_plain
from clanpy.inventory.spelling import Report, dotted, rewrite
from clanpy.modules import errors as module_errors
from clanpy.modules import parse_path, resolve, to_data
from clanpy.modules.introspect import DocumentedOption
from clanpy.modules.priority import Override, Wrapper
from clanpy.modules.types.base import Type
from clanpy.modules.types.deferred import DeferredModuleType
from clanpy.modules.types.structure import AttrsOf
from clanpy.modules.types.submodule import Submodule


PLAIN = 100  # the priority of what is written without any
_BEGINS_TOML = "[{\"'"


def path_of(text: str) -> Path_:
    """A path as people type it, in the spelling of the options.

    Raises:
        UsageError: it is none.
    """
    try:
        parts = tuple(parse_path(text))
    except ValueError as error:
        raise UsageError(str(error), hint='a path is written as in TOML: machines."a.b".tags') from None
    if not parts or "" in parts or text.endswith("."):
        raise UsageError(f"'{text}' is no path", hint="a path is written as in TOML: machines.web.tags")
    return normal(parts)


def value_of(text: str) -> Any:
    """What a typed value means: TOML, or a bare word as a string.

    Raises:
        UsageError: it begins as TOML does and is none, or is something that JSON does not have.
    """
    try:
        found = tomllib.loads(f"value = {text}")
    except ValueError as error:
        if text.strip()[:1] in set(_BEGINS_TOML):
            said = str(error).partition(" (at ")[0]
            raise UsageError(f"{text!r} is no TOML: {said[:1].lower()}{said[1:]}") from None
        return text
    except RecursionError:
        raise UsageError("the value is nested too deeply") from None
    if found.keys() != {"value"}:
        raise UsageError(f"{text!r} is more than one value")
    if hasattr(found["value"], "isoformat"):
        return text  # a date is a word to us
    try:
        check_plain("VALUE", found)
    except ClanpyError as error:
        raise UsageError(f"{text!r} can't be a value of the inventory: {error.message}", hint=error.hint) from None
    return found["value"]


def type_at(evaluated: Evaluated, path: Path_) -> Type | None:
    """The type of the option at a path; None for a group of options, and for data that somebody else understands.

    Raises:
        UnknownKeyError: there is no such option.
        BadNameError: a name on the path can't be one.
        WrongTypeError: the path goes on in something that has no parts.
    """
    group: Any = evaluated.result.options
    kind: Type | None = None
    for n, part in enumerate(path):
        if kind is not None:
            if isinstance(kind, Data | DeferredModuleType):
                return None
            if isinstance(kind, AttrsOf):
                _check_name(kind, part, path[: n + 1])
                kind, group = _opened(kind.elem, path)
                continue
            raise WrongTypeError(f"'{dotted(path[:n])}' is {what(kind)}, and has no '{part}' in it")
        if part not in group or part == "_module":
            raise _unknown(group, path[: n + 1])
        child = group[part]
        kind, group = _opened(child.type, path) if isinstance(child, DocumentedOption) else (None, child)
    return kind


def _opened(kind: Type, path: Path_) -> tuple[Type | None, Any]:
    """A type, or the options inside of it."""
    found = plain(kind)
    return (None, found.sub_options(path)) if isinstance(found, Submodule) else (found, None)


def _check_name(kind: AttrsOf, name: str, path: Path_) -> None:
    if isinstance(kind, Table) and not kind.names.fits(name):
        raise BadNameError(f"'{name}' in '{dotted(path)}' can't be {kind.names.what}", hint=kind.names.hint)


def _unknown(group: Mapping[str, Any], path: Path_) -> UnknownKeyError:
    where = f" in '{dotted(path[:-1])}'" if path[1:] else ""
    names = [name for name in group if name != "_module"]
    return UnknownKeyError(
        f"there is no option '{path[-1]}'{where}", hint=nearest(path[-1], names) or f"known here: {', '.join(names)}"
    )


def check_value(evaluated: Evaluated, path: Path_, value: Any) -> int:
    """The priority that a value has at a path.

    Raises:
        ClanpyError: it is of another type than the option, or there is no such option.
    """
    kind = type_at(evaluated, path)
    report = Report(lambda _: Place(""))
    meant = rewrite(value, path, report, level_at(path))
    for error in report.errors:
        raise type(error)(error.message, hint=error.hint)
    content = meant
    while isinstance(content, Wrapper):
        content = getattr(content, "content", None)
    if kind is not None:
        _fits(kind, path, value, meant)
    elif not isinstance(content, dict) and _is_table(path):
        raise _wrong(path, "a table", value, None)
    return meant.priority if isinstance(meant, Override) else PLAIN


def _is_table(path: Path_) -> bool:
    """Whether a path without a type is a group of options, and not a setting."""
    level = level_at(path)
    return (level is not None and not level.is_carried) or bool(level_at(path[:-1]))


def _fits(kind: Type, path: Path_, value: Any, meant: Any) -> None:
    try:
        to_data(resolve(kind, [meant], path=path))
    except module_errors.TypeMismatchError as error:
        raise _wrong(path, what(kind), value, hint_of(kind, value, nearest) or error.hint) from None
    except module_errors.ModuleError as error:
        message = error.message.replace("`", "'")
        raise WrongTypeError(f"{message[:1].lower()}{message[1:]}", hint=error.hint) from None


def _wrong(path: Path_, wanted: str, value: Any, hint: str | None) -> WrongTypeError:
    shown = rendered(value)
    if isinstance(value, bool | int | float) and wanted.startswith("a string"):
        hint = f"""for the text, quote it: '"{shown}"'"""
    return WrongTypeError(f"'{dotted(path)}' takes {wanted}, and {shown} is {_kind_of(value)}", hint=hint)


def _kind_of(value: Any) -> str:
    if isinstance(value, bool):
        return "a boolean"
    known = {str: "a string", int: "a number", float: "a number", list: "a list", dict: "a table"}
    if isinstance(value, list) and value:
        return f"a list with {_kind_of(value[0])} in it"
    return known.get(type(value), type(value).__name__)


def nothing_at(path: Path_, names: list[str]) -> NothingMatchedError:
    return NothingMatchedError(f"no file says anything at '{dotted(path)}'", hint=nearest(path[-1], names))
