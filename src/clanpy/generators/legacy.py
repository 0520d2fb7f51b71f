"""Older files of sops beside the vars: seen with them, read like them, and never written. `secrets migrate` makes vars of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from clanpy.errors import ClanpyError, nearest
from clanpy.generators.errors import VarNotFoundError
from clanpy.generators.states import Finding, State
from clanpy.secrets import Reader, Secret, age
from clanpy.secrets.audit import Readable
from clanpy.secrets.structured import outline, read_structured


if TYPE_CHECKING:
    from clanpy.generators.session import Session
    from clanpy.inventory.vars import LegacyFile


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacyValue:
    """One value of an older file, as a machine sees it."""

    rule: LegacyFile
    key: str

    @property
    def name(self) -> str:
        """As it is called among the vars of the machine."""
        return f"{self.rule.name}/{self.key}"

    def to_dict(self) -> dict[str, Any]:
        """As JSON, in the form that vars have."""
        return {
            "generator": self.rule.name,
            "file": self.key,
            "shared": False,
            "secret": True,
            "deploy": True,
            "exists": True,
            "value": None,
            "legacy": str(self.rule.file),
            "path": self.rule.path_of(self.key),
        }


def legacy_values(session: Session, machine: str) -> Iterator[LegacyValue]:
    """The values of the older files that a machine reads, in the order of the files. Needs no key.

    Raises:
        SecretNotFoundError, SecretFormatError: a file is not there, or can't be understood.
    """
    for rule in session.context.machines[machine].legacy:
        for key in outline(session.context.root / rule.file).places:
            yield LegacyValue(rule=rule, key=key)


def read_legacy(session: Session, machine: str, name: str) -> Secret | None:
    """A value of an older file, decrypted; None when the name is not one of such a file.

    Raises:
        VarNotFoundError: the file has no such value.
        NoKeyError, TamperedError: it can't be decrypted.
    """
    for rule in session.context.machines[machine].legacy:
        if name.startswith(f"{rule.name}/"):
            key = name.removeprefix(f"{rule.name}/")
            values = read_structured(session.context.root / rule.file, session.keyring)
            if key not in values:
                raise VarNotFoundError(f"{rule.file} has no value {key!r}", hint=nearest(key, values))
            return values[key]
    return None


def legacy_audit(session: Session) -> Iterator[Readable]:
    """Who can read the older files, each once."""
    for rule in _each(session):
        try:
            recipients = [age.normal(text) for text in outline(session.context.root / rule.file).recipients]
        except ClanpyError as error:
            yield Readable(folder=rule.file, through={}, problem=error.message)
            continue
        readers: set[Reader] = set()
        for key in recipients:
            readers.update(session.access.owners(key))
        unknown = tuple(sorted(key for key in recipients if not session.access.owners(key)))
        yield Readable(folder=rule.file, readers=tuple(sorted(readers)), through={}, unknown=unknown)


def legacy_findings(session: Session) -> Iterator[Finding]:
    """What is the matter with the older files: not there, no sops file, or readable with a key that belongs to nobody."""
    for readable in legacy_audit(session):
        subject = str(PurePosixPath(readable.folder))
        if readable.problem is not None:
            yield Finding(subject, State.UNREADABLE, readable.problem)
        for key in readable.unknown:
            yield Finding(subject, State.RECIPIENTS, f"it can be read with {key}, which belongs to nobody")


def _each(session: Session) -> tuple[LegacyFile, ...]:
    found = {rule.file: rule for machine in session.context.machines.values() for rule in machine.legacy}
    return tuple(found[file] for file in sorted(found))
