"""What people ask of a rollout from another terminal: a line in a file of the run, which whoever conducts it reads."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from clanpy.errors import ClanpyError, ExitCode


if TYPE_CHECKING:
    from clanpy.rollout.engine import Clock, Control

FILE = "requests.jsonl"
WORDS = ("pause", "promote", "abort")
LOOK_EVERY = 0.5  # seconds


class NotRunningError(ClanpyError):
    """Nobody conducts this run any more, so that there is nobody to ask anything of."""

    code: ClassVar[str] = "CP0533"
    exit_code: ClassVar[ExitCode] = ExitCode.CONFLICT


def ask(folder: Path, word: str, by: str) -> None:
    """Ask something of a run: one of `WORDS`. `by` says who asks."""
    line = json.dumps({"ask": word, "by": by}) + "\n"
    with (folder / FILE).open("ab") as file:
        os.write(file.fileno(), line.encode())  # in one piece, whoever else writes


@dataclass(slots=True)
class Requests:
    """Reads what is asked, each request once."""

    folder: Path
    _read: int = field(default=0, init=False)

    def new(self) -> Iterator[tuple[str, str]]:
        """What was asked since the last time, and by whom. A line that is not whole yet is read when it is."""
        try:
            with (self.folder / FILE).open("rb") as file:
                file.seek(self._read)
                text = file.read()
        except FileNotFoundError:
            return
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            try:
                said = json.loads(line)
            except ValueError:
                continue
            if isinstance(said, dict) and said.get("ask") in WORDS:
                yield said["ask"], str(said.get("by", "somebody"))

    async def follow(self, control: Control, clock: Clock) -> None:
        """Hand on what is asked, until cancelled."""
        while True:
            for word, by in self.new():
                if word == "pause":
                    control.pause()
                elif word == "promote":
                    control.promote()
                else:
                    control.abort(f"{by} called it off")
            await clock.sleep(LOOK_EVERY)
