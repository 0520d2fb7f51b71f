"""Vars on disk: public values in the open, secrets in a store, and what is noted about each generator beside them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

from clanpy.secrets.layout import (
    GENERATED_LEAF,
    PUBLIC_LEAF,
    VALIDATION_LEAF,
    VARS,
    Placement,
    Reader,
    Scope,
    VarId,
)
from clanpy.secrets.store import SecretStore, leaves, read_file
from clanpy.secrets.transaction import Transaction
from clanpy.secrets.value import Secret


_PUBLIC_MODE = 0o644


@dataclass(frozen=True, slots=True, order=True)
class Stored:
    """A var that is on the disk."""

    var: VarId
    secret: bool


def validation_hash(validation: Any) -> str | None:
    """The hash of a validation value: SHA-256 of its JSON, compact and with sorted keys. None has none."""
    if validation is None:
        return None
    text = json.dumps(validation, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class VarStore:
    """Both halves of the vars of a fleet."""

    root: Path
    secrets: SecretStore

    def exists(self, var: VarId, *, secret: bool) -> bool:
        """Whether a var is there, as a secret or as a public value."""
        if secret:
            return self.secrets.exists(var.folder)
        return os.path.isfile(f"{self.root}/{var.folder}/{PUBLIC_LEAF}")  # noqa: PTH113 - asked for every var of a fleet

    def public(self, var: VarId) -> bytes:
        """A public value.

        Raises:
            SecretNotFoundError: there is none.
        """
        return read_file(self.root, var.folder / PUBLIC_LEAF)

    def read(self, var: VarId, *, secret: bool) -> Secret:
        """A value of either kind.

        Raises:
            SecretNotFoundError, NoKeyError, TamperedError: as reading a secret does.
        """
        return self.secrets.read(var.folder) if secret else Secret(self.public(var))

    def write(
        self, transaction: Transaction, var: VarId, value: Secret, *, secret: bool, readers: Iterable[Reader] = ()
    ) -> None:
        """Store a value; what the var was in the other half before is removed."""
        if secret:
            transaction.remove(var.folder / PUBLIC_LEAF)
            self.secrets.write(transaction, var.folder, value, readers)
            return
        if self.secrets.exists(var.folder):
            self.secrets.remove(transaction, var.folder)
        transaction.write(var.folder / PUBLIC_LEAF, value.reveal(), mode=_PUBLIC_MODE)

    def remove(self, transaction: Transaction, stored: Stored) -> None:
        """Remove one var."""
        if stored.secret:
            self.secrets.remove(transaction, stored.var.folder)
        else:
            transaction.remove(stored.var.folder)

    def validation(self, placement: Placement, generator: str) -> str | None:
        """The validation hash that a generator's values were made with."""
        return self._note(placement, generator, VALIDATION_LEAF)

    def generated_at(self, placement: Placement, generator: str) -> datetime | None:
        """When a generator's values were made, where that was noted (it is for those that expire)."""
        try:
            return datetime.fromisoformat(self._note(placement, generator, GENERATED_LEAF) or "")
        except ValueError:
            return None

    def note(
        self,
        transaction: Transaction,
        placement: Placement,
        generator: str,
        *,
        validation: str | None,
        at: datetime | None,
    ) -> None:
        """Note what a generator's values were made with, and when."""
        stamp = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at else None
        for leaf, text in ((VALIDATION_LEAF, validation), (GENERATED_LEAF, stamp)):
            path = placement.folder / generator / leaf
            if text is None:
                transaction.remove(path)
            else:
                transaction.write(path, text.encode())

    def scan(self) -> Iterator[Stored]:
        """Everything that is on the disk: secrets first, each half sorted."""
        yield from (Stored(var_of(folder), secret=True) for folder in self.secrets.folders())
        yield from (Stored(var_of(folder), secret=False) for folder in leaves(self.root, PUBLIC_LEAF))

    def _note(self, placement: Placement, generator: str, leaf: str) -> str | None:
        try:
            return Path(f"{self.root}/{placement.text}/{generator}/{leaf}").read_text().strip()
        except FileNotFoundError:
            return None


def var_of(folder: PurePosixPath) -> VarId:
    """The var that a folder below `vars/` belongs to."""
    scope, *names = folder.relative_to(VARS).parts
    if Scope(scope) is Scope.SHARED:
        names = ["", *names]
    name, generator, file = names
    return VarId(Placement(Scope(scope), name), generator, file)
