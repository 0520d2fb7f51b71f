"""The gates of a machine after an activation: all tried at once, each until it is decided."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from clanpy.deployment.probe import Place, attempt
from clanpy.events import GateDecided, Stage
from clanpy.rollout.gates import Attempt, GateVerdict, Trial, Tried
from clanpy.rollout.outcome import unwrapped


if TYPE_CHECKING:
    from clanpy.deployment.run import HostRun
    from clanpy.inventory.gates import Gate
    from clanpy.ssh import Connection

Try = Callable[["Gate", Place, "Connection", float], Awaitable[Attempt]]


class Undecided(StrEnum):
    """What is to become of a machine of which a gate could not be tried: ask a person (and go back where there is none), or not."""

    ASK = "ask"
    KEEP = "keep"
    BACK = "back"


# Somebody is told which gates of which machine are undecided, and says whether the new system stays.
Ask = Callable[[str, Sequence[Trial]], Awaitable[bool]]


async def nobody(_: str, __: Sequence[Trial]) -> bool:
    """There is no one to be asked: what is not known to be good does not stay."""
    return False


@dataclass(slots=True, kw_only=True)
class Gates:
    """The gates of one machine, from its activation to the verdict. A connection may break in between: it goes on with the next.

    Attributes:
        place: the machine; its address is that of the connection it is tried over.
        undecided: what is done about gates that could not be tried.
        ask: who is asked.
    """

    host: HostRun
    gates: Sequence[Gate]
    domain: str
    undecided: Undecided = Undecided.ASK
    ask: Ask = nobody
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    try_once: Try = attempt
    _trials: list[Trial] = field(default_factory=list, init=False)
    _told: set[str] = field(default_factory=set, init=False)

    async def decide(self, conn: Connection) -> Trial | None:
        """Try all of them. None: the new system may stay; else the gate for which it may not.

        Raises:
            SshError: the connection broke; to be called again with another.
        """
        if not self._trials:
            self._trials = [Trial(gate, self.clock) for gate in self.gates]
        place = Place(name=self.host.name, domain=self.domain, address=conn.address)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._try(one, place, conn), name=one.gate.name) for one in self._trials]
                failed = await _first_failed(tasks)
        except BaseExceptionGroup as errors:
            raise unwrapped(errors) from errors
        return failed or await self._undecided()

    @property
    def trials(self) -> Sequence[Trial]:
        """What has become of each gate."""
        return tuple(self._trials)

    def again(self) -> Gates:
        """The same gates, to be passed anew."""
        return replace(self)

    async def _try(self, trial: Trial, place: Place, conn: Connection) -> Trial:
        while trial.verdict is None:
            trial.note(await self.try_once(trial.gate, place, conn, trial.longest))
            if trial.verdict is None:
                self._tell_once(trial)
                await self.sleep(trial.pause)
        self._tell(trial)
        return trial

    async def _undecided(self) -> Trial | None:
        open_ = [trial for trial in self._trials if trial.verdict is GateVerdict.UNDECIDED]
        if not open_ or self.undecided is Undecided.KEEP:
            return None
        stays = self.undecided is Undecided.ASK and await self.ask(self.host.name, open_)
        return None if stays else open_[0]

    def _tell_once(self, trial: Trial) -> None:
        """The first time that a gate is not passed is worth telling."""
        if trial.last is not None and trial.last.tried is not Tried.PASSED and trial.gate.name not in self._told:
            self._told.add(trial.gate.name)
            self.host.note(f"gate {trial.gate.name}: {trial.last.said}; trying on", stage=Stage.CONFIRM)

    def _tell(self, trial: Trial) -> None:
        assert trial.verdict is not None
        self.host.bus.emit(
            GateDecided(
                host=self.host.name,
                gate=trial.gate.name,
                type=trial.gate.type,
                verdict=trial.verdict.value,
                attempts=trial.attempts,
                seconds=trial.seconds,
                said=trial.said,
            )
        )
        if trial.verdict is not GateVerdict.PASSED:
            self.host.note(
                f"gate {trial.gate.name} {trial.verdict}: {trial.said}", level="warning", stage=Stage.CONFIRM
            )


async def _first_failed(tasks: Sequence[asyncio.Task[Trial]]) -> Trial | None:
    """The first gate that fails, and the others are let go of; None when none does."""
    for done in asyncio.as_completed(tasks):
        trial = await done
        if trial.verdict is GateVerdict.FAILED:
            for task in tasks:
                task.cancel()
            return trial
    return None
