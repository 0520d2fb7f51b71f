"""A fleet that is not there, for rollouts that take no time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from clanpy.events import Fact, HostFinished, Outcome
from clanpy.rollout.engine import Control, Engine
from clanpy.rollout.policy import Policy
from clanpy.rollout.progress import Progress
from clanpy.rollout.waves import Waves, plan_waves
from support.virtual_time import VirtualClock, run_virtually


TAKES = 10.0  # seconds, an activation


@dataclass
class Rehearsal:
    """What its hosts do, and what was done to them.

    `ends`: how hosts end that do not get well; `takes`: seconds of the activation of those that are not like the others.
    """

    ends: dict[str, Outcome] = field(default_factory=dict)
    unprepared: dict[str, Outcome] = field(default_factory=dict)
    takes: dict[str, float] = field(default_factory=dict)
    health_of: Callable[[str, datetime], bool | str | None] = lambda _host, _now: True
    unrevertable: frozenset[str] = frozenset()
    clock: VirtualClock = field(default_factory=VirtualClock)
    busy: set[str] = field(default_factory=set)
    most: int = 0
    together: set[frozenset[str]] = field(default_factory=set)
    prepared: list[str] = field(default_factory=list)
    activated: list[str] = field(default_factory=list)
    reverted: list[str] = field(default_factory=list)
    reverting: set[str] = field(default_factory=set)
    most_reverting: int = 0

    async def prepare(self, host: str) -> HostFinished | None:
        self.prepared.append(host)
        outcome = self.unprepared.get(host)
        return None if outcome is None else HostFinished(host=host, outcome=outcome, seconds=0)

    async def activate(self, host: str) -> HostFinished:
        self.activated.append(host)
        self.busy.add(host)
        self.most = max(self.most, len(self.busy))
        self.together.add(frozenset(self.busy))
        await asyncio.sleep(self.takes.get(host, TAKES))
        self.busy.discard(host)
        return HostFinished(host=host, outcome=self.ends.get(host, Outcome.CONFIRMED), seconds=TAKES)

    async def revert(self, host: str) -> bool:
        self.reverting.add(host)
        self.most_reverting = max(self.most_reverting, len(self.reverting))
        await asyncio.sleep(TAKES)
        self.reverting.discard(host)
        self.reverted.append(host)
        return host not in self.unrevertable

    async def health(self, host: str) -> bool | str | None:
        return self.health_of(host, self.clock.now())


@dataclass
class Told:
    """A rollout that is over: its facts, each with its second from the beginning, and where it stands."""

    facts: list[tuple[float, Fact]]
    progress: Progress
    fleet: Rehearsal

    def of(self, kind: type[Fact]) -> list[Any]:
        return [fact for _, fact in self.facts if isinstance(fact, kind)]

    def at(self, kind: type[Fact]) -> list[float]:
        return [second for second, fact in self.facts if isinstance(fact, kind)]

    @property
    def seconds(self) -> float:
        return self.facts[-1][0]


def names(count: int) -> list[str]:
    return [f"host{n:03}" for n in range(count)]


def waves_of(
    hosts: Iterable[str], policy: Policy, *, tags: Mapping[str, Sequence[str]] | None = None, **more: Any
) -> Waves:
    return plan_waves(hosts, policy, seed="run", select=lambda text: (tags or {})[text], **more)


def roll(
    hosts: Iterable[str],
    policy: Policy,
    fleet: Rehearsal | None = None,
    *,
    tags: Mapping[str, Sequence[str]] | None = None,
    after: Mapping[str, Sequence[str]] | None = None,
    meanwhile: Callable[[Control], Awaitable[None]] | None = None,
    progress: Progress | None = None,
) -> Told:
    """Run a rollout from its beginning (or from where it stands) to its end. `meanwhile` is somebody at another terminal."""
    fleet = fleet or Rehearsal()
    at = progress or Progress(waves_of(hosts, policy, tags=tags, after=after), policy)
    facts: list[tuple[float, Fact]] = []

    async def main() -> Progress:
        clock, control = fleet.clock, Control()

        def tell(fact: Fact) -> None:
            facts.append(((clock.now() - clock.began) / timedelta(seconds=1), fact))

        engine = Engine(progress=at, driver=fleet, clock=clock, tell=tell, control=control)
        async with asyncio.TaskGroup() as tasks:
            other = tasks.create_task(_nothing(control) if meanwhile is None else _run(meanwhile, control))
            done = await engine.run()
            other.cancel()
        return done

    return Told(facts, run_virtually(main()), fleet)


async def _nothing(_control: Control) -> None:
    return None


async def _run(meanwhile: Callable[[Control], Awaitable[None]], control: Control) -> None:
    await meanwhile(control)
