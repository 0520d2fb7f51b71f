"""The event log: what every run did, on disk, and what can be read back from it.

    <state>/<fleet-id>/runs/<run-id>/events.jsonl     one event a line, without log lines and progress
    <state>/<fleet-id>/runs/<run-id>/<host>.log       everything that was said about one host
    <state>/<fleet-id>/runs/<run-id>/lock             locked by the process that writes the run, for as long as it lives

The state of a run is a fold over its events and nothing else (`fold`). A line is written with one system call, and synced to the
disk where something is about to be changed (the intent) or a host is done (the outcome): after a crash at any moment the log
says what had begun. A file that ends in the middle of a line is read up to there.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from platformdirs import user_state_path

from clanpy.errors import ClanpyError, ExitCode, NothingMatchedError, nearest
from clanpy.events import (
    Event,
    Fact,
    HostFinished,
    HostUnhealthy,
    LaneChosen,
    LogLine,
    Note,
    Outcome,
    Progress,
    RevertFinished,
    RolloutPlanned,
    RunFinished,
    RunResumed,
    RunStarted,
    Stage,
    StageFinished,
    StageStarted,
    utc_now,
)


RUN_ID = re.compile(r"\d{6}-\d{6}-[a-z2-7]{2}")
CHANGING = frozenset({Stage.ACTIVATE, Stage.REBOOT, Stage.PROFILE, Stage.ROLLBACK})
LETTERS = "234567abcdefghijklmnopqrstuvwxyz"  # none that is mistaken for another, in the order in which they sort
SYNCED = frozenset({Outcome.CONFIRMED, Outcome.FAILED, Outcome.ROLLED_BACK, Outcome.CANCELLED})
RUNS_KEPT = 1000
RUNS_READ = 200  # how far back `last_deployments` looks


class JournalError(ClanpyError):
    """The journal can't be written: without it a run must not go on."""

    code: ClassVar[str] = "CP0901"


class RunNotFoundError(NothingMatchedError):
    """There is no run of that id in the journal of this fleet."""

    code: ClassVar[str] = "CP0902"


class RunAliveError(ClanpyError):
    """The run is still being written by its controller."""

    code: ClassVar[str] = "CP0903"
    exit_code: ClassVar[ExitCode] = ExitCode.CONFLICT


def state_home() -> Path:
    """Where clanpy keeps its state: CLANPY_STATE, or `clanpy` in the user's state folder."""
    given = os.environ.get("CLANPY_STATE")
    return Path(given) if given else user_state_path("clanpy")


def fleet_id(root: Path, name: str, lab: str | None = None) -> str:
    """What the state of a fleet is filed under: its name, a hash of where it is, and the lab if it is a rehearsal."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-") or "fleet"
    place = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:8]
    return f"{slug}-{place}" + (f"@{lab}" if lab else "")


def new_run_id(now: datetime) -> str:
    """An id that sorts by time, to the millisecond, and can be said aloud: `251123-231605-k3`."""
    first, second = divmod(now.microsecond // 1000, len(LETTERS))
    return f"{now:%y%m%d-%H%M%S}-{LETTERS[first]}{LETTERS[second]}"


@dataclass(frozen=True, slots=True)
class Journal:
    """The runs of one fleet."""

    folder: Path

    @classmethod
    def of(cls, root: Path, name: str, lab: str | None = None) -> Journal:
        """The journal of a fleet."""
        return cls(state_home() / fleet_id(root, name, lab))

    @property
    def runs_folder(self) -> Path:
        return self.folder / "runs"

    def begin(self, now: Callable[[], datetime] = utc_now) -> Recorder:
        """Open the record of a new run.

        Raises:
            JournalError: the state folder can't be written.
        """
        try:
            self.runs_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            return Recorder(self._new_folder(now))
        except OSError as error:
            raise _unwritable(self.runs_folder, error) from error

    def reopen(self, run: str) -> Recorder:
        """Go on with the record of a run whose controller has gone.

        Raises:
            RunAliveError: it has not: somebody is writing it.
        """
        try:
            return Recorder(self.runs_folder / run)
        except BlockingIOError:
            raise RunAliveError(f"run {run} is going on", hint=f"clanpy runs watch {run}") from None
        except OSError as error:
            raise _unwritable(self.runs_folder / run, error) from error

    def _new_folder(self, now: Callable[[], datetime]) -> Path:
        while True:
            folder = self.runs_folder / new_run_id(now())
            try:
                folder.mkdir(mode=0o700)
            except FileExistsError:
                continue  # another run began in this very millisecond
            return folder

    def prune(self, keep: int = RUNS_KEPT) -> None:
        """Delete the oldest runs beyond so many. One that is being written stays."""
        for run in self.run_ids()[keep:]:
            folder = self.runs_folder / run
            if not is_alive(folder):
                shutil.rmtree(folder, ignore_errors=True)

    def run_ids(self) -> list[str]:
        """Ids of all runs, the newest first."""
        if not self.runs_folder.is_dir():
            return []
        return sorted((p.name for p in self.runs_folder.iterdir() if RUN_ID.fullmatch(p.name)), reverse=True)

    def read(self, run: str) -> RunState:
        """The state of one run; `run` may be the beginning of an id, or `last`.

        Raises:
            RunNotFoundError: no such run.
        """
        ids = self.run_ids()
        matching = ids[:1] if run == "last" else [i for i in ids if i == run] or [i for i in ids if i.startswith(run)]
        if len(matching) != 1:
            several = "several runs begin" if matching else "no run begins"
            raise RunNotFoundError(f"{several} with {run!r}", hint=nearest(run, ids))
        folder = self.runs_folder / matching[0]
        return fold(read_events(folder / "events.jsonl"), run=matching[0], alive=is_alive(folder))

    def last_deployments(self, hosts: Iterable[str]) -> dict[str, Deployment]:
        """For each of these hosts the newest attempt to change it, as far as the last runs tell."""
        wanted, found = set(hosts), dict[str, Deployment]()
        for run in self.run_ids()[:RUNS_READ]:
            if not wanted:
                break
            for name, host in self.read(run).hosts.items():
                if name in wanted and host.attempted and host.outcome is not None and host.when is not None:
                    found[name] = Deployment(run=run, when=host.when, outcome=host.outcome, system=host.system)
                    wanted.discard(name)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One attempt to change a host: in which run, when it ended (ISO 8601), how, and the system the host then had."""

    run: str
    when: str
    outcome: Outcome
    system: str | None


@dataclass(slots=True)
class Recorder:
    """The sink that writes a run. Closes its files in `close`; the lock goes with the process in any case."""

    folder: Path
    _events: int = field(init=False)
    _lock: int = field(init=False)

    def __post_init__(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._lock = os.open(self.folder / "lock", flags, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._events = os.open(self.folder / "events.jsonl", flags, 0o600)

    @property
    def run(self) -> str:
        return self.folder.name

    def log_path(self, host: str) -> Path:
        """Where the full log of a host is."""
        return self.folder / f"{host}.log"

    def __call__(self, event: Event, /) -> None:
        """Write one event.

        Raises:
            JournalError: the disk is full, or the folder has gone.
        """
        fact = event.fact
        try:
            if fact.host is not None:
                self._log(fact.host, event)
            if not isinstance(fact, (LogLine, Progress)):
                line = json.dumps(event.to_dict(), ensure_ascii=False, separators=(",", ":")) + "\n"
                os.write(self._events, line.encode())
            if _matters(fact):
                os.fsync(self._events)
        except OSError as error:
            raise _unwritable(self.folder, error) from error

    def events(self) -> Iterator[dict[str, Any]]:
        """What is written so far."""
        return read_events(self.folder / "events.jsonl")

    def close(self) -> None:
        os.close(self._events)
        os.close(self._lock)

    def _log(self, host: str, event: Event) -> None:
        text = _log_text(event.fact)
        if text is None:
            return
        stamp = event.ts.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        with self.log_path(host).open("a", encoding="utf-8") as file:
            file.writelines(f"{stamp} {line}\n" for line in text.splitlines() or [""])


def _matters(fact: Fact) -> bool:
    """Whether an event has to be on the disk before anything else happens."""
    if isinstance(fact, HostFinished):
        return fact.outcome in SYNCED
    return isinstance(fact, (RunStarted, RunFinished)) or (isinstance(fact, StageStarted) and fact.stage in CHANGING)


def _log_text(fact: Fact) -> str | None:
    match fact:
        case LogLine(stage=stage, line=line):
            return f"{stage:8} | {line}"
        case StageStarted(stage=stage):
            return f"{stage:8} > begins"
        case StageFinished(stage=stage, ok=ok, seconds=seconds, note=note):
            return f"{stage:8} < {'done' if ok else 'failed'} after {seconds:.2f} s" + (f": {note}" if note else "")
        case Note() | LaneChosen():
            return _said(fact)
        case HostFinished(outcome=outcome, error=error):
            said = [f"{outcome}" + (f": {error['code']} {error['message']}" if error else "")]
            return "\n".join([*said, *(f"    {line}" for line in (error or {}).get("details", ()))])
    return None


def _said(fact: Note | LaneChosen) -> str:
    if isinstance(fact, LaneChosen):
        return f"{Stage.COPY:8} * by {fact.lane}: {fact.reason}"
    return f"{fact.stage or '':8} * {fact.text}"


def _unwritable(path: Path, error: OSError) -> JournalError:
    return JournalError(
        f"the journal can't be written: {error.strerror or error}: {path}",
        hint="CLANPY_STATE names another folder for clanpy's state",
    )


# ------------------------------------------------------------------------------------------------------- reading


def read_events(path: Path) -> Iterator[dict[str, Any]]:
    """The events of a run as JSON objects, up to the first line that is torn."""
    try:
        with path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    return
                try:
                    event = json.loads(line)
                except ValueError:
                    return
                if not isinstance(event, dict):
                    return
                yield event
    except FileNotFoundError:
        return


def is_alive(folder: Path) -> bool:
    """Whether the process that writes a run still lives."""
    try:
        lock = os.open(folder / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


@dataclass(slots=True, kw_only=True)
class HostState:
    """Where a host stands in a run: the stage it entered last, and how it ended (None: it has not).

    `attempted`: it was to be changed, whatever came of it.
    """

    stage: Stage | None = None
    attempted: bool = False
    finished_stages: tuple[Stage, ...] = ()
    outcome: Outcome | None = None
    when: str | None = None
    seconds: float | None = None
    system: str | None = None
    previous: str | None = None
    wanted: str | None = None
    error: Mapping[str, Any] | None = None
    log: str | None = None


@dataclass(slots=True, kw_only=True)
class RunState:
    """What a run did so far. `exit_code` is None while it goes on, or when it was killed (`alive` tells which)."""

    run: str
    alive: bool = False
    command: str | None = None
    fleet: str | None = None
    started: str | None = None
    finished: str | None = None
    exit_code: ExitCode | None = None
    seconds: float | None = None
    rollout: str | None = None
    who: str | None = None
    revision: str | None = None
    modified: bool = False
    hosts: dict[str, HostState] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """`running`, `finished`, or `died` (its process has gone without a last word)."""
        if self.exit_code is not None:
            return "finished"
        return "running" if self.alive else "died"

    def to_dict(self) -> dict[str, Any]:
        """The state as JSON."""
        hosts = {
            name: {
                "stage": host.stage,
                "outcome": host.outcome,
                "when": host.when,
                "seconds": host.seconds,
                "system": host.system,
                "previous": host.previous,
                "wanted": host.wanted,
                "error": host.error,
                "log": host.log,
            }
            for name, host in self.hosts.items()
        }
        return {
            "schema": "clanpy.run-state/1",
            "run": self.run,
            "status": self.status,
            "command": self.command,
            "fleet": self.fleet,
            "started": self.started,
            "finished": self.finished,
            "exit_code": self.exit_code,
            "seconds": self.seconds,
            "who": self.who,
            "revision": self.revision,
            "modified": self.modified,
            "hosts": hosts,
        }


def fold(events: Iterable[Mapping[str, Any]], *, run: str, alive: bool = False) -> RunState:
    """The state of a run after these events. Events of kinds it does not know are passed over."""
    state = RunState(run=run, alive=alive)
    for event in events:
        name = event.get("host")
        if name is None:
            _fold_run(state, event)
        else:
            _fold_host(state.hosts.setdefault(name, HostState()), event)
    return state


def _fold_run(state: RunState, event: Mapping[str, Any]) -> None:
    match event.get("event"):
        case RunStarted.name:
            state.command, state.fleet, state.started = event["command"], event["fleet"], event["ts"]
            state.who, state.revision = event.get("who"), event.get("revision")
            state.modified = event.get("modified", False)
            state.hosts |= {host: HostState() for host in event["hosts"]}
        case RunFinished.name:
            state.finished, state.seconds = event["ts"], event["seconds"]
            state.exit_code = ExitCode(event["exit_code"])
        case RunResumed.name:
            state.finished = state.exit_code = None
            for host in event["hosts"]:
                state.hosts[host] = HostState()
        case RolloutPlanned.name:
            state.rollout = event["policy"]


def _fold_host(host: HostState, event: Mapping[str, Any]) -> None:
    match event.get("event"):
        case StageStarted.name:
            host.stage = Stage(event["stage"])
            host.attempted = host.attempted or host.stage in CHANGING
        case StageFinished.name if event["ok"]:
            host.finished_stages = (*host.finished_stages, Stage(event["stage"]))
        case HostFinished.name:
            host.outcome, host.when, host.seconds = Outcome(event["outcome"]), event["ts"], event["seconds"]
            host.system, host.previous = event["system"], event["previous"]
            host.wanted = event.get("wanted")
            host.error, host.log = event["error"], event["log"]
        case HostUnhealthy.name:
            host.outcome = Outcome.FAILED
        case RevertFinished.name:
            host.outcome = Outcome.ROLLED_BACK if event["ok"] else Outcome.FAILED
            host.system = host.previous if event["ok"] else host.system
