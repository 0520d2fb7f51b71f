"""Control groups: who belongs to a lab, and the brake that stops a whole host.

Only the second version is used, and of that only what every hierarchy has (members, freezing, killing). Where it is not
mounted, the lab works without: then membership comes from namespaces, and freezing from signals.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


_MOUNTS = Path("/proc/self/mountinfo")
_PATIENCE = 5.0
_PAUSE = 0.005


def root() -> Path | None:
    """Where cgroup2 is mounted and can be written, or None."""
    for line in _MOUNTS.read_text().splitlines():
        fields, _, kind = line.partition(" - ")
        if kind.startswith("cgroup2 "):
            found = Path(fields.split(" ")[4])
            return found if os.access(found, os.W_OK) else None
    return None


def lab_group(lab: str) -> Path | None:
    """The group of a whole lab; it has no members of its own, only the groups within."""
    top = root()
    return None if top is None else top / f"clanpy-{lab}"


def host_group(lab: str, host: str) -> Path | None:
    top = lab_group(lab)
    return None if top is None else top / f"host-{host}"


def keeper_group(lab: str) -> Path | None:
    top = lab_group(lab)
    return None if top is None else top / "keeper"


def join(group: Path | None) -> None:
    """Move this process into a group, which is made if missing."""
    if group is not None:
        group.mkdir(parents=True, exist_ok=True)
        (group / "cgroup.procs").write_text("0")


def members(group: Path | None) -> Iterator[int]:
    """The processes of a group and of the groups within."""
    if group is None or not group.is_dir():
        return
    for folder, _, _ in os.walk(group):
        with suppress(OSError):
            yield from map(int, Path(folder, "cgroup.procs").read_text().split())


def freeze(group: Path, *, frozen: bool) -> None:
    (group / "cgroup.freeze").write_text("1" if frozen else "0")


def destroy(group: Path | None) -> bool:
    """Kill whatever is in a group, and remove it. Gives whether it has gone. Nothing to do is fine."""
    if group is None or not group.is_dir():
        return True
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        _kill(group)
        _remove(group)
        if not group.is_dir():
            return True
        time.sleep(_PAUSE)
    return False


def _kill(group: Path) -> None:
    with suppress(OSError):
        (group / "cgroup.kill").write_text("1")


def _remove(group: Path) -> None:
    for folder, _, _ in os.walk(group, topdown=False):
        with suppress(OSError):
            Path(folder).rmdir()
