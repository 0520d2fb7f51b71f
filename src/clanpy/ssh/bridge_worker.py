"""The process that serves one bridge: `python -m clanpy.ssh.bridge_worker`, started by `bridge_process`."""

from __future__ import annotations

import asyncio
import json
import pickle
import sys
from typing import TYPE_CHECKING, Any, Self

from clanpy.ssh.background import background
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
            Dialer(timeouts=order.timeouts, ask_password=master.ask if order.may_ask else None) as dialer,
            dialer.connect(order.target) as connection,
            connection.bridge(order.command, elevate=order.elevate, as_user=order.as_user, path=order.path) as bridge,
            background() as tasks,
        ):
            tasks.start(_report(bridge))
            await master.gone()
            _tell_progress(bridge)
    except SshError as error:
        _tell(failure=error.to_dict())
        return 1
    return 0


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

    async def gone(self) -> None:
        """Wait until standard input ends; answers come in on the way."""
        async for line in self._lines:
            self._answers.put_nowait(line.decode().removesuffix("\n"))

    async def ask(self, target: Target) -> str:
        """The password for sudo on a target."""
        _tell(ask="password")
        return await self._answers.get()


async def _report(bridge: Bridge) -> None:
    """Tell what has changed: failures first, because they explain why a connection is gone."""
    told: tuple[int, int, int] | None = None
    failures = 0
    while True:
        for error in bridge.failures[failures:]:
            _tell(failure=error.to_dict())
            failures += 1
        if (now := (bridge.sent, bridge.received, bridge.connections)) != told:
            _tell_progress(bridge)
            told = now
        await bridge.news(REPORT_SECONDS)


def _tell_progress(bridge: Bridge) -> None:
    _tell(sent=bridge.sent, received=bridge.received, connections=bridge.connections)


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
