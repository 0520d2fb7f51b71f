"""The rules of a rollout, each as a test; hours pass in milliseconds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clanpy.events import (
    BakeFinished,
    BakeStarted,
    HostAdmitted,
    HostFinished,
    HostOverdue,
    HostUnhealthy,
    Outcome,
    RevertFinished,
    RolloutContinued,
    RolloutPaused,
    RolloutStopped,
    WaveStarted,
)
from clanpy.rollout.engine import Control
from clanpy.rollout.freeze import Freeze
from clanpy.rollout.policy import Budget, Canary, OnStop, Policy, Promote, Straggler, WaveSpec
from clanpy.rollout.share import Share
from rollout.rehearsal import TAKES, Rehearsal, Told, names, roll, waves_of
from support.virtual_time import MONDAY, VirtualClock


BAD = st.sampled_from([Outcome.FAILED, Outcome.ROLLED_BACK, Outcome.UNREACHABLE, Outcome.CONFIRMED, Outcome.UNCHANGED])
WAVES = (WaveSpec(upto=Share.parse("10%")), WaveSpec(upto=Share.parse("50%")))
ANYTHING = Budget(failed=None)


def _confirmed(told: Told) -> list[str]:
    return [host for host, outcome in told.progress.ended.items() if outcome is Outcome.CONFIRMED]


def _minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def test_without_a_policy_all_are_activated_at_once() -> None:
    told = roll(names(30), Policy())
    assert told.fleet.most == 30
    assert told.seconds == TAKES
    assert len(_confirmed(told)) == 30


def test_copies_go_ahead_of_the_waves() -> None:
    policy = Policy(canary=Canary(bake=_minutes(10)), waves=WAVES)

    async def look(control: Control) -> None:
        await asyncio.sleep(60)
        assert len(fleet.prepared) == 20
        assert len(fleet.activated) == 1

    fleet = Rehearsal()
    told = roll(names(20), policy, fleet, meanwhile=look)
    assert told.fleet.prepared == list(waves_of(names(20), policy).hosts)


def test_between_waves_there_is_a_barrier_and_a_bake() -> None:
    policy = Policy(waves=WAVES, bake=_minutes(5))
    told = roll(names(20), policy, Rehearsal(takes={"host003": 100.0}))
    ends = told.at(BakeFinished)
    begins = told.at(WaveStarted)
    assert [fact.hosts for fact in told.of(WaveStarted)] == [2, 8, 10]
    assert begins[1:] == ends[:-1]
    assert told.of(BakeStarted)[0].seconds == 300
    for began, baked in zip(told.at(BakeStarted), ends, strict=True):
        assert baked - began == 300


def test_inside_a_wave_the_next_host_begins_as_soon_as_one_is_done() -> None:
    policy = Policy(max_unavailable=Share(count=2))
    slow = waves_of(names(6), policy).hosts[0]
    told = roll(names(6), policy, Rehearsal(takes={slow: 50.0}))
    assert told.fleet.most == 2
    assert told.seconds == 50


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 8), st.dictionaries(st.sampled_from(names(40)), BAD))
def test_never_more_are_unavailable_than_may_be(count: int, most: int, ends: dict[str, Outcome]) -> None:
    policy = Policy(max_unavailable=Share(count=most), waves=WAVES, budget=ANYTHING)
    told = roll(names(count), policy, Rehearsal(ends=ends))
    assert told.fleet.most <= most
    assert sorted(told.progress.ended) == names(count)
    assert sorted(told.fleet.activated) == names(count)


def test_only_one_domain_is_touched_at_a_time() -> None:
    tags = {"tag:east": names(9)[:4], "tag:west": names(9)[4:8]}
    policy = Policy(domains=("tag:east", "tag:west"), max_unavailable=Share.parse("50%"))
    told = roll(names(9), policy, tags=tags)
    for busy in told.fleet.together:
        assert sum(bool(busy & set(hosts)) for hosts in tags.values()) <= 1
        assert len(busy) <= 2
    assert [host in tags["tag:east"] for host in told.fleet.activated[:4]] == [True] * 4


def test_a_host_begins_after_those_it_waits_for_even_when_it_is_ready_first() -> None:
    told = roll(names(4), Policy(), after={"host000": names(4)[1:]})
    assert told.fleet.activated[-1] == "host000"
    assert told.seconds == 2 * TAKES


def test_a_host_is_left_alone_when_one_that_it_waits_for_is_not_well() -> None:
    fleet = Rehearsal(ends={"host001": Outcome.ROLLED_BACK})
    told = roll(names(3), Policy(budget=ANYTHING), fleet, after={"host000": ["host001"], "host002": ["host000"]})
    assert told.progress.ended["host000"] is Outcome.SKIPPED
    assert "host000" not in fleet.activated


def test_a_failed_canary_ends_it_and_nobody_else_is_touched() -> None:
    policy = Policy(canary=Canary(), budget=Budget(failed=Share.parse("50%")))
    canary = waves_of(names(20), policy).waves[0].hosts[0]
    told = roll(names(20), policy, Rehearsal(ends={canary: Outcome.ROLLED_BACK}))
    assert told.fleet.activated == [canary]
    assert told.of(RolloutStopped)[0].reason == "1 of 1 in the canary failed: none may"
    skipped = [fact for fact in told.of(HostFinished) if fact.outcome is Outcome.SKIPPED]
    assert len(skipped) == 19
    assert {fact.error["code"] for fact in skipped} == {"CP0531"}


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 30),
    st.dictionaries(st.sampled_from(names(30)), st.sampled_from([Outcome.FAILED, Outcome.CONFIRMED])),
    st.integers(0, 4),
    st.integers(1, 5),
)
def test_a_spent_budget_stops_exactly_when_one_more_has_failed_than_may(
    count: int, ends: dict[str, Outcome], may: int, most: int
) -> None:
    policy = Policy(budget=Budget(failed=Share(count=may)), max_unavailable=Share(count=most))
    told = roll(names(count), policy, Rehearsal(ends=ends))
    failed = [fact for fact in told.of(HostFinished) if fact.outcome is Outcome.FAILED]
    bad = sum(ends.get(host) is Outcome.FAILED for host in names(count))
    assert (told.progress.stopped is not None) == (bad > may)
    assert len(failed) <= may + most
    assert told.progress.in_flight == {}
    assert sorted(told.progress.ended) == names(count)


def test_hosts_that_were_not_reached_are_counted_apart() -> None:
    unprepared = dict.fromkeys(names(20)[:3], Outcome.UNREACHABLE)
    fine = roll(names(20), Policy(), Rehearsal(unprepared=unprepared))
    assert fine.progress.stopped is None
    policy = Policy(budget=Budget(unreachable=Share.parse("10%")), max_unavailable=Share(count=1))
    stopped = roll(names(20), policy, Rehearsal(unprepared=unprepared))
    assert stopped.of(RolloutStopped)[0].reason == "3 of 20 in wave 1 were not reached, and at most 2 may"
    assert stopped.fleet.reverted == []


def test_failures_in_a_row_stop_a_large_wave_early() -> None:
    policy = Policy(budget=Budget(failed=Share.parse("50%"), consecutive=2), max_unavailable=Share(count=1))
    told = roll(names(100), policy, Rehearsal(ends=dict.fromkeys(names(100), Outcome.ROLLED_BACK)))
    assert len(told.fleet.activated) == 3


def test_hosts_in_flight_finish_when_the_budget_is_spent() -> None:
    ends, takes = {"host000": Outcome.FAILED}, dict.fromkeys(names(5), 60.0) | {"host000": 1.0}
    told = roll(names(5), Policy(), Rehearsal(ends=ends, takes=takes))
    assert sorted(_confirmed(told)) == names(5)[1:]


@pytest.mark.parametrize(("then", "back"), [(OnStop.HOLD, 0), (OnStop.REVERT_WAVE, 3), (OnStop.REVERT_ALL, 13)])
def test_what_becomes_of_those_that_are_done_is_what_the_policy_says(then: OnStop, back: int) -> None:
    policy = Policy(
        waves=(WaveSpec(upto=Share(count=10)), WaveSpec(upto=Share(count=20))),
        max_unavailable=Share(count=2),
        on_stop=then,
        freeze=(),
    )
    order = waves_of(names(20), policy).hosts
    told = roll(names(20), policy, Rehearsal(ends={order[13]: Outcome.ROLLED_BACK}, takes={order[13]: 9.0}))
    backwards = list(reversed(_confirmed(told)))[:back]
    assert set(told.fleet.reverted) == set(backwards)
    assert all(abs(backwards.index(host) - n) <= 3 for n, host in enumerate(told.fleet.reverted))
    assert told.fleet.most_reverting <= 4


def test_reverting_goes_on_past_a_host_that_cannot_be_taken_back() -> None:
    policy = Policy(max_unavailable=Share(count=1), on_stop=OnStop.REVERT_ALL)
    order = waves_of(names(6), policy).hosts
    fleet = Rehearsal(ends={order[4]: Outcome.FAILED}, unrevertable=frozenset({order[2]}))
    told = roll(names(6), policy, fleet)
    assert told.fleet.reverted == list(reversed(order[:4]))
    assert [fact.ok for fact in told.of(RevertFinished)] == [True, False, True, True]


def test_a_host_that_falls_ill_during_the_bake_counts_as_failed() -> None:
    policy = Policy(canary=Canary(bake=_minutes(10)), waves=WAVES)
    ill_at = MONDAY + _minutes(4)

    def health(_host: str, now: datetime) -> bool | str:
        return "http 500" if now >= ill_at else True

    told = roll(names(20), policy, Rehearsal(health_of=health))
    assert told.of(HostUnhealthy)[0].reason == "http 500"
    assert told.progress.stopped is not None
    assert 240 <= told.seconds <= 270
    assert len(told.fleet.activated) == 1


def test_health_that_cannot_be_looked_at_is_neither_and_waits_for_a_person() -> None:
    policy = Policy(waves=WAVES, bake=_minutes(1))

    async def look(control: Control) -> None:
        await asyncio.sleep(3600)
        assert len(fleet.activated) == 2
        fleet.health_of = lambda _host, _now: True
        control.promote()

    fleet = Rehearsal(health_of=lambda _host, _now: None)
    told = roll(names(20), policy, fleet, meanwhile=look)
    assert told.of(RolloutPaused)[0].reason == "unknown"
    assert told.of(BakeFinished)[0].unknown == tuple(sorted(told.fleet.activated[:2]))
    assert len(_confirmed(told)) == 20
    assert told.fleet.reverted == []


def test_a_wave_that_is_to_be_approved_waits_for_approval() -> None:
    policy = Policy(canary=Canary(promote=Promote.MANUAL))

    async def approve(control: Control) -> None:
        await asyncio.sleep(86400)
        control.promote()

    told = roll(names(5), policy, meanwhile=approve)
    assert told.at(RolloutContinued) == [86400]
    assert told.at(WaveStarted) == [0, 86400]


def test_promoting_ends_a_bake_early() -> None:
    async def promote(control: Control) -> None:
        await asyncio.sleep(100)
        control.promote()

    told = roll(names(5), Policy(canary=Canary(bake=_minutes(60))), meanwhile=promote)
    assert told.of(BakeFinished)[0].promoted
    assert told.seconds == 110


def test_a_pause_takes_effect_between_hosts_and_lets_those_in_flight_finish() -> None:
    async def pause(control: Control) -> None:
        await asyncio.sleep(5)
        control.pause()
        await asyncio.sleep(1000)
        assert len(fleet.activated) == 1
        assert not fleet.busy
        control.promote()

    fleet = Rehearsal()
    told = roll(names(3), Policy(max_unavailable=Share(count=1)), fleet, meanwhile=pause)
    assert told.at(HostAdmitted) == [0, 1005, 1015]


def test_calling_it_off_begins_no_more_and_reverts_as_the_policy_says() -> None:
    async def call_off(control: Control) -> None:
        await asyncio.sleep(15)
        control.abort("the pager went off")

    told = roll(names(5), Policy(max_unavailable=Share(count=1), on_stop=OnStop.REVERT_ALL), meanwhile=call_off)
    assert told.of(RolloutStopped)[0].reason == "the pager went off"
    assert told.fleet.reverted == list(reversed(told.fleet.activated))
    assert len(told.fleet.activated) == 2


def test_nothing_is_begun_in_a_freeze_window() -> None:
    local = datetime.astimezone(datetime(2026, 1, 9, 15, 59, 55))  # noqa: DTZ001 - windows are in local time
    fleet = Rehearsal(clock=VirtualClock(began=local))
    told = roll(names(3), Policy(freeze=(Freeze.parse("fri 16:00-mon 08:00"),), max_unavailable=Share(count=1)), fleet)
    assert told.of(RolloutPaused)[0].reason == "freeze"
    begun = [local + timedelta(seconds=second) for second in told.at(HostAdmitted)]
    assert f"{begun[1].astimezone():%a %H:%M}" == "Mon 08:00"
    assert len(_confirmed(told)) == 3


def test_a_straggler_is_not_waited_for_and_counts_as_not_reached() -> None:
    policy = Policy(straggler=Straggler(factor=3, at_least=timedelta(seconds=5), skip=True), waves=WAVES)
    slow = waves_of(names(20), policy).waves[1].hosts[0]
    told = roll(names(20), policy, Rehearsal(takes={slow: 500.0}))
    assert [fact.host for fact in told.of(HostOverdue)] == [slow]
    assert told.at(WaveStarted)[2] == 40
    assert told.progress.run.unreachable == 1
    assert told.progress.ended[slow] is Outcome.CONFIRMED


def test_it_stops_when_nobody_gets_well_for_too_long() -> None:
    policy = Policy(progress_deadline=_minutes(15), max_unavailable=Share(count=1))
    told = roll(names(3), policy, Rehearsal(takes=dict.fromkeys(names(3), 2000.0)))
    assert told.at(RolloutStopped) == [900]
    assert told.of(RolloutStopped)[0].reason == "no machine got well for 900 s"


def test_a_pause_does_not_count_as_lack_of_progress() -> None:
    async def pause(control: Control) -> None:
        control.pause()
        await asyncio.sleep(5000)
        control.promote()

    told = roll(names(3), Policy(progress_deadline=_minutes(1)), meanwhile=pause)
    assert told.progress.stopped is None
    assert len(_confirmed(told)) == 3


def test_a_confirmed_host_counts_as_away_until_it_was_well_for_long_enough() -> None:
    told = roll(names(3), Policy(max_unavailable=Share(count=1), min_ready=_minutes(1)))
    assert told.at(HostAdmitted) == [0, 70, 140]


def test_hosts_with_nothing_to_change_cost_no_bake() -> None:
    fleet = Rehearsal(unprepared=dict.fromkeys(names(20), Outcome.UNCHANGED))
    told = roll(names(20), Policy(canary=Canary(promote=Promote.MANUAL), waves=WAVES, bake=_minutes(5)), fleet)
    assert told.seconds == 0
    assert told.of(BakeStarted) == []


def test_leaving_lets_those_in_flight_finish_and_says_nothing_of_the_rest() -> None:
    async def leave(control: Control) -> None:
        await asyncio.sleep(15)
        control.leave()

    told = roll(names(9), Policy(max_unavailable=Share(count=1)), meanwhile=leave)
    assert len(told.progress.ended) == 2
    assert told.progress.stopped is None


@pytest.mark.parametrize("bake", [0, 5])
def test_leaving_during_a_bake_does_not_call_the_wave_good(bake: float) -> None:
    async def leave(control: Control) -> None:
        await asyncio.sleep(60)
        control.leave()

    told = roll(names(9), Policy(canary=Canary(bake=_minutes(10)), bake=_minutes(bake)), meanwhile=leave)
    assert told.of(BakeFinished) == []


def test_what_the_driver_raises_ends_the_rollout() -> None:
    class DiskFullError(Exception):
        pass

    async def raising(_host: str) -> HostFinished:
        raise DiskFullError

    fleet = Rehearsal()
    fleet.activate = raising  # type: ignore[method-assign, assignment]  # one that fails
    with pytest.raises(ExceptionGroup) as caught:
        roll(names(3), Policy(), fleet)
    assert caught.group_contains(DiskFullError)


def _ill_until(limit: datetime) -> Callable[[str, datetime], bool | str | None]:
    return lambda _host, now: None if now < limit else True


def test_health_is_asked_again_until_it_can_be_looked_at() -> None:
    policy = Policy(canary=Canary(bake=_minutes(5)))
    told = roll(names(3), policy, Rehearsal(health_of=_ill_until(MONDAY + _minutes(3))))
    assert told.of(RolloutPaused) == []
