"""The channels of one connection: how many at once, how one is opened, and that each is closed."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from clanpy.ssh.errors import ConnectionLostError, is_foreign, translate
from clanpy.ssh.library import asyncssh
from clanpy.ssh.shell import GRACE_SECONDS


if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from clanpy.ssh.background import Background
    from clanpy.ssh.session import Channel, Collector

CHANNELS = 8  # sshd allows ten by default; two are left for those that are still closing
REFUSED_SECONDS = 0.1
WINDOW_BYTES = 16 << 20  # what may be under way to us: 160 MB/s at a round trip of 100 ms


class Channels:
    """Opens channels for commands, never more at once than the host takes.

    Where it takes fewer than we thought (MaxSessions), the limit is lowered to what was open then, and the command waits.
    """

    def __init__(
        self, client: asyncssh.SSHClientConnection, label: str, tasks: Background, limit: int = CHANNELS
    ) -> None:
        self.opened = 0
        self._client = client
        self._label = label
        self._tasks = tasks
        self._limit = limit
        self._used = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._lingering_until = 0.0
        self._hurried = False

    @asynccontextmanager
    async def open(self, session: Collector, text: str) -> AsyncIterator[Channel]:
        """Run `text` in a channel whose events go to `session`; the channel is closed at the end, come what may.

        Raises:
            ConnectionLostError, ChannelRefusedError: the channel could not be opened.
        """
        channel = await self._acquire(session, text)
        try:
            yield channel
        finally:
            if not session.ended.is_set():
                # To the host the session lasts until its command has ended, with a grace of its own.
                self._lingering_until = asyncio.get_running_loop().time() + GRACE_SECONDS + 1
            # Not close(): that waits until the host has read what was written, which a hung command never does.
            channel.abort()
            self._release()

    async def _acquire(self, session: Collector, text: str) -> Channel:
        while True:
            await self._take()
            alone = self._used == 1
            try:
                return await self._open(session, text)
            except asyncssh.ChannelOpenError as error:
                alone = alone and self._used == 1
                self._release()
                await self._take_refusal(error, alone=alone)
            except BaseException as error:
                self._release()
                if is_foreign(error):
                    raise self._translated(error) from error
                raise

    async def _take(self) -> None:
        while self._used >= self._limit:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                self._wake()  # in case it was us who had just been woken
                raise
        self._used += 1

    def _release(self) -> None:
        self._used -= 1
        self._wake()

    def _wake(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    async def _take_refusal(self, error: asyncssh.ChannelOpenError, *, alone: bool) -> None:
        """Whether it makes sense to try again: when others held channels, or still do as far as the host is concerned."""
        if self._client.is_closed():
            raise self._translated(error) from error
        if not alone:
            self._limit = max(1, min(self._limit, self._used))
        elif asyncio.get_running_loop().time() < self._lingering_until:
            await asyncio.sleep(REFUSED_SECONDS)
        else:
            raise self._translated(error) from error

    async def _open(self, session: Collector, text: str) -> Channel:
        if not self._hurried:
            self._hurried = True
            _acknowledge_quickly(self._client)
        # Cancelled half way, asyncssh would leave the channel open on the host: the opening is seen through, then undone.
        opening = self._tasks.start(self._create(session, text))
        try:
            result = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_undo)
            raise
        if isinstance(result, Exception):
            raise result
        return result

    async def _create(self, session: Collector, text: str) -> Channel | Exception:
        try:
            channel, _ = await self._client.create_session(lambda: session, text, window=WINDOW_BYTES, encoding=None)
        except (asyncssh.Error, OSError) as error:
            return error
        self.opened += 1
        return channel

    def _translated(self, error: BaseException) -> Exception:
        if self._client.is_closed():
            return ConnectionLostError(f"the connection to {self._label} is closed")
        return translate(error, self._label, doing="opening a channel to")


def _undo(opening: asyncio.Task[Channel | Exception]) -> None:
    result = None if opening.cancelled() else opening.result()
    if isinstance(result, asyncssh.SSHClientChannel):
        result.abort()


def _acknowledge_quickly(client: asyncssh.SSHClientConnection) -> None:
    """Save the first command of a connection 40 ms.

    After the login sshd tells its host keys, which needs no answer; its answer to the first command then waits (Nagle) until that
    is acknowledged, and the kernel here delays the acknowledgement, hoping for something to send with it. The option sends what
    is due at once, and does not last: hence several times, until long after any round trip at which it matters.
    """
    sock = client.get_extra_info("socket")
    if sock is None or not hasattr(socket, "TCP_QUICKACK") or sock.family not in {socket.AF_INET, socket.AF_INET6}:
        return

    def flush() -> None:
        with suppress(OSError):  # closed in the meantime
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    for milliseconds in (1, 2, 4, 8, 16, 32):
        asyncio.get_running_loop().call_later(milliseconds / 1000, flush)
