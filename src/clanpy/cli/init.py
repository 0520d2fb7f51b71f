"""`clanpy init`: a new fleet."""

from __future__ import annotations

import asyncio
import getpass
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clanpy.cli.context import Json, new_app, print_json, print_lines, say
from clanpy.errors import Place, UsageError


if TYPE_CHECKING:
    from collections.abc import Sequence

app = new_app("Make a new fleet.")
_KEYS = ("id_ed25519.pub", "id_ecdsa.pub", "id_rsa.pub")


@app.command()
def init(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="DIR", help="Where to: a folder that does not exist, or is empty", show_default=False),
    ] = None,
    *,
    from_clan: Annotated[
        Path | None,
        typer.Option(
            "--from-clan",
            metavar="CLAN",
            help="Make a fleet of a clan: there, where it is, or as a copy in DIR",
            show_default=False,
        ),
    ] = None,
    user: Annotated[str | None, typer.Option(help="Account of who looks after it (default: yours)")] = None,
    ssh_key: Annotated[
        Path | None, typer.Option(help="File with their public key (default: yours, if there is one)", metavar="FILE")
    ] = None,
    no_vars: Annotated[
        bool, typer.Option("--no-vars", help="Leave the secrets to `clanpy vars keygen` and `clanpy vars generate`")
    ] = False,
    json: Json = False,
) -> None:
    """Make a new fleet of three machines, one of them with macOS, that deploys to a lab as it is; or one of a clan.

    Its secrets (host keys, passwords) are made as well, encrypted to your key for secrets; where there is none at hand, one is
    made for you.
    """
    if from_clan is not None:
        _adopt(from_clan, folder, as_json=json)
        return
    if folder is None:
        raise UsageError("where to?", hint="clanpy init DIR")
    from clanpy.inventory.skeleton import make_fleet  # noqa: PLC0415 - rooms are imported when a command runs

    person = user or _own_account()
    files = make_fleet(folder, user=person, ssh_keys=_public_keys(ssh_key))
    names = [file.relative_to(folder).as_posix() for file in files]
    if not json:
        print_lines(str(file) for file in files)
    changed, is_ready = ((), False) if no_vars else _make_vars(folder, person)
    if json:
        names += [name for name in changed if name not in names]
        print_json({"schema": "clanpy.init/1", "fleet": str(folder.absolute()), "files": names})
        return
    then = "" if is_ready else "clanpy vars keygen && clanpy vars generate && "
    say(f"\nnext: cd {folder} && clanpy check && {then}clanpy lab up && clanpy machines update --lab")


def _make_vars(folder: Path, person: str) -> tuple[Sequence[str], bool]:
    """Register the person's key with the new fleet, and make its secrets. Gives the files, and whether all of it could be done."""
    from clanpy.errors import ClanpyError  # noqa: PLC0415 - rooms are imported when a command runs
    from clanpy.generators.fleet import read_fleet  # noqa: PLC0415 - as above
    from clanpy.generators.people import keygen  # noqa: PLC0415 - as above
    from clanpy.inventory import load  # noqa: PLC0415 - as above
    from clanpy.vars import How, Session, Wanted, generate  # noqa: PLC0415 - as above

    try:
        found = read_fleet(load(folder))
        session = Session.open(found.context, backend=found.backend)
        key = asyncio.run(keygen(session, person, environment=os.environ, home=Path.home()))
        if key.created is not None:
            say(f"made a new private key in {key.created}: keep a copy of it in a safe place")
        session = Session.open(found.context, backend=found.backend)
        done = asyncio.run(generate(session, Wanted(machines=tuple(found.context.machines)), How()))
    except ClanpyError as error:
        say(f"warning: its secrets could not be made: {error} ({error.code})")
        return (), False
    say(f"made its secrets, encrypted to {key.public}")
    return done.changed, True


def _adopt(clan: Path, folder: Path | None, *, as_json: bool) -> None:
    """Take a clan over, and say what needs a hand."""
    from clanpy.inventory.adopt import adopt  # noqa: PLC0415 - rooms are imported when a command runs

    done = adopt(clan, folder)
    if as_json:
        print_json(done.to_dict())
        return
    found = ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in done.counts.items() if count)
    print_lines([str(done.root / file) for file in done.written])
    say(f"\nfound: {found}")
    for hand in done.hands:
        say(f"\n{hand.place}: {hand.message}" if hand.place else f"\n{hand.message}")
        if hand.hint:
            say(f"  hint: {hand.hint}")
    said = f"{len(done.hands)} thing{'s need' if len(done.hands) != 1 else ' needs'} a hand"
    say(f"\n{said if done.hands else 'nothing needs a hand'}; next: cd {done.root} && clanpy check")


def _own_account() -> str:
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # an account without a name: in some containers
        return "admin"
    return "admin" if name == "root" else name


def _public_keys(given: Path | None) -> list[str]:
    found = (
        [given] if given is not None else [path for name in _KEYS if (path := Path.home() / ".ssh" / name).is_file()]
    )
    try:
        lines = [path.read_text(encoding="utf-8").strip() for path in found[:1]]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("can't read the public key", place=Place(str(found[0])), details=(str(error),)) from error
    if any("PRIVATE KEY" in line or "\n" in line or not line for line in lines):
        raise UsageError("is not a public key", place=Place(str(found[0])), hint="its name ends in .pub")
    return lines
