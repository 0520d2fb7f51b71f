"""Who is in the roles of instances, with which settings: `inventory members|settings|of|add|remove`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from clanpy.cli.complete import complete_machines, complete_tags
from clanpy.cli.context import DryRun, Json, fleet_root, open_fleet, print_json, print_lines, settings, uses_colour
from clanpy.cli.editing import File, Force, How, carry_out


Chosen = Annotated[str | None, typer.Argument(metavar="[INSTANCE]", help="One instance", show_default=False)]
Instance = Annotated[str, typer.Argument(metavar="INSTANCE", help="The instance", show_default=False)]
Role = Annotated[str, typer.Argument(metavar="ROLE", help="The role", show_default=False)]
Machines = Annotated[
    list[str] | None,
    typer.Option(
        "--machine", help="A machine by name (repeatable)", autocompletion=complete_machines, show_default=False
    ),
]
ByTag = Annotated[
    list[str] | None,
    typer.Option("--tag", help="All that carry a tag (repeatable)", autocompletion=complete_tags, show_default=False),
]


def members(ctx: typer.Context, instance: Chosen = None, *, as_json: Json = False) -> None:
    """Show who is in which role of the instances."""
    from clanpy.inventory import memberships  # noqa: PLC0415 - rooms are imported when a command runs

    found = memberships.members(open_fleet(ctx), instance)
    if as_json:
        print_json(found)
        return
    rows = [
        (name, role, str(len(machines)), ", ".join(machines))
        for name, roles in found.items()
        for role, machines in roles.items()
    ]
    _table(ctx, ("INSTANCE", "ROLE", "COUNT", "MACHINES"), rows)


def settings_(ctx: typer.Context, instance: Chosen = None, *, as_json: Json = False) -> None:
    """Show the final settings of every member: what role, tags and machine say, over the defaults of the service."""
    from clanpy.inventory import memberships  # noqa: PLC0415 - rooms are imported when a command runs

    found = memberships.settings(open_fleet(ctx), instance)
    if as_json:
        print_json(found)
        return
    for member, values in found.items():
        print_lines([member, *(f"  {line}" for line in _lines(values))])


def of(
    ctx: typer.Context,
    machine: Annotated[str, typer.Argument(help="The machine", autocompletion=complete_machines, show_default=False)],
    *,
    as_json: Json = False,
) -> None:
    """Show what a machine is in, and by what: its name, or a tag."""
    from clanpy.inventory import memberships  # noqa: PLC0415 - rooms are imported when a command runs
    from clanpy.machines import select_one  # noqa: PLC0415 - the same

    fleet = open_fleet(ctx)
    found = memberships.belongs(fleet, select_one(fleet, machine))
    if as_json:
        print_json([one.to_dict() for one in found])
        return
    rows = [(one.instance, one.service, one.role, ", ".join(one.by), one.note or "") for one in found]
    _table(ctx, ("INSTANCE", "SERVICE", "ROLE", "BY", "NOTE"), rows)


def add(
    ctx: typer.Context,
    instance: Instance,
    role: Role,
    *,
    machines: Machines = None,
    tags: ByTag = None,
    service: Annotated[
        str | None, typer.Option(help="The service of a new instance that is called otherwise", show_default=False)
    ] = None,
    input_: Annotated[
        str | None, typer.Option("--input", help="Where the service of a new instance comes from", show_default=False)
    ] = None,
    file: File = None,
    dry_run: DryRun = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Put machines into a role, by name or by tag. Comments and order of the file stay."""
    from clanpy.inventory.editing.members import Change, add_members  # noqa: PLC0415 - imported when a command runs

    change = Change(
        instance=instance,
        role=role,
        machines=tuple(machines or ()),
        tags=tuple(tags or ()),
        service=service,
        input=input_,
        file=file,
    )
    root = fleet_root(ctx)
    carry_out(ctx, lambda: add_members(root, change), How(dry_run, force, as_json))


def remove(
    ctx: typer.Context,
    instance: Instance,
    role: Role,
    *,
    machines: Machines = None,
    tags: ByTag = None,
    dry_run: DryRun = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Take machines, or all that carry a tag, out of a role, with what they are set to there."""
    from clanpy.inventory.editing.members import Change, remove_members  # noqa: PLC0415 - imported when a command runs

    change = Change(instance=instance, role=role, machines=tuple(machines or ()), tags=tuple(tags or ()))
    root = fleet_root(ctx)
    carry_out(ctx, lambda: remove_members(root, change), How(dry_run, force, as_json))


def _lines(values: Mapping[str, Any], prefix: str = "") -> Sequence[str]:
    found: list[str] = []
    for key, value in values.items():
        if isinstance(value, dict) and value:
            found += _lines(value, f"{prefix}{key}.")
        else:
            found.append(f"{prefix}{key} = {json.dumps(value, ensure_ascii=False)}")
    return found


def _table(ctx: typer.Context, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from clanpy.ui.table import table_lines  # noqa: PLC0415 - only for people

    print_lines(table_lines(head, rows, colour=uses_colour(settings(ctx).colour, sys.stdout)))
