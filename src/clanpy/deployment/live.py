"""How systems are made live: what an operator says about activations. Values only."""

from __future__ import annotations

from dataclasses import dataclass

from clanpy.activation import Goal
from clanpy.deployment.gates import Undecided
from clanpy.errors import UsageError


REBOOT_WITHIN = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """How systems are made live.

    Attributes:
        goal: how far.
        preview: only tell what the activation would do: all comes to the host, and nothing is made live.
        specialisation: which one of a NixOS system.
        reboot: restart machines at the end, and go back where they don't come up well.
        reboot_within: seconds in which a machine must be back.
        install_bootloader: put the boot loader itself in place anew (NixOS).
        backup_extension: what home-manager appends to files that are in its way; empty: it refuses.
        retry_failed: activate paths again that have failed on the host before.
        undecided: what becomes of a machine of which a gate could not be tried.
    """

    goal: Goal = Goal.SWITCH
    preview: bool = False
    specialisation: str | None = None
    reboot: bool = False
    reboot_within: float = REBOOT_WITHIN
    install_bootloader: bool = False
    backup_extension: str = ""
    retry_failed: bool = False
    undecided: Undecided = Undecided.ASK

    def __post_init__(self) -> None:
        if self.reboot and (self.preview or self.goal is Goal.TEST):
            raise UsageError(
                "a reboot would undo what is only tried out", hint="--reboot goes with the goals switch and boot"
            )
        if self.specialisation and self.goal is Goal.BOOT:
            raise UsageError("a boot entry is of a whole system", hint="--specialisation goes with switch and test")
