"""Where services can come from beside this package and the fleet: flake inputs, and Python packages that are installed.

Nix is not asked. The fleet's `flake.lock` names its inputs and, by their hashes, the store paths that hold them; an input is known
when it is a folder, or when the store has it already.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from clanpy.errors import Place
from clanpy.services.errors import UnknownServiceError


GROUP = "clanpy.services"
LOCK = "flake.lock"
_ALPHABET = "0123456789abcdfghijklmnpqrsvwxyz"
_STORE = Path("/nix/store")


@dataclass(frozen=True, slots=True)
class FlakeInput:
    """An input of the fleet's flake. `folder` is its source, None while this computer does not have it."""

    name: str
    folder: Path | None


def flake_inputs(root: Path, store: Path = _STORE) -> Mapping[str, FlakeInput]:
    """The inputs of a fleet by name, sorted; none when it has no lock.

    Raises:
        UnknownServiceError: the lock can't be read.
    """
    path = root / LOCK
    try:
        changed = path.stat().st_mtime_ns
    except OSError:
        return {}
    return _read(root, store, changed)


@cache
def _read(root: Path, store: Path, _changed: int) -> Mapping[str, FlakeInput]:
    try:
        lock = json.loads((root / LOCK).read_bytes())
        nodes = lock["nodes"]
        inputs = nodes[lock["root"]].get("inputs", {})
        return {name: FlakeInput(name, _folder(root, store, nodes, inputs[name])) for name in sorted(inputs)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"is no lock file ({type(error).__name__}: {error}), so the fleet's inputs are not known"
        raise UnknownServiceError(message, place=Place(LOCK)) from error


def _folder(root: Path, store: Path, nodes: Mapping[str, Any], reference: Any) -> Path | None:
    """The folder of an input: of this computer's disk for a path, else of its store."""
    locked = _node(nodes, reference).get("locked", {})
    if locked.get("type") == "path" and isinstance(locked.get("path"), str):
        folder = (root / locked["path"]).resolve()
    elif isinstance(locked.get("narHash"), str):
        folder = source_path(locked["narHash"], store)
    else:
        return None
    inside = folder / str(locked.get("dir", ""))
    return inside if inside.is_dir() else None


def _node(nodes: Mapping[str, Any], reference: Any) -> Mapping[str, Any]:
    """The node that a reference means: its key, or the path of inputs that it follows."""
    if isinstance(reference, str):
        found: Mapping[str, Any] = nodes[reference]
        return found
    here: Any = "root"
    for name in reference:
        here = _node(nodes, here)["inputs"][name]
    return _node(nodes, here)


def source_path(nar_hash: str, store: Path = _STORE) -> Path:
    """The store path of a source that is locked by this hash (`sha256-…` with base64).

    Raises:
        ValueError: it is no such hash.
    """
    kind, _, text = nar_hash.partition("-")
    if kind != "sha256":
        raise ValueError(f"{nar_hash!r} is no SHA-256")
    digest = base64.b64decode(text, validate=True)
    described = f"source:sha256:{digest.hex()}:{_STORE}:source"
    return store / f"{_base32(_folded(hashlib.sha256(described.encode()).digest()))}-source"


def _folded(digest: bytes, size: int = 20) -> bytes:
    """A hash as the name of a store path has it: shortened by folding it onto itself."""
    found = bytearray(size)
    for n, byte in enumerate(digest):
        found[n % size] ^= byte
    return bytes(found)


def _base32(digest: bytes) -> str:
    """Bytes as Nix writes hashes: its own alphabet, the last bits first."""
    number, length = int.from_bytes(digest, "little"), (len(digest) * 8 + 4) // 5
    return "".join(_ALPHABET[(number >> (5 * n)) & 31] for n in reversed(range(length)))


def package_services() -> Mapping[str, Mapping[str, EntryPoint]]:
    """The services of installed Python packages: package → service → entry point, sorted."""
    found: dict[str, dict[str, EntryPoint]] = {}
    for point in entry_points(group=GROUP):
        if point.dist is not None:
            found.setdefault(normal(point.dist.name), {})[point.name] = point
    return {package: dict(sorted(found[package].items())) for package in sorted(found)}


def normal(package: str) -> str:
    """The name of a Python package in its one form."""
    return re.sub(r"[-_.]+", "-", package).lower()
