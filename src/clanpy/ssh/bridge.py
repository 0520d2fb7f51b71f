"""A Unix socket on this computer, each connection to which is a fresh run of one command on a target.

`nix copy --to unix://SOCKET` speaks to `nix-daemon --stdio` there, and knows nothing of SSH.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from clanpy.errors import ClanpyError
from clanpy.ssh.errors import SshError


# A socket's path is limited by the kernel: 104 bytes on macOS, 108 on Linux, and a zero byte is among them.
MAX_PATH = 103

# From here on a process of its own pays for its start: docs/decisions/0010-bulk-lane.md.
BULK_BYTES = 256 << 20
SETTLE_SECONDS = 2.0


class Bridge:
    """An open bridge. Stands for the path of its socket wherever a path or text is wanted.

    Attributes:
        host: what the host is called in messages.
        command: what runs there, as one line.
        path: the socket.
        sent: bytes that went to the host so far, over all connections.
        received: bytes that came from the host so far.
        connections: how many connections are open.
        failures: what went wrong with the remote commands so far.
        settle: waits until `failures` has what the ends of connections so far have to tell.
    """

    def __init__(self, host: str, command: str, path: Path, on_sent: Callable[[int], None]) -> None:
        self.host = host
        self.command = command
        self.path = path
        self.sent = 0
        self.received = 0
        self.connections = 0
        self.failures: list[SshError] = []
        self._on_sent = on_sent
        self.settle: Callable[[], Awaitable[None]] = self.wait_for_end
        self._news = asyncio.Event()

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)

    def count_sent(self, size: int) -> None:
        """Bytes were handed to the host."""
        self.sent += size
        self._on_sent(size)

    def count_received(self, size: int) -> None:
        """Bytes came from the host."""
        self.received += size

    def opened(self) -> None:
        """A connection was made to the socket."""
        self.connections += 1

    def closed(self) -> None:
        """A connection has ended, on both sides; if the command failed, that was noted before."""
        self.connections -= 1
        self._news.set()

    async def news(self, seconds: float | None) -> None:
        """Wait until a connection has ended, or for some seconds."""
        self._news.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()

    async def reason(self, error: ClanpyError | OSError) -> Exception:
        """Why the body failed: the remote failure that made it fail, where there is one, else its own error.

        The program on this side may be the first to notice: the end of its connection precedes the status of the command.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS):
                await self.settle()
        return self.failures[0] if self.failures else error

    async def wait_for_end(self) -> None:
        """Wait until every connection has ended, or one has failed."""
        while self.connections and not self.failures:
            await self.news(None)


@contextmanager
def private_path() -> Iterator[Path]:
    """Where a socket can be: in a directory that nobody else can enter, under a path that is short enough."""
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
        yield directory / "s"
    finally:
        shutil.rmtree(directory, ignore_errors=True)
