"""The password that sudo wants, asked of whoever sits at the terminal: once, for all hosts that want one. It is kept in memory alone."""

from __future__ import annotations

import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from clanpy.cli.context import say
from clanpy.cli.live import turn, typed_line


if TYPE_CHECKING:
    from clanpy.ssh import Target


def somebody_is_there() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


@dataclass(slots=True)
class SudoPassword:
    """Asks when a host first wants it, and has it for all others; those that want it meanwhile wait for the answer."""

    _known: str | None = field(default=None, init=False, repr=False)

    async def __call__(self, target: Target) -> str:
        """The password for sudo on a host."""
        async with turn():
            if self._known is None:
                with _unseen():
                    say(
                        f"{target.label}: sudo wants a password, which is asked for once for all machines that want one:"
                    )
                    self._known = (await typed_line()).rstrip("\n")
            return self._known


@contextmanager
def _unseen() -> Iterator[None]:
    """What is typed meanwhile does not show."""
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    quiet = [*before]
    quiet[3] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSADRAIN, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
