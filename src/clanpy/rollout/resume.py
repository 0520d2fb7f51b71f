"""Reading back where a rollout stood from the events of its run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
    return progress
