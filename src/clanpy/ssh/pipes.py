"""The engine of a bridge in this process: connections to the socket, each joined to a channel of its own.

Bytes go straight from one protocol object to the other, without tasks or queues; when one side is slow, the other is told to
wait. An event loop that moves bulk is late for everything else: see docs/decisions/0010-bulk-lane.md.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from clanpy.ssh.background import background
from clanpy.ssh.errors import SshError, command_failed
from clanpy.ssh.session import Channel, Collector


if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from clanpy.ssh.background import Background
    from clanpy.ssh.bridge import Bridge
    from clanpy.ssh.start import Start

HIGH_WATER = 1 << 20
STDERR_BYTES = 64 << 10


class Pipes:
    """Serves the connections to a bridge's socket with runs of one command."""

    def __init__(self, bridge: Bridge, start: Start) -> None:
        self.bridge = bridge
        self.start = start

    @asynccontextmanager
    async def serving(self, path: Path) -> AsyncIterator[None]:
        """Accept connections while the body runs; afterwards every one of them is closed, here and on the host."""
        async with background() as tasks:
            server = await asyncio.get_running_loop().create_unix_server(lambda: _Local(self, tasks), str(path))
            try:
                yield
            finally:
                server.close()

    async def serve(self, local: _Local) -> None:
        """Run the command for one connection, to the end of either."""
        far = _Far(local, self)
        self.bridge.opened()
        try:
            async with self.start.channel(far):
                local.begin()
                await far.ended.wait()
            self._judge(far)
        except SshError as error:
            self.bridge.failures.append(error)
        finally:
            local.close()
            self.bridge.closed()

    def _judge(self, far: _Far) -> None:
        bridge = self.bridge
        if far.status is None and far.signal is None and far.error is None:
            return  # it was we who closed the channel, because the near end had gone
        self.start.check(far, bridge.command)
        if far.signal or far.status:
            raise command_failed(bridge.host, bridge.command, far.status, far.signal, far.stderr.text())


class _Local(asyncio.Protocol):
    """The near end: one connection to the socket. Reading starts when there is a channel to write to."""

    def __init__(self, pipes: Pipes, tasks: Background) -> None:
        self._pipes = pipes
        self._tasks = tasks
        self._transport: asyncio.Transport | None = None
        self._channel: Channel | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=HIGH_WATER)
        # Some asyncios (of Python 3.11.2, which Debian 12 has) begin to read right after this even from a transport paused here.
        asyncio.get_running_loop().call_soon(transport.pause_reading)
        self._tasks.start(self._pipes.serve(self))

    def join(self, channel: Channel) -> None:
        """There is a channel: what comes out of it can be held up from here."""
        self._channel = channel
        channel.set_write_buffer_limits(high=HIGH_WATER)

    def begin(self) -> None:
        """The command reads: bytes may go there."""
        if self._transport:
            self._transport.resume_reading()
        elif self._channel:
            self._channel.abort()

    def data_received(self, data: bytes) -> None:
        assert self._channel is not None
        with suppress(BrokenPipeError):
            self._channel.write(data)
            self._pipes.bridge.count_sent(len(data))

    def eof_received(self) -> bool:
        assert self._channel is not None
        self._channel.write_eof()
        return True  # the host may still have something to say

    def pause_writing(self) -> None:
        if self._channel:
            self._channel.pause_reading()

    def resume_writing(self) -> None:
        if self._channel:
            self._channel.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._channel:
            self._channel.abort()

    def flow(self, allowed: bool) -> None:
        """The host takes more, or has to be waited for."""
        if self._transport and not self._transport.is_closing():
            (self._transport.resume_reading if allowed else self._transport.pause_reading)()

    def deliver(self, data: bytes) -> None:
        """Hand on what the host wrote."""
        if self._transport:
            self._transport.write(data)

    def deliver_eof(self) -> None:
        """Hand on that the host will write no more."""
        if self._transport and not self._transport.is_closing():
            self._transport.write_eof()

    def close(self) -> None:
        """Close, after what is still to be delivered."""
        if self._transport:
            self._transport.close()


class _Far(Collector):
    """The far end: the streams of the remote command."""

    def __init__(self, local: _Local, pipes: Pipes) -> None:
        super().__init__(STDERR_BYTES, greeted=pipes.start.greeted)
        self._local = local
        self._bridge = pipes.bridge

    def connection_made(self, chan: Channel) -> None:
        self._local.join(chan)

    def output(self, data: bytes) -> None:
        self._bridge.count_received(len(data))
        self._local.deliver(data)

    def eof_received(self) -> bool:
        self._local.deliver_eof()
        return True

    def pause_writing(self) -> None:
        self._local.flow(allowed=False)

    def resume_writing(self) -> None:
        self._local.flow(allowed=True)
