"""What Ctrl-C does to the work of hosts."""

import asyncio
import os
import signal

import pytest

from clanpy.rollout.interrupts import Interrupts
from clanpy.rollout.limits import Limits


class Host:
    """A host's work that waits to be let go on, with a part in which it is being changed."""

    def __init__(self, interrupts: Interrupts, *, commits: bool) -> None:
        self.interrupts, self.commits = interrupts, commits
        self.begun, self.may_end = asyncio.Event(), asyncio.Event()
        self.how = ""

    async def work(self) -> None:
        try:
            with self.interrupts.member() as member:
                if self.commits:
                    with member.committed():
                        await self._wait()
                else:
                    await self._wait()
            self.how = "done"
        except asyncio.CancelledError:
            self.how = "cancelled"

    async def _wait(self) -> None:
        self.begun.set()
        await self.may_end.wait()


async def test_the_first_request_cancels_only_those_that_changed_nothing() -> None:
    interrupts = Interrupts()
    free, committed = Host(interrupts, commits=False), Host(interrupts, commits=True)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(free.work())
        tasks.create_task(committed.work())
        await free.begun.wait()
        await committed.begun.wait()
        interrupts.request()
        committed.may_end.set()
    assert (free.how, committed.how) == ("cancelled", "done")
    assert interrupts.stopping
    assert not interrupts.detached


async def test_the_second_request_cancels_the_others_too() -> None:
    interrupts = Interrupts()
    committed = Host(interrupts, commits=True)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(committed.work())
        await committed.begun.wait()
        interrupts.request()
        interrupts.request()
    assert committed.how == "cancelled"
    assert interrupts.detached


async def test_signals_are_requests_and_are_told() -> None:
    told: list[int] = []
    interrupts = Interrupts(told.append)
    with interrupts.on_signals():
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(0)
        os.kill(os.getpid(), signal.SIGTERM)
        while len(told) < 2:  # noqa: ASYNC110 - the loop hands signals on when it comes to it
            await asyncio.sleep(0)
    assert told == [1, 2]


@pytest.mark.parametrize("parallel", [1, 3, 500])
def test_parallel_bounds_hosts_and_activations(parallel: int) -> None:
    limits = Limits.derived(parallel=parallel)
    assert limits.hosts == parallel
    assert limits.activate <= parallel


def test_limits_come_from_this_computer() -> None:
    limits = Limits.derived()
    assert min(limits.hosts, limits.build, limits.copy, limits.activate) >= 1
