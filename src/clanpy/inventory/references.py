"""Checking what the parts of a fleet say about each other: names that have to exist, fields that have to be there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

from clanpy.errors import ClanpyError, Place, nearest
from clanpy.inventory.aspects import Aspects
from clanpy.inventory.errors import (
    AliasClashError,
    BadTargetError,
    CircularValueError,
    ClassMismatchError,
    DuplicateUidError,
    MachineFolderError,
    PrimaryClashError,
    ReservedTagError,
    UnknownNameError,
)
from clanpy.inventory.homes import check_homes_elsewhere
from clanpy.inventory.matching import role_members
from clanpy.inventory.model import COMPUTED_TAGS, Fleet, Machine, User
from clanpy.inventory.reading import get, inside, is_written, strings
from clanpy.inventory.schema import is_target
from clanpy.inventory.sources import INVENTORY, machine_folders
from clanpy.modules.deferred import NixClass


LOCAL = "localhost"
_COMPUTED = frozenset(COMPUTED_TAGS)


def check_references(
    fleet: Fleet, config: Mapping[str, Any], spoiled: Collection[tuple[str, ...]] = ()
) -> Iterator[ClanpyError]:
    """Everything that is wrong between the parts of a fleet.

    `config` is the configuration it was built from; `spoiled` are options that have no right value: nothing is said about them.
    """
    yield from _folders(fleet)
    entries, persons = inside(config, "machines"), people(fleet)
    for machine in fleet.machines.values():
        yield from _machine(fleet, machine, inside(entries, machine.name), persons, spoiled)
    yield from _tags(fleet)
    yield from _aspects(fleet)
    yield from _users(fleet)
    yield from _instances(fleet)


def unknown(kind: str, name: str, known: Iterable[str], place: Place | None, where: str) -> UnknownNameError:
    """The error for a name that does not exist, with the nearest ones or, where there are few, all of them."""
    names = sorted(known)
    hint = nearest(name, names)
    if hint is None and 0 < len(names) <= 12:  # noqa: PLR2004 - as many as fit on a line
        hint = f"known: {', '.join(names)}"
    return UnknownNameError(f"{where} names the {kind} '{name}', which does not exist", place=place, hint=hint)


def _folders(fleet: Fleet) -> Iterator[ClanpyError]:
    for name in machine_folders(fleet.root):
        if name not in fleet.machines and any((fleet.root / "machines" / name).iterdir()):  # git knows no empty ones
            yield MachineFolderError(
                f"the folder machines/{name} belongs to no machine of the inventory",
                place=Place(f"machines/{name}"),
                hint=nearest(name, fleet.machines)
                or f"add [machines.{name}] to {INVENTORY}, or let its name begin with '_'",
            )


def _machine(
    fleet: Fleet,
    machine: Machine,
    entry: Mapping[str, Any],
    persons: Mapping[str, str],
    spoiled: Collection[tuple[str, ...]],
) -> Iterator[ClanpyError]:
    path = ("machines", machine.name)
    where = f"machine '{machine.name}'"
    called = get(entry, "name")
    if called not in {None, machine.name}:
        message = f"{where} calls itself '{called}'"
        hint = "leave `name` out: the entry's key is the name"
        yield ClassMismatchError(message, place=fleet.where(*path, "name"), hint=hint)
    for tag in _COMPUTED.intersection(strings(entry, "tags")):
        yield _reserved(tag, fleet.where(*path, "tags", tag))
    for field, name in (("primary_user", machine.primary_user), ("admin_user", machine.admin_user)):
        if name is not None and (*path, field) not in spoiled:
            yield from _person(fleet, persons, name, (*path, field), f"{field} of {where}")
    yield from _targets(fleet, machine)
    if (*path, "class") not in spoiled and is_written(entry, "class"):
        yield from _class_and_system(fleet, machine)
        for name in machine.imports:
            yield from check_aspect(fleet, machine.class_, name, (*path, "imports", name), where)


def _class_and_system(fleet: Fleet, machine: Machine) -> Iterator[ClanpyError]:
    wanted = {"nixos": "linux", "darwin": "darwin"}[machine.class_]
    if machine.system and not machine.system.endswith(f"-{wanted}"):
        yield ClassMismatchError(
            f"machine '{machine.name}' is of class {machine.class_}, but its system is {machine.system}",
            place=fleet.where("machines", machine.name, "system"),
            hint=f"a {machine.class_} machine has a system that ends in '-{wanted}'",
        )


def _targets(fleet: Fleet, machine: Machine) -> Iterator[ClanpyError]:
    deploy = machine.deploy
    hosts = [("target_host", host) for host in (deploy.target_host, *deploy.alternatives) if host is not None]
    if deploy.build_host is not None and deploy.build_host != LOCAL:
        hosts.append(("build_host", deploy.build_host))
    if deploy.via is not None:
        hosts.append(("via", deploy.via))
    for field, host in hosts:
        if not is_target(host):
            yield BadTargetError(
                f"{field} of machine '{machine.name}' is '{host}'",
                place=fleet.where("machines", machine.name, "deploy", field, host),
                hint="a target is [ssh://][user@]host[:port], an IPv6 address in brackets",
            )


def _reserved(tag: str, place: Place | None) -> ReservedTagError:
    return ReservedTagError(
        f"the tag '{tag}' is computed and can't be given to machines by hand",
        place=place,
        hint="leave it out: every machine carries 'all' and the tag of its class",
    )


def _tags(fleet: Fleet) -> Iterator[ClanpyError]:
    selected = fleet.memo.get("selected tags")
    yield from selected.errors if selected is not None else ()
    for tag, record in fleet.tag_records.items():
        named = record.machines
        if tag in COMPUTED_TAGS and (named or record.select is not None):
            yield _reserved(tag, fleet.where("tags", tag))
        for name in named:
            if name not in fleet.machines:
                place = fleet.where("tags", tag, "machines", name)
                yield unknown("machine", name, fleet.machines, place, f"tag '{tag}'")
        classes = sorted({fleet.machines[m].class_ for m in fleet.tags[tag]}) if record.imports else []
        for name in record.imports:
            for class_ in classes or _any_class(fleet, name):
                yield from check_aspect(fleet, class_, name, ("tags", tag, "imports", name), f"tag '{tag}'")


def _aspects(fleet: Fleet) -> Iterator[ClanpyError]:
    """What aspects import by name: that it exists, and that none imports itself, directly or through others."""
    if not isinstance(fleet.aspects, Aspects):
        return
    graph = {key: {(key[0], name): path for name, path in fleet.aspects.imports(key)} for key in fleet.aspects}
    for (class_, name), imports in graph.items():
        for (_, inner), path in imports.items():
            where = f"aspect '{class_}.{name}'"
            yield from check_aspect(fleet, class_, inner, (*path, "imports", inner), where)
    sorter = TopologicalSorter({key: [inner for inner in imports if inner in graph] for key, imports in graph.items()})
    try:
        sorter.prepare()
    except CycleError as error:
        cycle = [f"{class_}.{name}" for class_, name in reversed(error.args[1])]
        *_, second, first = error.args[1]  # each is imported by the next
        path = graph[first][second]
        message = f"aspects import each other in a circle: {' → '.join(cycle)}"
        yield CircularValueError(message, place=fleet.where(*path, "imports", second[1]))


def _any_class(fleet: Fleet, name: str) -> list[NixClass]:
    """For a tag that nobody carries: the class its aspect exists in, or one that says that it exists in none."""
    classes: list[NixClass] = ["nixos", "darwin"]
    return [] if any((class_, name) in fleet.aspects for class_ in classes) else classes[:1]


def check_aspect(fleet: Fleet, class_: NixClass, name: str, path: tuple[str, ...], where: str) -> Iterator[ClanpyError]:
    """Say so when an aspect does not exist in a class, and in which others it does."""
    if (class_, name) in fleet.aspects:
        return
    others = [other for other, known in fleet.aspects if known == name]
    if others:
        yield ClassMismatchError(
            f"{where} imports the aspect '{name}' for class {class_}, but it exists only for {' and '.join(others)}",
            place=fleet.where(*path),
            hint=f"write modules/{class_}/{name}.nix, or import it only where the class is {' or '.join(others)}",
        )
        return
    known = [known for other, known in fleet.aspects if other == class_]
    yield unknown(f"{class_} aspect", name, known, fleet.where(*path), where)


def people(fleet: Fleet) -> dict[str, str]:
    """Every name that a person goes by → that person."""
    names = {alias: user.name for user in fleet.users.values() for alias in user.aliases}
    return {**names, **{name: name for name in fleet.users}}


def _person(
    fleet: Fleet, known: Mapping[str, str], name: str, path: tuple[str, ...], where: str
) -> Iterator[ClanpyError]:
    if name not in known:
        yield unknown("user", name, known, fleet.where(*path), where)


def _users(fleet: Fleet) -> Iterator[ClanpyError]:
    owners: dict[str, str] = {}
    for user in fleet.users.values():
        for alias in user.aliases:
            path = ("users", user.name, "aliases", alias)
            if alias in fleet.users:
                yield AliasClashError(
                    f"'{alias}', an alias of '{user.name}', is a user of its own", place=fleet.where(*path)
                )
            elif alias in owners:
                other = fleet.where("users", owners[alias], "aliases", alias)
                yield AliasClashError(
                    f"'{alias}' is an alias of both '{owners[alias]}' and '{user.name}'",
                    place=fleet.where(*path),
                    details=(f"the other: {other}",),
                )
            owners.setdefault(alias, user.name)
        for name in user.imports:
            path = ("users", user.name, "imports", name)
            yield from check_aspect(fleet, "home", name, path, f"user '{user.name}'")
        yield from _users_there(fleet, user)
    yield from _numbers(fleet)
    yield from check_homes_elsewhere(fleet)


def _users_there(fleet: Fleet, user: User) -> Iterator[ClanpyError]:
    """What a person's entry says of machines: that these exist, and the aspects."""
    for machine, there in user.machines.items():
        path, where = ("users", user.name, "machines", machine), f"user '{user.name}'"
        if machine not in fleet.machines:
            yield unknown("machine", machine, fleet.machines, fleet.where(*path), where)
        elif there.primary and people(fleet).get(fleet.machines[machine].primary_user or "") != user.name:
            yield PrimaryClashError(
                f"{where} is primary on '{machine}', whose primary user is '{fleet.machines[machine].primary_user}'",
                place=fleet.where(*path, "primary"),
                hint="one of them only can be: take it out here, or there",
            )
        for name in there.imports:
            yield from check_aspect(fleet, "home", name, (*path, "imports", name), f"{where} on '{machine}'")
    for host, elsewhere in user.homes.items():
        path, where = ("users", user.name, "homes", host), f"the home of '{user.name}' on '{host}'"
        if elsewhere.target_host is not None and not is_target(elsewhere.target_host):
            yield BadTargetError(
                f"target_host of {where} is '{elsewhere.target_host}'",
                place=fleet.where(*path, "target_host"),
                hint="a target is [ssh://][user@]host[:port], an IPv6 address in brackets",
            )
        for name in elsewhere.imports:
            yield from check_aspect(fleet, "home", name, (*path, "imports", name), where)


def _numbers(fleet: Fleet) -> Iterator[ClanpyError]:
    """People whose accounts have one number: they could not both be on a machine, and files would change hands between machines."""
    owners: dict[tuple[str, int], str] = {}
    for user in fleet.users.values():
        both = {owners.setdefault((class_, number), user.name) for class_, number in user.uid.items()} - {user.name}
        for other in sorted(both):
            numbers = ", ".join(f"{number} ({c})" for c, number in user.uid.items() if owners[c, number] == other)
            yield DuplicateUidError(
                f"the users '{other}' and '{user.name}' have one number: {numbers}",
                place=fleet.where("users", user.name, "uid"),
                details=(f"the other: {fleet.where('users', other, 'uid')}",),
                hint="give one of them another `uid`",
            )


def _instances(fleet: Fleet) -> Iterator[ClanpyError]:
    for instance in fleet.instances.values():
        path = ("instances", instance.name, "roles")
        for role_name, role in instance.roles.items():
            where = f"role '{role_name}' of instance '{instance.name}'"
            for name in role.machines:
                if name not in fleet.machines:
                    place = fleet.where(*path, role_name, "machines", name)
                    yield unknown("machine", name, fleet.machines, place, where)
            for tag in role.tags:
                if tag not in fleet.tags:
                    yield unknown("tag", tag, fleet.tags, fleet.where(*path, role_name, "tags", tag), where)
            classes = sorted({fleet.machines[name].class_ for name in role_members(fleet, role)})
            for name in role.extra_modules:
                for class_ in classes or _any_class(fleet, name):
                    yield from check_aspect(fleet, class_, name, (*path, role_name, "extra_modules", name), where)
