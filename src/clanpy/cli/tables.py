"""Tables and trees for people, not wrapped where nobody looks at a screen."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from clanpy.cli.context import settings, uses_colour


if TYPE_CHECKING:
    import typer
    from rich.console import Console
    from rich.table import Table
    from rich.tree import Tree

_WIDE = 10_000  # what is not read on a screen is not wrapped


def print_parts(ctx: typer.Context, parts: Iterable[Any]) -> None:
    """Print tables, trees and texts, one below the other."""
    console = _console(ctx)
    for part in parts:
        console.print(part)


def _console(ctx: typer.Context) -> Console:
    from rich.console import Console  # noqa: PLC0415 - only for people

    colour = uses_colour(settings(ctx).colour, sys.stdout)
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _WIDE
    return Console(
        file=sys.stdout,
        highlight=False,
        color_system="auto" if colour else None,  # without colours nothing is bold or dim either
        no_color=not colour,
        force_terminal=colour or None,
        width=width,
    )


def new_table(*columns: str) -> Table:
    """A table without lines."""
    from rich.table import Table  # noqa: PLC0415 - only for people

    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def add_row(table: Table, *cells: str | None) -> None:
    """Add a row; what is empty is a dash."""
    table.add_row(*(plain(cell or "-") for cell in cells))


def new_tree(label: str) -> Tree:
    """A tree with nothing in it yet."""
    from rich.tree import Tree  # noqa: PLC0415 - only for people

    return Tree(plain(label), guide_style="dim")


def plain(text: str) -> Any:
    """Text in which brackets mean nothing."""
    from rich.text import Text  # noqa: PLC0415 - only for people

    return Text(text)
