"""What can go wrong with the lab, told so that a user can act on it."""

from __future__ import annotations

from clanpy.errors import ClanpyError, ExitCode


class LabError(ClanpyError):
    """Something about the lab did not work."""

    code = "CP0700"


class NotRootError(LabError):
    """Network namespaces, mounts and accounts of the hosts need root."""

    code = "CP0701"
    exit_code = ExitCode.USAGE


class NotLinuxError(LabError):
    """The lab is made of parts of the Linux kernel."""

    code = "CP0702"
    exit_code = ExitCode.USAGE


class ProgramMissingError(LabError):
    """A program that the lab is made of is not installed."""

    code = "CP0703"
    exit_code = ExitCode.TOOL_MISSING


class LabNameTakenError(LabError):
    """Another lab of this computer, in another folder, runs under this name."""

    code = "CP0704"
    exit_code = ExitCode.CONFLICT


class LabBusyError(LabError):
    """Another command is starting or stopping this lab."""

    code = "CP0705"
    exit_code = ExitCode.CONFLICT


class NoSpaceError(LabError):
    """There is no room on the disk for the hosts."""

    code = "CP0706"


class LabSpecError(LabError):
    """What the lab is asked to be makes no sense, or contradicts what it is."""

    code = "CP0707"
    exit_code = ExitCode.USAGE


class LabNotRunningError(LabError):
    """There is no such lab, or it is not running."""

    code = "CP0708"
    exit_code = ExitCode.NOTHING_MATCHED


class UnknownHostError(LabError):
    """The lab has no host of this name."""

    code = "CP0709"
    exit_code = ExitCode.NOTHING_MATCHED


class HostNotRunningError(LabError):
    """A host is switched off, so that nothing can be done in it."""

    code = "CP0710"


class BootError(LabError):
    """A host did not start, or its sshd does not answer."""

    code = "CP0711"


class FaultError(LabError):
    """A fault is unknown, or can't be done to this host."""

    code = "CP0712"


class LabBaseError(LabError):
    """The system that hosts are made from is unknown, or can't be made here."""

    code = "CP0713"
