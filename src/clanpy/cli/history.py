"""`clanpy machines history`: what was done to machines, read from the journal."""

from __future__ import annotations

from typing import Annotated

import typer

from clanpy.cli.context import Format, Json, Names, Tags, split_tags


def history(
    ctx: typer.Context,
    *,
    names: Names = None,
    tags: Tags = None,
    count: Annotated[int, typer.Option("-n", "--count", min=1, help="How many lines, the newest first")] = 20,
    form: Format = None,
    as_json: Json = False,
) -> None:
    """Show the past runs of machines: how each ended, from which system to which, from which revision, and by whom.

    It is read from the journal of this computer; nothing is asked of any machine.
    """
    from clanpy.cli.standing import history as show  # noqa: PLC0415 - rooms are imported when a command runs
    from clanpy.cli.verbs import How, Selection  # noqa: PLC0415 - as above

    selection = Selection(names=names or (), tags=split_tags(tags))
    raise typer.Exit(show(ctx, selection, How(as_json=as_json), count=count, form=form))
