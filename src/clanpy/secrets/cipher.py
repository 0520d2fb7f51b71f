"""The cipher of the sops format: single values, the data key they are encrypted with, and the code that ties them together.

A value is AES-256-GCM with a nonce of 32 bytes; the path of the value is authenticated with it, so that values can't be
swapped. The authentication code of a file is a SHA-512 over all plain values in order, encrypted like a value and tied to
the time of the last change.
"""

from __future__ import annotations

import binascii
import hashlib
import os
import re
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from clanpy.secrets.errors import SecretFormatError, TamperedError


if TYPE_CHECKING:
    from collections.abc import Iterable

KEY_BYTES = 32
_NONCE_BYTES = 32
_TAG_BYTES = 16
_SEALED = re.compile(r"ENC\[AES256_GCM,data:([^,]*),iv:([^,]+),tag:([^,]+),type:([a-z0-9]+)\]")

# Goes first into the code of files whose unencrypted values are not covered, so that the two kinds can't be confused.
ONLY_ENCRYPTED = hashlib.sha256(b"sops").digest()


def new_key() -> bytes:
    """A random data key."""
    return os.urandom(KEY_BYTES)


def is_sealed(text: str) -> bool:
    """Whether a value is an encrypted one."""
    return _SEALED.fullmatch(text) is not None


def seal(key: bytes, plain: bytes, associated: str, *, kind: str = "str") -> str:
    """Encrypt one value. Nothing stays nothing: the format leaves empty values as they are."""
    if not plain:
        return ""
    nonce = os.urandom(_NONCE_BYTES)
    sealed = AESGCM(key).encrypt(nonce, plain, associated.encode())
    data, tag = sealed[:-_TAG_BYTES], sealed[-_TAG_BYTES:]
    return f"ENC[AES256_GCM,data:{_text(data)},iv:{_text(nonce)},tag:{_text(tag)},type:{kind}]"


def unseal(key: bytes, sealed: str, associated: str, *, name: str) -> tuple[bytes, str]:
    """Decrypt one value: its plain bytes and its kind (`str`, `int`, `float`, `bool`, `bytes`, `time`, `comment`).

    Raises:
        SecretFormatError: it is no encrypted value.
        TamperedError: it was changed, or stood at another place. `name` is the file, for messages.
    """
    if not sealed:
        return b"", "str"
    found = _SEALED.fullmatch(sealed)
    if found is None:
        raise SecretFormatError(f"{name} holds something that is not encrypted where an encrypted value should be")
    try:
        data, nonce, tag = (b64decode(part, validate=True) for part in found.group(1, 2, 3))
        return AESGCM(key).decrypt(nonce, data + tag, associated.encode()), found[4]
    except binascii.Error:
        raise SecretFormatError(f"{name} holds a damaged encrypted value") from None
    except (InvalidTag, ValueError):
        raise tampered(name) from None


def code(values: Iterable[bytes]) -> str:
    """The authentication code over the plain values of a document, in order."""
    digest = hashlib.sha512()
    for value in values:
        digest.update(value)
    return digest.hexdigest().upper()


def tampered(name: str) -> TamperedError:
    """The error for a file that does not match its authentication code."""
    return TamperedError(
        f"{name} was changed without its key: the authentication code does not match",
        hint="restore the file from git; `git log` says who changed it",
    )


def _text(data: bytes) -> str:
    return b64encode(data).decode()
