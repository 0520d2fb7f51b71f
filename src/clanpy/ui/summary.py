"""The last word of a run: how each machine ended, failures grouped by cause, and what to type next."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clanpy.errors import catalogue
from clanpy.events import Outcome
from clanpy.ui.format import GOOD, MARKS, STYLES, clean, counted, duration, names, painted, said_of, words


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from clanpy.journal import HostState, RunState

LAST_LINES = 5
TABLE_ROWS = 40  # in a bigger fleet only those that are not well have a line of their own
REPEATABLE = ("update", "build")  # what is the same when it is said again
TOLD = 5  # hosts of one cause whose output is printed


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Writes it. `program` is how the user calls clanpy on this fleet, e.g. `clanpy --lab`."""

    state: RunState
    colour: bool = False
    program: str = "clanpy"
    logs: str | None = None
    dry_run: bool = False

    def lines(self) -> Iterator[str]:
        """The lines, without newlines."""
        yield ""
        yield from self._table()
        yield from self._failures()
        yield ""
        yield self._counts()
        yield from self._next()

    def _table(self) -> Iterator[str]:
        hosts = self.state.hosts
        shown = {n: h for n, h in hosts.items() if len(hosts) <= TABLE_ROWS or h.outcome not in GOOD}
        width = max((len(name) for name in shown), default=0)
        for name, host in shown.items():
            outcome = host.outcome or Outcome.CANCELLED
            verdict = painted(f"{MARKS[outcome]} {words(outcome):12}", STYLES[outcome], colour=self.colour)
            took = duration(host.seconds) if host.seconds is not None else ""
            yield f"  {name:{width}}  {verdict} {took:>7}  {self._tail(name, host)}".rstrip()

    def _tail(self, name: str, host: HostState) -> str:
        if host.error is not None:
            return f"{host.error['code']} {said_of(name, host.error)}"
        if host.outcome is Outcome.PLANNED:
            return f"→ {_name(host.wanted)}" if host.wanted != host.system else ""
        return "" if host.outcome is Outcome.UNCHANGED else _name(host.system)

    def _failures(self) -> Iterator[str]:
        causes: dict[str, dict[str, HostState]] = defaultdict(dict)
        for name, host in self.state.hosts.items():
            if host.error is not None:
                causes[host.error["code"]][name] = host
        for code, hosts in sorted(causes.items(), key=lambda item: (-len(item[1]), item[0])):
            yield ""
            title = f"{code} {_meaning(code)} ({len(hosts)})"
            yield f"{painted(title, 'bold', colour=self.colour)}: {names(list(hosts))}"
            for same in list(_alike(hosts).values())[:TOLD]:
                yield from self._output(same)

    def _output(self, hosts: Mapping[str, HostState]) -> Iterator[str]:
        """What was said of hosts of which the same was said."""
        name, host = next(iter(hosts.items()))
        error: Mapping[str, Any] = host.error or {}
        yield f"  {names(list(hosts))}: {said_of(name, error)}"
        yield from (f"      {line}" for line in _last_lines(error.get("details", ())))
        if error.get("hint"):
            yield f"    hint: {error['hint']}"
        yield from (f"    log: {host.log}" for host in list(hosts.values())[:TOLD] if host.log)

    def _counts(self) -> str:
        counts = Counter(host.outcome or Outcome.CANCELLED for host in self.state.hosts.values())
        parts = [f"{words(outcome)} {counts[outcome]}" for outcome in Outcome if counts[outcome]]
        took = f" in {duration(self.state.seconds)}" if self.state.seconds is not None else ""
        head = f"{counted(len(self.state.hosts), 'machine')}{took}: {', '.join(parts)}"
        return f"{painted(head, 'bold', colour=self.colour)}   run {self.state.run}"

    def _next(self) -> Iterator[str]:
        if self.dry_run:
            yield "Nothing was changed: this was a dry run"
        again = [name for name, host in self.state.hosts.items() if host.outcome not in GOOD]
        if again and self.state.command in REPEATABLE:
            yield ""
            told = " ".join(again) if len(again) <= TABLE_ROWS else names(again)
            yield f"hint: when the cause is mended: `{self.program} machines {self.state.command} {told}`"
        if again and self.logs:
            yield f"logs: {self.logs}"


def _alike(hosts: Mapping[str, HostState]) -> dict[str, dict[str, HostState]]:
    """Hosts by what was said of them."""
    found: dict[str, dict[str, HostState]] = defaultdict(dict)
    for name, host in hosts.items():
        error = host.error or {}
        said = json.dumps([said_of(name, error), error.get("details"), error.get("hint"), error.get("place")])
        found[said][name] = host
    return found


def _name(path: str | None) -> str:
    return (path or "").removeprefix("/nix/store/")


def _last_lines(details: Any) -> list[str]:
    lines = [clean(line) for text in details for line in str(text).splitlines() if line.strip()]
    return lines[-LAST_LINES:]


def _meaning(code: str) -> str:
    """What a code means in general, in the words of its class."""
    cls = catalogue().get(code)
    text = " ".join((cls.__doc__ or "").split()) if cls else ""
    return text.split(". ")[0].split(": ")[0].rstrip(".")
