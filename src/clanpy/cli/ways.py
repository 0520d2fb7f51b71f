"""The ways to real machines, worked out for those that are asked for: what `--target-host` says, else what the fleet says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from clanpy.deployment.errors import NoTargetError
from clanpy.errors import UsageError, nearest
from clanpy.inventory.schema import is_target
from clanpy.inventory.ways import TARGET_HINT, Way, ways_to
from clanpy.ssh import Elevation, HostKeyCheck, Target, parse_target


if TYPE_CHECKING:
    from pathlib import Path

    from clanpy.inventory.model import Fleet, Machine


def overrides(fleet: Fleet, given: Sequence[str]) -> dict[str | None, str]:
    """What `--target-host` says by machine; under None what it says of the only machine of a command.

    Raises:
        UsageError: it names no machine of the fleet, or no target.
    """
    found: dict[str | None, str] = {}
    for text in given:
        name, equals, target = text.rpartition("=")
        machine = name if equals else None
        if machine is not None and machine not in fleet.machines:
            raise UsageError(
                f"--target-host names the machine '{machine}', which does not exist", hint=nearest(name, fleet.machines)
            )
        if not is_target(target):
            raise UsageError(f"'{target}' is no target", hint=TARGET_HINT)
        found[machine] = target
    return found


SSH_PORT = 22


def elevation_of(machine: Machine) -> Elevation:
    """How a machine's account becomes root."""
    return Elevation(machine.deploy.elevation or Elevation.SUDO)


class RealWays(Mapping[str, tuple[Target, ...]]):
    """Machine → targets, to be tried in order."""

    def __init__(self, fleet: Fleet, known_hosts: Path, check: HostKeyCheck, given: Sequence[str] = ()) -> None:
        self.fleet = fleet
        self.known_hosts = known_hosts
        self.check = check
        self._given = overrides(fleet, given)
        self._only: str | None = None
        self._made: dict[str, tuple[Target, ...]] = {}

    def __getitem__(self, name: str) -> tuple[Target, ...]:
        if name not in self.fleet.machines:
            raise KeyError(name)
        if name not in self._made:
            self._made[name] = self.targets(name, self.ways(name))
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in self.fleet.machines and bool(ways_to(self.fleet, self.fleet.machines[str(name)]).found)

    def __iter__(self) -> Iterator[str]:
        return iter(self.fleet.machines)

    def __len__(self) -> int:
        return len(self.fleet.machines)

    def ways(self, name: str) -> tuple[Way, ...]:
        """The ways to a machine.

        Raises:
            NoTargetError: there is none; all that was tried is in its details.
        """
        machine = self.fleet.machines[name]
        ways = ways_to(self.fleet, machine, self._override(name))
        if not ways.found:
            raise NoTargetError(
                f"nothing says where machine '{name}' is reached",
                place=machine.place,
                hint=f'write deploy.target_host = "…" in [machines.{name}], or say --target-host {name}=…',
                details=ways.tried,
            )
        return ways.found

    def _override(self, name: str) -> str | None:
        if name in self._given:
            return self._given[name]
        if None in self._given:
            if self._only not in {None, name}:
                message = f"--target-host {self._given[None]} is for one machine, and this is about '{self._only}' and '{name}'"
                raise UsageError(message, hint="write --target-host NAME=TARGET")
            self._only = name
        return self._given.get(None)

    def targets(self, name: str, ways: Sequence[Way]) -> tuple[Target, ...]:
        """How ways are dialled. A host key that is recorded for one of them, or for the machine's name, is good on all."""
        made = [self._target(name, way) for way in ways]
        entries = {
            name,
            *(target.host if target.port in {None, SSH_PORT} else f"[{target.host}]:{target.port}" for target in made),
        }
        return tuple(replace(target, known_as=tuple(sorted(entries))) for target in made)

    def _target(self, name: str, way: Way) -> Target:
        like = Target(host=name, name=name, known_hosts=(self.known_hosts,), host_key_check=self.check)
        hops = tuple(
            parse_target(hop, like=Target(host="", known_hosts=(self.known_hosts,), host_key_check=self.check))
            for hop in way.jump
        )
        found = parse_target(way.target, like=like)
        return Target(
            host=found.host,
            name=name,
            user=found.user,
            port=found.port,
            known_hosts=found.known_hosts,
            host_key_check=self.check,
            jump=hops,
            elevation=elevation_of(self.fleet.machines[name]),
            socks=way.proxy,
        )
