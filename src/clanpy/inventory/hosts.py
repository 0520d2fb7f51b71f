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
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from clanpy.errors import ClanpyError, Place, nearest, raise_all
from clanpy.inventory.aspects import Aspects
from clanpy.inventory.collector import collector_paused
from clanpy.inventory.contributions import accounts, role_modules, shares
from clanpy.inventory.errors import UnknownNameError, UnreadableFileError
from clanpy.inventory.gates import gates_of
from clanpy.inventory.homes import account_anywhere, accounts_elsewhere, class_of, hosts_elsewhere, platforms
from clanpy.inventory.layers import Layers
from clanpy.inventory.loading import place_text
from clanpy.inventory.model import Fleet, HostConfig, HostUser, Machine, User
from clanpy.inventory.nix_data import nix_data
from clanpy.inventory.packages import broken_packages, packages_of
from clanpy.inventory.roles import Part, Roles
from clanpy.inventory.varrefs import data_with_vars
from clanpy.modules.deferred import DeferredModule, NixClass, NixData, NixFile
from clanpy.services import Account
from clanpy.services.generator import Generator


MACHINE_FILES = ("hardware-configuration.nix", "disko.nix", "facter.json", "configuration.nix")


def resolve_host(fleet: Fleet, name: str) -> HostConfig:
    """One machine, complete.

    Raises:
        ClanpyError: what is wrong with it; a CombinedError when it is more than one thing.
    """
    host, errors = resolver_of(fleet).host(name)
    raise_all(
        list({(str(error), error.hint): error for error in errors}.values())
    )  # several parts may meet the same one
    return host


def homes_anywhere(fleet: Fleet) -> Iterator[HostConfig]:
    """The home of every person who has one for every system of the fleet, wherever it may be taken to; `home_manager`s find it there.

    Raises:
        ClanpyError: what is wrong with one; a CombinedError when it is more than one thing.
    """
    resolver = resolver_of(fleet)
    for user in fleet.users.values():
        for system in platforms(fleet) if user.imports else ():
            machine = Machine(name=system, class_=class_of(system), system=system)
            host, errors = resolver.homes_alone(machine, [account_anywhere(user, system)])
            raise_all(list({(str(error), error.hint): error for error in errors}.values()))
            yield host


def resolver_of(fleet: Fleet) -> Resolver:
    """The one resolver of a fleet, which keeps what its machines share."""
    found: Resolver | None = fleet.memo.get("resolver")
    if found is None:
        found = fleet.memo["resolver"] = Resolver(fleet)
    return found


def host_generators(fleet: Fleet, name: str) -> tuple[Generator, ...]:
    """The generators of one machine, by name, without anything else of it.

    Raises:
        ClanpyError: what is wrong with them; a CombinedError when it is more than one thing.
    """
    errors: list[ClanpyError] = []
    found = resolver_of(fleet).roles.generators(name, errors)
    raise_all(list(dict.fromkeys(errors)))
    return found


def forget(fleet: Fleet) -> None:
    """Let go of what was worked out, so that public values that have been generated since are seen."""
    fleet.memo.pop("resolver", None)


class Resolver:
    """Resolves machines of one fleet."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.roles = Roles(fleet)
        self._wrong: list[ClanpyError] = []
        self._packages: dict[str, Layers] = {}
        self._tagged: dict[tuple[str, NixClass], tuple[DeferredModule, ...]] = {}

    def host(self, name: str) -> tuple[HostConfig, list[ClanpyError]]:
        """One machine, and what is wrong with it."""
        elsewhere = hosts_elsewhere(self.fleet)
        if name in elsewhere:
            return self.homes_alone(elsewhere[name], accounts_elsewhere(self.fleet, name))
        if name not in self.fleet.machines:
            raise UnknownNameError(f"there is no machine '{name}'", hint=nearest(name, self.fleet.machines))
        with collector_paused():
            return self._host(self.fleet.machines[name])

    def homes_alone(self, machine: Machine, found: Sequence[Account]) -> tuple[HostConfig, list[ClanpyError]]:
        """Homes for accounts on a host of which nothing else is the fleet's: what it is has no system."""
        errors: list[ClanpyError] = []
        written = partial(data_with_vars, self.fleet, machine, errors)
        target = machine.deploy.target_host
        host = HostConfig(
            machine=machine,
            domain=self.fleet.meta.domain,
            targets=(target,) if target else (),
            memberships=(),
            users=tuple(_host_user(account) for account in found),
            modules=(),
            homes={name: tuple(map(written, home)) for name, home in self._homes(found, (), errors)},
            packages=self._layers(machine.system, errors),
        )
        return host, [*errors, *dict.fromkeys(self._wrong)]

    def _host(self, machine: Machine) -> tuple[HostConfig, list[ClanpyError]]:
        errors: list[ClanpyError] = []
        parts = list(self.roles.parts(machine, errors))
        errors.extend(pending for part in parts for pending in part.final.pending)
        found = accounts(self.fleet, machine, parts, errors)
        contributed = list(self._contributions(machine, parts, errors))
        memberships = tuple(part.to_membership(machine.class_) for part in parts)
        written = partial(data_with_vars, self.fleet, machine, errors)
        host = HostConfig(
            machine=machine,
            domain=self.fleet.meta.domain,
            targets=tuple(t for t in (machine.deploy.target_host, *machine.deploy.alternatives) if t is not None),
            memberships=memberships,
            users=tuple(_host_user(account) for account in found),
            modules=_once(
                [
                    _machine_module(machine, _primary_account(machine, found, self.roles.people)),
                    *map(written, self._imported(machine)),
                    *contributed,
                    *machine_files(self.fleet, machine, errors),
                ]
            ),
            homes={name: tuple(map(written, home)) for name, home in self._homes(found, parts, errors)},
            generators=self.roles.generators(machine.name, errors, parts),
            packages=self._layers(machine.system, errors),
            gates=gates_of(self.fleet, machine, memberships, errors),
        )
        errors.extend(dict.fromkeys(self._wrong))
        return host, errors

    def _layers(self, system: str, errors: list[ClanpyError]) -> Layers:
        """The layers of packages on a system: the same for all its machines."""
        errors.extend(broken_packages(self.fleet))
        if system not in self._packages:
            self._packages[system] = packages_of(self.fleet).on(self.fleet.root, system)
        return self._packages[system]

    def _imported(self, machine: Machine) -> Iterator[DeferredModule]:
        for tag in machine.tags:
            yield from self._by_tag(tag, machine.class_)
        for name in machine.imports:
            place = self.fleet.where("machines", machine.name, "imports", name)
            yield from self._aspect(machine.class_, name, f"machine {machine.name}{place_text(place)}")

    def _by_tag(self, tag: str, class_: NixClass) -> tuple[DeferredModule, ...]:
        """What a tag imports: the same for all machines of a class."""
        if (tag, class_) not in self._tagged:
            record = self.fleet.tag_records.get(tag)
            found: list[DeferredModule] = []
            for name in record.imports if record else ():
                why = f"tag {tag}{place_text(self.fleet.where('tags', tag, 'imports', name))}"
                found.extend(self._aspect(class_, name, why))
            self._tagged[tag, class_] = tuple(found)
        return self._tagged[tag, class_]

    def _aspect(self, class_: NixClass, name: str, why: str, above: tuple[str, ...] = ()) -> Iterator[DeferredModule]:
        """An aspect's modules, those that it imports before its own. One that imports itself was told of when the fleet was loaded."""
        aspect = self.fleet.aspects.get((class_, name))
        if aspect is None or name in above:
            return
        for inner in aspect.imports:
            yield from self._aspect(class_, inner, f"aspect {class_}.{name}, by {why}", (*above, name))
        for module in aspect.modules:
            yield DeferredModule(module.key, module.class_, module.content, f"{module.origin}, by {why}")
        if isinstance(self.fleet.aspects, Aspects):
            self._wrong.extend(self.fleet.aspects.errors.get((class_, name), ()))

    def _contributions(
        self, machine: Machine, parts: Sequence[Part], errors: list[ClanpyError]
    ) -> Iterator[DeferredModule]:
        for part in parts:
            yield from role_modules(self.fleet, part, machine.class_, errors)
            base = ("instances", part.instance.name, "roles", part.role, "extra_modules")
            for name in part.instance.roles[part.role].extra_modules:
                place = place_text(self.fleet.where(*base, name))
                why = f"instance {part.instance.name}, role {part.role}{place}"
                yield from self._aspect(machine.class_, name, why)
        yield from shares(self.roles, machine, parts, errors)

    def _homes(
        self, accounts: Sequence[Account], parts: Sequence[Part], errors: list[ClanpyError]
    ) -> Iterator[tuple[str, tuple[DeferredModule, ...]]]:
        having = [account for account in accounts if account.home_manager is not None]
        contributed = [m for part in parts for m in role_modules(self.fleet, part, "home", errors)] if having else []
        for account in having:
            person = self.fleet.users[account.user]
            modules = [_home_module(account)]
            for name in person.imports:
                place = place_text(self.fleet.where("users", person.name, "imports", name))
                modules.extend(self._aspect("home", name, f"user {person.name}{place}"))
            for name in account.imports:
                modules.extend(self._aspect("home", name, f"account {account.account}"))
            yield account.account, _once([*modules, *contributed])


def machine_files(fleet: Fleet, machine: Machine, errors: list[ClanpyError]) -> Iterator[DeferredModule]:
    """The modules in a machine's own folder, of those that clanpy looks for."""
    folder = fleet.root / "machines" / machine.name
    try:
        there = set(os.listdir(folder))  # noqa: PTH208 - names are enough, and a thousand machines have a folder each
    except OSError:
        return
    for file in MACHINE_FILES:
        if file not in there or not (folder / file).is_file():
            continue
        path = folder / file
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


def _primary_account(machine: Machine, accounts: Sequence[Account], people: Mapping[str, User]) -> str | None:
    """What the account of the machine's primary user is called there; their name where services make none."""
    person = people.get(machine.primary_user or "")
    mine = [account.account for account in accounts if person is not None and account.user == person.name]
    return machine.primary_user if machine.primary_user in mine or not mine else mine[0]


def _machine_module(machine: Machine, primary_user: str | None) -> DeferredModule:
    data: dict[str, Any] = {
        "networking": {"hostName": {"_default": machine.name}},
        "nixpkgs": {"hostPlatform": {"_default": machine.system}},
    }
    if machine.class_ == "darwin" and primary_user is not None:
        data["system"] = {"primaryUser": {"_default": primary_user}}
    origin = f"the inventory's entry of {machine.name}"
    return DeferredModule(f"{machine.class_}/machine", machine.class_, nix_data(data), origin)


def _home_module(account: Account) -> DeferredModule:
    data = {"home": {"username": {"_default": account.account}, "homeDirectory": {"_default": account.home}}}
    return DeferredModule("home/account", "home", nix_data(data), f"the account {account.account}")


def _host_user(account: Account) -> HostUser:
    return HostUser(
        user=account.user,
        account=account.account,
        home=account.home,
        admin=account.admin,
        ssh_keys=account.ssh_keys,
        home_manager=account.home_manager,
        managed=account.managed,
        uid=account.uid,
    )


def _once(modules: Iterable[DeferredModule]) -> tuple[DeferredModule, ...]:
    """Each key once, at its first place."""
    found: dict[str, DeferredModule] = {}
    for module in modules:
        found.setdefault(module.key, module)
    return tuple(found.values())
