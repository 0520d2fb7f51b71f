"""Editing the inventory: `machines create|rename|delete`, `inventory set|unset`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from clanpy.cli.complete import complete_machines
from clanpy.cli.context import DryRun, Json, Yes, fleet_root, print_json, print_lines, say, split_tags
from clanpy.errors import UsageError


if TYPE_CHECKING:
    from clanpy.inventory.editing import Editor, Plan


class MachineClass(StrEnum):
    """What a machine runs."""

    NIXOS = "nixos"
    DARWIN = "darwin"


_SYSTEMS = {MachineClass.NIXOS: "x86_64-linux", MachineClass.DARWIN: "aarch64-darwin"}

Force = Annotated[bool, typer.Option("--force", help="Write it even when the fleet has new errors then")]
File = Annotated[
    str | None,
    typer.Option("--file", metavar="FILE", help="The TOML file to write to, as the fleet names it", show_default=False),
]
Path_ = Annotated[str, typer.Argument(help="A path as in TOML, such as machines.web.tags", show_default=False)]
Old = Annotated[
    str, typer.Argument(help="The machine", autocompletion=complete_machines, show_default=False, metavar="NAME")
]


def _text(help_: str, name: str) -> Any:
    return typer.Option(name, help=help_, show_default=False)


def set_(
    ctx: typer.Context,
    path: Path_,
    value: Annotated[str, typer.Argument(help="The value as in TOML; a bare word is a string", show_default=False)],
    *,
    file: File = None,
    dry_run: DryRun = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Set a value in the file that says it (else in inventory.toml). Comments and order stay; wrong types are refused.

    A value that begins with a minus is written behind `--`.
    """
    from clanpy.inventory import editing  # noqa: PLC0415 - rooms are imported when a command runs

    root, where, what = fleet_root(ctx), editing.path_of(path), editing.value_of(value)
    carry_out(ctx, lambda: editing.set_value(root, where, what, file=file), How(dry_run, force, as_json))


def unset(
    ctx: typer.Context,
    path: Path_,
    *,
    file: File = None,
    dry_run: DryRun = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Take a value out of the file that says it, so that the default counts again."""
    from clanpy.inventory import editing  # noqa: PLC0415 - rooms are imported when a command runs

    root, where = fleet_root(ctx), editing.path_of(path)
    carry_out(ctx, lambda: editing.unset_value(root, where, file=file), How(dry_run, force, as_json))


def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The name of the new machine", show_default=False)],
    *,
    class_: Annotated[MachineClass | None, typer.Option("--class", help="What it runs", show_default=False)] = None,
    system: Annotated[str | None, _text("Processor and kernel (default: from the class)", "--system")] = None,
    tags: Annotated[str | None, typer.Option("--tags", help="Tags that it carries", metavar="A,B")] = None,
    imports: Annotated[str | None, typer.Option("--imports", help="Aspects that it imports", metavar="A,B")] = None,
    target_host: Annotated[str | None, _text("Where it is reached: [user@]host[:port]", "--target-host")] = None,
    type_: Annotated[str | None, _text("What kind of machine it is, in your own words", "--type")] = None,
    primary_user: Annotated[str | None, _text("The person who uses it", "--primary-user")] = None,
    description: Annotated[str | None, _text("What it is for, in a sentence", "--description")] = None,
    file: File = None,
    files: Annotated[bool, typer.Option("--files/--no-files", help="Write machines/NAME/configuration.nix")] = True,
    dry_run: DryRun = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Add a machine to the inventory, with a first configuration.nix."""
    from clanpy.inventory import editing  # noqa: PLC0415 - rooms are imported when a command runs

    if class_ is None:
        class_ = MachineClass.DARWIN if (system or "").endswith("-darwin") else MachineClass.NIXOS
    fields = {
        "description": description,
        "class": class_.value,
        "system": system or _SYSTEMS[class_],
        "type": type_,
        "primary_user": primary_user,
        "tags": list(split_tags(tags)),
        "imports": list(split_tags(imports)),
        "deploy": {"target_host": target_host} if target_host else None,
    }
    given = {key: value for key, value in fields.items() if value}
    root = fleet_root(ctx)
    new = editing.NewMachine(name=name, fields=given, file=file, with_files=files)
    carry_out(ctx, lambda: editing.create(root, new), How(dry_run, force, as_json))


def rename(
    ctx: typer.Context,
    name: Old,
    to: Annotated[str, typer.Argument(help="Its new name", show_default=False)],
    *,
    dry_run: DryRun = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Give a machine another name everywhere: entry, members of roles and tags, folder, values, keys. All of it or nothing."""
    from clanpy.inventory import editing  # noqa: PLC0415 - rooms are imported when a command runs

    root = fleet_root(ctx)
    carry_out(ctx, lambda: editing.rename(root, name, to), How(dry_run, force, as_json))


def delete(
    ctx: typer.Context,
    name: Old,
    *,
    yes: Yes = False,
    dry_run: DryRun = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Forget a machine: its entry, what names it, its folder, its values and keys. Asks first."""
    from clanpy.inventory import editing  # noqa: PLC0415 - rooms are imported when a command runs

    root = fleet_root(ctx)
    agreed = None if yes or dry_run else _agreed(editing.delete(root, name), name)
    carry_out(ctx, lambda: editing.delete(root, name), How(dry_run, force, as_json), agreed)


def _agreed(plan: Plan, name: str) -> Plan:
    """Show what would go, and ask. Where there is nobody to ask, --yes has to be said."""
    from clanpy.cli.asking import DeclinedError  # noqa: PLC0415 - only to ask

    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"deleting '{name}' can't be undone by clanpy", hint="say --yes, or look at it with --dry-run")
    for line in plan.diff():
        say(line)
    if not typer.confirm(f"Delete the machine '{name}'?", err=True):
        raise DeclinedError("nothing was done", hint="--yes does it without asking")
    return plan


class How(NamedTuple):
    """What the commands share."""

    dry_run: bool
    force: bool
    as_json: bool


def carry_out(ctx: typer.Context, make: Callable[[], Plan], how: How, agreed: Plan | None = None) -> None:
    """Show an edit, or do it and say what was done."""
    from clanpy.inventory import editing  # noqa: PLC0415 - rooms are imported when a command runs

    if how.dry_run:
        plan = make()
        if not (how.force or plan.is_empty):
            editing.check(plan)
    else:
        plan = _editor(ctx).run(make, force=how.force, agreed=agreed)
    if how.as_json:
        print_json(plan.to_dict(is_done=not how.dry_run))
        return
    for note in plan.notes:
        say(f"note: {note}")
    if plan.is_empty:
        say("nothing changes")
    elif how.dry_run:
        print_lines(plan.diff())
    else:
        print_lines(_summary(plan))


def _editor(ctx: typer.Context) -> Editor:
    from clanpy.inventory.editing import Editor  # noqa: PLC0415 - rooms are imported when a command runs

    return Editor(fleet_root(ctx))


def _summary(plan: Plan) -> list[str]:
    lines = [
        f"{'wrote' if file.before is None else 'changed'} {file.path}"
        for file in plan.files
        if file.before != file.after
    ]
    lines += [f"moved {move}" for move in plan.moves()]
    return lines + [f"removed {path}" for path in plan.removed]
