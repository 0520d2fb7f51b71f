"""What is known of a run at this moment, kept up to date event by event, at a cost that does not grow with the fleet."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from clanpy.events import (
    Event,
    HostFinished,
    LogLine,
    Outcome,
    Progress,
    RunResumed,
    RunStarted,
    Stage,
    StageStarted,
)
from clanpy.ui.format import clean


if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(slots=True)
class Row:
    """A machine that is being worked on. Times are seconds of the clock."""

    host: str
    stage: Stage
    since: float
    entered: float
    done: int | None = None
    total: int | None = None
    unit: str = "bytes"
    line: str = ""


@dataclass(slots=True)
class Board:
    """The sink that keeps it. `rows` holds only hosts at work, in the order in which they began."""

    clock: Callable[[], float]
    command: str = ""
    total: int = 0
    began: float = 0.0
    rows: dict[str, Row] = field(default_factory=dict)
    stages: Counter[Stage] = field(default_factory=Counter)
    outcomes: Counter[Outcome] = field(default_factory=Counter)

    @property
    def finished(self) -> int:
        return self.outcomes.total()

    @property
    def waiting(self) -> int:
        return self.total - self.finished - len(self.rows)

    def __call__(self, event: Event, /) -> None:
        now = self.clock()
        match event.fact:
            case RunStarted(command=command, hosts=hosts):
                self.command, self.total, self.began = command, len(hosts), now
            case RunResumed(hosts=hosts):
                self.total, self.began, self.outcomes = len(hosts), now, Counter()
            case StageStarted(host=str(host), stage=stage):
                self._enter(host, stage, now)
            case Progress(host=str(host), done=done, total=total, unit=unit) if host in self.rows:
                row = self.rows[host]
                row.done, row.total, row.unit = done, total, unit
            case LogLine(host=str(host), line=line) if host in self.rows and line.strip():
                self.rows[host].line = clean(line).strip()
            case HostFinished(host=str(host), outcome=outcome):
                self._leave(host, outcome)

    def slowest(self, count: int) -> list[Row]:
        """The rows that have been at work longest."""
        return sorted(self.rows.values(), key=lambda row: row.since)[:count]

    def _enter(self, host: str, stage: Stage, now: float) -> None:
        row = self.rows.get(host)
        if row is None:
            self.rows[host] = Row(host, stage, since=now, entered=now)
        else:
            self.stages[row.stage] -= 1
            row.stage, row.entered, row.done, row.total, row.line = stage, now, None, None, ""
        self.stages[stage] += 1

    def _leave(self, host: str, outcome: Outcome) -> None:
        row = self.rows.pop(host, None)
        if row is not None:
            self.stages[row.stage] -= 1
        self.outcomes[outcome] += 1
