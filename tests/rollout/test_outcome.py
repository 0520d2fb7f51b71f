"""One exit code for many hosts: the rule, its table, and what holds for any mixture."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clanpy.errors import ClanpyError, ExitCode
from clanpy.events import Outcome
from clanpy.rollout.outcome import GOOD, exit_code, outcome_of


C, U, F, X, L, R, A = (
    (Outcome.CONFIRMED, None),
    (Outcome.UNCHANGED, None),
    (Outcome.FAILED, ExitCode.HOSTS_FAILED),
    (Outcome.UNREACHABLE, ExitCode.UNREACHABLE),
    (Outcome.LOCKED, ExitCode.CONFLICT),
    (Outcome.ROLLED_BACK, ExitCode.ROLLED_BACK),
    (Outcome.CANCELLED, ExitCode.INTERRUPTED),
)
NO_NIX = (Outcome.FAILED, ExitCode.TOOL_MISSING)
End = tuple[Outcome, ExitCode | None]


@pytest.mark.parametrize(
    ("ends", "code"),
    [
        ([], 0),
        ([C, U], 0),
        ([C, F], 1),
        ([C, X, X], 4),
        ([X, F], 1),
        ([X, L], 1),
        ([L, C], 6),
        ([R, C], 5),
        ([R, F, X, L], 5),
        ([NO_NIX, NO_NIX, U], 69),
        ([NO_NIX, F], 1),
        ([A, C], 130),
        ([A, R], 130),
        ([(Outcome.FAILED, None)], 1),
    ],
)
def test_the_exit_code_of_a_mixture(ends: list[End], code: int) -> None:
    assert exit_code(ends) == code


ENDS = st.lists(st.sampled_from([C, U, F, X, L, R, A, NO_NIX]), max_size=30)


@given(ENDS)
def test_it_is_zero_exactly_when_every_host_is_as_wanted(ends: list[End]) -> None:
    assert (exit_code(ends) == 0) == all(outcome in GOOD for outcome, _ in ends)


@given(ENDS, st.randoms())
def test_the_order_of_hosts_does_not_matter(ends: list[End], random: object) -> None:
    shuffled = list(ends)
    random.shuffle(shuffled)  # type: ignore[attr-defined] # a random.Random
    assert exit_code(ends) == exit_code(shuffled)


@given(ENDS)
def test_a_rollback_is_never_taken_for_less(ends: list[End]) -> None:
    assert exit_code([*ends, R]) in {ExitCode.ROLLED_BACK, ExitCode.INTERRUPTED}


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (ExitCode.UNREACHABLE, Outcome.UNREACHABLE),
        (ExitCode.CONFLICT, Outcome.LOCKED),
        (ExitCode.ROLLED_BACK, Outcome.ROLLED_BACK),
        (ExitCode.TOOL_MISSING, Outcome.FAILED),
    ],
)
def test_the_outcome_comes_from_the_class_of_the_error(code: ExitCode, outcome: Outcome) -> None:
    class SomeError(ClanpyError):
        exit_code = code

    assert outcome_of(SomeError("x")) is outcome
