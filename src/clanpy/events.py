"""What happens, as values: the one way in which anything of a run is reported.

The screen, `--json`, the journal and the reports are all readers of these. An event is a frozen fact: it says what became true at
one host (or in the run), never how to show it. The JSON form (`to_dict`) is versioned and documented in docs/json.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Protocol


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

SCHEMA = "clanpy.event/1"


class Stage(StrEnum):
    """The stages a host goes through, in order."""

    RESOLVE = "resolve"
    EVALUATE = "evaluate"
    CONNECT = "connect"
    BUILD = "build"
    COPY = "copy"
    ACTIVATE = "activate"
    CONFIRM = "confirm"
    PROFILE = "profile"
    ROLLBACK = "rollback"


class Outcome(StrEnum):
    """How a host ended. `confirmed` means: activated, and proven reachable over a fresh connection."""

    UNCHANGED = "unchanged"
    PLANNED = "planned"
    BUILT = "built"
    CONFIRMED = "confirmed"
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    LOCKED = "locked"
    ROLLED_BACK = "rolled_back"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """The part of an event that its emitter knows. `host` is None for facts of the whole run."""

    name: ClassVar[str]

    host: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Fact):
    """A run began: what it does and to whom."""

    name: ClassVar[str] = "run_started"

    command: str
    fleet: str
    hosts: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished(Fact):
    """A run ended. `outcomes` counts hosts by outcome."""

    name: ClassVar[str] = "run_finished"

    exit_code: int
    outcomes: Mapping[str, int]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StageStarted(Fact):
    """A host entered a stage (the intent, written before anything is done)."""

    name: ClassVar[str] = "stage_started"

    stage: Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class StageFinished(Fact):
    """A host left a stage; `ok` says whether the stage did what it was for."""

    name: ClassVar[str] = "stage_finished"

    stage: Stage
    ok: bool
    seconds: float
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress(Fact):
    """How far a stage has come, in bytes (or in `unit`). `total` is None when it is not known."""

    name: ClassVar[str] = "progress"

    stage: Stage
    done: int
    total: int | None = None
    unit: str = "bytes"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine(Fact):
    """One line that a program wrote on behalf of a host."""

    name: ClassVar[str] = "log"

    stage: Stage
    line: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Note(Fact):
    """Something worth telling that is neither progress nor failure (a choice and its reason, a warning)."""

    name: ClassVar[str] = "note"

    text: str
    level: str = "info"
    stage: Stage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFinished(Fact):
    """A host is done.

    Attributes:
        system: the system it has now.
        previous: the one before.
        wanted: the system that it would get (of a dry run).
        error: `ClanpyError.to_dict()`.
        log: the path of the full log of that host.
    """

    name: ClassVar[str] = "host_finished"

    outcome: Outcome
    seconds: float
    system: str | None = None
    previous: str | None = None
    wanted: str | None = None
    error: Mapping[str, Any] | None = None
    log: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A fact with its number in the run (from 1, without gaps), its time (UTC) and its run."""

    seq: int
    ts: datetime
    run: str
    fact: Fact

    def to_dict(self) -> dict[str, Any]:
        """The event as JSON: `schema, seq, ts, run, host, event` and the fields of the fact."""
        body = {f.name: _plain(getattr(self.fact, f.name)) for f in fields(self.fact)}
        ts = self.ts.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        head = {"schema": SCHEMA, "seq": self.seq, "ts": ts, "run": self.run, "host": body.pop("host")}
        return {**head, "event": self.fact.name, **body}


class Sink(Protocol):
    """Whatever reads events: a renderer, the journal, a test."""

    def __call__(self, event: Event, /) -> None: ...


def utc_now() -> datetime:
    """The wall clock. Passed around as an argument wherever time matters, so that tests can bring their own."""
    return datetime.now(UTC)


@dataclass(slots=True)
class Bus:
    """Numbers and stamps the facts of one run and hands them to every sink, in order.

    A sink that raises stops the run: a journal that can't be written must not be ignored.
    """

    run: str
    sinks: Sequence[Sink]
    now: Callable[[], datetime] = utc_now
    _seq: int = field(default=0, init=False)

    def emit(self, fact: Fact) -> Event:
        """Make an event of a fact and deliver it."""
        self._seq += 1
        event = Event(seq=self._seq, ts=self.now(), run=self.run, fact=fact)
        for sink in self.sinks:
            sink(event)
        return event


def _plain(value: Any) -> Any:
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, (list, tuple, frozenset, set)):
        return [_plain(v) for v in value]
    return value
