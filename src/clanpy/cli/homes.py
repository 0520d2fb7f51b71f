"""What the commands of `clanpy home` do. Imported when one of them runs."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from clanpy.cli.context import print_json, print_lines, settings, uses_colour
from clanpy.cli.following import follow_run
from clanpy.cli.verbs import How, generation_lines
from clanpy.deploy import RunResult, roll_back, update_homes
from clanpy.deployment.generations import known_generations
from clanpy.deployment.homes import logged_in_as
from clanpy.errors import ExitCode, UsageError
from clanpy.inventory.people import standalone_homes


if TYPE_CHECKING:
    from collections.abc import Sequence

    import typer

    from clanpy.cli.site import Site
    from clanpy.deployment.options import Surroundings
    from clanpy.events import Sink
    from clanpy.journal import Recorder
    from clanpy.rollout.interrupts import Interrupts


def update(ctx: typer.Context, homes: Sequence[str], how: How, *, elevate: bool) -> int:
    """`home update`."""
    site = how.site(ctx, homes_elsewhere=True)
    accounts = _accounts(site, homes)
    surroundings = _surroundings(site, accounts, elevate=elevate)

    async def work(recorder: Recorder, sinks: Sequence[Sink], interrupts: Interrupts) -> RunResult:
        return await update_homes(surroundings, accounts, how.options(), recorder, sinks=sinks, interrupts=interrupts)

    return follow_run(ctx, site, work, as_json=how.as_json, dry_run=how.dry_run)


def rollback(ctx: typer.Context, home: str, how: How, *, to: str | None, elevate: bool) -> int:
    """`home rollback`."""
    site = how.site(ctx, homes_elsewhere=True)
    machine, account = _one(site, home)
    surroundings = _surroundings(site, {machine: account}, elevate=elevate)

    async def work(recorder: Recorder, sinks: Sequence[Sink], interrupts: Interrupts) -> RunResult:
        return await roll_back(
            surroundings,
            machine,
            how.options(),
            recorder,
            to=to,
            account=account,
            sinks=sinks,
            interrupts=interrupts,
        )

    return follow_run(ctx, site, work, as_json=how.as_json, dry_run=how.dry_run)


def generations(ctx: typer.Context, home: str, how: How, *, elevate: bool) -> int:
    """`home generations`."""
    site = how.site(ctx, homes_elsewhere=True)
    machine, account = _one(site, home)
    known = asyncio.run(known_generations(_surroundings(site, {machine: account}, elevate=elevate), machine, account))
    if how.as_json:
        print_json(known.to_dict())
    else:
        print_lines(generation_lines(known, colour=uses_colour(settings(ctx).colour, sys.stdout)))
    return ExitCode.DONE


def _surroundings(site: Site, accounts: dict[str, str], *, elevate: bool) -> Surroundings:
    return site.surroundings if elevate else logged_in_as(site.surroundings, accounts)


def _accounts(site: Site, homes: Sequence[str]) -> dict[str, str]:
    """Whose home on each machine. In one run a machine is worked on once."""
    found: dict[str, str] = {}
    for one in standalone_homes(site.fleet, homes):
        other = found.setdefault(one.machine, one.account)
        if other != one.account:
            raise UsageError(
                f"these are two homes on {one.machine}: {other} and {one.account}",
                hint=f"one after the other: clanpy home update {one.account}@{one.machine}",
            )
    return found


def _one(site: Site, home: str) -> tuple[str, str]:
    found = list(_accounts(site, [home]).items())
    if len(found) != 1:
        names = ", ".join(f"{account}@{machine}" for machine, account in found)
        raise UsageError(f"'{home}' has several homes", hint=f"name one: {names}")
    return found[0]
