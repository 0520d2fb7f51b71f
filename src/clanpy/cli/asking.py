"""Asking before something is done to many machines."""

from __future__ import annotations

import sys

import typer

from clanpy.errors import ClanpyError, ExitCode


class DeclinedError(ClanpyError):
    """Somebody was asked, and said no."""

    code = "CP0013"
    exit_code = ExitCode.NOTHING_MATCHED


def ask_first(question: str, count: int) -> None:
    """Ask a person, when there is one and more than one machine is meant. A script is never asked, and never hangs.

    Raises:
        DeclinedError: the answer was no.
    """
    if count > 1 and sys.stdin.isatty() and sys.stderr.isatty() and not typer.confirm(question, err=True):
        raise DeclinedError("nothing was done", hint="--yes does it without asking")
