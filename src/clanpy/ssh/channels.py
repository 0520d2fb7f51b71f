"""The channels of one connection: how many at once, how one is opened, and that each is closed."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import asyncssh

from clanpy.ssh.errors import ConnectionLostError, is_foreign, translate


if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from clanpy.ssh.background import Background
    from clanpy.ssh.session import Channel

CHANNELS = 8  # sshd allows ten by default; two are left for those that are still closing
WINDOW_BYTES = 16 << 20  # what may be under way to us: 160 MB/s at a round trip of 100 ms


class Channels:
    """Opens channels for commands, never more at once than the host takes.

    Where it takes fewer than we thought (MaxSessions), the limit is lowered to what was open then, and the command waits.
    """

    def __init__(
        self, client: asyncssh.SSHClientConnection, label: str, tasks: Background, limit: int = CHANNELS
    ) -> None:
        self._client = client
        self._label = label
        self._tasks = tasks
        self._limit = limit
        self.opened = 0
        self._used = 0
        self._freed = asyncio.Condition()
        self._hurried = False

    @asynccontextmanager
    async def open(self, session: asyncssh.SSHClientSession[bytes], text: str) -> AsyncIterator[Channel]:
        """Run `text` in a channel whose events go to `session`; the channel is closed at the end, come what may.

        Raises:
            ConnectionLostError, ChannelRefusedError: the channel could not be opened.
        """
        channel = await self._acquire(session, text)
        try:
            yield channel
        finally:
            # Not close(): that waits until the host has read what was written, which a hung command never does.
            channel.abort()
            await self._release()

    async def _acquire(self, session: asyncssh.SSHClientSession[bytes], text: str) -> Channel:
        while True:
            async with self._freed:
                await self._freed.wait_for(lambda: self._used < self._limit)
                self._used += 1
            try:
                return await self._open(session, text)
            except asyncssh.ChannelOpenError as error:
                alone = self._used == 1
                await self._release()
                if alone or self._client.is_closed():
                    raise self._translated(error) from error
                self._limit = max(1, self._used)
            except BaseException as error:
                await self._release()
                if is_foreign(error):
                    raise self._translated(error) from error
                raise

    async def _open(self, session: asyncssh.SSHClientSession[bytes], text: str) -> Channel:
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

    async def _create(self, session: asyncssh.SSHClientSession[bytes], text: str) -> Channel | Exception:
        try:
            channel, _ = await self._client.create_session(lambda: session, text, window=WINDOW_BYTES, encoding=None)
        except (asyncssh.Error, OSError) as error:
            return error
        self.opened += 1
        return channel

    async def _release(self) -> None:
        self._used -= 1
        async with self._freed:
            self._freed.notify()

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
