"""What every way of showing a run has in common, and the choice between them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Protocol, TextIO


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from clanpy.events import Event


class Renderer(Protocol):
    """A reader of events that shows them.

    `tick` is called about ten times a second for as long as the run goes on: it is where a live region is redrawn and a
    heartbeat given. `close` leaves the screen in order; it is called once, whatever happened.
    """

    def __call__(self, event: Event, /) -> None: ...

    def tick(self) -> None: ...

    def close(self) -> None: ...


def chosen(mode: str, stream: TextIO, environ: Mapping[str, str] = os.environ) -> str:
    """Which renderer `auto` means here: `tty` on a terminal that can move its cursor, `plain` elsewhere and in CI."""
    if mode != "auto":
        return mode
    if environ.get("CI") or environ.get("TERM") == "dumb" or not stream.isatty():
        return "plain"
    return "tty"


def make_renderer(
    mode: str,
    stream: TextIO,
    *,
    colour: bool,
    verbosity: int = 0,
    clock: Callable[[], float],
    environ: Mapping[str, str] = os.environ,
) -> Renderer:
    """The renderer of a mode (`tty`, `plain` or `json`) on a stream."""
    options: dict[str, Any] = {"colour": colour, "verbosity": verbosity, "clock": clock}
    match chosen(mode, stream, environ):
        case "json":
            from clanpy.ui.jsonl import JsonRenderer  # noqa: PLC0415 - each is imported only where it is used

            return JsonRenderer(stream)
        case "tty":
            from clanpy.ui.tty import TtyRenderer  # noqa: PLC0415 - rich is heavy

            return TtyRenderer(stream, **options)
    from clanpy.ui.folds import folds_of  # noqa: PLC0415 - each is imported only where it is used
    from clanpy.ui.plain import PlainRenderer  # noqa: PLC0415 - each is imported only where it is used

    return PlainRenderer(stream, **options, heartbeat=bool(environ.get("CI")), folds=folds_of(environ))
