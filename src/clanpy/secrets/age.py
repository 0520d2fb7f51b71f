"""age: encrypting to public keys and decrypting with private ones, in this process.

What `pyrage` cannot do is told apart by `is_native`: keys of plugins (YubiKey, TPM) go through the programs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pyrage  # type: ignore[import-untyped]  # it ships no types
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_private_key

from clanpy.secrets.errors import NoKeyError, RecipientError, SecretFormatError
from clanpy.secrets.value import Secret


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_X25519 = re.compile(r"age1[02-9ac-hj-np-z]{58}")
_SSH = re.compile(r"ssh-(ed25519|rsa) [A-Za-z0-9+/=]+( .*)?")
_PLUGIN = re.compile(r"age1[a-z0-9.-]*1[02-9ac-hj-np-z]+")
_PEM_END = re.compile(r"-----END [A-Z ]*PRIVATE KEY-----")


@dataclass(frozen=True, slots=True, eq=False)
class Identity:
    """A private key that is ready for use.

    Attributes:
        recipient: its public key, as files name it; None for a key of a plugin.
        origin: where it came from, for messages (`SOPS_AGE_KEY_FILE=/…`), never the key.
        handle: what pyrage calls it; None for a key of a plugin.
    """

    recipient: str | None
    origin: str
    handle: Any = None

    def __repr__(self) -> str:
        return f"<identity {self.recipient or 'of a plugin'} from {self.origin}>"


def is_native(recipient: str) -> bool:
    """Whether this process can encrypt to a public key by itself.

    Raises:
        RecipientError: it is no public key of age.
    """
    text = recipient.strip()
    if _X25519.fullmatch(text) or _SSH.fullmatch(text):
        return True
    if _PLUGIN.fullmatch(text):
        return False
    raise RecipientError(f"{recipient!r} is not a public key of age", hint="it begins with `age1` or `ssh-`")


def normal(recipient: str) -> str:
    """A public key as it is compared: an ssh key without its comment."""
    text = recipient.strip()
    return " ".join(text.split()[:2]) if text.startswith("ssh-") else text


def encrypt(plain: bytes, recipients: Sequence[str], *, armored: bool = False) -> bytes:
    """Encrypt so that the holder of any one of the keys can decrypt.

    Raises:
        RecipientError: there are none, or one is no usable key.
    """
    if not recipients:
        raise RecipientError("there is nobody to encrypt to", hint="add a user with `clanpy secrets users add`")
    return bytes(pyrage.encrypt(plain, [_recipient(r) for r in recipients], armored=armored))


def decrypt(data: bytes, identities: Sequence[Identity]) -> bytes:
    """Decrypt with whichever key fits.

    Raises:
        NoKeyError: none does.
        SecretFormatError: it is no age file, or a damaged one.
    """
    handles = [i.handle for i in identities if i.handle is not None]
    if not handles:
        raise NoKeyError("there is no private key at hand")
    try:
        return bytes(pyrage.decrypt(data, handles))
    except pyrage.DecryptError as error:
        if "No matching keys" in str(error):
            raise NoKeyError("none of the private keys at hand fits") from None
        raise SecretFormatError(f"this is not an intact age file ({error})") from None


def generate() -> tuple[Secret, str]:
    """A new key pair: the private key (`AGE-SECRET-KEY-1…`) and the public one."""
    identity = pyrage.x25519.Identity.generate()
    return Secret(str(identity)), str(identity.to_public())


def public_key(private: Secret) -> str:
    """The public key that belongs to a private one (age's or ssh's).

    Raises:
        NoKeyError: it is no private key.
    """
    for identity in parse_identities(private, origin="the given key"):
        if identity.recipient is not None:
            return identity.recipient
    raise NoKeyError("there is no private key in what was given")


def parse_identities(keys: Secret, *, origin: str) -> tuple[Identity, ...]:
    """The private keys in a key file: lines of age, or one ssh key. Comments and empty lines are skipped.

    Raises:
        NoKeyError: a line is no key, or the ssh key has a passphrase. The message names the place, not the content.
    """
    text = keys.text()
    if _PEM_END.search(text):
        return (_ssh_identity(keys, origin),)
    return tuple(_lines(text, origin))


def _lines(text: str, origin: str) -> Iterator[Identity]:
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("AGE-PLUGIN-"):
            yield Identity(None, origin)
            continue
        try:
            handle = pyrage.x25519.Identity.from_str(line)
        except pyrage.IdentityError:
            raise NoKeyError(f"line {number} of {origin} is not a private key of age") from None
        yield Identity(str(handle.to_public()), origin, handle)


def _ssh_identity(key: Secret, origin: str) -> Identity:
    try:
        private = load_ssh_private_key(key.reveal(), password=None)
        public = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
        return Identity(public, origin, pyrage.ssh.Identity.from_buffer(key.reveal()))
    except (ValueError, TypeError, UnsupportedAlgorithm, pyrage.IdentityError):
        raise NoKeyError(
            f"the ssh key in {origin} can't be used",
            hint="it has to be an ed25519 or rsa key without passphrase",
        ) from None


@lru_cache(maxsize=4096)
def _recipient(text: str) -> Any:
    if not is_native(text):
        raise RecipientError(f"{text} belongs to a plugin of age, which this process can't encrypt to")
    kind = pyrage.ssh if text.strip().startswith("ssh-") else pyrage.x25519
    try:
        return kind.Recipient.from_str(text.strip())
    except pyrage.RecipientError:
        raise RecipientError(f"{text!r} is not a public key of age") from None
