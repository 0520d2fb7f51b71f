"""Channel ends: what is done with the bytes of one remote command. No tasks, no copies beyond the ones that asyncssh makes."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

import asyncssh


Channel = asyncssh.SSHClientChannel[bytes]

LINE_BYTES = 64 << 10
WAITING_LINES = 1000


@dataclass(slots=True)
class Tail:
    """The last `keep` bytes of a stream, and how many came before them."""

    keep: int
    size: int = 0
    dropped: int = 0
    _parts: deque[bytes] = field(default_factory=deque)

    def add(self, data: bytes) -> None:
        """Take in more of the stream."""
        self._parts.append(data)
        self.size += len(data)
        while self.size - len(self._parts[0]) >= self.keep:
            first = self._parts.popleft()
            self.size -= len(first)
            self.dropped += len(first)

    def text(self) -> str:
        """What was kept, as text; bytes that are no UTF-8 are replaced."""
        data = b"".join(self._parts)
        return data[max(0, len(data) - self.keep) :].decode("utf-8", errors="replace")


class Collector(asyncssh.SSHClientSession[bytes]):
    """Keeps the tails of both streams and how the command ended. `ended` is set when the channel is closed."""

    def __init__(self, keep: int) -> None:
        self.stdout = Tail(keep)
        self.stderr = Tail(keep)
        self.status: int | None = None
        self.signal: str | None = None
        self.error: Exception | None = None
        self.ended = asyncio.Event()

    def data_received(self, data: bytes, datatype: int | None) -> None:
        (self.stderr if datatype == asyncssh.EXTENDED_DATA_STDERR else self.stdout).add(data)

    def eof_received(self) -> bool:
        # True: our own side stays open. Standard input is the command's life line; it closes with the channel.
        return True

    def exit_status_received(self, status: int) -> None:
        self.status = status

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        self.signal = signal

    def connection_lost(self, exc: Exception | None) -> None:
        self.error = exc
        self.ended.set()


class Lines(Collector):
    """Hands out standard output line by line. The host is told to wait while nobody takes them."""

    def __init__(self, keep: int) -> None:
        super().__init__(keep)
        self._ready: deque[str] = deque()
        self._begun = bytearray()
        self._news = asyncio.Event()
        self._channel: Channel | None = None

    def connection_made(self, chan: Channel) -> None:
        self._channel = chan

    def data_received(self, data: bytes, datatype: int | None) -> None:
        if datatype == asyncssh.EXTENDED_DATA_STDERR:
            self.stderr.add(data)
            return
        self._begun += data
        *whole, rest = self._begun.split(b"\n")
        self._begun = bytearray() if len(rest) > LINE_BYTES else rest
        self._give(whole if self._begun == rest else [*whole, rest])
        if len(self._ready) > WAITING_LINES and self._channel:
            self._channel.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._begun:
            self._give([self._begun])
        super().connection_lost(exc)
        self._news.set()

    def _give(self, lines: list[bytearray]) -> None:
        self._ready.extend(line.decode("utf-8", errors="replace").removesuffix("\r") for line in lines)
        if lines:
            self._news.set()

    async def next(self) -> str | None:
        """The next line without its end, or None when the command has ended."""
        while not self._ready:
            if self.ended.is_set():
                return None
            if self._channel:
                self._channel.resume_reading()
            self._news.clear()
            await self._news.wait()
        return self._ready.popleft()
