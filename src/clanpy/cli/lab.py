"""`clanpy lab`: disposable hosts on this computer, and what can go wrong with them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clanpy.cli.context import Json, new_app, open_fleet, print_json, print_lines, say, settings
from clanpy.errors import FleetNotFoundError, UsageError


if TYPE_CHECKING:
    from clanpy.inventory.model import Fleet, Machine
    from clanpy.lab import HostSpec, Lab, LabStatus

app = new_app("Start and stop disposable hosts on this computer.")

DEFAULT = "lab"

LabName = Annotated[str | None, typer.Option("--name", help=f"Name of the lab (default: {DEFAULT})")]


def _complete_hosts(incomplete: str) -> list[str]:
    from clanpy.lab.state import Paths, Saved  # noqa: PLC0415 - rooms are imported when a command runs

    saved = Saved.load(Paths.of(DEFAULT))
    return [name for name in (saved.hosts if saved else ()) if name.startswith(incomplete)]


Host = Annotated[str, typer.Argument(help="Host of the lab", autocompletion=_complete_hosts, show_default=False)]


@app.command()
def up(
    ctx: typer.Context,
    *,
    count: Annotated[
        int | None,
        typer.Argument(
            help="How many hosts, called h1, h2, … (default: one for each machine of the fleet)",
            min=1,
            metavar="N",
            show_default=False,
        ),
    ] = None,
    name: LabName = None,
    base: Annotated[str, typer.Option(help="The system that hosts are made from")] = "host",
    disk: Annotated[
        str | None, typer.Option(help="Give each host a disk of its own of this size, in memory (such as 200m)")
    ] = None,
    as_json: Json = False,
) -> None:
    """Start hosts and wait until they answer. What runs already is left alone."""
    from clanpy.lab import LabSpec  # noqa: PLC0415 - rooms are imported when a command runs
    from clanpy.lab import up as start  # noqa: PLC0415 - as above
    from clanpy.lab.base import is_made  # noqa: PLC0415 - as above

    hosts = _numbered(count, disk) if count is not None else _of_fleet(ctx, disk)
    if not is_made(base):
        say(f"making the base {base} from Debian's packages, this once: half a minute, 350 MB")
    began = time.monotonic()
    lab = start(LabSpec(name=_name(ctx, name), hosts=hosts, base=base))
    _show(lab.status(), as_json=as_json)
    say(f"lab {lab.name!r}: {len(hosts)} host{'s' if len(hosts) != 1 else ''} up in {time.monotonic() - began:.1f} s")


@app.command()
def down(
    ctx: typer.Context,
    *,
    name: LabName = None,
    wipe: Annotated[bool, typer.Option("--wipe", help="Delete the disks and keys of its hosts too")] = False,
) -> None:
    """Stop a lab, whatever state it is in. Its disks and keys are kept for the next time, unless wiped."""
    from clanpy.lab import down as stop  # noqa: PLC0415 - rooms are imported when a command runs

    chosen = _name(ctx, name)
    was_there = stop(chosen, wipe=wipe)
    say(f"lab {chosen!r}: {'down' if was_there else 'was not up'}{', wiped' if wipe and was_there else ''}")


@app.command()
def status(ctx: typer.Context, *, name: LabName = None, as_json: Json = False) -> None:
    """Show the hosts of a lab, where they are and how they are."""
    from clanpy.lab import status as ask  # noqa: PLC0415 - rooms are imported when a command runs

    _show(ask(_name(ctx, name)), as_json=as_json)


@app.command()
def fault(
    ctx: typer.Context,
    *,
    kind: Annotated[str | None, typer.Argument(help="What goes wrong (without: show all kinds)")] = None,
    host: Annotated[str | None, typer.Argument(help="Host of the lab", autocompletion=_complete_hosts)] = None,
    argument: Annotated[str | None, typer.Argument(help="What some kinds ask for", metavar="ARG")] = None,
    delay: Annotated[str | None, typer.Option(help="Of a link: what a round trip takes longer (100ms)")] = None,
    jitter: Annotated[str | None, typer.Option(help="Of a link: by how much that varies (5ms)")] = None,
    loss: Annotated[str | None, typer.Option(help="Of a link: packets that get lost, each way (1%)")] = None,
    rate: Annotated[str | None, typer.Option(help="Of a link: its speed (10mbit)")] = None,
    name: LabName = None,
    as_json: Json = False,
) -> None:
    """Do something bad to a host, or undo it."""
    link = {"delay": delay, "jitter": jitter, "loss": loss, "rate": rate}
    words = [f"{key}={value}" for key, value in link.items() if value is not None]
    if words and kind != "link":
        raise UsageError("--delay, --jitter, --loss and --rate are for the fault `link` alone")
    if words:
        argument = " ".join([*words, argument or ""]).strip()
    if kind is None:
        _show_faults(as_json=as_json)
    elif host is None:
        raise UsageError("which host?", hint=f"`clanpy lab fault {kind} HOST`")
    else:
        _lab(ctx, name).fault(kind, host, argument)


@app.command("exec", context_settings={"ignore_unknown_options": True})
def execute(
    ctx: typer.Context,
    *,
    host: Host,
    command: Annotated[list[str], typer.Argument(help="Program and arguments, after `--`")],
    name: LabName = None,
) -> None:
    """Run a program on a host as its root, not over ssh: it works however broken the host's network is."""
    words = _lab(ctx, name).access(host).entering(command)
    os.execvp(words[0], words)  # noqa: S606 - the terminal, signals and exit code shall be the program's own


@app.command(context_settings={"ignore_unknown_options": True})
def ssh(
    ctx: typer.Context,
    *,
    target: Annotated[str, typer.Argument(help="Host of the lab, or USER@HOST", metavar="[USER@]HOST")],
    command: Annotated[list[str] | None, typer.Argument(help="Program and arguments, after `--`")] = None,
    name: LabName = None,
) -> None:
    """Log in to a host over ssh with the lab's key."""
    lab = _lab(ctx, name)
    user, _, host = target.rpartition("@")
    words = lab.ssh_command(host, user or "root", command or [])
    lab.enter()
    os.execvp(words[0], words)  # noqa: S606 - the terminal, signals and exit code shall be ssh's own


def _name(ctx: typer.Context, name: str | None) -> str:
    return name or settings(ctx).lab or DEFAULT


def _lab(ctx: typer.Context, name: str | None) -> Lab:
    from clanpy.lab import Lab  # noqa: PLC0415 - rooms are imported when a command runs

    return Lab.load(_name(ctx, name))


def _numbered(count: int, disk: str | None) -> tuple[HostSpec, ...]:
    from clanpy.lab import HostSpec  # noqa: PLC0415 - rooms are imported when a command runs

    return tuple(HostSpec(name=f"h{n}", users=("admin",), disk=disk) for n in range(1, count + 1))


def _of_fleet(ctx: typer.Context, disk: str | None) -> tuple[HostSpec, ...]:
    try:
        fleet = open_fleet(ctx)
    except FleetNotFoundError as error:
        raise UsageError("how many hosts? There is no fleet here", hint="`clanpy lab up 4`, or --fleet DIR") from error
    hosts = tuple(_hosts_of(fleet, disk))
    if not hosts:
        raise UsageError("the fleet has no machines to start hosts for", hint="`clanpy lab up 4` starts four")
    return hosts


def _hosts_of(fleet: Fleet, disk: str | None) -> Iterator[HostSpec]:
    from clanpy.inventory.homes import accounts_elsewhere, hosts_elsewhere  # noqa: PLC0415 - as above
    from clanpy.lab import HostSpec  # noqa: PLC0415 - rooms are imported when a command runs

    for machine in fleet.machines.values():
        if machine.class_ != "home":
            yield HostSpec(name=machine.name, class_=machine.class_, users=_accounts(machine), disk=disk)
    for host in hosts_elsewhere(fleet).values():
        users = tuple(account.account for account in accounts_elsewhere(fleet, host.name))
        yield HostSpec(name=host.name, class_="darwin" if host.class_ == "darwin" else "nixos", users=users, disk=disk)


def _accounts(machine: Machine) -> tuple[str, ...]:
    """The accounts that a machine has before anything is deployed: who logs in, and on a Mac the people it belongs to."""
    user, at, _ = (machine.deploy.target_host or "").removeprefix("ssh://").rpartition("@")
    found = [user] if at else []
    if machine.class_ == "darwin":
        found += [person for person in (machine.admin_user, machine.primary_user) if person]
    return tuple(dict.fromkeys(found))


def _show(found: LabStatus, *, as_json: bool) -> None:
    if as_json:
        print_json(found.to_dict())
        return
    rows = [(s.host.name, s.host.class_, s.host.address, s.state.value, ",".join(s.host.users)) for s in found.hosts]
    widths = [max(len(row[column]) for row in rows) for column in range(4)] if rows else []
    print_lines("  ".join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[4]]).rstrip() for row in rows)


def _show_faults(*, as_json: bool) -> None:
    from clanpy.lab.faults import FAULTS  # noqa: PLC0415 - rooms are imported when a command runs

    if as_json:
        print_json([_fault_to_dict(kind, fault) for kind, fault in FAULTS.items()])
        return
    width = max(map(len, FAULTS))
    for kind, fault in FAULTS.items():
        argument = f" [ARG: {fault.argument}]" if fault.argument else ""
        print_lines([f"{kind.ljust(width)}  {fault.help}{argument}"])


def _fault_to_dict(kind: str, fault: Any) -> dict[str, Any]:
    return {"kind": kind, "help": fault.help, "argument": fault.argument, "is_remedy": fault.is_remedy}
