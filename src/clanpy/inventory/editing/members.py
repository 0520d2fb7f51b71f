"""`inventory add` and `inventory remove`: who is in a role of an instance, by name or by tag."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from clanpy.errors import NothingMatchedError, UsageError, nearest
from clanpy.inventory.editing.errors import DefinedElsewhereError
from clanpy.inventory.editing.plan import File, Plan
from clanpy.inventory.editing.spelling import Path_, same
from clanpy.inventory.editing.values import TomlSource, read_file, real_path, toml_sources
from clanpy.inventory.loading import load_all
from clanpy.inventory.model import Fleet
from clanpy.inventory.sources import INVENTORY
from clanpy.inventory.spelling import dotted


Kind = Literal["machines", "tags"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Who is to come into a role, or to leave it.

    `service` and `input` are what the instance uses; they count for an instance that is not there yet.
    """

    instance: str
    role: str
    machines: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    service: str | None = None
    input: str | None = None
    file: str | None = None

    def path(self, kind: Kind) -> Path_:
        return ("instances", self.instance, "roles", self.role, kind)

    def names(self) -> tuple[tuple[Kind, tuple[str, ...]], ...]:
        """The names of each kind; kinds without any are left out.

        Raises:
            UsageError: there is none at all.
        """
        given: tuple[tuple[Kind, tuple[str, ...]], ...] = (("machines", self.machines), ("tags", self.tags))
        found = tuple((kind, names) for kind, names in given if names)
        if not found:
            raise UsageError("nobody is named", hint="--machine NAME or --tag TAG")
        return found


@dataclass(slots=True)
class _Draft:
    """The files as they will be: several edits of one file follow one another."""

    root: Path
    sources: list[TomlSource]
    changed: dict[str, tuple[bytes, bytes]]

    def now(self, source: TomlSource) -> bytes:
        return self.changed[source.name][1] if source.name in self.changed else read_file(self.root, source.name)

    def put(self, source: TomlSource, after: bytes) -> None:
        before = self.changed[source.name][0] if source.name in self.changed else read_file(self.root, source.name)
        self.changed[source.name] = (before, after)

    def plan(self, notes: Sequence[str]) -> Plan:
        files = tuple(
            File(path=PurePosixPath(name), real=real_path(self.root, name), before=before, after=after)
            for name, (before, after) in self.changed.items()
        )
        return Plan(root=self.root, files=files, notes=tuple(notes))


def add_members(root: Path, change: Change) -> Plan:
    """The plan to put machines, or all that carry a tag, into a role. Who is there already stays as it is.

    Raises:
        UsageError: nobody is named, or the file is none of the fleet's.
    """
    fleet, draft = load_all(root).fleet, _Draft(root, toml_sources(root), {})
    notes: list[str] = []
    _add_instance(fleet, draft, change)
    for kind, names in change.names():
        path, there = change.path(kind), _there(fleet, change, kind)
        new = [name for name in names if name not in there]
        notes += [f"{name} is there already" for name in names if name in there]
        if new:
            _write(draft, _source(draft, change, path), path, new)
    return draft.plan(notes)


def remove_members(root: Path, change: Change) -> Plan:
    """The plan to take machines, or tags, out of a role; what they are set to there goes with them.

    Raises:
        NothingMatchedError: one is not in the role by that name; the hint says how it is.
        DefinedElsewhereError: code puts it there.
    """
    fleet, draft = load_all(root).fleet, _Draft(root, toml_sources(root), {})
    notes: list[str] = []
    for kind, names in change.names():
        there = _there(fleet, change, kind)
        for name in names:
            if name not in there:
                raise _not_there(fleet, change, kind, name)
            if there[name]:
                notes.append(f"what {name} is set to there goes with it")
            _take_out(draft, change, kind, name)
    return draft.plan(notes)


def _there(fleet: Fleet, change: Change, kind: Kind) -> Mapping[str, Mapping[str, Any]]:
    """Who is in the role now, by name or by tag, with their settings there."""
    instance = fleet.instances.get(change.instance)
    role = instance.roles.get(change.role) if instance else None
    if role is None:
        return {}
    return role.machines if kind == "machines" else role.tags


def _add_instance(fleet: Fleet, draft: _Draft, change: Change) -> None:
    """The entry of an instance that is new, and called otherwise than its service."""
    if change.instance in fleet.instances:
        return
    module = {"name": change.service} if change.service not in {None, change.instance} else {}
    if change.input is not None:
        module["input"] = change.input
    if module:
        path = ("instances", change.instance, "module")
        source = _source(draft, change, path)
        draft.put(source, source.with_value(draft.now(source), path, module))


def _source(draft: _Draft, change: Change, path: Path_) -> TomlSource:
    """The file to write to: the one that is named, that says the path already, or the nearest thing above it."""
    if change.file is not None:
        found = next((source for source in draft.sources if source.name == change.file), None)
        if found is None:
            names = [source.name for source in draft.sources]
            raise UsageError(f"'{change.file}' is no TOML file of this fleet", hint=nearest(change.file, names))
        return found
    for depth in range(len(path), 1, -1):
        saying = [s for s in draft.sources if not s.source.prefix and s.says(path[:depth])]
        if saying:
            return saying[0]
    return next(source for source in draft.sources if source.name == INVENTORY)


def _write(draft: _Draft, source: TomlSource, path: Path_, names: Sequence[str]) -> None:
    """Add names in the form that stands there: to a list, or to a table."""
    written = _written(source, path)
    raw = draft.now(source)
    if isinstance(written, dict):
        for name in names:
            raw = source.with_value(raw, (*path, name), {})
    else:
        raw = source.with_value(raw, path, [*(written or ()), *names])
    draft.put(source, raw)


def _take_out(draft: _Draft, change: Change, kind: Kind, name: str) -> None:
    path, is_done = change.path(kind), False
    for source in draft.sources:
        written = _written(source, path, draft.now(source)) if source.says((*path, name)) else None
        if isinstance(written, list) and name in written:
            raw = source.with_value(draft.now(source), path, [item for item in written if item != name])
        elif isinstance(written, dict) and name in written:
            raw = source.without(draft.now(source), (*path, name))
        else:
            continue
        draft.put(source, raw)
        is_done = True
    if not is_done:
        raise DefinedElsewhereError(
            f"'{dotted((*path, name))}' is not in a TOML file of the fleet", hint="code says it: change it there"
        )


def _written(source: TomlSource, path: Path_, raw: bytes | None = None) -> Any:
    """What the file has at a path, in the form in which it stands there; None when it has nothing."""
    from clanpy.inventory.editing.splice import data_of  # noqa: PLC0415 - a parser, for one path

    inner = source.inner(path)
    data: Any = source.source.data if raw is None else data_of(raw)
    for n, part in enumerate(inner or ()):
        key = next((k for k in data if same(path[:n], k, part)), None) if isinstance(data, dict) else None
        if key is None:
            return None
        data = data[key]
    return data


def _not_there(fleet: Fleet, change: Change, kind: Kind, name: str) -> NothingMatchedError:
    there = _there(fleet, change, kind)
    what = "machine" if kind == "machines" else "tag"
    hint = nearest(name, there)
    machine = fleet.machines.get(name)
    if kind == "machines" and machine is not None:
        tags = [tag for tag in _there(fleet, change, "tags") if tag in machine.tags]
        hint = f"it is in it because it carries the tag '{tags[0]}'" if tags else hint
    return NothingMatchedError(
        f"the {what} '{name}' is not named in role '{change.role}' of instance '{change.instance}'", hint=hint
    )
