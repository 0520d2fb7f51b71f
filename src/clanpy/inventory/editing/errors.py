"""What can be wrong with an edit of the inventory (CP0130 to CP0134)."""

from __future__ import annotations

from clanpy.errors import ExitCode, InventoryError


class DefinedElsewhereError(InventoryError):
    """The value is defined by code, or in several files: which one to change is not for a program to say."""

    code = "CP0130"
    exit_code = ExitCode.CONFLICT


class NotEditableError(InventoryError):
    """The file can't be changed in this way: something on the path is no table, or the file may not be written."""

    code = "CP0131"
    exit_code = ExitCode.CONFLICT


class BrokenEditError(InventoryError):
    """The edit would make errors that the fleet does not have now. The details say which; --force does it all the same."""

    code = "CP0132"


class NameTakenError(InventoryError):
    """There is already a machine, or a folder, of that name."""

    code = "CP0133"
    exit_code = ExitCode.CONFLICT


class ChangedMeanwhileError(InventoryError):
    """A file was changed by somebody else between reading and writing it."""

    code = "CP0134"
    exit_code = ExitCode.CONFLICT
