"""One run over many hosts: who is at work, what each reports, and how it ends. What is done to a host is handed in."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from clanpy.deployment.errors import BudgetSpentError, DetachedError, StoppedError, UnforeseenError
from clanpy.deployment.turns import Turn
from clanpy.errors import ClanpyError, ExitCode
from clanpy.events import (
    Bus,
    Event,
    HostFinished,
    LogLine,
    Note,
    Outcome,
    Progress,
    RunFinished,
    RunResumed,
    RunStarted,
    Stage,
    StageFinished,
    StageStarted,
)
from clanpy.journal import RunState, fold
from clanpy.rollout.outcome import GOOD, exit_code, outcome_of, unwrapped
from clanpy.ui.format import counted


if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

    from clanpy.events import Sink
    from clanpy.journal import Recorder
    from clanpy.rollout.interrupts import Interrupts, Membership


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How a host ended, the system it had before and has now, and the one it would get when nothing was to be changed."""

    outcome: Outcome
    system: str | None = None
    previous: str | None = None
    wanted: str | None = None
    error: ClanpyError | None = None


@dataclass(slots=True)
class StageNote:
    """Filled by the body of a stage: what is worth telling about it when it is done."""

    text: str | None = None


@dataclass(slots=True)
class HostRun:
    """One host's part in a run: its mouth.

    Attributes:
        previous: the system it had before.
        system: the system it has, as far as is known by now.
        free_bytes: what was free in its store when it was asked; None: not known.
        changed: what was made live on it: `system`, `home.<account>`, in order.
        turn: its turn in a rollout; None: nobody has to wait.
        failures: how many hosts of the run have failed by now.
    """

    name: str
    bus: Bus
    clock: Callable[[], float]
    interrupts: Interrupts
    previous: str | None = None
    system: str | None = None
    free_bytes: int | None = None
    membership: Membership | None = None
    turn: Turn | None = None
    changed: list[str] = field(default_factory=list)
    failures: Callable[[], int] = lambda: 0

    def check_budget(self, most: int | None) -> None:
        """Stop here, before anything is changed, when more than `most` hosts of the run have failed.

        Raises:
            BudgetSpentError: they have.
        """
        failed = self.failures()
        if most is not None and failed > most:
            raise BudgetSpentError(
                f"{self.name} was not activated: {counted(failed, 'machine')} failed, and at most {most} may",
                hint="look at those that failed first",
            )

    def will_change(self) -> None:
        """Something is to be done to the host, and it is known by now."""
        if self.turn is not None:
            self.turn.will_change()

    @contextmanager
    def committed(self) -> Iterator[None]:
        """The host is being changed in the body: a first Ctrl-C leaves it alone."""
        assert self.membership is not None, "only a host at work can be committed"
        with self.membership.committed():
            yield

    @contextmanager
    def stage(self, stage: Stage) -> Iterator[StageNote]:
        """Tell that a stage begins, and how it ended."""
        note, began = StageNote(), self.clock()
        self.bus.emit(StageStarted(host=self.name, stage=stage))
        ok = False
        try:
            yield note
            ok = True
        finally:
            took = self.clock() - began
            self.bus.emit(StageFinished(host=self.name, stage=stage, ok=ok, seconds=took, note=note.text))

    def log(self, stage: Stage, line: str) -> None:
        """One line that a program wrote."""
        self.bus.emit(LogLine(host=self.name, stage=stage, line=line))

    def note(self, text: str, *, level: str = "info", stage: Stage | None = None) -> None:
        """Something worth telling."""
        self.bus.emit(Note(host=self.name, text=text, level=level, stage=stage))

    def progress(self, stage: Stage, done: int, total: int | None = None, unit: str = "bytes") -> None:
        """How far a stage has come."""
        self.bus.emit(Progress(host=self.name, stage=stage, done=done, total=total, unit=unit))


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """How a run ended: the state of every host, the exit code, and what it cost.

    Attributes:
        round_trips: commands that were run on each host.
        nix_processes: programs of Nix that were started here.
    """

    state: RunState
    exit_code: ExitCode
    round_trips: Mapping[str, int] = field(default_factory=dict)
    nix_processes: int = 0


@dataclass(slots=True, kw_only=True)
class Run:
    """A run under way.

    Attributes:
        command: what is done, in a word: `update`, `build`, `rollback`.
        fleet: what the fleet is called.
        recorder: the journal's sink of this run.
        sinks: further readers of its events.
        interrupts: where Ctrl-C is asked about.
        clock: seconds, for durations.
        before: where the run stood when its controller went away; None: it begins.
        origin: who does it, and which commit of the fleet that is, with whether there are changes beside it.
    """

    command: str
    fleet: str
    recorder: Recorder
    interrupts: Interrupts
    sinks: Sequence[Sink] = ()
    clock: Callable[[], float] = time.monotonic
    before: RunState | None = None
    origin: tuple[str | None, str | None, bool] = (None, None, False)
    bus: Bus = field(init=False)
    _events: list[dict[str, Any]] = field(default_factory=list, init=False)
    hosts: dict[str, HostRun] = field(default_factory=dict, init=False)
    _ends: dict[str, tuple[Outcome, ExitCode | None]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._events = [*self.recorder.events()] if self.before is not None else []
        last = self._events[-1]["seq"] if self._events else 0
        self.bus = Bus(self.recorder.run, (self.recorder, self._keep, *self.sinks), _seq=last)
        if self.before is not None:
            self._ends = {
                name: (host.outcome, None) for name, host in self.before.hosts.items() if host.outcome is not None
            }

    async def each(
        self,
        hosts: Sequence[str],
        work: Callable[[HostRun], Awaitable[Verdict]],
        *,
        at_once: int = 1024,
        conduct: Callable[[Mapping[str, Turn]], Awaitable[None]] | None = None,
    ) -> RunResult:
        """Do the work for every host, so many at once; one host's failure is never another's.

        `conduct` sees to it that hosts have their turns, where they have to wait for them.

        Raises:
            JournalError: the journal can't be written; nothing goes on without it.
        """
        began, slots = self.clock(), asyncio.Semaphore(at_once)
        turns = {} if conduct is None else {name: Turn(slots) for name in hosts}
        if self.before is None:
            who, revision, modified = self.origin
            started = RunStarted(
                command=self.command,
                fleet=self.fleet,
                hosts=tuple(hosts),
                who=who,
                revision=revision,
                modified=modified,
            )
            self.bus.emit(started)
        else:
            self.bus.emit(RunResumed(hosts=tuple(hosts)))
        async with asyncio.TaskGroup() as group:
            for name in hosts:
                host = self.hosts[name] = HostRun(
                    name, self.bus, self.clock, self.interrupts, turn=turns.get(name), failures=self._failures
                )
                group.create_task(self._host(host, work, slots), name=f"host {name}")
            if conduct is not None:
                group.create_task(_conducted(conduct, turns), name="conductor")
        code = ExitCode.INTERRUPTED if self.interrupts.stopping else exit_code(self._ends.values())
        outcomes = Counter(outcome.value for outcome, _ in self._ends.values())
        self.bus.emit(RunFinished(exit_code=code, outcomes=dict(outcomes), seconds=self.clock() - began))
        return RunResult(state=fold(self._events, run=self.bus.run), exit_code=code)

    async def _host(
        self, host: HostRun, work: Callable[[HostRun], Awaitable[Verdict]], slots: asyncio.Semaphore
    ) -> None:
        async with slots:
            began = self.clock()
            self._finish(host, await self._verdict(host, work), self.clock() - began)

    def _failures(self) -> int:
        return sum(outcome not in GOOD for outcome, _ in self._ends.values())

    def _finish(self, host: HostRun, verdict: Verdict, seconds: float) -> None:
        error = verdict.error
        self._ends[host.name] = verdict.outcome, error.exit_code if error else None
        log = self.recorder.log_path(host.name)
        end = HostFinished(
            host=host.name,
            outcome=verdict.outcome,
            seconds=seconds,
            system=verdict.system or host.system,
            previous=verdict.previous or host.previous,
            wanted=verdict.wanted,
            error=error.to_dict() if error else None,
            log=str(log) if log.exists() else None,
        )
        host.system = end.system
        self.bus.emit(end)
        if host.turn is not None:
            host.turn.finish(end)

    def amend(self, host: str, outcome: Outcome) -> None:
        """A host that was done is not any more what it was: it fell ill, or was taken back."""
        if host in self._ends:
            self._ends[host] = outcome, self._ends[host][1]

    async def with_host(self, name: str, work: Callable[[HostRun], Awaitable[Verdict]]) -> Verdict:
        """Do something more with a host that is done, and give how that ended."""
        return await self._verdict(self.hosts[name], work)

    async def _verdict(self, host: HostRun, work: Callable[[HostRun], Awaitable[Verdict]]) -> Verdict:
        if self.interrupts.stopping:
            return _interrupted()
        try:
            with self.interrupts.member() as host.membership:
                return await work(host)
        except Exception as error:  # the boundary between hosts: nothing that happens at one may end the others
            known = _known(error)
            return Verdict(outcome=outcome_of(known), error=known)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self.interrupts.stopping or task is None:
                raise
            task.uncancel()
            changed = host.membership is not None and host.membership.has_changed
            return _detached(host.name) if changed else _interrupted()

    def _keep(self, event: Event) -> None:
        if not isinstance(event.fact, (LogLine, Progress)):
            self._events.append(event.to_dict())


async def _conducted(conduct: Callable[[Mapping[str, Turn]], Awaitable[None]], turns: Mapping[str, Turn]) -> None:
    await conduct(turns)


def _known(error: Exception) -> ClanpyError:
    """The error as one that is told. What nobody foresaw is told with where it came from, without any values."""
    cause = unwrapped(error)
    if isinstance(cause, ClanpyError):
        return cause
    said = next(iter(str(error).splitlines()), "")
    return UnforeseenError(
        f"clanpy has a bug: {type(error).__name__}: {said}",
        details="".join(traceback.format_exception(error)).splitlines(),
    )


def _interrupted() -> Verdict:
    return Verdict(outcome=Outcome.CANCELLED, error=StoppedError("interrupted before anything was changed here"))


def _detached(host: str) -> Verdict:
    error = DetachedError(
        f"interrupted while the activation was under way: the guard on {host} goes back by itself when nobody confirms",
        hint=f"`clanpy machines status {host}` says where it ended",
    )
    return Verdict(outcome=Outcome.CANCELLED, error=error)
