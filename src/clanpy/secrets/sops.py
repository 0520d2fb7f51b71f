"""The sops format for one binary value a file: the way in which clan keeps every secret.

    {"data": "ENC[…]", "sops": {"age": [{"recipient": …, "enc": …}], "lastmodified": …, "mac": "ENC[…]", "version": …}}

Everything here works on bytes and keys and touches no file. What the `sops` program writes is read here and the other way
round; what is not known here (KMS, PGP, key groups) is refused with `UnknownShapeError` and left to the program.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from clanpy.secrets import age, cipher
from clanpy.secrets.errors import NoKeyError, RecipientError, SecretFormatError, UnknownShapeError
from clanpy.secrets.value import Secret


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clanpy.secrets.age import Identity

FORMAT_VERSION = "3.11.0"
_DATA = "data"
_PATH = "data:"  # the path of the one value, as the format authenticates it
_FOREIGN = ("kms", "gcp_kms", "hckms", "azure_kv", "hc_vault", "pgp")


@dataclass(frozen=True, slots=True)
class SopsFile:
    """A parsed file: `document` is the whole of it, `meta` its `sops` part, `name` what messages call it."""

    document: Mapping[str, Any]
    meta: Mapping[str, Any]
    name: str

    @property
    def recipients(self) -> tuple[str, ...]:
        """Who can decrypt it, as the file says: public keys of age and fingerprints of PGP, in the file's order."""
        groups = [self.meta, *(self.meta.get("key_groups") or ())]
        return tuple(
            str(entry[key])
            for group in groups
            for kind, key in (("age", "recipient"), ("pgp", "fp"))
            for entry in group.get(kind) or ()
        )

    @property
    def last_modified(self) -> datetime | None:
        """When its value was last written. None when the file does not say so in a way that is understood."""
        try:
            return datetime.fromisoformat(str(self.meta.get("lastmodified")))
        except ValueError:
            return None

    def foreign_keys(self) -> list[str]:
        """The kinds of keys in it that only the program handles."""
        found = [kind for kind in _FOREIGN if self.meta.get(kind)]
        if self.meta.get("key_groups") or self.meta.get("shamir_threshold"):
            found.append("key_groups")
        if any(not _is_native(entry["recipient"]) for entry in self.meta.get("age") or ()):
            found.append("age plugin")
        return found


def parse(raw: bytes, name: str) -> SopsFile:
    """Read a file.

    Raises:
        SecretFormatError: it is no sops file in JSON.
    """
    try:
        document = json.loads(raw)
    except ValueError:
        raise SecretFormatError(f"{name} is not a sops file: it is no JSON") from None
    meta = document.get("sops") if isinstance(document, dict) else None
    if not isinstance(meta, dict) or not _is_well_formed(meta):
        raise SecretFormatError(f"{name} is not a sops file: it has no part `sops` that says who can read it")
    return SopsFile(document, meta, name)


def encrypt(plain: Secret, recipients: Sequence[str], now: datetime) -> bytes:
    """A new file with one value, under a new data key.

    Raises:
        RecipientError: there are no recipients, or one is no usable key.
        UnknownShapeError: a recipient is a key of a plugin.
    """
    key = cipher.new_key()
    when = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    meta = {
        "age": [_stanza(key, recipient) for recipient in recipients] or _nobody(),
        "lastmodified": when,
        "mac": cipher.seal(key, cipher.code([plain.reveal()]).encode(), when),
        "version": FORMAT_VERSION,
    }
    return _dump({_DATA: cipher.seal(key, plain.reveal(), _PATH), "sops": meta})


def decrypt(file: SopsFile, identities: Sequence[Identity]) -> Secret:
    """The value, after its authentication code was checked.

    Raises:
        NoKeyError: none of the keys fits.
        TamperedError: the file does not match its authentication code.
        UnknownShapeError: it holds no binary value, or only the program can open it.
    """
    value = file.document.get(_DATA)
    if not isinstance(value, str) or set(file.document) != {_DATA, "sops"}:
        raise UnknownShapeError(f"{file.name} is a structured sops file and no single value")
    key = data_key(file, identities)
    plain, _kind = cipher.unseal(key, value, _PATH, name=file.name)
    check_code(file, key, [plain] if value else [])
    return Secret(plain)


def update_keys(file: SopsFile, recipients: Sequence[str], identities: Sequence[Identity]) -> bytes:
    """The same value for other readers: the data key is encrypted to those who are new, and everything else stays.

    Whoever is left out may have kept the data key and with it the value as it is: see `encrypt` for a new one.

    Raises:
        NoKeyError, TamperedError, UnknownShapeError: as for `decrypt`.
        RecipientError: there are no recipients, or one is no usable key.
    """
    if foreign := file.foreign_keys():
        raise UnknownShapeError(f"{file.name} has keys of kind {', '.join(foreign)}")
    decrypt(file, identities)
    key = data_key(file, identities)
    known = {age.normal(str(entry["recipient"])): entry for entry in file.meta["age"]}
    stanzas = [known.get(age.normal(r)) or _stanza(key, r) for r in recipients] or _nobody()
    return _dump({**file.document, "sops": {**file.meta, "age": stanzas}})


def data_key(file: SopsFile, identities: Sequence[Identity]) -> bytes:
    """The key under which the values are encrypted.

    Raises:
        NoKeyError: none of the keys fits.
        UnknownShapeError: only the program can find it.
    """
    if file.meta.get("key_groups") or file.meta.get("shamir_threshold"):
        raise UnknownShapeError(f"{file.name} has key groups")
    entries = {age.normal(str(entry["recipient"])): str(entry["enc"]) for entry in file.meta.get("age") or ()}
    mine = [(i, entries[i.recipient]) for i in identities if i.recipient in entries]
    for identity, sealed in mine:
        with suppress(NoKeyError):  # the file may say that a part is for a key that it is not for
            key = age.decrypt(sealed.encode(), [identity])
            if len(key) != cipher.KEY_BYTES:
                raise SecretFormatError(f"{file.name} holds a data key of {len(key)} bytes")
            return key
    if foreign := file.foreign_keys():
        raise UnknownShapeError(f"{file.name} has keys of kind {', '.join(foreign)}")
    raise NoKeyError(
        f"no private key at hand opens {file.name}",
        hint="`clanpy secrets key show` lists the keys that were found and where",
        details=[f"it can be read by {recipient}" for recipient in file.recipients],
    )


def check_code(file: SopsFile, key: bytes, values: Sequence[bytes]) -> None:
    """Compare the authentication code with the plain values.

    Raises:
        TamperedError: they do not match, or there is no code.
    """
    head = [cipher.ONLY_ENCRYPTED] if file.meta.get("mac_only_encrypted") else []
    wanted = str(file.meta.get("mac") or "")
    stored, _kind = cipher.unseal(key, wanted, str(file.meta.get("lastmodified")), name=file.name)
    if stored.decode(errors="replace") != cipher.code([*head, *values]):
        raise cipher.tampered(file.name)


def _stanza(key: bytes, recipient: str) -> dict[str, str]:
    if not age.is_native(recipient):
        raise UnknownShapeError(f"{recipient} belongs to a plugin of age")
    return {"recipient": recipient, "enc": age.encrypt(key, [recipient], armored=True).decode()}


def _nobody() -> list[dict[str, str]]:
    raise RecipientError("there is nobody to encrypt to", hint="add a user with `clanpy secrets users add`")


def _is_native(recipient: str) -> bool:
    try:
        return age.is_native(recipient)
    except RecipientError:
        return False


def _is_well_formed(meta: Mapping[str, Any]) -> bool:
    entries = meta.get("age") or []
    return isinstance(entries, list) and all(isinstance(e, dict) and {"recipient", "enc"} <= e.keys() for e in entries)


def _dump(document: Mapping[str, Any]) -> bytes:
    """As the program writes it: tabs, and a line feed at the end."""
    return (json.dumps(document, indent="\t", ensure_ascii=False) + "\n").encode()
