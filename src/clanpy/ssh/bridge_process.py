"""The engine of a bridge in a process of its own: what the two processes tell each other, and this side of it.

The worker opens a connection of its own and serves the socket. It is told everything on its standard input, and ends when that
ends, so that it can't outlive us. It reports on its standard output, a line of JSON a report; one of these asks for the password
of sudo, which is then a line on its standard input.
"""

from __future__ import annotations

import asyncio
import json
import pickle
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clanpy.ssh.background import background
from clanpy.ssh.errors import ConnectionLostError, last_lines, revive
from clanpy.ssh.options import Timeouts
from clanpy.ssh.shell import Command
from clanpy.ssh.target import Target


if TYPE_CHECKING:
    from clanpy.ssh.bridge import Bridge

WORKER = "clanpy.ssh.bridge_worker"

AskPassword = Callable[[], Awaitable[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a worker is to do."""

    target: Target
    timeouts: Timeouts
    command: Command
    elevate: bool
    as_user: str | None
    path: Path
    may_ask: bool

    def to_bytes(self) -> bytes:
        """The order as it is written to the worker's standard input: its length, and itself."""
        body = pickle.dumps(self)
        return len(body).to_bytes(4, "big") + body


@asynccontextmanager
async def serving(bridge: Bridge, order: Order, ask: AskPassword | None) -> AsyncIterator[None]:
    """Have a worker serve the bridge's socket while the body runs.

    Raises:
        SshError: the worker could not connect, for the reasons that `Dialer.connect` has.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", WORKER, stdin=PIPE, stdout=PIPE, stderr=PIPE, start_new_session=True
    )
    worker = _Worker(process, bridge, ask)
    bridge.settle = worker.settle
    try:
        async with background() as tasks:
            reports = tasks.start(worker.read_reports())
            worker.write(order.to_bytes())
            await worker.ready.wait()
            if bridge.failures:
                raise bridge.failures[0]
            yield
            worker.dismiss()
            await asyncio.wait((reports,), timeout=order.timeouts.close)
    finally:
        worker.dismiss()
        await _end(process, order.timeouts.close)


class _Worker:
    """The worker as seen from here."""

    def __init__(self, process: Process, bridge: Bridge, ask: AskPassword | None) -> None:
        self.ready = asyncio.Event()
        self._settled = asyncio.Event()
        self._process = process
        self._bridge = bridge
        self._ask = ask
        self._dismissed = False

    def write(self, data: bytes) -> None:
        """Hand something to the worker; whether it still lives is seen elsewhere."""
        assert self._process.stdin is not None
        if not self._process.stdin.is_closing():
            self._process.stdin.write(data)

    def tell(self, word: str, value: str = "") -> None:
        """Send one line: `settle`, or the `password`."""
        self.write(json.dumps({word: value}).encode() + b"\n")

    def dismiss(self) -> None:
        """The worker may end: its standard input does."""
        assert self._process.stdin is not None
        self._dismissed = True
        self._process.stdin.close()

    async def settle(self) -> None:
        """Wait until the worker has told all there is to tell."""
        self._settled.clear()
        self.tell("settle")
        await self._settled.wait()

    async def read_reports(self) -> None:
        """Take in reports until the worker ends."""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        async for line in self._process.stdout:
            report = json.loads(line)
            if "ask" in report and self._ask is not None:
                self.tell("password", await self._ask())
                continue
            self._take(report)
            self.ready.set()
        if not self._dismissed and not self._bridge.failures:
            said = last_lines((await self._process.stderr.read()).decode(errors="replace"))
            told = f"the bridge to {self._bridge.host} has ended by itself"
            self._bridge.failures.append(ConnectionLostError(told, details=said))
        self.ready.set()
        self._settled.set()

    def _take(self, report: dict[str, Any]) -> None:
        bridge = self._bridge
        match report:
            case {"sent": int(sent), "received": int(received), "connections": int(connections)}:
                bridge.count_sent(sent - bridge.sent)
                bridge.count_received(received - bridge.received)
                bridge.connections = connections
            case {"failure": dict(failure)}:
                bridge.failures.append(revive(failure))
            case {"settled": _}:
                self._settled.set()


async def _end(process: Process, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
