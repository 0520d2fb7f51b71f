"""`clanpy check`: every error of the fleet that can be known without Nix."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from clanpy.cli.context import Json, fleet_root, new_app, print_json, print_lines, say
from clanpy.errors import ClanpyError, CombinedError, ExitCode, raise_all


if TYPE_CHECKING:
    from clanpy.inventory.findings import Findings


app = new_app("Find every error of the fleet that can be known without Nix.")


@app.command()
def check(ctx: typer.Context, *, json: Json = False) -> None:
    """Read every file of the fleet, resolve every machine, and tell all that is wrong, each with its place.

    Ends with 0 when nothing is wrong (warnings do not count), with 65 when something is.
    """
    from clanpy import inventory  # noqa: PLC0415 - rooms are imported when a command runs

    findings = _with_vars(inventory.check(fleet_root(ctx)))
    if json:
        print_json(findings.to_dict())
        raise typer.Exit(ExitCode.FLEET_INVALID if findings.errors else ExitCode.DONE)
    for warning in findings.warnings:
        say(f"warning: {warning} ({warning.code})")
        if warning.hint:
            say(f"  hint: {warning.hint}")
    raise_all(findings.errors)
    fleet = findings.fleet
    counts = [
        (len(fleet.machines), "machine"),
        (len(fleet.users), "user"),
        (len(fleet.instances), "instance"),
        (len(fleet.aspects), "aspect"),
    ]
    told = ", ".join(f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts)
    print_lines([f"{fleet.meta.name}: {told}: no errors"])


def _with_vars(findings: Findings) -> Findings:
    """The same with what is wrong between generators. What waits for values to be generated is a warning."""
    from clanpy.generators.fleet import read_fleet  # noqa: PLC0415 - rooms are imported when a command runs
    from clanpy.generators.graph import build  # noqa: PLC0415 - the same
    from clanpy.services.errors import PendingValueError  # noqa: PLC0415 - the same

    found = {str(error): error for error in findings.errors if not isinstance(error, PendingValueError)}
    waiting = tuple(error for error in findings.errors if isinstance(error, PendingValueError))
    try:
        build(read_fleet(findings.fleet).context)
    except CombinedError as error:
        found.update((str(one), one) for one in error.errors)
    except ClanpyError as error:
        found[str(error)] = error
    return replace(findings, errors=tuple(found.values()), warnings=(*findings.warnings, *waiting))
