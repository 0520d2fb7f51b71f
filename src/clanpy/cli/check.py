"""`clanpy check`: every error of the fleet that can be known without Nix."""

from __future__ import annotations

import typer

from clanpy.cli.context import Json, fleet_root, new_app, print_json, print_lines, say
from clanpy.errors import ExitCode, raise_all


app = new_app("Find every error of the fleet that can be known without Nix.")


@app.command()
def check(ctx: typer.Context, *, json: Json = False) -> None:
    """Read every file of the fleet, resolve every machine, and tell all that is wrong, each with its place.

    Ends with 0 when nothing is wrong (warnings do not count), with 65 when something is.
    """
    from clanpy import inventory  # noqa: PLC0415 - rooms are imported when a command runs

    findings = inventory.check(fleet_root(ctx))
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
