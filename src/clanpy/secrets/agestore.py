"""The `age` store: one file a secret that the `age` program reads, beside it the list of who it is encrypted to.

    secrets/clan-vars/<path below vars/>/<file>/<file>.age   and   <file>.age.recipients
    secrets/age-keys/machines/<machine>/pub                  the public key of a machine

An age file does not say whom it is for. The list beside it does, and is believed; so this store notices when the fleet's
access changed, and not when somebody encrypted a file to more keys than its list names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath

from clanpy.secrets import age
from clanpy.secrets.access import AccessFolder, PublicKey
from clanpy.secrets.errors import NoKeyError, RecipientError, SecretFormatError, TamperedError
from clanpy.secrets.keyring import Keyring
from clanpy.secrets.layout import VARS, Reader, ReaderKind, check_name
from clanpy.secrets.store import Access, Regrant, read_file
from clanpy.secrets.transaction import Transaction
from clanpy.secrets.value import Secret


_VALUES = PurePosixPath("secrets/clan-vars")
_MACHINE_KEYS = PurePosixPath("secrets/age-keys/machines")
_PUBLIC = "pub"


@dataclass(frozen=True, slots=True)
class AgeStore:
    """Secrets as plain age files. Users and groups are those of `sops/`; machines have their keys in the store's own folder."""

    root: Path
    access_folder: AccessFolder
    keyring: Keyring
    now: Callable[[], datetime]
    name: str = field(default="age", init=False)
    _new: dict[Reader, tuple[PublicKey, ...]] = field(default_factory=dict, init=False)

    def exists(self, folder: PurePosixPath) -> bool:
        return (self.root / _file(folder)).is_file()

    def last_modified(self, folder: PurePosixPath) -> datetime | None:
        """Not known: an age file has no time in it."""
        return None

    def read(self, folder: PurePosixPath) -> Secret:
        """The value.

        Raises:
            SecretNotFoundError: there is none.
            NoKeyError, TamperedError: it can't be decrypted.
        """
        return self._opened(_file(folder))

    def access(self, folder: PurePosixPath) -> Access:
        listed = read_file(self.root, _list(folder)).decode().splitlines()
        recipients = frozenset(age.normal(line) for line in listed if line.strip() and not line.startswith("#"))
        readers = frozenset(reader for reader in self._everyone() if self._covers(recipients, reader))
        return Access(readers, (), recipients, recipients)

    def write(self, transaction: Transaction, folder: PurePosixPath, value: Secret, readers: Iterable[Reader]) -> None:
        everyone = frozenset(readers)
        if not self.keyring.holds(tuple(key.normal for key in self._keys(everyone))):
            everyone |= {self.access_folder.writer(self.keyring)}
        self._put(transaction, folder, value, self._keys(everyone))

    def grant(self, transaction: Transaction, folder: PurePosixPath, readers: Iterable[Reader]) -> Regrant | None:
        wanted = self._keys(readers)
        before, after = self.access(folder).recipients, frozenset(key.normal for key in wanted)
        if before == after:
            return None
        self._put(transaction, folder, self.read(folder), wanted)
        return Regrant(folder, tuple(sorted(after - before)), tuple(sorted(before - after)))

    def rotate(self, transaction: Transaction, folder: PurePosixPath) -> None:
        keys = tuple(PublicKey(text) for text in sorted(self.access(folder).recipients))
        self._put(transaction, folder, self.read(folder), keys)

    def remove(self, transaction: Transaction, folder: PurePosixPath) -> None:
        transaction.remove(_file(folder).parent)

    def folders(self) -> Iterator[PurePosixPath]:
        for path in (self.root / _VALUES).rglob("*.age"):
            if path.parent.name == path.stem:
                yield VARS / path.parent.relative_to(self.root / _VALUES).as_posix()

    def keys_of(self, reader: Reader) -> tuple[PublicKey, ...]:
        """The public keys of a reader; none of somebody unknown."""
        if reader in self._new:
            return self._new[reader]
        path = self.root / _MACHINE_KEYS / reader.name / _PUBLIC
        if reader.kind is ReaderKind.MACHINE and path.is_file():
            return (PublicKey(path.read_text().strip()),)
        return self.access_folder.keys(reader)

    def needs_key(self, machine: str) -> bool:
        """Whether a machine has no key yet."""
        return not self.keys_of(Reader(ReaderKind.MACHINE, machine))

    def add_machine(self, transaction: Transaction, machine: str, readers: Iterable[Reader]) -> bool:
        """Give a machine a key, unless it has one. The private half is kept encrypted beside the public one."""
        check_name(machine, "machine")
        reader, folder = Reader(ReaderKind.MACHINE, machine), _MACHINE_KEYS / machine
        if self.keys_of(reader):
            return False
        private, public = age.generate()
        keys = self._keys({*readers, self.access_folder.writer(self.keyring)})
        self._put_files(transaction, folder / "key.age", private, keys)
        transaction.write(folder / _PUBLIC, f"{public}\n".encode())
        self._new[reader] = (PublicKey(public),)
        return True

    def machine_key(self, machine: str) -> Secret | None:
        """The private key of a machine; None of one that keeps its own."""
        path = _MACHINE_KEYS / machine / "key.age"
        return self._opened(path) if (self.root / path).is_file() else None

    def announce_key(self, transaction: Transaction, machine: str, public: str) -> None:
        """Let a public key of a machine stand for the one whose private half is kept here."""
        transaction.write(_MACHINE_KEYS / machine / _PUBLIC, f"{public}\n".encode())
        self._new[Reader(ReaderKind.MACHINE, machine)] = (PublicKey(public),)

    def keep_key(self, transaction: Transaction, machine: str, private: Secret) -> None:
        """Keep another private key of a machine, for those who can read the one that is kept."""
        path = _MACHINE_KEYS / machine / "key.age"
        listed = read_file(self.root, _list_of(path)).decode().split()
        self._put_files(transaction, path, private, tuple(PublicKey(text) for text in listed))

    def ciphertext(self, folder: PurePosixPath) -> bytes:
        """The value as it is kept."""
        return read_file(self.root, _file(folder))

    def _opened(self, path: PurePosixPath) -> Secret:
        data = read_file(self.root, path)
        try:
            return Secret(age.decrypt(data, self.keyring.identities))
        except NoKeyError as error:
            raise NoKeyError(
                f"no private key at hand opens {path}", hint="`clanpy secrets key show` lists them"
            ) from error
        except SecretFormatError:
            raise TamperedError(
                f"{path} was changed without its key, or is damaged", hint="restore the file from git"
            ) from None

    def _put(self, transaction: Transaction, folder: PurePosixPath, value: Secret, keys: tuple[PublicKey, ...]) -> None:
        self._put_files(transaction, _file(folder), value, keys)

    def _put_files(
        self, transaction: Transaction, path: PurePosixPath, value: Secret, keys: tuple[PublicKey, ...]
    ) -> None:
        if foreign := [key.text for key in keys if key.kind != "age"]:
            raise RecipientError(f"the age store can't encrypt to the PGP key {foreign[0]}")
        texts = sorted(key.text for key in keys)
        transaction.write(path, age.encrypt(value.reveal(), texts))
        transaction.write(_list_of(path), "".join(f"{text}\n" for text in texts).encode())

    def _keys(self, readers: Iterable[Reader]) -> tuple[PublicKey, ...]:
        found = {key.normal: key for reader in sorted(readers) for key in self._require(reader)}
        return tuple(sorted(found.values()))

    def _require(self, reader: Reader) -> tuple[PublicKey, ...]:
        return self.keys_of(reader) or self.access_folder.require(reader)

    def _everyone(self) -> Iterable[Reader]:
        for kind in ReaderKind:
            yield from (Reader(kind, name) for name in self.access_folder.names(kind))
        if (self.root / _MACHINE_KEYS).is_dir():
            yield from (Reader(ReaderKind.MACHINE, entry.name) for entry in (self.root / _MACHINE_KEYS).iterdir())

    def _covers(self, recipients: frozenset[str], reader: Reader) -> bool:
        keys = {key.normal for key in self.keys_of(reader)}
        return bool(keys) and keys <= recipients


def _file(folder: PurePosixPath) -> PurePosixPath:
    below = folder.relative_to(VARS) if folder.is_relative_to(VARS) else folder
    return _VALUES / below / f"{folder.name}.age"


def _list(folder: PurePosixPath) -> PurePosixPath:
    return _list_of(_file(folder))


def _list_of(path: PurePosixPath) -> PurePosixPath:
    return path.with_name(f"{path.name}.recipients")
