"""`clanpy doctor`: whether machines can be deployed to, and whether this computer can do it."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import typer

from clanpy.cli.context import (
    BuildHost,
    Format,
    HostKeys,
    Json,
    KeyCheck,
    Names,
    Parallel,
    Retries,
    Tags,
    new_app,
    print_json,
    print_lines,
    print_rows,
    say,
    settings,
    split_tags,
    uses_colour,
)


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from clanpy.cli.site import Site
    from clanpy.deployment.doctor import Diagnosis

app = new_app("Say whether machines can be deployed to.")

STYLES = {"ready": "green", "warnings": "yellow", "problems": "red", "unreachable": "red"}


@app.command()
def doctor(
    ctx: typer.Context,
    *,
    names: Names = None,
    tags: Tags = None,
    build_host: BuildHost = None,
    parallel: Parallel = None,
    retries: Retries = 2,
    host_key_check: HostKeys = KeyCheck.STRICT,
    form: Format = None,
    as_json: Json = False,
) -> None:
    """Ask machines, in one round trip each and changing nothing, whether they can be deployed to.

    Ends with 0 when nothing stands in the way (warnings do not count), with 4 when machines are unreachable and nothing else
    is wrong, otherwise with 1.
    """
    from clanpy.cli.verbs import How, Selection  # noqa: PLC0415 - rooms are imported when a command runs
    from clanpy.deployment.doctor import SCHEMA, diagnose, exit_code  # noqa: PLC0415 - as above

    how = How(parallel=parallel, retries=retries, build_host=build_host, check=host_key_check)
    site = how.site(ctx)
    machines = Selection(names=names or (), tags=split_tags(tags)).of(site)
    found = asyncio.run(diagnose(site.surroundings, machines, how.options()))
    rows = [one.to_dict() for one in found]
    here = controller(site, parallel)
    if form is not None:
        print_rows(rows, form)
    elif as_json:
        print_json({"schema": SCHEMA, "controller": here, "machines": rows})
    else:
        print_lines(_lines(found, colour=uses_colour(settings(ctx).colour, sys.stdout)))
        for line in _notes(found, here):
            say(line)
    raise typer.Exit(exit_code(found))


def controller(site: Site, parallel: int | None) -> dict[str, Any]:
    """This computer: its Nix, how much it does at once, and where it keeps things."""
    from clanpy import __version__  # noqa: PLC0415 - rooms are imported when a command runs
    from clanpy.deployment.releases import find_nix  # noqa: PLC0415 - as above
    from clanpy.errors import ClanpyError  # noqa: PLC0415 - as above
    from clanpy.nix.evaluate import Workers  # noqa: PLC0415 - as above
    from clanpy.rollout.limits import Limits  # noqa: PLC0415 - as above

    nix, limits = find_nix(site.surroundings), Limits.derived(parallel=parallel)
    missing = isinstance(nix, ClanpyError)
    version = None if isinstance(nix, ClanpyError) else asyncio.run(nix.version(site.surroundings.cache))
    return {
        "clanpy": __version__,
        "nix": None if isinstance(nix, ClanpyError) else str(nix.path),
        "nix_version": None if missing or version is None else ".".join(map(str, version)),
        "parallel": {
            "hosts": limits.hosts,
            "evaluate": Workers.for_this_machine().processes,
            "build": limits.build,
            "copy": limits.copy,
            "activate": limits.activate,
        },
        "state": str(site.journal.folder),
        "cache": str(site.surroundings.cache),
    }


def _lines(found: Sequence[Diagnosis], *, colour: bool) -> Iterator[str]:
    from clanpy.ui.table import table_lines  # noqa: PLC0415 - only for people

    head = (
        "HOSTNAME",
        "VERDICT",
        "REACHED AS",
        "SYSTEM",
        "NIX",
        "ROOT BY",
        "GUARD BY",
        "FREE",
        "CLOCK",
        "ANSWER",
        "WAY BACK",
    )
    yield from table_lines(
        head, [_row(one) for one in found], colour=colour, styles=[STYLES.get(one.verdict) for one in found]
    )


def _row(one: Diagnosis) -> tuple[str, ...]:
    from clanpy.deployment.preflight import system_of  # noqa: PLC0415 - only for people
    from clanpy.ui.format import size  # noqa: PLC0415 - as above

    if one.found is None:
        return (one.machine.name, one.verdict, *("" for _ in range(9)))
    facts = one.found.facts
    back = facts.ways_back.get("system")
    return (
        one.machine.name,
        one.verdict,
        one.address or "",
        f"{system_of(facts)} ({facts.class_})",
        facts.nix_version or "",
        facts.elevation or "",
        one.found.supervisor or "",
        "" if facts.free_bytes is None else size(facts.free_bytes),
        "" if one.skew is None else f"{one.skew:+.0f} s",
        "" if one.seconds is None else f"{one.seconds * 1000:.0f} ms",
        back.path.removeprefix("/nix/store/")[:8] if back else "",
    )


def _notes(found: Sequence[Diagnosis], here: dict[str, Any]) -> Iterator[str]:
    from collections import Counter  # noqa: PLC0415 - only for people

    from clanpy.ui.format import counted  # noqa: PLC0415 - as above

    yield ""
    for one in found:
        if one.error is not None:
            yield f"{one.machine.name}: {one.error.message} ({one.error.code})"
            if one.error.hint:
                yield f"  hint: {one.error.hint}"
        for finding in one.findings:
            yield f"{one.machine.name}: {finding.level}: {finding.text}"
    limits = ", ".join(f"{name} {count}" for name, count in here["parallel"].items())
    nix = (
        f"Nix {here['nix_version']} ({here['nix']})"
        if here["nix"]
        else "no Nix (build on the machines: --build-host target)"
    )
    yield f"here: clanpy {here['clanpy']}, {nix}; at once: {limits}"
    counts = Counter(one.verdict for one in found)
    yield f"{counted(len(found), 'machine')}: {', '.join(f'{verdict} {counts[verdict]}' for verdict in STYLES if counts[verdict])}"
