"""`clanpy inventory`: what the fleet's files say, and what they mean for one machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clanpy.cli import editing, graph
from clanpy.cli import members as roles
from clanpy.cli.complete import complete_machines
from clanpy.cli.context import Json, fleet_root, new_app, open_fleet, print_json, print_lines, settings
from clanpy.cli.tables import add_row, new_table, new_tree, plain, print_parts
from clanpy.errors import FleetNotFoundError


if TYPE_CHECKING:
    from pathlib import Path

    from rich.tree import Tree

    from clanpy.inventory.explain import Explained
    from clanpy.inventory.model import Fleet, HostConfig, Instance, Membership
    from clanpy.modules.deferred import DeferredModule

app = new_app("Show what the fleet's files say.")
_PLAIN = 100  # the priority of what is written without any
_LONG = 200  # of a value on a screen


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
    from clanpy.machines import select_one  # noqa: PLC0415 - the same

    fleet = open_fleet(ctx)
    if machine is None:
        if json:
            print_json(inventory.show_fleet(fleet))
        else:
            print_parts(ctx, _fleet_view(fleet))
        return
    host = inventory.resolve(fleet, select_one(fleet, machine).name)
    if json:
        print_json(inventory.show_host(host, fleet.root))
    else:
        print_parts(ctx, _host_view(host))


@app.command()
def explain(
    ctx: typer.Context,
    path: Annotated[str, typer.Argument(help="A path as in TOML, such as machines.web.tags", show_default=False)],
    *,
    json: Json = False,
) -> None:
    """Say why something of the fleet is what it is: its value, every definition with its place, and what was dropped."""
    from clanpy.inventory.explain import explain as explained  # noqa: PLC0415 - rooms are imported when a command runs
    from clanpy.inventory.loading import load_all  # noqa: PLC0415 - as above

    found = explained(load_all(fleet_root(ctx)).fleet, path)  # also of a fleet with errors: they may be why it is asked
    if json:
        print_json(found.to_dict())
    else:
        print_lines(_explanation(found))


@app.command()
def schema(ctx: typer.Context) -> None:
    """Print a JSON Schema of inventory.toml, for editors; in a fleet, with the options that its modules declare."""
    from clanpy.inventory import reference  # noqa: PLC0415 - rooms are imported when a command runs

    root = _root_if_any(ctx)
    print_json(reference.json_schema(None if root is None else reference.of_fleet(root)))


@app.command()
def options(ctx: typer.Context, *, json: Json = False) -> None:
    """Print the reference of every option, as Markdown; in a fleet, with those that its modules declare and their files."""
    from clanpy.inventory import reference  # noqa: PLC0415 - rooms are imported when a command runs

    root = _root_if_any(ctx)
    found = reference.options(None if root is None else reference.of_fleet(root))
    if json:
        print_json({"schema": "clanpy.options/1", "options": reference.option_rows(found, root)})
    else:
        print_lines([reference.option_reference(found, root)])


def _root_if_any(ctx: typer.Context) -> Path | None:
    """The folder of the fleet, where there is one."""
    try:
        return fleet_root(ctx)
    except FleetNotFoundError:
        if settings(ctx).fleet is not None:  # somebody has said where it is
            raise
        return None


app.command()(graph.graph)
app.command()(roles.members)
app.command("settings")(roles.settings_)
app.command()(roles.of)
app.command()(roles.add)
app.command()(roles.remove)
app.command("set")(editing.set_)
app.command()(editing.unset)


def _explanation(found: Explained) -> Iterator[str]:
    yield f"{found.path} = {_json(found.value)}"
    if found.description:
        yield f"  {found.description}"
    if found.type:
        yield f"  type: {found.type}"
    for line in found.definitions:
        where = line.place or "clanpy"
        reason = "" if line.dropped is None else f"  (dropped: {line.dropped})"
        priority = "" if line.priority == _PLAIN else f"  (priority {line.priority})"
        why = "" if line.why is None else f"  ({line.why})"
        yield f"  {'-' if line.dropped else '+'} {where}: {_json(line.value)}{reason or priority}{why}"
    if not found.definitions:
        yield "  nobody says so: it is the default"
    if found.problem:
        yield f"  problem: {found.problem}"


def _json(value: Any) -> str:
    import json  # noqa: PLC0415 - only for people

    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONG else f"{text[: _LONG - 1]}…"


def _fleet_view(fleet: Fleet) -> Iterator[Any]:
    meta = fleet.meta
    yield plain(f"{meta.name} ({meta.domain})" + (f": {meta.description}" if meta.description else ""))
    yield ""
    machines = new_table("machine", "class", "system", "type", "target", "tags")
    for machine in fleet.machines.values():
        host = machine.deploy.target_host
        add_row(machines, machine.name, machine.class_, machine.system, machine.type, host, " ".join(machine.tags))
    yield machines
    yield ""
    users = new_table("user", "name", "also called", "home")
    for user in fleet.users.values():
        add_row(users, user.name, user.full_name, " ".join(user.aliases), " ".join(user.imports))
    yield users
    yield ""
    tags = new_table("tag", "machines", "selected by", "imports")
    for tag, members in fleet.tags.items():
        record = fleet.tag_records.get(tag)
        add_row(
            tags, tag, " ".join(members), record.select if record else "", " ".join(record.imports) if record else ""
        )
    yield tags
    yield ""
    instances = new_table("instance", "service", "role", "machines")
    for instance in fleet.instances.values():
        for row in _instance_rows(fleet, instance):
            add_row(instances, *row)
    yield instances


def _instance_rows(fleet: Fleet, instance: Instance) -> Iterator[tuple[str, str, str, str]]:
    from clanpy.inventory.matching import role_members  # noqa: PLC0415 - only for people

    service = instance.service if instance.input is None else f"{instance.service} ({instance.input})"
    for name, role in instance.roles.items():
        yield instance.name, service, name, " ".join(role_members(fleet, role))


def _host_view(host: HostConfig) -> Iterator[Any]:
    machine = host.machine
    yield plain(f"{machine.name}.{host.domain}" + (f": {machine.description}" if machine.description else ""))
    facts = new_table("", "")
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
            facts.add_row(plain(f"  {label}"), plain(value))
    yield facts
    yield ""
    yield _memberships(host.memberships)
    yield ""
    users = new_table("account", "person", "home", "configuration of the home", "admin")
    for user in host.users:
        add_row(users, user.account, user.user, user.home, user.home_manager, "yes" if user.admin else "no")
    yield users
    yield ""
    if host.gates:
        gates = new_table("gate", "type", "passed after", "said by")
        for gate in host.gates:
            add_row(gates, gate.name, gate.type, f"{gate.successes} in {gate.timeout:g} s", ", ".join(gate.origin))
        yield gates
        yield ""
    yield _modules(f"modules of class {machine.class_}, in order", host.modules)
    for account, modules in host.homes.items():
        yield _modules(f"modules of class home for {account}, in order", modules)


def _memberships(parts: Iterable[Membership]) -> Tree:
    tree = new_tree("roles")
    for part in parts:
        branch = tree.add(plain(f"{part.instance}: {part.role} of {part.service}"))
        if part.note:
            branch.add(plain(part.note))
        for path, origin in part.origins.items():
            if not origin.startswith("default of"):
                branch.add(plain(f"{path} = {_value(part.settings, path)}  ← {origin}"))
    return tree


def _value(found: Any, path: str) -> str:
    import json  # noqa: PLC0415 - only for people

    for key in path.split("."):
        if not isinstance(found, dict) or key not in found:
            return "…"  # a key with a dot in it
        found = found[key]
    return json.dumps(found, ensure_ascii=False)


def _modules(label: str, modules: Iterable[DeferredModule]) -> Tree:
    tree = new_tree(label)
    for module in modules:
        tree.add(plain(f"{module.key}  ← {module.origin}"))
    return tree
