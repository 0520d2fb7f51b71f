"""What a report tells: each host's way through the run with its times, what was said of the whole, and how it ended."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from clanpy.events import Outcome, read_fact
from clanpy.journal import HostState, RunState, fold
from clanpy.ui.format import GOOD
from clanpy.ui.rollout import rollout_line


ORDER = (
    Outcome.FAILED,
    Outcome.ROLLED_BACK,
    Outcome.UNREACHABLE,
    Outcome.LOCKED,
    Outcome.CANCELLED,
    Outcome.SKIPPED,
    Outcome.CONFIRMED,
    Outcome.BUILT,
    Outcome.PLANNED,
    Outcome.UNCHANGED,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A host's time in one stage. Seconds from the beginning of the run."""

    stage: str
    begin: float
    end: float
    ok: bool = True
    note: str | None = None


@dataclass(slots=True, kw_only=True)
class HostStory:
    """One host's way."""

    name: str
    state: HostState
    spans: list[Span] = field(default_factory=list)
    wave: int | None = None

    @property
    def outcome(self) -> Outcome:
        return self.state.outcome or Outcome.CANCELLED

    @property
    def is_good(self) -> bool:
        return self.outcome in GOOD

    @property
    def message(self) -> str | None:
        """Why it is not as wanted."""
        return self.state.error["message"] if self.state.error else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """What was said of the whole run at some second of it."""

    at: float
    text: str
    is_bad: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Hosts that got the same from the same: a group that is looked at once."""

    previous: str
    system: str
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """A run, told. `hosts` are sorted: the worst outcomes first."""

    state: RunState
    began: datetime
    seconds: float
    hosts: tuple[HostStory, ...]
    waves: tuple[tuple[str, float], ...]
    remarks: tuple[Remark, ...]

    @property
    def outcomes(self) -> Mapping[Outcome, int]:
        """How many hosts ended how, in the order of concern."""
        counts = Counter(host.outcome for host in self.hosts)
        return {outcome: counts[outcome] for outcome in ORDER if counts[outcome]}

    @property
    def causes(self) -> Mapping[str, tuple[HostStory, ...]]:
        """Hosts by the code of what stopped them, the most frequent first."""
        found: dict[str, list[HostStory]] = defaultdict(list)
        for host in self.hosts:
            if host.state.error is not None:
                found[host.state.error["code"]].append(host)
        return {code: tuple(hosts) for code, hosts in sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))}

    @property
    def changes(self) -> tuple[Change, ...]:
        """What hosts have now in place of what they had; the largest groups first."""
        groups: dict[tuple[str, str], list[str]] = defaultdict(list)
        for host in self.hosts:
            now, before = host.state.system, host.state.previous
            if now is not None and now != before:
                groups[_name(before), _name(now)].append(host.name)
        found = (Change(previous=old, system=new, hosts=tuple(sorted(names))) for (old, new), names in groups.items())
        return tuple(sorted(found, key=lambda change: (-len(change.hosts), change.hosts)))


def story_of(events: Iterable[Mapping[str, Any]], *, run: str) -> Story:
    """Tell a run from its events."""
    known = list(events)
    state = fold(known, run=run)
    times = [datetime.fromisoformat(event["ts"]) for event in known]
    began = times[0] if times else datetime.fromtimestamp(0).astimezone()
    teller = _Teller(state)
    for event, at in zip(known, times, strict=True):
        teller.tell(event, (at - began).total_seconds())
    end = (times[-1] - began).total_seconds() if times else 0.0
    hosts = sorted(teller.hosts(end), key=lambda host: (ORDER.index(host.outcome), host.wave or 0, host.name))
    return Story(
        state=state,
        began=began,
        seconds=end,
        hosts=tuple(hosts),
        waves=tuple(teller.waves),
        remarks=tuple(teller.remarks),
    )


class _Teller:
    def __init__(self, state: RunState) -> None:
        self._hosts = {name: HostStory(name=name, state=host) for name, host in state.hosts.items()}
        self._open: dict[str, tuple[str, float]] = {}
        self.waves: list[tuple[str, float]] = []
        self.remarks: list[Remark] = []

    def tell(self, event: Mapping[str, Any], at: float) -> None:
        host = self._hosts.get(event.get("host") or "")
        match event["event"]:
            case "stage_started" if host is not None:
                self._close(host, at, ok=True)
                self._open[host.name] = event["stage"], at
            case "stage_finished" if host is not None:
                self._close(host, at, ok=event["ok"], note=event.get("note"))
            case "host_admitted" if host is not None:
                host.wave = event["wave"]
            case "wave_started":
                self.waves.append((event["title"], at))
        fact = read_fact(event)
        line = rollout_line(fact) if fact is not None else None
        if line is not None:
            who = f"{event['host']} " if event.get("host") else ""
            self.remarks.append(Remark(at=at, text=who + line.text, is_bad=line.is_bad))

    def hosts(self, end: float) -> Iterable[HostStory]:
        for host in self._hosts.values():
            self._close(host, end, ok=False)  # it was in the middle of something when the events end
        return self._hosts.values()

    def _close(self, host: HostStory, at: float, *, ok: bool, note: str | None = None) -> None:
        if host.name in self._open:
            stage, begin = self._open.pop(host.name)
            host.spans.append(Span(stage=stage, begin=begin, end=at, ok=ok, note=note))


def _name(path: str | None) -> str:
    """A store path without what nobody reads."""
    return (path or "nothing").removeprefix("/nix/store/").partition("-")[2] or (path or "nothing")
