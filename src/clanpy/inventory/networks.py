"""The networks of a fleet, as its services export them: over which a machine is reached, at which addresses, in which order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from clanpy.errors import ClanpyError
from clanpy.inventory.hosts import resolver_of
from clanpy.inventory.model import Fleet
from clanpy.services.exports import Address, Network, Technology


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetNetwork:
    """One network: an instance of a service that exports addresses, or that it is one.

    `machines` are all that have a part in it; `addresses` those that have an address (some are known only once values are generated).
    """

    name: str
    service: str
    priority: int = Network().priority
    technology: Technology = "direct"
    proxy: str | None = None
    machines: tuple[str, ...] = ()
    addresses: Mapping[str, tuple[Address, ...]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As JSON: `name, service, priority, technology, proxy, machines` (addresses by machine; none yet: an empty list)."""
        return {
            "name": self.name,
            "service": self.service,
            "priority": self.priority,
            "technology": self.technology,
            "proxy": self.proxy,
            "machines": {name: [_address(a) for a in self.addresses.get(name, ())] for name in self.machines},
        }


def _address(address: Address) -> dict[str, Any]:
    return {"host": address.host, "port": address.port, "user": address.user, "jump": list(address.jump)}


def networks(fleet: Fleet) -> tuple[FleetNetwork, ...]:
    """The networks of a fleet, those of the highest priority first, then by name. Worked out once.

    Members who can't say what they export have no address; `network_errors` says why.
    """
    exports = resolver_of(fleet).roles.exports
    if exports.networks is None:
        exports.networks = tuple(_networks(fleet))
    return exports.networks


def network_errors(fleet: Fleet) -> tuple[ClanpyError, ...]:
    """Why some members can't say what they export."""
    networks(fleet)
    return resolver_of(fleet).roles.exports.unsaid


def _networks(fleet: Fleet) -> Iterable[FleetNetwork]:
    exports = resolver_of(fleet).roles.exports
    found: dict[str, list[Network]] = {}
    addresses: dict[str, dict[str, list[Address]]] = {}
    records, exports.unsaid = exports.sayable()
    for record in records:
        if isinstance(record.value, Network):
            found.setdefault(record.instance, []).append(record.value)
        elif isinstance(record.value, Address):
            addresses.setdefault(record.instance, {}).setdefault(record.machine, []).append(record.value)
    made = [_network(fleet, name, found.get(name, ()), addresses.get(name, {})) for name in {*found, *addresses}]
    return sorted(made, key=lambda network: (-network.priority, network.name))


def _network(
    fleet: Fleet, name: str, said: Iterable[Network], addresses: Mapping[str, Iterable[Address]]
) -> FleetNetwork:
    instance = fleet.instances[name]
    best = max(said, key=lambda network: network.priority, default=Network())
    machines = {name for role in resolver_of(fleet).roles.members_of(instance).values() for name in role}
    return FleetNetwork(
        name=name,
        service=instance.service,
        priority=best.priority,
        technology=best.technology,
        proxy=best.proxy,
        machines=tuple(sorted(machines)),
        addresses={name: tuple(dict.fromkeys(addresses[name])) for name in sorted(addresses)},
    )
