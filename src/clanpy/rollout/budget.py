"""What went wrong so far, and whether it is too much."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from clanpy.events import Outcome
from clanpy.rollout.policy import Budget


FAILED = frozenset({Outcome.FAILED, Outcome.ROLLED_BACK})
NOT_REACHED = frozenset({Outcome.UNREACHABLE, Outcome.LOCKED})


@dataclass(slots=True)
class Tally:
    """Counts of one wave, or of the run. `in_a_row`: failures since a host last got well."""

    failed: int = 0
    unreachable: int = 0
    in_a_row: int = 0

    def count(self, outcome: Outcome) -> None:
        """A host ended. One that had nothing to change tells nothing."""
        if outcome in FAILED:
            self.failed += 1
            self.in_a_row += 1
        elif outcome in NOT_REACHED:
            self.unreachable += 1
        elif outcome is Outcome.CONFIRMED:
            self.in_a_row = 0


def breach(budget: Budget, tally: Tally, *, total: int, of: str, is_canary: bool = False) -> str | None:
    """Why it is too much, in a few words; None when it is not. `total` hosts are in the wave or run that is called `of`.

    In a canary nothing may fail, and nothing may be out of reach.
    """
    kinds = (
        ("failed", tally.failed, budget.failed),
        ("were not reached", tally.unreachable, budget.unreachable),
    )
    for what, count, share in kinds:
        if is_canary and count:
            return f"{count} of {total} in the {of} {what}: none may"
        if share is not None and count > max(share.exact(total), Fraction(budget.minimum)):
            return f"{count} of {total} in {of} {what}, and {_allowed(budget, share.exact(total))} may"
    if budget.consecutive is not None and tally.in_a_row > budget.consecutive:
        return f"{tally.in_a_row} failed in a row in {of}, and {budget.consecutive or 'none'} may"
    return None


def _allowed(budget: Budget, exact: Fraction) -> str:
    most = max(int(exact), budget.minimum)
    return f"at most {most}" if most else "none"
