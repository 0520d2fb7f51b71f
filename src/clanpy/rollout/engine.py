"""The engine: does what is decided, and tells what came of it. What "activate" means is handed in, and so is the time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from clanpy.events import (
    BakeFinished,
    BakeStarted,
    Fact,
    HostAdmitted,
    HostFinished,
    HostUnhealthy,
    Outcome,
    RevertFinished,
    RevertStarted,
    RolloutContinued,
    RolloutPaused,
    RolloutStopped,
)
from clanpy.rollout.decide import held, is_over, next_fact, wake_at
from clanpy.rollout.progress import Bake, Progress


class Clock(Protocol):
    """The time, and waiting for it."""

    def now(self) -> datetime: ...
    async def sleep(self, seconds: float) -> None: ...


class Driver(Protocol):
    """What is done to hosts. Nothing of it raises but what ends the whole rollout (a journal that can't be written)."""

    async def prepare(self, host: str) -> HostFinished | None:
        """Bring everything there that its activation needs. A host that ends here (not reached, nothing to do) says how."""

    async def activate(self, host: str) -> HostFinished:
        """Make it live, and tell how it ended. Asked again after a restart, it finds out what was done."""

    async def revert(self, host: str) -> bool:
        """Take it back to what it ran before the rollout."""

    async def health(self, host: str) -> bool | str | None:
        """Whether it is well: True, why not, or None when that can't be found out now."""


@dataclass(slots=True)
class Control:
    """What people ask of a rollout while it runs: from this terminal, or from another one."""

    _requests: asyncio.Queue[Callable[[Engine], None]] = field(default_factory=asyncio.Queue)

    def pause(self) -> None:
        """Begin no more hosts until `promote`."""
        self._requests.put_nowait(lambda engine: engine.pause())

    def promote(self) -> None:
        """Go on: ends a pause, or the watching of a wave."""
        self._requests.put_nowait(lambda engine: engine.promote())

    def abort(self, reason: str = "it was called off") -> None:
        """Begin no more hosts at all, and do what the policy says about those that are done."""
        self._requests.put_nowait(lambda engine: engine.abort(reason))

    def leave(self) -> None:
        """Let those in flight end, and leave the rest for another time."""
        self._requests.put_nowait(lambda engine: engine.leave())

    async def next(self) -> Callable[[Engine], None]:
        """The next request."""
        return await self._requests.get()


@dataclass(slots=True, kw_only=True)
class Engine:
    """Runs one rollout.

    Attributes:
        tell: where facts go: the journal and the screen. It raises when the journal can't be written, and that ends the run.
        prepare_at_once, look_at_once: how many hosts are prepared, or asked for their health, at the same time.
    """

    progress: Progress
    driver: Driver
    clock: Clock
    tell: Callable[[Fact], None]
    control: Control = field(default_factory=Control)
    prepare_at_once: int = 8
    look_at_once: int = 32
    _changed: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _promoted: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _leaving: bool = field(default=False, init=False)

    async def run(self) -> Progress:
        """Run it to its end, and return where it stands then."""
        self.progress.rewind()
        async with asyncio.TaskGroup() as tasks:
            helpers = [
                tasks.create_task(self._prepare_all(), name="prepare"),
                tasks.create_task(self._listen(), name="control"),
            ]
            await self._loop(tasks)
            for helper in helpers:
                helper.cancel()
        if self.progress.stopped is not None:
            for fact in held(self.progress):
                self._say(fact)
        return self.progress

    async def _loop(self, tasks: asyncio.TaskGroup) -> None:
        if self.progress.bake is Bake.GOING_ON:
            tasks.create_task(self._bake(), name="bake")
        while True:
            self._changed.clear()
            now = self.clock.now()
            while not self._leaving and (fact := next_fact(self.progress, now)) is not None:
                self._do(fact, tasks)
            if self._is_done():
                return
            await self._wait(wake_at(self.progress, now), now)

    def _is_done(self) -> bool:
        if self._leaving:
            return not (self.progress.in_flight or self.progress.reverting)
        return is_over(self.progress)

    async def _wait(self, until: datetime | None, now: datetime) -> None:
        if until is None:
            await self._changed.wait()
            return
        async with asyncio.TaskGroup() as tasks:
            timer = tasks.create_task(self._alarm((until - now).total_seconds()))
            await self._changed.wait()
            timer.cancel()

    async def _alarm(self, seconds: float) -> None:
        await self.clock.sleep(max(0.0, seconds))
        self._changed.set()

    def _say(self, fact: Fact) -> None:
        self.tell(fact)
        self.progress.apply(fact, self.clock.now())
        self._changed.set()

    def _do(self, fact: Fact, tasks: asyncio.TaskGroup) -> None:
        """Tell it (the intent), then begin it."""
        self._say(fact)
        match fact:
            case HostAdmitted(host=str(host)):
                tasks.create_task(self._activate(host), name=f"activate {host}")
            case RevertStarted(host=str(host)):
                tasks.create_task(self._revert(host), name=f"revert {host}")
            case BakeStarted():
                tasks.create_task(self._bake(), name="bake")
            case RolloutStopped():
                self._promoted.set()  # what is watched is watched no longer

    async def _activate(self, host: str) -> None:
        self._say(await self.driver.activate(host))

    async def _revert(self, host: str) -> None:
        self._say(RevertFinished(host=host, ok=await self.driver.revert(host)))

    # ------------------------------------------------------------------------------------------------------ preparing

    async def _prepare_all(self) -> None:
        """In the order of the waves: what is needed first comes first. Goes ahead of the waves, never waits for them."""
        left = [host for host in self.progress.waves.hosts if host not in self.progress.ended]
        hosts = iter(left)
        async with asyncio.TaskGroup() as tasks:
            for n in range(min(self.prepare_at_once, len(left))):
                tasks.create_task(self._prepare_some(hosts), name=f"prepare {n}")

    async def _prepare_some(self, hosts: Iterator[str]) -> None:
        for host in hosts:  # one iterator, shared
            if self._leaving or self.progress.stopped is not None:
                return
            ended = await self.driver.prepare(host)
            if ended is None:
                self.progress.prepared(host)
                self._changed.set()
            else:
                self._say(ended)

    # --------------------------------------------------------------------------------------------------------- health

    async def _bake(self) -> None:
        """Watch the wave until its time is over or somebody ends it, then look at every host once more."""
        wave, began = self.progress.current, self.progress.bake_began
        assert wave is not None
        assert began is not None
        self._promoted.clear()
        end, interval = began + wave.bake, self.progress.policy.check_interval
        while not self._promoted.is_set() and (left := end - self.clock.now()) > timedelta(0):
            await self._until_promoted(min(left, interval).total_seconds())
            if end > self.clock.now():
                await self._look(self.progress.activated[-1])
        if self._leaving or self.progress.stopped is not None:
            return
        promoted = self._promoted.is_set()
        unknown = await self._look(self.progress.activated[-1])
        self._say(BakeFinished(wave=self.progress.wave, promoted=promoted, unknown=tuple(unknown)))

    async def _until_promoted(self, seconds: float) -> None:
        async with asyncio.TaskGroup() as tasks:
            timer = tasks.create_task(self.clock.sleep(seconds))
            ended = tasks.create_task(self._promoted.wait())
            await asyncio.wait((timer, ended), return_when=asyncio.FIRST_COMPLETED)
            timer.cancel()
            ended.cancel()

    async def _look(self, hosts: Sequence[str]) -> list[str]:
        """Look at hosts; those that are not well are told of. Returns those of which nothing could be found out."""
        unknown: list[str] = []

        async def look(host: str) -> None:
            found = await self.driver.health(host)
            if found is None:
                unknown.append(host)
            elif found is not True:
                self._say(HostUnhealthy(host=host, reason=str(found)))

        well = [host for host in hosts if self.progress.ended.get(host) is Outcome.CONFIRMED]
        await _each(well, look, self.look_at_once)
        return sorted(unknown)

    # -------------------------------------------------------------------------------------------------------- control

    async def _listen(self) -> None:
        while True:
            request = await self.control.next()
            request(self)
            self._changed.set()

    def pause(self) -> None:
        """No more hosts, for now."""
        if self.progress.paused is None and self.progress.stopped is None:
            self._say(RolloutPaused(reason="operator"))

    def promote(self) -> None:
        """Go on."""
        if self.progress.paused not in {None, "freeze"}:
            self._say(RolloutContinued())
        self._promoted.set()

    def abort(self, reason: str) -> None:
        """No more hosts, for good."""
        if self.progress.stopped is None:
            self._say(RolloutStopped(reason=reason, then=self.progress.policy.on_stop.value))
        self._promoted.set()

    def leave(self) -> None:
        """No more hosts by this controller."""
        self._leaving = True
        self._promoted.set()


async def _each(hosts: Sequence[str], work: Callable[[str], Awaitable[None]], at_once: int) -> None:
    queue = iter(hosts)

    async def some() -> None:
        for host in queue:
            await work(host)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(min(at_once, len(hosts))):
            tasks.create_task(some())
