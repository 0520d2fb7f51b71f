"""Bringing store paths to a host: ask what is missing over the open connection, then let Nix copy through it."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from clanpy.deployment.batch import Asked, Batcher
from clanpy.deployment.lanes import Choice, Lane, choose
from clanpy.errors import ClanpyError
from clanpy.events import LaneChosen, Stage
from clanpy.nix.copy import Closures, PathInfo, closures, copy
from clanpy.nix.errors import DiskFullError, is_disk_full
from clanpy.nix.serve import serving
from clanpy.nix.stream import IMPORT, send_stream
from clanpy.rollout.limits import Limits
from clanpy.ssh import RemoteCommandError
from clanpy.ssh.link import Link
from clanpy.ui.format import counted, size


if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from clanpy.deployment.run import HostRun
    from clanpy.nix.program import NixProgram
    from clanpy.ssh import Connection
    from clanpy.ssh.bridge import Bridge

TELL_EVERY = 0.1  # seconds
FETCH_SECONDS = 4 * 3600.0
PAUSES = (0.1, 0.4, 1.0)  # seconds: what was built is there a moment before Nix knows it


class Site(Protocol):
    """Hosts beside the machines, from which they get what it was given."""

    def label(self, name: str) -> str | None:
        """The host from which a machine gets its paths; None: from here."""
        ...

    async def fan_out(self, host: HostRun, conn: Connection, missing: Sequence[PathInfo], known: Closures) -> bool:
        """Have paths on a machine by way of its peer. Whether that went well; if not, it was told why."""
        ...


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is, or was, missing on a host, its bytes, and how it goes there."""

    missing: tuple[PathInfo, ...]
    total: int
    choice: Choice


_Question = tuple[str, ...]
_Answer = Closures | ClanpyError


@dataclass(slots=True)
class Copier:
    """Copies closures to hosts.

    Attributes:
        substitute: whether a machine fetches by itself what its substituters have; None: where that is quicker.
        site: the hosts beside machines that are given everything first, once for all of them.
    """

    tasks: asyncio.TaskGroup
    nix: NixProgram | ClanpyError
    substitute: Callable[[str], bool | None] = lambda _: None
    site: Site | None = None
    _rates: dict[str, float] = field(default_factory=dict, init=False)
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
        asked = await self._ask_and_add(host, conn, needed)
        if not asked.missing:
            return f"nothing to send: all {len(needed)} paths are there"
        total = known.size(info.path for info in asked.missing)
        done = f"{counted(len(asked.missing), 'path')}, {size(total)}"
        if asked.choice.lane is Lane.PEER and self.site is not None:
            if await self.site.fan_out(host, conn, asked.missing, known):
                return f"{done}, from {self.site.label(host.name)}"
            asked = await self._ask_and_add(host, conn, needed, detours=False)
        if asked.choice.lane is Lane.SUBSTITUTE:
            await fetch_there(conn, [info.path for info in asked.missing])
            before = len(asked.missing)
            asked = await self._ask_and_add(host, conn, needed, detours=False)
            done += f", {before - len(asked.missing)} of them fetched by the machine itself"
        if asked.missing and asked.choice.lane is not Lane.CONVERSATION:
            await self._push(host, conn, paths, asked, self.nix)
        return done

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

    async def _ask_and_add(
        self, host: HostRun, conn: Connection, needed: Sequence[PathInfo], *, detours: bool = True
    ) -> _Asked:
        """Ask what is missing, choose how it goes there, and add it at once where it is little."""
        meter = Meter(host)
        async with (
            full_disk_named(host.name),
            conn.bridge("exec nix-store --serve --write", elevate=True, on_bytes=meter.add) as socket,
            serving(Path(str(socket)), host.name) as store,
        ):
            began = host.clock()
            there = await store.valid([info.path for info in needed])
            answered = host.clock() - began
            missing = tuple(info for info in needed if info.path not in there)
            total = sum(info.size for info in missing)
            _check_room(host, total)
            choice = self._choose(host, conn, missing, answered, detours=detours)
            if missing and choice.lane is Lane.CONVERSATION:
                meter.begin(total)
                await store.add_all(missing)
            return _Asked(missing, total, choice)

    def _choose(
        self, host: HostRun, conn: Connection, missing: Sequence[PathInfo], answered: float, *, detours: bool
    ) -> Choice:
        """The lane for what is missing; told where there is something."""
        measured, total = conn.link, sum(info.size for info in missing)
        # behind a jump host the kernel knows nothing: the first answer took a channel, a program and a question
        link = Link(measured.round_trip or answered / 3, measured.rate or self._rates.get(host.name))
        peer = self.site.label(host.name) if self.site is not None and detours else None
        choice = choose(link, total, substitute=self.substitute(host.name) if detours else False, peer=peer)
        if missing:
            host.bus.emit(
                LaneChosen(
                    host=host.name,
                    lane=choice.lane,
                    reason=choice.reason,
                    paths=len(missing),
                    bytes=total,
                    round_trip=link.round_trip,
                    rate=link.rate,
                )
            )
        return choice

    async def _push(
        self, host: HostRun, conn: Connection, paths: Sequence[str], asked: _Asked, nix: NixProgram
    ) -> None:
        """Send what is missing by one of the lanes for much."""
        meter, total, lane = Meter(host), asked.total, asked.choice.lane
        meter.begin(total)
        around = lane is Lane.PROCESS
        command = IMPORT if lane is Lane.STREAM else "exec nix-daemon --stdio"
        began = host.clock()
        async with (
            full_disk_named(host.name),
            self._large,
            self._bulk if around else nullcontext(),
            conn.bridge(command, elevate=True, on_bytes=meter.add, in_process=not around) as socket,
        ):
            if lane is Lane.STREAM:
                await send_stream([info.path for info in asked.missing], Path(str(socket)), nix, host=host.name)
                if (why := await failure_of(socket)) is not None:
                    raise why
            else:
                await copy(paths, Path(str(socket)), nix, host=host.name)
        self._rates[host.name] = total / max(host.clock() - began, 0.001)
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


async def fetch_there(conn: Connection, paths: Sequence[str]) -> None:
    """Have a host fetch what its substituters have of some paths. What they have not is no error."""
    command = "xargs nix-store --realise --keep-going --max-jobs 0 >/dev/null 2>&1; exit 0"
    await conn.run(command, input="\n".join(paths).encode(), elevate=True, timeout=FETCH_SECONDS)


async def failure_of(bridge: Bridge) -> ClanpyError | None:
    """Why what ran at the other end of a bridge failed, now that it has ended."""
    await bridge.settle()
    return bridge.failures[0] if bridge.failures else None


@asynccontextmanager
async def full_disk_named(host: str) -> AsyncIterator[None]:
    """Call it by its name when a command fails because a disk is full."""
    try:
        yield
    except RemoteCommandError as error:
        if is_disk_full("\n".join((error.message, *error.details))):
            raise DiskFullError(f"{host}: no space left on the disk of its Nix store", details=error.details) from error
        raise


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
