"""What can be wrong with services and with what the inventory says to them (codes CP08xx)."""

from __future__ import annotations

from clanpy.errors import ClanpyError, ExitCode, InventoryError


class UnknownServiceError(InventoryError):
    """An instance names a service or an input that does not exist."""

    code = "CP0801"


class UnknownRoleError(InventoryError):
    """An instance uses a role that its service does not declare."""

    code = "CP0802"


class UnknownSettingError(InventoryError):
    """A setting that the role does not declare."""

    code = "CP0803"


class SettingError(InventoryError):
    """A setting of the wrong type, a value that is not allowed, or a required one that nobody sets."""

    code = "CP0804"


class SettingConflictError(InventoryError):
    """Two levels give one setting differently, at the same priority."""

    code = "CP0805"


class MemberLimitError(InventoryError):
    """A role has more or fewer members than its service allows, or members of a class that it does not support."""

    code = "CP0806"


class ServiceDeclarationError(InventoryError):
    """The declaration of a service is broken."""

    code = "CP0807"


class ExportCycleError(InventoryError):
    """What members export depends on itself. The message names the circle."""

    code = "CP0808"


class SecretValueError(InventoryError):
    """A service asks for the value of a secret, or for a file that its generator does not make: only public values can be read."""

    code = "CP0809"


class GeneratorClashError(InventoryError):
    """Two origins declare one generator of a machine differently."""

    code = "CP0810"


class PendingValueError(InventoryError):
    """A setting reads a value that is not generated yet. Nothing can be built with it before it is."""

    code = "CP0811"


class NoMembersError(InventoryError):
    """An instance in whose roles there is nobody. Always a warning."""

    code = "CP0812"


class VarsError(ClanpyError):
    """Something is wrong with a generator or its values."""

    code = "CP0620"


class GeneratorInvalidError(VarsError):
    """A generator's declaration makes no sense."""

    code = "CP0621"
    exit_code = ExitCode.FLEET_INVALID
