"""Bringing store paths to a host: ask what is missing over the open connection, then let Nix copy through it."""

from __future__ import annotations

import asyncio
import os
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from clanpy.deployment.batch import Asked, Batcher
from clanpy.errors import ClanpyError
from clanpy.events import Stage
from clanpy.nix.copy import Closures, PathInfo, closures, copy
from clanpy.nix.errors import DiskFullError, is_disk_full
from clanpy.nix.serve import serving
from clanpy.rollout.limits import Limits
from clanpy.ssh import RemoteCommandError
from clanpy.ssh.bridge import BULK_BYTES
from clanpy.ui.format import counted, size


if TYPE_CHECKING:
    from collections.abc import Sequence

    from clanpy.deployment.run import HostRun
    from clanpy.nix.program import NixProgram
    from clanpy.ssh import Connection

SMALL_BYTES = 4 << 20  # less is handed over in the conversation in which it was asked for: no Nix is started for it
TELL_EVERY = 0.1  # seconds
PAUSES = (0.1, 0.4, 1.0)  # seconds: what was built is there a moment before Nix knows it

_Question = tuple[str, ...]
_Answer = Closures | ClanpyError


@dataclass(slots=True)
class Copier:
    """Copies closures to hosts."""

    tasks: asyncio.TaskGroup
    nix: NixProgram | ClanpyError
    _batcher: Batcher[_Question, _Answer] = field(init=False)
    _large: asyncio.Semaphore = field(init=False)
    _bulk: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._batcher = Batcher(self.tasks, self._closures)
        self._large = asyncio.Semaphore(Limits.derived().copy)
        # encrypting keeps a processor busy: more processes for it than processors only wait for each other
        self._bulk = asyncio.Semaphore(os.cpu_count() or 1)

    async def send(self, host: HostRun, conn: Connection, paths: Sequence[str]) -> str:
        """Have paths and all that they refer to on a host. What was there already is not sent.

        Returns:
            What was done, for people.

        Raises:
            DiskFullError, CopyError, SshError: it could not be done.
        """
        known = await self.known(paths)
        assert not isinstance(self.nix, ClanpyError)
        needed = known.of(*paths)
        missing = await self._ask_and_add(host, conn, needed)
        if not missing:
            return f"nothing to send: all {len(needed)} paths are there"
        total = known.size(info.path for info in missing)
        if total >= SMALL_BYTES:
            await self._let_nix_copy(host, conn, paths, total, self.nix)
        return f"{counted(len(missing), 'path')}, {size(total)}"

    async def known(self, paths: Sequence[str]) -> Closures:
        """What paths that were built here refer to, and how large all of it is.

        Raises:
            ClanpyError: Nix is not there, or does not know them.
        """
        if isinstance(self.nix, ClanpyError):
            raise self.nix
        known = await self._batcher.ask(tuple(paths))
        if isinstance(known, ClanpyError):
            raise known
        return known

    async def _ask_and_add(self, host: HostRun, conn: Connection, needed: Sequence[PathInfo]) -> list[PathInfo]:
        """Ask what is missing, and add it at once where it is little. Gives what is, or was, missing."""
        meter = Meter(host)
        try:
            async with (
                conn.bridge("exec nix-store --serve --write", elevate=True, on_bytes=meter.add) as socket,
                serving(Path(str(socket)), host.name) as store,
            ):
                there = await store.valid([info.path for info in needed])
                missing = [info for info in needed if info.path not in there]
                _check_room(host, sum(info.size for info in missing))
                if sum(info.size for info in missing) < SMALL_BYTES:
                    meter.begin(sum(info.size for info in missing))
                    await store.add_all(missing)
                return missing
        except RemoteCommandError as error:
            if is_disk_full("\n".join((error.message, *error.details))):
                raise DiskFullError(
                    f"{host.name}: no space left on the disk of its Nix store", details=error.details
                ) from error
            raise

    async def _let_nix_copy(
        self, host: HostRun, conn: Connection, paths: Sequence[str], total: int, nix: NixProgram
    ) -> None:
        meter = Meter(host)
        meter.begin(total)
        daemon, around = "exec nix-daemon --stdio", total >= BULK_BYTES
        async with (
            self._large,
            self._bulk if around else nullcontext(),
            conn.bridge(daemon, elevate=True, on_bytes=meter.add, in_process=not around) as socket,
        ):
            await copy(paths, Path(str(socket)), nix, host=host.name)
        host.progress(Stage.COPY, total, total)

    async def _closures(self, batch: Sequence[Asked[_Question, _Answer]]) -> None:
        known = await self._known(sorted({path for asked in batch for path in asked.question}))
        for asked in batch:
            asked.answer(known)

    async def _known(self, paths: Sequence[str]) -> _Answer:
        assert not isinstance(self.nix, ClanpyError)
        for pause in (*PAUSES, None):
            try:
                return await closures(paths, self.nix)
            except ClanpyError as error:
                if pause is None:
                    return error
            await asyncio.sleep(pause)
        raise AssertionError


def _check_room(host: HostRun, size_: int) -> None:
    """Send nothing to where it finds no room."""
    if host.free_bytes is not None and size_ > host.free_bytes:
        raise DiskFullError(
            f"{host.name} would be sent {size(size_)}, and {size(host.free_bytes)} are free in its Nix store",
            hint="nix-collect-garbage makes room there",
        )


@dataclass(slots=True)
class Meter:
    """Counts the bytes that go to a host, and tells. Nix's own count stands still within a path."""

    host: HostRun
    total: int | None = None
    done: int = 0
    told: float = float("-inf")

    def begin(self, total: int) -> None:
        """From here on it is the paths themselves that are sent."""
        self.total, self.done = total, 0
        self.host.progress(Stage.COPY, 0, total)

    def add(self, count: int) -> None:
        """So many more."""
        self.done += count
        now = self.host.clock()
        if self.total is not None and now - self.told >= TELL_EVERY:
            self.told = now
            # what stores say to each other is a little more than the paths
            self.host.progress(Stage.COPY, min(self.done, self.total), self.total)
