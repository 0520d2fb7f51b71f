"""Keys of people: making one, registering it with the fleet, and exchanging it for another."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from clanpy.generators.maintain import Fixed, fix_in
from clanpy.generators.session import Session
from clanpy.secrets import Keyring, PublicKey, Reader, ReaderKind, Secret, age, load_keyring
from clanpy.secrets.errors import AccessError, NoKeyError, disk_errors
from clanpy.secrets.keyring import keys_file
from clanpy.secrets.lock import folder_lock
from clanpy.secrets.transaction import DEFAULT_WAIT_SECONDS


_WAIT_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A user with a key: whether the key is new, and where the private half is when it is."""

    user: str
    public: str
    created: Path | None


def make_key(environment: Mapping[str, str], home: Path) -> tuple[str, Path]:
    """Make a private key, add it to the file of keys, and return the public one and the file.

    Raises:
        WriteFailedError: the file can't be written; it is then as it was.
    """
    private, public = age.generate()
    path = keys_file(environment, home)
    with disk_errors(f"write the key file {path}"):
        _append(path, Secret(f"# public key: {public}\n".encode() + private.reveal() + b"\n"))
    return public, path


async def keygen(
    session: Session,
    user: str,
    *,
    environment: Mapping[str, str],
    home: Path,
    wait_seconds: float = DEFAULT_WAIT_SECONDS,
) -> Registered:
    """Register the first key at hand as a user's; make one when there is none. A user who has a key of ours stays as it is.

    Raises:
        AccessError: the user has keys, and none of them is at hand.
    """
    known = session.access.keys(Reader(ReaderKind.USER, user))
    mine = session.keyring.recipients
    if known:
        ours = [key.text for key in known if key.normal in mine]
        if not ours:
            raise AccessError(
                f"user {user!r} has a key already, and it is not at hand",
                hint=f"`clanpy secrets users add {user} --age-key … --force` adds another one",
            )
        return Registered(user=user, public=ours[0], created=None)
    public, path = (mine[0], None) if mine else make_key(environment, home)
    async with session.writing(wait_seconds=wait_seconds) as (fresh, transaction):
        fresh.access.put_keys(transaction, Reader(ReaderKind.USER, user), [PublicKey(public)])
        transaction.commit()
    return Registered(user=user, public=public, created=path)


async def rotate_user_key(
    session: Session,
    user: str | None = None,
    *,
    environment: Mapping[str, str],
    home: Path,
    wait_seconds: float = DEFAULT_WAIT_SECONDS,
) -> tuple[str, Fixed]:
    """Exchange the keys at hand of a user for a new one, everywhere at once, and return it with what was re-encrypted.

    The old private key stays in the file: only it opens what git remembers.

    Raises:
        NoKeyError: no key at hand belongs to the user, or to any user.
        NoKeyError, TamperedError, …: a secret can't be re-encrypted. Nothing in the fleet is changed then.
    """
    async with session.writing(wait_seconds=wait_seconds) as (fresh, transaction):
        reader = fresh.access.writer(fresh.keyring) if user is None else Reader(ReaderKind.USER, user)
        known = fresh.access.keys(reader)
        kept = [key for key in known if key.normal not in fresh.keyring.recipients]
        if len(kept) == len(known):
            raise NoKeyError(f"none of the private keys at hand belongs to {reader}")
        public, _ = make_key(environment, home)
        both = _joined(fresh.keyring, load_keyring(environment, home))
        session_now = replace(fresh, keyring=both)
        session_now.access.put_keys(transaction, reader, [*kept, PublicKey(public)])
        fixed = fix_in(session_now, transaction)
        if fixed.failures:
            raise fixed.failures[0][1]
        transaction.commit()
        return public, fixed


async def rotate_machine_key(
    session: Session, machine: str, *, wait_seconds: float = DEFAULT_WAIT_SECONDS
) -> tuple[str, Fixed]:
    """Exchange the key of a machine for a new one, everywhere at once, and return it with what was re-encrypted.

    A host that decrypts by itself gets the new key together with what is encrypted to it, and both old ones back if it goes back.

    Raises:
        NoKeyError: the machine keeps its own key, or that key can't be read.
        NoKeyError, TamperedError, …: a secret can't be re-encrypted. Nothing in the fleet is changed then.
    """
    session.context.select([machine])
    async with session.writing(wait_seconds=wait_seconds) as (fresh, transaction):
        store = fresh.store.secrets
        if store.machine_key(machine) is None:
            raise NoKeyError(
                f"the private key of machine {machine} is not kept with the fleet",
                hint=f"change it there, then `clanpy secrets machines add {machine} --age-key … --force` and `clanpy vars fix`",
            )
        private, public = age.generate()
        store.announce_key(transaction, machine, public)
        fixed = fix_in(fresh, transaction)
        if fixed.failures:
            raise fixed.failures[0][1]
        store.keep_key(transaction, machine, private)
        transaction.commit()
        return public, fixed


def _joined(first: Keyring, second: Keyring) -> Keyring:
    there = set(first.recipients)
    return replace(second, identities=(*first.identities, *(i for i in second.identities if i.recipient not in there)))


def _append(path: Path, text: Secret) -> None:
    """Add to a file that only its owner can read, by replacing it whole."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with folder_lock(path.parent, wait_seconds=_WAIT_SECONDS):
        before = path.read_bytes() if path.exists() else b""
        separator = b"" if not before or before.endswith(b"\n") else b"\n"
        _replace(path, before + separator + text.reveal())


def _replace(path: Path, content: bytes) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
