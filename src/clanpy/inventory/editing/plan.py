"""An edit as data: which files get which content, what is moved, what goes; shown as a diff, carried out as a whole or not at all."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from clanpy.errors import ClanpyError, Place
from clanpy.inventory.editing.errors import BrokenEditError, ChangedMeanwhileError, NotEditableError
from clanpy.inventory.editing.shadow import Overlay, new_errors
from clanpy.secrets.disk import Disk
from clanpy.secrets.transaction import Transaction, Tree


EDIT_SCHEMA = "clanpy.edit/1"
_MODE_BITS = 0o777


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file of text that changes. `before` is None when it is new. `real` is where it is, links followed."""

    path: PurePosixPath
    real: PurePosixPath
    before: bytes | None
    after: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """Something that gets another path. `link` is what a link says then."""

    old: PurePosixPath
    new: PurePosixPath
    link: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """An edit.

    Attributes:
        files: those whose text changes, links that are changed in place included.
        moved: files and links that get another path, or a link that says something else at the same path.
        removed: what goes, with all that is in it.
        notes: what a person should look at themselves.
        renamed: a machine's old and new name.
    """

    root: Path
    files: tuple[File, ...] = ()
    moved: tuple[Moved, ...] = ()
    removed: tuple[PurePosixPath, ...] = ()
    notes: tuple[str, ...] = ()
    renamed: tuple[str, str] | None = None

    @property
    def is_empty(self) -> bool:
        return not (any(file.before != file.after for file in self.files) or self.moved or self.removed)

    def diff(self) -> Iterator[str]:
        """What changes, as `diff -u` shows it, then a line for each thing that is moved or removed."""
        for file in self.files:
            old = (file.before or b"").decode("utf-8", "replace").splitlines()
            new = file.after.decode("utf-8", "replace").splitlines()
            before = "/dev/null" if file.before is None else f"a/{file.path}"
            yield from difflib.unified_diff(old, new, before, f"b/{file.path}", lineterm="")
        yield from (f"move {moved}" for moved in self.moves())
        yield from (f"remove {path}" for path in self.removed)

    def moves(self) -> Iterator[str]:
        """What gets another path; the files of a folder that moves as a whole in one line."""
        together: dict[tuple[PurePosixPath, PurePosixPath], list[Moved]] = {}
        for moved in self.moved:
            if moved.old != moved.new:
                together.setdefault(_differing(moved), []).append(moved)
        for (old, new), files in together.items():
            if len(files) == 1:
                yield f"{files[0].old} → {files[0].new}"
            else:
                yield f"{old} → {new} ({len(files)} files)"

    def to_dict(self, *, is_done: bool) -> dict[str, Any]:
        """As JSON: `schema, done, files, moved, removed, diff, notes`."""
        return {
            "schema": EDIT_SCHEMA,
            "done": is_done,
            "files": [str(file.path) for file in self.files if file.before != file.after],
            "moved": [{"from": str(moved.old), "to": str(moved.new)} for moved in self.moved if moved.old != moved.new],
            "removed": [str(path) for path in self.removed],
            "diff": list(self.diff()),
            "notes": list(self.notes),
        }

    def overlay(self) -> Overlay:
        """The fleet's files as they will be, as far as loading looks at them."""
        found: dict[PurePosixPath, bytes | Path | None] = dict.fromkeys(self.removed)
        for moved in self.moved:
            here = self.root / moved.old
            found[moved.old] = None
            found[moved.new] = here.read_bytes() if moved.link is None else here.resolve()
        found.update({file.path: file.after for file in self.files})
        return found


def _differing(moved: Moved) -> tuple[PurePosixPath, PurePosixPath]:
    """The two paths as far as the first part in which they differ."""
    pairs = zip(moved.old.parts, moved.new.parts, strict=False)
    depth = next(n for n, (old, new) in enumerate(pairs, 1) if old != new)
    return PurePosixPath(*moved.old.parts[:depth]), PurePosixPath(*moved.new.parts[:depth])


@dataclass(frozen=True, slots=True)
class Editor:
    """Carries edits of one fleet out. `disk` is replaced by tests that stop the world."""

    root: Path
    disk: Disk = field(default_factory=Disk)

    def run(self, make: Callable[[], Plan], *, force: bool = False, agreed: Plan | None = None) -> Plan:
        """Make a plan and carry it out, as the only writer of the fleet.

        Args:
            make: looks at the fleet as it is now and gives the plan.
            force: do it even when the fleet has new errors afterwards.
            agreed: the plan that a person said yes to; another one is not carried out.

        Raises:
            BrokenEditError: the fleet would have new errors.
            ChangedMeanwhileError: the fleet is no longer as it was when it was looked at.
            NotEditableError: a file must not be written.
            SecretsError: another writer does not finish, or the disk refuses; nothing is changed then.
        """
        with Tree(self.root, self.disk).writing() as transaction:
            plan = make()
            if agreed is not None and plan != agreed:
                raise ChangedMeanwhileError(
                    "the fleet's files have changed while you were asked", hint="look at it again"
                )
            if plan.is_empty:
                return plan
            if not force:
                check(plan)
            self._write(plan, transaction)
        return plan

    def _write(self, plan: Plan, transaction: Transaction) -> None:
        outside = [file.real for file in plan.files if file.real.is_absolute()]
        if outside and (len(plan.files) > 1 or plan.moved or plan.removed):
            raise NotEditableError(
                f"{outside[0]} is not in the fleet's folder, so that it can't be changed together with other files",
                hint="copy it into the fleet, where now there is a link to it",
            )
        for file in plan.files:
            _check_unchanged(self.root, file)
        if outside:
            _replace(Path(outside[0]), plan.files[0].after)
            return
        for path in plan.removed:
            transaction.remove(path)
        for moved in plan.moved:
            _move(self.root, moved, transaction)
        for file in plan.files:
            transaction.write(file.real, file.after, mode=_mode(self.root / file.real))
        transaction.commit()


def check(plan: Plan) -> None:
    """Say so when the fleet would have new errors.

    Raises:
        BrokenEditError: it would.
    """
    errors = new_errors(plan.root, plan.overlay(), plan.renamed)
    if errors:
        raise broken(errors)


def broken(errors: tuple[ClanpyError, ...]) -> BrokenEditError:
    what = "an error" if len(errors) == 1 else f"{len(errors)} errors"
    details = [line for error in errors for line in (str(error), *((f"  hint: {error.hint}",) if error.hint else ()))]
    return BrokenEditError(
        f"nothing was changed: the fleet would have {what} that it does not have now",
        details=details,
        hint="--force writes it all the same",
    )


def _check_unchanged(root: Path, file: File) -> None:
    here = root / file.path
    now = here.read_bytes() if here.is_file() else None
    if now != file.before:
        raise ChangedMeanwhileError(f"{file.path} was changed by somebody else just now", hint="do it again")
    if now is not None and not (here.stat().st_mode & 0o222 and os.access(here, os.W_OK)):
        raise NotEditableError(f"{file.path} is read-only", place=Place(str(file.path)), hint=f"chmod u+w {file.path}")


def _mode(path: Path) -> int:
    return path.stat().st_mode & _MODE_BITS if path.is_file() else 0o644


def _move(root: Path, moved: Moved, transaction: Transaction) -> None:
    here = root / moved.old
    if moved.old != moved.new:
        transaction.remove(moved.old)
    if moved.link is not None:
        transaction.link(moved.new, moved.link)
    else:
        transaction.write(moved.new, here.read_bytes(), mode=_mode(here))


def _replace(path: Path, content: bytes) -> None:
    """Replace one file as a whole, beside which there may be no other of ours."""
    draft = path.with_name(f".{path.name}.clanpy-{os.getpid()}")
    disk = Disk()
    try:
        disk.write(draft, content, _mode(path))
        disk.flush([draft])
        disk.rename(draft, path)
        disk.flush([path.parent])
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise NotEditableError(
            f"{path} can't be written: {(error.strerror or 'error').lower()}", place=Place(str(path))
        ) from error
