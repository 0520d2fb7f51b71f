"""An error as lines of text: the sentence with its place, the details, and after a blank line the hint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clanpy.errors import CombinedError
from clanpy.ui.format import clean


if TYPE_CHECKING:
    from collections.abc import Sequence

    from clanpy.errors import ClanpyError

MAX_DETAILS = 20
MAX_ERRORS = 50
MAX_LINE = 400


def error_lines(error: ClanpyError) -> list[str]:
    """The lines that tell an error. Bounded: what is left out is counted."""
    if isinstance(error, CombinedError):
        return _many(error.errors)
    hint = ["", f"hint: {error.hint}"] if error.hint else []
    return [f"error: {error} ({error.code})", *_details(error.details), *hint]


def _many(errors: Sequence[ClanpyError]) -> list[str]:
    lines: list[str] = []
    for error in errors[:MAX_ERRORS]:
        hint = [f"  hint: {error.hint}"] if error.hint else []
        lines += [f"error: {error} ({error.code})", *_details(error.details), *hint]
    if len(errors) > MAX_ERRORS:
        lines.append(f"… and {len(errors) - MAX_ERRORS} more")
    return [*lines, "", f"{len(errors)} errors"]


def _details(details: Sequence[str]) -> list[str]:
    shown = [f"    {clean(line)[:MAX_LINE]}" for text in details for line in text.splitlines() or [""]]
    left = len(shown) - MAX_DETAILS
    return shown if left <= 0 else [f"    … {left} lines before", *shown[-MAX_DETAILS:]]
