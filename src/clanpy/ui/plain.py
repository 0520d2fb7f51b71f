"""A run as lines: one a change of state, prefixed by time and host. For files, pipes and CI."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from clanpy.events import Event, Fact, HostFinished, LaneChosen, LogLine, Note, RunStarted, StageFinished, StageStarted
from clanpy.ui.board import Board
from clanpy.ui.format import GOOD, MARKS, STYLES, clean, counted, duration, in_ascii, painted, said_of, words
from clanpy.ui.rollout import rollout_line


if TYPE_CHECKING:
    from collections.abc import Callable

    from clanpy.ui.folds import Folds

HEARTBEAT = 30.0  # seconds of silence after which CI hears that we live


@dataclass(slots=True)
class PlainRenderer:
    """Writes lines.

    Attributes:
        verbosity: from 1 on the lines that programs write are shown too, prefixed by their host.
        heartbeat: whether to say something after half a minute of silence.
        folds: how the CI system that shows the lines folds logs and marks failures; None: it does not.
    """

    stream: TextIO
    clock: Callable[[], float]
    colour: bool = False
    verbosity: int = 0
    heartbeat: bool = False
    folds: Folds | None = None
    _board: Board = field(init=False)
    _width: int = field(default=8, init=False)
    _last: float = field(init=False)
    _failed: list[HostFinished] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self._board = Board(self.clock)
        self._last = self.clock()

    def __call__(self, event: Event, /) -> None:
        self._board(event)
        fact = event.fact
        if isinstance(fact, RunStarted):
            self._width = max((len(host) for host in fact.hosts), default=8)
        text = self._text(fact)
        if text is None:
            return
        stamp = event.ts.astimezone(UTC).strftime("%H:%M:%SZ")
        self._write(f"{stamp} {fact.host or '-':{self._width}}  {text}")
        if isinstance(fact, HostFinished) and fact.outcome not in GOOD:
            self._fail(fact)

    def tick(self) -> None:
        """After a long silence, say what is going on."""
        if not self.heartbeat or self.clock() - self._last < HEARTBEAT:
            return
        board = self._board
        at_work = ", ".join(f"{stage} {count}" for stage, count in sorted(board.stages.items()) if count)
        self._write(f"still at work: {board.finished} of {board.total} done; {at_work or 'nothing in hand'}")

    def close(self) -> None:
        if self.folds:
            for fact in self._failed:
                self._fold_log(fact, self.folds)
        self.stream.flush()

    def _text(self, fact: Fact) -> str | None:
        text: str | None = None
        match fact:
            case RunStarted(command=command, hosts=hosts):
                text = f"{command} of {counted(len(hosts), 'machine')}"
            case StageStarted(stage=stage):
                text = f"{stage}"
            case StageFinished(stage=stage, ok=True, note=str(note), seconds=seconds):
                text = f"{stage}: {note} ({duration(seconds)})"
            case LaneChosen(lane=lane, reason=reason) if self.verbosity:
                text = f"copy by {lane}: {reason}"
            case LogLine(stage=stage, line=line) if self.verbosity:
                text = f"{stage} | {clean(line)}"
            case Note(text=said, level=level):
                text = said if level == "info" else f"{level}: {said}"
            case HostFinished():
                text = self._verdict(fact)
        told = rollout_line(fact) if text is None else None
        return text if told is None else painted(told.text, "red" if told.is_bad else "bold", colour=self.colour)

    def _verdict(self, fact: HostFinished) -> str:
        said = f"{MARKS[fact.outcome]} {words(fact.outcome)} after {duration(fact.seconds)}"
        if fact.error:
            said += f": {said_of(fact.host or '', fact.error)} ({fact.error['code']})"
        return painted(said, STYLES[fact.outcome], colour=self.colour)

    def _fail(self, fact: HostFinished) -> None:
        self._failed.append(fact)
        if self.folds:
            message = (fact.error or {}).get("message", words(fact.outcome))
            for line in self.folds.failure(fact.host or "", message):
                self._write(line)

    def _fold_log(self, fact: HostFinished, folds: Folds) -> None:
        if fact.log is None or not Path(fact.log).is_file():
            return
        self._write(folds.begin(f"log of {fact.host}"))
        with Path(fact.log).open(encoding="utf-8", errors="replace") as log:
            for line in log:
                self._write(clean(line))
        if end := folds.end():
            self._write(end)

    def _write(self, text: str) -> None:
        encoding = (getattr(self.stream, "encoding", None) or "utf-8").casefold()
        self.stream.write((text if encoding.startswith("utf") else in_ascii(text)) + "\n")
        self.stream.flush()
        self._last = self.clock()
