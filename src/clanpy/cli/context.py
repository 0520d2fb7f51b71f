"""What the commands share: the global settings, common options, and how data and text get out.

For a command module: make the app with `new_app`, take `ctx: typer.Context` and call `settings(ctx)`; print data with
`print_json` or `print_lines` (stdout is data only), everything else with `say` (stderr). Raise `ClanpyError`s: they are
told, with their exit codes, by `clanpy.cli.program`. Import heavy rooms inside the functions.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clanpy.cli.complete import complete_machines, complete_tags


if TYPE_CHECKING:
    from clanpy.inventory.model import Fleet
    from clanpy.lab import LabEnvironment


DEFAULT_LAB = "lab"  # what `--lab` means without a name


class ProgressMode(StrEnum):
    """How a run is shown while it goes on."""

    AUTO = "auto"
    TTY = "tty"
    PLAIN = "plain"
    JSON = "json"


class Colour(StrEnum):
    """Whether to use colours; `auto` asks the terminal, NO_COLOR and FORCE_COLOR."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class KeyCheck(StrEnum):
    """What a host key must be (`clanpy.ssh.HostKeyCheck` without what it imports)."""

    STRICT = "strict"
    ACCEPT_NEW = "accept-new"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The global options, as given, and the words behind `--`."""

    fleet: Path | None = None
    lab: str | None = None
    progress: ProgressMode = ProgressMode.AUTO
    colour: Colour = Colour.AUTO
    debug: bool = False
    verbosity: int = 0
    target_hosts: tuple[str, ...] = ()
    after_dashes: tuple[str, ...] = ()


Json = Annotated[bool, typer.Option("--json", help="Print data as JSON", envvar="CLANPY_JSON")]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="TEXT",
        help=r"A line for each in a form of your own, such as '{name}\t{system}': the fields of --json",
        show_default=False,
    ),
]
Names = Annotated[
    list[str] | None,
    typer.Argument(
        help="Selections of machines: names, globs, tag:cloud, 'tag:cloud and not web-*', - (default: all)",
        autocompletion=complete_machines,
        show_default=False,
    ),
]
Name = Annotated[
    str, typer.Argument(help="A machine, or a selection of one", autocompletion=complete_machines, show_default=False)
]
Tags = Annotated[
    str | None,
    typer.Option("--tags", help="Machines that carry all of these tags", autocompletion=complete_tags, metavar="A,B"),
]
ChangedSince = Annotated[
    str | None,
    typer.Option(
        "--changed-since",
        metavar="REV",
        help="Only machines that read other files than at this revision of git",
        show_default=False,
    ),
]
Parallel = Annotated[
    int | None,
    typer.Option(
        "-j", "--parallel", min=1, help="Machines at once (default: from this computer)", envvar="CLANPY_PARALLEL"
    ),
]
Retries = Annotated[
    int,
    typer.Option(
        "--retries",
        min=0,
        help="How often a connection that could not be made is tried again",
        envvar="CLANPY_RETRIES",
    ),
]
HostKeys = Annotated[
    KeyCheck,
    typer.Option("--host-key-check", help="What the key of a host must be", envvar="CLANPY_HOST_KEY_CHECK"),
]
Yes = Annotated[bool, typer.Option("-y", "--yes", help="Do not ask", envvar="CLANPY_YES")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Read everything, change nothing")]
BuildHost = Annotated[
    str | None,
    typer.Option(
        "--build-host",
        metavar="local|target|HOST",
        help="Where machines are built (default: deploy.build_host of each, else here)",
        envvar="CLANPY_BUILD_HOST",
        show_default=False,
    ),
]
Via = Annotated[
    str | None,
    typer.Option(
        "--via",
        metavar="HOST",
        help="Send store paths to this host once; the machines get them from there (default: deploy.via of each, else from here)",
        envvar="CLANPY_VIA",
        show_default=False,
    ),
]
MaxFailures = Annotated[
    int | None,
    typer.Option(
        "--max-failures",
        min=0,
        metavar="N",
        help="Activate no more machines once more than N have failed (default: the others go on)",
        envvar="CLANPY_MAX_FAILURES",
        show_default=False,
    ),
]
WaitLock = Annotated[
    bool,
    typer.Option(
        "--wait-lock/--no-wait-lock", help="Wait for a machine that somebody else works on", envvar="CLANPY_WAIT_LOCK"
    ),
]
StealLock = Annotated[
    bool,
    typer.Option(
        "--steal-lock",
        help="Take the lock of a machine from a run that is known to be dead (from one of your own that died: always)",
    ),
]
ConfirmWithin = Annotated[
    float,
    typer.Option(
        "--confirm-timeout",
        min=1,
        metavar="SECONDS",
        help="Time in which a machine must be reached anew after its activation, or it goes back",
        envvar="CLANPY_CONFIRM_TIMEOUT",
    ),
]


def new_app(help_: str) -> typer.Typer:
    """A typer app for a noun: plain help, no tracebacks of its own."""
    return typer.Typer(
        help=help_,
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        pretty_exceptions_show_locals=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        epilog="Global options: see `clanpy --help`.",
    )


def settings(ctx: typer.Context) -> Settings:
    """The global options of this call."""
    found = ctx.find_root().obj
    return found if isinstance(found, Settings) else Settings()


def fleet_root(ctx: typer.Context) -> Path:
    """The folder of the fleet: `--fleet`, CLANPY_FLEET, or the nearest parent with an inventory.toml."""
    from clanpy.inventory import find_root  # noqa: PLC0415 - rooms are imported when a command runs

    return find_root(Path.cwd(), settings(ctx).fleet)


def open_fleet(ctx: typer.Context) -> Fleet:
    """Load the fleet. Raises everything that is wrong with it at once."""
    from clanpy.inventory import load  # noqa: PLC0415 - rooms are imported when a command runs

    return load(fleet_root(ctx))


def enter_lab(ctx: typer.Context) -> LabEnvironment | None:
    """With `--lab`: enter its network (before any thread is started) and give its environment; else None."""
    name = settings(ctx).lab
    if name is None:
        return None
    from clanpy.lab import Lab  # noqa: PLC0415 - rooms are imported when a command runs

    lab = Lab.load(name)
    lab.enter()
    return lab.environment


def split_tags(tags: str | None) -> tuple[str, ...]:
    """The tags of `--tags a,b`."""
    return tuple(tag.strip() for tag in (tags or "").split(",") if tag.strip())


def print_json(document: Any) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")


def print_rows(rows: Sequence[Mapping[str, Any]], form: str | None) -> None:
    """Rows of data on stdout: as JSON, or as lines in the user's own form."""
    if form is None:
        print_json(rows)
        return
    from clanpy.ui.fields import filled  # noqa: PLC0415 - rarely asked for

    print_lines(filled(form, rows))


def print_json_line(document: Any) -> None:
    """One JSON document on stdout, on one line: the last of JSON Lines."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n")


def print_lines(lines: Iterable[str]) -> None:
    """Data as text on stdout, a record a line."""
    sys.stdout.writelines(f"{line}\n" for line in lines)


def say(text: str) -> None:
    """Something for people, on stderr."""
    sys.stderr.write(f"{text}\n")


def uses_colour(choice: Colour, stream: Any) -> bool:
    """Whether to write colours to a stream: the option, then NO_COLOR and FORCE_COLOR, then whether it is a terminal."""
    if choice is not Colour.AUTO:
        return choice is Colour.ALWAYS
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or bool(stream.isatty())
