"""`clanpy runs`: what was done, read from the journal."""

from __future__ import annotations

import sys
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clanpy.cli.complete import complete_machines, complete_runs
from clanpy.cli.context import (
    HostKeys,
    Json,
    KeyCheck,
    new_app,
    open_fleet,
    print_json,
    print_lines,
    say,
    settings,
    uses_colour,
)
from clanpy.errors import NothingMatchedError, nearest


if TYPE_CHECKING:
    from clanpy.journal import Journal, RunState

app = new_app("Look at what was done.")

ROOMS = ("activation", "deployment", "nix", "ssh")

RunId = Annotated[
    str,
    typer.Argument(help="Id of a run, its beginning, or `last`", autocompletion=complete_runs, metavar="RUN"),
]


@app.command("list")
def list_(
    ctx: typer.Context,
    *,
    count: Annotated[int, typer.Option("-n", "--count", min=1, help="How many, the newest first")] = 20,
    as_json: Json = False,
) -> None:
    """List runs, the newest first."""
    journal = _journal(ctx)
    runs = [journal.read(run) for run in journal.run_ids()[:count]]
    if as_json:
        print_json([run.to_dict() for run in runs])
        return
    from clanpy.ui.table import table_lines  # noqa: PLC0415 - only for people

    head = ("RUN", "STARTED", "COMMAND", "STATUS", "EXIT", "MACHINES")
    print_lines(table_lines(head, [_row(run) for run in runs], colour=uses_colour(settings(ctx).colour, sys.stdout)))


@app.command()
def show(ctx: typer.Context, *, run: RunId = "last", as_json: Json = False) -> None:
    """Show how each machine of a run ended."""
    state = _journal(ctx).read(run)
    if as_json:
        print_json(state.to_dict())
        return
    from clanpy.ui.summary import Summary  # noqa: PLC0415 - only for people

    for room in ROOMS:  # the summary says what their codes mean
        import_module(f"clanpy.{room}.errors")
    print_lines(Summary(state=state, colour=uses_colour(settings(ctx).colour, sys.stdout)).lines())


@app.command()
def logs(
    ctx: typer.Context,
    *,
    run: RunId,
    machine: Annotated[str, typer.Argument(help="Machine", autocompletion=complete_machines)],
) -> None:
    """Print everything that was said about a machine in a run."""
    state = _journal(ctx).read(run)
    if machine not in state.hosts:
        raise NothingMatchedError(f"run {state.run} was not about '{machine}'", hint=nearest(machine, state.hosts))
    path = state.hosts[machine].log
    if path is None or not Path(path).is_file():
        raise NothingMatchedError(f"run {state.run} has no log of '{machine}'")
    with Path(path).open(encoding="utf-8", errors="replace") as file:
        print_lines(line.rstrip("\n") for line in file)


@app.command()
def report(
    ctx: typer.Context,
    *,
    run: RunId = "last",
    form: Annotated[
        str, typer.Option("--form", metavar="FORM", help="html, junit, github, gitlab or prometheus")
    ] = "html",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The file to write (default: printed)", show_default=False)
    ] = None,
) -> None:
    """Tell a run to those who were not there: as one page with a picture of it, or as CI and monitoring read it."""
    from clanpy.cli.reporting import parse_reports, print_report  # noqa: PLC0415 - rooms are imported when a command runs

    (name,) = parse_reports([form])
    journal = _journal(ctx)
    print_report(journal.runs_folder / journal.read(run).run, name, output)


@app.command()
def watch(ctx: typer.Context, *, run: RunId = "last") -> None:
    """Follow a run from another terminal, to its end. Gives the exit code of the run."""
    from clanpy.cli.watching import watch_run  # noqa: PLC0415 - rooms are imported when a command runs

    journal = _journal(ctx)
    raise typer.Exit(watch_run(ctx, journal, journal.read(run).run))


@app.command()
def pause(ctx: typer.Context, *, run: RunId = "last") -> None:
    """Let a rollout begin no more machines, until it is promoted. Those in flight finish."""
    _ask(ctx, run, "pause")


@app.command()
def promote(ctx: typer.Context, *, run: RunId = "last") -> None:
    """Let a rollout go on: ends a pause, gives the approval that it waits for, or ends the watching of a wave."""
    _ask(ctx, run, "promote")


@app.command()
def abort(ctx: typer.Context, *, run: RunId = "last") -> None:
    """Call a rollout off: no more machines are begun, and those that are done stay or go back as its policy says."""
    _ask(ctx, run, "abort")


@app.command()
def resume(
    ctx: typer.Context, *, run: RunId = "last", host_key_check: HostKeys = KeyCheck.STRICT, as_json: Json = False
) -> None:
    """Go on with an update whose controller went away, or that was interrupted or stopped.

    It goes on with the fleet as it is now. What was spent of a rollout's budget stays spent.
    """
    from clanpy.cli import verbs  # noqa: PLC0415 - rooms are imported when a command runs

    raise typer.Exit(verbs.resume(ctx, run, verbs.How(check=host_key_check, as_json=as_json)))


def _ask(ctx: typer.Context, run: str, word: str) -> None:
    from getpass import getuser  # noqa: PLC0415 - only here
    from socket import gethostname  # noqa: PLC0415 - only here

    from clanpy.rollout.requests import NotRunningError, ask  # noqa: PLC0415 - rooms are imported when a command runs

    journal = _journal(ctx)
    state = journal.read(run)
    if state.status != "running":
        raise NotRunningError(
            f"run {state.run} has {state.status}", hint=f"clanpy runs resume {state.run} goes on with it"
        )
    ask(journal.runs_folder / state.run, word, f"{getuser()}@{gethostname()}")
    say(f"asked run {state.run} to {word}")


def _journal(ctx: typer.Context) -> Journal:
    from clanpy.journal import Journal  # noqa: PLC0415 - rooms are imported when a command runs

    fleet = open_fleet(ctx)
    return Journal.of(fleet.root, fleet.meta.name, settings(ctx).lab)


def _row(run: RunState) -> tuple[str, ...]:
    counts = Counter(str(host.outcome or "not finished") for host in run.hosts.values())
    told = ", ".join(f"{outcome.replace('_', ' ')} {count}" for outcome, count in sorted(counts.items()))
    code = "" if run.exit_code is None else str(int(run.exit_code))
    return run.run, (run.started or "")[:19], run.command or "", run.status, code, told
