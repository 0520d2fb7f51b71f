"""Trying a gate until it is decided: in a row, up to its deadline, and what an attempt that could not be made means."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from clanpy.inventory.gates import Gate
from clanpy.rollout.gates import Attempt, GateVerdict, Trial, Tried


PASS, FAIL, NOT_RUN = Attempt(Tried.PASSED), Attempt(Tried.FAILED, "refused"), Attempt(Tried.NOT_RUN, "no such program")


class Clock:
    """A clock that goes on when it is told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def verdicts(attempts: Sequence[Attempt], *, successes: int = 1, timeout: float = 10.0) -> list[GateVerdict | None]:
    """What has become of a gate after each attempt, a second apart."""
    clock = Clock()
    trial = Trial(Gate(name="g", type="units", successes=successes, timeout=timeout), clock)
    found = []
    for attempt in attempts:
        clock.now += 1
        trial.note(attempt)
        found.append(trial.verdict)
    return found


def test_one_success_is_enough_when_nothing_else_is_said() -> None:
    assert verdicts([FAIL, PASS]) == [None, GateVerdict.PASSED]


def test_successes_have_to_come_in_a_row() -> None:
    assert verdicts([PASS, PASS, FAIL, PASS, PASS, PASS], successes=3)[-2:] == [None, GateVerdict.PASSED]


def test_an_attempt_that_could_not_be_made_neither_counts_nor_breaks_the_row() -> None:
    assert verdicts([PASS, NOT_RUN, PASS], successes=2) == [None, None, GateVerdict.PASSED]


def test_at_the_deadline_a_gate_that_was_not_passed_has_failed() -> None:
    assert verdicts([FAIL, FAIL, FAIL], timeout=3) == [None, None, GateVerdict.FAILED]
    assert verdicts([PASS, PASS, FAIL], timeout=3, successes=3)[-1] is GateVerdict.FAILED


def test_at_the_deadline_a_gate_that_could_not_be_tried_is_undecided() -> None:
    assert verdicts([FAIL, NOT_RUN, NOT_RUN], timeout=3) == [None, None, GateVerdict.UNDECIDED]


def test_nothing_is_decided_before_the_first_attempt() -> None:
    clock = Clock()
    trial = Trial(Gate(name="g", type="units", timeout=1), clock)
    clock.now = 5
    assert trial.verdict is None
    assert trial.longest == 1.0


@pytest.mark.parametrize(("at", "pause"), [(0.0, 2.0), (9.0, 1.0)])
def test_the_pause_does_not_go_beyond_the_deadline(at: float, pause: float) -> None:
    clock = Clock()
    trial = Trial(Gate(name="g", type="units", timeout=10, interval=2), clock)
    clock.now = at
    assert trial.pause == pause
