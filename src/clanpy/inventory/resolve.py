"""Resolving one machine: from the fleet to its `HostConfig`.

The modules of a machine's system, in the order of import:

1. the machine itself: its name, its platform (defaults that anything may override),
2. the aspects that its tags import, by the name of the tag, in written order,
3. the aspects that the machine imports,
4. services, by instance and role: what the role contributes, then its extra modules; then what a service contributes once,
5. the machine's own files: hardware-configuration.nix, disko.nix, facter.json, configuration.nix.

A home: its account, the person's aspects, the aspects of the account, then what services contribute to homes. A module counts once,
at its first place.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from clanpy.errors import ClanpyError, Place, nearest, raise_all
from clanpy.inventory.errors import AliasClashError, SigilError, UnknownNameError, UnreadableFileError
from clanpy.inventory.load import place_text
from clanpy.inventory.model import Fleet, HostConfig, HostUser, Instance, Machine, Membership, User
from clanpy.inventory.references import people, role_members
from clanpy.inventory.settings import Final, final_settings, levels_of, origins, role_index, unknown_settings
from clanpy.inventory.sigils import to_nix
from clanpy.modules.deferred import DeferredModule, NixClass, NixData, NixFile
from clanpy.services import Account, MachineFacts, Member, Service, Share, find_service
from clanpy.services.errors import UnknownRoleError


MACHINE_FILES = ("hardware-configuration.nix", "disko.nix", "facter.json", "configuration.nix")


def resolve_host(fleet: Fleet, name: str) -> HostConfig:
    """One machine, complete.

    Raises:
        ClanpyError: what is wrong with it; a CombinedError when it is more than one thing.
    """
    resolver = fleet.memo.setdefault("resolver", None) or Resolver(fleet)
    fleet.memo["resolver"] = resolver
    host, errors = resolver.host(name)
    raise_all(errors)
    return host


@dataclass(slots=True)
class _Part:
    """A machine's part in a role: the declaration that it comes from, and its settings."""

    instance: Instance
    role: str
    service: Service
    folder: Path
    final: Final
    origins: Mapping[str, str]
    member: Member | None


@dataclass
class Resolver:
    """Resolves machines of one fleet. What all machines share (services, who is in which role) is found once."""

    fleet: Fleet
    _services: dict[str, tuple[Service, Path] | ClanpyError] = field(default_factory=dict)
    _finals: dict[tuple[str, ...], tuple[Final, Mapping[str, str]]] = field(default_factory=dict)
    _unknown: dict[tuple[str, str], tuple[ClanpyError, ...]] = field(default_factory=dict)

    @cached_property
    def roles(self) -> Mapping[str, tuple[tuple[Instance, str], ...]]:
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
                    error.place = self._instance_place(instance)
                self._services[instance.name] = error
        return self._services[instance.name]

    def _instance_place(self, instance: Instance) -> Place | None:
        return self.fleet.where("instances", instance.name, "module")

    def host(self, name: str) -> tuple[HostConfig, list[ClanpyError]]:
        """One machine, and what is wrong with it."""
        if name not in self.fleet.machines:
            raise UnknownNameError(f"there is no machine '{name}'", hint=nearest(name, self.fleet.machines))
        machine = self.fleet.machines[name]
        errors: list[ClanpyError] = []
        parts = list(self._parts(machine, errors))
        accounts = self._accounts(machine, parts, errors)
        contributed = list(self._contributions(machine, machine.class_, parts, errors))
        host = HostConfig(
            machine=machine,
            domain=self.fleet.meta.domain,
            targets=tuple(t for t in (machine.deploy.target_host, *machine.deploy.alternatives) if t is not None),
            memberships=tuple(self._membership(machine, part) for part in parts),
            users=tuple(_host_user(account) for account in accounts),
            modules=_once(
                [
                    _machine_module(machine),
                    *self._imported(machine),
                    *contributed,
                    *machine_files(self.fleet, machine, errors),
                ]
            ),
            homes=dict(self._homes(machine, accounts, parts, errors)),
        )
        return host, errors

    def _parts(self, machine: Machine, errors: list[ClanpyError]) -> Iterator[_Part]:
        for instance, role in self.roles[machine.name]:
            found = self.service(instance)
            if isinstance(found, ClanpyError):
                errors.append(found)
                continue
            service, folder = found
            if role not in service.roles:
                errors.append(unknown_role(self.fleet, instance, role, service))
                continue
            final, where = self._final(machine, instance, role, service)
            errors.extend(self.unknown_settings(instance, role, service))
            errors.extend(final.errors)
            yield _Part(instance, role, service, folder, final, where, self._member(machine, instance, role, final))

    def _final(
        self, machine: Machine, instance: Instance, role: str, service: Service
    ) -> tuple[Final, Mapping[str, str]]:
        """Settings and origins. Members for whom the same levels count share one result, unless it is an error."""
        key = (instance.name, role, *(level.label for level in levels_of(instance, role, machine)))
        found = self._finals.get(key)
        if found is None or found[0].errors:
            final = final_settings(self.fleet, instance, role, machine, service)
            found = self._finals[key] = final, origins(self.fleet, final, service.name)
        return found

    def unknown_settings(self, instance: Instance, role: str, service: Service) -> tuple[ClanpyError, ...]:
        """Settings of a role that its service does not know, at any level; found once."""
        key = (instance.name, role)
        if key not in self._unknown:
            self._unknown[key] = tuple(unknown_settings(self.fleet, instance, role, service))
        return self._unknown[key]

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
            members=lambda: {name: role_members(self.fleet, found) for name, found in instance.roles.items()},
        )

    def _membership(self, machine: Machine, part: _Part) -> Membership:
        return Membership(
            instance=part.instance.name,
            service=part.service.name,
            role=part.role,
            settings=part.final.values,
            origins=part.origins,
            note=_note(part, machine.class_),
        )

    def _accounts(self, machine: Machine, parts: Sequence[_Part], errors: list[ClanpyError]) -> list[Account]:
        found: dict[str, tuple[Account, _Part]] = {}
        for part in parts:
            make = part.service.roles[part.role].accounts
            if make is None or part.member is None:
                continue
            for account in make(part.member):
                if account.account in found:
                    errors.append(self._same_account(machine, account, part, found[account.account][1]))
                else:
                    found[account.account] = account, part
        return [account for account, _ in (found[name] for name in sorted(found))]

    def _same_account(self, machine: Machine, account: Account, part: _Part, other: _Part) -> AliasClashError:
        return AliasClashError(
            f"the account '{account.account}' on '{machine.name}' comes from two instances",
            place=self.fleet.where("instances", part.instance.name),
            details=(f"the other: {self.fleet.where('instances', other.instance.name)}",),
            hint="let one of them name another account, or leave this machine out of one",
        )

    def _imported(self, machine: Machine) -> Iterator[DeferredModule]:
        for tag in machine.tags:
            record = self.fleet.tag_records.get(tag)
            for name in record.imports if record else ():
                why = f"tag {tag}{place_text(self.fleet.where('tags', tag, 'imports', name))}"
                yield from self._aspect(machine.class_, name, why)
        for name in machine.imports:
            place = self.fleet.where("machines", machine.name, "imports", name)
            yield from self._aspect(machine.class_, name, f"machine {machine.name}{place_text(place)}")

    def _aspect(self, class_: NixClass, name: str, why: str) -> Iterator[DeferredModule]:
        aspect = self.fleet.aspects.get((class_, name))
        for module in aspect.modules if aspect else ():
            yield DeferredModule(module.key, module.class_, module.content, f"{module.origin}, by {why}")

    def _contributions(
        self, machine: Machine, class_: NixClass, parts: Sequence[_Part], errors: list[ClanpyError]
    ) -> Iterator[DeferredModule]:
        for part in parts:
            yield from self._role_modules(part, class_, errors)
            if class_ == machine.class_:
                base = ("instances", part.instance.name, "roles", part.role, "extra_modules")
                for name in part.instance.roles[part.role].extra_modules:
                    place = place_text(self.fleet.where(*base, name))
                    yield from self._aspect(class_, name, f"instance {part.instance.name}, role {part.role}{place}")
        if class_ == machine.class_:
            yield from self._shares(machine, parts, errors)

    def _role_modules(self, part: _Part, class_: NixClass, errors: list[ClanpyError]) -> Iterator[DeferredModule]:
        if part.member is None:
            return
        for n, contribution in enumerate(part.service.roles[part.role].half(class_)):
            content = contribution.content(part.folder, part.member)
            if isinstance(content, NixData):
                if not content.value:
                    continue
                content = _encoded(content.value, part.service.name, errors)
            key = f"{class_}/{part.service.name}/{part.instance.name}/{part.role}"
            place = place_text(self.fleet.where("instances", part.instance.name, "roles", part.role))
            origin = f"instance {part.instance.name}, role {part.role} of service {part.service.name}{place}"
            yield DeferredModule(key if n == 0 else f"{key}/{n}", class_, content, origin)

    def _shares(self, machine: Machine, parts: Sequence[_Part], errors: list[ClanpyError]) -> Iterator[DeferredModule]:
        by_service: dict[tuple[str, Path], list[_Part]] = {}
        for part in parts:
            by_service.setdefault((part.service.name, part.folder), []).append(part)
        for (name, _), found in sorted(by_service.items(), key=lambda item: item[0][0]):
            make = found[0].service.per_machine
            members = tuple(part.member for part in found if part.member is not None)
            if make is None or not members:
                continue
            data = make(Share(machine=facts(machine), domain=self.fleet.meta.domain, members=members))
            if data:
                content = _encoded(data, name, errors)
                yield DeferredModule(f"{machine.class_}/{name}", machine.class_, content, f"service {name}")

    def _homes(
        self, machine: Machine, accounts: Sequence[Account], parts: Sequence[_Part], errors: list[ClanpyError]
    ) -> Iterator[tuple[str, tuple[DeferredModule, ...]]]:
        contributed = list(self._contributions(machine, "home", parts, errors))
        for account in accounts:
            if account.home_manager is None:
                continue
            person = self.fleet.users[account.user]
            modules = [_home_module(account)]
            for name in person.imports:
                place = place_text(self.fleet.where("users", person.name, "imports", name))
                modules.extend(self._aspect("home", name, f"user {person.name}{place}"))
            for name in account.imports:
                modules.extend(self._aspect("home", name, f"account {account.account}"))
            yield account.account, _once([*modules, *contributed])


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


def machine_files(fleet: Fleet, machine: Machine, errors: list[ClanpyError]) -> Iterator[DeferredModule]:
    """The modules in a machine's own folder, of those that clanpy looks for."""
    folder = fleet.root / "machines" / machine.name
    for file in MACHINE_FILES:
        path = folder / file
        if not path.is_file():
            continue
        where = f"machines/{machine.name}/{file}"
        key = f"{machine.class_}/machine/{path.stem}"
        if path.suffix == ".nix":
            yield DeferredModule(key, machine.class_, NixFile(path, root=folder), where)
            continue
        try:
            report = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            errors.append(UnreadableFileError(f"is no JSON: {error}", place=Place(where)))
            continue
        yield DeferredModule(key, machine.class_, NixData({"hardware": {"facter": {"report": report}}}), where)


def _machine_module(machine: Machine) -> DeferredModule:
    data: dict[str, Any] = {
        "networking": {"hostName": {"_default": machine.name}},
        "nixpkgs": {"hostPlatform": {"_default": machine.system}},
    }
    if machine.class_ == "darwin" and machine.primary_user is not None:
        data["system"] = {"primaryUser": {"_default": machine.primary_user}}
    origin = f"the inventory's entry of {machine.name}"
    return DeferredModule(f"{machine.class_}/machine", machine.class_, NixData(to_nix(data)), origin)


def _home_module(account: Account) -> DeferredModule:
    data = {"home": {"username": {"_default": account.account}, "homeDirectory": {"_default": account.home}}}
    return DeferredModule("home/account", "home", NixData(to_nix(data)), f"the account {account.account}")


def _encoded(data: Mapping[str, Any], service: str, errors: list[ClanpyError]) -> NixData:
    try:
        return NixData(to_nix(data))
    except ValueError as error:
        errors.append(SigilError(f"the service '{service}' contributes data in which {error}"))
        return NixData({})


def _host_user(account: Account) -> HostUser:
    return HostUser(
        user=account.user,
        account=account.account,
        home=account.home,
        admin=account.admin,
        ssh_keys=account.ssh_keys,
        home_manager=account.home_manager,
        managed=account.managed,
    )


def _note(part: _Part, class_: NixClass) -> str | None:
    role = part.service.roles[part.role]
    if role.half(class_):
        return None
    reason = role.notes.get(class_)
    because = f" ({reason})" if reason else ""
    return f"{part.service.name}: no {class_} half here{because}, only extra modules apply"


def _once(modules: Iterable[DeferredModule]) -> tuple[DeferredModule, ...]:
    """Each key once, at its first place."""
    found: dict[str, DeferredModule] = {}
    for module in modules:
        found.setdefault(module.key, module)
    return tuple(found.values())
