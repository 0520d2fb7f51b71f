"""How many machines a role may have, and of which classes; how many instances a service may have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from clanpy.errors import ClanpyError, Place
from clanpy.inventory.matching import role_members
from clanpy.services.errors import MemberLimitError


if TYPE_CHECKING:
    from clanpy.inventory.model import Fleet, Instance
    from clanpy.services.declaration import Role, Service

_SHOWN = 12  # names in a message


def limit_errors(fleet: Fleet, instance: Instance, service: Service) -> Iterator[ClanpyError]:
    """What is wrong with the members of an instance's roles."""
    for name, role in service.roles.items():
        used = instance.roles.get(name)
        members = role_members(fleet, used) if used else ()
        yield from _number(fleet, instance, name, role, members)
        yield from _classes(fleet, instance, name, role, members)
    yield from _instances(fleet, instance, service)


def _number(fleet: Fleet, instance: Instance, name: str, role: Role, members: tuple[str, ...]) -> Iterator[ClanpyError]:
    most = role.max_members
    if most is not None and len(members) > most:
        limit, verb = most, "allows at most"
    elif len(members) < role.min_members:
        limit, verb = role.min_members, "requires at least"
    else:
        return
    found = f"{len(members)} {'is' if len(members) == 1 else 'are'} assigned" + (
        f": {_named(members)}" if members else ""
    )
    yield MemberLimitError(
        f"Role '{name}' of '{instance.name}' {verb} {limit} machine{'s' if limit != 1 else ''}, {found}",
        place=fleet.where("instances", instance.name, "roles", name),
    )


def _classes(
    fleet: Fleet, instance: Instance, name: str, role: Role, members: tuple[str, ...]
) -> Iterator[ClanpyError]:
    if role.classes is None:
        return
    wrong = [member for member in members if fleet.machines[member].class_ not in role.classes]
    if not wrong:
        return
    classes = " and ".join(sorted({fleet.machines[member].class_ for member in wrong}))
    reasons = [
        role.notes[fleet.machines[member].class_] for member in wrong if fleet.machines[member].class_ in role.notes
    ]
    yield MemberLimitError(
        f"Role '{name}' of '{instance.name}' is for machines of class {' or '.join(role.classes)}, and {_named(wrong)} "
        f"{'is' if len(wrong) == 1 else 'are'} of class {classes}",
        place=_joined(fleet, instance, name, wrong[0]),
        details=tuple(dict.fromkeys(reasons)),
        hint="name the members, or take a tag that only such machines carry",
    )


def _joined(fleet: Fleet, instance: Instance, role: str, machine: str) -> Place | None:
    """Where it is written that a machine is in a role: by its name, or by a tag that it carries."""
    base, used = ("instances", instance.name, "roles", role), instance.roles[role]
    if machine in used.machines:
        return fleet.where(*base, "machines", machine)
    tag = next(tag for tag in used.tags if tag in fleet.machines[machine].tags)
    return fleet.where(*base, "tags", tag)


def _instances(fleet: Fleet, instance: Instance, service: Service) -> Iterator[ClanpyError]:
    same = [e.name for e in fleet.instances.values() if (e.service, e.input) == (instance.service, instance.input)]
    if service.max_instances is not None and len(same) > service.max_instances and instance.name == same[-1]:
        most = service.max_instances
        yield MemberLimitError(
            f"Service '{service.name}' allows at most {most} instance{'s' if most != 1 else ''}, {len(same)} are defined: {_named(same)}",
            place=fleet.where("instances", instance.name),
        )


def _named(names: tuple[str, ...] | list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
