"""Where a command works: production by the inventory's targets, or the lab. The only place that knows both."""

from __future__ import annotations

import logging
import os
import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from platformdirs import user_cache_path

import clanpy.nix
from clanpy.cli.context import DEFAULT_LAB, enter_lab, open_fleet, settings
from clanpy.cli.live import ask_person
from clanpy.cli.passwords import SudoPassword, somebody_is_there
from clanpy.cli.ways import RealWays, elevation_of
from clanpy.deployment.making import HERE, THERE
from clanpy.deployment.options import RETRIES, Surroundings, dead_runs_of
from clanpy.inventory.homes import with_hosts_elsewhere
from clanpy.journal import Journal
from clanpy.machines import targets
from clanpy.nix.inputs import InputOverrides
from clanpy.nix.program import NixProgram
from clanpy.ssh import HostKeyCheck, Target, parse_target


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from clanpy.inventory.model import Fleet, Machine
    from clanpy.lab import LabEnvironment

KNOWN_HOSTS = "known_hosts"
COMMANDS_TOLD = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A fleet, the ways to its hosts, and its journal.

    `program` is how the user calls clanpy on it, for commands that are suggested.
    """

    fleet: Fleet
    surroundings: Surroundings
    journal: Journal
    program: str


def open_site(
    ctx: typer.Context,
    check: HostKeyCheck = HostKeyCheck.STRICT,
    *,
    retries: int = RETRIES,
    build_host: str | None = None,
    via: str | None = None,
    homes_elsewhere: bool = False,
) -> Site:
    """Load the fleet and find the ways to its hosts. With `--lab` this process enters the lab's network.

    With `homes_elsewhere` hosts of others, on which people have homes, are machines of it.
    """
    lab = settings(ctx).lab
    _tell_of_ssh(settings(ctx).verbosity)
    fleet = with_hosts_elsewhere(open_fleet(ctx)) if homes_elsewhere else open_fleet(ctx)
    environment = enter_lab(ctx)
    machines = fleet.machines.values()
    ways: Mapping[str, tuple[Target, ...]]
    if environment is None:
        ways = RealWays(fleet, fleet.root / KNOWN_HOSTS, check, settings(ctx).target_hosts)
    else:
        ways = _rehearsal(environment, machines, check)
    journal = Journal.of(fleet.root, fleet.meta.name, lab)
    surroundings = replace(
        _surroundings(fleet, ways, environment),
        lab=lab,
        retries=retries,
        builders=_builders(fleet, ways, check, in_lab=environment is not None, overrides=(build_host, via)),
    )
    return Site(
        fleet=fleet,
        surroundings=replace(
            surroundings,
            is_dead=dead_runs_of(journal, surroundings.controller),
            ask=ask_person,
            ask_password=SudoPassword() if somebody_is_there() else None,
        ),
        journal=journal,
        program=_program(ctx),
    )


def nix_of(ctx: typer.Context) -> tuple[NixProgram, InputOverrides | None]:
    """The Nix of this computer, and where flake inputs come from: for what is built for this computer itself.

    Raises:
        NixMissingError: there is none.
    """
    if settings(ctx).lab is None:
        return NixProgram.find(), None
    from clanpy.lab.handle import NIX_CONFIG  # noqa: PLC0415 - only in the lab

    return NixProgram.find(config=NIX_CONFIG), _mini()


def _tell_of_ssh(verbosity: int) -> None:
    """From `-vv` on each command that is run on a host is told, from `-vvv` on all that asyncssh has to say."""
    if verbosity >= COMMANDS_TOLD:
        logging.basicConfig(format="%(name)s: %(message)s", stream=sys.stderr)
        logging.getLogger("asyncssh").setLevel(logging.DEBUG if verbosity > COMMANDS_TOLD else logging.INFO)


def _rehearsal(
    environment: LabEnvironment, machines: Iterable[Machine], check: HostKeyCheck
) -> dict[str, tuple[Target, ...]]:
    """The lab's host of the same name for every machine, by the account that the inventory names."""
    ways: dict[str, tuple[Target, ...]] = {}
    for machine in machines:
        host = environment.hosts.get(machine.name)
        if host is not None:
            user = parse_target(machine.deploy.target_host).user if machine.deploy.target_host else None
            ways[machine.name] = (
                Target(
                    host=host.address,
                    name=machine.name,
                    user=user if user in host.users else "root",
                    port=host.port,
                    identity_files=(environment.identity,),
                    known_hosts=(environment.known_hosts,),
                    host_key_check=check,
                    elevation=elevation_of(machine),
                    isolated=True,
                ),
            )
    return ways


def _surroundings(
    fleet: Fleet, ways: Mapping[str, tuple[Target, ...]], environment: LabEnvironment | None
) -> Surroundings:
    cache = user_cache_path("clanpy")
    if environment is None:
        return Surroundings(fleet=fleet, targets=ways, cache=cache)
    # the lab's hosts build from the stand-in for nixpkgs that comes with clanpy: no network is needed for it
    return Surroundings(
        fleet=fleet,
        targets=ways,
        way_hint="the lab has no host {name}: `clanpy lab up` starts one for every machine of the fleet",
        cache=cache,
        nix_config=environment.nix_config,
        overrides=_mini(),
    )


def _mini() -> InputOverrides:
    return InputOverrides(every=Path(clanpy.nix.__path__[0]) / "mini")


def _builders(
    fleet: Fleet,
    ways: Mapping[str, tuple[Target, ...]],
    check: HostKeyCheck,
    *,
    in_lab: bool,
    overrides: tuple[str | None, ...],
) -> dict[str, tuple[Target, ...]]:
    """The ways to hosts that build for others, or pass store paths on: machines of the fleet by their own ways, others as they are written.

    In the lab there are only machines: a rehearsal reaches no real host.
    """
    named: set[str | None] = {
        host for machine in fleet.machines.values() for host in (machine.deploy.build_host, machine.deploy.via)
    }
    found: dict[str, tuple[Target, ...]] = {}
    for text in named.union(overrides) - {None, THERE, *HERE}:
        assert text is not None
        target = parse_target(
            text, like=Target(host=text, known_hosts=(fleet.root / KNOWN_HOSTS,), host_key_check=check)
        )
        same = _machine_at(fleet, target)
        if same is not None and same in ways:
            found[text] = ways[same]
        elif not in_lab:
            found[text] = (replace(target, name=target.host),)
    return found


def _machine_at(fleet: Fleet, target: Target) -> str | None:
    """The machine that is reached at a target, by whatever account."""
    for machine in fleet.machines.values():
        hosts = {parse_target(text).host for text in targets(machine)} if machine.deploy.target_host else set()
        if target.host == machine.name or target.host in hosts:
            return machine.name
    return None


def _program(ctx: typer.Context) -> str:
    chosen = settings(ctx)
    words = ["clanpy"]
    if chosen.lab is not None and "CLANPY_LAB" not in os.environ:
        words.append("--lab" if chosen.lab == DEFAULT_LAB else f"--lab={chosen.lab}")
    if chosen.fleet is not None and "CLANPY_FLEET" not in os.environ:
        words += ["--fleet", shlex.quote(str(chosen.fleet))]
    return " ".join(words)
