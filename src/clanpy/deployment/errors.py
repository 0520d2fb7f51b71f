"""What goes wrong in a run that no room below has a word for."""

from __future__ import annotations

from typing import ClassVar

from clanpy.errors import ClanpyError, ExitCode


class StoppedError(ClanpyError):
    """The run was interrupted before this host was begun; nothing was changed there."""

    code: ClassVar[str] = "CP0501"
    exit_code: ClassVar[ExitCode] = ExitCode.INTERRUPTED


class DetachedError(ClanpyError):
    """The run was interrupted in the middle of this host's activation; its guard finishes, and goes back unconfirmed."""

    code: ClassVar[str] = "CP0502"
    exit_code: ClassVar[ExitCode] = ExitCode.INTERRUPTED


class NoTargetError(ClanpyError):
    """A machine has no address to be reached at."""

    code: ClassVar[str] = "CP0503"
    exit_code: ClassVar[ExitCode] = ExitCode.UNREACHABLE


class WrongClassError(ClanpyError):
    """The host that answered is of another kind than the machine."""

    code: ClassVar[str] = "CP0504"


class RolledBackError(ClanpyError):
    """The new system was activated, found wanting, and the host went back to the one before."""

    code: ClassVar[str] = "CP0505"
    exit_code: ClassVar[ExitCode] = ExitCode.ROLLED_BACK


class ActivationFailedError(ClanpyError):
    """The activation of the new system failed."""

    code: ClassVar[str] = "CP0506"


class StuckError(ClanpyError):
    """The host could be brought neither to the new system nor back to the old one."""

    code: ClassVar[str] = "CP0507"


class NoSystemError(ClanpyError):
    """There is nothing to go back to, or what was named is not there."""

    code: ClassVar[str] = "CP0508"


class LostSightError(ClanpyError):
    """The host was lost sight of in the middle of its activation; its guard goes back by itself."""

    code: ClassVar[str] = "CP0509"


class BudgetSpentError(ClanpyError):
    """Too many other machines had failed, so this one was not activated; it runs what it ran before."""

    code: ClassVar[str] = "CP0511"
    exit_code: ClassVar[ExitCode] = ExitCode.BUDGET_SPENT


class UnforeseenError(ClanpyError):
    """Something happened at a host that nobody foresaw. It is a mistake in clanpy: the details say where."""

    code: ClassVar[str] = "CP0510"
    exit_code: ClassVar[ExitCode] = ExitCode.BUG


class DriftError(ClanpyError):
    """The machine runs neither what it ran when the rollout began nor what it was to be given; nothing was changed."""

    code: ClassVar[str] = "CP0532"
    exit_code: ClassVar[ExitCode] = ExitCode.CONFLICT


class QuarantinedError(ClanpyError):
    """The path failed on this host before, and is not activated there again unless that is asked for."""

    code: ClassVar[str] = "CP0520"


class RebootNeededError(ClanpyError):
    """Only a reboot can bring the new system: its activation refused to begin, and nothing was changed."""

    code: ClassVar[str] = "CP0521"


class SwitchUnderWayError(ClanpyError):
    """Another activation is under way on the host, which clanpy did not begin; nothing was changed."""

    code: ClassVar[str] = "CP0522"
    exit_code: ClassVar[ExitCode] = ExitCode.CONFLICT


class NotBackError(ClanpyError):
    """The host was rebooted and did not come back in time."""

    code: ClassVar[str] = "CP0523"
    exit_code: ClassVar[ExitCode] = ExitCode.UNREACHABLE


class UnfitError(ClanpyError):
    """The machine can't be given a system as it is; that was seen before anything was built for it."""

    code: ClassVar[str] = "CP0525"


class WrongGoalError(ClanpyError):
    """The goal, or the specialisation, makes no sense for a machine of this class."""

    code: ClassVar[str] = "CP0524"


class PeerError(ClanpyError):
    """The host that `deploy.via` names can't pass store paths on; they are sent from here instead."""

    code: ClassVar[str] = "CP0526"


class PlanOutdatedError(ClanpyError):
    """A machine, its files or its secrets are not any more as they were when the plan was made; nothing was changed."""

    code: ClassVar[str] = "CP0540"
    exit_code: ClassVar[ExitCode] = ExitCode.CONFLICT


class PlanTooOldError(ClanpyError):
    """The plan is older than `max_age` of the rollout allows; nothing was changed."""

    code: ClassVar[str] = "CP0541"
    exit_code: ClassVar[ExitCode] = ExitCode.CONFLICT


class PlanFileError(ClanpyError):
    """A file can't be read or written as a plan."""

    code: ClassVar[str] = "CP0542"
    exit_code: ClassVar[ExitCode] = ExitCode.USAGE
