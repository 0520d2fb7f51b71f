"""What files contain, without reading them twice: digests, and what a Nix file mentions, kept across runs.

A file is known by its path, size, inode and times. An entry about a file that was changed a moment ago is not kept, because a second
change in the same tick of the clock would not be seen.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clanpy.errors import Place
from clanpy.nix.errors import SourceError
from clanpy.nix.lexer import LexError, Token, tokens
from clanpy.nix.nar import nar_hash


FORMAT = 2
SETTLED = 2_000_000_000  # nanoseconds after which a change of a file shows in its times
LEFT_OUT = frozenset((".git", ".direnv", ".DS_Store", "__pycache__", ".venv", ".clanpy", "result"))


@dataclass(frozen=True, slots=True)
class Content:
    """What matters of a file.

    Attributes:
        digest: hex SHA-256 of its bytes.
        executable: whether its owner may execute it.
        paths: relative paths that a Nix file mentions, as written.
        inputs: names of flake inputs that it mentions; None when it could read any.
        machines: names of other machines whose values it reads; None when it could read those of any.
    """

    digest: str
    executable: bool
    paths: tuple[str, ...] = ()
    inputs: frozenset[str] | None = frozenset()
    machines: frozenset[str] | None = frozenset()


def inspect(data: bytes, *, executable: bool, is_nix: bool) -> Content:
    """What matters of a file with these bytes."""
    digest = hashlib.sha256(data).hexdigest()
    if not is_nix:
        return Content(digest, executable)
    try:
        words = list(tokens(data.decode()))
    except (LexError, UnicodeDecodeError):  # Nix will say what is wrong with it
        return Content(digest, executable, (), None, None)
    return Content(digest, executable, mentioned_paths(words), mentioned_inputs(words), mentioned_machines(words))


def mentioned_paths(words: Iterable[Token]) -> tuple[str, ...]:
    """The relative paths among the words of a Nix file."""
    found = {word.text for word in words if word.kind == "path" and word.text and word.text[0] not in "<~/"}
    return tuple(sorted(found))


def mentioned_inputs(words: list[Token]) -> frozenset[str] | None:
    """The flake inputs that the words of a Nix file mention; None when `inputs` is used as a whole."""
    found: set[str] = set()
    for n, word in enumerate(words):
        if word.kind != "name" or word.text not in {"inputs", "specialArgs"}:
            continue
        after = [token.text for token in words[n + 1 : n + 3]]
        if word.text == "inputs" and after[:1] == ["."] and after[1:] and (name := after[1]) is not None:
            if name == "${":
                return None
            found.add(name)
        elif after[:1] not in ([","], ["}"], ["?"]):  # there it is the name of an argument
            return None
    return frozenset(found)


def mentioned_machines(words: list[Token]) -> frozenset[str] | None:
    """The machines in `varsOf.<machine>` among the words of a Nix file; None where that is used in another way."""
    found: set[str] = set()
    for n, word in enumerate(words):
        if word.kind == "name" and word.text == "varsOf":
            after = [token.text for token in words[n + 1 : n + 3]]
            name = after[1] if after[:1] == ["."] and after[1:] else None
            if name is None or name == "${":
                return None
            found.add(name)
    return frozenset(found)


@dataclass(slots=True)
class FileCache:
    """Contents of files, each looked at once a run, and kept in `store` from run to run.

    Attributes:
        reads: how many files were read in this run.
    """

    store: Path | None = None
    now: Callable[[], int] = time.time_ns
    reads: int = 0
    _known: dict[str, Any] | None = field(default=None, repr=False)
    _fresh: dict[str, Any] = field(default_factory=dict, repr=False)
    _seen: dict[Path, Content] = field(default_factory=dict, repr=False)
    _folders: dict[Path, tuple[Path, ...]] = field(default_factory=dict, repr=False)
    _nars: dict[Path, str] = field(default_factory=dict, repr=False)

    def content(self, path: Path) -> Content:
        """What matters of the file at `path`.

        Raises:
            SourceError: it can't be read.
        """
        if path not in self._seen:
            try:
                self._seen[path] = self._look(path)
            except OSError as error:
                raise SourceError(f"can't be read: {error.strerror}", place=Place(str(path))) from error
        return self._seen[path]

    def files_below(self, folder: Path) -> tuple[Path, ...]:
        """Every file below a folder, sorted; links to folders are not followed."""
        if folder not in self._folders:
            found = [
                Path(base, name)
                for base, folders, files in os.walk(folder)
                if folders.__setitem__(slice(None), sorted(set(folders) - LEFT_OUT)) is None
                for name in files
                if name not in LEFT_OUT
            ]
            self._folders[folder] = tuple(sorted(found))
        return self._folders[folder]

    def nar_hash(self, folder: Path) -> str:
        """The hash by which Nix knows a folder."""
        if folder not in self._nars:
            try:
                self._nars[folder] = nar_hash(folder)
            except OSError as error:
                raise SourceError(f"can't be read: {error.strerror}", place=Place(str(folder))) from error
        return self._nars[folder]

    def save(self) -> None:
        """Keep what was learnt for the next run. A cache that can't be written is no error."""
        if self.store is None or not self._fresh:
            return
        entries = {**self._stored(), **self._fresh}
        with contextlib.suppress(OSError):
            write_atomically(self.store, json.dumps({"format": FORMAT, "files": entries}).encode())
            self._known, self._fresh = entries, {}

    def _look(self, path: Path) -> Content:
        status = path.stat()
        stamp = [status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino, status.st_mode]
        old = self._stored().get(str(path))
        if old is not None and old[0] == stamp:
            executable = bool(status.st_mode & 0o100)
            return Content(old[1], executable, tuple(old[2]), _unlisted(old[3]), _unlisted(old[4]))
        data = path.read_bytes()
        self.reads += 1
        found = inspect(data, executable=bool(status.st_mode & 0o100), is_nix=path.suffix == ".nix")
        if self.now() - max(status.st_mtime_ns, status.st_ctime_ns) > SETTLED:
            mentioned = [_listed(found.inputs), _listed(found.machines)]
            self._fresh[str(path)] = [stamp, found.digest, list(found.paths), *mentioned]
        return found

    def _stored(self) -> dict[str, Any]:
        if self._known is None:
            self._known = _read_entries(self.store)
        return self._known


def _listed(names: frozenset[str] | None) -> list[str] | None:
    return None if names is None else sorted(names)


def _unlisted(names: list[str] | None) -> frozenset[str] | None:
    return None if names is None else frozenset(names)


def _read_entries(store: Path | None) -> dict[str, Any]:
    if store is None:
        return {}
    try:
        stored = json.loads(store.read_bytes())
    except (OSError, ValueError):
        return {}
    is_ours = isinstance(stored, Mapping) and stored.get("format") == FORMAT
    return dict(stored["files"]) if is_ours else {}


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file in one step, so that readers see the old or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
