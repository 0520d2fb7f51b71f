"""Conducting a rollout: between the engine, which decides whose turn it is, and the hosts at work, which wait for theirs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from clanpy.events import Fact, HostFinished, Outcome, RolloutPlanned, utc_now
from clanpy.rollout.engine import Control, Engine
from clanpy.rollout.errors import HeldError
from clanpy.rollout.outcome import GOOD
from clanpy.rollout.progress import Progress
from clanpy.rollout.requests import Requests


if TYPE_CHECKING:
    from collections.abc import Sequence

    from clanpy.deployment.run import Run
    from clanpy.deployment.turns import Turn
    from clanpy.rollout.policy import Policy
    from clanpy.rollout.waves import Waves


class Hosts(Protocol):
    """What can be done to hosts that have had their turn."""

    async def revert(self, host: str) -> bool:
        """Take a host back to what it ran before; whether that went well."""

    async def health(self, host: str) -> bool | str | None:
        """Whether it is well: True, why not, or None when that can't be found out now."""


@dataclass(frozen=True, slots=True)
class WallClock:
    """The time of the world."""

    def now(self) -> datetime:
        return utc_now()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass(slots=True, kw_only=True)
class Conductor:
    """Conducts one rollout. `plan` puts the hosts that are to be changed into waves.

    Attributes:
        before: where the rollout stood when its last controller went away; None: it begins.
    """

    run: Run
    policy: Policy
    plan: Callable[[Sequence[str]], Waves]
    hosts: Hosts
    control: Control = field(default_factory=Control)
    before: Progress | None = None
    clock: WallClock = field(default_factory=WallClock)
    _turns: Mapping[str, Turn] = field(default_factory=dict, init=False)

    async def conduct(self, turns: Mapping[str, Turn]) -> None:
        """See all hosts through their turns."""
        self._turns = turns
        self.run.interrupts.listen(lambda _count: self.control.leave())
        async with asyncio.TaskGroup() as group:
            for turn in turns.values():
                group.create_task(turn.known.wait())
        progress = self.before or self._begin()
        engine = Engine(
            progress=progress,
            driver=self,
            clock=self.clock,
            tell=self._tell,
            control=self.control,
            prepare_at_once=10_000,
        )
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(Requests(self.run.recorder.folder).follow(self.control, self.clock))
            await engine.run()
            asked.cancel()
        for host, turn in turns.items():  # those that the engine does not know: nobody else would let them go
            if not turn.ended.is_set():
                turn.refuse(HeldError(f"{host} was not begun: the rollout has ended"))
        self._amend(progress)

    def _begin(self) -> Progress:
        changing = [name for name, turn in self._turns.items() if turn.changes and not turn.ended.is_set()]
        waves = self.plan(changing)
        self.run.bus.emit(RolloutPlanned(policy=self.policy.name, waves=waves.to_dict()))
        progress = Progress(waves, self.policy)
        planned = set(changing)
        for name, turn in self._turns.items():
            if name not in planned and turn.end is not None and turn.end.outcome not in GOOD:
                progress.apply(turn.end, self.clock.now())
                progress.total += 1
        return progress

    def _amend(self, progress: Progress) -> None:
        """Hosts that were well and are not any more, and those that were taken back."""
        for host, outcome in progress.ended.items():
            if outcome is Outcome.FAILED:
                self.run.amend(host, Outcome.FAILED)
        for host in progress.reverted:
            self.run.amend(host, Outcome.ROLLED_BACK if progress.reverted[host] else Outcome.FAILED)

    def _tell(self, fact: Fact) -> None:
        """Facts of the engine are told as they are; what became of a host is told by the run itself."""
        if not isinstance(fact, HostFinished):
            self.run.bus.emit(fact)
            return
        turn = self._turns.get(str(fact.host))
        if turn is not None and not turn.ended.is_set():
            said = fact.error or {}
            turn.refuse(HeldError(said.get("message", f"{fact.host} was not begun"), hint=said.get("hint")))

    async def prepare(self, host: str) -> HostFinished | None:
        """Wait until everything is there that the host needs."""
        turn = self._turns[host]
        await turn.ready.wait()
        return turn.end

    async def activate(self, host: str) -> HostFinished:
        """Let the host have its turn, and see how it ends."""
        turn = self._turns[host]
        turn.admit()
        await turn.ended.wait()
        assert turn.end is not None
        return turn.end

    async def revert(self, host: str) -> bool:
        return await self.hosts.revert(host)

    async def health(self, host: str) -> bool | str | None:
        return await self.hosts.health(host)
