"""`clanpy init`: a new fleet."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Annotated

import typer

from clanpy.cli.context import Json, new_app, print_json, print_lines, say
from clanpy.errors import Place, UsageError


app = new_app("Make a new fleet.")
_KEYS = ("id_ed25519.pub", "id_ecdsa.pub", "id_rsa.pub")


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to: a folder that does not exist, or is empty")],
    *,
    user: Annotated[str | None, typer.Option(help="Account of who looks after it (default: yours)")] = None,
    ssh_key: Annotated[
        Path | None, typer.Option(help="File with their public key (default: yours, if there is one)", metavar="FILE")
    ] = None,
    json: Json = False,
) -> None:
    """Make a new fleet of three machines, one of them with macOS, that deploys to a lab as it is."""
    from clanpy.inventory.skeleton import make_fleet  # noqa: PLC0415 - rooms are imported when a command runs

    files = make_fleet(folder, user=user or _own_account(), ssh_keys=_public_keys(ssh_key))
    names = [file.relative_to(folder).as_posix() for file in files]
    if json:
        print_json({"schema": "clanpy.init/1", "fleet": str(folder.absolute()), "files": names})
        return
    print_lines(str(file) for file in files)
    say(f"\nnext: cd {folder} && clanpy check && clanpy lab up && clanpy machines update --lab")


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
