"""`clanpy packages`: the five layers that packages go through, and the records of those that are taken from another channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from clanpy.cli.complete import complete_machines
from clanpy.cli.context import DryRun, Json, Names, fleet_root, new_app, open_fleet, print_json, print_lines
from clanpy.cli.editing import Force, How, carry_out
from clanpy.cli.tables import add_row, new_table, new_tree, plain, print_parts
from clanpy.errors import ExitCode


if TYPE_CHECKING:
    from collections.abc import Iterator

    from clanpy.inventory.layers import Fallback, Layers, Packages
    from clanpy.inventory.model import Fleet

app = new_app("Show where packages come from, and look after those that are taken from another channel.")
fallbacks = new_app("Packages that are taken from another channel on some platforms, for a time.")
app.add_typer(fallbacks, name="fallbacks")

_ON = Annotated[
    str | None,
    typer.Option("--machine", help="On this machine's system", autocompletion=complete_machines, show_default=False),
]
_Package = Annotated[str, typer.Argument(help="The package, by its name in nixpkgs", show_default=False)]


@app.callback()
def _packages() -> None:
    """Show where packages come from, and look after those that are taken from another channel."""


@fallbacks.callback()
def _fallbacks() -> None:
    """Packages that are taken from another channel on some platforms, for a time."""


@app.command()
def layers(ctx: typer.Context, *, machine: _ON = None, json: Json = False) -> None:
    """Show the five layers in their order, and what each has: of one machine, or of each system of the fleet."""
    fleet = open_fleet(ctx)
    found = {system: _on(fleet, system) for system in _systems(fleet, machine)}
    if json:
        print_json({"schema": "clanpy.packages/1", "systems": {s: _layers_dict(fleet, on) for s, on in found.items()}})
    else:
        print_parts(ctx, [_layers_view(fleet, system, on) for system, on in found.items()])


@app.command()
def channels(ctx: typer.Context, *, json: Json = False) -> None:
    """List the channels: which flake input each is on which system, and its patches."""
    fleet = open_fleet(ctx)
    packages = _of(fleet)
    systems = _systems(fleet, None)
    rows: list[dict[str, Any]] = [
        {
            "name": channel.name,
            "inputs": {system: channel.input_on(system) for system in systems},
            "patches": list(channel.patches),
            "fallbacks": sum(fallback.channel == channel.name for fallback in packages.fallbacks),
        }
        for channel in packages.channels.values()
    ]
    if json:
        print_json({"schema": "clanpy.channels/1", "channels": rows})
        return
    table = new_table("channel", *systems, "patches", "fallbacks")
    for row in rows:
        inputs = [row["inputs"][system] for system in systems]
        add_row(table, row["name"], *inputs, " ".join(row["patches"]), str(row["fallbacks"]))
    print_parts(ctx, [table])


@app.command()
def resolve(ctx: typer.Context, package: _Package, *, machine: _ON = None, json: Json = False) -> None:
    """Say which layer gives a package, on each system of the fleet or on one machine, and why.

    Overlays of flake inputs are Nix: what they have is not known here, and they are named.
    """
    fleet = open_fleet(ctx)
    answers = [_answer(fleet, package, system) for system in _systems(fleet, machine)]
    if json:
        print_json({"schema": "clanpy.package/1", "package": package, "systems": answers})
        return
    for answer in answers:
        tree = new_tree(f"{package} on {answer['system']}: {answer['from']}")
        for line in answer["why"]:
            tree.add(plain(line))
        print_parts(ctx, [tree])


@app.command()
def check(ctx: typer.Context, *, json: Json = False) -> None:
    """Find what is wrong with the layers, and fallbacks that are too old. Exits with 65 when something is wrong.

    Whether channels still have the packages that are taken from them is asked of Nix; without it this is told as not looked at.
    """
    from datetime import UTC, datetime  # noqa: PLC0415 - only here

    from clanpy.cli.package_work import absent  # noqa: PLC0415 - rooms are imported when a command runs
    from clanpy.inventory.packages import check_packages  # noqa: PLC0415 - as above

    fleet = open_fleet(ctx)
    errors, warnings = check_packages(fleet, datetime.now(UTC).date())
    gone, unchecked = absent(ctx, fleet)
    errors += gone
    if json:
        found = {"errors": [e.to_dict() for e in errors], "warnings": [w.to_dict() for w in warnings]}
        print_json({"schema": "clanpy.packages-check/1", **found, "unchecked": unchecked})
    else:
        for kind, findings in (("error", errors), ("warning", warnings)):
            for finding in findings:
                print_lines([f"{kind}: {finding}", *([f"  hint: {finding.hint}"] if finding.hint else [])])
        print_lines([f"not looked at: {what}" for what in unchecked])
        if not (errors or warnings):
            print_lines(["the layers are in order" if not unchecked else "nothing else is wrong"])
    if errors:
        raise typer.Exit(ExitCode.FLEET_INVALID)


@app.command()
def diff(
    ctx: typer.Context,
    revision: Annotated[str, typer.Argument(metavar="REV", help="A commit, tag or branch of git", show_default=False)],
    names: Names = None,
    *,
    json: Json = False,
) -> None:
    """Show which versions change for machines between the flake.lock of a revision and the present one. Builds nothing."""
    from clanpy.cli.package_work import diff as show  # noqa: PLC0415 - rooms are imported when a command runs

    show(ctx, revision, names or (), as_json=json)


@fallbacks.command("list")
def list_(ctx: typer.Context, *, json: Json = False) -> None:
    """List the packages that are taken from another channel, with their age and when they can go."""
    packages = _of(open_fleet(ctx))
    if json:
        print_json({"schema": "clanpy.fallbacks/1", "fallbacks": [f.to_dict() for f in packages.fallbacks]})
        return
    table = new_table("package", "platforms", "channel", "since", "days", "reason", "until it can go")
    for record in packages.fallbacks:
        since = record.added.isoformat() if record.added else None
        days = str(_age(record)) if record.added else None
        where = " ".join(record.platforms) or "all"
        add_row(table, record.package, where, record.channel, since, days, record.reason, record.remove_when)
    print_parts(ctx, [table])


@fallbacks.command()
def add(
    ctx: typer.Context,
    package: _Package,
    *,
    platform: Annotated[list[str], typer.Option(help="Where it is broken: aarch64-darwin, darwin (repeatable)")],
    hydra: Annotated[str, typer.Option(help="The job of the build farm that fails: a link")],
    reason: Annotated[str, typer.Option(help="What is broken")],
    remove_when: Annotated[str, typer.Option(help="When the record can go")],
    channel: Annotated[str, typer.Option(help="The channel that it is taken from")] = "stable",
    issue: Annotated[str | None, typer.Option(help="Where it is talked about: a link", show_default=False)] = None,
    until: Annotated[
        str | None, typer.Option(help="The day by which it has to be looked at", metavar="DATE", show_default=False)
    ] = None,
    dry_run: DryRun = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Take a package from another channel on some platforms, and write down why."""
    from datetime import UTC, datetime  # noqa: PLC0415 - only here

    from clanpy.inventory.editing.fallbacks import add_fallback  # noqa: PLC0415 - rooms are imported when a command runs

    root = fleet_root(ctx)
    fields = {
        "package": package,
        "platforms": list(platform),
        "channel": channel,
        "hydra": hydra,
        "issue": issue,
        "reason": reason,
        "remove_when": remove_when,
        "added": datetime.now(UTC).date().isoformat(),
        "until": until,
    }
    record = {key: value for key, value in fields.items() if value is not None}
    carry_out(ctx, lambda: add_fallback(root, record), How(dry_run, force, as_json))


@fallbacks.command()
def drop(
    ctx: typer.Context,
    package: _Package,
    *,
    platform: Annotated[
        str | None, typer.Option(help="Only records that name this platform", show_default=False)
    ] = None,
    dry_run: DryRun = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Take a package from where all others come from again."""
    from clanpy.inventory.editing.fallbacks import drop_fallback  # noqa: PLC0415 - rooms are imported when a command runs

    root = fleet_root(ctx)
    carry_out(ctx, lambda: drop_fallback(root, package, platform), How(dry_run, force, as_json))


@fallbacks.command()
def review(
    ctx: typer.Context,
    package: Annotated[str | None, typer.Argument(help="Only this package", show_default=False)] = None,
    *,
    json: Json = False,
) -> None:
    """Ask the page of the build farm that each record names how the job goes by now; without a network, say so."""
    from clanpy.cli.package_work import review as ask  # noqa: PLC0415 - rooms are imported when a command runs

    ask(ctx, package, as_json=json)


@fallbacks.command()
def history(
    ctx: typer.Context,
    package: Annotated[str | None, typer.Argument(help="Only this package", show_default=False)] = None,
    *,
    json: Json = False,
) -> None:
    """Show which fallbacks came and went, as git remembers it, the newest first."""
    from clanpy.inventory.package_history import fallback_history  # noqa: PLC0415 - rooms are imported when a command runs

    found = fallback_history(fleet_root(ctx), package)
    if json:
        print_json({"schema": "clanpy.fallback-history/1", "changes": [change.to_dict() for change in found]})
        return
    table = new_table("day", "", "package", "platforms", "channel", "commit", "by", "subject")
    for change in found:
        where = " ".join(change.platforms) or "all"
        add_row(
            table,
            change.day,
            change.action,
            change.package,
            where,
            change.channel,
            change.commit,
            change.author,
            change.subject,
        )
    print_parts(ctx, [table])


def _of(fleet: Fleet) -> Packages:
    from clanpy.inventory.packages import packages_of  # noqa: PLC0415 - rooms are imported when a command runs

    return packages_of(fleet)


def _on(fleet: Fleet, system: str) -> Layers:
    return _of(fleet).on(fleet.root, system)


def _systems(fleet: Fleet, machine: str | None) -> list[str]:
    if machine is None:
        return sorted({m.system for m in fleet.machines.values() if m.system})
    from clanpy.machines import select_one  # noqa: PLC0415 - rooms are imported when a command runs

    return [select_one(fleet, machine).system]


def _age(record: Fallback) -> int:
    from datetime import UTC, datetime  # noqa: PLC0415 - only here

    return (datetime.now(UTC).date() - record.added).days if record.added else 0


def _layers_dict(fleet: Fleet, on: Layers) -> dict[str, Any]:
    def below(path: Any) -> str:
        return str(path.relative_to(fleet.root))

    return {
        "channels": {
            n: {"input": i, "patches": [below(p) for p in patches]} for n, (i, patches) in on.channels.items()
        },
        "fallbacks": dict(on.fallbacks),
        "overrides": {name: below(path) for name, path in on.overrides.items()},
        "external": [{"input": input_, "overlay": overlay} for input_, overlay in on.external],
        "custom": {name: below(path) for name, path in on.custom.items()},
        "config": dict(on.config),
    }


def _layers_view(fleet: Fleet, system: str, on: Layers) -> Any:
    found = _layers_dict(fleet, on)
    tree = new_tree(system)
    for n, (name, lines) in enumerate(_lines(found), 1):
        entries = list(lines)
        branch = tree.add(plain(f"{n} {name}" if entries else f"{n} {name}: nothing"))
        for line in entries:
            branch.add(plain(line))
    return tree


def _lines(found: dict[str, Any]) -> Iterator[tuple[str, Iterator[str]]]:
    channels_ = found["channels"].items()
    yield "channels", (" + ".join([f"{n} = {c['input']}", *c["patches"]]) for n, c in channels_)
    yield "fallbacks", (f"{package} from {channel}" for package, channel in found["fallbacks"].items())
    yield "overrides", (f"{package}: {file}" for package, file in found["overrides"].items())
    yield "external", (f"{e['input']}.overlays.{e['overlay']}" for e in found["external"])
    yield "custom", (f"{package}: {file}" for package, file in found["custom"].items())


def _answer(fleet: Fleet, package: str, system: str) -> dict[str, Any]:
    """Where a package comes from on a system, and why."""
    on, packages = _on(fleet, system), _of(fleet)
    steps = on.of(package)
    why = []
    for layer, said in steps:
        place, reason = _reason(packages, layer, package, system)
        why.append(f"{layer}: {said.removeprefix(f'{fleet.root}/')}{reason}  ← {place}")
    why += [f"external: {input_}.overlays.{overlay} may change it" for input_, overlay in on.external]
    layer, said = steps[-1] if steps else ("nixpkgs", "as it is there")
    return {"system": system, "layer": layer, "from": f"{layer}, {said.removeprefix(f'{fleet.root}/')}", "why": why}


def _reason(packages: Packages, layer: str, package: str, system: str) -> tuple[str, str]:
    if layer == "fallbacks":
        record = [f for f in packages.fallbacks if f.package == package and f.applies(system)][-1]
        return str(record.place), f": {record.reason}" if record.reason else ""
    if layer == "overrides":
        override = packages.overrides[package]
        return str(override.place), f": {override.reason}" if override.reason else ""
    return "pkgs/by-name", ""
