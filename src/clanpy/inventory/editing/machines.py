"""Machines that come, go, or get another name: the inventory and every file that knows of them, as one edit."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from clanpy.errors import NothingMatchedError, Place, nearest
from clanpy.inventory.editing.errors import DefinedElsewhereError, NameTakenError, NotEditableError
from clanpy.inventory.editing.folders import moves, owned
from clanpy.inventory.editing.plan import File, Plan
from clanpy.inventory.editing.references import deleted, renamed
from clanpy.inventory.editing.values import TomlSource, read_file, real_path, set_value, toml_sources
from clanpy.inventory.errors import BadNameError
from clanpy.inventory.explain import definitions
from clanpy.inventory.loading import load_all
from clanpy.inventory.model import Fleet
from clanpy.inventory.schema import MACHINE_NAME


_CONFIGURATION = """\
# What only {name} has. Everything else comes from its tags, its imports and its services.
{{ ... }}:

{{
}}
"""
_MENTIONED_IN = ("inventory.toml", "inventory", "machines", "modules", "services", "flake.nix")
_TEXT = {".toml", ".nix", ".py", ".md", ".j2", ".sh", ".json"}
_MOST = 10  # mentions in a note
_MAX_BYTES = 500_000


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMachine:
    """A machine to be. `fields` are those of its entry, in the order in which they are written."""

    name: str
    fields: Mapping[str, Any]
    file: str | None = None
    with_files: bool = True


def create(root: Path, machine: NewMachine) -> Plan:
    """The plan for a new machine: its entry, and a first file in its folder.

    Raises:
        NameTakenError: there is one of that name.
        BadNameError: that can't be a name.
    """
    fleet = load_all(root).fleet
    _check_new(fleet, machine.name)
    plan = set_value(root, ("machines", machine.name), dict(machine.fields), file=machine.file)
    folder = root / "machines" / machine.name
    if not machine.with_files or (folder.is_dir() and any(folder.iterdir())):
        return plan
    text = _CONFIGURATION.format(name=machine.name).encode()
    path = PurePosixPath("machines", machine.name, "configuration.nix")
    return Plan(root=root, files=(*plan.files, File(path=path, real=path, before=None, after=text)))


def rename(root: Path, old: str, new: str) -> Plan:
    """The plan to give a machine another name, everywhere.

    Raises:
        NothingMatchedError: there is no machine of the old name.
        NameTakenError: there is one of the new name, or its folder.
        DefinedElsewhereError: code defines the machine.
    """
    sources = toml_sources(root)
    fleet = _with_machine(root, old, sources)
    _check_new(fleet, new)
    if old.casefold() == new.casefold():
        raise NameTakenError(
            f"'{old}' and '{new}' would be one folder where names of files have no case", hint="rename it twice"
        )
    moved = tuple(moves(root, old, new))
    taken = next((move.new for move in moved if move.new != move.old and (root / move.new).exists()), None)
    if taken is not None:
        raise NameTakenError(f"'{taken}' is there already", place=Place(str(taken)), hint="move it out of the way")
    files = tuple(_edited(root, sources, lambda raw, prefix: renamed(raw, prefix, old, new)))
    files = tuple(_below(file, old, new) for file in files)
    paths = {file.real for file in files}
    return Plan(
        root=root,
        files=files,
        moved=tuple(move for move in moved if move.new not in paths),
        removed=tuple(move.old for move in moved if move.new in paths),
        notes=tuple(
            note.replace(f"machines/{old}/", f"machines/{new}/")
            for note in _mentions(root, old, {str(file.path): file.after for file in files}, gone=())
        ),
        renamed=(old, new),
    )


def delete(root: Path, name: str) -> Plan:
    """The plan to forget a machine: its entry, its folder, values and keys, and everything that names it.

    Raises:
        NothingMatchedError: there is no such machine.
        DefinedElsewhereError: code defines the machine.
    """
    sources = toml_sources(root)
    _with_machine(root, name, sources)
    removed = owned(root, name)
    own = PurePosixPath("machines", name)
    sources = [source for source in sources if own not in PurePosixPath(source.name).parents]
    files = tuple(_edited(root, sources, lambda raw, prefix: deleted(raw, prefix, name)))
    notes = list(_mentions(root, name, {str(file.path): file.after for file in files}, gone=(own,)))
    if any(path.parts[0] in {"vars", "secrets"} and path.parts[-2] == "machines" for path in removed):
        notes.append("shared values are still encrypted to its key as well: `clanpy vars fix` encrypts them anew")
    return Plan(root=root, files=files, removed=removed, notes=tuple(notes))


def _check_new(fleet: Fleet, name: str) -> None:
    if not MACHINE_NAME.fits(name):
        raise BadNameError(f"'{name}' can't be {MACHINE_NAME.what}", hint=MACHINE_NAME.hint)
    if name in fleet.machines:
        raise NameTakenError(f"there is a machine '{name}' already", place=fleet.where("machines", name))


def _with_machine(root: Path, name: str, sources: list[TomlSource]) -> Fleet:
    fleet = load_all(root).fleet
    if name not in fleet.machines:
        raise NothingMatchedError(f"there is no machine '{name}'", hint=nearest(name, fleet.machines))
    known = {source.name for source in sources}
    own = f"machines/{name}/"  # what is in its folder comes along
    places = [line.place for line in definitions(fleet, ("machines", name)) if line.place is not None]
    code = [place for place in places if place.file not in known and not place.file.startswith(own)]
    if code:
        raise DefinedElsewhereError(
            f"machine '{name}' is defined by code", place=code[0], hint="change it there, then run this again"
        )
    return fleet


def _edited(root: Path, sources: list[TomlSource], change: Callable[[bytes, tuple[str, ...]], bytes]) -> Iterator[File]:
    """The files that are different afterwards, each once, links followed."""
    seen: set[PurePosixPath] = set()
    for source in sources:
        raw = read_file(root, source.name)
        try:
            after = change(raw, source.source.prefix)
        except NotEditableError as error:
            line = None if error.place is None else error.place.line
            raise NotEditableError(error.message, place=Place(source.name, line), hint=error.hint) from None
        real = real_path(root, source.name)
        if after != raw and real not in seen:
            seen.add(real)
            yield File(path=PurePosixPath(source.name), real=real, before=raw, after=after)


def _below(file: File, old: str, new: str) -> File:
    """A file that changes and is in the machine's folder has its new path."""
    own = PurePosixPath("machines", old)
    if own not in file.real.parents:
        return file
    path = PurePosixPath("machines", new) / file.real.relative_to(own)
    return File(path=path, real=path, before=None, after=file.after)


def _mentions(root: Path, name: str, changed: Mapping[str, bytes], gone: tuple[PurePosixPath, ...]) -> Iterator[str]:
    """Where the name still stands afterwards: in code, in texts, in addresses. Nobody but a person knows what they mean."""
    found: list[str] = []
    for path in _texts(root):
        here = path.relative_to(root).as_posix()
        if any(folder in PurePosixPath(here).parents for folder in gone):
            continue
        raw = changed.get(here)
        found += [f"{here}:{line}" for line in _lines_with(raw if raw is not None else _read(path), name)]
    if found:
        more = f" and {len(found) - _MOST} more" if len(found) > _MOST else ""
        yield f"'{name}' still stands in {', '.join(found[:_MOST])}{more}"


def _texts(root: Path) -> Iterator[Path]:
    for name in _MENTIONED_IN:
        path = root / name
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        yield from (file for file in files if file.suffix in _TEXT and file.is_file())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes() if path.stat().st_size <= _MAX_BYTES else b""
    except OSError as error:
        raise NotEditableError(f"{path.name} can't be read: {(error.strerror or '').lower()}") from error


def _lines_with(raw: bytes, name: str) -> Iterator[int]:
    pattern = re.compile(rb"(?<![\w-])" + re.escape(name.encode()) + rb"(?![\w-])")
    for number, line in enumerate(raw.splitlines(), 1):
        if pattern.search(line):
            yield number
