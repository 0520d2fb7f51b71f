"""Showing a run while it goes on, and its summary at the end."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clanpy.cli.context import ProgressMode, print_json_line, print_lines, say, settings, uses_colour
from clanpy.rollout.interrupts import Interrupts
from clanpy.ui.jsonl import JsonRenderer
from clanpy.ui.renderer import Renderer, make_renderer
from clanpy.ui.summary import Summary


if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    import typer

    from clanpy.cli.site import Site
    from clanpy.deploy import RunResult
    from clanpy.events import Event, Sink
    from clanpy.journal import Recorder

TICK = 0.1  # seconds
RUN_SCHEMA = "clanpy.run/1"


def follow_run(
    ctx: typer.Context,
    site: Site,
    work: Callable[[Recorder, Sequence[Sink], Interrupts], Awaitable[RunResult]],
    *,
    as_json: bool,
    dry_run: bool = False,
    paths: bool = False,
    recorder: Recorder | None = None,
    reports: Sequence[str] = (),
) -> int:
    """Do a run, show it, and give its exit code. Ctrl-C once stops it politely, twice lets go of it.

    With `paths` the store paths that it made are its data: they are printed on stdout.
    `recorder` is that of a run that goes on; without it a new one begins.
    """
    wanted = _parsed(reports)
    recorder = recorder or site.journal.begin()
    renderer = _Careful(_renderer(ctx, as_json=as_json))
    try:
        result = asyncio.run(_shown(work, recorder, renderer))
    finally:
        renderer.close()
        recorder.close()
    _report(recorder, wanted)
    site.journal.prune()
    with suppress(OSError):  # nobody reads it any more; the exit code still tells
        if as_json:
            print_json_line(document(result, dry_run=dry_run))
        else:
            _summarise(ctx, site, result, logs=str(recorder.folder), dry_run=dry_run)
        if paths and not as_json:
            print_lines(host.system for host in result.state.hosts.values() if host.system)
        sys.stdout.flush()
    return result.exit_code


def watch_run(
    ctx: typer.Context, site: Site, work: Callable[[Recorder, Sequence[Sink], Interrupts], Awaitable[RunResult]]
) -> RunResult:
    """Do a run and show on stderr how it goes; what comes of it is for the caller to tell."""
    recorder = site.journal.begin()
    renderer = _Careful(_renderer(ctx, as_json=False))
    try:
        result = asyncio.run(_shown(work, recorder, renderer))
    finally:
        renderer.close()
        recorder.close()
    site.journal.prune()
    return result


def _parsed(reports: Sequence[str]) -> dict[str, Path | None]:
    """What reports are wanted. The room of reports is imported when there are any."""
    if not reports:
        return {}
    from clanpy.cli.reporting import parse_reports  # noqa: PLC0415 - see above

    return parse_reports(reports)


def _report(recorder: Recorder, wanted: dict[str, Path | None]) -> None:
    if wanted:
        from clanpy.cli.reporting import write_reports  # noqa: PLC0415 - as above

        write_reports(recorder.folder, wanted)


def _summarise(ctx: typer.Context, site: Site, result: RunResult, *, logs: str, dry_run: bool) -> None:
    colour = uses_colour(settings(ctx).colour, sys.stderr)
    summary = Summary(state=result.state, colour=colour, program=site.program, logs=logs, dry_run=dry_run)
    for line in summary.lines():
        say(line)


@dataclass(slots=True)
class _Careful:
    """A renderer whose reader may go away: a closed pipe or terminal must not stop an activation."""

    renderer: Renderer
    is_heard: bool = True

    def __call__(self, event: Event, /) -> None:
        self._do(lambda: self.renderer(event))

    def tick(self) -> None:
        self._do(self.renderer.tick)

    def close(self) -> None:
        self._do(self.renderer.close)

    def _do(self, act: Callable[[], None]) -> None:
        if self.is_heard:
            try:
                act()
            except OSError:
                self.is_heard = False


def document(result: RunResult, *, dry_run: bool) -> dict[str, Any]:
    """The result of a run as JSON: the last line of `--json`."""
    return {
        **result.state.to_dict(),
        "schema": RUN_SCHEMA,
        "dry_run": dry_run,
        "exit_code": int(result.exit_code),
        "round_trips": dict(result.round_trips),
        "nix_processes": result.nix_processes,
    }


def _renderer(ctx: typer.Context, *, as_json: bool) -> Renderer:
    if as_json:
        return JsonRenderer(sys.stdout)
    chosen = settings(ctx)
    colour = uses_colour(chosen.colour, sys.stderr)
    mode = chosen.progress.value
    if chosen.verbosity > 1 and chosen.progress is ProgressMode.AUTO:
        mode = "plain"  # what is told besides would go through the live region
    return make_renderer(mode, sys.stderr, colour=colour, verbosity=chosen.verbosity, clock=time.monotonic)


async def _shown(
    work: Callable[[Recorder, Sequence[Sink], Interrupts], Awaitable[RunResult]], recorder: Recorder, renderer: Renderer
) -> RunResult:
    interrupts = Interrupts(_told)
    with interrupts.on_signals():
        async with asyncio.TaskGroup() as tasks:
            ticking = tasks.create_task(_tick(renderer), name="redraw")
            result = await work(recorder, (renderer,), interrupts)
            ticking.cancel()
    return result


async def _tick(renderer: Renderer) -> None:
    while True:
        renderer.tick()
        await asyncio.sleep(TICK)


def _told(count: int) -> None:
    with suppress(OSError):
        _say_what_happens(count)


def _say_what_happens(count: int) -> None:
    if count == 1:
        say("stopping: no more machines are begun, activations under way are finished (Ctrl-C again lets go of them)")
    else:
        say("letting go: guards on the machines finish what was begun, and go back where nobody confirms")
