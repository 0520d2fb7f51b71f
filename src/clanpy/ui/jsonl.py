"""Events as JSON Lines: one object a line, as it happens."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO


if TYPE_CHECKING:
    from clanpy.events import Event


@dataclass(slots=True)
class JsonRenderer:
    """Writes every event, log lines and progress included."""

    stream: TextIO

    def __call__(self, event: Event, /) -> None:
        self.stream.write(json.dumps(event.to_dict(), ensure_ascii=False, separators=(",", ":")) + "\n")
        self.stream.flush()

    def tick(self) -> None:
        """Nothing moves between events."""

    def close(self) -> None:
        self.stream.flush()
