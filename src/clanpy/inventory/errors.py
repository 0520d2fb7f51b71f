"""What can be wrong with the files of a fleet. Every class has a code of its own (CP011x to CP012x)."""

from __future__ import annotations

from clanpy.errors import InventoryError, UsageError


class TomlSyntaxError(InventoryError):
    """A TOML file can't be parsed. The details show the line and where in it."""

    code = "CP0110"


class UnreadableFileError(InventoryError):
    """A file of the fleet can't be read: no permission, not UTF-8, a loop of symbolic links, or nested too deeply."""

    code = "CP0111"


class PythonModuleError(InventoryError):
    """A Python module of the fleet raises, or gives something that is not a mapping of plain data."""

    code = "CP0112"


class UnknownKeyError(InventoryError):
    """A key that the inventory does not have at this place."""

    code = "CP0113"


class WrongTypeError(InventoryError):
    """A value of another type, or outside of the values that are allowed."""

    code = "CP0114"


class MissingFieldError(InventoryError):
    """A field that has to be there is not."""

    code = "CP0115"


class ConflictError(InventoryError):
    """Two files (or two levels of settings) give one value differently, at the same priority."""

    code = "CP0116"


class UnknownNameError(InventoryError):
    """A machine, tag, user or aspect that does not exist is named."""

    code = "CP0117"


class ClassMismatchError(InventoryError):
    """Class and system, or class and aspect, do not go together."""

    code = "CP0118"


class BadTargetError(InventoryError):
    """A target that is not `[ssh://][user@]host[:port]`."""

    code = "CP0119"


class MachineFolderError(InventoryError):
    """A folder below `machines/` without an entry, or an entry from which nothing would be built."""

    code = "CP0120"


class AliasClashError(InventoryError):
    """Two people claim one name, or two people would have one account on a machine."""

    code = "CP0121"


class ReservedTagError(InventoryError):
    """A computed tag (`all`, `nixos`, `darwin`) is given members by hand."""

    code = "CP0122"


class BadNameError(InventoryError):
    """A name with characters that it can't have."""

    code = "CP0123"


class SigilError(InventoryError):
    """A priority or order table (`_force`, `_default`, …) that is not written as one."""

    code = "CP0124"


class CircularValueError(InventoryError):
    """A value of the fleet depends on itself: modules that read what they define, or aspects that import each other."""

    code = "CP0125"


class ModuleNoticeError(InventoryError):
    """What a module of the fleet has to say without stopping anything: an option that was renamed, say. Always a warning."""

    code = "CP0126"


class SelectionError(UsageError):
    """A selection of machines can't be read: something is missing or too much in it, or it asks for what there is not to ask for.

    The details show it, with a mark below the place.
    """

    code = "CP0127"


class DuplicateUidError(InventoryError):
    """Two accounts have one number, on a machine or by what the fleet says of two people."""

    code = "CP0160"


class HomeClashError(InventoryError):
    """Two accounts on a machine have one home folder."""

    code = "CP0161"


class PrimaryClashError(InventoryError):
    """A person says that a machine is theirs, which has another primary user."""

    code = "CP0162"


class FallbackError(InventoryError):
    """A package is taken from another channel, and the record of it does not say what has to be known to take it away again."""

    code = "CP0150"


class PackageWarningError(InventoryError):
    """Something about packages that works, and should not stay so: an old fallback, one that is hidden. Always a warning."""

    code = "CP0151"


class HistoryError(InventoryError):
    """The history of the fleet's files can't be read: they are not under git, or git says no."""

    code = "CP0152"


class AbsentPackageError(InventoryError):
    """A package is taken from a channel that has none of that name, or none for a platform where it is wanted."""

    code = "CP0153"


class TagSelectionError(InventoryError):
    """The selection of a computed tag can't be read. As a warning: no machine is in it."""

    code = "CP0128"
