"""The facts of a rollout in words: one line each."""

from __future__ import annotations

from typing import NamedTuple

from clanpy.events import (
    BakeFinished,
    BakeStarted,
    Fact,
    HostOverdue,
    HostUnhealthy,
    RevertFinished,
    RolloutContinued,
    RolloutPaused,
    RolloutStopped,
    RunResumed,
    WaveStarted,
)
from clanpy.ui.format import counted, duration, names


WAITS_FOR = {
    "operator": "paused by somebody; `clanpy runs promote` goes on",
    "approval": "waits for approval: `clanpy runs promote` goes on, `clanpy runs abort` calls it off",
    "unknown": "health could not be looked at; `clanpy runs promote` goes on, `clanpy runs abort` calls it off",
    "freeze": "waits for the end of a freeze window",
}
THEN = {
    "hold": "machines that are done stay as they are",
    "revert-wave": "the machines of this wave go back",
    "revert-all": "all machines that are done go back",
}


class Line(NamedTuple):
    """A line, and how it is drawn: as something to know, or as something to worry about."""

    text: str
    is_bad: bool = False


def rollout_line(fact: Fact) -> Line | None:
    """What to say of a fact; None when it is not one of a rollout, or goes without saying."""
    return _of_all(fact) if fact.host is None else _of_host(fact)


def _of_all(fact: Fact) -> Line | None:  # noqa: PLR0911 - one for each kind
    match fact:
        case RunResumed(hosts=hosts):
            return Line(f"goes on with {counted(len(hosts), 'machine')}")
        case WaveStarted(title=title, hosts=hosts):
            return Line(f"{title}: {counted(hosts, 'machine')}")
        case BakeStarted(seconds=seconds):
            return Line(f"watching for {duration(seconds)}")
        case BakeFinished(unknown=unknown) if unknown:
            return Line(f"nothing is known of the health of {names(list(unknown))}", is_bad=True)
        case BakeFinished(promoted=True):
            return Line("promoted before its time was over")
        case RolloutPaused(reason=reason):
            return Line(WAITS_FOR.get(reason, reason))
        case RolloutContinued():
            return Line("goes on")
        case RolloutStopped(reason=reason, then=then):
            return Line(f"stopped: {reason}; {THEN.get(then, then)}", is_bad=True)
    return None


def _of_host(fact: Fact) -> Line | None:
    match fact:
        case HostOverdue(skipped=skipped):
            return Line(
                f"takes far longer than the others{'; its wave goes on without it' if skipped else ''}", is_bad=True
            )
        case HostUnhealthy(reason=reason):
            return Line(f"is not well any more: {reason}", is_bad=True)
        case RevertFinished(ok=ok):
            return Line("taken back to what it ran before" if ok else "could not be taken back", is_bad=not ok)
    return None
