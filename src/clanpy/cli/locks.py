"""`clanpy locks`: who is at work on which machine."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import typer

from clanpy.cli.context import (
    HostKeys,
    Json,
    KeyCheck,
    Name,
    Names,
    Tags,
    Yes,
    new_app,
    print_json,
    print_lines,
    say,
    settings,
    split_tags,
    uses_colour,
)
from clanpy.errors import ExitCode


if TYPE_CHECKING:
    from collections.abc import Sequence

    from clanpy.deployment.locks import Held

app = new_app("Show who is at work on which machine, and take a lock away from the dead.")


@app.callback()
def _locks() -> None:
    """Show who is at work on which machine, and take a lock away from the dead."""


@app.command("list")
def list_(
    ctx: typer.Context,
    *,
    names: Names = None,
    tags: Tags = None,
    host_key_check: HostKeys = KeyCheck.STRICT,
    as_json: Json = False,
) -> None:
    """List machines that somebody is at work on: who, from where, in which run, since when.

    Ends with 4 when machines could not be reached.
    """
    from clanpy.cli.verbs import How, Selection  # noqa: PLC0415 - rooms are imported when a command runs
    from clanpy.deployment.locks import SCHEMA, locks  # noqa: PLC0415 - as above

    site = How(check=host_key_check).site(ctx)
    found = asyncio.run(locks(site.surroundings, Selection(names=names or (), tags=split_tags(tags)).of(site)))
    if as_json:
        print_json({"schema": SCHEMA, "machines": [held.to_dict() for held in found]})
    else:
        _show(found, colour=uses_colour(settings(ctx).colour, sys.stdout))
    if any(held.error for held in found):
        raise typer.Exit(ExitCode.UNREACHABLE)


@app.command("break")
def break_(ctx: typer.Context, *, name: Name, yes: Yes = False, host_key_check: HostKeys = KeyCheck.STRICT) -> None:
    """Take the lock of a machine away from a controller that is dead or gone. Never from an activation that is under way."""
    from clanpy.cli.asking import ask_first  # noqa: PLC0415 - only to ask
    from clanpy.cli.verbs import How  # noqa: PLC0415 - rooms are imported when a command runs
    from clanpy.deployment.locks import break_lock, locks  # noqa: PLC0415 - as above
    from clanpy.events import utc_now  # noqa: PLC0415 - as above
    from clanpy.journal import new_run_id  # noqa: PLC0415 - as above
    from clanpy.machines import select_one  # noqa: PLC0415 - as above

    site = How(check=host_key_check).site(ctx)
    machine = select_one(site.fleet, name)
    (held,) = asyncio.run(locks(site.surroundings, [machine]))
    if held.error is not None:
        raise held.error
    if held.holder is None:
        say(f"{machine.name} is not locked")
        return
    if not yes:
        ask_first(f"Take the lock of {machine.name} from {held.holder}?", 2)
    asyncio.run(break_lock(site.surroundings, machine, run=new_run_id(utc_now())))
    say(f"{machine.name} was locked by {held.holder}, and is not any more")


def _show(found: Sequence[Held], *, colour: bool) -> None:
    from clanpy.ui.table import table_lines  # noqa: PLC0415 - only for people

    rows = [
        (
            held.machine,
            f"{held.holder.owner} on {held.holder.host}",
            held.holder.run,
            "an activation is under way" if held.holder.by_guard else held.holder.reason,
            f"{held.holder.since:%Y-%m-%d %H:%M:%S}Z",
        )
        for held in found
        if held.holder is not None
    ]
    if rows:
        print_lines(table_lines(("MACHINE", "BY", "RUN", "WHAT", "SINCE"), rows, colour=colour))
    else:
        say("nobody is at work on any of them")
    for held in found:
        if held.error is not None:
            say(f"{held.machine}: {held.error.message} ({held.error.code})")
