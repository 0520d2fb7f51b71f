"""What goes wrong, as values: every error of clanpy has a sentence, a place, a remedy, a code and an exit code.

A room translates the exceptions of the libraries that it uses into subclasses of `ClanpyError` in one place of its own.
Codes are stable and documented (docs/errors.md); `catalogue()` lists them.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, ClassVar


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


class ExitCode(IntEnum):
    """What the process says at its end. One meaning each; documented in docs/exit-codes.md."""

    DONE = 0
    HOSTS_FAILED = 1
    USAGE = 2
    BUDGET_SPENT = 3
    UNREACHABLE = 4
    ROLLED_BACK = 5
    CONFLICT = 6
    DRIFT = 7
    NOTHING_MATCHED = 64
    FLEET_INVALID = 65
    TOOL_MISSING = 69
    BUG = 70
    INTERRUPTED = 130


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something stands: a file and, where known, its line and column (both counted from 1)."""

    file: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        parts = [self.file, *(str(n) for n in (self.line, self.column) if n is not None)]
        return ":".join(parts)


class ClanpyError(Exception):
    """An error a user can understand and act on.

    Attributes:
        message: one sentence, without full stop: what is wrong, with the names in it.
        place: where it stands, if it stands in a file.
        hint: what to do about it, or the nearest names.
        details: further lines (the last lines of a log, the definitions that conflict, what was tried).
    """

    code: ClassVar[str] = "CP0001"
    exit_code: ClassVar[ExitCode] = ExitCode.HOSTS_FAILED

    def __init__(
        self,
        message: str,
        *,
        place: Place | None = None,
        hint: str | None = None,
        details: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.place = place
        self.hint = hint
        self.details = tuple(details)

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message

    def to_dict(self) -> dict[str, Any]:
        """The error as JSON: `code, message, place, hint, details`."""
        place = self.place
        return {
            "code": self.code,
            "message": self.message,
            "place": None if place is None else {"file": place.file, "line": place.line, "column": place.column},
            "hint": self.hint,
            "details": list(self.details),
        }


class CombinedError(ClanpyError):
    """Several errors found in one go, sorted by place, so that a user mends them all at once."""

    code = "CP0002"
    exit_code = ExitCode.FLEET_INVALID

    def __init__(self, errors: Iterable[ClanpyError]) -> None:
        self.errors = tuple(sorted(_flat(errors), key=_by_place))
        super().__init__(f"{len(self.errors)} error{'s' if len(self.errors) != 1 else ''}")

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "errors": [error.to_dict() for error in self.errors]}


class UsageError(ClanpyError):
    """The command line asks for something that makes no sense."""

    code = "CP0010"
    exit_code = ExitCode.USAGE


class NothingMatchedError(ClanpyError):
    """A selection names a machine or tag that does not exist, or selects no machine at all."""

    code = "CP0011"
    exit_code = ExitCode.NOTHING_MATCHED


class FleetNotFoundError(ClanpyError):
    """There is no inventory.toml here or in any folder above."""

    code = "CP0012"
    exit_code = ExitCode.USAGE


class InventoryError(ClanpyError):
    """Something in the fleet's files is wrong."""

    code = "CP0100"
    exit_code = ExitCode.FLEET_INVALID


class ToolMissingError(ClanpyError):
    """A program that is needed is not installed, or is too old."""

    code = "CP0020"
    exit_code = ExitCode.TOOL_MISSING


def nearest(name: str, candidates: Iterable[str], *, limit: int = 3) -> str | None:
    """A hint naming the candidates that look most like `name`, or None when none does."""
    pool = sorted(set(candidates))
    folded = {c.casefold(): c for c in reversed(pool)}
    close = difflib.get_close_matches(name.casefold(), folded, n=limit, cutoff=0.6)
    names = [folded[c] for c in close]
    return f"did you mean {' or '.join(repr(n) for n in names)}?" if names else None


def raise_all(errors: Sequence[ClanpyError]) -> None:
    """Raise nothing, the one error, or a report of all of them."""
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise CombinedError(errors)


def catalogue() -> dict[str, type[ClanpyError]]:
    """Every error class that has been imported, by its code, in order."""
    classes: list[type[ClanpyError]] = [ClanpyError, *_subclasses(ClanpyError)]
    found = {cls.code: cls for cls in classes if "code" in vars(cls)}
    return dict(sorted(found.items()))


def _subclasses(cls: type[ClanpyError]) -> Iterator[type[ClanpyError]]:
    for sub in cls.__subclasses__():
        yield sub
        yield from _subclasses(sub)


def _by_place(error: ClanpyError) -> tuple[str, int, int, str]:
    place = error.place or Place("")
    return place.file, place.line or 0, place.column or 0, error.message


def _flat(errors: Iterable[ClanpyError]) -> Iterator[ClanpyError]:
    for error in errors:
        if isinstance(error, CombinedError):
            yield from error.errors
        else:
            yield error
