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
    ready = asyncio.Event()
    try:
        async with background() as tasks:
            reports = tasks.start(_read_reports(process, bridge, ready, ask))
            assert process.stdin is not None
            process.stdin.write(order.to_bytes())
            await ready.wait()
            if bridge.failures:
                raise bridge.failures[0]
            yield
            process.stdin.close()
            await asyncio.wait((reports,), timeout=order.timeouts.close)
    finally:
        await _end(process, order.timeouts.close)


async def _read_reports(process: Process, bridge: Bridge, ready: asyncio.Event, ask: AskPassword | None) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    async for line in process.stdout:
        report = json.loads(line)
        if "ask" in report and ask is not None:
            process.stdin.write(f"{await ask()}\n".encode())
            continue
        _take(report, bridge)
        ready.set()
    if not process.stdin.is_closing():
        error = last_lines((await process.stderr.read()).decode(errors="replace"))
        bridge.failures.append(ConnectionLostError(f"the bridge to {bridge.host} has ended by itself", details=error))
        ready.set()


def _take(report: dict[str, Any], bridge: Bridge) -> None:
    match report:
        case {"sent": int(sent), "received": int(received), "connections": int(connections)}:
            bridge.count_sent(sent - bridge.sent)
            bridge.count_received(received - bridge.received)
            while bridge.connections < connections:
                bridge.opened()
            while bridge.connections > connections:
                bridge.closed()
        case {"failure": dict(failure)}:
            bridge.failures.append(revive(failure))


async def _end(process: Process, seconds: float) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(seconds):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
