"""Store paths on their way: what belongs to a release, how large it is, and copying it through a socket to another store."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clanpy.nix.activity import FLAGS, Advanced, CopyStarted, Said, Stopped, parse
from clanpy.nix.database import Registered, StoreDatabase
from clanpy.nix.derivations import name_of
from clanpy.nix.errors import CopyError, DiskFullError, is_disk_full, plain, tail
from clanpy.nix.nar import digest_of, nix_hashes
from clanpy.nix.program import NixProgram


STEP = 1 << 18  # bytes of progress that are worth telling


@dataclass(frozen=True, slots=True)
class PathInfo:
    """A valid store path: its size as an archive in bytes, the paths that it refers to (not itself), and what else Nix knows of it."""

    path: str
    size: int
    references: tuple[str, ...]
    refers_to_itself: bool = False
    nar_hash: str = ""
    deriver: str = ""
    signatures: tuple[str, ...] = ()
    content_address: str = ""


@dataclass(frozen=True, slots=True)
class Closures:
    """Store paths and what they refer to."""

    infos: Mapping[str, PathInfo]

    def of(self, *tops: str) -> tuple[PathInfo, ...]:
        """The closure of some paths, each after what it refers to, so that it can be sent in this order."""
        order: dict[str, PathInfo] = {}
        pending = [(top, False) for top in reversed(tops)]
        while pending:
            path, is_ready = pending.pop()
            if path in order:
                continue
            info = self.infos[path]
            if is_ready:
                order[path] = info
            else:
                pending.append((path, True))
                pending += [(ref, False) for ref in reversed(info.references) if ref not in order]
        return tuple(order.values())

    def size(self, paths: Iterable[str]) -> int:
        """How many bytes some paths are together."""
        return sum(self.infos[path].size for path in paths)


@dataclass(frozen=True, slots=True)
class CopyProgress:
    """How far a copy is. `path` is the name of the path that goes over the wire just now."""

    paths_done: int
    bytes_done: int
    path: str | None = None


def _ignore(_: object) -> None:
    """Nobody listens."""


async def closures(paths: Sequence[str], nix: NixProgram) -> Closures:
    """What some valid store paths refer to, directly or not: from the store's database, or from one process.

    Raises:
        NixCommandError: a path is not valid.
    """
    database = StoreDatabase.of(nix)
    registered = database.closure(paths) if database else None
    if registered is not None:
        return Closures({found.path: _known(found) for found in registered})
    done = await nix.run(["nix", "path-info", "--json", "--recursive", *paths])
    found = json.loads(done.check("asking for the closure of store paths"))
    return Closures({info.path: info for info in map(_info, _records(found))})


async def copy(
    paths: Sequence[str],
    socket: Path,
    nix: NixProgram,
    *,
    host: str,
    on_progress: Callable[[CopyProgress], None] = _ignore,
    sizes: Mapping[str, int] | None = None,
) -> None:
    """Copy store paths and all that they refer to into the store whose daemon answers at `socket`.

    `sizes` are the bytes of paths: old versions of Nix tell of no bytes, so that a path counts when it has arrived.

    Raises:
        DiskFullError: the other store has no space left.
        CopyError: the copy failed.
    """
    if not paths:
        return
    watch = _Watch(on_progress, sizes or {})
    done = await nix.run(
        ["nix", "copy", *FLAGS, "--no-check-sigs", "--to", f"unix://{socket}", *paths], on_line=watch.hear
    )
    if done.status == 0:
        return
    said = "\n".join(watch.errors) or plain(done.stderr)
    if is_disk_full(said):
        raise DiskFullError(f"{host}: no space left on the disk of its Nix store", details=tail(said))
    raise CopyError(f"{host}: store paths could not be copied to it", details=tail(said))


@dataclass(slots=True)
class _Watch:
    """Adds up what the log of a copy says."""

    on_progress: Callable[[CopyProgress], None]
    sizes: Mapping[str, int]
    errors: list[str] = field(default_factory=list)
    running: dict[int, str] = field(default_factory=dict)
    bytes_of: dict[int, int] = field(default_factory=dict)
    paths_done: int = 0
    bytes_done: int = 0
    told: int = 0

    def hear(self, line: str) -> None:
        match parse(line):
            case CopyStarted(activity, path):
                self.running[activity] = path
                self._report(path)
            case Advanced(activity, done, _) if activity in self.running:
                self.bytes_of[activity] = done
                if self._bytes() - self.told >= STEP:
                    self._report(self.running[activity])
            case Stopped(activity) if activity in self.running:
                path = self.running.pop(activity)
                self.bytes_done += max(self.bytes_of.pop(activity, 0), self.sizes.get(path, 0))
                self.paths_done += 1
                self._report(None)
            case Said(text, is_error=True):
                self.errors.append(plain(text))

    def _bytes(self) -> int:
        return self.bytes_done + sum(self.bytes_of.values())

    def _report(self, path: str | None) -> None:
        self.told = self._bytes()
        self.on_progress(CopyProgress(self.paths_done, self.told, None if path is None else name_of(path)))


def _known(found: Registered) -> PathInfo:
    return PathInfo(
        found.path,
        found.size,
        tuple(ref for ref in found.references if ref != found.path),
        refers_to_itself=found.path in found.references,
        nar_hash=nix_hashes(digest_of(found.hash))[0],
        deriver=found.deriver,
        signatures=found.signatures,
        content_address=found.content_address,
    )


def _records(found: Any) -> list[dict[str, Any]]:
    """`nix path-info --json` gives a list up to 2.18, and a map by path from 2.19 on."""
    if isinstance(found, list):
        return found
    return [{**record, "path": path} for path, record in found.items() if record is not None]


def _info(record: Mapping[str, Any]) -> PathInfo:
    path, references = record["path"], record.get("references", ())
    address = record.get("ca")
    return PathInfo(
        path,
        record.get("narSize", 0),
        tuple(ref for ref in references if ref != path),
        refers_to_itself=path in references,
        nar_hash=record.get("narHash", ""),
        deriver=record.get("deriver") or "",
        signatures=tuple(record.get("signatures") or ()),
        content_address=address if isinstance(address, str) else "",
    )
