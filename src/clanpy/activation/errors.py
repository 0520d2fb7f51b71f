"""What goes wrong while a host is asked, locked, changed or put back.

`ActivationError` is the family. An activation that fails and goes back is no exception: it is an `ActivationResult`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clanpy.errors import ClanpyError, ExitCode


if TYPE_CHECKING:
    from clanpy.activation.lock import LockInfo


class ActivationError(ClanpyError):
    """Something about making a system live went wrong. Also: a name that can't be a run or an account."""

    code = "CP0400"


class FactsError(ActivationError):
    """A host answered the question for facts with something else."""

    code = "CP0401"


class LockHeldError(ActivationError):
    """Another run is at work on the host. `holder` says who, from where and since when."""

    code = "CP0410"
    exit_code = ExitCode.CONFLICT

    def __init__(self, message: str, *, holder: LockInfo, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.holder = holder


class LockDeniedError(ActivationError):
    """The account that we are on the host may not lock it (nor change it)."""

    code = "CP0411"


class GuardError(ActivationError):
    """The guard could not be started on the host. Nothing was changed there."""

    code = "CP0420"


class UnknownRunError(ActivationError):
    """The host knows nothing of a run that was asked for: it never began there, or its record has been tidied away."""

    code = "CP0421"


class NoWayBackError(ActivationError):
    """There is nothing recorded on the host that could be gone back to."""

    code = "CP0430"


class DeliveryError(ActivationError):
    """Secrets could not be put in place on a host; those that were there still are."""

    code = "CP0440"
