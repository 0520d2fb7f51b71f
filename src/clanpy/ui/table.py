"""Columns of text for people: aligned, nothing cut off, nothing drawn around them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clanpy.ui.format import clean, painted


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def table_lines(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    colour: bool = False,
    styles: Sequence[str | None] = (),
) -> Iterator[str]:
    """A heading and the rows, column under column. A cell that is empty is shown as `-`.

    `styles` are those of the rows, of `ANSI`, when colours are wanted.
    """
    cells = [[clean(cell) or "-" for cell in row] for row in rows]
    widths = [max(len(row[n]) for row in [list(head), *cells]) for n in range(len(head))]
    yield painted(_line(head, widths), "bold", colour=colour)
    for number, row in enumerate(cells):
        style = styles[number] if number < len(styles) else None
        yield painted(_line(row, widths), style or "", colour=colour and style is not None)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
