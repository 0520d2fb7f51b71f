"""What was done to machines before: their part in the runs that the journal of this fleet has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clanpy.events import Outcome
from clanpy.journal import RUNS_READ


if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from clanpy.journal import HostState, Journal, RunState

SCHEMA = "clanpy.history/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRun:
    """A machine's part in a run.

    Attributes:
        when: when its part ended, or when the run began where it never did (ISO 8601).
        outcome: None where the run ended before the machine did.
        before, after: the system it ran before and has since, where that is known.
        who: who did it, and from which computer.
        revision: the fleet's commit; `modified`: there were changes beside it.
    """

    machine: str
    run: str
    command: str | None
    when: str | None
    seconds: float | None
    outcome: Outcome | None
    before: str | None
    after: str | None
    who: str | None
    revision: str | None
    modified: bool
    error: Mapping[str, Any] | None
    log: str | None

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "machine": self.machine,
            "run": self.run,
            "command": self.command,
            "when": self.when,
            "seconds": self.seconds,
            "outcome": self.outcome,
            "from": self.before,
            "to": self.after,
            "who": self.who,
            "revision": self.revision,
            "modified": self.modified,
            "error": self.error,
            "log": self.log,
        }


def past(journal: Journal, machines: Collection[str]) -> Iterator[PastRun]:
    """The parts of these machines in all runs, the newest run first. Read as far as one asks."""
    wanted = set(machines)
    for state in _states(journal):
        for name, host in state.hosts.items():
            if name in wanted:
                yield _part(name, host, state)


def revisions(journal: Journal, running: Mapping[str, str]) -> dict[str, tuple[str, bool]]:
    """Of what machines run: from which commit it was deployed to them from here, and whether there were changes beside it."""
    left, found = dict(running), dict[str, tuple[str, bool]]()
    for number, state in enumerate(_states(journal)):
        if not left or number >= RUNS_READ:
            break
        for name in left.keys() & state.hosts.keys():
            host = state.hosts[name]
            if host.outcome is Outcome.CONFIRMED and host.system == left[name]:
                del left[name]
                if state.revision is not None:
                    found[name] = state.revision, state.modified
    return found


def _states(journal: Journal) -> Iterator[RunState]:
    return (journal.read(run) for run in journal.run_ids())


def _part(name: str, host: HostState, state: RunState) -> PastRun:
    return PastRun(
        machine=name,
        run=state.run,
        command=state.command,
        when=host.when or state.started,
        seconds=host.seconds,
        outcome=host.outcome,
        before=host.previous,
        after=host.system,
        who=state.who,
        revision=state.revision,
        modified=state.modified,
        error=host.error,
        log=host.log,
    )
