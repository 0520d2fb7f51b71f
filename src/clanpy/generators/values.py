"""Looking at values, setting them by hand, taking them out and bringing them back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clanpy.errors import nearest
from clanpy.generators.errors import VarNotFoundError
from clanpy.generators.graph import Node
from clanpy.generators.session import Session
from clanpy.secrets import Placement, Scope, Secret, Transaction, VarId, validation_hash
from clanpy.secrets.errors import PlaintextPlaceError, SecretNotFoundError, disk_errors
from clanpy.secrets.layout import VALIDATION_LEAF
from clanpy.secrets.scratch import is_memory
from clanpy.secrets.transaction import DEFAULT_WAIT_SECONDS
from clanpy.services.generator import VarFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A declared value: which one, what it is, whether it is there, and the value itself when it is public."""

    var: VarId
    file: VarFile
    exists: bool
    public: bytes | None = None

    def shown(self) -> str:
        """For people: the value, or stars, or that it is not set."""
        if not self.exists:
            return "<not set>"
        return "********" if self.public is None else self.public.decode(errors="replace").strip()

    def to_dict(self) -> dict[str, Any]:
        """As JSON; a secret has no value there."""
        return {
            "generator": self.var.generator,
            "file": self.var.file,
            "shared": self.var.placement.scope is Scope.SHARED,
            "secret": self.file.secret,
            "deploy": self.file.deploy,
            "exists": self.exists,
            "value": None if self.public is None else self.public.decode(errors="replace"),
        }


def listed(session: Session, machine: str) -> Iterator[Listed]:
    """Every value that a machine's generators declare, sorted by generator and file."""
    for id_ in sorted(session.graph.of_machine(machine), key=lambda i: i.name):
        node = session.graph.nodes[id_]
        for name, file in node.declarations[machine].outputs().items():
            var = id_.var(name)
            exists = session.store.exists(var, secret=file.secret)
            public = session.store.public(var) if exists and not file.secret else None
            yield Listed(var=var, file=file, exists=exists, public=public)


def find(session: Session, machine: str, name: str) -> tuple[Node, str, VarFile]:
    """The declared value called `<generator>/<file>` on a machine (or `<generator>` when it makes one file).

    Raises:
        VarNotFoundError: there is none.
    """
    known: dict[str, tuple[Node, str, VarFile]] = {}
    for id_ in session.graph.of_machine(machine):
        node = session.graph.nodes[id_]
        files = node.declarations[machine].outputs()
        for file, declared in files.items():
            known[f"{id_.name}/{file}"] = (node, file, declared)
            if len(files) == 1:
                known.setdefault(id_.name, (node, file, declared))
    if name not in known:
        begins = sorted(key for key in known if key.startswith(name) and "/" in key)
        hint = f"did you mean {' or '.join(map(repr, begins[:3]))}?" if begins else nearest(name, known)
        raise VarNotFoundError(f"machine {machine} declares no value {name!r}", hint=hint)
    return known[name]


def get(session: Session, machine: str, name: str) -> Secret:
    """A value, decrypted.

    Raises:
        VarNotFoundError: it is not declared, or was not generated yet.
        NoKeyError, TamperedError: it can't be decrypted.
    """
    node, file, declared = find(session, machine, name)
    var = node.id.var(file)
    try:
        return session.store.read(var, secret=declared.secret)
    except SecretNotFoundError:
        raise VarNotFoundError(
            f"{var} is not there yet", hint=f"`clanpy vars generate {machine}` or `clanpy vars set {machine} {name}`"
        ) from None


async def put(
    session: Session, machine: str, name: str, value: Secret, *, wait_seconds: float = DEFAULT_WAIT_SECONDS
) -> tuple[str, ...]:
    """Set a value by hand. It counts as made with the current validation value, so that nothing makes it again.

    Raises:
        VarNotFoundError: it is not declared.
        NoKeyError: the keys at hand belong to nobody in the fleet.
    """
    find(session, machine, name)
    async with session.writing(wait_seconds=wait_seconds) as (fresh, transaction):
        node, file, declared = find(fresh, machine, name)
        var = node.id.var(file)
        if declared.secret:
            fresh.store.secrets.add_machine(transaction, machine, fresh.policy.groups)
        current = fresh.store.secrets.access(var.folder).readers if fresh.store.exists(var, secret=True) else ()
        readers = fresh.policy.wanted(node, file, current) if declared.secret else ()
        fresh.store.write(transaction, var, value, secret=declared.secret, readers=readers)
        generator = node.generator
        at = fresh.now() if generator.expires is not None else None
        wanted = validation_hash(generator.validation)
        fresh.store.note(transaction, node.id.placement, node.id.name, validation=wanted, at=at)
        return tuple(map(str, transaction.commit()))


def export(session: Session, folder: Path, *, to_disk: bool = False) -> int:
    """Write every declared value that is there in plain text below a new folder, and return how many there were.

    `<folder>/{per-machine/<machine>,shared}/<generator>/<file>`, with `.validation-hash` beside the files.

    Raises:
        PlaintextPlaceError: the folder would be on a disk, and that was not asked for.
        WriteFailedError: it exists already, or can't be written.
    """
    if not to_disk and not is_memory(folder.absolute().parent):
        raise PlaintextPlaceError(
            f"{folder} is on a disk, and all secrets would be written there in plain text",
            hint="choose a folder on a tmpfs (/dev/shm), or say `--to-disk`",
        )
    count = 0
    with disk_errors(f"write to {folder}"):
        folder.mkdir(mode=0o700, parents=True)
        for id_, node in session.graph.nodes.items():
            there = folder / id_.placement.scope.value / id_.placement.name / id_.name
            for name, file in node.generator.outputs().items():
                if session.store.exists(id_.var(name), secret=file.secret):
                    _write_plain(there / name, session.store.read(id_.var(name), secret=file.secret))
                    count += 1
            note = session.store.validation(id_.placement, id_.name)
            if note is not None and there.is_dir():
                _write_plain(there / VALIDATION_LEAF, Secret(note))
    return count


async def bring_in(session: Session, folder: Path, *, wait_seconds: float = DEFAULT_WAIT_SECONDS) -> int:
    """Store what `export` wrote, all at once, and return how many values there were.

    Raises:
        VarNotFoundError: the folder holds a value that no generator declares; nothing is stored then.
    """
    async with session.writing(wait_seconds=wait_seconds) as (fresh, transaction):
        count = 0
        machines = {m for node in fresh.graph.nodes.values() for m in node.machines}
        for machine in sorted(machines):
            fresh.store.secrets.add_machine(transaction, machine, fresh.policy.groups)
        declared = {
            id_.var(name): (node, file)
            for id_, node in fresh.graph.nodes.items()
            for name, file in node.generator.outputs().items()
        }
        for var, content in _exported(folder):
            if var not in declared:
                raise VarNotFoundError(
                    f"{folder} holds {var}, which no generator declares", hint=nearest(str(var), map(str, declared))
                )
            node, file = declared[var]
            readers = fresh.policy.wanted(node, var.file) if file.secret else ()
            fresh.store.write(transaction, var, content, secret=file.secret, readers=readers)
            _bring_note(fresh, transaction, folder, var)
            count += 1
        transaction.commit()
        return count


def _write_plain(path: Path, value: Secret) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(value.reveal())


def _exported(folder: Path) -> Iterator[tuple[VarId, Secret]]:
    for scope, depth in ((Scope.MACHINE, 3), (Scope.SHARED, 2)):
        for path in sorted((folder / scope.value).glob("/".join("*" * depth))):
            if path.is_file() and path.name != VALIDATION_LEAF:
                name, generator, file = ("", *path.relative_to(folder / scope.value).parts)[-3:]
                yield VarId(Placement(scope, name), generator, file), Secret(path.read_bytes())


def _bring_note(session: Session, transaction: Transaction, folder: Path, var: VarId) -> None:
    note = folder / var.placement.scope.value / var.placement.name / var.generator / VALIDATION_LEAF
    if note.is_file():
        text = note.read_text().strip()
        session.store.note(transaction, var.placement, var.generator, validation=text, at=None)
