"""`clanpy modules`: the aspects of the fleet, the files that write them and the machines that import them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clanpy.cli.context import Json, new_app, open_fleet, print_json
from clanpy.cli.tables import add_row, new_table, new_tree, plain, print_parts


if TYPE_CHECKING:
    from clanpy.inventory.catalogue import Entry
    from clanpy.inventory.model import Fleet

app = new_app("Show aspects: who writes them, who imports them.")
_CLASS = typer.Option("--class", help="Only aspects of this class: nixos, darwin or home", show_default=False)


@app.callback()
def _modules() -> None:
    """Show aspects: who writes them, who imports them."""


@app.command("list")
def list_(ctx: typer.Context, *, class_: Annotated[str | None, _CLASS] = None, json: Json = False) -> None:
    """List the aspects with their files and the number of machines that import them."""
    from clanpy.inventory.catalogue import catalogue  # noqa: PLC0415 - rooms are imported when a command runs

    fleet = open_fleet(ctx)
    found = catalogue(fleet, class_=class_)
    if json:
        print_json({"schema": "clanpy.modules/1", "modules": [entry.to_dict(fleet) for entry in found]})
    else:
        print_parts(ctx, [_list(fleet, found)])


@app.command()
def show(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The aspect")],
    *,
    class_: Annotated[str | None, _CLASS] = None,
    json: Json = False,
) -> None:
    """Show one aspect, in each class it exists in: its files, and who imports it and why."""
    from clanpy.inventory.catalogue import catalogue  # noqa: PLC0415 - rooms are imported when a command runs

    fleet = open_fleet(ctx)
    found = catalogue(fleet, name, class_)
    if json:
        print_json({"schema": "clanpy.modules/1", "modules": [entry.to_dict(fleet) for entry in found]})
    else:
        print_parts(ctx, [_view(fleet, entry) for entry in found])


def _list(fleet: Fleet, found: Iterable[Entry]) -> Any:
    table = new_table("class", "aspect", "imported by", "files")
    for entry in found:
        data = entry.to_dict(fleet)
        add_row(table, data["class"], data["name"], _count(entry), " ".join(data["files"]))
    return table


def _count(entry: Entry) -> str:
    if entry.aspect.class_ == "home":
        return (
            f"{len(entry.imports)} {'person' if len(entry.imports) == 1 else 'people'}" if entry.imports else "nobody"
        )
    number = len(entry.machines)
    return f"{number} machine{'' if number == 1 else 's'}" if number else "nobody"


def _view(fleet: Fleet, entry: Entry) -> Any:
    data = entry.to_dict(fleet)
    tree = new_tree(f"{data['class']}.{data['name']}")
    files = tree.add("files")
    for file in data["files"]:
        files.add(plain(file))
    imports = tree.add("imported by" if data["imports"] else "imported by nobody")
    for found in data["imports"]:
        machines = f": {' '.join(found['machines'])}" if found["machines"] else ""
        imports.add(plain(f"{found['why']}{machines}  ← {found['place']}"))
    return tree
