"""A machine's own source tree: which files are in it, under which names, and where each came from."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from clanpy.errors import Place
from clanpy.nix.errors import SourceError
from clanpy.nix.files import Content, FileCache, inspect


GENERATED = "generated"
PACKAGE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a tree: a file to be copied, or text that was made."""

    content: Content
    source: Path | bytes

    def data(self) -> bytes:
        return self.source if isinstance(self.source, bytes) else self.source.read_bytes()


@dataclass(slots=True)
class Tree:
    """The tree while it grows. A Nix file brings along what it mentions by relative path.

    Attributes:
        generated: the folder in it for files that are made.
        up: the way to its root from the Nix file that is made, as Nix writes it.
    """

    root: Path
    cache: FileCache
    generated: str = GENERATED
    up: str = "./"
    entries: dict[str, Entry] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)

    def add_file(self, path: Path) -> str:
        """Put a file into the tree, and everything that it mentions; returns its name there.

        Raises:
            SourceError: it can't be read.
        """
        name = self._name(path)
        pending = [path]
        while pending:
            pending += self._add_one(pending.pop())
        return name

    def add_folder(self, folder: Path, *, leave_out: frozenset[str] = frozenset()) -> None:
        """Put every file of a folder into the tree."""
        for path in self.cache.files_below(folder):
            if path.name not in leave_out:
                self.add_file(path)

    def add_text(self, name: str, text: str, origin: str) -> str:
        """Put a file that was made into the tree, under a name like `name` in the folder for such; returns its name there."""
        stem, dot, suffix = name.rpartition(".")
        number, unique = 1, f"{self.generated}/{name}"
        data = text.encode()
        while unique in self.entries and self.entries[unique].source != data:
            number += 1
            unique = f"{self.generated}/{stem}-{number}{dot}{suffix}"
        self.put(unique, data, origin)
        return unique

    def put(self, name: str, data: bytes, origin: str) -> None:
        """Put a file under exactly this name."""
        self.entries[name] = Entry(inspect(data, executable=False, is_nix=name.endswith(".nix")), data)
        self.origins[name] = origin

    def inputs(self) -> frozenset[str] | None:
        """The flake inputs that some file mentions; None when one could read any."""
        found: set[str] = set()
        for entry in self.entries.values():
            if entry.content.inputs is None:
                return None
            found |= entry.content.inputs
        return frozenset(found)

    def machines(self) -> frozenset[str] | None:
        """The other machines whose values some file reads; None when one could read those of any."""
        found: set[str] = set()
        for entry in self.entries.values():
            if entry.content.machines is None:
                return None
            found |= entry.content.machines
        return frozenset(found)

    def digest(self) -> str:
        """The content key of the tree as it is now."""
        state = hashlib.sha256()
        for name, entry in sorted(self.entries.items()):
            mode = "x" if entry.content.executable else "-"
            state.update(f"{entry.content.digest} {mode} {name}\n".encode())
        return state.hexdigest()

    def write(self, folder: Path) -> None:
        """Write the tree into a folder that is not there yet, whole or not at all."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".new-"))
        try:
            for name, entry in self.entries.items():
                _write(fresh / name, entry)
            fresh.chmod(0o755)
            # another run may have been faster: its tree is the same
            with contextlib.suppress(FileExistsError, OSError):
                fresh.rename(folder)
            if not folder.is_dir():
                raise SourceError("the sources of a machine can't be written", place=Place(str(folder)))
        finally:
            shutil.rmtree(fresh, ignore_errors=True)

    def _add_one(self, path: Path) -> list[Path]:
        """Add one file; returns the files that it mentions."""
        name = self._name(path)
        if name in self.entries:
            return []
        content = self.cache.content(path)
        self.entries[name] = Entry(content, path)
        self.origins[name] = name if not name.startswith("external/") else str(path)
        return [found for text in content.paths for found in self._mentioned(path, text)]

    def _mentioned(self, path: Path, text: str) -> tuple[Path, ...]:
        target = Path(os.path.normpath(path.parent / text))
        home = self.root if path.is_relative_to(self.root) else path.parent
        if not target.is_relative_to(home):
            return ()
        if target.is_dir():
            return self.cache.files_below(target)
        return (target,) if target.is_file() else ()

    def _name(self, path: Path) -> str:
        """Where a file lies in the tree: as in the fleet, so that relative paths keep their meaning."""
        for home, prefix in ((PACKAGE, "clanpy"), (self.root, ".")):
            if path.is_relative_to(home):
                return str(PurePosixPath(prefix) / path.relative_to(home).as_posix())
        folder = hashlib.sha256(str(path.parent).encode()).hexdigest()[:8]
        return f"external/{folder}-{path.parent.name}/{path.name}"


def _write(target: Path, entry: Entry) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    data = entry.data()
    if hashlib.sha256(data).hexdigest() != entry.content.digest:
        raise SourceError("was changed while it was read", place=Place(str(entry.source)), hint="run the command again")
    target.write_bytes(data)
    target.chmod(0o755 if entry.content.executable else 0o644)
