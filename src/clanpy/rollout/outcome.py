"""From errors to outcomes, and from the outcomes of all hosts to the one exit code of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clanpy.errors import ClanpyError, ExitCode
from clanpy.events import Outcome


if TYPE_CHECKING:
    from collections.abc import Iterable

BY_EXIT_CODE = {
    ExitCode.UNREACHABLE: Outcome.UNREACHABLE,
    ExitCode.CONFLICT: Outcome.LOCKED,
    ExitCode.ROLLED_BACK: Outcome.ROLLED_BACK,
    ExitCode.BUDGET_SPENT: Outcome.SKIPPED,
}
GOOD = frozenset({Outcome.UNCHANGED, Outcome.PLANNED, Outcome.BUILT, Outcome.CONFIRMED, Outcome.SKIPPED})


def outcome_of(error: ClanpyError) -> Outcome:
    """How a host ended that was stopped by this error."""
    return BY_EXIT_CODE.get(error.exit_code, Outcome.FAILED)


def unwrapped(error: BaseException) -> BaseException:
    """Of errors that ended several tasks at once, the first that a user can understand, if all of them are such."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    known, unknown = error.split(ClanpyError)
    return error if known is None or unknown is not None else unwrapped(known.exceptions[0])


def exit_code(ends: Iterable[tuple[Outcome, ExitCode | None]]) -> ExitCode:
    """The exit code of a run, from the outcome of each host and the exit code of the error that stopped it.

    - all hosts are as wanted: 0;
    - the run was interrupted before all hosts were done: 130;
    - hosts were left out because too many others had failed: 3;
    - a host was rolled back, whatever happened to the others: 5;
    - all hosts that are not as wanted ended for the same reason: the code of that reason (4 when all of them were
      unreachable, 6 when all of them were locked, 69 when a program is missing here, …);
    - otherwise: 1.
    """
    known = list(ends)
    bad = [(outcome, code) for outcome, code in known if outcome not in GOOD]
    outcomes = {outcome for outcome, _ in bad}
    if Outcome.CANCELLED in outcomes:
        return ExitCode.INTERRUPTED
    if any(code is ExitCode.BUDGET_SPENT for _, code in known):
        return ExitCode.BUDGET_SPENT
    if not bad:
        return ExitCode.DONE
    if Outcome.ROLLED_BACK in outcomes:
        return ExitCode.ROLLED_BACK
    codes = {code if code is not None else ExitCode.HOSTS_FAILED for _, code in bad}
    return codes.pop() if len(codes) == 1 else ExitCode.HOSTS_FAILED
