"""Keeping values in order: re-encrypting to the current readers, new data keys, and removing what nobody declares."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from clanpy.errors import ClanpyError
from clanpy.generators.session import Session
from clanpy.generators.states import superfluous
from clanpy.secrets import Reader, Regrant, Stored, Transaction
from clanpy.secrets.audit import by_hand
from clanpy.secrets.transaction import DEFAULT_WAIT_SECONDS


_Wanted = Callable[[frozenset[Reader]], frozenset[Reader]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """What was re-encrypted: for each secret the keys that were added and removed; and what could not be, and why."""

    changes: tuple[Regrant, ...] = ()
    failures: tuple[tuple[PurePosixPath, ClanpyError], ...] = ()
    changed: tuple[str, ...] = ()

    def lost(self) -> dict[str, tuple[str, ...]]:
        """For each key that was removed: the secrets that its owner could read until now, and may have kept."""
        found: dict[str, list[str]] = {}
        for change in self.changes:
            for key in change.removed:
                found.setdefault(key, []).append(str(change.folder))
        return {key: tuple(sorted(folders)) for key, folders in sorted(found.items())}

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "changes": [
                {"secret": str(c.folder), "added": list(c.added), "removed": list(c.removed)} for c in self.changes
            ],
            "failures": [{"secret": str(folder), "error": error.to_dict()} for folder, error in self.failures],
            "could_read": {key: list(folders) for key, folders in self.lost().items()},
        }


async def fix(
    session: Session,
    machines: Iterable[str] = (),
    generators: Iterable[str] = (),
    *,
    wait_seconds: float = DEFAULT_WAIT_SECONDS,
) -> Fixed:
    """Encrypt every secret to those who should read it, and link them. What is so already is not touched.

    Without machines and generators, all other secrets are fixed too: hand-made ones, the private keys of machines, those of
    exports, and what nobody declares any more. Secrets that are not there yet are passed over. One that can't be re-encrypted is told and does not stop the others.

    Raises:
        TreeLockedError, WriteFailedError: as for every write.
    """
    async with session.writing(wait_seconds=wait_seconds) as (fresh, transaction):
        fixed = fix_in(fresh, transaction, machines, generators)
        return replace(fixed, changed=tuple(map(str, transaction.commit())))


def fix_in(
    session: Session, transaction: Transaction, machines: Iterable[str] = (), generators: Iterable[str] = ()
) -> Fixed:
    """As `fix`, as a part of a larger change: nothing is written before the transaction is committed."""
    changes, failures = [], []
    for folder, wanted in _targets(session, tuple(machines), frozenset(generators)):
        try:
            readers = wanted(session.store.secrets.access(folder).readers)
            change = session.store.secrets.grant(transaction, folder, _with_somebody(session, readers))
        except ClanpyError as error:
            failures.append((folder, error))
            continue
        changes += [change] if change is not None else []
    return Fixed(changes=tuple(changes), failures=tuple(failures))


async def rotate_keys(
    session: Session, machines: Iterable[str] = (), *, wait_seconds: float = DEFAULT_WAIT_SECONDS
) -> tuple[PurePosixPath, ...]:
    """Encrypt secrets under new data keys: the same values, for the same readers.

    Raises:
        NoKeyError, TamperedError: one can't be read; nothing is changed then.
    """
    async with session.writing(wait_seconds=wait_seconds) as (fresh, transaction):
        folders = [folder for folder, _ in _targets(fresh, tuple(machines), frozenset())]
        for folder in folders:
            fresh.store.secrets.rotate(transaction, folder)
        transaction.commit()
        return tuple(folders)


async def prune(session: Session, *, wait_seconds: float = DEFAULT_WAIT_SECONDS) -> tuple[Stored, ...]:
    """Remove the values that no generator declares, of machines that are gone too.

    A generator's notes go with its last value. Values of exports stay.
    """
    async with session.writing(wait_seconds=wait_seconds) as (fresh, transaction):
        gone = superfluous(fresh.graph, fresh.store, broken=fresh.context.broken)
        for stored in gone:
            fresh.store.remove(transaction, stored)
        _prune_notes(fresh, transaction, gone)
        transaction.commit()
        return gone


def _prune_notes(session: Session, transaction: Transaction, gone: Iterable[Stored]) -> None:
    removed = {stored.var for stored in gone}
    kept = {stored.var.generator_folder for stored in session.store.scan() if stored.var not in removed}
    for folder in {var.generator_folder for var in removed} - kept:
        transaction.remove(folder)


def _targets(
    session: Session, machines: tuple[str, ...], generators: frozenset[str]
) -> Iterator[tuple[PurePosixPath, _Wanted]]:
    """Every secret that is meant, and who should read it, given who does now."""
    declared: set[PurePosixPath] = set()
    for id_, node in session.graph.nodes.items():
        if (machines and not set(machines) & set(node.machines)) or (generators and id_.name not in generators):
            continue
        for name, file in node.generator.outputs().items():
            folder = id_.var(name).folder
            if file.secret and session.store.secrets.exists(folder):
                declared.add(folder)
                yield folder, partial(session.policy.wanted, node, name)
    if not machines and not generators:
        yield from _others(session, declared)


def _others(session: Session, declared: set[PurePosixPath]) -> Iterator[tuple[PurePosixPath, _Wanted]]:
    """Secrets made by hand, of exports, and of nobody any more: for whoever is linked there, as far as they are known."""
    secrets = session.store.secrets
    for folder in (*secrets.folders(), *by_hand(session.context.root, secrets)):
        if folder not in declared:
            yield folder, lambda current: frozenset(r for r in current if session.policy.has_key(r))


def _with_somebody(session: Session, readers: frozenset[Reader]) -> frozenset[Reader]:
    """A secret whose people are all gone would be lost with its machine: whoever fixes it keeps it."""
    if session.keyring.holds(tuple(session.policy.keys(readers))):
        return readers
    mine = session.access.whose(session.keyring)
    people = any(reader.kind.value != "machines" for reader in readers)
    return readers if people or not mine else readers | {mine[0]}
