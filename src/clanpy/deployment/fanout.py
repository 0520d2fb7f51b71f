"""Store paths by way of a host beside the machines: sent there once for all of them, and passed on from there.

Our own keys stay here. What a machine got is compared with what was built before anything is done with it
(docs/decisions/0078-fanning-out.md).
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from clanpy.deployment.copying import FETCH_SECONDS
from clanpy.deployment.errors import PeerError
from clanpy.errors import ClanpyError
from clanpy.nix.errors import CopyError
from clanpy.nix.nar import digest_of
from clanpy.nix.passing import MARK, NO_AGENT, UNREACHED, giving_script, read_ready, taking_script
from clanpy.nix.serve import serving
from clanpy.ssh.onetime import OneTimeKey


if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from clanpy.deployment.copying import Copier
    from clanpy.deployment.reach import Reach
    from clanpy.deployment.run import HostRun
    from clanpy.nix.copy import Closures, PathInfo
    from clanpy.nix.passing import Giving
    from clanpy.ssh import Connection

READY_SECONDS = 20.0
SERVE = "exec nix-store --serve --write"


@dataclass(slots=True)
class _Peer:
    """A host that passes store paths on: the connection to it, and where the machines find it."""

    conn: Connection
    giving: Giving
    key: OneTimeKey
    sending: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(slots=True)
class Fanout:
    """The hosts beside the machines of a run. `via` says which a machine has; each is kept until `close`."""

    tasks: asyncio.TaskGroup
    reach: Reach
    copier: Copier
    via: Callable[[str], str | None]
    _peers: dict[str, asyncio.Future[_Peer]] = field(default_factory=dict, init=False)
    _closing: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    def close(self) -> None:
        """Let go of the hosts."""
        self._closing.set()

    def label(self, name: str) -> str | None:
        """The host from which a machine gets its paths; None: from here, as the host itself does."""
        return self.via(name)

    async def fan_out(self, host: HostRun, conn: Connection, missing: Sequence[PathInfo], known: Closures) -> bool:
        """Have paths on a machine by way of its peer. Whether that went well; if not, it was told why.

        Raises:
            CopyError: what arrived is not what was built.
        """
        name = self.via(host.name)
        assert name is not None
        try:
            peer = await self._peer(name)
            await self._give(host, peer, missing)
            await self._take(host, conn, peer, missing)
        except ClanpyError as error:
            host.note(f"{name} can't pass store paths on: {error.message}; they are sent from here", level="warning")
            return False
        await self._compare(conn, missing, known)
        return True

    async def _peer(self, name: str) -> _Peer:
        if name not in self._peers:
            self._peers[name] = asyncio.get_running_loop().create_future()
            self.tasks.create_task(self._keep(name, self._peers[name]), name=f"peer {name}")
        return await asyncio.shield(self._peers[name])

    async def _keep(self, name: str, opened: asyncio.Future[_Peer]) -> None:
        """Hold the connection, and the script that passes on, for as long as there are machines."""
        key = OneTimeKey.make()
        ways = [way.host for way in self.reach.builders.get(name, ())]
        try:
            async with (
                self.reach.connected_to_builder(name) as conn,
                aclosing(conn.follow(giving_script(key.public))) as lines,
            ):
                async with asyncio.timeout(READY_SECONDS):
                    giving = await _ready(lines, conn, [*ways, conn.address])
                opened.set_result(_Peer(conn, giving, key))
                await self._closing.wait()
                await conn.run(
                    ["rm", "-rf", giving.folder], timeout=READY_SECONDS
                )  # its shell may be ended before it does so itself
        except TimeoutError:
            _fail(opened, PeerError(f"{name} was not ready to pass store paths on within {READY_SECONDS:g} s"))
        except ClanpyError as error:
            _fail(opened, error)

    async def _give(self, host: HostRun, peer: _Peer, missing: Sequence[PathInfo]) -> None:
        """Have paths on the peer. What several machines need is sent for the first of them."""
        async with peer.sending:
            await self.copier.send(replace(host, free_bytes=None), peer.conn, [info.path for info in missing])

    async def _take(self, host: HostRun, conn: Connection, peer: _Peer, missing: Sequence[PathInfo]) -> None:
        paths = [info.path for info in missing]
        said = f"{peer.key.private.strip()}\n.\n" + "".join(f"{path}\n" for path in paths)
        async with (
            peer.conn.bridge(SERVE, elevate=True) as socket,
            serving(Path(str(socket)), peer.conn.host) as store,
        ):
            await store.valid(paths)  # keeps them there from being collected as garbage meanwhile
            done = await conn.run(taking_script(peer.giving), input=said.encode(), elevate=True, timeout=FETCH_SECONDS)
        if done.status == UNREACHED:
            raise PeerError(
                f"{host.name} does not reach {peer.conn.host} at port {peer.giving.port}",
                hint=f"let machines beside it in at TCP port {peer.giving.port} of {peer.conn.host}",
                details=tuple(done.stderr.splitlines()[-5:]),
            )
        if done.status == NO_AGENT:
            raise PeerError(f"{host.name} has no OpenSSH client", details=tuple(done.stderr.splitlines()[-5:]))
        done.check()

    async def _compare(self, conn: Connection, missing: Sequence[PathInfo], known: Closures) -> None:
        """See that what arrived is what was built, and do away with what is not."""
        async with conn.bridge(SERVE, elevate=True) as socket, serving(Path(str(socket)), conn.host) as store:
            found = {info.path: info for info in await store.closure([info.path for info in missing])}
        wrong = [info.path for info in missing if not _is_same(found.get(info.path), known.infos[info.path])]
        if wrong:
            await conn.run(["nix-store", "--delete", "--ignore-liveness", *wrong], elevate=True)
            raise CopyError(
                f"{conn.host} was given {wrong[0]} with other contents than were built",
                hint="the host that deploy.via names is not to be trusted: look at it",
            )


def _is_same(found: PathInfo | None, wanted: PathInfo) -> bool:
    return found is not None and digest_of(found.nar_hash) == digest_of(wanted.nar_hash)


async def _ready(lines: AsyncIterator[str], conn: Connection, addresses: Sequence[str]) -> Giving:
    said: list[str] = []
    async for line in lines:
        found = read_ready(line, [address for address in addresses if address])
        if found is not None:
            return found
        said.append(line)
        if line.startswith(f"{MARK}failed"):
            break
    raise PeerError(f"{conn.host} does not pass store paths on", details=tuple(said[-5:]))


def _fail(opened: asyncio.Future[_Peer], error: ClanpyError) -> None:
    if not opened.done():
        opened.set_exception(error)
        opened.exception()  # seen, even if nobody waits any more
