"""Asking for values on a terminal. What is hidden is not echoed, and asked for twice."""

from __future__ import annotations

import getpass
import sys
from typing import TYPE_CHECKING

from clanpy.cli.context import say
from clanpy.secrets import Secret
from clanpy.ui.errors import error_lines


if TYPE_CHECKING:
    from clanpy.errors import ClanpyError
    from clanpy.vars import Question, Step


class Terminal:
    """Whoever sits at the terminal."""

    def __init__(self) -> None:
        self._group: str | None = None

    def ask(self, question: Question) -> Secret:
        """The answer to one question."""
        display, prompt = question.prompt.display, question.prompt
        if display.group and display.group != self._group:
            say(f"── {display.group}")
        self._group = display.group
        for text in (prompt.description, display.helper_text):
            if text:
                say(f"   {text}")
        label = f"{display.label or question.name} ({question.id})"
        ways = {"hidden": ask_hidden, "line": _ask_line, "multiline": _ask_lines, "multiline-hidden": ask_hidden_lines}
        return ways[prompt.type](label)

    def retry(self, step: Step, error: ClanpyError) -> bool:
        """Whether to try a generator again."""
        say("\n".join(error_lines(error)))
        sys.stderr.write(f"try {step.id} again? [y/N] ")
        sys.stderr.flush()
        return sys.stdin.readline().strip().casefold() in {"y", "yes"}


def ask_hidden(label: str) -> Secret:
    """One line that is not echoed, asked for until two answers in a row are the same."""
    while True:
        first = Secret(getpass.getpass(f"{label}: ", stream=sys.stderr))
        if first == Secret(getpass.getpass(f"{label}, again: ", stream=sys.stderr)):
            return first
        say("the two are not the same")


def ask_hidden_lines(label: str) -> Secret:
    """Lines that are not echoed, ended by an empty one."""
    say(f"{label}, several lines, ended by an empty one:")
    lines = []
    while line := getpass.getpass("", stream=sys.stderr):
        lines.append(line)
    return Secret("".join(f"{line}\n" for line in lines))


def _ask_line(label: str) -> Secret:
    sys.stderr.write(f"{label}: ")
    sys.stderr.flush()
    return Secret(sys.stdin.readline().rstrip("\n"))


def _ask_lines(label: str) -> Secret:
    say(f"{label}, several lines, ended by Ctrl-D:")
    return Secret(sys.stdin.read())
