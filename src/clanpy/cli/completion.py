"""`clanpy completion`: the script that teaches a shell to complete clanpy's words."""

from __future__ import annotations

from enum import StrEnum
from importlib import import_module
from typing import Annotated

import typer

from clanpy.cli.context import new_app, print_lines, say


app = new_app("Print or install the completion script of your shell.")


class Shell(StrEnum):
    """The shells that are taught."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


@app.command()
def completion(
    shell: Annotated[Shell, typer.Argument(help="The shell")],
    *,
    install: Annotated[bool, typer.Option("--install", help="Put it where the shell finds it")] = False,
) -> None:
    """Print the completion script of a shell, or install it."""
    shells = import_module("typer.completion")
    if install:
        _, path = shells.install(shell=shell.value, prog_name="clanpy", complete_var="_CLANPY_COMPLETE")
        say(f"installed in {path}; it works in the next shell you start")
        return
    print_lines([shells.get_completion_script(prog_name="clanpy", complete_var="_CLANPY_COMPLETE", shell=shell.value)])
