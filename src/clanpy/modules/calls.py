"""Calling functions of users: arguments by name, and exceptions that say where they come from."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from types import FunctionType, MethodType, TracebackType
from typing import Any, Final, NamedTuple, Protocol

from clanpy.modules.errors import ComputationError, ModuleError, Place


HERE: Final = __file__.rpartition("/")[0] + "/"
_KEYWORDS: Final = 0x08


class Scope(Protocol):
    """Who knows the arguments: an evaluation."""

    def explicit(self) -> Mapping[str, Any]:
        """What every module can have: config, options, special args and so on."""

    def argument(self, name: str) -> Any:
        """An argument that modules give each other by `_module.args`; raises MissingArgumentError."""

    def has_argument(self, name: str) -> bool: ...


class Parameters(NamedTuple):
    required: tuple[str, ...]
    optional: tuple[str, ...]
    keywords: bool


def parameters(function: Callable[..., Any]) -> Parameters | None:
    """The parameters of a function by name, or None when Python can't tell."""
    skip = 0
    plain: Any = function
    if isinstance(plain, MethodType):
        plain, skip = plain.__func__, 1
    if not isinstance(plain, FunctionType):
        return _from_signature(function)
    code = plain.__code__
    positional = code.co_varnames[skip : code.co_argcount]
    named = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    with_default = len(plain.__defaults__ or ())
    split = len(positional) - with_default
    required, optional = positional[:split], positional[split:]
    if named:
        defaults = plain.__kwdefaults__ or {}
        required += tuple(n for n in named if n not in defaults)
        optional += tuple(n for n in named if n in defaults)
    return Parameters(required, optional, bool(code.co_flags & _KEYWORDS))


def _from_signature(function: Callable[..., Any]) -> Parameters | None:
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    taken = getattr(function, "keywords", {})  # of a partial: bound already
    named = [p for p in found if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name not in taken]
    return Parameters(
        tuple(p.name for p in named if p.default is p.empty),
        tuple(p.name for p in named if p.default is not p.empty),
        any(p.kind is p.VAR_KEYWORD for p in found),
    )


def call(function: Callable[..., Any], scope: Scope | None, *leading: Any) -> Any:
    """Call with `leading` values first and the other parameters by name; one that has a default keeps it.

    A function of one parameter whose name nobody knows is a function of `config`.

    Raises:
        ComputationError: the function raised.
    """
    found = parameters(function)
    wanted = found.required[len(leading) :] if found else ()
    if not wanted:
        return protected(function, *leading)
    if scope is None:
        raise ComputationError(
            f"a function asks for `{wanted[0]}' where there are no arguments", place=place_of(function)
        )
    return protected(function, *leading, **_arguments(wanted, scope))


def _arguments(wanted: tuple[str, ...], scope: Scope) -> dict[str, Any]:
    known = scope.explicit()
    if len(wanted) == 1 and wanted[0] not in known and not scope.has_argument(wanted[0]):
        return {wanted[0]: known["config"]}
    return {name: known[name] if name in known else scope.argument(name) for name in wanted}


def protected(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call it; what it raises becomes a ComputationError that names its file and line."""
    try:
        return function(*args, **kwargs)
    except ModuleError:
        raise
    except RecursionError as error:
        raise ComputationError(
            f"{describe(function)} recurses too deeply", place=raised_at(error.__traceback__) or place_of(function)
        ) from error
    except Exception as error:  # whatever a user's function raises is reported with its place
        message = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        place = raised_at(error.__traceback__) or place_of(function)
        raise ComputationError(f"{describe(function)} raised {message}", place=place) from error


def describe(function: Callable[..., Any]) -> str:
    name = getattr(function, "__name__", type(function).__name__)
    return "a function" if name == "<lambda>" else f"`{name}'"


def place_of(function: Callable[..., Any]) -> Place | None:
    """Where a function begins."""
    code = getattr(getattr(function, "func", function), "__code__", None)
    return Place(code.co_filename, code.co_firstlineno) if code else None


def raised_at(traceback: TracebackType | None) -> Place | None:
    """The innermost line of code that is not this library's own."""
    found = None
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if not code.co_filename.startswith(HERE):
            found = Place(code.co_filename, traceback.tb_lineno, _column(code, traceback.tb_lasti))
        traceback = traceback.tb_next
    return found


def _column(code: Any, instruction: int) -> int | None:
    positions = list(code.co_positions())
    if not 0 <= instruction // 2 < len(positions):
        return None
    column = positions[instruction // 2][2]
    return None if column is None else column + 1


def user_line() -> Place | None:
    """The innermost line of code that is not this library's own."""
    frame = sys._getframe(1)  # noqa: SLF001  # the documented way to know one's caller
    while frame.f_back is not None:
        if not frame.f_code.co_filename.startswith(HERE):
            return Place(frame.f_code.co_filename, frame.f_lineno)
        frame = frame.f_back
    return None
