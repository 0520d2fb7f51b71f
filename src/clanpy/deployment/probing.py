"""Trying the ways to machines, all of them, to see which of them lead there."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clanpy.ssh import Dialer, Timeouts
from clanpy.ssh.errors import SshError


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from clanpy.inventory.ways import Way
    from clanpy.ssh import Target

AT_ONCE = 32
TIMEOUTS = Timeouts(connect=5.0, login=10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One way to a machine, and what came of it: the time until we were let in, or why we were not."""

    machine: str
    way: Way
    seconds: float | None = None
    error: SshError | None = None

    @property
    def is_reached(self) -> bool:
        return self.error is None

    def to_dict(self) -> dict[str, Any]:
        """As JSON: `machine, source, network, target, jump, proxy, reached, seconds, error`."""
        return {
            "machine": self.machine,
            **self.way.to_dict(),
            "reached": self.is_reached,
            "seconds": None if self.seconds is None else round(self.seconds, 3),
            "error": None if self.error is None else self.error.to_dict(),
        }


async def try_ways(
    ways: Iterable[tuple[str, Way, Target]],
    *,
    timeouts: Timeouts = TIMEOUTS,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Tried, ...]:
    """Log in over each way, many at once, and out again. In the order given; nothing is raised that a host does wrong."""
    slots = asyncio.Semaphore(AT_ONCE)
    async with Dialer(timeouts=timeouts, retries=0) as dialer, asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_try(dialer, slots, clock, (machine, way, target)), name=f"way to {machine}")
            for machine, way, target in ways
        ]
    return tuple(task.result() for task in tasks)


async def _try(
    dialer: Dialer, slots: asyncio.Semaphore, clock: Callable[[], float], one: tuple[str, Way, Target]
) -> Tried:
    machine, way, target = one
    async with slots:
        started = clock()
        try:
            async with dialer.connect(target):
                return Tried(machine=machine, way=way, seconds=clock() - started)
        except SshError as error:
            return Tried(machine=machine, way=way, error=error)
