"""Trying a gate until it is decided: passed, failed, or undecided because it could not be tried. Values and clockwork, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Callable

    from clanpy.inventory.gates import Gate

LONGEST_TRY = 10.0  # seconds that one attempt may take


class Tried(StrEnum):
    """How one attempt ended. `not_run`: it says nothing about the machine, because it could not be made."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_RUN = "not_run"


class GateVerdict(StrEnum):
    """What became of a gate. `undecided`: at its end it could not be tried, and somebody has to decide."""

    PASSED = "passed"
    FAILED = "failed"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt, and what there is to be said about it."""

    tried: Tried
    said: str = ""


@dataclass(slots=True)
class Trial:
    """A gate that is being tried.

    Attributes:
        clock: seconds, from anywhere on.
        attempts: how many there were.
        in_a_row: how many of them succeeded, the last ones, without another between.
        verdict: what has become of it; None while it goes on. There is always an attempt at the very end.
    """

    gate: Gate
    clock: Callable[[], float]
    attempts: int = 0
    in_a_row: int = 0
    last: Attempt | None = None
    verdict: GateVerdict | None = field(default=None, init=False)
    _began: float = field(init=False)
    _failed: Attempt | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._began = self.clock()

    @property
    def seconds(self) -> float:
        """How long it has been tried."""
        return self.clock() - self._began

    @property
    def left(self) -> float:
        """Seconds until it must be decided."""
        return max(0.0, self.gate.timeout - self.seconds)

    @property
    def longest(self) -> float:
        """Seconds that the next attempt may take. The very last one is given a second, however late it is."""
        return max(1.0, min(LONGEST_TRY, self.left))

    def note(self, attempt: Attempt) -> None:
        """An attempt has ended. One that could not be made neither counts nor breaks a row of successes."""
        self.attempts += 1
        self.last = attempt
        if attempt.tried is Tried.PASSED:
            self.in_a_row += 1
        elif attempt.tried is Tried.FAILED:
            self.in_a_row = 0
            self._failed = attempt
        if self.in_a_row >= self.gate.successes:
            self.verdict = GateVerdict.PASSED
        elif self.left <= 0:
            self.verdict = GateVerdict.UNDECIDED if attempt.tried is Tried.NOT_RUN else GateVerdict.FAILED

    @property
    def said(self) -> str:
        """Why it is as it is, in words."""
        if self.last is None:
            return "it was not tried"
        if self.last.tried is Tried.PASSED and self._failed is not None and self.in_a_row < self.gate.successes:
            return f"{self.in_a_row} of {self.gate.successes} in a row; before that: {self._failed.said}"
        return self.last.said

    @property
    def pause(self) -> float:
        """Seconds until the next attempt."""
        return min(self.gate.interval, self.left)
