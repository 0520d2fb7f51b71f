"""How a machine is reached: what the command line says; else the inventory, then networks by priority, then the machine's own modules."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from clanpy.errors import ClanpyError, UsageError
from clanpy.inventory.hosts import MACHINE_FILES
from clanpy.inventory.model import Fleet, Machine
from clanpy.inventory.networks import FleetNetwork, networks, networks_of
from clanpy.inventory.schema import is_target
from clanpy.services.exports import Address


TARGET_HINT = "a target is [ssh://][user@]host[:port], an IPv6 address in brackets"
_COMMENTS = re.compile(r"/\*.*?\*/|(?<![\"\w:/])#[^\n]*", re.DOTALL)
_OWN = re.compile(r"\btargetHost\s*=\s*(?:(?:lib\.)?mk(?:Force|Default)\s+)?\"(?P<target>[^\"\\$]+)\"\s*;")


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to a machine.

    Attributes:
        source: who says so, for people: `command line`, `inventory`, `network zerotier`, `machine module`.
        network: the network's name, when it is one.
        target: `[user@]host[:port]`.
        jump: targets to go through, the nearest first.
        proxy: `host:port` of a SOCKS proxy on this computer that dials.
    """

    source: str
    target: str
    network: str | None = None
    jump: tuple[str, ...] = ()
    proxy: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "source": self.source,
            "network": self.network,
            "target": self.target,
            "jump": list(self.jump),
            "proxy": self.proxy,
        }


@dataclass(frozen=True, slots=True)
class Ways:
    """The ways to a machine, to be tried in order; when there is none, for each source a sentence that says so."""

    found: tuple[Way, ...]
    tried: tuple[str, ...]


def ways_to(fleet: Fleet, machine: Machine, override: str | None = None) -> Ways:
    """Every way to a machine. What the command line says (`override`) stands alone.

    Raises:
        UsageError: the override is no target.
    """
    if override is not None:
        if not is_target(override):
            raise UsageError(f"'{override}' is no target", hint=TARGET_HINT)
        return Ways((Way(source="command line", target=override),), ())
    found: list[Way] = [*_inventory(machine)]
    user = _user(found)
    own, errors = networks_of(fleet, machine)
    for network in own:
        found += _network(network, machine, user)
    found += _modules(fleet, machine) if not found else ()
    return Ways(tuple(found), () if found else tuple(_tried(fleet, machine, errors)))


def _tried(fleet: Fleet, machine: Machine, errors: Iterable[ClanpyError]) -> Iterator[str]:
    """For each source why there is no way by it."""
    yield "the command line: no --target-host"
    yield f"the inventory: no deploy.target_host in [machines.{machine.name}]"
    known = networks(fleet)
    yield from (f"network {network.name}: {_absence(network, machine)}" for network in known)
    yield from (f"networks: {error}" for error in errors)
    if not known:
        yield "networks: no service instance exports one"
    yield "the machine's own modules: no clan.core.networking.targetHost"


def _inventory(machine: Machine) -> Iterator[Way]:
    for target in (machine.deploy.target_host, *machine.deploy.alternatives):
        if target is not None:
            yield Way(source="inventory", target=target)


def _user(ways: list[Way]) -> str | None:
    """The account that the inventory says: it is the machine's, whatever the way."""
    user, at, _ = ways[0].target.removeprefix("ssh://").rpartition("@") if ways else ("", "", "")
    return user if at else None


def _network(network: FleetNetwork, machine: Machine, user: str | None) -> Iterator[Way]:
    for address in network.addresses.get(machine.name, ()):
        if not all(is_target(text) for text in (target_of(address, user), *address.jump)):
            continue  # `clanpy check` says so
        yield Way(
            source=f"network {network.name}",
            network=network.name,
            target=target_of(address, user),
            jump=address.jump,
            proxy=network.proxy if network.technology == "socks" else None,
        )


def target_of(address: Address, user: str | None = None) -> str:
    """An address as `[user@]host[:port]`; `user` counts where the address has none."""
    account = address.user or user
    host = f"[{address.host}]" if ":" in address.host else address.host
    return (f"{account}@" if account else "") + host + (f":{address.port}" if address.port is not None else "")


def _absence(network: FleetNetwork, machine: Machine) -> str:
    if network.addresses.get(machine.name):
        return "what it says of it is no target"
    return "no address of it yet" if machine.name in network.machines else "it is no member"


def _modules(fleet: Fleet, machine: Machine) -> Iterator[Way]:
    """A target that the machine's own Nix files name as clan reads it, where it is written out."""
    for file in MACHINE_FILES:
        path = fleet.root / "machines" / machine.name / file
        if path.suffix != ".nix" or not path.is_file():
            continue
        text = _COMMENTS.sub("", path.read_text(encoding="utf-8", errors="replace"))
        for found in _OWN.finditer(text):
            if is_target(found["target"]):
                yield Way(source="machine module", target=found["target"])
