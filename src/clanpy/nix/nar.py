"""The hash by which Nix knows a folder: SHA-256 over its NAR, the archive format of stores; and Nix's own way to write hashes."""

from __future__ import annotations

import base64
import hashlib
import os
import struct
from pathlib import Path
from typing import Protocol


_HEX_LENGTH = 64
_ALPHABET = "0123456789abcdfghijklmnpqrsvwxyz"


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...


def nar_hash(path: Path) -> str:
    """The hash of a file or folder as Nix writes it: `sha256-…` with base64.

    Raises:
        OSError: something below `path` can't be read.
    """
    state = hashlib.sha256()
    _strings(state, b"nix-archive-1")
    _node(state, path)
    return "sha256-" + base64.b64encode(state.digest()).decode()


def nar(path: Path) -> bytes:
    """The whole archive of a file or folder.

    Raises:
        OSError: something below `path` can't be read.
    """
    collected = _Collected()
    _strings(collected, b"nix-archive-1")
    _node(collected, path)
    return bytes(collected)


def nar_size(path: Path) -> int:
    """How many bytes the archive of a file or folder has.

    Raises:
        OSError: something below `path` can't be read.
    """
    counted = _Counted()
    _strings(counted, b"nix-archive-1")
    _node(counted, path)
    return counted.size


def nix_hashes(digest: bytes) -> tuple[str, str]:
    """The ways in which versions of Nix write a SHA-256: `sha256-…` with base64, and `sha256:…` with base 32."""
    return "sha256-" + base64.b64encode(digest).decode(), "sha256:" + base32(digest)


def digest_of(text: str) -> bytes:
    """The SHA-256 that a version of Nix wrote in one of its ways: base64, base 32 or base 16, with `sha256-` or `sha256:`.

    Raises:
        ValueError: it is none.
    """
    if text.startswith("sha256-"):
        return base64.b64decode(text.removeprefix("sha256-"))
    body = text.removeprefix("sha256:")
    if len(body) == _HEX_LENGTH:
        return bytes.fromhex(body)
    number = 0
    for letter in body:
        number = number << 5 | _ALPHABET.index(letter)
    return number.to_bytes(hashlib.sha256().digest_size, "little")


class _Counted:
    """Takes what a hash would, and counts it."""

    def __init__(self) -> None:
        self.size = 0

    def update(self, data: bytes, /) -> None:
        self.size += len(data)


class _Collected(bytearray):
    """Takes what a hash would."""

    update = bytearray.extend


def _strings(state: _Hash, *parts: bytes) -> None:
    for part in parts:
        state.update(struct.pack("<Q", len(part)) + part + b"\0" * (-len(part) % 8))


def _node(state: _Hash, path: Path) -> None:
    _strings(state, b"(", b"type")
    if path.is_symlink():
        _strings(state, b"symlink", b"target", os.fsencode(path.readlink()))
    elif path.is_dir():
        _strings(state, b"directory")
        for child in sorted(path.iterdir(), key=lambda p: os.fsencode(p.name)):
            _strings(state, b"entry", b"(", b"name", os.fsencode(child.name), b"node")
            _node(state, child)
            _strings(state, b")")
    else:
        _strings(state, b"regular")
        if path.stat().st_mode & 0o100:
            _strings(state, b"executable", b"")
        _strings(state, b"contents", path.read_bytes())
    _strings(state, b")")


def base32(digest: bytes) -> str:
    """Bytes as Nix writes hashes: its own alphabet, the last bits first."""
    number = int.from_bytes(digest, "little")
    length = (len(digest) * 8 - 1) // 5 + 1
    return "".join(_ALPHABET[number >> (5 * n) & 31] for n in reversed(range(length)))
