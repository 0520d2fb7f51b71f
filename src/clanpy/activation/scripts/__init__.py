"""The shell scripts that are sent to hosts, and how they are put together.

Each is one text: variables, the shared functions, the script. Nothing is installed on a host, and nothing there needs a version of
its own.
"""

from __future__ import annotations

import shlex
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Mapping

Value = str | int | bool
SHELL = ("/bin/sh", "-s")
_END = "CLANPY_END_OF_FILE"


@cache
def part(name: str) -> str:
    """The text of one of the `.sh` files here."""
    return files(__package__).joinpath(f"{name}.sh").read_text("utf-8")


def assemble(*names: str, variables: Mapping[str, Value], before: str = "") -> str:
    """A script that sets the variables and then is the named parts, in order, after the shared functions.

    Its first line says for people which it is; `before` comes between that and all else.
    """
    parts = "".join(part(name) for name in ("lib", *names))
    return f"# clanpy's {names[-1]} script\n{before}{assignments(variables)}{parts}"


def assignments(variables: Mapping[str, Value]) -> str:
    """Shell assignments, one a line, that can be sourced."""
    return "".join(f"{name}={shlex.quote(_text(value))}\n" for name, value in variables.items())


def records(values: Mapping[str, Value]) -> str:
    """Lines `key=value` for `field` of lib.sh: everything after the first `=` is the value, on one line."""
    return "".join(f"{name}={' '.join(_text(value).split())}\n" for name, value in values.items())


def printer(function: str, text: str) -> str:
    """A shell function that prints a text as it is."""
    assert _END not in text
    return f"{function}() {{\n  cat <<'{_END}'\n{text.rstrip()}\n{_END}\n}}\n"


def _text(value: Value) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)
