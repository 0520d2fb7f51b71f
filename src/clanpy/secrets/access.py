"""Who may read: the users, machines and groups under `sops/`, their public keys, and the links that give access.

Access control is the tree of links: a secret can be read by those whose names are linked in its folder. Changes go into a
`Transaction`; what was changed is seen at once by whoever holds the same `AccessFolder`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from os.path import normpath
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from clanpy.errors import nearest
from clanpy.secrets import age
from clanpy.secrets.errors import AccessError, NoKeyError, SecretFormatError
from clanpy.secrets.layout import SOPS, Reader, ReaderKind, check_name, link_target


if TYPE_CHECKING:
    from clanpy.secrets.keyring import Keyring
    from clanpy.secrets.transaction import Transaction

_KEY_FILE = "key.json"
_KINDS = frozenset(ReaderKind)
_MEMBERS = (ReaderKind.MACHINE, ReaderKind.USER)


@dataclass(frozen=True, slots=True, order=True)
class PublicKey:
    """A key that can be encrypted to: of age (`age1…`, `ssh-…`) or the fingerprint of one of PGP."""

    text: str
    kind: Literal["age", "pgp"] = "age"

    @property
    def normal(self) -> str:
        """As it is compared."""
        return age.normal(self.text) if self.kind == "age" else self.text


@dataclass(frozen=True, slots=True)
class Links:
    """The links of one secret: to whom they point, and those that point to nobody (their paths)."""

    readers: frozenset[Reader]
    dangling: tuple[PurePosixPath, ...] = ()


@dataclass(slots=True)
class AccessFolder:
    """The folder `sops/` of a fleet. What is read is kept; make a new one to see what others have changed."""

    root: Path
    _keys: dict[Reader, tuple[PublicKey, ...]] = field(default_factory=dict)
    _members: dict[str, tuple[Reader, ...]] = field(default_factory=dict)

    def names(self, kind: ReaderKind) -> tuple[str, ...]:
        """All who are known, sorted; those with changes pending included."""
        folder = self.root / SOPS / kind.value
        there = {entry.name for entry in folder.iterdir() if entry.is_dir()} if folder.is_dir() else set()
        gone = {r.name for r, keys in self._keys.items() if r.kind is kind and not keys}
        new = {r.name for r, keys in self._keys.items() if r.kind is kind and keys}
        groups = self._members if kind is ReaderKind.GROUP else {}
        emptied = {name for name, members in groups.items() if not members}
        return tuple(sorted((there - gone - emptied) | new | {name for name, members in groups.items() if members}))

    def keys(self, reader: Reader) -> tuple[PublicKey, ...]:
        """The public keys of a reader, of a group those of all its members. Empty for somebody unknown.

        Raises:
            SecretFormatError: a key file can't be read.
        """
        if reader.kind is ReaderKind.GROUP:
            return tuple(dict.fromkeys(key for member in self.members(reader.name) for key in self.keys(member)))
        if reader not in self._keys:
            self._keys[reader] = _read_keys(self.root, reader)
        return self._keys[reader]

    def members(self, group: str) -> tuple[Reader, ...]:
        """The users and machines in a group, sorted."""
        if group not in self._members:
            self._members[group] = tuple(sorted(self.links(SOPS / "groups" / group, kinds=_MEMBERS).readers))
        return self._members[group]

    def require(self, reader: Reader) -> tuple[PublicKey, ...]:
        """The public keys of somebody who has to be known.

        Raises:
            AccessError: nobody of that name is known, or has no key.
        """
        keys = self.keys(reader)
        if not keys:
            raise AccessError(
                f"there is no {reader.kind.value.removesuffix('s')} {reader.name!r} with a key",
                hint=nearest(reader.name, self.names(reader.kind))
                or f"add it with `clanpy secrets {reader.kind.value} add`",
            )
        return keys

    def recipients(self, readers: Iterable[Reader]) -> tuple[PublicKey, ...]:
        """The public keys of all of them, each once, sorted."""
        found = {key.normal: key for reader in sorted(readers) for key in self.keys(reader)}
        return tuple(sorted(found.values()))

    def links(self, folder: PurePosixPath, *, kinds: Iterable[ReaderKind] = tuple(ReaderKind)) -> Links:
        """Who is linked in a folder."""
        readers, dangling = set(), []
        for kind in kinds:
            inside = f"{folder}/{kind.value}"
            for name, link in _links_in(f"{self.root}/{inside}"):
                reader = _pointed_at(inside, link)
                if reader is not None and (reader.kind, reader.name) == (kind, name) and self._is_there(reader):
                    readers.add(reader)
                else:
                    dangling.append(folder / kind.value / name)
        return Links(frozenset(readers), tuple(sorted(dangling)))

    def _is_there(self, reader: Reader) -> bool:
        """Whether somebody has a folder. Who has keys has one."""
        return bool(self._keys.get(reader)) or (self.root / reader.folder).is_dir()

    def owners(self, key: str) -> tuple[Reader, ...]:
        """The users and machines that a public key (in normal form) belongs to, sorted."""
        everyone = (Reader(kind, name) for kind in _MEMBERS for name in self.names(kind))
        return tuple(reader for reader in everyone if any(known.normal == key for known in self.keys(reader)))

    def whose(self, keyring: Keyring) -> tuple[Reader, ...]:
        """The users who the private keys at hand belong to, sorted."""
        users = (Reader(ReaderKind.USER, name) for name in self.names(ReaderKind.USER))
        return tuple(user for user in users if keyring.holds(tuple(key.normal for key in self.keys(user))))

    def writer(self, keyring: Keyring) -> Reader:
        """The user on whose behalf secrets are written.

        Raises:
            NoKeyError: there is no private key at hand, or it belongs to no user of the fleet.
        """
        keyring.require()
        users = self.whose(keyring)
        if not users:
            raise NoKeyError(
                "none of the private keys at hand belongs to a user of this fleet",
                hint="register yours with `clanpy vars keygen`",
                details=[f"at hand: {recipient}" for recipient in keyring.recipients],
            )
        return users[0]

    # --- changes ---

    def put_keys(self, transaction: Transaction, reader: Reader, keys: Iterable[PublicKey]) -> None:
        """Set the public keys of a user or machine. A file that says the same already stays as it is.

        Raises:
            AccessError: the name can't be one, or there are no keys.
            RecipientError: a key is none.
        """
        check_name(reader.name, reader.kind.value.removesuffix("s"))
        wanted = tuple(dict.fromkeys(keys))
        if not wanted:
            raise AccessError(f"{reader} needs at least one key", hint=f"`clanpy secrets {reader.kind.value} remove`")
        for key in wanted:
            if key.kind == "age":
                age.is_native(key.text)
        if set(wanted) != set(self.keys(reader)):
            body = [{"publickey": key.text, "type": key.kind} for key in wanted]
            transaction.write(reader.folder / _KEY_FILE, json.dumps(body, indent=2).encode())
        self._keys[reader] = wanted

    def put_members(self, transaction: Transaction, group: str, members: Iterable[Reader]) -> None:
        """Set who is in a group; an empty one is removed.

        Raises:
            AccessError: the name can't be one, or a member is not known.
        """
        check_name(group, "group")
        folder, wanted = SOPS / "groups" / group, tuple(sorted(set(members)))
        for member in wanted:
            self.require(member)
        put_links(transaction, self, folder, wanted)
        self._members[group] = wanted

    def remove(self, transaction: Transaction, reader: Reader) -> None:
        """Forget somebody: the key file (or the group) and the memberships. Links in secrets are for `fix` to clear."""
        transaction.remove(reader.folder)
        if reader.kind is ReaderKind.GROUP:
            self._members[reader.name] = ()
            return
        self._keys[reader] = ()
        for group in self.names(ReaderKind.GROUP):
            left = tuple(member for member in self.members(group) if member != reader)
            if left != self.members(group):
                transaction.remove(SOPS / "groups" / group / reader.kind.value / reader.name)
                self._members[group] = left


def put_links(transaction: Transaction, access: AccessFolder, folder: PurePosixPath, readers: Iterable[Reader]) -> None:
    """Make the links of a folder those to `readers` and no others."""
    wanted = set(readers)
    links = access.links(folder)
    for reader in sorted(links.readers - wanted):
        transaction.remove(folder / reader.kind.value / reader.name)
    for path in links.dangling:
        transaction.remove(path)
    for reader in sorted(wanted):
        path = folder / reader.kind.value / reader.name
        if reader not in links.readers or not transaction.is_settled(path):  # however it is written, it stays
            transaction.link(path, link_target(folder, reader))


def _links_in(folder: str) -> list[tuple[str, str]]:
    """The names and texts of the links in a folder. Plain strings: this is done for every secret of a fleet."""
    try:
        with os.scandir(folder) as entries:
            links = [entry for entry in entries if entry.is_symlink()]
            return sorted((entry.name, os.readlink(entry.path)) for entry in links)  # noqa: PTH115 - see above
    except (FileNotFoundError, NotADirectoryError):
        return []


def _pointed_at(folder: str, link: str) -> Reader | None:
    """Whom a link means: decided by its text alone, so that one that leads elsewhere gives nobody access."""
    parts = normpath(f"{folder}/{link}").split("/")
    if len(parts) != 3 or parts[0] != SOPS.name or parts[1] not in _KINDS:  # noqa: PLR2004 - sops/<kind>/<name>
        return None
    return Reader(ReaderKind(parts[1]), parts[2])


def _read_keys(root: Path, reader: Reader) -> tuple[PublicKey, ...]:
    path = reader.folder / _KEY_FILE
    try:
        raw = json.loads((root / path).read_bytes())
        entries: list[Any] = raw if isinstance(raw, list) else [raw]
        return tuple(_key(entry) for entry in entries)
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except (ValueError, TypeError, KeyError):
        raise SecretFormatError(
            f"{path} is not a key file", hint='it holds `{"publickey": …, "type": "age"}` or a list of those'
        ) from None


def _key(entry: Any) -> PublicKey:
    if entry["type"] not in ("age", "pgp"):
        raise ValueError(entry["type"])
    return PublicKey(str(entry["publickey"]), entry["type"])
