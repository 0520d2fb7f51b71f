"""`clanpy inventory graph`: the fleet as a picture."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from clanpy.cli.context import Names, Tags, open_fleet, print_lines, split_tags
from clanpy.errors import UsageError


class Picture(StrEnum):
    """What a graph can be written as."""

    SVG = "svg"
    DOT = "dot"
    MERMAID = "mermaid"


def graph(
    ctx: typer.Context,
    names: Names = None,
    *,
    tags: Tags = None,
    form: Annotated[
        Picture, typer.Option("--format", help="An image, or the language of Graphviz or Mermaid")
    ] = Picture.SVG,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write to this file", show_default=False, dir_okay=False)
    ] = None,
) -> None:
    """Draw machines, the tags that they carry, the roles that they are in, and the aspects that they import."""
    from clanpy.inventory.graph import fleet_graph  # noqa: PLC0415 - rooms are imported when a command runs
    from clanpy.inventory.graph_svg import to_svg  # noqa: PLC0415 - the same
    from clanpy.inventory.graph_text import to_dot, to_mermaid  # noqa: PLC0415 - the same
    from clanpy.machines import select  # noqa: PLC0415 - the same

    fleet = open_fleet(ctx)
    write = {Picture.SVG: to_svg, Picture.DOT: to_dot, Picture.MERMAID: to_mermaid}[form]
    drawn = write(fleet_graph(fleet, select(fleet, names, split_tags(tags))))
    if output is None:
        print_lines([drawn.rstrip("\n")])
        return
    try:
        output.write_text(drawn, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{output} can't be written: {error.strerror}") from error
