"""One writer at a time: an advisory lock on a folder itself, so that nothing is left behind and read-only trees have one too."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from clanpy.secrets.errors import TreeLockedError


if TYPE_CHECKING:
    from collections.abc import Iterator

_POLL_SECONDS = 0.02


@contextmanager
def folder_lock(folder: Path, *, wait_seconds: float) -> Iterator[None]:
    """Hold the only write lock of a folder. The kernel releases it when this process ends, however it ends.

    Raises:
        TreeLockedError: another process holds it and did not let go in time.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _acquire(fd, folder, time.monotonic() + wait_seconds)
        yield
    finally:
        os.close(fd)


def _acquire(fd: int, folder: Path, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise _held(fd, folder) from None
            time.sleep(_POLL_SECONDS)
        else:
            return


def _held(fd: int, folder: Path) -> TreeLockedError:
    pid = _holder(os.fstat(fd))
    who = f"process {pid}" if pid else "another process"
    return TreeLockedError(f"{who} is writing to {folder}", hint="wait until it has finished, then run this again")


def _holder(stat: os.stat_result) -> int | None:
    """The process that holds the lock, where the system tells (Linux): `1: FLOCK  ADVISORY  WRITE 4711 fe:00:1234 0 EOF`."""
    inode = str(stat.st_ino)
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/locks").read_text().splitlines():
            words = line.split()
            if words[1] == "FLOCK" and words[5].rpartition(":")[2] == inode:
                return int(words[4])
    return None
