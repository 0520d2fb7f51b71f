"""`clanpy machines`: list, show, build, update, roll back, ask and talk to machines."""

from __future__ import annotations

import sys

import typer

from clanpy.cli.context import (
    Json,
    Name,
    Names,
    Tags,
    new_app,
    open_fleet,
    print_json,
    print_lines,
    settings,
    split_tags,
    uses_colour,
)


app = new_app("List, build, update, roll back and talk to machines.")


@app.command("list")
def list_(ctx: typer.Context, *, names: Names = None, tags: Tags = None, as_json: Json = False) -> None:
    """List machines."""
    from clanpy.machines import rows, select  # noqa: PLC0415 - rooms are imported when a command runs

    chosen = select(open_fleet(ctx), names or (), split_tags(tags))
    if as_json:
        print_json(rows(chosen))
        return
    from clanpy.ui.table import table_lines  # noqa: PLC0415 - as above

    cells = [
        (
            machine.name,
            machine.system,
            machine.type or "",
            machine.primary_user or "",
            ",".join(machine.tags),
            machine.deploy.target_host or "",
        )
        for machine in chosen
    ]
    head = ("HOSTNAME", "PLATFORM", "TYPE", "PRIMARY USER", "TAGS", "TARGET")
    print_lines(table_lines(head, cells, colour=uses_colour(settings(ctx).colour, sys.stdout)))


@app.command()
def show(ctx: typer.Context, *, name: Name, as_json: Json = False) -> None:
    """Show one machine, complete: roles with their settings, users and modules, and where each comes from."""
    from clanpy.cli.show import host_lines  # noqa: PLC0415 - rooms are imported when a command runs
    from clanpy.inventory import resolve, show_host  # noqa: PLC0415 - as above
    from clanpy.machines import select  # noqa: PLC0415 - as above

    fleet = open_fleet(ctx)
    host = resolve(fleet, select(fleet, [name])[0].name)
    if as_json:
        print_json(show_host(host, fleet.root))
    else:
        print_lines(host_lines(host))
