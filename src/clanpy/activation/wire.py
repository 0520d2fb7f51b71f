"""The lines that the scripts write for us, read back as values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from clanpy.activation.errors import ActivationError


if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence

    from clanpy.ssh import Completed

REASON_LENGTH = 200
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_ACCOUNT = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")


class Host(Protocol):
    """What is needed of a connection to a host: `clanpy.ssh.Connection` has it."""

    @property
    def host(self) -> str: ...

    async def run(
        self,
        command: str | Sequence[str],
        *,
        input: bytes = b"",  # noqa: A002  (the connection's own word)
        timeout: float = ...,  # noqa: ASYNC109  (the connection's own word)
        elevate: bool = False,
    ) -> Completed: ...

    def follow(self, command: str | Sequence[str], *, elevate: bool = False) -> AsyncGenerator[str, None]: ...


@dataclass(frozen=True, slots=True)
class Said:
    """What a script said: its fields, and the lines of a log that it passed on."""

    fields: Mapping[str, str]
    lines: tuple[str, ...] = ()

    def under(self, prefix: str) -> dict[str, str]:
        """The fields whose names begin with `prefix`, without it."""
        return {name.removeprefix(prefix): value for name, value in self.fields.items() if name.startswith(prefix)}

    def number(self, name: str) -> int | None:
        """A field as a number, None when it is missing or none."""
        return number(self.fields.get(name))


def read(lines: Iterable[str]) -> Said:
    """Sort out what a script wrote. What a login shell wrote before it is passed over."""
    fields: dict[str, str] = {}
    passed: list[str] = []
    for line in lines:
        if line.startswith("|"):
            passed.append(line[1:])
        elif line.startswith("@"):
            name, _, value = line[1:].partition("=")
            fields[name] = value
    return Said(fields, tuple(passed))


def number(text: str | None) -> int | None:
    """A decimal number, or None."""
    return int(text) if text and text.isascii() and text.isdigit() else None


def check_run(run: str) -> str:
    """A run id that can be a file's and a unit's name.

    Raises:
        ActivationError: it can't.
    """
    if not _NAME.fullmatch(run):
        raise ActivationError(f"{run!r} can't be the id of a run", hint="letters, digits, '.', '_' and '-', at most 96")
    return run


def check_account(account: str) -> str:
    """An account name that can stand in a shell script.

    Raises:
        ActivationError: it can't.
    """
    if not _ACCOUNT.fullmatch(account):
        raise ActivationError(f"{account!r} can't be the name of an account")
    return account


def hundredths(seconds: float) -> int:
    """Seconds as the scripts count them. More than nothing is never nothing."""
    return max(int(seconds * 100), 1) if seconds > 0 else 0
