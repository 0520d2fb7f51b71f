"""A Unix socket on this computer, each connection to which is a command on a target.

`nix copy --to unix://SOCKET` speaks to `nix-daemon --stdio` there, and knows nothing of SSH. Bytes go straight from one protocol
object to the other, without tasks or queues; when one side is slow, the other is told to wait.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import tempfile
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import asyncssh

from clanpy.errors import ClanpyError
from clanpy.ssh.background import background
from clanpy.ssh.errors import SshError, command_failed, translate
from clanpy.ssh.session import Channel, Collector


if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from clanpy.ssh.background import Background
    from clanpy.ssh.channels import Channels

# A socket's path is limited by the kernel: 104 bytes on macOS, 108 on Linux.
MAX_PATH = 103
HIGH_WATER = 1 << 20
STDERR_BYTES = 64 << 10
SETTLE_SECONDS = 1.0


class Bridge:
    """An open bridge. Stands for the path of its socket wherever a path or text is wanted.

    Attributes:
        sent, received: bytes that went to and came from the host, over all connections.
        failures: what went wrong with the remote commands so far.
    """

    def __init__(self, channels: Channels, host: str, command: str, on_sent: Callable[[int], None]) -> None:
        self.path = Path()
        self.sent = 0
        self.received = 0
        self.failures: list[SshError] = []
        self._channels = channels
        self._host = host
        self._command = command
        self._on_sent = on_sent
        self._open = 0
        self._quiet = asyncio.Event()

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)

    @asynccontextmanager
    async def listening(self, text: str) -> AsyncIterator[None]:
        """Accept connections while the body runs; afterwards everything is closed and the socket is gone."""
        with _private_directory() as directory:
            self.path = directory / "s"
            async with background() as tasks:
                loop = asyncio.get_running_loop()
                server = await loop.create_unix_server(lambda: _Local(self, text, tasks), str(self.path))
                try:
                    yield
                except (ClanpyError, OSError) as error:
                    await self._settle()
                    if self.failures:
                        raise self.failures[0] from error
                    raise
                finally:
                    server.close()

    def count_sent(self, size: int) -> None:
        """Bytes were handed to the host."""
        self.sent += size
        self._on_sent(size)

    def count_received(self, size: int) -> None:
        """Bytes came from the host."""
        self.received += size

    async def serve(self, local: _Local, text: str) -> None:
        """Run the command for one connection, to its end or the connection's."""
        far = _Far(local, self)
        self._open += 1
        try:
            async with self._channels.open(far, text) as channel:
                local.join(channel)
                await far.ended.wait()
        except SshError as error:
            self.failures.append(error)
        else:
            self._judge(far)
        finally:
            local.close()
            self._open -= 1
            self._quiet.set()

    async def _settle(self) -> None:
        """The local program may have failed before we are told why: the end of its connection precedes the remote status."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS):
                while self._open:
                    self._quiet.clear()
                    await self._quiet.wait()

    def _judge(self, far: _Far) -> None:
        if far.error is not None:
            self.failures.append(translate(far.error, self._host, doing=f"running {self._command} on"))
        elif far.signal or far.status:
            self.failures.append(command_failed(self._host, self._command, far.status, far.signal, far.stderr.text()))


class _Local(asyncio.Protocol):
    """The near end: one connection to the socket. Reading starts when there is a channel to write to."""

    def __init__(self, bridge: Bridge, text: str, tasks: Background) -> None:
        self._bridge = bridge
        self._text = text
        self._tasks = tasks
        self._transport: asyncio.Transport | None = None
        self._channel: Channel | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=HIGH_WATER)
        transport.pause_reading()
        self._tasks.start(self._bridge.serve(self, self._text))

    def join(self, channel: Channel) -> None:
        """There is a channel: bytes may flow."""
        self._channel = channel
        channel.set_write_buffer_limits(high=HIGH_WATER)
        if self._transport:
            self._transport.resume_reading()
        else:
            channel.abort()

    def data_received(self, data: bytes) -> None:
        assert self._channel is not None
        with suppress(BrokenPipeError):
            self._channel.write(data)
            self._bridge.count_sent(len(data))

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

    def __init__(self, local: _Local, bridge: Bridge) -> None:
        super().__init__(STDERR_BYTES)
        self._local = local
        self._bridge = bridge

    def data_received(self, data: bytes, datatype: int | None) -> None:
        if datatype == asyncssh.EXTENDED_DATA_STDERR:
            self.stderr.add(data)
            return
        self._bridge.count_received(len(data))
        self._local.deliver(data)

    def eof_received(self) -> bool:
        self._local.deliver_eof()
        return True

    def pause_writing(self) -> None:
        self._local.flow(allowed=False)

    def resume_writing(self) -> None:
        self._local.flow(allowed=True)


@contextmanager
def _private_directory() -> Iterator[Path]:
    """A directory that nobody else can enter, with a path short enough for a socket in it."""
    places = [os.environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir(), "/tmp"]  # noqa: S108  (mkdtemp makes it private)
    for place in places:
        if (
            place
            and os.access(place, os.W_OK | os.X_OK)
            and len(os.fsencode(place)) + len("/clanpy-xxxxxxxx/s") <= MAX_PATH
        ):
            directory = Path(tempfile.mkdtemp(prefix="clanpy-", dir=place))
            break
    else:
        raise OSError(errno.ENOENT, "there is no directory for a socket", places[-1])
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
