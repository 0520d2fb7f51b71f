"""`clanpy inventory`: what the fleet's files say, and what they mean for one machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clanpy.cli.complete import complete_machines
from clanpy.cli.context import Json, new_app, open_fleet, print_json, settings, uses_colour
from clanpy.errors import UsageError


if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.tree import Tree

    from clanpy.inventory.model import Fleet, HostConfig, Instance, Membership
    from clanpy.modules.deferred import DeferredModule

app = new_app("Show what the fleet's files say.")
_WIDE = 10_000  # what is not read on a screen is not wrapped


@app.callback()
def _inventory() -> None:
    """Show what the fleet's files say."""


@app.command()
def show(
    ctx: typer.Context,
    machine: Annotated[
        str | None,
        typer.Argument(help="One machine, complete", autocompletion=complete_machines, show_default=False),
    ] = None,
    *,
    json: Json = False,
) -> None:
    """Show the whole inventory, or all that one machine consists of and where each part comes from."""
    from clanpy import inventory  # noqa: PLC0415 - rooms are imported when a command runs
    from clanpy.machines import select  # noqa: PLC0415 - the same

    fleet = open_fleet(ctx)
    if machine is None:
        if json:
            print_json(inventory.show_fleet(fleet))
        else:
            _print(ctx, _fleet_view(fleet))
        return
    chosen, *others = select(fleet, [machine])
    if others:
        raise UsageError(f"'{machine}' means {len(others) + 1} machines, and one can be shown")
    host = inventory.resolve(fleet, chosen.name)
    if json:
        print_json(inventory.show_host(host, fleet.root))
    else:
        _print(ctx, _host_view(host))


def _print(ctx: typer.Context, parts: Iterable[Any]) -> None:
    console = _console(ctx)
    for part in parts:
        console.print(part)


def _console(ctx: typer.Context) -> Console:
    from rich.console import Console  # noqa: PLC0415 - only for people

    colour = uses_colour(settings(ctx).colour, sys.stdout)
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _WIDE
    return Console(file=sys.stdout, highlight=False, no_color=not colour, force_terminal=colour or None, width=width)


def _table(*columns: str) -> Table:
    from rich.table import Table  # noqa: PLC0415 - only for people

    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _add(table: Table, *cells: str | None) -> None:
    table.add_row(*(_plain(cell or "-") for cell in cells))


def _tree(label: str) -> Tree:
    from rich.tree import Tree  # noqa: PLC0415 - only for people

    return Tree(_plain(label), guide_style="dim")


def _plain(text: str) -> Any:
    """Text in which brackets mean nothing."""
    from rich.text import Text  # noqa: PLC0415 - only for people

    return Text(text)


def _fleet_view(fleet: Fleet) -> Iterator[Any]:
    meta = fleet.meta
    yield _plain(f"{meta.name} ({meta.domain})" + (f": {meta.description}" if meta.description else ""))
    yield ""
    machines = _table("machine", "class", "system", "type", "target", "tags")
    for machine in fleet.machines.values():
        host = machine.deploy.target_host
        _add(machines, machine.name, machine.class_, machine.system, machine.type, host, " ".join(machine.tags))
    yield machines
    yield ""
    users = _table("user", "name", "also called", "home")
    for user in fleet.users.values():
        _add(users, user.name, user.full_name, " ".join(user.aliases), " ".join(user.imports))
    yield users
    yield ""
    tags = _table("tag", "machines", "imports")
    for tag, members in fleet.tags.items():
        record = fleet.tag_records.get(tag)
        _add(tags, tag, " ".join(members), " ".join(record.imports) if record else "")
    yield tags
    yield ""
    instances = _table("instance", "service", "role", "machines")
    for instance in fleet.instances.values():
        for row in _instance_rows(fleet, instance):
            _add(instances, *row)
    yield instances


def _instance_rows(fleet: Fleet, instance: Instance) -> Iterator[tuple[str, str, str, str]]:
    from clanpy.inventory.references import role_members  # noqa: PLC0415 - only for people

    service = instance.service if instance.input is None else f"{instance.service} ({instance.input})"
    for name, role in instance.roles.items():
        yield instance.name, service, name, " ".join(role_members(fleet, role))


def _host_view(host: HostConfig) -> Iterator[Any]:
    machine = host.machine
    yield _plain(f"{machine.name}.{host.domain}" + (f": {machine.description}" if machine.description else ""))
    facts = _table("", "")
    facts.show_header = False
    for label, value in (
        ("class", machine.class_),
        ("system", machine.system),
        ("type", machine.type),
        ("primary user", machine.primary_user),
        ("tags", " ".join(machine.tags)),
        ("targets", " ".join(host.targets)),
        ("built on", machine.deploy.build_host),
    ):
        if value:
            facts.add_row(_plain(f"  {label}"), _plain(value))
    yield facts
    yield ""
    yield _memberships(host.memberships)
    yield ""
    users = _table("account", "person", "home", "configuration of the home", "admin")
    for user in host.users:
        _add(users, user.account, user.user, user.home, user.home_manager, "yes" if user.admin else "no")
    yield users
    yield ""
    yield _modules(f"modules of class {machine.class_}, in order", host.modules)
    for account, modules in host.homes.items():
        yield _modules(f"modules of class home for {account}, in order", modules)


def _memberships(parts: Iterable[Membership]) -> Tree:
    tree = _tree("roles")
    for part in parts:
        branch = tree.add(_plain(f"{part.instance}: {part.role} of {part.service}"))
        if part.note:
            branch.add(_plain(part.note))
        for path, origin in part.origins.items():
            if not origin.startswith("default of"):
                branch.add(_plain(f"{path} = {_value(part.settings, path)}  ← {origin}"))
    return tree


def _value(found: Any, path: str) -> str:
    import json  # noqa: PLC0415 - only for people

    for key in path.split("."):
        if not isinstance(found, dict) or key not in found:
            return "…"  # a key with a dot in it
        found = found[key]
    return json.dumps(found, ensure_ascii=False)


def _modules(label: str, modules: Iterable[DeferredModule]) -> Tree:
    tree = _tree(label)
    for module in modules:
        tree.add(_plain(f"{module.key}  ← {module.origin}"))
    return tree
