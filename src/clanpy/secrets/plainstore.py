"""The `plain` store: no encryption at all. For labs and tests, and refused everywhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath

from clanpy.secrets.access import PublicKey
from clanpy.secrets.errors import PlainStoreError, SecretNotFoundError
from clanpy.secrets.layout import Reader
from clanpy.secrets.store import Access, Regrant, leaves, read_file
from clanpy.secrets.transaction import Transaction
from clanpy.secrets.value import Secret


_LEAF = "plain"


def plain_store(root: Path, now: Callable[[], datetime], *, lab: str | None) -> PlainStore:
    """The store, in the lab of this name.

    Raises:
        PlainStoreError: this is no lab.
    """
    if lab is None:
        raise PlainStoreError(
            "the plain store keeps secrets unencrypted and is refused outside a lab",
            hint="use the store `sops`, or run this with `--lab`",
        )
    return PlainStore(root, now)


@dataclass(frozen=True, slots=True)
class PlainStore:
    """Secrets in the clear, for labs and tests. Make it with `plain_store`."""

    root: Path
    now: Callable[[], datetime]
    name: str = field(default="plain", init=False)

    def exists(self, folder: PurePosixPath) -> bool:
        return (self.root / folder / _LEAF).is_file()

    def last_modified(self, folder: PurePosixPath) -> datetime | None:
        return None

    def read(self, folder: PurePosixPath) -> Secret:
        return Secret(read_file(self.root, folder / _LEAF))

    def access(self, folder: PurePosixPath) -> Access:
        if not self.exists(folder):
            raise SecretNotFoundError(f"there is no secret {folder}")
        return Access(frozenset(), (), frozenset(), frozenset())

    def write(self, transaction: Transaction, folder: PurePosixPath, value: Secret, readers: Iterable[Reader]) -> None:
        transaction.write(folder / _LEAF, value.reveal(), mode=0o600)

    def grant(self, transaction: Transaction, folder: PurePosixPath, readers: Iterable[Reader]) -> Regrant | None:
        return None

    def rotate(self, transaction: Transaction, folder: PurePosixPath) -> None:
        """Nothing to do: there is no key."""

    def folders(self) -> Iterator[PurePosixPath]:
        return leaves(self.root, _LEAF)

    def remove(self, transaction: Transaction, folder: PurePosixPath) -> None:
        transaction.remove(folder)

    def keys_of(self, reader: Reader) -> tuple[PublicKey, ...]:
        return ()

    def needs_key(self, machine: str) -> bool:
        return False

    def add_machine(self, transaction: Transaction, machine: str, readers: Iterable[Reader]) -> bool:
        """Machines need no key here."""
        return False

    def machine_key(self, machine: str) -> Secret | None:
        """Something that is another thing for each machine: there are no keys here."""
        return Secret(f"the lab's {machine}")

    def ciphertext(self, folder: PurePosixPath) -> bytes:
        """The value as it is kept."""
        return self.read(folder).reveal()

    def announce_key(self, transaction: Transaction, machine: str, public: str) -> None:
        """Nothing to do: there are no keys."""

    def keep_key(self, transaction: Transaction, machine: str, private: Secret) -> None:
        """Nothing to do: there are no keys."""
