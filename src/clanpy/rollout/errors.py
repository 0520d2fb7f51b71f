"""What can go wrong with a rollout as a whole."""

from __future__ import annotations

from typing import ClassVar

from clanpy.errors import ClanpyError, ExitCode


class HeldError(ClanpyError):
    """A machine was left as it is, because of how others fared."""

    code: ClassVar[str] = "CP0531"
    exit_code: ClassVar[ExitCode] = ExitCode.BUDGET_SPENT
