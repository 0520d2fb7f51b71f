"""Numbers, names and marks as text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clanpy.events import Outcome

# By outcome, whose values stand here because loading the events would cost commands that have none a tenth of their time.
# The mark says the same as the colour does: nothing is told by colour alone.
MARKS = {
    "confirmed": "✓",
    "unchanged": "=",
    "built": "✓",
    "planned": "·",
    "failed": "✗",
    "unreachable": "?",
    "locked": "!",
    "rolled_back": "↩",
    "cancelled": "-",
    "skipped": "-",
}
ASCII_MARKS = {"✓": "+", "✗": "x", "↩": "<", "·": ".", "→": "->", "…": "..."}
STYLES = {
    "confirmed": "green",
    "unchanged": "dim",
    "built": "green",
    "planned": "cyan",
    "failed": "red",
    "unreachable": "red",
    "locked": "yellow",
    "rolled_back": "red",
    "cancelled": "yellow",
    "skipped": "dim",
}
ANSI = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
GOOD = frozenset({"confirmed", "unchanged", "built", "planned"})


_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_CONTROLS = dict.fromkeys({*range(0x20), 0x7F, *range(0x80, 0xA0)} - {ord("\t")})


def clean(line: str) -> str:
    """A line of foreign output without what a terminal would obey: it may come from a host that is not ours any more."""
    return _ESCAPES.sub("", line).translate(_CONTROLS).replace("\t", "    ")


def duration(seconds: float) -> str:
    """`0.4 s`, `41 s`, `1m02s`, `2h05m`."""
    if seconds < 9.95:  # noqa: PLR2004 - from ten seconds on nobody reads tenths
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:  # noqa: PLR2004 - a minute
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes}m{rest:02}s" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02}m"  # noqa: PLR2004 - an hour


def span(seconds: float) -> str:
    """How long ago, in one unit, as one says it: `41 s`, `12 min`, `5 h`, `40 d`."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds:.0f} s"


def size(count: float) -> str:
    """Bytes in binary units: `812 B`, `1.2 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:  # noqa: PLR2004 - the binary thousand
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def shortened(text: str, width: int) -> str:
    """Text no wider than `width`, cut out in the middle: both ends of a path or a log line tell something."""
    if len(text) <= width:
        return text
    if width < 3:  # noqa: PLR2004 - one letter, the ellipsis, one letter
        return text[:width]
    head = (width - 1) // 2
    return f"{text[:head]}…{text[len(text) - (width - 1 - head) :]}"


def names(hosts: Sequence[str], limit: int = 12) -> str:
    """`a b c`, or the first dozen and how many more."""
    more = len(hosts) - limit
    return " ".join(hosts[:limit]) + (f" … and {more} more" if more > 0 else "")


def said_of(host: str, error: Mapping[str, Any]) -> str:
    """The message of an error, for a place where the host's name stands before it already; with where it is in a file."""
    message = str(error.get("message", "")).removeprefix(f"{host}: ")
    place = error.get("place")
    if not place:
        return message
    at = ":".join(str(part) for part in (place["file"], place["line"], place["column"]) if part is not None)
    return f"{at}: {message}"


def counted(count: int, noun: str) -> str:
    """`1 machine`, `8 machines`."""
    return f"{count} {noun}" + ("" if count == 1 else "s")


def words(outcome: Outcome) -> str:
    """An outcome as one reads it: `rolled back`."""
    return outcome.value.replace("_", " ")


def painted(text: str, style: str, *, colour: bool) -> str:
    """Text in a style of `ANSI`, when colours are wanted."""
    return f"\x1b[{ANSI[style]}m{text}\x1b[0m" if colour and text else text


def in_ascii(text: str) -> str:
    """The same text for a terminal that knows no other letters."""
    for mark, plain in ASCII_MARKS.items():
        text = text.replace(mark, plain)
    return text.encode("ascii", "replace").decode()
