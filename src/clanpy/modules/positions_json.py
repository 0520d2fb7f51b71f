"""Positions in JSON: a scanner over text that is known to be valid."""

from __future__ import annotations

import json
import re
from typing import Final


Steps = tuple[str | int, ...]

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+')


def json_spots(data: bytes) -> dict[Steps, tuple[int, int]]:
    """The line and column of each key and element, both counted from 1."""
    text = data.decode("utf-8-sig", "replace")
    reader = _Reader(text)
    for match in _TOKEN.finditer(text):
        reader.token(match.group(), match.start())
    return reader.spots


class _Reader:
    """Keeps the path of where the scanner is: the last step is the current key, or the number of the element."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.spots: dict[Steps, tuple[int, int]] = {}
        self.path: list[str | int] = []
        self.kinds: list[str] = []
        self.wants_key = False
        self.line = 1
        self.counted = 0

    def token(self, piece: str, at: int) -> None:
        if piece in {"}", "]"}:
            self._close()
        elif piece == ",":
            self._next()
        elif piece != ":":
            self._value(piece, at)

    def _value(self, piece: str, at: int) -> None:
        if self.wants_key:
            self.path[-1] = json.loads(piece)
            self.wants_key = False
            self._note(at)
            return
        if self.kinds and self.kinds[-1] == "[":
            self._note(at)
        if piece in {"{", "["}:
            self.kinds.append(piece)
            self.path.append("" if piece == "{" else 0)
            self.wants_key = piece == "{"

    def _next(self) -> None:
        last = self.path[-1]
        if isinstance(last, int) and self.kinds[-1] == "[":
            self.path[-1] = last + 1
        else:
            self.wants_key = True

    def _close(self) -> None:
        self.path.pop()
        self.kinds.pop()
        self.wants_key = False

    def _note(self, at: int) -> None:
        self.line += self.text.count("\n", self.counted, at)
        self.counted = at
        self.spots.setdefault(tuple(self.path), (self.line, at - self.text.rfind("\n", 0, at)))
