"""Where in a file a definition stands. Looked up when something is to be said about it, and not before."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from clanpy.modules.errors import Place
from clanpy.modules.sigils import KNOWN, NUMBERED


Steps = tuple[str | int, ...]
Spots = Mapping[Steps, tuple[int, int]]
"""For each path in a data file the line and column of its key (or of the element of a list)."""

_ENTRY: Final = re.compile(r"\[.*entry (\d+)\]\Z")


def locate(origin: tuple[str, str, int], file: str, path: tuple[str, ...], value: Any) -> Place | None:
    """The place of the definition of `path`, or of what it is in; None when nothing like it is found.

    Args:
        origin: language, file and line, as in `Source`.
        file: the file as people know it.
        path: from the root of the module's configuration.
        value: what is defined; where there are several candidates, the one with this value is meant.
    """
    language, name, line = origin
    steps = tuple(_step(part) for part in path)
    if language == "python":
        from clanpy.modules.positions_python import locate_python  # noqa: PLC0415  # one parser is enough

        found = locate_python(name, line, steps, value)
        return Place(name, *found) if found else None
    spots = _spots(language, name)
    for start in ((), ("config",)):
        if (*start, *steps) in spots:
            return Place(file, *spots[(*start, *steps)])
    for length in range(len(steps) - 1, 0, -1):
        for start in ((), ("config",)):
            if (*start, *steps[:length]) in spots:
                return Place(file, *spots[(*start, *steps[:length])])
    return None


def _step(part: str) -> str | int:
    found = _ENTRY.match(part)
    return int(found[1]) - 1 if found else part


_CACHE: Final[dict[tuple[str, str], tuple[tuple[int, int], Spots]]] = {}
_KEPT: Final = 64


def _spots(language: str, name: str) -> Spots:
    """The positions in a file, kept as long as the file does not change."""
    try:
        state = Path(name).stat()
        stamp = (state.st_mtime_ns, state.st_size)
        known = _CACHE.get((language, name))
        if known is not None and known[0] == stamp:
            return known[1]
        data = Path(name).read_bytes()
    except (OSError, ValueError):
        return {}
    spots = _without_sigils(_reader(language)(data))
    while len(_CACHE) >= _KEPT:
        _CACHE.pop(next(iter(_CACHE)))
    _CACHE[language, name] = (stamp, spots)
    return spots


def _reader(language: str) -> Callable[[bytes], dict[Steps, tuple[int, int]]]:
    if language == "toml":
        from clanpy.modules.positions_toml import toml_spots  # noqa: PLC0415  # a parser of its own

        return toml_spots
    from clanpy.modules.positions_json import json_spots  # noqa: PLC0415  # as above

    return json_spots


def _without_sigils(spots: dict[Steps, tuple[int, int]]) -> Spots:
    """What is inside `{ _force = … }` stands at the path of that table."""
    found: dict[Steps, tuple[int, int]] = {}
    for steps, spot in spots.items():
        if any(step in KNOWN for step in steps):
            continue
        found[steps] = spot
    for steps, spot in spots.items():
        if any(step in KNOWN for step in steps):
            found.setdefault(_clean(steps), spot)
    return found


def _clean(steps: Steps) -> Steps:
    kept: list[str | int] = []
    skip = False
    for step in steps:
        if skip and isinstance(step, int):
            skip = False
        elif step in KNOWN:
            skip = step in NUMBERED
        else:
            skip = False
            kept.append(step)
    return tuple(kept)
