"""What becomes of an error at the outermost boundary: text or JSON on stderr, and the exit code."""

from __future__ import annotations

import json
import os
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clanpy import __version__
from clanpy.errors import ClanpyError, ExitCode
from clanpy.ui.errors import error_lines


if TYPE_CHECKING:
    from collections.abc import Sequence


class BugError(ClanpyError):
    """Something happened that nobody foresaw. It is a mistake in clanpy: the report says where."""

    code = "CP0070"
    exit_code = ExitCode.BUG


ERROR_SCHEMA = "clanpy.error/1"


def show_error(error: ClanpyError, *, as_json: bool, debug: bool) -> int:
    """Tell a foreseen error."""
    if as_json:
        _json({"schema": ERROR_SCHEMA, **error.to_dict()})
    else:
        sys.stderr.write("\n".join(error_lines(error)) + "\n")
    if debug:
        traceback.print_exception(error)
    return error.exit_code


def show_usage(error: Any, *, as_json: bool) -> int:
    """Tell what typer found wrong with the command line, in the shape of all other errors."""
    context = getattr(error, "ctx", None)
    message, _, guess = error.format_message().rstrip(".").partition(". Did you mean ")
    if not message or type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return ExitCode.USAGE
    hint = f"did you mean {guess}" if guess else None
    if hint is None and context is not None:
        hint = f"`{context.command_path} --help` shows what can be said"
    if as_json:
        _json(
            {"schema": ERROR_SCHEMA, "code": "CP0010", "message": message, "place": None, "hint": hint, "details": []}
        )
    else:
        sys.stderr.write(f"error: {message}\n" + (f"\nhint: {hint}\n" if hint else ""))
    return ExitCode.USAGE


def show_bug(error: Exception, *, words: Sequence[str], debug: bool) -> int:
    """Tell an error that nobody foresaw: one line, and where the report is."""
    report = _write_report(error, words)
    where = f"; the report is in {report}" if report else ""
    cause = _innermost(error)
    said = next(iter(str(cause).splitlines()), "")
    sys.stderr.write(f"error: clanpy has a bug: {type(cause).__name__}: {said}{where} ({BugError.code})\n")
    if debug:
        traceback.print_exception(error)
    return ExitCode.BUG


def _innermost(error: BaseException) -> BaseException:
    """What happened first in a group of tasks: that they ended together tells nobody anything."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _write_report(error: Exception, words: Sequence[str]) -> Path | None:
    """The traceback without any values of variables, which may be secret."""
    from clanpy.journal import state_home  # noqa: PLC0415 - only when something failed

    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    path = state_home() / "crashes" / f"{stamp}-{os.getpid()}.txt"
    head = [
        f"clanpy {__version__}",
        f"python {sys.version.split()[0]} on {sys.platform}",
        f"command: {list(words)}",
        "",
    ]
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text("\n".join(head) + "".join(traceback.format_exception(error)))
    except OSError:
        return None
    return path


def _json(document: dict[str, Any]) -> None:
    sys.stderr.write(json.dumps(document, ensure_ascii=False) + "\n")
