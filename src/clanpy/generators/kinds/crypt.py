"""Hashes of passwords as /etc/shadow holds them.

yescrypt comes from this computer's libcrypt, called in this process: no program ever has a password among its arguments.
SHA-512-crypt is written out here, so that it is there on every computer; its definition is Ulrich Drepper's "Unix crypt
using SHA-256 and SHA-512".
"""

from __future__ import annotations

import ctypes
import os
import secrets
from hashlib import sha512
from typing import TYPE_CHECKING, Literal

from clanpy.errors import ToolMissingError


if TYPE_CHECKING:
    from clanpy.secrets import Secret

_ALPHABET = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SALT_CHARACTERS = 16
_ROUNDS = 5000  # the default of the format, which then is not written into the hash
_LIBRARIES = ("libcrypt.so.2", "libcrypt.so.1")


def hash_password(password: Secret, method: Literal["auto", "yescrypt", "sha512"]) -> str:
    """The hash of a password with a new salt.

    Raises:
        ToolMissingError: yescrypt was asked for, and this computer's libcrypt does not have it.
    """
    if method != "sha512":
        hashed = _yescrypt(password)
        if hashed is not None:
            return hashed
        if method == "yescrypt":
            raise ToolMissingError(
                "this computer has no libcrypt with yescrypt",
                hint='say `hash = "sha512"`, or `"auto"` for what is there',
            )
    salt = "".join(secrets.choice(_ALPHABET) for _ in range(_SALT_CHARACTERS))
    return sha512_crypt(password.reveal(), salt)


def verify(password: Secret, hashed: str) -> bool:
    """Whether a hash (of either method) belongs to a password."""
    if hashed.startswith("$6$"):
        again: str | None = sha512_crypt(password.reveal(), hashed.split("$")[2])
    else:
        again = _crypt(password, hashed.encode())
    return again is not None and secrets.compare_digest(again, hashed)


def sha512_crypt(password: bytes, salt: str) -> str:
    """`$6$<salt>$<hash>` with the usual number of rounds."""
    salted = salt.encode()[:_SALT_CHARACTERS]
    digest = _first_digest(password, salted)
    p = _repeated(sha512(password * len(password)).digest(), len(password))
    s = _repeated(sha512(salted * (16 + digest[0])).digest(), len(salted))
    for number in range(_ROUNDS):
        parts = [p if number % 2 else digest]
        parts += [s] if number % 3 else []
        parts += [p] if number % 7 else []
        parts.append(digest if number % 2 else p)
        digest = sha512(b"".join(parts)).digest()
    return f"$6${salted.decode()}${_encoded(digest)}"


def _first_digest(password: bytes, salt: bytes) -> bytes:
    other = sha512(password + salt + password).digest()
    parts = [password, salt, _repeated(other, len(password))]
    bits = len(password)
    while bits:
        parts.append(other if bits & 1 else password)
        bits >>= 1
    return sha512(b"".join(parts)).digest()


def _repeated(block: bytes, length: int) -> bytes:
    return (block * (length // len(block) + 1))[:length]


def _encoded(digest: bytes) -> str:
    """The digest in the format's own base 64: three bytes at a time, from three thirds, taking turns to be first."""
    text = []
    first, second, third = 0, 21, 42
    for _ in range(21):
        group = digest[first] << 16 | digest[second] << 8 | digest[third]
        text += [_ALPHABET[group >> shift & 63] for shift in (0, 6, 12, 18)]
        first, second, third = second + 1, third + 1, first + 1
    last = digest[63]
    return "".join([*text, _ALPHABET[last & 63], _ALPHABET[last >> 6]])


def _yescrypt(password: Secret) -> str | None:
    library = _libcrypt()
    if library is None:
        return None
    random = os.urandom(16)
    salt = library.crypt_gensalt_ra(b"$y$", 0, random, len(random))
    return None if salt is None else _crypt(password, salt)


def _crypt(password: Secret, setting: bytes) -> str | None:
    library = _libcrypt()
    if library is None:
        return None
    data, size = ctypes.c_void_p(), ctypes.c_int(0)
    hashed = library.crypt_ra(password.reveal(), setting, ctypes.byref(data), ctypes.byref(size))
    if hashed is None or hashed.startswith(b"*"):
        return None
    return bytes(hashed).decode()


def _libcrypt() -> ctypes.CDLL | None:
    for name in _LIBRARIES:
        try:
            library = ctypes.CDLL(name)
            library.crypt_ra.restype = library.crypt_gensalt_ra.restype = ctypes.c_char_p
        except (OSError, AttributeError):
            continue
        library.crypt_ra.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p]
        library.crypt_gensalt_ra.argtypes = [ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p, ctypes.c_int]
        return library
    return None
