"""`clanpy networks`: over which networks machines are reached, and whether they answer there."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from clanpy.cli.context import (
    HostKeys,
    Json,
    KeyCheck,
    Names,
    Tags,
    new_app,
    open_fleet,
    print_json,
    print_lines,
    settings,
    split_tags,
    uses_colour,
)
from clanpy.errors import ExitCode, NothingMatchedError, nearest, raise_all


if TYPE_CHECKING:
    from clanpy.cli.site import Site
    from clanpy.deployment.probing import Tried
    from clanpy.inventory.networks import FleetNetwork
    from clanpy.inventory.ways import Way
    from clanpy.ssh import Target

app = new_app("Show over which networks machines are reached.")
_NETWORK = typer.Option("-n", "--network", help="Only over this network", show_default=False)


@app.callback()
def _networks() -> None:
    """Show over which networks machines are reached."""


@app.command("list")
def list_(ctx: typer.Context, *, as_json: Json = False) -> None:
    """List the networks that services export, in the order in which they are tried."""
    from clanpy.inventory.networks import network_errors, networks  # noqa: PLC0415 - imported when a command runs

    fleet = open_fleet(ctx)
    found = networks(fleet)
    if as_json:
        print_json({"schema": "clanpy.networks/1", "networks": [network.to_dict() for network in found]})
    else:
        head = ("NETWORK", "PRIORITY", "SERVICE", "DIALLED", "MACHINES", "WITH AN ADDRESS")
        _print_table(ctx, head, [_row(network) for network in found])
    raise_all(network_errors(fleet))


def _row(network: FleetNetwork) -> Sequence[str]:
    dialled = f"through {network.proxy}" if network.technology == "socks" and network.proxy else "directly"
    return (
        network.name,
        str(network.priority),
        network.service,
        dialled,
        str(len(network.machines)),
        str(len(network.addresses)),
    )


@app.command()
def overview(
    ctx: typer.Context,
    *,
    names: Names = None,
    tags: Tags = None,
    host_key_check: HostKeys = KeyCheck.STRICT,
    as_json: Json = False,
) -> None:
    """Try every way to every machine, and show which of them lead there."""
    _show(ctx, _tried(ctx, names or (), split_tags(tags), None, host_key_check), as_json=as_json)


@app.command()
def ping(
    ctx: typer.Context,
    *,
    names: Annotated[list[str], typer.Argument(help="Machines, as in other commands", show_default=False)],
    network: Annotated[str | None, _NETWORK] = None,
    host_key_check: HostKeys = KeyCheck.STRICT,
    as_json: Json = False,
) -> None:
    """Log in over every way to some machines. The exit code is 4 when one of them can't be reached at all."""
    tried = _tried(ctx, names, (), network, host_key_check)
    _show(ctx, tried, as_json=as_json)
    machines = {one.machine for one in tried}
    if machines - {one.machine for one in tried if one.is_reached}:
        raise typer.Exit(ExitCode.UNREACHABLE)


def _tried(
    ctx: typer.Context, names: Sequence[str], tags: Sequence[str], network: str | None, check: KeyCheck
) -> tuple[Tried, ...]:
    from clanpy.cli.site import open_site  # noqa: PLC0415 - rooms are imported when a command runs
    from clanpy.deployment.probing import try_ways  # noqa: PLC0415 - the same
    from clanpy.machines import select  # noqa: PLC0415 - the same
    from clanpy.ssh import HostKeyCheck  # noqa: PLC0415 - the same

    site = open_site(ctx, HostKeyCheck(check.value))
    chosen = [machine.name for machine in select(site.fleet, names, tags)]
    if network is not None:
        _known(site, network)
    return asyncio.run(try_ways([way for name in chosen for way in _ways(site, name, network, is_strict=bool(names))]))


def _known(site: Site, network: str) -> None:
    from clanpy.inventory.networks import networks  # noqa: PLC0415 - rooms are imported when a command runs

    known = [found.name for found in networks(site.fleet)]
    if network not in known:
        hint = nearest(network, known) or (f"known: {', '.join(known)}" if known else "no instance exports one")
        raise NothingMatchedError(f"there is no network '{network}'", hint=hint)


def _ways(site: Site, name: str, network: str | None, *, is_strict: bool) -> Iterator[tuple[str, Way, Target]]:
    """The ways to a machine with how they are dialled; without any it is an error only when the machine was named."""
    from clanpy.cli.ways import RealWays  # noqa: PLC0415 - rooms are imported when a command runs
    from clanpy.deployment.errors import NoTargetError  # noqa: PLC0415 - the same

    targets = site.surroundings.targets
    try:
        found = list(_real(targets, name) if isinstance(targets, RealWays) else _rehearsed(targets, name))
    except NoTargetError:
        if is_strict:
            raise
        return
    kept = [(way, target) for way, target in found if network in {None, way.network}]
    if not kept and is_strict:
        raise NoTargetError(
            f"machine '{name}' is not reached over '{network}'" if network else f"there is no way to machine '{name}'"
        )
    yield from ((name, way, target) for way, target in kept)


def _real(targets: Mapping[str, tuple[Target, ...]], name: str) -> Iterator[tuple[Way, Target]]:
    from clanpy.cli.ways import RealWays  # noqa: PLC0415 - rooms are imported when a command runs

    assert isinstance(targets, RealWays)
    ways = targets.ways(name)
    yield from zip(ways, targets.targets(name, ways), strict=True)


def _rehearsed(targets: Mapping[str, tuple[Target, ...]], name: str) -> Iterator[tuple[Way, Target]]:
    """In the lab there is one network, its own."""
    from clanpy.inventory.ways import Way  # noqa: PLC0415 - rooms are imported when a command runs

    yield from ((Way(source="lab", target=str(target)), target) for target in targets.get(name, ()))


def _show(ctx: typer.Context, tried: Iterable[Tried], *, as_json: bool) -> None:
    if as_json:
        print_json({"schema": "clanpy.ways/1", "ways": [one.to_dict() for one in tried]})
        return
    rows = [
        (
            one.machine,
            one.way.source,
            one.way.target + (f" through {', '.join(one.way.jump)}" if one.way.jump else ""),
            f"{one.seconds:.2f} s" if one.seconds is not None else "-",
            one.error.message if one.error else "reached",
        )
        for one in tried
    ]
    _print_table(ctx, ("MACHINE", "BY", "TARGET", "TIME", "RESULT"), rows)


def _print_table(ctx: typer.Context, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from clanpy.ui.table import table_lines  # noqa: PLC0415 - only for people

    print_lines(table_lines(head, rows, colour=uses_colour(settings(ctx).colour, sys.stdout)))
