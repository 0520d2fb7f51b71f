"""Reading back where a rollout stood from the events of its run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from clanpy.events import HostFinished, Outcome, RolloutPlanned, read_fact
from clanpy.rollout.policy import Policy
from clanpy.rollout.progress import Progress
from clanpy.rollout.waves import Waves


# Hosts that ended like this were left as they were: they are begun again.
LEFT = frozenset({Outcome.SKIPPED, Outcome.CANCELLED, Outcome.UNREACHABLE, Outcome.LOCKED})


def progress_of(events: Iterable[Mapping[str, Any]], policy: Policy) -> Progress | None:
    """Where a rollout stands after these events; None when it had not been planned yet.

    A rollout that had stopped is no longer stopped: to resume it is a decision to go on. What was spent of its budget stays spent.
    """
    progress: Progress | None = None
    for event in events:
        fact = read_fact(event)
        if isinstance(fact, RolloutPlanned):
            progress = Progress(Waves.from_dict(fact.waves), policy)
        elif progress is not None and fact is not None:
            if isinstance(fact, HostFinished) and fact.outcome in LEFT:
                continue
            progress.apply(fact, datetime.fromisoformat(event["ts"]))
    if progress is not None:
        progress.stopped = progress.paused = progress.paused_at = None
        progress.waves = _with_left_over(progress)
    return progress


def _with_left_over(progress: Progress) -> Waves:
    """The waves with one more at their end: hosts of waves that are over which were left as they were."""
    over, coming = progress.waves.waves[: max(0, progress.wave)], progress.waves.waves[max(0, progress.wave) :]
    left = tuple(host for wave in over for host in wave.hosts if host not in progress.ended)
    if not left:
        return progress.waves
    past = tuple(replace(wave, hosts=tuple(host for host in wave.hosts if host in progress.ended)) for wave in over)
    last = replace(coming[-1], name="left over", hosts=left, is_canary=False)
    return replace(progress.waves, waves=(*past, *coming, last))
