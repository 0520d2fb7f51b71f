"""Who should be able to read a secret var, and who can."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from clanpy.generators.context import VarsContext
from clanpy.generators.graph import Node
from clanpy.secrets import Access, AccessFolder, Reader, ReaderKind, SecretStore


@dataclass(frozen=True, slots=True)
class ReaderPolicy:
    """The machines that get a file, the default groups, and whoever was given access by hand (users and groups).

    Machines and groups that have no key yet are left out: somebody else's machine that is not set up must not stop this run.
    """

    context: VarsContext
    access: AccessFolder
    secrets: SecretStore

    @property
    def groups(self) -> frozenset[Reader]:
        """The default groups that have members."""
        groups = (Reader(ReaderKind.GROUP, name) for name in self.context.default_groups)
        return frozenset(group for group in groups if self.has_key(group))

    def has_key(self, reader: Reader) -> bool:
        """Whether there is a key to encrypt to."""
        return bool(self.secrets.keys_of(reader))

    def wanted(self, node: Node, file: str, current: Iterable[Reader] = ()) -> frozenset[Reader]:
        """The readers of a file; `current` are those that it has now."""
        machines = (Reader(ReaderKind.MACHINE, name) for name in node.readers(file))
        kept = (r for r in current if self._stays(r) and self.has_key(r))
        return frozenset([*(m for m in machines if self.has_key(m)), *self.groups, *kept])

    def _stays(self, reader: Reader) -> bool:
        """Whether somebody who can read keeps that: people who were given access, and machines of which it is not known."""
        return reader.kind is not ReaderKind.MACHINE or reader.name in self.context.broken

    def keys(self, readers: Iterable[Reader]) -> frozenset[str]:
        """The public keys of readers, in normal form."""
        return frozenset(key.normal for reader in readers for key in self.secrets.keys_of(reader))

    def needs_grant(self, access: Access, reader: Reader) -> bool:
        """Whether somebody who should read a secret can't: not linked, or not a recipient, or without a key so far."""
        keys = self.keys([reader])
        return self.secrets.needs_key(reader.name) or (
            bool(keys) and not (reader in access.readers and keys <= access.recipients)
        )

    def problem(self, access: Access, wanted: frozenset[Reader]) -> str | None:
        """How the readers of a ciphertext differ from the wanted ones; None when they don't."""
        keys = self.keys(wanted)
        parts = [
            *(f"{self._who(key)} can't read it yet" for key in sorted(keys - access.recipients)),
            *(f"{self._who(key)} can still read it" for key in sorted(access.recipients - keys)),
            *(f"{reader} is not linked" for reader in sorted(wanted - access.readers)),
            *(f"the link {path.name} points to nobody" for path in access.dangling),
        ]
        return "; ".join(dict.fromkeys(parts)) or None

    def _who(self, key: str) -> str:
        return ", ".join(map(str, self.access.owners(key))) or f"the unknown key {key}"
