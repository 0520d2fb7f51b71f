"""What a fleet would be after an edit: loaded and checked in a folder that shows the fleet's files with the changes in them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from clanpy.errors import ClanpyError
from clanpy.inventory.findings import check_fleet


Overlay = Mapping[PurePosixPath, bytes | Path | None]
"""Files by their path in the fleet: their new content, what a link leads to, or None where there is none any more."""
_HIDDEN = {".git", ".clanpy-pending"}


def new_errors(root: Path, overlay: Overlay, renamed: tuple[str, str] | None = None) -> tuple[ClanpyError, ...]:
    """The errors that a fleet would have with these changes and does not have without.

    `renamed` is a machine's old and new name: what was wrong with it before is no new error afterwards.
    """
    after = _errors(root, overlay)
    if not after:
        return ()
    known = Counter(_said(error, renamed) for error in _errors(root, {}))
    found = []
    for error in after:
        said = _said(error)
        if known[said]:
            known[said] -= 1
        else:
            found.append(error)
    return tuple(found)


def _errors(root: Path, overlay: Overlay) -> tuple[ClanpyError, ...]:
    with shadowed(root, overlay) as shadow:
        return check_fleet(shadow).errors


def _said(error: ClanpyError, renamed: tuple[str, str] | None = None) -> tuple[str, str]:
    """What an error says, without the line where it stands."""
    said = error.message
    if renamed is not None:
        said = re.sub(rf"(?<![\w-]){re.escape(renamed[0])}(?![\w-])", renamed[1], said)
    return error.code, said


@contextmanager
def shadowed(root: Path, overlay: Overlay) -> Iterator[Path]:
    """A folder that shows the fleet as it will be. What does not change is linked."""
    with TemporaryDirectory(prefix="clanpy-edit-") as folder:
        shadow = Path(folder).resolve() / root.name
        _mirror(root.resolve(), shadow, PurePosixPath(), overlay)
        for path, content in overlay.items():
            if content is not None:
                (shadow / path).parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, Path):
                (shadow / path).symlink_to(content)
            elif content is not None:
                (shadow / path).write_bytes(content)
        yield shadow


def _mirror(folder: Path, shadow: Path, here: PurePosixPath, overlay: Overlay) -> None:
    shadow.mkdir()
    changed = {part for path in overlay if (part := _first(here, path)) is not None}
    for entry in folder.iterdir():
        path = here / entry.name
        if (entry.name in _HIDDEN and not here.parts) or path in overlay:
            continue
        if entry.name in changed and entry.is_dir():
            _mirror(entry, shadow / entry.name, path, overlay)
        else:
            (shadow / entry.name).symlink_to(entry)
    if here.parts and not any(shadow.iterdir()):  # git knows no empty folders, and neither do we
        shadow.rmdir()


def _first(here: PurePosixPath, path: PurePosixPath) -> str | None:
    """The next part of a path that is below a folder."""
    depth = len(here.parts)
    return path.parts[depth] if path.parts[:depth] == here.parts and len(path.parts) > depth else None
