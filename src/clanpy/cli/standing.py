"""What `clanpy machines status` and `history` show: how machines stand, and what was done to them. Imported when one of them runs."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING

from clanpy.cli.context import print_json, print_lines, print_rows, say, settings, uses_colour
from clanpy.deployment.drift import Drift, drift_exit_code
from clanpy.deployment.past import SCHEMA as HISTORY_SCHEMA
from clanpy.deployment.past import PastRun, past
from clanpy.deployment.status import SCHEMA as STATUS_SCHEMA
from clanpy.deployment.status import HostStatus, evaluated, status_exit_code, what_is_known, with_revisions
from clanpy.deployment.status import status as ask_status
from clanpy.errors import ExitCode
from clanpy.ui.format import STYLES, clean, counted, names, span, words
from clanpy.ui.table import table_lines


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import typer

    from clanpy.cli.verbs import How, Selection

# Every state of a machine, the good ones first.
STATE_STYLES = {
    "current": "green",
    "outdated": "yellow",
    "unknown": "dim",
    "interrupted": "red",
    "failed": "red",
    "unreachable": "red",
}
STATUS_HEAD = (
    "HOSTNAME", "STATE", "WANTED", "PROFILE", "RUNNING", "BOOTED", "AGE", "REVISION", "FAILED UNITS", "REBOOT", "LAST RUN",
)  # fmt: skip
HISTORY_HEAD = ("WHEN", "HOSTNAME", "OUTCOME", "FROM", "TO", "REVISION", "WHO", "RUN", "")
REVISION = 8  # letters of a commit


def status(
    ctx: typer.Context,
    selection: Selection,
    how: How,
    *,
    form: str | None,
    evaluate: bool,
    check: bool,
    drift: bool,
) -> int:
    """`machines status`."""
    site = how.site(ctx)
    machines = selection.of(site)
    known = what_is_known(site.surroundings, site.journal, machines)
    if evaluate:
        known = asyncio.run(evaluated(site.surroundings, machines, known))
    asked = asyncio.run(
        ask_status(site.surroundings, machines, how.options(), known, standing=True, drift=drift),
    )
    found = with_revisions(asked, site.journal)
    rows = [host.to_dict() for host in found]
    if form is not None:
        print_rows(rows, form)
    elif how.as_json:
        print_json({"schema": STATUS_SCHEMA, "machines": rows})
    else:
        print_lines(status_lines(found, colour=uses_colour(settings(ctx).colour, sys.stdout)))
        for line in status_notes(found, program=site.program):
            say(line)
    checked = status_exit_code(found) if check else ExitCode.DONE
    return (drift_exit_code(found) if drift else ExitCode.DONE) or checked


def status_lines(found: Sequence[HostStatus], *, colour: bool) -> Iterator[str]:
    """A line for each machine, below it one for each standalone home, and then what has drifted."""
    rows: list[tuple[str, ...]] = []
    styles: list[str | None] = []
    for host in found:
        rows.append(_machine(host))
        styles.append(STATE_STYLES.get(host.state))
        for home in host.homes:
            profile = f"{_path(home.profile)} ({home.generation})" if home.profile else ""
            name = f"  {home.account}@{host.machine.name}"
            blank = ("",) * (len(STATUS_HEAD) - 5)
            rows.append((name, home.state, _path(home.wanted), profile, _path(home.running), *blank))
            styles.append(STATE_STYLES.get(home.state))
    yield from table_lines(STATUS_HEAD, rows, colour=colour, styles=styles)
    drifted = [(host.machine.name, one) for host in found for one in host.drift or ()]
    if drifted:
        yield ""
        cells = [(name, *_drift(one)) for name, one in drifted]
        yield from table_lines(("HOSTNAME", "DRIFT", "IS", "SHOULD BE"), cells, colour=colour)


def _machine(host: HostStatus) -> tuple[str, ...]:
    facts, last = host.facts, host.last
    return (
        host.machine.name,
        host.state,
        _path(host.wanted.system if host.wanted else None),
        f"{_path(facts.profile)} ({facts.generation})" if facts and facts.profile else "",
        _path(facts.running if facts else None),
        _path(facts.booted if facts else None),
        "" if host.age is None else span(host.age),
        _revision(*host.revision) if host.revision else "",
        names(host.failed_units, 1) if host.failed_units else "",
        "pending" if host.pending_reboot else "",
        f"{last.when[:16]}Z {words(last.outcome)} ({last.run})" if last else "",
    )


def _drift(one: Drift) -> tuple[str, ...]:
    match one.kind:
        case "running":
            return (f"{one.name} runs another than its profile", _path(one.found), _path(one.meant))
        case "profile":
            return (f"{one.name} was given another than is wanted", _path(one.found), _path(one.meant))
    return (one.name, f"{one.found} by hand", "as the system put it")


def status_notes(found: Sequence[HostStatus], *, program: str) -> Iterator[str]:
    """What has to be said besides: why machines could not be asked, who is at work, what is not well, and the counts."""
    yield ""
    for host in found:
        yield from (f"{host.machine.name}: {line}" for line in _notes(host))
    counts = Counter(host.state for host in found)
    told = ", ".join(f"{state} {counts[state]}" for state in STATE_STYLES if counts[state])
    asked = [host.drift for host in found if host.drift is not None]
    drifted = f"; {sum(map(bool, asked))} of {counted(len(asked), 'machine')} drifted" if asked else ""
    yield f"{counted(len(found), 'machine')}: {told}{drifted}"
    if counts["unknown"]:
        yield (
            "hint: what should run is unknown where files have changed since they were last evaluated: "
            f"`{program} machines status --evaluate`"
        )


def _notes(host: HostStatus) -> Iterator[str]:
    if host.error is not None:
        yield f"{host.error.message} ({host.error.code})"
    if host.facts is None:
        return
    if host.facts.lock is not None:
        yield f"locked by {host.facts.lock}"
    for left in host.facts.left_over:
        yield f"run {left.run} was left in the middle of {left.slot}; the next update or rollback mends it"
    if host.failed_units:
        yield f"failed units: {clean(names(host.failed_units))}"
    if host.pending_reboot:
        yield f"a reboot is needed for: {clean(', '.join(host.pending_reboot))}"


def history(ctx: typer.Context, selection: Selection, how: How, *, count: int, form: str | None) -> int:
    """`machines history`."""
    site = how.site(ctx)
    machines = [machine.name for machine in selection.of(site)]
    found = list(islice(past(site.journal, machines), count))
    rows = [one.to_dict() for one in found]
    if form is not None:
        print_rows(rows, form)
    elif how.as_json:
        print_json({"schema": HISTORY_SCHEMA, "runs": rows})
    else:
        print_lines(history_lines(found, colour=uses_colour(settings(ctx).colour, sys.stdout)))
    return ExitCode.DONE


def history_lines(found: Sequence[PastRun], *, colour: bool) -> Iterator[str]:
    """A line for each machine's part in a run, the newest first."""
    rows = [
        (
            f"{one.when[:16].replace('T', ' ')}Z" if one.when else "",
            one.machine,
            words(one.outcome) if one.outcome else "not ended",
            _path(one.before),
            _path(one.after),
            _revision(one.revision, one.modified) if one.revision else "",
            one.who or "",
            f"{one.command} {one.run}",
            f"{one.error['code']} {one.error['message']}" if one.error else "",
        )
        for one in found
    ]
    styles = [STYLES[one.outcome] if one.outcome else None for one in found]
    yield from table_lines(HISTORY_HEAD, rows, colour=colour, styles=styles)


def _revision(commit: str, modified: bool) -> str:
    return commit[:REVISION] + ("+" if modified else "")


def _path(path: str | None) -> str:
    """A store path, short: enough of its hash to tell it from others."""
    return path.removeprefix("/nix/store/")[:8] if path else ""
