"""The process that serves one bridge: `python -m clanpy.ssh.bridge_worker`, started by `bridge_process`."""

from __future__ import annotations

import asyncio
import json
import pickle
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from clanpy.ssh.background import background
from clanpy.ssh.bridge import SETTLE_SECONDS
from clanpy.ssh.dial import Dialer
from clanpy.ssh.errors import SshError


if TYPE_CHECKING:
    from clanpy.ssh.bridge import Bridge
    from clanpy.ssh.bridge_process import Order
    from clanpy.ssh.target import Target

REPORT_SECONDS = 0.1


async def work(order: Order) -> int:
    """Serve the socket of an order until standard input ends. The result is the exit status of the process."""
    master = await _Master.listening()
    try:
        async with (
            background() as tasks,
            Dialer(timeouts=order.timeouts, ask_password=master.ask if order.may_ask else None) as dialer,
            dialer.connect(order.target) as connection,
            connection.bridge(order.command, elevate=order.elevate, as_user=order.as_user, path=order.path) as bridge,
        ):
            reports = _Reports(bridge)
            tasks.start(reports.run())
            await master.attend(reports)
            reports.tell_news()
    except SshError as error:
        _tell(failure=error.to_dict())
        return 1
    return 0


class _Reports:
    """What the other process is told about the bridge: what has changed since the last time."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._told: tuple[int, int, int] | None = None
        self._failures = 0

    async def run(self) -> None:
        """Tell news as they come, progress not more often than anybody can read it."""
        while True:
            self.tell_news()
            await self._bridge.news(REPORT_SECONDS)

    async def settle(self) -> None:
        """Tell what the ends of connections bring, and that it was all."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS):
                await self._bridge.settle()
        self.tell_news()
        _tell(settled=True)

    def tell_news(self) -> None:
        """Failures first: they explain why a connection is gone."""
        bridge = self._bridge
        for error in bridge.failures[self._failures :]:
            _tell(failure=error.to_dict())
        self._failures = len(bridge.failures)
        if (now := (bridge.sent, bridge.received, bridge.connections)) != self._told:
            _tell(sent=bridge.sent, received=bridge.received, connections=bridge.connections)
            self._told = now


class _Master:
    """The process that started us, at the other end of standard input."""

    def __init__(self, lines: asyncio.StreamReader) -> None:
        self._lines = lines
        self._answers: asyncio.Queue[str] = asyncio.Queue()

    @classmethod
    async def listening(cls) -> Self:
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
        return cls(reader)

    async def attend(self, reports: _Reports) -> None:
        """Do what is asked until standard input ends."""
        async for line in self._lines:
            match json.loads(line):
                case {"password": str(password)}:
                    self._answers.put_nowait(password)
                case {"settle": _}:
                    await reports.settle()

    async def ask(self, target: Target) -> str:
        """The password for sudo on a target."""
        _tell(ask="password")
        return await self._answers.get()


def _tell(**report: Any) -> None:
    sys.stdout.write(json.dumps(report) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Read the order and carry it out."""
    size = int.from_bytes(sys.stdin.buffer.read(4), "big")
    body = sys.stdin.buffer.read(size)
    if not size or len(body) < size:
        return 1
    order: Order = pickle.loads(body)  # noqa: S301  (a private pipe from the same program that started us)
    return asyncio.run(work(order))


if __name__ == "__main__":
    sys.exit(main())
