"""Who is activated when, and how parts of a fleet are counted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clanpy.errors import NothingMatchedError, UsageError
from clanpy.events import Outcome
from clanpy.rollout.budget import Tally, breach
from clanpy.rollout.freeze import Freeze, thawed_at
from clanpy.rollout.policy import Budget, Canary, Policy, WaveSpec
from clanpy.rollout.share import Share
from clanpy.rollout.waves import WaitingInCirclesError, Waves, plan_waves
from rollout.rehearsal import names, waves_of


SHARES = st.one_of(
    st.integers(0, 300), st.decimals(0, 100, places=1, allow_nan=False).map(lambda percent: f"{percent}%")
)


# ---------------------------------------------------------------------------------------------------------- shares


@given(SHARES, st.integers(1, 100_000))
def test_a_share_is_rounded_up_and_down_exactly_and_never_to_nothing(text: str | int, total: int) -> None:
    share = Share.parse(text)
    exact = share.exact(total)
    assert share.up(total) == min(total, max(1, -int(-exact // 1)))
    assert share.down(total) == max(1, int(exact))
    assert Share.parse(str(share)) == share


def test_a_third_of_three_hundred_is_not_ninety_nine() -> None:
    assert Share.parse("33.3%").exact(1000) == Fraction(333)
    assert Share.parse("10%").up(10) == 1
    assert Share.parse("10%").up(11) == 2


@pytest.mark.parametrize("text", ["", "ten", "-1", -1, "101%", "5 machines", "%", True])
def test_what_is_no_number_of_machines_is_said(text: str | int) -> None:
    with pytest.raises(UsageError, match="is no number of machines"):
        Share.parse(text)


# ----------------------------------------------------------------------------------------------------------- waves


@st.composite
def _policies(draw: st.DrawFn) -> Policy:
    canary = draw(st.none() | SHARES.map(lambda text: Canary(hosts=Share.parse(text))))
    upto = draw(st.lists(SHARES, max_size=4))
    return Policy(
        canary=canary,
        waves=tuple(WaveSpec(upto=Share.parse(text)) for text in upto),
        max_unavailable=draw(st.none() | SHARES.map(Share.parse)),
    )


@st.composite
def _orders(draw: st.DrawFn) -> tuple[list[str], dict[str, list[str]]]:
    hosts = names(draw(st.integers(1, 40)))
    after = {
        host: draw(st.lists(st.sampled_from(hosts[:n]), max_size=2))
        for n, host in enumerate(hosts)
        if n and draw(st.booleans())
    }
    return hosts, after


@given(_policies(), _orders())
def test_every_host_is_in_one_wave_and_none_before_those_it_waits_for(
    policy: Policy, order: tuple[list[str], dict[str, list[str]]]
) -> None:
    hosts, after = order
    waves = waves_of(hosts, policy, after=after)
    assert sorted(waves.hosts) == hosts
    place = {host: n for n, host in enumerate(waves.hosts)}
    assert all(place[before] < place[host] for host, names in after.items() for before in names)
    assert all(1 <= wave.window <= max(1, 300) and wave.hosts for wave in waves.waves)
    assert Waves.from_dict(waves.to_dict()) == waves


@given(_policies(), st.permutations(names(17)))
def test_waves_do_not_depend_on_the_order_in_which_hosts_are_named(policy: Policy, hosts: list[str]) -> None:
    assert waves_of(hosts, policy) == waves_of(sorted(hosts), policy)


def test_shares_are_counted_from_the_first_wave_on_and_the_rest_is_a_wave_of_its_own() -> None:
    policy = Policy(canary=Canary(), waves=tuple(WaveSpec(upto=Share.parse(text)) for text in ("10%", "50%")))
    waves = waves_of(names(200), policy).waves
    assert [(wave.name, len(wave.hosts)) for wave in waves] == [
        ("canary", 1),
        ("wave 1", 19),
        ("wave 2", 80),
        ("wave 3", 100),
    ]


def test_another_run_begins_with_other_hosts() -> None:
    firsts = {plan_waves(names(20), Policy(canary=Canary()), seed=str(n), select=set).waves[0].hosts for n in range(20)}
    assert len(firsts) > 5


def test_a_canary_is_taken_from_those_that_are_named() -> None:
    policy = Policy(canary=Canary(hosts=Share(count=2), select="tag:canary"))
    waves = waves_of(names(10), policy, tags={"tag:canary": ["host003", "host004", "host005"]})
    assert set(waves.waves[0].hosts) < {"host003", "host004", "host005"}
    assert len(waves.waves[0].hosts) == 2


def test_a_wave_without_any_machine_is_an_error() -> None:
    with pytest.raises(NothingMatchedError, match="tag:none"):
        waves_of(names(3), Policy(waves=(WaveSpec(select="tag:none"),)), tags={"tag:none": []})


def test_machines_that_wait_for_each_other_are_named_in_their_circle() -> None:
    with pytest.raises(WaitingInCirclesError, match=r"host00[012] → host00[012] → host00[012] → host00[012]"):
        waves_of(names(3), Policy(), after={"host000": ["host001"], "host001": ["host002"], "host002": ["host000"]})


def test_a_host_that_is_not_taking_part_is_not_waited_for() -> None:
    assert waves_of(names(2), Policy(), after={"host000": ["elsewhere"]}).after == {}


# ---------------------------------------------------------------------------------------------------------- budget


@given(st.integers(0, 50), st.integers(1, 50), SHARES, st.integers(0, 5))
def test_a_budget_is_spent_when_more_than_the_share_failed_and_not_before(
    failed: int, total: int, text: str | int, minimum: int
) -> None:
    budget = Budget(failed=Share.parse(text), minimum=minimum)
    found = breach(budget, Tally(failed=failed), total=total, of="the run")
    assert (found is not None) == (failed > max(Share.parse(text).exact(total), Fraction(minimum)))


@given(st.lists(st.sampled_from(list(Outcome)), max_size=30))
def test_only_failures_in_a_row_count_as_such(outcomes: list[Outcome]) -> None:
    tally = Tally()
    for outcome in outcomes:
        tally.count(outcome)
    bad = {Outcome.FAILED, Outcome.ROLLED_BACK}
    row = 0
    for outcome in outcomes:
        row = row + 1 if outcome in bad else 0 if outcome is Outcome.CONFIRMED else row
    assert tally.in_a_row == row
    assert tally.failed == sum(outcome in bad for outcome in outcomes)


def test_nothing_may_fail_in_a_canary_whatever_the_budget_says() -> None:
    budget = Budget(failed=Share.parse("50%"), minimum=3)
    assert breach(budget, Tally(failed=1), total=10, of="canary", is_canary=True)
    assert breach(budget, Tally(unreachable=1), total=10, of="canary", is_canary=True)
    assert breach(budget, Tally(failed=1), total=10, of="wave 1") is None


# ---------------------------------------------------------------------------------------------------------- freeze


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-01-09 15:59", None),
        ("2026-01-09 16:00", "2026-01-12 08:00"),
        ("2026-01-11 23:00", "2026-01-12 08:00"),
        ("2026-01-12 07:59", "2026-01-12 08:00"),
        ("2026-01-12 08:00", None),
    ],
)
def test_a_freeze_goes_over_the_weekend(now: str, until: str | None) -> None:
    window = Freeze.parse("fri 16:00-mon 08:00")
    assert window.thawed_at(_at(now)) == (None if until is None else _at(until))


def test_freezes_that_touch_are_one() -> None:
    windows = [Freeze.parse("fri 16:00-sat 00:00"), Freeze.parse("sat 00:00-sun 12:00")]
    assert thawed_at(windows, _at("2026-01-09 20:00")) == _at("2026-01-11 12:00")


@given(st.datetimes(datetime(2026, 1, 1), datetime(2026, 3, 1)))  # noqa: DTZ001 - any time of any week
def test_a_freeze_ends_at_its_end_and_within_a_week(now: datetime) -> None:
    window = Freeze.parse("Tue 9:30 - Wed 10:00")
    until = window.thawed_at(now)
    assert until is None or (now < until <= now + timedelta(days=7) and until.strftime("%a %H:%M") == "Wed 10:00")


@pytest.mark.parametrize("text", ["fri", "fri 16:00", "fri 25:00-mon 08:00", "fri 16:00-fri 16:00", ""])
def test_what_is_no_freeze_is_said(text: str) -> None:
    with pytest.raises(UsageError, match="freeze window"):
        Freeze.parse(text)
