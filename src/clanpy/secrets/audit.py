"""Who can read what: now, as links and ciphertexts say, and when that changed, as git remembers."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from clanpy.secrets.access import AccessFolder
from clanpy.secrets.errors import SecretsError
from clanpy.secrets.layout import SECRETS, Reader, ReaderKind
from clanpy.secrets.store import SecretStore


_GIT_SECONDS = 60
_RECORD, _FIELD = "\x1e", "\x1f"


@dataclass(frozen=True, slots=True, kw_only=True)
class Readable:
    """One secret and everybody who can read it.

    Attributes:
        folder: the secret.
        readers: the people and machines that the fleet gives access, groups replaced by their members, sorted.
        through: for each of those that are there by a group: the groups.
        unknown: keys that open the ciphertext and belong to nobody in the fleet.
        problem: why it can't be told, when it can't.
    """

    folder: PurePosixPath
    readers: tuple[Reader, ...] = ()
    through: dict[Reader, tuple[str, ...]]
    unknown: tuple[str, ...] = ()
    problem: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "secret": str(self.folder),
            "users": [r.name for r in self.readers if r.kind is ReaderKind.USER],
            "machines": [r.name for r in self.readers if r.kind is ReaderKind.MACHINE],
            "groups": sorted({group for groups in self.through.values() for group in groups}),
            "unknown_keys": list(self.unknown),
            "problem": self.problem,
        }


@dataclass(frozen=True, slots=True)
class AccessChange:
    """A link that was made or removed in git: somebody was given access to a secret, or it was taken away."""

    when: datetime
    commit: str
    author: str
    given: bool
    reader: Reader
    folder: PurePosixPath

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "when": self.when.isoformat(),
            "commit": self.commit,
            "author": self.author,
            "change": "given" if self.given else "taken",
            "reader": str(self.reader),
            "secret": str(self.folder),
        }


def audit(store: SecretStore, access: AccessFolder) -> Iterator[Readable]:
    """Every secret of a fleet with its readers: vars first, then those made by hand."""
    for folder in (*store.folders(), *by_hand(access.root, store)):
        try:
            yield _readable(folder, store, access)
        except SecretsError as error:
            yield Readable(folder=folder, through={}, problem=error.message)


def by_hand(root: Path, store: SecretStore) -> Iterator[PurePosixPath]:
    """The secrets in `sops/secrets`, sorted; the private keys of machines are among them."""
    folder = root / SECRETS
    if folder.is_dir():
        yield from (SECRETS / p.name for p in sorted(folder.iterdir()) if store.exists(SECRETS / p.name))


def _readable(folder: PurePosixPath, store: SecretStore, access: AccessFolder) -> Readable:
    found = store.access(folder)
    readers: set[Reader] = set()
    through: dict[Reader, list[str]] = {}
    for reader in found.readers:
        if reader.kind is not ReaderKind.GROUP:
            readers.add(reader)
            continue
        for member in access.members(reader.name):
            readers.add(member)
            through.setdefault(member, []).append(reader.name)
    unknown = [key for key in sorted(found.recipients) if not access.owners(key)]
    return Readable(
        folder=folder,
        readers=tuple(sorted(readers)),
        through={reader: tuple(sorted(groups)) for reader, groups in sorted(through.items())},
        unknown=tuple(unknown),
    )


def history(root: Path) -> tuple[AccessChange, ...]:
    """When access was given and taken, oldest first. Empty where there is no git, or no history."""
    command = ["git", "-C", str(root), "log", "--reverse", "--no-renames", "--name-status", "--relative"]
    shape = f"--format={_RECORD}%H{_FIELD}%aI{_FIELD}%an"
    try:
        done = subprocess.run(
            [*command, shape, "--", "vars", "sops/secrets"],
            env={name: value for name, value in os.environ.items() if name != "SOPS_AGE_KEY"},
            capture_output=True,
            check=False,
            timeout=_GIT_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return tuple(_changes(done.stdout.decode(errors="replace").split(_RECORD)[1:])) if done.returncode == 0 else ()


def _changes(records: Iterable[str]) -> Iterator[AccessChange]:
    for record in records:
        head, *lines = record.splitlines()
        commit, when, author = head.split(_FIELD)
        for line in lines:
            status, _, name = line.partition("\t")
            path = PurePosixPath(name)
            if status in ("A", "D") and path.parent.name in set(ReaderKind):
                reader = Reader(ReaderKind(path.parent.name), path.name)
                yield AccessChange(
                    datetime.fromisoformat(when), commit, author, status == "A", reader, path.parent.parent
                )
