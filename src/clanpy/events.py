"""What happens, as values: the one way in which anything of a run is reported.

The screen, `--json`, the journal and the reports are all readers of these. An event is a frozen fact: it says what became true at
one host (or in the run), never how to show it. The JSON form (`to_dict`) is versioned and documented in docs/json.md.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
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
    SECRETS = "secrets"
    ACTIVATE = "activate"
    CONFIRM = "confirm"
    REBOOT = "reboot"
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
    """A run began: what it does and to whom.

    Attributes:
        who: who does it, and from which computer: `ann@laptop`.
        revision: the fleet's commit, where it is under git.
        modified: whether there were changes beside that commit.
    """

    name: ClassVar[str] = "run_started"

    command: str
    fleet: str
    hosts: Sequence[str]
    who: str | None = None
    revision: str | None = None
    modified: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResumed(Fact):
    """A run whose controller went away goes on, with these hosts."""

    name: ClassVar[str] = "run_resumed"

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
class LaneChosen(Fact):
    """How store paths go to a host, and why so.

    Attributes:
        lane: `conversation`, `nix-copy`, `stream`, `process`, `substitute` or `peer`.
        paths: how many are missing there.
        bytes: how large they are together.
        round_trip: seconds there and back, as measured on the connection.
        rate: bytes a second that went over it so far.
    """

    name: ClassVar[str] = "lane_chosen"

    lane: str
    reason: str
    paths: int
    bytes: int
    round_trip: float | None = None
    rate: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GateDecided(Fact):
    """What became of a gate: `passed`, `failed` or `undecided`, after so many attempts; `said` tells why."""

    name: ClassVar[str] = "gate_decided"

    gate: str
    type: str
    verdict: str
    attempts: int
    seconds: float
    said: str


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
class RolloutPlanned(Fact):
    """Who is activated when: `Waves.to_dict()` of the rollout room."""

    name: ClassVar[str] = "rollout_planned"

    policy: str
    waves: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveStarted(Fact):
    """A wave (counted from 0) began."""

    name: ClassVar[str] = "wave_started"

    wave: int
    title: str
    hosts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HostAdmitted(Fact):
    """It is a host's turn: its activation begins (the intent)."""

    name: ClassVar[str] = "host_admitted"

    wave: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HostOverdue(Fact):
    """A host takes far longer than the others. `skipped`: its wave no longer waits for it."""

    name: ClassVar[str] = "host_overdue"

    skipped: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HostUnhealthy(Fact):
    """A host that was confirmed is not well any more."""

    name: ClassVar[str] = "host_unhealthy"

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BakeStarted(Fact):
    """All hosts of a wave are done; they are watched for so long."""

    name: ClassVar[str] = "bake_started"

    wave: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BakeFinished(Fact):
    """A wave was watched long enough, or was promoted early. `unknown`: hosts whose health could not be looked at."""

    name: ClassVar[str] = "bake_finished"

    wave: int
    promoted: bool = False
    unknown: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutPaused(Fact):
    """No more hosts are begun: `reason` is `operator`, `approval`, `unknown` (health could not be looked at) or `freeze`."""

    name: ClassVar[str] = "rollout_paused"

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutContinued(Fact):
    """Hosts are begun again."""

    name: ClassVar[str] = "rollout_continued"


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutStopped(Fact):
    """No further host is begun, for good. `then` is what becomes of those that are done: `hold`, `revert-wave`, `revert-all`."""

    name: ClassVar[str] = "rollout_stopped"

    reason: str
    then: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RevertStarted(Fact):
    """A host is taken back to what it ran before the rollout (the intent)."""

    name: ClassVar[str] = "revert_started"


@dataclass(frozen=True, slots=True, kw_only=True)
class RevertFinished(Fact):
    """A host is back, or (`ok` is false) could not be taken back."""

    name: ClassVar[str] = "revert_finished"

    ok: bool


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


def read_fact(event: Mapping[str, Any]) -> Fact | None:
    """The fact of an event that was written as JSON. None for kinds that this version does not know."""
    kinds = {kind.name: kind for kind in Fact.__subclasses__()}
    kind = kinds.get(event.get("event", ""))
    if kind is None:
        return None
    known = {f.name for f in fields(kind)}
    return kind(**{key: _typed(key, value) for key, value in event.items() if key in known})


def _typed(key: str, value: Any) -> Any:
    kinds: dict[str, Callable[[Any], Any]] = {"stage": Stage, "outcome": Outcome}
    return value if value is None or key not in kinds else kinds[key](value)


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
    _seq: int = 0

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
