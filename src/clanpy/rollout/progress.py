"""Where a rollout stands: a fold over its facts, and nothing else. A killed controller's rollout is read back from its journal."""

from __future__ import annotations

import heapq
from bisect import insort
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from clanpy.events import (
    BakeFinished,
    BakeStarted,
    Fact,
    HostAdmitted,
    HostFinished,
    HostOverdue,
    HostUnhealthy,
    Outcome,
    RevertFinished,
    RevertStarted,
    RolloutContinued,
    RolloutPaused,
    RolloutStopped,
    WaveStarted,
)
from clanpy.rollout.budget import Tally
from clanpy.rollout.policy import OnStop, Policy
from clanpy.rollout.waves import Wave, Waves


ENDED_BADLY = frozenset({Outcome.FAILED, Outcome.ROLLED_BACK, Outcome.UNREACHABLE, Outcome.LOCKED, Outcome.CANCELLED})


class Bake(StrEnum):
    """How far the watching of the wave under way has come."""

    NOT_YET = "not yet"
    GOING_ON = "going on"
    OVER = "over"


@dataclass(slots=True)
class Progress:
    """Everything that is decided upon. `apply` takes it one fact further, each in constant time.

    Attributes:
        wave: the index of the wave under way; -1 before the first.
        in_flight: hosts being activated, since when, in the order in which they were admitted.
        overdue: those of them that nobody waits for any more.
        cooling: hosts that are confirmed and count as unavailable up to a time.
        ended: how each host ended that did.
        activated: hosts that run what they should, by wave, in the order in which they were confirmed.
        paused: why no host is begun; None when hosts are.
        stopped: why no host is begun any more, and what then.
        well_at: when things last went well, pauses not counted.
    """

    waves: Waves
    policy: Policy
    wave: int = -1
    in_flight: dict[str, datetime] = field(default_factory=dict)
    overdue: set[str] = field(default_factory=set)
    cooling: deque[tuple[datetime, str]] = field(default_factory=deque)
    ended: dict[str, Outcome] = field(default_factory=dict)
    activated: list[list[str]] = field(default_factory=list)
    run: Tally = field(default_factory=Tally)
    here: Tally = field(default_factory=Tally)
    bake: Bake = Bake.NOT_YET
    bake_began: datetime | None = None
    unknown: tuple[str, ...] = ()
    approved: bool = False
    paused: str | None = None
    paused_at: datetime | None = None
    stopped: RolloutStopped | None = None
    reverting: set[str] = field(default_factory=set)
    reverted: dict[str, bool] = field(default_factory=dict)
    well_at: datetime | None = None
    durations: list[timedelta] = field(default_factory=list)
    _order: dict[str, int] = field(default_factory=dict)
    _ready: list[tuple[int, str]] = field(default_factory=list)
    _prepared: set[str] = field(default_factory=set)
    _left: int = 0
    _busy: dict[str | None, int] = field(default_factory=dict)
    _dependants: dict[str, list[str]] = field(default_factory=dict)
    _to_revert: list[str] | None = None
    total: int = field(init=False)

    def __post_init__(self) -> None:
        self.total = sum(len(wave.hosts) for wave in self.waves.waves)
        for host, before in self.waves.after.items():
            for name in before:
                self._dependants.setdefault(name, []).append(host)

    # ------------------------------------------------------------------------------------------------ what is asked

    @property
    def current(self) -> Wave | None:
        """The wave under way."""
        return self.waves.waves[self.wave] if 0 <= self.wave < len(self.waves.waves) else None

    @property
    def is_wave_done(self) -> bool:
        """Whether no host of the wave has anything left to do or to wait for."""
        return self._left == len(self.overdue) and not self.cooling

    def next_ready(self) -> str | None:
        """The host whose turn it is, if its wave, its domain and the window let it begin now."""
        wave = self.current
        if wave is None:
            return None
        while self._ready and self._ready[0][1] in self.ended:
            heapq.heappop(self._ready)
        if not self._ready or sum(self._busy.values()) >= wave.window:
            return None
        host = self._ready[0][1]
        return host if self._fits(self.waves.domains.get(host)) else None

    def _fits(self, domain: str | None) -> bool:
        busy = [other for other, count in self._busy.items() if count]
        if any(other != domain for other in busy):
            return False
        return domain is None or self._busy.get(domain, 0) < self.waves.windows[domain]

    def next_to_revert(self) -> str | None:
        """Of the hosts to be taken back, the one that was activated last."""
        if self._to_revert is None:
            self._to_revert = self._reverts()
        while self._to_revert and (self._to_revert[-1] in self.reverted or self._to_revert[-1] in self.reverting):
            self._to_revert.pop()
        window = 2 * (self.current.window if self.current else 1)
        return self._to_revert[-1] if self._to_revert and len(self.reverting) < window else None

    def _reverts(self) -> list[str]:
        then = self.stopped.then if self.stopped else OnStop.HOLD
        waves = {OnStop.HOLD: [], OnStop.REVERT_WAVE: self.activated[-1:], OnStop.REVERT_ALL: self.activated}
        return [host for wave in waves[OnStop(then)] for host in wave]

    def waiting_for(self, host: str) -> str | None:
        """A host that ended badly and that this one was to come after."""
        return next(
            (name for name in sorted(self.waves.after.get(host, ())) if self.ended.get(name) in ENDED_BADLY), None
        )

    def not_begun(self) -> Iterable[str]:
        """Hosts that were never admitted, in order."""
        return (host for host in self.waves.hosts if host not in self.ended and host not in self.in_flight)

    # --------------------------------------------------------------------------------------------- what is not a fact

    def prepared(self, host: str) -> None:
        """What a host needs lies there: it can be begun when its turn comes. Not kept: after a restart it is asked again."""
        self._prepared.add(host)
        self._offer(host)

    def _offer(self, host: str) -> None:
        if host not in self._order or host not in self._prepared or host in self.ended or host in self.in_flight:
            return
        if all(name in self.ended for name in self.waves.after.get(host, ())):
            heapq.heappush(self._ready, (self._order[host], host))

    def rewind(self) -> None:
        """The controller was gone: nobody knows how far those in flight have come. They are begun again, which finds out."""
        for host in list(self.in_flight):
            del self.in_flight[host]
            if host in self.overdue:
                self.overdue.discard(host)
            else:
                self._free(host)
        self.reverting.clear()
        self._to_revert = None

    def cool(self, now: datetime) -> None:
        """Hosts that were well for long enough no longer count as unavailable."""
        while self.cooling and self.cooling[0][0] <= now:
            _, host = self.cooling.popleft()
            self._free(host)

    # -------------------------------------------------------------------------------------------------------- the fold

    def apply(self, fact: Fact, at: datetime) -> None:
        """What is so after this fact. Facts of other kinds change nothing."""
        if fact.host is None:
            self._apply_to_all(fact, at)
        else:
            self._apply_to(fact.host, fact, at)

    def _apply_to(self, host: str, fact: Fact, at: datetime) -> None:
        match fact:
            case HostAdmitted():
                self._admit(host, at)
            case HostFinished(outcome=outcome):
                self._end(host, outcome, at)
            case HostOverdue(skipped=True):
                self._give_up(host)
            case HostUnhealthy():
                self._fall_ill(host)
            case RevertStarted():
                self.reverting.add(host)
            case RevertFinished(ok=ok):
                self.reverting.discard(host)
                self.reverted[host] = ok

    def _apply_to_all(self, fact: Fact, at: datetime) -> None:
        match fact:
            case WaveStarted(wave=wave):
                self._begin(wave, at)
            case BakeStarted():
                self.bake, self.bake_began = Bake.GOING_ON, at
            case BakeFinished(promoted=promoted, unknown=unknown):
                self.bake, self.unknown, self.well_at = Bake.OVER, tuple(unknown), at
                self.approved = self.approved or promoted
            case RolloutPaused(reason=reason):
                self.paused, self.paused_at = reason, at
            case RolloutContinued():
                self._continue(at)
            case RolloutStopped():
                self.stopped = fact

    def _begin(self, wave: int, at: datetime) -> None:
        self.wave, self.here, self.well_at = wave, Tally(), at
        self.bake, self.bake_began, self.unknown, self.approved = Bake.NOT_YET, None, (), False
        self.activated.append([])
        hosts = [host for host in self.waves.waves[wave].hosts if host not in self.ended]
        self._order, self._left = {host: n for n, host in enumerate(hosts)}, len(hosts)
        self._ready = []
        for host in self.waves.waves[wave].hosts:
            if host in self.ended:
                self.here.count(self.ended[host])
        for host in hosts:
            self._offer(host)

    def _admit(self, host: str, at: datetime) -> None:
        if self._ready and self._ready[0][1] == host:
            heapq.heappop(self._ready)
        self.in_flight[host] = at
        domain = self.waves.domains.get(host)
        self._busy[domain] = self._busy.get(domain, 0) + 1

    def _free(self, host: str) -> None:
        domain = self.waves.domains.get(host)
        self._busy[domain] -= 1

    def _end(self, host: str, outcome: Outcome, at: datetime) -> None:
        if host in self.ended:
            return
        self.ended[host] = outcome
        self._left -= host in self._order
        self.run.count(outcome)
        if host in self._order:
            self.here.count(outcome)
        begun = self.in_flight.pop(host, None)
        if outcome is Outcome.CONFIRMED:
            self.activated[-1].append(host)
            self.well_at = at
        if begun is not None:
            self._land(host, outcome, at - begun, at)
        for waiting in self._dependants.get(host, ()):
            self._offer(waiting)

    def _land(self, host: str, outcome: Outcome, took: timedelta, at: datetime) -> None:
        insort(self.durations, took)
        if host in self.overdue:
            self.overdue.discard(host)
        elif outcome is Outcome.CONFIRMED and self.policy.min_ready:
            self.cooling.append((at + self.policy.min_ready, host))
        else:
            self._free(host)

    def _give_up(self, host: str) -> None:
        self.overdue.add(host)
        self.run.count(Outcome.UNREACHABLE)
        self.here.count(Outcome.UNREACHABLE)
        self._free(host)

    def _fall_ill(self, host: str) -> None:
        if self.ended.get(host) is not Outcome.CONFIRMED:
            return
        self.ended[host] = Outcome.FAILED
        self.run.count(Outcome.FAILED)
        self.here.count(Outcome.FAILED)

    def _continue(self, at: datetime) -> None:
        if self.paused in {"approval", "unknown"}:
            self.approved, self.unknown = True, ()
        if self.paused_at is not None and self.well_at is not None:
            self.well_at += at - self.paused_at
        self.paused = self.paused_at = None
