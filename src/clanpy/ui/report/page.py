"""The report as one page: no script, no font and no style from elsewhere. The run is a picture, by host and stage."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from clanpy.ui.format import MARKS, counted, duration, size, words
from clanpy.ui.report.story import HostStory, Story


LEFT, WIDTH, ROW, TOP = 190, 1000, 18, 34
TICKS = 8
COLOURS = {
    "resolve": "#9aa5b1",
    "evaluate": "#7c8cf8",
    "connect": "#b6bfca",
    "build": "#4aa3df",
    "copy": "#2fb5a0",
    "secrets": "#c58af9",
    "activate": "#f2a33a",
    "confirm": "#57b65f",
    "profile": "#2f8f46",
    "rollback": "#d9534f",
}
OTHER = "#8d99a6"
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)


def page(story: Story) -> str:
    """The page as text."""
    return _template().render(
        story=story,
        title=f"{story.state.command or 'run'} of {counted(len(story.hosts), 'machine')}",
        picture=_picture(story),
        causes=[(code, hosts, _output(hosts[0])) for code, hosts in story.causes.items()],
        good=all(host.is_good for host in story.hosts),
    )


def _picture(story: Story) -> dict[str, Any]:
    """Everything that is drawn, in pixels."""
    seconds = max(story.seconds, 0.001)
    scale = WIDTH / seconds
    rows = [_row(host, n, scale) for n, host in enumerate(story.hosts)]
    step = next((step for step in _STEPS if seconds / step <= TICKS), _STEPS[-1])
    ticks = [n * step for n in range(int(seconds / step) + 1)]
    return {
        "width": LEFT + WIDTH + 12,
        "height": TOP + ROW * len(rows) + 6,
        "left": LEFT,
        "top": TOP,
        "row": ROW,
        "rows": rows,
        "ticks": [{"x": LEFT + at * scale, "text": duration(at)} for at in ticks],
        "waves": [{"x": LEFT + at * scale, "title": title} for title, at in story.waves],
        "stages": [(stage, colour) for stage, colour in COLOURS.items() if stage in _used(story)],
    }


def _used(story: Story) -> set[str]:
    return {span.stage for host in story.hosts for span in host.spans}


def _row(host: HostStory, n: int, scale: float) -> dict[str, Any]:
    return {
        "name": host.name,
        "y": TOP + n * ROW,
        "mark": MARKS[host.outcome],
        "good": host.is_good,
        "spans": [
            {
                "x": LEFT + span.begin * scale,
                "width": max(1.0, (span.end - span.begin) * scale),
                "colour": COLOURS.get(span.stage, OTHER),
                "ok": span.ok,
                "title": f"{host.name}: {span.stage}, {duration(span.end - span.begin)}"
                + (f": {span.note}" if span.note else "")
                + ("" if span.ok else " (failed)"),
            }
            for span in host.spans
        ],
    }


def _output(host: HostStory) -> dict[str, Any]:
    error = host.state.error or {}
    lines = [line for text in error.get("details", ()) for line in str(text).splitlines()]
    return {"message": error.get("message", ""), "hint": error.get("hint"), "lines": lines[-5:], "log": host.state.log}


@cache
def environment() -> jinja2.Environment:
    """Where the templates of pages are found, and what all of them may use."""
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters.update(duration=duration, words=words, counted=counted, size=size)
    found.globals.update(MARKS=MARKS)
    return found


def _template() -> jinja2.Template:
    return environment().get_template("page.html.j2")
