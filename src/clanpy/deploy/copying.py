"""Bringing store paths to a host: ask what is missing over the open connection, then let Nix copy through it."""

from __future__ import annotations

import asyncio
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from clanpy.deploy.batch import Asked, Batcher
from clanpy.errors import ClanpyError
from clanpy.events import Stage
from clanpy.nix.copy import Closures, closures, copy
from clanpy.ui.format import counted, size


if TYPE_CHECKING:
    from collections.abc import Sequence

    from clanpy.activation import HostFacts
    from clanpy.deploy.run import HostRun
    from clanpy.nix.program import NixProgram
    from clanpy.ssh import Connection

BULK_BYTES = 32 << 20  # from here on the bytes go around the event loop, in a process of their own
ASK_SECONDS = 60.0
TELL_EVERY = 0.1  # seconds
PAUSES = (0.1, 0.4, 1.0)  # seconds: what was built is there a moment before Nix knows it
FOLDERS = "/nix/var/nix/profiles/default/bin:/run/current-system/sw/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"

_Question = tuple[str, ...]
_Answer = Closures | ClanpyError


@dataclass(slots=True)
class Copier:
    """Copies closures to hosts."""

    tasks: asyncio.TaskGroup
    nix: NixProgram | ClanpyError
    _batcher: Batcher[_Question, _Answer] = field(init=False)

    def __post_init__(self) -> None:
        self._batcher = Batcher(self.tasks, self._closures)

    async def send(self, host: HostRun, conn: Connection, facts: HostFacts, paths: Sequence[str]) -> str:
        """Have paths and all that they refer to on a host. What was there already is not sent.

        Returns:
            What was done, for people.

        Raises:
            DiskFullError, CopyError, SshError: it could not be done.
        """
        if isinstance(self.nix, ClanpyError):
            raise self.nix
        known = await self._batcher.ask(tuple(paths))
        if isinstance(known, ClanpyError):
            raise known
        needed = [info.path for info in known.of(*paths)]
        missing = await _missing(conn, facts, needed)
        if not missing:
            return f"nothing to send: all {len(needed)} paths are there"
        total = known.size(missing)

        host.progress(Stage.COPY, 0, total)
        meter = _Meter(host, total)
        is_bulk = total >= BULK_BYTES
        daemon = _with_path(facts, "exec nix-daemon --stdio")
        async with conn.bridge(daemon, elevate=True, on_bytes=meter.add, in_process=not is_bulk) as socket:
            await copy(paths, Path(str(socket)), self.nix, host=host.name)
        host.progress(Stage.COPY, total, total)
        return f"{counted(len(missing), 'path')}, {size(total)}"

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


@dataclass(slots=True)
class _Meter:
    """Counts the bytes that went to a host. Nix's own count stands still within a path."""

    host: HostRun
    total: int
    done: int = 0
    told: float = float("-inf")

    def add(self, count: int) -> None:
        self.done += count
        now = self.host.clock()
        if now - self.told >= TELL_EVERY:
            self.told = now
            # what Nix says to Nix is a little more than the paths themselves
            self.host.progress(Stage.COPY, min(self.done, self.total), self.total)


async def _missing(conn: Connection, facts: HostFacts, paths: Sequence[str]) -> list[str]:
    """Those of the paths that are not valid on the host: one round trip. All of them when the host can't tell."""
    command = _with_path(facts, "exec xargs nix-store --check-validity --print-invalid")
    said = await conn.run(command, input="\n".join(paths).encode(), timeout=ASK_SECONDS, elevate=True)
    if not said.ok:
        return list(paths)
    invalid = set(said.stdout.split())
    return [path for path in paths if path in invalid]


def _with_path(facts: HostFacts, command: str) -> str:
    """A command that finds the programs of Nix, whatever the PATH of a login without a terminal is."""
    beside = f"{shlex.quote(str(Path(facts.nix).parent))}:" if facts.nix else ""
    return f"PATH={beside}{FOLDERS}:$PATH; export PATH; {command}"
