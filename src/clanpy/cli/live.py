"""How systems are made live, as options of commands; and the person who is asked about gates that could not be tried."""

from __future__ import annotations

import sys
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Annotated

import typer

from clanpy.cli.context import say


if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from clanpy.deployment.live import Live
    from clanpy.rollout.gates import Trial


class GoalChoice(StrEnum):
    """How far an activation goes (`clanpy.activation.Goal`, and only telling, without what that imports)."""

    SWITCH = "switch"
    BOOT = "boot"
    TEST = "test"
    DRY_ACTIVATE = "dry-activate"


class UndecidedChoice(StrEnum):
    """`clanpy.deployment.gates.Undecided`, without what that imports."""

    ASK = "ask"
    KEEP = "keep"
    BACK = "back"


Goal = Annotated[
    GoalChoice,
    typer.Option(
        "--goal",
        help="switch: now and for good; boot: from the next boot on; test: now only; dry-activate: only tell",
        envvar="CLANPY_GOAL",
    ),
]
Specialisation = Annotated[
    str | None,
    typer.Option("--specialisation", metavar="NAME", help="Make this specialisation live (NixOS)", show_default=False),
]
Reboot = Annotated[
    bool, typer.Option("--reboot", help="Restart machines at the end; they go back where they don't come up well")
]
RebootTimeout = Annotated[
    float,
    typer.Option(
        "--reboot-timeout",
        min=1,
        metavar="SECONDS",
        help="Time in which a machine must be back after a reboot",
        envvar="CLANPY_REBOOT_TIMEOUT",
    ),
]
ActivationTimeout = Annotated[
    float,
    typer.Option(
        "--activation-timeout",
        min=1,
        metavar="SECONDS",
        help="Time that an activation may take before it is ended and undone",
        envvar="CLANPY_ACTIVATION_TIMEOUT",
    ),
]
InstallBootloader = Annotated[
    bool, typer.Option("--install-bootloader", help="Put the boot loader itself in place anew (NixOS)")
]
BackupExtension = Annotated[
    str,
    typer.Option(
        "--home-backup-extension",
        metavar="EXT",
        help="Rename files that are in home-manager's way to FILE.EXT (default: refuse)",
        envvar="CLANPY_HOME_BACKUP_EXTENSION",
        show_default=False,
    ),
]
RetryFailed = Annotated[
    bool, typer.Option("--retry-failed", "--force", help="Activate systems again that have failed on a machine before")
]
UndecidedGates = Annotated[
    UndecidedChoice,
    typer.Option(
        "--undecided-gates",
        help="What becomes of a machine of which a gate could not be tried (ask: back, where nobody can be asked)",
        envvar="CLANPY_UNDECIDED_GATES",
    ),
]


def live_of(
    *,
    goal: GoalChoice,
    specialisation: str | None,
    reboot: bool,
    reboot_timeout: float,
    install_bootloader: bool,
    backup_extension: str,
    retry_failed: bool,
    undecided: UndecidedChoice,
) -> Live:
    """What was said, as a value.

    Raises:
        UsageError: it contradicts itself.
    """
    from clanpy.activation import Goal as Goal_  # noqa: PLC0415 - rooms are imported when a command runs
    from clanpy.deployment.gates import Undecided  # noqa: PLC0415 - as above
    from clanpy.deployment.live import Live  # noqa: PLC0415 - as above

    preview = goal is GoalChoice.DRY_ACTIVATE
    return Live(
        goal=Goal_.SWITCH if preview else Goal_(goal.value),
        preview=preview,
        specialisation=specialisation,
        reboot=reboot,
        reboot_within=reboot_timeout,
        install_bootloader=install_bootloader,
        backup_extension=backup_extension,
        retry_failed=retry_failed,
        undecided=Undecided(undecided.value),
    )


@cache
def turn() -> asyncio.Lock:
    """One question at a time."""
    import asyncio  # noqa: PLC0415 - commands that ask nothing need not load it

    return asyncio.Lock()


async def ask_person(host: str, trials: Sequence[Trial]) -> bool:
    """Whether a machine keeps its new system although gates could not be tried. Where there is nobody to be asked: no."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    async with turn():
        for trial in trials:
            say(f"{host}: gate {trial.gate.name} could not be tried: {trial.said}")
        say(f"{host}: keep the new system? [y/N] ")
        answer = await typed_line()
    return answer.strip().lower() in {"y", "yes"}


async def typed_line() -> str:
    """A line from the terminal. Nobody waits for it any longer than whoever asked."""
    import asyncio  # noqa: PLC0415 - as above

    loop, typed = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()
    loop.add_reader(sys.stdin.fileno(), typed.set_result, None)
    try:
        await typed
    finally:
        loop.remove_reader(sys.stdin.fileno())
    return sys.stdin.readline()
