"""`clanpy users`: the people of the fleet, their accounts and keys, and what removing one of them means."""

from __future__ import annotations

import sys
from collections import defaultdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clanpy.cli.complete import complete_users
from clanpy.cli.context import (
    DryRun,
    Json,
    Yes,
    fleet_root,
    new_app,
    open_fleet,
    print_json,
    print_lines,
    say,
    settings,
    split_tags,
    uses_colour,
)
from clanpy.cli.editing import File, Force, How, carry_out
from clanpy.errors import UsageError


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from clanpy.inventory.model import Fleet, User
    from clanpy.inventory.people import Presence

app = new_app("Show the people of the fleet, their accounts and keys; add and remove them.")


class Shell(StrEnum):
    """A login shell."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


Name = Annotated[
    str, typer.Argument(help="A person, or an alias of one", autocompletion=complete_users, show_default=False)
]
_Names = Annotated[
    list[str] | None,
    typer.Argument(help="People, by name or alias (default: all)", autocompletion=complete_users, show_default=False),
]


def _text(name: str, help_: str, **more: Any) -> Any:
    return typer.Option(name, help=help_, show_default=False, **more)


@app.callback()
def _users() -> None:
    """Show the people of the fleet, their accounts and keys; add and remove them."""


@app.command("list")
def list_(ctx: typer.Context, *, json: Json = False) -> None:
    """List people, and on which machines they have accounts."""
    fleet = open_fleet(ctx)
    by_user = _by_user(fleet)
    if json:
        print_json({"schema": "clanpy.users/1", "users": [_dict(u, by_user[u.name]) for u in fleet.users.values()]})
        return
    rows = [
        (
            user.name,
            user.full_name or "",
            ", ".join(user.aliases),
            ", ".join(user.groups),
            ", ".join(dict.fromkeys(one.machine for one in by_user[user.name])),
        )
        for user in fleet.users.values()
    ]
    from clanpy.ui.table import table_lines  # noqa: PLC0415 - only for people

    head = ("USER", "FULL NAME", "ALIASES", "GROUPS", "MACHINES")
    print_lines(table_lines(head, rows, colour=uses_colour(settings(ctx).colour, sys.stdout)))


@app.command()
def show(ctx: typer.Context, name: Name, *, json: Json = False) -> None:
    """Show a person: the entry, the keys, and every account with its home."""
    from clanpy.inventory.people import person  # noqa: PLC0415 - rooms are imported when a command runs

    fleet = open_fleet(ctx)
    user = person(fleet, name)
    found = _by_user(fleet)[user.name]
    if json:
        print_json({"schema": "clanpy.users/1", **_dict(user, found)})
    else:
        print_lines(_shown(user, found))


@app.command()
def keys(
    ctx: typer.Context,
    names: _Names = None,
    *,
    group: Annotated[str | None, _text("--group", "Only people of this group")] = None,
    json: Json = False,
) -> None:
    """Print the public SSH keys of people, one a line, as `authorized_people` gives them to machines."""
    from clanpy.inventory.people import chosen_people  # noqa: PLC0415 - rooms are imported when a command runs

    found = [(u.name, key) for u in chosen_people(open_fleet(ctx), names or (), group) for key in u.ssh_keys]
    if json:
        print_json({"schema": "clanpy.keys/1", "keys": [{"user": user, "key": key} for user, key in found]})
    else:
        print_lines(dict.fromkeys(key for _, key in found))


@app.command()
def add(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The name of the new person", show_default=False)],
    *,
    full_name: Annotated[str | None, _text("--full-name", "The name, as one writes it")] = None,
    email: Annotated[str | None, _text("--email", "Where they get mail")] = None,
    github: Annotated[str | None, _text("--github", "Their name at GitHub")] = None,
    ssh_key: Annotated[list[str] | None, _text("--ssh-key", "A public key, as one line (repeatable)")] = None,
    aliases: Annotated[str | None, _text("--aliases", "Other names of their accounts", metavar="A,B")] = None,
    imports: Annotated[str | None, _text("--imports", "Aspects of their homes", metavar="A,B")] = None,
    groups: Annotated[str | None, _text("--groups", "Their groups", metavar="A,B")] = None,
    shell: Annotated[Shell | None, _text("--shell", "The login shell")] = None,
    uid: Annotated[int | None, _text("--uid", "The number of their accounts", min=0)] = None,
    file: File = None,
    dry_run: DryRun = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Add a person to the inventory. An account they get by an instance of the service `users`."""
    from clanpy.inventory.editing.people import add_user  # noqa: PLC0415 - rooms are imported when a command runs

    fields = {
        "full_name": full_name,
        "email": email,
        "github": github,
        "ssh_keys": list(ssh_key or ()),
        "aliases": list(split_tags(aliases)),
        "imports": list(split_tags(imports)),
        "groups": list(split_tags(groups)),
        "shell": shell.value if shell else None,
        "uid": uid,
    }
    given = {key: value for key, value in fields.items() if value not in (None, [])}
    root = fleet_root(ctx)
    carry_out(ctx, lambda: add_user(root, name, given, file=file), How(dry_run, force, as_json))


@app.command()
def remove(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The person", autocompletion=complete_users, show_default=False)],
    *,
    yes: Yes = False,
    dry_run: DryRun = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Forget a person: the entry, what gives them accounts, their keys for secrets. Shows what that means, and asks."""
    from clanpy.inventory.editing.people import remove_user  # noqa: PLC0415 - rooms are imported when a command runs

    root = fleet_root(ctx)
    plan = remove_user(root, name)
    for line in _meaning(ctx, name):
        say(line)
    agreed = None
    if not (yes or dry_run):
        _agree(name)
        agreed = plan
    carry_out(ctx, lambda: remove_user(root, name), How(dry_run, force, as_json), agreed)


def _agree(name: str) -> None:
    from clanpy.cli.asking import DeclinedError  # noqa: PLC0415 - only to ask

    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"removing '{name}' can't be undone by clanpy", hint="say --yes, or look at it with --dry-run")
    if not typer.confirm(f"Remove the person '{name}'?", err=True):
        raise DeclinedError("nothing was done", hint="--yes does it without asking")


def _meaning(ctx: typer.Context, name: str) -> Iterator[str]:
    """What removing a person means, for people."""
    from clanpy.inventory.editing.people import what_goes  # noqa: PLC0415 - rooms are imported when a command runs

    fleet = open_fleet(ctx)
    user = fleet.users[name]
    yield f"without {name}:"
    for one in _by_user(fleet)[name]:
        how = "goes with the next update" if one.managed else "stays: it is not made by the fleet"
        home = f", {one.home} stays" if one.managed else ""
        yield f"  account {one.account} on {one.machine}{' (admin)' if one.admin else ''} {how}{home}"
    for instance in what_goes(fleet, user).instances:
        yield f"  instance {instance} goes"
    yield from _known_to(ctx, fleet, {user.name, *user.aliases})


def _known_to(ctx: typer.Context, fleet: Fleet, names: set[str]) -> Iterator[str]:
    """The secrets that a person can read, and what certificates have to do with them."""
    has_key = any((fleet.root / "sops" / "users" / name).exists() for name in names)
    if not (has_key or (fleet.root / "vars").is_dir()):
        return
    from clanpy.cli.vars import open_session  # noqa: PLC0415 - rooms are imported when a command runs
    from clanpy.generators.certificates_of import certificates_of  # noqa: PLC0415 - the same
    from clanpy.secrets.audit import audit  # noqa: PLC0415 - the same
    from clanpy.secrets.layout import ReaderKind  # noqa: PLC0415 - the same

    session = open_session(ctx, fleet)
    secrets = [
        str(secret.folder)
        for secret in audit(session.store.secrets, session.access)
        if any(reader.kind is ReaderKind.USER and reader.name in names for reader in secret.readers)
    ]
    yield from (f"  could read {secret}" for secret in secrets)
    yield from (f"  {said}" for said in certificates_of(session.graph, session.store, names, secrets))
    if secrets:
        yield "  what they could read they may have kept: `clanpy vars generate --regenerate` makes values anew"


def _by_user(fleet: Fleet) -> Mapping[str, Sequence[Presence]]:
    from clanpy.inventory.people import presences  # noqa: PLC0415 - rooms are imported when a command runs

    found: dict[str, list[Presence]] = defaultdict(list)
    for one in presences(fleet):
        found[one.user].append(one)
    return found


def _dict(user: User, found: Sequence[Presence]) -> dict[str, Any]:
    from clanpy.inventory.show import user_dict  # noqa: PLC0415 - rooms are imported when a command runs

    return {"name": user.name, **user_dict(user), "accounts": [one.to_dict() for one in found]}


def _shown(user: User, found: Sequence[Presence]) -> Iterator[str]:
    yield user.name
    said = {
        "full name": user.full_name,
        "email": user.email,
        "github": user.github,
        "aliases": ", ".join(user.aliases),
        "groups": ", ".join(user.groups),
        "shell": user.shell,
        "uid": ", ".join(f"{number} ({class_})" for class_, number in user.uid.items()),
        "aspects": ", ".join(user.imports),
    }
    yield from (f"  {key}: {value}" for key, value in said.items() if value)
    yield from (f"  key: {key}" for key in user.ssh_keys)
    for one in found:
        words = [word for word, holds in (("admin", one.admin), ("not made here", not one.managed)) if holds]
        words += [f"home {one.home_manager}"] if one.home_manager else []
        words += [f"by {one.instance}" if one.instance else "no machine of the fleet"]
        yield f"  {one.account} on {one.machine}: {', '.join([one.home, *words])}"
