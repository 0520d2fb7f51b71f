"""A rollout whose controller was killed goes on from its journal, wherever that ends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clanpy.events import Bus, Event, Outcome, RolloutPlanned, read_fact
from clanpy.rollout.policy import Budget, Canary, OnStop, Policy, WaveSpec
from clanpy.rollout.progress import Progress
from clanpy.rollout.resume import progress_of
from clanpy.rollout.share import Share
from rollout.rehearsal import Rehearsal, Told, names, roll, waves_of
from support.virtual_time import MONDAY, VirtualClock


HOSTS = names(12)
POLICY = Policy(
    canary=Canary(bake=timedelta(minutes=2)),
    waves=(WaveSpec(upto=Share.parse("50%")),),
    max_unavailable=Share(count=2),
    bake=timedelta(minutes=1),
    budget=Budget(failed=Share(count=1)),
    on_stop=OnStop.REVERT_ALL,
)


def _journal(told: Told, policy: Policy) -> list[Mapping[str, Any]]:
    """The facts as the journal has them: JSON, a line each."""
    written: list[Event] = []
    times = iter([MONDAY, *(MONDAY + timedelta(seconds=second) for second, _ in told.facts)])
    bus = Bus("run", (written.append,), now=lambda: next(times))
    bus.emit(RolloutPlanned(policy=policy.name, waves=waves_of(HOSTS, policy).to_dict()))
    for _, fact in told.facts:
        bus.emit(fact)
    return [json.loads(json.dumps(event.to_dict())) for event in written]


def _read_back(events: list[Mapping[str, Any]], policy: Policy) -> tuple[Progress, datetime]:
    progress = progress_of(events, policy)
    assert progress is not None
    return progress, datetime.fromisoformat(events[-1]["ts"])


def _resumed(events: list[Mapping[str, Any]], ends: dict[str, Outcome]) -> Told:
    progress, at = _read_back(events, POLICY)
    fleet = Rehearsal(ends=ends, clock=VirtualClock(began=at))
    return roll(HOSTS, POLICY, fleet, progress=progress)


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(st.sampled_from(HOSTS), st.sampled_from([Outcome.ROLLED_BACK, Outcome.UNREACHABLE]), max_size=4))
def test_from_every_moment_it_ends_as_if_nothing_had_happened(ends: dict[str, Outcome]) -> None:
    whole = roll(HOSTS, POLICY, Rehearsal(ends=ends))
    events = _journal(whole, POLICY)
    for cut in range(1, len(events) + 1):
        resumed = _resumed(events[:cut], ends)
        progress = resumed.progress
        assert sorted(progress.ended) == HOSTS
        assert not progress.in_flight
        assert (progress.stopped is None) == (whole.progress.stopped is None)
        if progress.stopped is None:
            assert progress.ended == whole.progress.ended
        else:
            _all_are_back(progress)


def _all_are_back(progress: Progress) -> None:
    confirmed = {host for host, outcome in progress.ended.items() if outcome is Outcome.CONFIRMED}
    assert {host for host, ok in progress.reverted.items() if ok} >= confirmed


@pytest.mark.parametrize("cut", range(1, 30, 3))
def test_nothing_that_is_known_to_be_done_is_done_again(cut: int) -> None:
    whole = roll(HOSTS, POLICY)
    events = _journal(whole, POLICY)[:cut]
    done = {event["host"] for event in events if event["event"] == "host_finished"}
    assert not done.intersection(_resumed(events, {}).fleet.activated)


def test_a_bake_goes_on_for_what_is_left_of_it() -> None:
    whole = roll(HOSTS, POLICY)
    events = _journal(whole, POLICY)
    baking = next(n for n, event in enumerate(events) if event["event"] == "bake_started")
    progress, at = _read_back(events[: baking + 1], POLICY)
    fleet = Rehearsal(clock=VirtualClock(began=at + timedelta(seconds=50)))
    told = roll(HOSTS, POLICY, fleet, progress=progress)
    assert told.facts[0][0] == 70


def test_facts_are_read_back_as_they_were_told() -> None:
    told = roll(HOSTS, POLICY, Rehearsal(ends={"host001": Outcome.ROLLED_BACK, "host002": Outcome.FAILED}))
    back = [read_fact(event) for event in _journal(told, POLICY)[1:]]
    assert [str(fact) for fact in back] == [str(fact).replace("()", "[]") for _, fact in told.facts]


def test_kinds_of_events_of_a_later_version_are_passed_over() -> None:
    assert read_fact({"event": "host_sang", "host": "a"}) is None
