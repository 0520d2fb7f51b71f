"""Building where `deploy.build_host` says: on the machine itself, or on another host. The Nix of this computer is not needed.

The sources go over the open connection into the store there, under the hashes by which Nix knows them. They are evaluated and built
by scripts, whose lines come back as they are said, and what was built is rooted there. From another host it goes on to the machine
through this computer, piece by piece, from store to store.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from clanpy.deployment.copying import Meter
from clanpy.deployment.making import Kind, Place, place_of
from clanpy.errors import ClanpyError
from clanpy.events import Stage
from clanpy.nix.copy import Closures
from clanpy.nix.errors import DiskFullError, StaleReleaseError, is_disk_full
from clanpy.nix.evaluate import forget, recalled, remember
from clanpy.nix.nar import nar_size
from clanpy.nix.remote import STORE_DIR, Building, Evaluating, build_script, evaluation_script, trees
from clanpy.nix.serve import serving
from clanpy.ssh import Connection, RemoteCommandError
from clanpy.ui.format import counted, size


if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from clanpy.deployment.options import Surroundings
    from clanpy.deployment.reach import Reach
    from clanpy.deployment.releases import Releases
    from clanpy.deployment.run import HostRun
    from clanpy.nix.release import Release, Source
    from clanpy.nix.serve import StoreServer

AT_ONCE = 4  # evaluations and builds on one host
EVALUATE_SECONDS = 3600.0
BUILD_SECONDS = 24 * 3600.0

READ, WRITE = "exec nix-store --serve", "exec nix-store --serve --write"


@dataclass(slots=True)
class RemoteMaker:
    """Has releases made on other hosts. A connection to a build host is shared by all machines, and kept until `close`."""

    tasks: asyncio.TaskGroup
    surroundings: Surroundings
    reach: Reach
    releases: Releases
    override: str | None = None
    _opened: dict[str, Connection] = field(default_factory=dict, init=False)
    _closing: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _opening: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock), init=False)
    _slots: defaultdict[str, asyncio.Semaphore] = field(
        default_factory=lambda: defaultdict(lambda: asyncio.Semaphore(AT_ONCE)), init=False
    )

    def close(self) -> None:
        """Let go of the build hosts."""
        self._closing.set()

    def place(self, name: str) -> Place:
        """Where a machine is built."""
        return place_of(self.surroundings.fleet.machines[name], self.override)

    def knows(self, name: str) -> bool:
        return self.releases.is_staged(name)

    async def release(self, host: HostRun, conn: Connection | None) -> Release:
        """What was evaluated before, from the cache, or what the build host makes of the sources."""
        source = await self.releases.source(host.name)
        found = recalled(source, STORE_DIR, self.surroundings.cache)
        return found or await self._evaluate(host, conn, source)

    async def build(self, host: HostRun, conn: Connection | None, release: Release) -> Release:
        """Build it there. What was evaluated may have been collected there by now: then it is evaluated anew."""
        try:
            await self._build(host, conn, release)
        except StaleReleaseError:
            forget(release.source, self.surroundings.cache)
            release = await self._evaluate(host, conn, release.source)
            await self._build(host, conn, release)
        return release

    async def deliver(self, host: HostRun, conn: Connection, paths: Sequence[str]) -> str:
        """Nothing, where it was built on the machine; otherwise what is missing goes there from the other host."""
        place = self.place(host.name)
        if place.kind is Kind.TARGET:
            return "nothing to send: it was built there"
        builder = await self._builder(place)
        meter = Meter(host)
        async with _store(builder, READ) as source, _store(conn, WRITE, elevate=True) as target:
            infos = await source.closure(paths)
            known = Closures({info.path: info for info in infos})
            there = await target.valid([info.path for info in infos])
            missing = [info for info in known.of(*paths) if info.path not in there]
            meter.begin(sum(info.size for info in missing))
            for info in missing:
                await target.take_from(source, info, meter.add)
        if not missing:
            return f"nothing to send: all {len(infos)} paths are there"
        return f"{counted(len(missing), 'path')}, {size(known.size(info.path for info in missing))}, from {place.host}"

    def where(self, name: str, conn: Connection) -> AbstractAsyncContextManager[Connection]:
        """The connection to where a machine is built; `conn` leads to the machine itself."""
        return self._at(self.place(name), conn)

    async def _evaluate(self, host: HostRun, conn: Connection | None, source: Source) -> Release:
        place = self.place(host.name)
        with host.stage(Stage.EVALUATE) as note:
            async with self._at(place, conn) as there:
                sent = await self._ship(there, source, elevate=place.kind is Kind.TARGET)
                hearing = Evaluating(source, place.host, lambda line: host.log(Stage.EVALUATE, line))
                script = evaluation_script(source, self.surroundings.nix_config)
                await _hear(there, script, hearing.hear, EVALUATE_SECONDS, elevate=place.kind is Kind.TARGET)
            found = _checked(hearing.result())
            note.text = f"on {place.host}, {size(sent)} of sources sent" if sent else f"on {place.host}"
        remember(found, STORE_DIR, self.surroundings.cache)
        return found

    async def _build(self, host: HostRun, conn: Connection | None, release: Release) -> None:
        place = self.place(host.name)
        with host.stage(Stage.BUILD) as note:
            hearing = Building(release, place.host, lambda line: host.log(Stage.BUILD, line))
            async with self._at(place, conn) as there:
                script = build_script(release, self.surroundings.nix_config)
                await _hear(there, script, hearing.hear, BUILD_SECONDS, elevate=place.kind is Kind.TARGET)
            error = hearing.result()
            if error is not None:
                raise error
            note.text = f"on {place.host}"

    async def _ship(self, conn: Connection, source: Source, *, elevate: bool) -> int:
        """Have the sources of a machine in the store there; gives how many bytes had to be sent."""
        needed = {tree.path: tree for tree in trees(source)}
        sent = 0
        async with _store(conn, WRITE, elevate=elevate) as store:
            there = await store.valid(list(needed))
            for path, tree in needed.items():
                if path not in there:
                    length = await asyncio.to_thread(nar_size, tree.folder)
                    await store.add_folder(tree.info(length), tree.folder)
                    sent += length
        return sent

    @asynccontextmanager
    async def _at(self, place: Place, conn: Connection | None) -> AsyncIterator[Connection]:
        """The connection to where a machine is built, in turn with the other machines that are built there."""
        async with self._slots[place.host]:
            if place.kind is Kind.ELSEWHERE:
                yield await self._builder(place)
            elif conn is not None:
                yield conn
            else:
                async with self.reach.connected(place.host) as own:
                    yield own

    async def _builder(self, place: Place) -> Connection:
        """The connection to a build host, opened once for all machines and again when it broke."""
        name = place.host
        async with self._opening[name]:
            conn = self._opened.get(name)
            if conn is None or not conn.is_open:
                opened: asyncio.Future[Connection] = asyncio.get_running_loop().create_future()
                self.tasks.create_task(self._keep(name, opened), name=f"build host {name}")
                conn = self._opened[name] = await opened
            return conn

    async def _keep(self, name: str, opened: asyncio.Future[Connection]) -> None:
        """Hold a connection in a task of its own: the host that asked for it first may be done long before the others."""
        try:
            async with self.reach.connected_to_builder(name) as conn:
                if not opened.cancelled():
                    opened.set_result(conn)
                    await self._closing.wait()
        except ClanpyError as error:
            if not opened.done():
                opened.set_exception(error)


async def _hear(conn: Connection, script: str, hear: Callable[[str], None], seconds: float, *, elevate: bool) -> None:
    """Run a script and hear it line by line. That it failed is told by what it said."""
    try:
        async with asyncio.timeout(seconds), aclosing(conn.follow(script, elevate=elevate)) as lines:
            async for line in lines:
                hear(line)
    except RemoteCommandError as error:
        for line in error.details:
            hear(line)


@asynccontextmanager
async def _store(conn: Connection, command: str, *, elevate: bool = False) -> AsyncIterator[StoreServer]:
    """The store of a host."""
    try:
        async with conn.bridge(command, elevate=elevate) as socket, serving(Path(str(socket)), conn.host) as store:
            yield store
    except RemoteCommandError as error:
        if is_disk_full("\n".join((error.message, *error.details))):
            raise DiskFullError(
                f"{conn.host}: no space left on the disk of its Nix store", details=error.details
            ) from error
        raise


def _checked(found: Release | ClanpyError) -> Release:
    if isinstance(found, ClanpyError):
        raise found
    return found
