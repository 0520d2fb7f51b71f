"""A machine's part in the roles of instances: the services that are meant, the final settings, and what a contribution sees."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

from clanpy.errors import ClanpyError, nearest
from clanpy.inventory.exports import Exports
from clanpy.inventory.generators import merged, service_generators
from clanpy.inventory.limits import limit_errors
from clanpy.inventory.matching import role_members
from clanpy.inventory.model import Fleet, Instance, Machine, Membership, User
from clanpy.inventory.references import people
from clanpy.inventory.settings import (
    Final,
    Told,
    all_levels,
    final_settings,
    labels_of,
    level_problems,
    origins,
    reads_vars,
    role_index,
)
from clanpy.inventory.vars import fleet_generators
from clanpy.modules.deferred import NixClass
from clanpy.services import MachineFacts, Member, Service, Share, find_service
from clanpy.services.errors import ServiceDeclarationError, UnknownRoleError
from clanpy.services.generator import Generator
from clanpy.services.generator_problems import problems


@dataclass(slots=True)
class Part:
    """A machine's part in a role: the declaration that it comes from, and its settings (no `member` when they are wrong)."""

    instance: Instance
    role: str
    service: Service
    folder: Path
    final: Final
    origins: Mapping[str, str]
    member: Member | None

    def to_membership(self, class_: NixClass) -> Membership:
        return Membership(
            instance=self.instance.name,
            service=self.service.name,
            role=self.role,
            settings=self.final.values,
            origins=self.origins,
            note=_note(self, class_),
        )


@dataclass
class Roles:
    """The roles of one fleet. What its machines share (services, who is in which role, most settings) is found once."""

    fleet: Fleet
    _services: dict[str, tuple[Service, Path] | ClanpyError] = field(default_factory=dict)
    _finals: dict[tuple[str, ...], tuple[Final, Mapping[str, str]]] = field(default_factory=dict)
    _wrong: dict[tuple[str, str], tuple[tuple[Told | None, ClanpyError], ...]] = field(default_factory=dict)
    _limits: dict[str, tuple[ClanpyError, ...]] = field(default_factory=dict)
    _members: dict[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    _tags: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    _reading: dict[tuple[str, str], bool] = field(default_factory=dict)

    @cached_property
    def exports(self) -> Exports:
        """What members may look at beside themselves."""
        return Exports(self)

    @cached_property
    def by_machine(self) -> Mapping[str, tuple[tuple[Instance, str], ...]]:
        return role_index(self.fleet)

    @cached_property
    def people(self) -> Mapping[str, User]:
        return {name: self.fleet.users[user] for name, user in people(self.fleet).items()}

    def service(self, instance: Instance) -> tuple[Service, Path] | ClanpyError:
        """The service of an instance, and its folder; or why there is none."""
        if instance.name not in self._services:
            try:
                self._services[instance.name] = find_service(instance.service, instance.input, self.fleet.root)
            except ClanpyError as error:
                if error.place is None:
                    error.place = self.fleet.where("instances", instance.name, "module")
                self._services[instance.name] = error
        return self._services[instance.name]

    def parts(self, machine: Machine, errors: list[ClanpyError], only: Collection[str] | None = None) -> Iterator[Part]:
        """What a machine is in, in the order of instances and roles; or `only` what it is in of some instances."""
        for instance, role in self.by_machine[machine.name]:
            if only is not None and instance.name not in only:
                continue
            found = self.service(instance)
            if isinstance(found, ClanpyError):
                errors.append(found)
                continue
            service, folder = found
            if role not in service.roles:
                errors.append(unknown_role(self.fleet, instance, role, service))
                continue
            final, where = self._final(machine, instance, role, service)
            errors.extend(self.written_wrong(instance, role, service))
            errors.extend(self.beyond_limits(instance, service))
            errors.extend(final.errors)
            yield Part(instance, role, service, folder, final, where, self._member(machine, instance, role, final))

    def _final(
        self, machine: Machine, instance: Instance, role: str, service: Service
    ) -> tuple[Final, Mapping[str, str]]:
        """Settings and origins. Members for whom the same levels count share one result, unless it is an error."""
        key = (instance.name, role, *labels_of(instance.roles[role], machine, self._tagged(instance, role)))
        if self._reads_vars(instance, role):
            key = (*key, machine.name)
        found = self._finals.get(key)
        if found is None or found[0].errors:
            told = [about for about, _ in self._problems(instance, role, service) if about is not None]
            final = final_settings(self.fleet, instance, role, machine, service, told=told)
            found = self._finals[key] = final, origins(self.fleet, final, service.name)
        return found

    def _reads_vars(self, instance: Instance, role: str) -> bool:
        """Whether what a member's settings are depends on which machine it is."""
        if (instance.name, role) not in self._reading:
            self._reading[instance.name, role] = reads_vars(tuple(all_levels(instance, role)))
        return self._reading[instance.name, role]

    def _tagged(self, instance: Instance, role: str) -> tuple[str, ...]:
        """The tags with settings in a role."""
        key = (instance.name, role)
        if key not in self._tags:
            self._tags[key] = tuple(tag for tag, written in instance.roles[role].tags.items() if written)
        return self._tags[key]

    def written_wrong(self, instance: Instance, role: str, service: Service) -> Iterator[ClanpyError]:
        """What is wrong with the settings of a role as they are written, at any level, whoever reads them; found once."""
        return (error for _, error in self._problems(instance, role, service))

    def _problems(self, instance: Instance, role: str, service: Service) -> tuple[tuple[Told | None, ClanpyError], ...]:
        key = (instance.name, role)
        if key not in self._wrong:
            self._wrong[key] = tuple(level_problems(self.fleet, instance, role, service))
        return self._wrong[key]

    def beyond_limits(self, instance: Instance, service: Service) -> tuple[ClanpyError, ...]:
        """Too many or too few members in the roles of an instance, or members of a wrong class; found once."""
        if instance.name not in self._limits:
            self._limits[instance.name] = tuple(limit_errors(self.fleet, instance, service))
        return self._limits[instance.name]

    def members_of(self, instance: Instance) -> Mapping[str, tuple[str, ...]]:
        """The machines of every role of an instance, sorted; found once."""
        if instance.name not in self._members:
            self._members[instance.name] = {
                name: role_members(self.fleet, role) for name, role in instance.roles.items()
            }
        return self._members[instance.name]

    def service_id(self, instance: Instance) -> str:
        """What tells a service from others of the same name, from elsewhere."""
        return f"{instance.input}/{instance.service}" if instance.input else instance.service

    def member(self, instance: Instance, role: str, machine: str) -> Member | None:
        """A member by the names of its role and machine; None when its settings are wrong."""
        found = self.service(instance)
        if isinstance(found, ClanpyError) or role not in found[0].roles:
            return None
        final, _ = self._final(self.fleet.machines[machine], instance, role, found[0])
        return self._member(self.fleet.machines[machine], instance, role, final)

    def shares(self, machine: Machine, parts: Sequence[Part]) -> Iterator[tuple[Service, Share]]:
        """What a machine has of each service that it is in, by the name of the service; members with wrong settings are left out."""
        by_service: dict[str, list[Part]] = {}
        for part in parts:
            by_service.setdefault(self.service_id(part.instance), []).append(part)
        for id_, found in sorted(by_service.items()):
            members = tuple(part.member for part in found if part.member is not None)
            if members:
                yield found[0].service, self._share(machine, id_, members)

    def _share(self, machine: Machine, id_: str, members: tuple[Member, ...]) -> Share:
        return Share(
            machine=facts(machine), domain=self.fleet.meta.domain, members=members, service=id_, view=self.exports
        )

    def generators(
        self, name: str, errors: list[ClanpyError], parts: Sequence[Part] | None = None
    ) -> tuple[Generator, ...]:
        """The generators of a machine, by name. `parts` are what it is in, where that is known already."""
        machine = self.fleet.machines[name]
        known = list(self.parts(machine, errors)) if parts is None else parts
        shares = [
            (service.name, service.generators, share)
            for service, share in self.shares(machine, known)
            if service.generators is not None
        ]
        own = fleet_generators(self.fleet, machine, errors)
        found = merged(name, (*service_generators(known, shares, errors), *own), errors)
        errors.extend(wrong for generator in found for wrong in problems(generator, machine.class_))
        return found

    def _member(self, machine: Machine, instance: Instance, role: str, final: Final) -> Member | None:
        if final.model is None:
            return None
        return Member(
            instance=instance.name,
            role=role,
            machine=facts(machine),
            domain=self.fleet.meta.domain,
            settings=final.model,
            people=self.people,
            members=partial(self.members_of, instance),
            view=self.exports,
        )


def facts(machine: Machine) -> MachineFacts:
    """What a service may know of a machine."""
    return MachineFacts(
        name=machine.name,
        class_=machine.class_,
        system=machine.system,
        type=machine.type,
        primary_user=machine.primary_user,
    )


def unknown_role(fleet: Fleet, instance: Instance, role: str, service: Service) -> UnknownRoleError:
    """The error for a role that a service does not declare."""
    return UnknownRoleError(
        f"instance '{instance.name}' uses the role '{role}', which the service '{service.name}' does not have",
        place=fleet.where("instances", instance.name, "roles", role),
        hint=nearest(role, service.roles) or f"it has {', '.join(sorted(service.roles))}",
    )


def _note(part: Part, class_: NixClass) -> str | None:
    role = part.service.roles[part.role]
    reason = role.notes.get(class_)
    because = f" ({reason})" if reason else ""
    half = (
        () if role.half(class_) else (f"{part.service.name}: no {class_} half here{because}, only extra modules apply",)
    )
    return "; ".join((*half, *_lacks(part))) or None


def _lacks(part: Part) -> tuple[str, ...]:
    """What a member has to do without for now, as its service says."""
    lacks = part.service.roles[part.role].lacks
    if lacks is None or part.member is None:
        return ()
    try:
        return tuple(f"{part.service.name}: {text}" for text in lacks(part.member))
    except ClanpyError:
        raise
    except Exception as error:  # whatever a service's code raises is a fact about that service
        said = f"{type(error).__name__}: {error}"
        raise ServiceDeclarationError(f"the service '{part.service.name}' fails in what it lacks: {said}") from error
