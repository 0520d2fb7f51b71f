"""`clanpy secrets`: who can read the fleet's secrets, and with which keys."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clanpy.cli.complete import complete_machines
from clanpy.cli.context import Json, fleet_root, new_app, open_fleet, print_json, print_lines, say
from clanpy.cli.vars import open_session, show_findings, show_fixed


if TYPE_CHECKING:
    from clanpy.secrets import AccessFolder, PublicKey, Reader, Tree

app = new_app("Say who can read the fleet's secrets, and with which keys.")
users = new_app("People who can read secrets.")
machines = new_app("Machines and their public keys.")
groups = new_app("Groups of people and machines.")
key = new_app("Your own private keys, and those of machines.")
app.add_typer(users, name="users")
app.add_typer(machines, name="machines")
app.add_typer(groups, name="groups")
app.add_typer(key, name="key")

Name = Annotated[str, typer.Argument(help="Name", show_default=False)]
AgeKeys = Annotated[
    list[str] | None, typer.Option("--age-key", help="Public key: age1… or ssh-… (repeatable)", show_default=False)
]
PgpKeys = Annotated[list[str] | None, typer.Option("--pgp-key", help="Fingerprint (repeatable)", show_default=False)]
Force = Annotated[bool, typer.Option("-f", "--force", help="Replace the keys that are there")]
Users = Annotated[list[str] | None, typer.Option("--user", help="User (repeatable)", show_default=False)]
Machines = Annotated[list[str] | None, typer.Option("--machine", help="Machine (repeatable)", show_default=False)]
_FIX = "`clanpy vars fix` re-encrypts to the readers there are now"


@app.callback()
def _secrets() -> None:
    """Say who can read the fleet's secrets, and with which keys."""


@users.command("list")
def list_users(ctx: typer.Context, *, json: Json = False) -> None:
    """List users and their public keys."""
    _list(ctx, "users", json=json)


@machines.command("list")
def list_machines(ctx: typer.Context, *, json: Json = False) -> None:
    """List machines and their public keys."""
    _list(ctx, "machines", json=json)


@groups.command("list")
def list_groups(ctx: typer.Context, *, json: Json = False) -> None:
    """List groups and their members."""
    from clanpy.secrets import ReaderKind  # noqa: PLC0415 - rooms are imported when a command runs

    access = _access(ctx)
    found = {name: [str(member) for member in access.members(name)] for name in access.names(ReaderKind.GROUP)}
    if json:
        print_json(found)
    else:
        print_lines(f"{name}: {', '.join(members)}" for name, members in found.items())


@users.command("add")
def add_user(
    ctx: typer.Context, name: Name, *, age_key: AgeKeys = None, pgp_key: PgpKeys = None, force: Force = False
) -> None:
    """Add a user with public keys, or replace the keys of one."""
    _add(ctx, "users", name, _keys(age_key, pgp_key), force=force)


@machines.command("add")
def add_machine(
    ctx: typer.Context, name: Name, *, age_key: AgeKeys = None, pgp_key: PgpKeys = None, force: Force = False
) -> None:
    """Add a machine with a public key of its own (its ssh host key, for example)."""
    _add(ctx, "machines", name, _keys(age_key, pgp_key), force=force)


@groups.command("add")
def add_group(ctx: typer.Context, name: Name, *, user: Users = None, machine: Machines = None) -> None:
    """Add people and machines to a group; it is made when it is not there."""
    _change_group(ctx, name, add=_members(user, machine))


@users.command("remove")
def remove_user(ctx: typer.Context, name: Name) -> None:
    """Remove a user from everywhere but the ciphertexts: those are for `vars fix`."""
    _remove(ctx, "users", name)


@machines.command("remove")
def remove_machine(ctx: typer.Context, name: Name) -> None:
    """Remove a machine's public and private key. Machines whose name begins the same are not touched."""
    _remove(ctx, "machines", name)


@groups.command("remove")
def remove_group(ctx: typer.Context, name: Name, *, user: Users = None, machine: Machines = None) -> None:
    """Remove people and machines from a group, or the group itself when none are named."""
    if user or machine:
        _change_group(ctx, name, remove=_members(user, machine))
    else:
        _remove(ctx, "groups", name)


@key.command("generate")
def generate_key() -> None:
    """Make a private key and print the public one. `clanpy vars keygen` also registers it."""
    from clanpy.generators.people import make_key  # noqa: PLC0415 - rooms are imported when a command runs

    public, path = make_key(os.environ, Path.home())
    say(f"the private key is in {path}: keep a copy of it in a safe place")
    print_lines([public])


@key.command("show")
def show_keys(*, json: Json = False) -> None:
    """Show the public keys of the private keys at hand, and where those were found."""
    from clanpy.secrets import load_keyring  # noqa: PLC0415 - rooms are imported when a command runs

    keyring = load_keyring()
    found = [{"public": i.recipient, "origin": i.origin} for i in keyring.identities]
    if json:
        print_json({"keys": found, "skipped": list(keyring.skipped)})
        return
    print_lines(f"{item['public'] or '(a key of a plugin)'}  {item['origin']}" for item in found)
    for line in keyring.skipped:
        say(f"not used: {line}")


@key.command("rotate")
def rotate_key(
    ctx: typer.Context,
    user: Annotated[str | None, typer.Option(help="Whose key (default: whoever the keys at hand belong to)")] = None,
    *,
    machine: Annotated[str | None, typer.Option(help="The key of this machine instead", show_default=False)] = None,
    json: Json = False,
) -> None:
    """Exchange your key, or that of a machine, for a new one and re-encrypt all that it can read, at once."""
    from clanpy.generators.people import (  # noqa: PLC0415 - rooms are imported when a command runs
        rotate_machine_key,
        rotate_user_key,
    )

    if machine is not None:
        public, fixed = asyncio.run(rotate_machine_key(open_session(ctx), machine))
        say(f"the new key of {machine} is {public}; `clanpy vars upload {machine}` brings it there")
        show_fixed(fixed, json=json)
        return
    public, fixed = asyncio.run(rotate_user_key(open_session(ctx), user, environment=os.environ, home=Path.home()))
    say(f"the new key is {public}; the old one stays in your key file, since only it opens what git remembers")
    show_fixed(fixed, json=json)


@app.command()
def check(ctx: typer.Context, *, json: Json = False) -> None:
    """Hold all that says who can read what against each other. Exit code 1 if it disagrees."""
    from clanpy.generators.contexts import check_contexts  # noqa: PLC0415 - rooms are imported when a command runs

    show_findings(check_contexts(open_session(ctx)), json=json)


@app.command()
def audit(
    ctx: typer.Context,
    *,
    history: Annotated[bool, typer.Option("--history", help="When access was given and taken, from git")] = False,
    json: Json = False,
) -> None:
    """Say who can read what, or how that came to be."""
    from clanpy.generators.legacy import legacy_audit  # noqa: PLC0415 - the same
    from clanpy.secrets.audit import audit as look  # noqa: PLC0415 - rooms are imported when a command runs
    from clanpy.secrets.audit import history as remember  # noqa: PLC0415 - the same

    if history:
        changes = remember(fleet_root(ctx))
        if json:
            print_json([change.to_dict() for change in changes])
        else:
            print_lines(
                f"{c.when:%Y-%m-%d} {c.commit[:10]} {c.author}: {'given to' if c.given else 'taken from'} {c.reader}: {c.folder}"
                for c in changes
            )
        return
    session = open_session(ctx)
    readables = (*look(session.store.secrets, session.access), *legacy_audit(session))
    found = [readable.to_dict() for readable in readables]
    if json:
        print_json({"schema": "clanpy.audit/1", "secrets": found})
        return
    for item in found:
        readers = [*(f"user {u}" for u in item["users"]), *(f"machine {m}" for m in item["machines"])]
        readers += [f"unknown key {k}" for k in item["unknown_keys"]]
        print_lines([f"{item['secret']}: {item['problem'] or ', '.join(readers)}"])


@app.command()
def migrate(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="A sops file in JSON, YAML, dotenv or INI", show_default=False)],
    place: Annotated[str, typer.Argument(help="Where the value is in it: a/b/0", metavar="KEY", show_default=False)],
    machine: Annotated[
        str,
        typer.Argument(help="A machine, or a selection of one", autocompletion=complete_machines, show_default=False),
    ],
    name: Annotated[str, typer.Argument(help="GENERATOR/FILE that it becomes", show_default=False)],
) -> None:
    """Turn a value of an older sops file into a var. The file stays as it is."""
    from clanpy.errors import nearest  # noqa: PLC0415 - rooms are imported when a command runs
    from clanpy.generators.values import put  # noqa: PLC0415 - the same
    from clanpy.machines import select_one  # noqa: PLC0415 - the same
    from clanpy.secrets.errors import SecretNotFoundError  # noqa: PLC0415 - the same
    from clanpy.secrets.structured import read_structured  # noqa: PLC0415 - the same

    fleet = open_fleet(ctx)
    session, chosen = open_session(ctx, fleet), select_one(fleet, machine).name
    values = read_structured(file, session.keyring)
    if place not in values:
        raise SecretNotFoundError(f"{file} has no value {place!r}", hint=nearest(place, values))
    changed = asyncio.run(put(session, chosen, name, values[place]))
    say(f"{place} of {file} is {name} of {chosen} now ({len(changed)} files written)")


def _access(ctx: typer.Context) -> AccessFolder:
    from clanpy.secrets import AccessFolder, Tree  # noqa: PLC0415 - rooms are imported when a command runs

    root = fleet_root(ctx)
    Tree(root).settle()
    return AccessFolder(root)


def _tree(ctx: typer.Context) -> Tree:
    from clanpy.secrets import Tree  # noqa: PLC0415 - rooms are imported when a command runs

    return Tree(fleet_root(ctx))


def _reader(kind: str, name: str) -> Reader:
    from clanpy.secrets import Reader, ReaderKind  # noqa: PLC0415 - rooms are imported when a command runs

    return Reader(ReaderKind(kind), name)


def _list(ctx: typer.Context, kind: str, *, json: bool) -> None:
    from clanpy.secrets import ReaderKind  # noqa: PLC0415 - rooms are imported when a command runs

    access, of = _access(ctx), ReaderKind(kind)
    found = {name: [k.text for k in access.keys(_reader(kind, name))] for name in access.names(of)}
    if json:
        print_json(found)
    else:
        print_lines(f"{name}: {', '.join(keys) or '(no key)'}" for name, keys in found.items())


def _keys(age_keys: Iterable[str] | None, pgp_keys: Iterable[str] | None) -> list[PublicKey]:
    from clanpy.secrets import PublicKey  # noqa: PLC0415 - rooms are imported when a command runs

    return [*(PublicKey(k.strip()) for k in age_keys or ()), *(PublicKey(k.strip(), "pgp") for k in pgp_keys or ())]


def _members(names: Iterable[str] | None, hosts: Iterable[str] | None) -> set[Reader]:
    return {*(_reader("users", n) for n in names or ()), *(_reader("machines", n) for n in hosts or ())}


def _add(ctx: typer.Context, kind: str, name: str, keys: list[PublicKey], *, force: bool) -> None:
    from clanpy.secrets import AccessFolder  # noqa: PLC0415 - rooms are imported when a command runs
    from clanpy.secrets.errors import AccessError  # noqa: PLC0415 - the same

    tree, reader = _tree(ctx), _reader(kind, name)
    with tree.writing() as transaction:
        access = AccessFolder(tree.root)
        known = access.keys(reader)
        if known and set(known) != set(keys) and not force:
            raise AccessError(f"{reader} has other keys already", hint="`--force` replaces them")
        access.put_keys(transaction, reader, keys)
        changed = transaction.commit()
    say(f"{reader} was added: {_FIX}" if changed else f"{reader} is there already")


def _remove(ctx: typer.Context, kind: str, name: str) -> None:
    from clanpy.secrets import AccessFolder, ReaderKind  # noqa: PLC0415 - rooms are imported when a command runs
    from clanpy.secrets.store import machine_key_folder  # noqa: PLC0415 - the same

    tree, reader = _tree(ctx), _reader(kind, name)
    with tree.writing() as transaction:
        access = AccessFolder(tree.root)
        if name not in access.names(reader.kind):
            access.require(reader)
        access.remove(transaction, reader)
        if reader.kind is ReaderKind.MACHINE:
            transaction.remove(machine_key_folder(name))
        transaction.commit()
    say(f"{reader} was removed: {_FIX}")


def _change_group(
    ctx: typer.Context, name: str, *, add: set[Reader] | None = None, remove: set[Reader] | None = None
) -> None:
    from clanpy.secrets import AccessFolder  # noqa: PLC0415 - rooms are imported when a command runs
    from clanpy.secrets.errors import AccessError  # noqa: PLC0415 - the same

    if not add and not remove:
        raise AccessError(f"nobody was named for group {name}", hint="`--user` and `--machine` name members")
    tree = _tree(ctx)
    with tree.writing() as transaction:
        access = AccessFolder(tree.root)
        before = set(access.members(name))
        if missing := sorted((remove or set()) - before):
            raise AccessError(f"{missing[0]} is not in group {name}")
        after = (before | (add or set())) - (remove or set())
        access.put_members(transaction, name, after)
        transaction.commit()
    say(f"group {name} has {len(after)} members: {_FIX}")
