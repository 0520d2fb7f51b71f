"""What happens next in a rollout: a function of where it stands and of the time. Nothing here waits, and nothing here acts.

The order of the questions is the safety of it: is it stopped, is it too bad, is it paused, is there time, is there room.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from clanpy.errors import ClanpyError
from clanpy.events import (
    BakeStarted,
    Fact,
    HostAdmitted,
    HostFinished,
    HostOverdue,
    Outcome,
    RevertStarted,
    RolloutContinued,
    RolloutPaused,
    RolloutStopped,
    WaveStarted,
)
from clanpy.rollout.budget import breach
from clanpy.rollout.errors import HeldError
from clanpy.rollout.freeze import thawed_at
from clanpy.rollout.policy import Promote
from clanpy.rollout.progress import Bake, Progress
from clanpy.rollout.waves import Wave


def next_fact(progress: Progress, now: datetime) -> Fact | None:
    """The next thing to happen; None when there is nothing to do but to wait (or nothing at all: `is_over`)."""
    progress.cool(now)
    if progress.stopped is not None:
        host = None if progress.in_flight.keys() - progress.overdue else progress.next_to_revert()
        return None if host is None else RevertStarted(host=host)
    return _stop(progress, now) or _late(progress, now) or _pause(progress, now) or _go_on(progress)


def is_over(progress: Progress) -> bool:
    """Whether nothing will happen any more. Called when `next_fact` has nothing."""
    if progress.stopped is not None:
        idle = not (progress.in_flight.keys() - progress.overdue or progress.reverting)
        return idle and progress.next_to_revert() is None
    last = progress.wave >= len(progress.waves.waves) - 1
    return last and progress.is_wave_done and _is_baked(progress) and not progress.paused and not progress.in_flight


def wake_at(progress: Progress, now: datetime) -> datetime | None:
    """When to look again if nothing comes in before that; None when only something that comes in can change anything."""
    times = [*_times(progress, now)]
    return min(times, default=None)


def held(progress: Progress) -> Iterator[HostFinished]:
    """What is said of the hosts that were never begun, when a rollout has stopped."""
    reason = progress.stopped.reason if progress.stopped else "the rollout was interrupted"
    for host in list(progress.not_begun()):
        error = HeldError(f"{host} was not begun: {reason}", hint="look at those that failed first")
        yield skipped(host, error)


def skipped(host: str, error: ClanpyError) -> HostFinished:
    """A host that is left as it is."""
    return HostFinished(host=host, outcome=Outcome.SKIPPED, seconds=0, error=error.to_dict())


def _times(progress: Progress, now: datetime) -> Iterable[datetime]:
    policy = progress.policy
    if progress.cooling:
        yield progress.cooling[0][0]
    if progress.paused == "freeze" and (thaw := thawed_at(policy.freeze, now.astimezone())) is not None:
        yield thaw
    if progress.paused is None and progress.stopped is None:
        if policy.progress_deadline is not None and progress.well_at is not None:
            yield progress.well_at + policy.progress_deadline
        limit = _too_long(progress)
        begun = next((at for host, at in progress.in_flight.items() if host not in progress.overdue), None)
        if limit is not None and begun is not None:
            yield begun + limit


def _stop(progress: Progress, now: datetime) -> Fact | None:
    reason = _breach(progress) or _stuck(progress, now)
    return None if reason is None else RolloutStopped(reason=reason, then=progress.policy.on_stop.value)


def _breach(progress: Progress) -> str | None:
    budget, wave = progress.policy.budget, progress.current
    total = progress.total
    if wave is not None:
        name = wave.name
        found = breach(budget, progress.here, total=len(wave.hosts), of=name, is_canary=wave.is_canary)
        if found is not None:
            return found
    return breach(budget, progress.run, total=total, of="the run")


def _stuck(progress: Progress, now: datetime) -> str | None:
    deadline = progress.policy.progress_deadline
    if deadline is None or progress.well_at is None or progress.paused or progress.bake is Bake.GOING_ON:
        return None
    if now - progress.well_at < deadline:
        return None
    return f"no machine got well for {int(deadline.total_seconds())} s"


def _late(progress: Progress, now: datetime) -> Fact | None:
    limit = _too_long(progress)
    if limit is None or progress.policy.straggler is None:
        return None
    for host, begun in progress.in_flight.items():
        if host in progress.overdue:
            continue
        late = now - begun >= limit
        return HostOverdue(host=host, skipped=True) if late else None
    return None


def _too_long(progress: Progress) -> timedelta | None:
    straggler, known = progress.policy.straggler, progress.durations
    if straggler is None or not straggler.skip or not known:
        return None
    return max(straggler.at_least, known[len(known) // 2] * straggler.factor)


def _pause(progress: Progress, now: datetime) -> Fact | None:
    frozen = bool(progress.policy.freeze) and thawed_at(progress.policy.freeze, now.astimezone()) is not None
    if progress.paused == "freeze" and not frozen:
        return RolloutContinued()
    if progress.paused is None and frozen and not _is_at_the_end(progress):
        return RolloutPaused(reason="freeze")
    return None


def _is_at_the_end(progress: Progress) -> bool:
    return progress.wave == len(progress.waves.waves) - 1 and progress.is_wave_done


def _go_on(progress: Progress) -> Fact | None:
    if progress.paused is not None:
        return None
    if (wave := progress.current) is None:
        return _next_wave(progress)
    return _close(progress, wave) if progress.is_wave_done else _admit(progress)


def _admit(progress: Progress) -> Fact | None:
    host = progress.next_ready()
    if host is None:
        return None
    before = progress.waiting_for(host)
    if before is not None:
        return skipped(host, HeldError(f"{host} was not begun: it comes after {before}, which is not well"))
    return HostAdmitted(host=host, wave=progress.wave)


def _close(progress: Progress, wave: Wave) -> Fact | None:
    """All hosts of the wave are done: watch it, have it approved, begin the next one."""
    if not _is_baked(progress):
        seconds = wave.bake.total_seconds()
        return BakeStarted(wave=progress.wave, seconds=seconds) if progress.bake is Bake.NOT_YET else None
    if progress.unknown:
        return RolloutPaused(reason="unknown")
    if wave.promote is Promote.MANUAL and not progress.approved and progress.activated[-1] and _has_more(progress):
        return RolloutPaused(reason="approval")
    return _next_wave(progress)


def _is_baked(progress: Progress) -> bool:
    wave = progress.current
    if wave is None or not wave.bake or not progress.activated[-1]:
        return True
    return progress.bake is Bake.OVER


def _has_more(progress: Progress) -> bool:
    return progress.wave + 1 < len(progress.waves.waves)


def _next_wave(progress: Progress) -> Fact | None:
    if not _has_more(progress):
        return None
    wave = progress.waves.waves[progress.wave + 1]
    return WaveStarted(wave=progress.wave + 1, title=wave.name, hosts=len(wave.hosts))
