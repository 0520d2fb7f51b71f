"""Places for plain text that are memory and not disk."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from clanpy.secrets.errors import PlaintextPlaceError, disk_errors


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MEMORY = frozenset({"tmpfs", "ramfs"})
_HINT = "set CLANPY_TMPFS to a folder on a tmpfs (on macOS: a RAM disk) that only you can read"


@contextmanager
def scratch_folder(environment: Mapping[str, str] | None = None) -> Iterator[Path]:
    """A new private folder in memory, gone afterwards.

    Raises:
        PlaintextPlaceError: there is no place in memory; plain text is then not written at all.
        WriteFailedError: the place is full.
    """
    parent = memory_folder(os.environ if environment is None else environment)
    with disk_errors(f"make a folder in {parent}"):
        folder = Path(tempfile.mkdtemp(prefix="clanpy-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def memory_folder(environment: Mapping[str, str]) -> Path:
    """The first of CLANPY_TMPFS, XDG_RUNTIME_DIR, /dev/shm and /run/user/<uid> that is writable memory.

    Raises:
        PlaintextPlaceError: none is, or CLANPY_TMPFS names something that is a disk.
    """
    named = environment.get("CLANPY_TMPFS")
    if named is not None:
        if not is_memory(Path(named)):
            raise PlaintextPlaceError(f"CLANPY_TMPFS names {named}, which is not memory", hint=_HINT)
        return Path(named)
    runtime = environment.get("XDG_RUNTIME_DIR")
    for folder in (*([Path(runtime)] if runtime else []), Path("/dev/shm"), Path(f"/run/user/{os.getuid()}")):  # noqa: S108 - mkdtemp inside
        if folder.is_dir() and os.access(folder, os.W_OK) and is_memory(folder):
            return folder
    raise PlaintextPlaceError("there is no memory-backed folder for plain text on this computer", hint=_HINT)


def is_memory(folder: Path) -> bool:
    """Whether what is written to a folder stays in memory. Where the system can't tell, the answer is no."""
    if sys.platform == "darwin":
        return _is_ram_disk(folder)
    try:
        mounts = Path("/proc/self/mountinfo").read_text()
    except OSError:
        return False
    return _file_system(folder.resolve(), mounts) in _MEMORY


def _file_system(folder: Path, mounts: str) -> str | None:
    """The type of the file system that a folder is on: the last mount of the longest mount point above it wins."""
    best, found = -1, None
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        point = Path(left.split()[4].encode().decode("unicode_escape"))
        if (point == folder or point in folder.parents) and len(point.parts) >= best:
            best, found = len(point.parts), right.split()[0]
    return found


def _is_ram_disk(folder: Path) -> bool:
    """There is no tmpfs on macOS; a RAM disk is recognised by the name that our documentation gives it."""
    return folder.resolve().is_relative_to("/Volumes/clanpy-ram") and Path("/Volumes/clanpy-ram").is_mount()
