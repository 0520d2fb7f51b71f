"""The networks of a fleet, as its services export them: over which a machine is reached, at which addresses, in which order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from clanpy.errors import ClanpyError
from clanpy.inventory.hosts import resolver_of
from clanpy.inventory.model import Fleet, Machine
from clanpy.services.exports import Address, Export, Network, Technology


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


def networks_of(fleet: Fleet, machine: Machine) -> tuple[tuple[FleetNetwork, ...], tuple[ClanpyError, ...]]:
    """The networks in which a machine has an address, with its own addresses only, and what it can't say of itself.

    Looks at what the machine itself exports, and at no other member unless only those say that the instance is a network.
    """
    roles = resolver_of(fleet).roles
    said: dict[str, list[Export]] = {}
    errors: dict[str, ClanpyError] = {}
    for instance, role in roles.by_machine[machine.name]:
        if roles.exports.has(instance, role):
            try:
                said.setdefault(instance.name, []).extend(roles.exports.of((instance.name, role, machine.name)))
            except ClanpyError as error:
                errors.setdefault(str(error), error)
    found = [_of_machine(fleet, name, machine.name, values) for name, values in said.items()]
    return _in_order(network for network in found if network.addresses), tuple(errors.values())


def _of_machine(fleet: Fleet, name: str, machine: str, values: Sequence[Export]) -> FleetNetwork:
    addresses = [value for value in values if isinstance(value, Address)]
    own = [value for value in values if isinstance(value, Network)]
    if addresses and not own:
        exported = resolver_of(fleet).roles.exports.exported(Network, service=None, instance=name, role=None)
        with suppress(ClanpyError):  # of another member: then it is a network like any other
            own = list(exported.get(machine, ()))
    return _network(fleet, name, own, {machine: addresses} if addresses else {})


def _in_order(networks: Iterable[FleetNetwork]) -> tuple[FleetNetwork, ...]:
    return tuple(sorted(networks, key=lambda network: (-network.priority, network.name)))


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
    return _in_order(made)


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
