"""What goes wrong with Nix: one place where its messages become errors of clanpy (codes CP02xx).

NixMissingError     CP0200   there is no Nix
NixCommandError     CP0201   a Nix command failed in a way that nothing below names
EvaluationError     CP0202   the configuration of a machine is wrong
BuildError          CP0203   a derivation could not be built
DiskFullError       CP0204   no space left, here or on the target
InputsError         CP0205   flake.nix or flake.lock of the fleet can't be used
SourceError         CP0206   a file that a machine needs can't be staged
StaleReleaseError   CP0207   a derivation that was evaluated earlier is gone from the store
CopyError           CP0208   paths could not be copied to a store
"""

from __future__ import annotations

import re

from clanpy.errors import ClanpyError, ExitCode, InventoryError, ToolMissingError


MAX_DETAILS = 30


class NixMissingError(ToolMissingError):
    """There is no Nix on this machine, or not where `CLANPY_NIX` says."""

    code = "CP0200"


class NixCommandError(ClanpyError):
    """A Nix command failed; `details` holds the last lines that it wrote."""

    code = "CP0201"


class EvaluationError(InventoryError):
    """The configuration of a machine is wrong: `place` is in the fleet's own files where Nix names one."""

    code = "CP0202"


class BuildError(ClanpyError):
    """A derivation could not be built; `details` holds the last lines of its log."""

    code = "CP0203"


class DiskFullError(ClanpyError):
    """There is no space left on the disk of a store."""

    code = "CP0204"


class InputsError(InventoryError):
    """`flake.nix` or `flake.lock` of the fleet can't be used."""

    code = "CP0205"


class SourceError(InventoryError):
    """A file that a machine needs can't be staged."""

    code = "CP0206"


class StaleReleaseError(ClanpyError):
    """A derivation that was evaluated earlier has been collected as garbage: it has to be evaluated again."""

    code = "CP0207"


class CopyError(ClanpyError):
    """Store paths could not be copied."""

    code = "CP0208"
    exit_code = ExitCode.HOSTS_FAILED


_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_NO_SPACE = ("No space left on device", "database or disk is full")


def is_disk_full(text: str) -> bool:
    """Whether Nix says that a disk is full."""
    return any(phrase in text for phrase in _NO_SPACE)


def plain(text: str) -> str:
    """A text without colours."""
    return _ANSI.sub("", text)


def tail(text: str, limit: int = MAX_DETAILS) -> tuple[str, ...]:
    """The last lines of a log, without colours and without empty lines at its end."""
    lines = plain(text).rstrip().splitlines()
    return tuple(line.rstrip() for line in lines[-limit:])
