"""Who is in which role, with which settings in the end: the whole fleet's answer, and one machine's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from clanpy.errors import ClanpyError, NothingMatchedError, nearest, raise_all
from clanpy.inventory.hosts import resolver_of
from clanpy.inventory.model import Fleet, Instance, Machine
from clanpy.inventory.roles import Part


@dataclass(frozen=True, slots=True, kw_only=True)
class Belongs:
    """A machine's part in a role, and why it has it: `machine NAME`, `tag NAME`."""

    instance: str
    service: str
    role: str
    by: tuple[str, ...]
    settings: Mapping[str, Any]
    note: str | None

    def to_dict(self) -> dict[str, Any]:
        """As JSON: `instance, service, role, by, settings, note`."""
        return {
            "instance": self.instance,
            "service": self.service,
            "role": self.role,
            "by": list(self.by),
            "settings": dict(self.settings),
            "note": self.note,
        }


def members(fleet: Fleet, instance: str | None = None) -> dict[str, dict[str, list[str]]]:
    """The machines of every role of every instance, or of one: `{instance: {role: [machines, sorted]}}`.

    Raises:
        NothingMatchedError: there is no such instance.
    """
    roles = resolver_of(fleet).roles
    return {
        found.name: {name: list(machines) for name, machines in roles.members_of(found).items()}
        for found in chosen(fleet, instance)
    }


def settings(fleet: Fleet, instance: str | None = None) -> dict[str, dict[str, Any]]:
    """The final settings of every member: `{"instance/role/machine": {…}}`.

    Raises:
        NothingMatchedError: there is no such instance.
        ClanpyError: what is wrong with services or settings; a CombinedError when it is more than one thing.
    """
    wanted = {found.name for found in chosen(fleet, instance)}
    errors: dict[tuple[str, str | None], ClanpyError] = {}
    found: dict[str, dict[str, Any]] = {}
    for machine in fleet.machines.values():
        for part in _parts(fleet, machine, wanted, errors):
            found[f"{part.instance.name}/{part.role}/{machine.name}"] = dict(part.final.values)
    raise_all(list(errors.values()))
    return {key: found[key] for key in sorted(found)}


def belongs(fleet: Fleet, machine: Machine) -> tuple[Belongs, ...]:
    """All that a machine is in.

    Raises:
        ClanpyError: what is wrong with services or settings; a CombinedError when it is more than one thing.
    """
    errors: dict[tuple[str, str | None], ClanpyError] = {}
    parts = list(_parts(fleet, machine, None, errors))
    raise_all(list(errors.values()))
    return tuple(_belongs(part, machine) for part in parts)


def _belongs(part: Part, machine: Machine) -> Belongs:
    membership = part.to_membership(machine.class_)
    role = part.instance.roles[part.role]
    named = (f"machine {machine.name}",) if machine.name in role.machines else ()
    return Belongs(
        instance=membership.instance,
        service=membership.service,
        role=membership.role,
        by=(*named, *(f"tag {tag}" for tag in role.tags if tag in machine.tags)),
        settings=membership.settings,
        note=membership.note,
    )


def _parts(
    fleet: Fleet, machine: Machine, wanted: set[str] | None, errors: dict[tuple[str, str | None], ClanpyError]
) -> Iterator[Part]:
    said: list[ClanpyError] = []
    yield from resolver_of(fleet).roles.parts(machine, said, wanted)
    errors.update({(str(error), error.hint): error for error in said})


def chosen(fleet: Fleet, instance: str | None) -> tuple[Instance, ...]:
    """One instance, or all of them."""
    if instance is None:
        return tuple(fleet.instances.values())
    if instance not in fleet.instances:
        known = f"known: {', '.join(fleet.instances)}" if fleet.instances else "the fleet has none"
        raise NothingMatchedError(
            f"there is no instance '{instance}'", hint=nearest(instance, fleet.instances) or known
        )
    return (fleet.instances[instance],)
