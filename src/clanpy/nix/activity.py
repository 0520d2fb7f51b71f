"""What Nix says while it works: its `internal-json` log, as values.

The numbers are Nix's own and the same from 2.8 on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


FLAGS = ("--log-format", "internal-json")
_PREFIX = "@nix "
_COPY_PATH, _BUILD = 100, 105
_LOG_LINE, _PROGRESS = 101, 105
_ERROR_LEVEL = 0


@dataclass(frozen=True, slots=True)
class BuildStarted:
    """A derivation is being built."""

    activity: int
    drv: str


@dataclass(frozen=True, slots=True)
class Output:
    """A line of what an activity's program writes."""

    activity: int
    line: str


@dataclass(frozen=True, slots=True)
class CopyStarted:
    """A path is being copied."""

    activity: int
    path: str


@dataclass(frozen=True, slots=True)
class Advanced:
    """How far an activity is: bytes for a copied path, paths for a whole copy."""

    activity: int
    done: int
    expected: int


@dataclass(frozen=True, slots=True)
class Stopped:
    """An activity is over, well or not."""

    activity: int


@dataclass(frozen=True, slots=True)
class Said:
    """A message. `is_error` for those that tell of a failure."""

    text: str
    is_error: bool


Activity = BuildStarted | Output | CopyStarted | Advanced | Stopped | Said


def parse(line: str) -> Activity | None:
    """A line of the log; None for what nobody needs. A line in no form of Nix's is what somebody said."""
    if not line.startswith(_PREFIX):
        return Said(line, is_error=line.startswith("error:")) if line.strip() else None
    try:
        record = json.loads(line[len(_PREFIX) :])
        return _activity(record)
    except (ValueError, KeyError, IndexError, TypeError):  # a form that no version known here has
        return None


def _activity(record: dict[str, Any]) -> Activity | None:
    action, kind = record["action"], record.get("type")
    if action == "msg":
        return Said(str(record["msg"]), is_error=record.get("level") == _ERROR_LEVEL)
    if action == "stop":
        return Stopped(record["id"])
    read = _READERS.get((action, kind))
    return read(record["id"], record["fields"]) if read else None


_READERS: Mapping[tuple[str, Any], Callable[[int, Sequence[Any]], Activity]] = {
    ("start", _BUILD): lambda activity, fields: BuildStarted(activity, fields[0]),
    ("start", _COPY_PATH): lambda activity, fields: CopyStarted(activity, fields[0]),
    ("result", _LOG_LINE): lambda activity, fields: Output(activity, str(fields[0])),
    ("result", _PROGRESS): lambda activity, fields: Advanced(activity, fields[0], fields[1]),
}
