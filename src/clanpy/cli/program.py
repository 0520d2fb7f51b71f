"""The program itself: the table of commands, the options that every command shares, and what becomes of an error."""

from __future__ import annotations

import os
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from clanpy import __version__
from clanpy.cli.complete import begun_with_colon, cut
from clanpy.cli.context import DEFAULT_LAB, Colour, ProgressMode, Settings
from clanpy.cli.lazy import Lazy, LazyGroup
from clanpy.cli.quick import hurry
from clanpy.errors import ClanpyError, ExitCode


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COMMANDS: Mapping[str, Lazy] = {
    "machines": Lazy("clanpy.cli.machines:app", "List, build, update, roll back and talk to machines"),
    "plan": Lazy("clanpy.cli.plan:app", "Save what an update would change, and do that later and nothing else"),
    "inventory": Lazy("clanpy.cli.inventory:app", "Show what the fleet's files say"),
    "vars": Lazy("clanpy.cli.vars:app", "Generate, show, set and check the values of machines"),
    "secrets": Lazy("clanpy.cli.secrets:app", "Say who can read the fleet's secrets, and with which keys"),
    "users": Lazy("clanpy.cli.users:app", "Show people, their accounts and keys; add and remove them"),
    "home": Lazy("clanpy.cli.home:app", "List and update standalone homes, and take them back"),
    "services": Lazy("clanpy.cli.services:app", "Show the services there are, and begin new ones"),
    "networks": Lazy("clanpy.cli.networks:app", "Show over which networks machines are reached"),
    "runs": Lazy("clanpy.cli.runs:app", "Look at what was done"),
    "locks": Lazy("clanpy.cli.locks:app", "Show who is at work on which machine"),
    "modules": Lazy("clanpy.cli.modules:app", "Show aspects: who writes them, who imports them"),
    "doctor": Lazy("clanpy.cli.doctor:app", "Say whether machines can be deployed to"),
    "packages": Lazy("clanpy.cli.packages:app", "Show where packages come from, and look after fallbacks"),
    "check": Lazy("clanpy.cli.check:app", "Find every error of the fleet that can be known without Nix"),
    "generate": Lazy("clanpy.cli.generate:app", "Write the fleet as a plain flake, for use without clanpy"),
    "init": Lazy("clanpy.cli.init:app", "Make a new fleet"),
    "lab": Lazy("clanpy.cli.lab:app", "Start and stop disposable hosts on this computer"),
    "explain": Lazy("clanpy.cli.explain:app", "Say what an error code means"),
    "completion": Lazy("clanpy.cli.completion:app", "Print or install the completion script of your shell"),
}

# Options that mean the same everywhere, and may therefore stand anywhere on the line; True: it takes a value.
GLOBAL_OPTIONS: Mapping[str, bool] = {
    "--fleet": True,
    "--lab": False,
    "--target-host": True,
    "--progress": True,
    "--color": True,
    "--debug": False,
    "--verbose": False,
    "-v": False,
    "-vv": False,
    "-vvv": False,
}

# … but for commands that have one of the name themselves.
OWN_OPTIONS: Mapping[tuple[str, ...], frozenset[str]] = {("machines", "create"): frozenset({"--target-host"})}


class _Program(LazyGroup):
    table: ClassVar[Mapping[str, Lazy]] = COMMANDS


hurry()

app = typer.Typer(
    name="clanpy",
    cls=_Program,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="The options above may stand anywhere on the line, also behind the command.",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"clanpy {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    ctx: typer.Context,
    *,
    fleet: Annotated[
        Path | None,
        typer.Option(help="Folder of the fleet (default: the nearest with an inventory.toml)", envvar="CLANPY_FLEET"),
    ] = None,
    lab: Annotated[
        str | None,
        typer.Option(help="Work on the lab's hosts (--lab, or --lab=NAME)", envvar="CLANPY_LAB", metavar="[NAME]"),
    ] = None,
    target_host: Annotated[
        list[str] | None,
        typer.Option(
            help="Where a machine is reached now (NAME= can be left out for a command on one machine; repeatable)",
            metavar="[NAME=]TARGET",
            show_default=False,
        ),
    ] = None,
    progress: Annotated[
        ProgressMode, typer.Option(help="How a run is shown while it goes on", envvar="CLANPY_PROGRESS")
    ] = ProgressMode.AUTO,
    color: Annotated[Colour, typer.Option(help="Whether to use colours", envvar="CLANPY_COLOR")] = Colour.AUTO,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks", envvar="CLANPY_DEBUG")] = False,
    verbose: Annotated[
        int,
        typer.Option(
            "--verbose",
            "-v",
            count=True,
            help="Show what programs say; -vv: commands on hosts; -vvv: all of ssh",
            envvar="CLANPY_VERBOSE",
        ),
    ] = 0,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit")
    ] = False,
) -> None:
    """One inventory of machines and services, rolled out to a whole fleet."""
    ctx.obj = Settings(
        fleet=fleet,
        lab=lab_name(lab),
        progress=progress,
        colour=color,
        debug=debug,
        verbosity=verbose,
        target_hosts=tuple(target_host or ()),
        after_dashes=ctx.obj if isinstance(ctx.obj, tuple) else (),
    )


def lab_name(value: str | None) -> str | None:
    """What `--lab` or CLANPY_LAB names: `1`, `true` and `yes` mean the default lab, `0`, `false`, `no` and nothing none."""
    if value is None or value.casefold() in {"", "0", "false", "no"}:
        return None
    return DEFAULT_LAB if value.casefold() in {"1", "true", "yes"} else value


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and give the exit code. Never raises, but for the exit of a shell's completion."""
    code = _run(hoisted(list(sys.argv[1:] if arguments is None else arguments)))
    try:
        sys.stdout.flush()
    except OSError:
        _close_stdout()
    return code


def _run(words: list[str]) -> int:
    return _complete(words) if "_CLANPY_COMPLETE" in os.environ else _command(words)


def _command(words: list[str]) -> int:
    try:
        command = typer.main.get_command(app)
        result = command.main(args=words, prog_name="clanpy", standalone_mode=False, obj=_after_dashes(words))
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        return ExitCode.DONE
    except Exception as error:  # the outermost boundary: whatever was not foreseen is told as a bug, with a report
        return _failed(error, words)
    return result if isinstance(result, int) else ExitCode.DONE


def hoisted(words: Sequence[str]) -> list[str]:
    """Move the global options to the front, wherever they stand (but not behind `--`)."""
    end = words.index("--") if "--" in words else len(words)
    front: list[str] = []
    rest: list[str] = []
    queue = list(words[:end])
    while queue:
        word = queue.pop(0)
        name, is_joined, _ = word.partition("=")
        if name not in GLOBAL_OPTIONS or name in OWN_OPTIONS.get(tuple(rest[:2]), ()):
            rest.append(f"({word})" if word.startswith("- ") else word)  # a selection of names on stdin, and no option
        elif name == "--lab":
            front.append(word if is_joined else "--lab=1")
        else:
            front.append(word)
            if GLOBAL_OPTIONS[name] and not is_joined and queue:
                front.append(queue.pop(0))
    return [*front, *rest, *words[end:]]


def _after_dashes(words: Sequence[str]) -> tuple[str, ...]:
    """The words behind `--`: they are a command's own business, and typer would mix them with those before."""
    return tuple(words[words.index("--") + 1 :]) if "--" in words else ()


def _failed(error: Exception, words: Sequence[str]) -> int:
    from clanpy.cli.failure import show_bug, show_error, show_usage  # noqa: PLC0415 - only when something failed
    from clanpy.rollout.outcome import unwrapped  # noqa: PLC0415 - as above

    cause = unwrapped(error)
    before_dashes = words[: words.index("--")] if "--" in words else words
    as_json = "--json" in before_dashes or bool(os.environ.get("CLANPY_JSON"))
    debug = "--debug" in before_dashes or bool(os.environ.get("CLANPY_DEBUG"))
    if isinstance(cause, ClanpyError):
        return show_error(cause, as_json=as_json, debug=debug)
    if _is_usage(error):
        return show_usage(error, as_json=as_json)
    return show_bug(error, words=before_dashes, debug=debug)


def _is_usage(error: Any) -> bool:
    """Whether typer itself complains. Its exceptions have no public name that all its versions share."""
    return hasattr(error, "format_message") and hasattr(error, "exit_code")


def _complete(words: list[str]) -> int:
    """Answer a shell that asks what a line can go on with."""
    typed = ""
    if "\n" in os.environ.get("COMP_WORDS", ""):  # as bash gives them, which splits at colons
        given, place = os.environ["COMP_WORDS"].split("\n"), int(os.environ["COMP_CWORD"])
        glued, current, typed = begun_with_colon(given, place)
        os.environ.update(COMP_WORDS="\n".join(glued), COMP_CWORD=str(current))
    _enable_completion()
    with cut(typed):
        return _command(words)


def _enable_completion() -> None:
    import_module("typer.completion").completion_init()  # only when a shell asks
    for name in ("COMP_WORDS", "_TYPER_COMPLETE_ARGS"):
        if name in os.environ:
            os.environ[name] = re.sub(r"(?<=\s)--lab(?=\s)", "--lab=1", os.environ[name])


def _close_stdout() -> None:
    """The reader of our output has gone (`| head`): keep the interpreter from complaining about it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
