"""Following a run that another process conducts, from its journal."""

from __future__ import annotations

import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from clanpy.cli.context import say, settings, uses_colour
from clanpy.errors import ExitCode
from clanpy.events import Event, read_fact
from clanpy.journal import fold, is_alive, read_events
from clanpy.ui.renderer import make_renderer
from clanpy.ui.summary import Summary


if TYPE_CHECKING:
    from collections.abc import Mapping

    import typer

    from clanpy.journal import Journal

LOOK_EVERY = 0.2  # seconds


def watch_run(ctx: typer.Context, journal: Journal, run: str) -> int:
    """Show a run until it has ended or its controller has gone; Ctrl-C ends the watching and nothing else."""
    folder = journal.runs_folder / run
    chosen = settings(ctx)
    colour = uses_colour(chosen.colour, sys.stderr)
    renderer = make_renderer(
        chosen.progress.value, sys.stderr, colour=colour, verbosity=chosen.verbosity, clock=time.monotonic
    )
    events: list[Mapping[str, Any]] = []
    try:
        while True:
            is_going_on = is_alive(folder)  # asked first: what is written after that is read in the next turn
            fresh = list(read_events(folder / "events.jsonl"))[len(events) :]
            for event in fresh:
                events.append(event)
                fact = read_fact(event)
                if fact is not None:
                    at = datetime.fromisoformat(event["ts"])
                    renderer(Event(seq=event["seq"], ts=at, run=run, fact=fact))
            renderer.tick()
            if not is_going_on and not fresh:
                break
            time.sleep(LOOK_EVERY)
    finally:
        renderer.close()
    state = fold(events, run=run)
    for line in Summary(state=state, colour=colour, logs=str(folder)).lines():
        say(line)
    return ExitCode.INTERRUPTED if state.exit_code is None else state.exit_code
