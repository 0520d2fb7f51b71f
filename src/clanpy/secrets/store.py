"""Stores: how a secret is kept, by whom it can be read, and how that is changed. `sops` is clan's default.

A secret is named by its folder (`vars/shared/ca/key`, `sops/secrets/web-age.key`), relative to the fleet. Reading is
immediate; every change goes into a `Transaction`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Protocol

from clanpy.secrets import age, sops
from clanpy.secrets.access import AccessFolder, PublicKey, put_links
from clanpy.secrets.errors import RecipientError, SecretNotFoundError, SecretsError, UnknownShapeError, reason
from clanpy.secrets.keyring import Keyring
from clanpy.secrets.layout import SECRET_LEAF, SECRETS, VARS, Reader, ReaderKind, Scope
from clanpy.secrets.program import SopsProgram
from clanpy.secrets.transaction import Transaction
from clanpy.secrets.value import Secret


@dataclass(frozen=True, slots=True)
class Access:
    """Who can read one secret: as the fleet says, and as the ciphertext says. Keys are in normal form.

    Attributes:
        readers: those who are given access.
        dangling: links to somebody who is not there (any more).
        wanted: the keys of the readers.
        recipients: the keys that the ciphertext is encrypted to.
    """

    readers: frozenset[Reader]
    dangling: tuple[PurePosixPath, ...]
    wanted: frozenset[str]
    recipients: frozenset[str]

    @property
    def added(self) -> frozenset[str]:
        """Keys that the fleet gives access, but the ciphertext does not yet."""
        return self.wanted - self.recipients

    @property
    def removed(self) -> frozenset[str]:
        """Keys that still open the ciphertext, but should not."""
        return self.recipients - self.wanted


@dataclass(frozen=True, slots=True)
class Regrant:
    """What re-encrypting changed: keys that can read now, and keys that could and can't any more."""

    folder: PurePosixPath
    added: tuple[str, ...]
    removed: tuple[str, ...]


class SecretStore(Protocol):
    """What every way of keeping secrets can do."""

    @property
    def name(self) -> str: ...
    def exists(self, folder: PurePosixPath) -> bool: ...
    def last_modified(self, folder: PurePosixPath) -> datetime | None: ...
    def read(self, folder: PurePosixPath) -> Secret: ...
    def access(self, folder: PurePosixPath) -> Access: ...
    def write(
        self, transaction: Transaction, folder: PurePosixPath, value: Secret, readers: Iterable[Reader]
    ) -> None: ...
    def grant(self, transaction: Transaction, folder: PurePosixPath, readers: Iterable[Reader]) -> Regrant | None: ...
    def rotate(self, transaction: Transaction, folder: PurePosixPath) -> None: ...
    def remove(self, transaction: Transaction, folder: PurePosixPath) -> None: ...
    def folders(self) -> Iterator[PurePosixPath]: ...
    def keys_of(self, reader: Reader) -> tuple[PublicKey, ...]: ...
    def needs_key(self, machine: str) -> bool: ...
    def add_machine(self, transaction: Transaction, machine: str, readers: Iterable[Reader]) -> bool: ...
    def machine_key(self, machine: str) -> Secret | None: ...
    def announce_key(self, transaction: Transaction, machine: str, public: str) -> None: ...
    def keep_key(self, transaction: Transaction, machine: str, private: Secret) -> None: ...
    def ciphertext(self, folder: PurePosixPath) -> bytes: ...


@dataclass(frozen=True, slots=True)
class SopsStore:
    """Secrets as clan keeps them: a sops file with one value, and beside it the links to its readers."""

    root: Path
    access_folder: AccessFolder
    keyring: Keyring
    now: Callable[[], datetime]
    name: str = field(default="sops", init=False)

    def exists(self, folder: PurePosixPath) -> bool:
        return os.path.isfile(f"{self.root}/{folder}/{SECRET_LEAF}")  # noqa: PTH113 - asked for every var of a fleet

    def last_modified(self, folder: PurePosixPath) -> datetime | None:
        """When the value was written, as its file says."""
        return self._parsed(folder).last_modified

    def read(self, folder: PurePosixPath) -> Secret:
        """The value.

        Raises:
            SecretNotFoundError: there is none.
            NoKeyError, TamperedError, SecretFormatError, ProgramFailedError, ToolMissingError: it can't be decrypted.
        """
        file = self._parsed(folder)
        try:
            return sops.decrypt(file, self.keyring.identities)
        except UnknownShapeError:
            return self._program().decrypt(self.root / folder / SECRET_LEAF)

    def access(self, folder: PurePosixPath) -> Access:
        """Who can read it. No key is needed for that.

        Raises:
            SecretNotFoundError, SecretFormatError: it can't be told.
        """
        links = self.access_folder.links(folder)
        wanted = frozenset(key.normal for key in self.access_folder.recipients(links.readers))
        recipients = frozenset(age.normal(r) for r in self._parsed(folder).recipients)
        return Access(links.readers, links.dangling, wanted, recipients)

    def write(self, transaction: Transaction, folder: PurePosixPath, value: Secret, readers: Iterable[Reader]) -> None:
        """Encrypt a value to readers and link them; when nobody of them is us, our user becomes a reader too.

        Raises:
            AccessError: a reader is not known.
            NoKeyError: the private keys at hand belong to no user of the fleet.
        """
        everyone = self._with_us(readers)
        transaction.write(folder / SECRET_LEAF, self._encrypt(value, self.access_folder.recipients(everyone)))
        put_links(transaction, self.access_folder, folder, everyone)

    def grant(self, transaction: Transaction, folder: PurePosixPath, readers: Iterable[Reader]) -> Regrant | None:
        """Give access to exactly these readers. None when that is so already: then nothing is read or written.

        The value stays; where somebody loses access the data key is changed, so that what he kept of it opens nothing new.

        Raises:
            NoKeyError: the keys at hand can't read it, and so can't hand it on.
        """
        wanted = self.access_folder.recipients(readers)
        if not wanted:
            raise RecipientError(f"nobody could read {folder} any more", hint="remove it instead")
        before, after = self.access(folder), frozenset(key.normal for key in wanted)
        put_links(transaction, self.access_folder, folder, readers)
        if before.recipients == after:
            return None
        transaction.write(folder / SECRET_LEAF, self._reencrypted(folder, wanted, before.recipients - after))
        return Regrant(folder, tuple(sorted(after - before.recipients)), tuple(sorted(before.recipients - after)))

    def rotate(self, transaction: Transaction, folder: PurePosixPath) -> None:
        """Encrypt the same value to the same readers under a new data key."""
        wanted = self.access_folder.recipients(self.access_folder.links(folder).readers)
        transaction.write(folder / SECRET_LEAF, self._encrypt(self.read(folder), wanted))

    def remove(self, transaction: Transaction, folder: PurePosixPath) -> None:
        transaction.remove(folder)

    def folders(self) -> Iterator[PurePosixPath]:
        """Every secret below `vars/`, sorted."""
        return leaves(self.root, SECRET_LEAF)

    def keys_of(self, reader: Reader) -> tuple[PublicKey, ...]:
        """The public keys of a reader; none of somebody unknown."""
        return self.access_folder.keys(reader)

    def needs_key(self, machine: str) -> bool:
        """Whether a machine has no key yet."""
        return not self.keys_of(Reader(ReaderKind.MACHINE, machine))

    def add_machine(self, transaction: Transaction, machine: str, readers: Iterable[Reader]) -> bool:
        """Give a machine a key, unless it has one. The private half is kept as the secret `<machine>-age.key`.

        A private half without its public one (an interrupted set-up, a clan that was cut down) is put to use again.
        """
        reader = Reader(ReaderKind.MACHINE, machine)
        if self.access_folder.keys(reader):
            return False
        folder = machine_key_folder(machine)
        if self.exists(folder):
            public = age.public_key(self.read(folder))
        else:
            private, public = age.generate()
            self.write(transaction, folder, private, readers)
        self.access_folder.put_keys(transaction, reader, [PublicKey(public)])
        return True

    def machine_key(self, machine: str) -> Secret | None:
        """The private key of a machine; None of one that keeps its own (its ssh host key).

        Raises:
            NoKeyError, TamperedError: it can't be decrypted.
        """
        folder = machine_key_folder(machine)
        return self.read(folder) if self.exists(folder) else None

    def announce_key(self, transaction: Transaction, machine: str, public: str) -> None:
        """Let a public key of a machine stand for the one whose private half is kept here. Others that it has stay."""
        reader = Reader(ReaderKind.MACHINE, machine)
        old = age.normal(age.public_key(self.read(machine_key_folder(machine))))
        kept = [key for key in self.access_folder.keys(reader) if key.normal != old]
        self.access_folder.put_keys(transaction, reader, [*kept, PublicKey(public)])

    def keep_key(self, transaction: Transaction, machine: str, private: Secret) -> None:
        """Keep another private key of a machine, for those who can read the one that is kept."""
        folder = machine_key_folder(machine)
        self.write(transaction, folder, private, self.access_folder.links(folder).readers)

    def ciphertext(self, folder: PurePosixPath) -> bytes:
        """The value as it is kept.

        Raises:
            SecretNotFoundError: there is none.
        """
        return read_file(self.root, f"{folder}/{SECRET_LEAF}")

    def _reencrypted(self, folder: PurePosixPath, wanted: tuple[PublicKey, ...], lost: frozenset[str]) -> bytes:
        file = self._parsed(folder)
        if lost or not all(_is_native(key) for key in wanted) or file.foreign_keys():
            return self._encrypt(self.read(folder), wanted)
        return sops.update_keys(file, [key.text for key in wanted], self.keyring.identities)

    def _with_us(self, readers: Iterable[Reader]) -> frozenset[Reader]:
        everyone = frozenset(readers)
        keys = tuple(key.normal for reader in sorted(everyone) for key in self.access_folder.require(reader))
        return everyone if self.keyring.holds(keys) else everyone | {self.access_folder.writer(self.keyring)}

    def _encrypt(self, value: Secret, recipients: tuple[PublicKey, ...]) -> bytes:
        if all(_is_native(key) for key in recipients):
            return sops.encrypt(value, [key.text for key in recipients], self.now())
        return self._program().encrypt(value, recipients)

    def _parsed(self, folder: PurePosixPath) -> sops.SopsFile:
        path = f"{folder}/{SECRET_LEAF}"
        return sops.parse(read_file(self.root, path), path)

    def _program(self) -> SopsProgram:
        return SopsProgram.find(self.keyring.environment)


def machine_key_folder(machine: str) -> PurePosixPath:
    """Where the private key of a machine is kept."""
    return SECRETS / f"{machine}-age.key"


def read_file(root: Path, path: PurePosixPath | str) -> bytes:
    """The bytes of a file of the fleet.

    Raises:
        SecretNotFoundError: it is not there.
        SecretsError: it can't be read.
    """
    try:
        with open(f"{root}/{path}", "rb", buffering=0) as file:  # noqa: PTH123 - done for every var of a fleet
            return file.read()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise SecretNotFoundError(f"there is no secret {PurePosixPath(path).parent}") from None
    except OSError as error:
        raise SecretsError(f"{path} can't be read: {reason(error)}") from error


def leaves(root: Path, leaf: str) -> Iterator[PurePosixPath]:
    """The folders of all vars that have a file of this name, sorted: four levels deep, three in `vars/shared`."""
    for scope in Scope:
        top = f"{VARS}/{scope.value}"
        for folder in _folders(f"{root}", top, 2 if scope is Scope.SHARED else 3):
            if os.path.isfile(f"{root}/{folder}/{leaf}"):  # noqa: PTH113 - plain strings: there may be many thousands
                yield PurePosixPath(folder)


def _folders(root: str, folder: str, depth: int) -> Iterator[str]:
    """The folders at a depth below one, sorted."""
    if depth == 0:
        yield folder
        return
    try:
        with os.scandir(f"{root}/{folder}") as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return
    for name in names:
        yield from _folders(root, f"{folder}/{name}", depth - 1)


def _is_native(key: PublicKey) -> bool:
    return key.kind == "age" and age.is_native(key.text)
