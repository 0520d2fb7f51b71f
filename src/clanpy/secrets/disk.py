"""The few operations that change a disk, each announced before it happens.

Everything that this room writes goes through a `Disk`, so that a test can stop the world before any single operation, and
so that `fsync` is in one place.
"""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Iterable

# Beyond this many files one flush of the file system is cheaper than a flush of each.
_FLUSH_ALL = 16


class Disk:
    """The real disk. `announce` does nothing here; tests override it."""

    def announce(self, operation: str, path: Path) -> None:
        """Called before each change with its kind (`write`, `rename`, …) and its path."""

    def write(self, path: Path, content: bytes, mode: int) -> None:
        """Make a new file. It is not yet flushed."""
        self.announce("write", path)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(fd, view) :]
            os.fchmod(fd, mode)
        finally:
            os.close(fd)

    def link(self, path: Path, target: str) -> None:
        """Make a new symbolic link."""
        self.announce("link", path)
        path.symlink_to(target)

    def rename(self, source: Path, target: Path) -> None:
        """Put a file or link in the place of another."""
        self.announce("rename", target)
        source.replace(target)

    def remove(self, path: Path) -> None:
        """Remove a file or link; it is fine when there is none."""
        if os.path.lexists(path):
            self.announce("remove", path)
            path.unlink()

    def make_folder(self, path: Path) -> None:
        """Make a folder and those above it."""
        if not path.is_dir():
            self.announce("mkdir", path)
            path.mkdir(parents=True, exist_ok=True)

    def remove_folder(self, path: Path) -> None:
        """Remove a folder if it is there and empty."""
        self.announce("rmdir", path)
        with suppress(FileNotFoundError, NotADirectoryError):
            path.rmdir()

    def remove_tree(self, path: Path) -> None:
        """Remove whatever is at `path`. Links are removed and never followed."""
        if path.is_symlink() or not path.is_dir():
            self.remove(path)
            return
        for child in sorted(path.iterdir()):
            self.remove_tree(child)
        self.remove_folder(path)

    def flush(self, paths: Iterable[Path]) -> None:
        """Return when these files and folders are on the disk. All must be on one file system."""
        todo = sorted(set(paths))
        if len(todo) > _FLUSH_ALL and sys.platform == "linux":
            _flush_file_system(todo[0])
            return
        for path in todo:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)


def _flush_file_system(path: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.syncfs(fd) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(path))
    finally:
        os.close(fd)
