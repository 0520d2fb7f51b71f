"""Channel ends: what is done with the bytes of one remote command. No tasks, no copies beyond the ones that asyncssh makes."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

from clanpy.ssh.elevation import PROMPT
from clanpy.ssh.library import asyncssh
from clanpy.ssh.shell import GREETING


Channel = asyncssh.SSHClientChannel[bytes]

LINE_BYTES = 64 << 10
WAITING_LINES = 1000
_GREETING = f"{GREETING}\n".encode()


@dataclass(slots=True)
class Tail:
    """The last `keep` bytes of a stream; `total` counts all of it. Takes up at most twice as much."""

    keep: int
    total: int = 0
    _data: bytearray = field(default_factory=bytearray)

    def add(self, data: bytes) -> None:
        """Take in more of the stream."""
        self.total += len(data)
        self._data += data
        if len(self._data) > 2 * self.keep:
            del self._data[: len(self._data) - self.keep]

    @property
    def dropped(self) -> int:
        """How many bytes came before what is kept."""
        return max(0, self.total - self.keep)

    def text(self) -> str:
        """What is kept, as text; bytes that are no UTF-8 are replaced."""
        return self._data[max(0, len(self._data) - self.keep) :].decode("utf-8", errors="replace")


class Collector(asyncssh.SSHClientSession[bytes]):
    """Keeps the tails of both streams and how the command ended.

    Attributes:
        ended: set when the channel is closed.
        arrived: whether the output is the command's: behind words that change the account, only after the greeting.
        prompts: how often a password was asked for before that.
        news: set whenever one of these changes.
    """

    def __init__(self, keep: int, *, greeted: bool = False) -> None:
        self.stdout = Tail(keep)
        self.stderr = Tail(keep)
        self.status: int | None = None
        self.signal: str | None = None
        self.error: Exception | None = None
        self.ended = asyncio.Event()
        self.news = asyncio.Event()
        self.arrived = not greeted
        self.prompts = 0
        self._before = bytearray()

    def data_received(self, data: bytes, datatype: int | None) -> None:
        if datatype == asyncssh.EXTENDED_DATA_STDERR:
            self._complain(data)
        elif self.arrived:
            self.output(data)
        else:
            self._await_greeting(data)

    def output(self, data: bytes) -> None:
        """Take in what the command wrote to its standard output."""
        self.stdout.add(data)

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
        self.news.set()

    def _await_greeting(self, data: bytes) -> None:
        self._before += data
        _, found, rest = bytes(self._before).partition(_GREETING)
        if found:
            self.arrived = True
            self.stderr = Tail(self.stderr.keep)  # so far it was sudo's
            self.news.set()
            if rest:
                self.output(rest)

    def _complain(self, data: bytes) -> None:
        self.stderr.add(data)
        if not self.arrived:
            self.prompts = self.stderr.text().count(PROMPT)
            self.news.set()


class Lines(Collector):
    """Hands out standard output line by line. The host is told to wait while nobody takes them."""

    def __init__(self, keep: int, *, greeted: bool = False) -> None:
        super().__init__(keep, greeted=greeted)
        self._ready: deque[str] = deque()
        self._begun = bytearray()
        self._channel: Channel | None = None

    def connection_made(self, chan: Channel) -> None:
        self._channel = chan

    def output(self, data: bytes) -> None:
        self._begun += data
        *whole, self._begun = self._begun.split(b"\n")
        if len(self._begun) > LINE_BYTES:
            whole.append(self._begun)
            self._begun = bytearray()
        self._give(whole)
        if len(self._ready) > WAITING_LINES and self._channel:
            self._channel.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._begun:
            self._give([self._begun])
        super().connection_lost(exc)

    def _give(self, lines: list[bytearray]) -> None:
        self._ready.extend(line.decode("utf-8", errors="replace").removesuffix("\r") for line in lines)
        if lines:
            self.news.set()

    async def next(self) -> str | None:
        """The next line without its end, or None when the command has ended."""
        while not self._ready:
            if self.ended.is_set():
                return None
            self.news.clear()
            if self._channel:
                self._channel.resume_reading()  # which may bring lines at once
            if not self._ready:
                await self.news.wait()
        return self._ready.popleft()
