"""Homes that no machine of the fleet gives: on hosts of others, and of any person for any platform.

A host of others counts as a machine where homes are concerned, and nowhere else: it has no tags, is in no service, and no selection
of machines finds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from clanpy.errors import ClanpyError
from clanpy.inventory.errors import HomeClashError
from clanpy.inventory.model import Deploy, Fleet, HomeElsewhere, Machine, User
from clanpy.modules.deferred import NixClass


if TYPE_CHECKING:
    from clanpy.services import Account

STANDALONE = "standalone"


def class_of(system: str) -> NixClass:
    """The class of what runs on a system."""
    return "darwin" if system.endswith("-darwin") else "nixos"


def hosts_elsewhere(fleet: Fleet) -> Mapping[str, Machine]:
    """The hosts on which people have homes and which are no machines of the fleet, by name; worked out once."""
    found: dict[str, Machine] | None = fleet.memo.get("hosts elsewhere")
    if found is None:
        found = fleet.memo["hosts elsewhere"] = {}
        for user in fleet.users.values():
            for name, there in user.homes.items():
                if name not in fleet.machines and name not in found:
                    found[name] = Machine(
                        name=name,
                        class_=class_of(there.system),
                        system=there.system,
                        deploy=Deploy(target_host=there.target_host or name),
                        place=user.place,
                    )
    return found


def with_hosts_elsewhere(fleet: Fleet) -> Fleet:
    """The same fleet, in which the hosts of homes are machines, too: to reach them, and to update what is on them."""
    return replace(fleet, machines={**fleet.machines, **hosts_elsewhere(fleet)})


def accounts_elsewhere(fleet: Fleet, host: str) -> tuple[Account, ...]:
    """The accounts that people have on a host that is no machine of the fleet, by name."""
    found = (_account(user, user.homes[host]) for user in fleet.users.values() if host in user.homes)
    return tuple(sorted(found, key=lambda account: account.account))


def account_anywhere(user: User, system: str) -> Account:
    """A person's account under their own name, wherever a system runs."""
    return _account(user, HomeElsewhere(system=system))


def platforms(fleet: Fleet) -> tuple[str, ...]:
    """The systems on which anything of the fleet runs."""
    machines = (*fleet.machines.values(), *hosts_elsewhere(fleet).values())
    return tuple(sorted({machine.system for machine in machines if machine.system}))


def check_homes_elsewhere(fleet: Fleet) -> Iterator[ClanpyError]:
    """Homes elsewhere that contradict the fleet, or each other."""
    owners: dict[tuple[str, str], str] = {}
    systems: dict[str, tuple[str, str]] = {}
    for user in fleet.users.values():
        for host, there in user.homes.items():
            place = fleet.where("users", user.name, "homes", host)
            if host in fleet.machines:
                yield HomeClashError(
                    f"the home of '{user.name}' on '{host}' is declared as one elsewhere, and '{host}' is a machine of the fleet",
                    place=place,
                    hint='an instance of the service `users` with `managed = false` and `home_manager = "standalone"` gives it',
                )
                continue
            other, system = systems.setdefault(host, (user.name, there.system))
            if system != there.system:
                yield HomeClashError(
                    f"the host '{host}' is {system} for '{other}' and {there.system} for '{user.name}'", place=place
                )
            account = there.account or user.name
            other = owners.setdefault((host, account), user.name)
            if other != user.name:
                yield HomeClashError(
                    f"the account '{account}' on '{host}' has two homes: of '{other}' and of '{user.name}'",
                    place=place,
                    details=(f"the other: {fleet.where('users', other, 'homes', host)}",),
                    hint="give one of them another `account`",
                )


def _account(user: User, there: HomeElsewhere) -> Account:
    from clanpy.services import Account  # noqa: PLC0415 - the fleet is checked without any service

    name = there.account or user.name
    base = "/Users" if class_of(there.system) == "darwin" else "/home"
    return Account(
        user=user.name,
        account=name,
        home=there.home or f"{base}/{name}",
        admin=False,
        ssh_keys=user.ssh_keys,
        home_manager=STANDALONE,
        managed=False,
        imports=there.imports,
    )
