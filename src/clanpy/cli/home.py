"""`clanpy home`: the homes that are activated on their own, as the people whose they are."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clanpy.cli import live
from clanpy.cli.complete import complete_users
from clanpy.cli.context import (
    BuildHost,
    ConfirmWithin,
    DryRun,
    HostKeys,
    Json,
    KeyCheck,
    Parallel,
    Retries,
    StealLock,
    WaitLock,
    new_app,
    open_fleet,
    print_json,
    print_lines,
    settings,
    uses_colour,
)


if TYPE_CHECKING:
    from collections.abc import Sequence

    from clanpy.inventory.people import Presence

app = new_app("List and update standalone homes, and take them back.")

Homes = Annotated[
    list[str],
    typer.Argument(
        metavar="USER[@MACHINE]…", help="Whose home, and where", autocompletion=complete_users, show_default=False
    ),
]
_Home = Annotated[
    str,
    typer.Argument(
        metavar="USER@MACHINE", help="Whose home, and where", autocompletion=complete_users, show_default=False
    ),
]
_Elevate = Annotated[
    bool,
    typer.Option(
        "--elevate",
        help="Log in as the machine's target says, and become the account; without it log in as the account",
    ),
]
_To = Annotated[
    str | None,
    typer.Option(
        metavar="GENERATION|PATH", help="Go back to this (default: what ran before what runs now)", show_default=False
    ),
]


@app.callback()
def _home() -> None:
    """List and update standalone homes, and take them back."""


@app.command("list")
def list_(ctx: typer.Context, *, json: Json = False) -> None:
    """List the homes of people for every platform of the fleet, and where they are deployed: on their own, or with the system."""
    from clanpy.inventory.people import homes_by_platform  # noqa: PLC0415 - rooms are imported when a command runs

    found = homes_by_platform(open_fleet(ctx))
    if json:
        homes = [
            {"user": user, "system": system, "deployed": [_deployed(one) for one in there]}
            for (user, system), there in found.items()
        ]
        print_json({"schema": "clanpy.homes/1", "homes": homes})
        return
    from clanpy.ui.table import table_lines  # noqa: PLC0415 - only for people

    rows = [(user, system, _named(there, alone=True), _named(there)) for (user, system), there in found.items()]
    head = ("USER", "PLATFORM", "ON THEIR OWN", "WITH THE SYSTEM")
    print_lines(table_lines(head, rows, colour=uses_colour(settings(ctx).colour, sys.stdout)))


def _deployed(one: Presence) -> dict[str, Any]:
    return {"machine": one.machine, "account": one.account, "home": one.home, "home_manager": one.home_manager}


def _named(there: Sequence[Presence], *, alone: bool = False) -> str:
    return ", ".join(f"{one.account}@{one.machine}" for one in there if (one.home_manager == "standalone") == alone)


@app.command()
def update(
    ctx: typer.Context,
    homes: Homes,
    *,
    dry_run: DryRun = False,
    elevate: _Elevate = False,
    parallel: Parallel = None,
    build_host: BuildHost = None,
    retries: Retries = 2,
    wait_lock: WaitLock = True,
    steal_lock: StealLock = False,
    confirm_timeout: ConfirmWithin = 60.0,
    activation_timeout: live.ActivationTimeout = 900.0,
    home_backup_extension: live.BackupExtension = "",
    retry_failed: live.RetryFailed = False,
    host_key_check: HostKeys = KeyCheck.STRICT,
    as_json: Json = False,
) -> None:
    """Build standalone homes and activate them as the accounts whose they are, without root; the systems stay as they are.

    Files that are in the way are refused before anything is changed, unless --home-backup-extension says how to set them aside.
    """
    from clanpy.cli import homes as verbs  # noqa: PLC0415 - rooms are imported when a command runs
    from clanpy.cli.verbs import How  # noqa: PLC0415 - the same
    from clanpy.deployment.live import Live  # noqa: PLC0415 - the same

    how = How(
        parallel=parallel,
        build_host=build_host,
        retries=retries,
        check=host_key_check,
        dry_run=dry_run,
        wait_lock=wait_lock,
        steal_lock=steal_lock,
        confirm_within=confirm_timeout,
        activate_within=activation_timeout,
        live=Live(backup_extension=home_backup_extension, retry_failed=retry_failed),
        as_json=as_json,
    )
    raise typer.Exit(verbs.update(ctx, homes, how, elevate=elevate))


@app.command()
def rollback(
    ctx: typer.Context,
    home: _Home,
    *,
    to: _To = None,
    dry_run: DryRun = False,
    elevate: _Elevate = False,
    retries: Retries = 2,
    wait_lock: WaitLock = True,
    steal_lock: StealLock = False,
    confirm_timeout: ConfirmWithin = 60.0,
    host_key_check: HostKeys = KeyCheck.STRICT,
    as_json: Json = False,
) -> None:
    """Take a home back, under the same guard as going forward."""
    from clanpy.cli import homes as verbs  # noqa: PLC0415 - rooms are imported when a command runs
    from clanpy.cli.verbs import How  # noqa: PLC0415 - the same

    how = How(
        retries=retries,
        check=host_key_check,
        dry_run=dry_run,
        wait_lock=wait_lock,
        steal_lock=steal_lock,
        confirm_within=confirm_timeout,
        as_json=as_json,
    )
    raise typer.Exit(verbs.rollback(ctx, home, how, to=to, elevate=elevate))


@app.command()
def generations(
    ctx: typer.Context,
    home: _Home,
    *,
    elevate: _Elevate = False,
    host_key_check: HostKeys = KeyCheck.STRICT,
    as_json: Json = False,
) -> None:
    """Show what a home can be taken back to: `home rollback USER@MACHINE --to GENERATION`."""
    from clanpy.cli import homes as verbs  # noqa: PLC0415 - rooms are imported when a command runs
    from clanpy.cli.verbs import How  # noqa: PLC0415 - the same

    raise typer.Exit(verbs.generations(ctx, home, How(check=host_key_check, as_json=as_json), elevate=elevate))
