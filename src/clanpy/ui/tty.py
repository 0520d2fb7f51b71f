"""A run on a terminal: verdicts scroll up and stay; below them a small region is redrawn, a row a machine at work."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from clanpy.events import Event, HostFinished, LogLine, Note, RunStarted
from clanpy.ui.board import Board, Row
from clanpy.ui.format import MARKS, STYLES, clean, counted, duration, said_of, shortened, size, words
from clanpy.ui.rollout import rollout_line


if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType

REDRAW = 0.1  # seconds between two redraws, at least
SLOWEST = 5  # rows shown when there are more machines than fit
BAR = 12


@dataclass(slots=True)
class TtyRenderer:
    """Draws with rich. The region is at most a third of the screen high, and drawing it costs the same for any fleet."""

    stream: TextIO
    clock: Callable[[], float]
    colour: bool = True
    verbosity: int = 0
    _board: Board = field(init=False)
    _console: Console = field(init=False)
    _live: Live = field(init=False)
    _drawn: float = field(default=float("-inf"), init=False)
    _width: int = field(default=8, init=False)

    def __post_init__(self) -> None:
        self._board = Board(self.clock)
        self._console = Console(
            file=self.stream,
            color_system="auto" if self.colour else None,  # `no_color` alone would leave bold and dim
            no_color=not self.colour,
            highlight=False,
            force_terminal=True,
        )
        self._live = Live(console=self._console, auto_refresh=False, transient=True, redirect_stdout=False)
        self._live.start()

    def __call__(self, event: Event, /) -> None:
        self._board(event)
        fact = event.fact
        match fact:
            case RunStarted(hosts=hosts):
                self._width = max((len(host) for host in hosts), default=8)
                self._say(Text(f"{fact.command} of {counted(len(hosts), 'machine')}   run {event.run}", "bold"))
            case HostFinished():
                self._say(self._verdict(fact))
            case Note(text=text, level=level):
                said = f"{fact.host or '':{self._width}}  {text if level == 'info' else f'{level}: {text}'}"
                self._say(Text(f"  · {said}", "yellow" if level == "warning" else "dim"))
            case LogLine(line=line, stage=stage) if self.verbosity:
                self._say(Text(f"    {fact.host or '':{self._width}}  {stage} | {clean(line)}", "dim"))
            case _ if (told := rollout_line(fact)) is not None:
                style = "red" if told.is_bad else "bold"
                self._say(Text(f"  {'!' if told.is_bad else '▸'} {fact.host or '':{self._width}}  {told.text}", style))

    def tick(self) -> None:
        """Redraw the region, not more often than ten times a second."""
        now = self.clock()
        if now - self._drawn < REDRAW:
            return
        self._drawn = now
        self._live.update(self._region(now), refresh=True)

    def close(self) -> None:
        self._live.stop()

    def _say(self, text: Text) -> None:
        self._console.print(text, soft_wrap=True)

    def _verdict(self, fact: HostFinished) -> Text:
        style = STYLES[fact.outcome]
        text = Text(f"  {MARKS[fact.outcome]} ", style)
        text.append(f"{fact.host:{self._width}}  ", "bold")
        text.append(f"{words(fact.outcome):12}", style).append(f" {duration(fact.seconds):>7}", "dim")
        if fact.error:
            text.append(f"   {said_of(fact.host or '', fact.error)}").append(f"  ({fact.error['code']})", "dim")
        return text

    def _region(self, now: float) -> RenderableType:
        board = self._board
        room = max(1, self._console.height // 3)
        fits = len(board.rows) <= room
        rows = list(board.rows.values()) if fits else board.slowest(min(SLOWEST, room))
        table = Table.grid(padding=(0, 2))
        for _ in range(4):
            table.add_column(no_wrap=True)
        for row in rows:
            table.add_row(*self._cells(row, now))
        return Group(table, self._status(now, hidden=len(board.rows) - len(rows)))

    def _cells(self, row: Row, now: float) -> tuple[str, ...]:
        left = self._console.width - self._width - 28
        return (
            f"    {row.host:{self._width}}",
            f"{row.stage:9}",
            f"{duration(now - row.entered):>7}",
            shortened(_progress(row) or row.line, max(10, left)),
        )

    def _status(self, now: float, hidden: int) -> Text:
        board = self._board
        text = Text("  ─ ", "dim").append(_bar(board.finished, board.total), "cyan")
        text.append(f"  {board.finished}/{board.total}", "bold")
        parts = [f"{stage} {count}" for stage, count in sorted(board.stages.items()) if count]
        if board.waiting > 0:
            parts.append(f"waiting {board.waiting}")
        if hidden:
            parts.append(f"{hidden} more not shown")
        text.append("  " + "  ".join(parts) + f"  {duration(now - board.began)}", "dim")
        text.truncate(self._console.width, overflow="ellipsis")
        return text


def _progress(row: Row) -> str:
    if row.done is None:
        return ""
    if row.unit != "bytes":
        return f"{row.done}{f' of {row.total}' if row.total else ''} {row.unit}"
    if not row.total:
        return size(row.done)
    return f"{_bar(row.done, row.total)}  {size(row.done)} of {size(row.total)}"


def _bar(done: int, total: int) -> str:
    filled = min(BAR, BAR * done // total) if total else 0
    return "█" * filled + "░" * (BAR - filled)
