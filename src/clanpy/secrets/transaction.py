"""Many files changed as one: all of it, or none of it, whatever happens in between.

A transaction first writes everything beside the tree (`.clanpy-pending/`), flushes it, and then renames a plan into
place. That rename is the point of no return: before it, nothing of the tree has changed and what was prepared is thrown
away; after it, whoever opens the tree next finishes what the plan says. All steps of a plan can be repeated.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from clanpy.secrets.disk import Disk
from clanpy.secrets.errors import InterruptedWriteError, TreeLockedError, WriteFailedError, reason
from clanpy.secrets.lock import folder_lock


if TYPE_CHECKING:
    from collections.abc import Iterator

PENDING = PurePosixPath(".clanpy-pending")
PLAN = PENDING / "plan.json"
DEFAULT_WAIT_SECONDS = 60.0
_MODE = 0o644


@dataclass(frozen=True, slots=True)
class _Write:
    content: bytes
    mode: int


@dataclass(frozen=True, slots=True)
class _Link:
    target: str


@dataclass(frozen=True, slots=True)
class _Remove:
    pass


_Change = _Write | _Link | _Remove


@dataclass(slots=True)
class Transaction:
    """Changes that are collected in memory and carried out by `commit`. The last change of a path wins.

    Contents are held in memory until then; they must be ciphertext or public, since they are prepared on the disk.
    """

    root: Path
    disk: Disk
    _changes: dict[PurePosixPath, _Change] = field(default_factory=dict)
    _above: set[PurePosixPath] = field(default_factory=set)  # folders that something was changed in, at least

    def write(self, path: PurePosixPath, content: bytes, *, mode: int = _MODE) -> None:
        """Write a file, unless it is there with this very content."""
        here = self.root / path
        if self.is_settled(path) and not here.is_symlink() and here.is_file() and here.read_bytes() == content:
            return
        self._change(path, _Write(content, mode))

    def link(self, path: PurePosixPath, target: str) -> None:
        """Make a symbolic link, unless it is there with this very target."""
        here = self.root / path
        if self.is_settled(path) and here.is_symlink() and str(here.readlink()) == target:
            return
        self._change(path, _Link(target))

    def remove(self, path: PurePosixPath) -> None:
        """Remove a file, a link or a folder with all that is in it."""
        self._changes.pop(path, None)
        if path in self._above:
            for other in [p for p in self._changes if path in p.parents]:
                del self._changes[other]
        if os.path.lexists(self.root / path):
            self._change(path, _Remove())

    @property
    def paths(self) -> tuple[PurePosixPath, ...]:
        """What will be different, sorted."""
        return tuple(sorted(self._changes))

    def read(self, path: PurePosixPath) -> bytes | None:
        """What a file will hold after the commit; None when it will not be there."""
        change = self._changes.get(path)
        if isinstance(change, _Write):
            return change.content
        here = self.root / path
        return here.read_bytes() if self.is_settled(path) and here.is_file() else None

    def _change(self, path: PurePosixPath, change: _Change) -> None:
        self._changes[path] = change
        self._above.update(path.parents)

    def is_settled(self, path: PurePosixPath) -> bool:
        """Whether what is on the disk at a path is what will be there."""
        return path not in self._changes and not any(isinstance(self._changes.get(p), _Remove) for p in path.parents)

    def commit(self) -> tuple[PurePosixPath, ...]:
        """Carry out the changes and return the paths that changed.

        Raises:
            WriteFailedError: the disk refused, and nothing has changed.
            InterruptedWriteError: the disk refused after the point of no return; the next writer completes it.
        """
        paths = self.paths
        if paths:
            try:
                self._prepare()
            except OSError as error:
                with suppress(OSError):
                    self._forget()
                raise WriteFailedError(
                    f"could not write to {self.root}: {reason(error)}", hint="nothing was changed"
                ) from error
            _finish(self.root, self.disk)
        self._changes.clear()
        return paths

    def _prepare(self) -> None:
        staged: list[Path] = []
        steps = []
        self.disk.make_folder(self.root / PENDING)
        for number, (path, change) in enumerate(sorted(self._changes.items())):
            if isinstance(change, _Remove):
                continue
            here = self.root / PENDING / str(number)
            self.disk.make_folder(self.root / path.parent)
            if isinstance(change, _Write):
                self.disk.write(here, change.content, change.mode)
                staged.append(here)
            else:
                self.disk.link(here, change.target)
            steps.append({"put": str(path), "from": here.name})
        # Removals come last and never touch what is put, so that every step can be repeated.
        self._decide([*steps, *({"remove": str(path)} for path in self._removals())], staged)

    def _removals(self) -> Iterator[PurePosixPath]:
        puts = {path for path, change in self._changes.items() if not isinstance(change, _Remove)}
        for path in sorted(set(self._changes) - puts):
            inside = {put for put in puts if path in put.parents}
            if not inside:
                yield path
                continue
            for file in sorted((self.root / path).rglob("*")):
                relative = PurePosixPath(file.relative_to(self.root).as_posix())
                if relative not in inside and (file.is_symlink() or not file.is_dir()):
                    yield relative

    def _forget(self) -> None:
        _discard(self.root, self.disk)
        for path, change in self._changes.items():
            if not isinstance(change, _Remove):
                _remove_empty_folders(self.root, self.disk, path.parent)

    def _decide(self, steps: list[dict[str, str]], staged: list[Path]) -> None:
        """The point of no return."""
        folder = self.root / PENDING
        draft = folder / "plan.draft"
        self.disk.write(draft, json.dumps({"version": 1, "steps": steps}, indent=1).encode(), _MODE)
        self.disk.flush([*staged, draft, folder])
        self.disk.rename(draft, self.root / PLAN)
        self.disk.flush([folder])


@dataclass(frozen=True, slots=True)
class Tree:
    """A folder that is changed by transactions only, one writer at a time."""

    root: Path
    disk: Disk = field(default_factory=Disk)

    @contextmanager
    def writing(self, *, wait_seconds: float = DEFAULT_WAIT_SECONDS) -> Iterator[Transaction]:
        """Be the only writer for as long as this lasts; what an interrupted writer left is completed or cleared first.

        Nothing is written but by `commit`.

        Raises:
            TreeLockedError: another process is writing and did not finish in time.
        """
        with folder_lock(self.root, wait_seconds=wait_seconds):
            self._recover()
            yield Transaction(self.root, self.disk)

    def settle(self, *, wait_seconds: float = DEFAULT_WAIT_SECONDS) -> None:
        """Before reading: complete what an interrupted writer had decided, and clear what it had not.

        Costs one `stat` when there is nothing.

        Raises:
            InterruptedWriteError: there is such a write and it can't be completed here (a read-only tree).
        """
        if (self.root / PLAN).exists():
            with folder_lock(self.root, wait_seconds=wait_seconds):
                self._recover()
        elif (self.root / PENDING).exists():
            with suppress(TreeLockedError), folder_lock(self.root, wait_seconds=0):  # or somebody is writing right now
                self._recover()

    def _recover(self) -> None:
        if (self.root / PLAN).exists():
            _finish(self.root, self.disk)
        elif (self.root / PENDING).exists():
            with suppress(OSError):  # it is no more than rubbish, and may be on a read-only file system
                _discard(self.root, self.disk)


def _finish(root: Path, disk: Disk) -> None:
    """Carry out a decided plan, from wherever it was left."""
    try:
        steps = json.loads((root / PLAN).read_bytes())["steps"]
        touched = {root / path.parent for path in _apply(root, disk, steps)}
        disk.flush(folder for folder in touched if folder.is_dir())
        disk.remove(root / PLAN)
        _discard(root, disk)
    except OSError as error:
        raise InterruptedWriteError(
            f"a write to {root} was interrupted and could not be completed: {reason(error)}",
            hint="the next command that can write to it completes it; nothing is lost",
        ) from error


def _apply(root: Path, disk: Disk, steps: list[dict[str, Any]]) -> Iterator[PurePosixPath]:
    for step in steps:
        path = PurePosixPath(step.get("put") or step["remove"])
        if "put" in step:
            staged = root / PENDING / step["from"]
            if os.path.lexists(staged):  # when it is gone, an earlier attempt has put it there
                disk.rename(staged, root / path)
        else:
            disk.remove_tree(root / path)
            _remove_empty_folders(root, disk, path.parent)
        yield path


def _remove_empty_folders(root: Path, disk: Disk, folder: PurePosixPath) -> None:
    """Git knows no empty folders, and neither do we; the top-level ones stay."""
    while len(folder.parts) > 1 and (root / folder).is_dir() and not any((root / folder).iterdir()):
        disk.remove_folder(root / folder)
        folder = folder.parent


def _discard(root: Path, disk: Disk) -> None:
    """Throw away what was prepared and not decided, or is already done."""
    disk.remove_tree(root / PENDING)
