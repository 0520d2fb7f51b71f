"""Values of options that need no converting, without what typer converts with.

typer builds a pydantic adapter for each option that is looked at, also for one that was not given: with the import a quarter of the
time of a short command. Here a value that is of its type already passes, and a text for a path becomes one; whatever else there is
goes typer's way. A typer that works otherwise is left alone.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Any

import typer.core


class _Quick:
    """What typer asks to convert the value of one parameter."""

    def __init__(self, parameter: Any, original: Any) -> None:
        self._descriptor = parameter.type_descriptor
        self._original = original
        self._parameter = parameter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original(self._parameter), name)

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        is_many = param.multiple or param.nargs == -1
        if value is None:
            return () if is_many else None
        if not is_many:
            done, result = _converted(value, self._descriptor.annotation, self._descriptor.parameter_info)
        else:
            done = self._descriptor.annotation == list[str] and isinstance(value, tuple | list)
            done = done and all(type(word) is str for word in value)
            result = list(value) if done else None
        return result if done else self._original(self._parameter).coerce(value, param=param, ctx=ctx)


def _converted(value: Any, annotation: Any, info: Any) -> tuple[bool, Any]:
    """Whether the value is as it should be, and what it is then."""
    if info.parser is not None:
        return False, None
    if annotation in (int, float) and type(value) is annotation:
        return _is_between(value, info.min, info.max), value
    if annotation in (str, bool) and type(value) is annotation:
        return annotation is not str or not info.path_type, value
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return isinstance(value, annotation), value
    if annotation is Path and isinstance(value, str | Path):
        is_free = not (info.exists or info.resolve_path or info.allow_dash or info.path_type)
        return is_free and info.file_okay and info.dir_okay and not info.writable, Path(value)
    return False, None


def _is_between(value: float, least: float | None, most: float | None) -> bool:
    return (least is None or value >= least) and (most is None or value <= most)


def hurry() -> None:
    """Have typer do so."""
    parameter = getattr(typer.core, "_TyperParameter", None)
    original = getattr(parameter, "get_runtime_param", None)
    if parameter is not None and original is not None:
        parameter.get_runtime_param = lambda self: _Quick(self, original)
