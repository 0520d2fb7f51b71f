"""The hash by which Nix knows a folder: SHA-256 over its NAR, the archive format of stores."""

from __future__ import annotations

import base64
import hashlib
import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Protocol


if TYPE_CHECKING:
    from collections.abc import Callable


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...


def nar_hash(path: Path, *, skip: Callable[[Path], bool] = lambda _: False) -> str:
    """The hash of a file or folder as Nix writes it: `sha256-…` with base64.

    Raises:
        OSError: something below `path` can't be read.
    """
    state = hashlib.sha256()
    _string(state, b"nix-archive-1")
    _node(state, path, skip)
    return "sha256-" + base64.b64encode(state.digest()).decode()


def _string(state: _Hash, data: bytes) -> None:
    state.update(struct.pack("<Q", len(data)) + data + b"\0" * (-len(data) % 8))


def _strings(state: _Hash, *data: bytes) -> None:
    for part in data:
        _string(state, part)


def _node(state: _Hash, path: Path, skip: Callable[[Path], bool]) -> None:
    _string(state, b"(")
    if path.is_symlink():
        _strings(state, b"type", b"symlink", b"target", os.fsencode(os.readlink(path)))
    elif path.is_dir():
        _strings(state, b"type", b"directory")
        for name in sorted(os.listdir(path), key=os.fsencode):
            if not skip(path / name):
                _strings(state, b"entry", b"(", b"name", os.fsencode(name), b"node")
                _node(state, path / name, skip)
                _string(state, b")")
    else:
        _strings(state, b"type", b"regular")
        if path.stat().st_mode & 0o100:
            _strings(state, b"executable", b"")
        _strings(state, b"contents", path.read_bytes())
    _string(state, b")")
