"""What is to be made live on a host, and how that ended: values only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Literal

from clanpy.activation.lock import LockOwner
from clanpy.activation.wire import check_account, check_run
from clanpy.modules.deferred import NixClass


class Goal(StrEnum):
    """How far an activation goes: `switch` now and for good, `test` now only, `boot` from the next boot on only."""

    SWITCH = "switch"
    TEST = "test"
    BOOT = "boot"


class Phase(StrEnum):
    """Where a guard is. `awaiting`: the new system is live, and the controller's word is waited for.

    `rebooting`: profile and boot entry are the new ones, and the host restarts; the new boot is `awaiting` again.
    """

    STARTING = "starting"
    RECORDED = "recorded"
    ACTIVATING = "activating"
    AWAITING = "awaiting"
    COMMITTING = "committing"
    REBOOTING = "rebooting"
    ROLLING_BACK = "rolling_back"
    FINISHING = "finishing"


class GuardOutcome(StrEnum):
    """How an activation ended.

    `confirmed`: the new one runs and stays. `rolled_back`: the one before runs. `failed`: nothing was changed, or there was nothing
    to go back to. `stuck`: going back failed too; somebody has to look (on NixOS a reboot still brings the system before).
    """

    CONFIRMED = "confirmed"
    ROLLED_BACK = "rolled_back"
    FAILED = "failed"
    STUCK = "stuck"


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """One store path to be made live on one host.

    Attributes:
        run: the id of the run that this belongs to.
        class_: what kind of system the path is.
        new: the store path, present on the host.
        owner: who does it, for others to read.
        account: whose home it is; None for a system.
        goal: see `Goal`. A home knows no `boot`.
        specialisation: the name of the one to make live (NixOS); the profile holds the whole system all the same.
        generation: the profile's generation that holds the path, when one is gone back to.
        confirm_within: seconds in which `confirm` must come after the activation; 0: no word is waited for.
        activate_within: seconds that the activation may take (and going back may, once more).
        reboot: restart the host at the end, which has to be confirmed anew then, or it goes back by another reboot.
        install_bootloader: put the boot loader itself in place anew (NixOS).
        primary_user: who uses the machine (darwin systems from before 2025 do a part as that account); None: whoever is logged in.
        backup_extension: what home-manager appends to files that are in its way; empty: it refuses.
        keep: how many runs of this slot are remembered on the host, and kept from garbage collection.
    """

    run: str
    class_: NixClass
    new: str
    owner: LockOwner
    account: str | None = None
    goal: Goal = Goal.SWITCH
    specialisation: str | None = None
    generation: int | None = None
    confirm_within: float = 60.0
    activate_within: float = 900.0
    reboot: bool = False
    install_bootloader: bool = False
    primary_user: str | None = None
    backup_extension: str = ""
    keep: int = 10

    def __post_init__(self) -> None:
        check_run(self.id)
        if (self.class_ == "home") != (self.account is not None):
            msg = "a home has an account, a system has none"
            raise ValueError(msg)
        for account in (self.account, self.primary_user):
            if account is not None:
                check_account(account)
        if self.goal is Goal.BOOT and self.class_ != "nixos":
            msg = f"a {self.class_} configuration knows no goal 'boot'"
            raise ValueError(msg)
        if self.reboot and (self.kind == "home" or self.goal is Goal.TEST):
            msg = "only a system that is to stay is worth a reboot"
            raise ValueError(msg)

    @property
    def kind(self) -> Literal["system", "home"]:
        """What is activated."""
        return "system" if self.account is None else "home"

    @property
    def slot(self) -> str:
        """What the host remembers this under: `system`, or `home.<account>`."""
        return "system" if self.account is None else f"home.{self.account}"

    @property
    def id(self) -> str:
        """What it is called on the host: the run, and the slot where it is a home's."""
        return self.run if self.account is None else f"{self.run}.{self.slot}"

    @property
    def live(self) -> str:
        """The path whose activation is run."""
        return f"{self.new}/specialisation/{self.specialisation}" if self.specialisation else self.new


@dataclass(frozen=True, slots=True)
class FollowedLine:
    """A line of an activation's log. `cursor`: how many lines to pass over when following it again."""

    text: str
    cursor: int


@dataclass(frozen=True, slots=True)
class FollowedPhase:
    """A guard came to a phase. `ended`: its result can be asked for. `lost`: it was killed, and can be recovered."""

    phase: Phase
    ended: bool = False
    lost: bool = False


class SwitchStatus(IntEnum):
    """What NixOS's switch-to-configuration says by its exit status; `TOO_LONG` is what the guard says when it ended it."""

    ACTIVATED = 0
    SCRIPT_FAILED = 2
    UNITS_FAILED = 4
    SWITCH_UNDER_WAY = 11
    REBOOT_NEEDED = 100
    TOO_LONG = 124


NIXOS_STATUS = {
    SwitchStatus.ACTIVATED: "activated",
    SwitchStatus.SCRIPT_FAILED: "the activation script failed",
    SwitchStatus.UNITS_FAILED: "units failed",
    SwitchStatus.SWITCH_UNDER_WAY: "another switch is under way on the host",
    SwitchStatus.REBOOT_NEEDED: "only a reboot can bring this system",
}
GATE_FAILED = "gate_failed"
GATE_UNDECIDED = "gate_undecided"

_REASONS = {
    "activation_failed": "the activation failed",
    "activation_refused": "the activation was refused",
    "not_running": "the activation succeeded, but another system runs",
    "not_confirmed": "no confirmation came in time",
    "commit_failed": "profile or boot entry could not be set",
    "not_recorded": "the way back could not be recorded (is the disk full?)",
    "locked": "another run holds the lock",
    "left_over": "the run before was cut off and has to be recovered first",
    "interrupted": "its guard was killed",
    "rebooted": "the host was rebooted before the end",
    "in_the_way": "files that home-manager did not make are in the way, and nothing was changed",
    "no_reboot": "the host could not be rebooted",
    "not_booted": "the host came up with another system",
    GATE_FAILED: "a gate failed",
    GATE_UNDECIDED: "a gate could not be tried",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivationResult:
    """How an activation ended, or how far it has come.

    Attributes:
        outcome: None while it has not ended; then `alive` says whether its guard is at work, or was killed.
        reason: why it did not end well: a word (see `why` for a sentence), or what `revert` was given.
        code: exit status of the activation; None when it was not run. 124: it was ended because it took too long.
        running: what runs now.
        previous: what ran before.
        boot: the boot that the host is in now.
        began_in: the boot in which its guard came to the phase it is in.
        log_tail: the last lines of its log.
    """

    id: str
    class_: str
    phase: Phase
    outcome: GuardOutcome | None
    reason: str
    code: int | None
    running: str | None
    new: str
    previous: str | None
    alive: bool
    log_tail: tuple[str, ...]
    boot: str = ""
    began_in: str = ""

    @property
    def has_booted(self) -> bool:
        """Whether the host has been booted since its guard came to the phase it is in."""
        return self.boot != self.began_in

    @property
    def status(self) -> SwitchStatus | None:
        """What a NixOS activation ended with, where that has a name; of other systems, whether it took too long."""
        known = set(SwitchStatus) if self.class_ == "nixos" else {SwitchStatus.TOO_LONG, SwitchStatus.ACTIVATED}
        return SwitchStatus(self.code) if self.code in known else None

    @property
    def why(self) -> str:
        """The reason as words for people, with what the exit status means. Empty when all is well."""
        words = reason_text(self.reason)
        if self.reason.startswith((GATE_FAILED, GATE_UNDECIDED)):
            return words
        told = status_text(self.class_, self.code) if self.code else ""
        return f"{words}: {told}" if words and told else words


def reason_text(reason: str) -> str:
    """A reason as words for people. A gate's has words of its own behind it."""
    word, _, own = reason.partition(" ")
    words = _REASONS.get(word) if word in {GATE_FAILED, GATE_UNDECIDED} else _REASONS.get(reason)
    if words is None:
        return reason
    return f"{words}: {own}" if own else words


def status_text(class_: str, code: int) -> str:
    """What an activation's exit status means."""
    if code == SwitchStatus.TOO_LONG:
        return "it took too long and was ended"
    if class_ == "nixos" and code in set(SwitchStatus):
        return NIXOS_STATUS[SwitchStatus(code)]
    return f"exit status {code}"
