"""The people of a fleet and their accounts on its machines: what `clanpy users` and `clanpy home` show."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from clanpy.errors import ClanpyError, NothingMatchedError, nearest, raise_all
from clanpy.inventory.contributions import accounts_with_parts
from clanpy.inventory.homes import STANDALONE, accounts_elsewhere, hosts_elsewhere, platforms
from clanpy.inventory.hosts import resolver_of
from clanpy.inventory.model import Fleet, Machine, User
from clanpy.inventory.references import people
from clanpy.services import Account
from clanpy.services.people import GROUP_MARK


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """A person's account on one machine. `home_manager` is `module`, `standalone`, or None for no home configuration.

    `instance` is what gives the account; None on a host that is no machine of the fleet.
    """

    user: str
    machine: str
    system: str
    account: str
    home: str
    admin: bool
    managed: bool
    home_manager: str | None
    uid: int | None
    instance: str | None

    def to_dict(self) -> dict[str, Any]:
        """As JSON: `user, machine, system, account, home, admin, managed, home_manager, uid, instance`."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def presences(fleet: Fleet) -> tuple[Presence, ...]:
    """Every account of the fleet, by person, machine and name.

    Raises:
        ClanpyError: what is wrong with services or settings; a CombinedError when it is more than one thing.
    """
    errors: list[ClanpyError] = []
    found: list[Presence] = []
    roles = resolver_of(fleet).roles
    elsewhere = hosts_elsewhere(fleet)
    for machine in fleet.machines.values():
        if machine.name in elsewhere:
            continue
        parts = list(roles.parts(machine, errors))
        there = accounts_with_parts(fleet, machine, parts, errors)
        found += [_presence(machine, account, part.instance.name) for account, part in there]
    for machine in elsewhere.values():
        found += [_presence(machine, account, None) for account in accounts_elsewhere(fleet, machine.name)]
    raise_all(list({(str(error), error.hint): error for error in errors}.values()))
    return tuple(sorted(found, key=lambda one: (one.user, one.machine, one.account)))


def _presence(machine: Machine, account: Account, instance: str | None) -> Presence:
    return Presence(
        user=account.user,
        machine=machine.name,
        system=machine.system,
        account=account.account,
        home=account.home,
        admin=account.admin,
        managed=account.managed,
        home_manager=account.home_manager,
        uid=account.uid,
        instance=instance,
    )


def person(fleet: Fleet, name: str) -> User:
    """A person, by name or alias.

    Raises:
        NothingMatchedError: there is nobody of that name.
    """
    known = people(fleet)
    if name not in known:
        raise NothingMatchedError(f"there is no user '{name}'", hint=nearest(name, known))
    return fleet.users[known[name]]


def chosen_people(fleet: Fleet, names: Iterable[str] = (), group: str | None = None) -> tuple[User, ...]:
    """People by name or alias, or those of a group; all of them when neither is said.

    Raises:
        NothingMatchedError: there is nobody of a name, or nobody in the group.
    """
    found = {user.name: user for user in (person(fleet, name) for name in names)} or dict(fleet.users)
    if group is not None:
        group = group.removeprefix(GROUP_MARK)
        groups = {each for user in fleet.users.values() for each in user.groups}
        if group not in groups:
            raise NothingMatchedError(f"nobody is in a group '{group}'", hint=nearest(group, groups))
        found = {name: user for name, user in found.items() if group in user.groups}
    return tuple(found[name] for name in sorted(found))


def homes_by_platform(fleet: Fleet) -> dict[tuple[str, str], list[Presence]]:
    """Every home that there can be, by person and system, and where it is: nowhere, perhaps.

    Raises:
        ClanpyError: what is wrong with services or settings; a CombinedError when it is more than one thing.
    """
    found: dict[tuple[str, str], list[Presence]] = {
        (user.name, system): [] for user in fleet.users.values() if user.imports for system in platforms(fleet)
    }
    for one in presences(fleet):
        if one.home_manager is not None:
            found.setdefault((one.user, one.system), []).append(one)
    return {key: found[key] for key in sorted(found)}


def standalone_homes(fleet: Fleet, which: Iterable[str] = ()) -> tuple[Presence, ...]:
    """The homes that are activated on their own, of `USER` or `USER@MACHINE`; all of them when nobody is named.

    A name that an account has means that account; otherwise all accounts of the person are meant.

    Raises:
        NothingMatchedError: there is nobody of a name, no such machine, or no such home.
    """
    found = presences(fleet)
    chosen: dict[Presence, None] = {}
    for text in which:
        chosen.update(dict.fromkeys(_homes_of(fleet, found, text)))
    alone = (one for one in found if one.home_manager == STANDALONE)
    return tuple(chosen) or tuple(alone)


def _homes_of(fleet: Fleet, found: Iterable[Presence], text: str) -> list[Presence]:
    name, at, machine = text.partition("@")
    known = {**fleet.machines, **hosts_elsewhere(fleet)}
    if at and machine not in known:
        raise NothingMatchedError(
            f"there is no machine '{machine}'",
            hint=nearest(machine, known) or f"a host that is no machine of the fleet: [users.{name}.homes.{machine}]",
        )
    there = [one for one in found if not at or one.machine == machine]
    mine = [one for one in there if one.account == name]
    if not mine:
        user = person(fleet, name)
        mine = [one for one in there if one.user == user.name]
    alone = [one for one in mine if one.home_manager == STANDALONE]
    if not alone:
        built_in = [one.machine for one in mine if one.home_manager is not None]
        hint = f"it is a part of the system there: clanpy machines update {' '.join(built_in)}" if built_in else None
        where = f" on '{machine}'" if at else ""
        raise NothingMatchedError(f"'{name}' has no standalone home{where}", hint=hint)
    return alone
