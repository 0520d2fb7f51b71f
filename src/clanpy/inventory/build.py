"""From the evaluated configuration to the values of `model`: machines with their final tags, users, instances. No checking here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from clanpy.inventory.aspects import Key
from clanpy.inventory.gates import declared_gates
from clanpy.inventory.model import (
    COMPUTED_TAGS,
    Aspect,
    Deploy,
    Fleet,
    HomeElsewhere,
    Instance,
    Machine,
    Meta,
    Role,
    Tag,
    User,
    UserThere,
)
from clanpy.inventory.places import Places
from clanpy.inventory.reading import entries, get, inside, strings
from clanpy.inventory.schema import INSTANCE_NAME, MACHINE_NAME, ROLE_NAME, TAG_NAME, USER_NAME
from clanpy.inventory.written import NOTHING, written


BUILT_IN = ("clan-core", "clanpy")  # as an input: what ships with clanpy itself

Config = Mapping[str, Any]


def build_fleet(root: Path, config: Config, aspects: Mapping[Key, Aspect], places: Places) -> Fleet:
    """The fleet that a configuration describes."""
    tags = {name: _tag(name, entry) for name, entry in entries(config, "tags", TAG_NAME)}
    named: dict[str, list[str]] = {}
    for tag in tags.values():
        for name in tag.machines:
            named.setdefault(name, []).append(tag.name)
    machines = {
        name: _machine(name, entry, named.get(name, ()), places)
        for name, entry in entries(config, "machines", MACHINE_NAME)
    }
    users = {name: _user(name, entry, places) for name, entry in entries(config, "users", USER_NAME)}
    machines.update(_with_primary_users(machines, users))
    fleet = Fleet(
        root=root,
        meta=_meta(root, inside(config, "meta")),
        machines=machines,
        users=users,
        instances={name: _instance(name, entry, places) for name, entry in entries(config, "instances", INSTANCE_NAME)},
        tags=_tag_members(tags, machines),
        tag_records=tags,
        gates=declared_gates(config),
        aspects=aspects,
        places=places,
    )
    if all(tag.select is None for tag in tags.values()):
        return fleet
    from clanpy.inventory.tags import with_computed_tags  # noqa: PLC0415 - most fleets are listed without it

    selected = with_computed_tags(fleet)
    selected.fleet.memo["selected tags"] = selected
    return selected.fleet


def _with_primary_users(machines: Mapping[str, Machine], users: Mapping[str, User]) -> Iterator[tuple[str, Machine]]:
    """Machines whose own entry names no primary user, and of which a person says that they are."""
    told: set[str] = set()
    for user in users.values():
        for name, there in user.machines.items():
            machine = machines.get(name)
            if there.primary and machine is not None and machine.primary_user is None and name not in told:
                told.add(name)
                yield name, replace(machine, primary_user=user.name)


def _meta(root: Path, entry: Config) -> Meta:
    return Meta(
        name=get(entry, "name", root.name), description=get(entry, "description"), domain=get(entry, "domain", "clan")
    )


def _machine(name: str, entry: Config, static: Any, places: Places) -> Machine:
    class_ = get(entry, "class", "nixos")
    if class_ not in {"nixos", "darwin"}:
        class_ = "nixos"
    return Machine(
        name=name,
        class_=class_,
        system=get(entry, "system", ""),
        type=get(entry, "type"),
        primary_user=get(entry, "primary_user"),
        admin_user=get(entry, "admin_user"),
        description=get(entry, "description"),
        tags=tuple(sorted({*strings(entry, "tags"), *static, "all", class_})),
        imports=strings(entry, "imports"),
        deploy=_deploy(inside(entry, "deploy")),
        installed_at=get(entry, "installed_at"),
        place=places.file_of(("machines", name)),
    )


_NOWHERE = Deploy()


def _deploy(entry: Config) -> Deploy:
    first, *rest = strings(entry, "target_host") or (None,)
    others = {name: get(entry, name) for name in ("build_host", "forward_agent", "elevation", "via", "substitute")}
    if first is None and all(value is None for value in others.values()):
        return _NOWHERE
    return Deploy(target_host=first, alternatives=tuple(rest), **others)


def _user(name: str, entry: Config, places: Places) -> User:
    return User(
        name=name,
        full_name=get(entry, "full_name"),
        email=get(entry, "email"),
        ssh_keys=strings(entry, "ssh_keys"),
        aliases=tuple(alias for alias in strings(entry, "aliases") if USER_NAME.fits(alias)),
        imports=strings(entry, "imports"),
        github=get(entry, "github"),
        groups=strings(entry, "groups"),
        shell=get(entry, "shell"),
        uid=_uids(get(entry, "uid")),
        machines={m: _user_there(there) for m, there in entries(entry, "machines", MACHINE_NAME)},
        homes={host: _home_elsewhere(there) for host, there in entries(entry, "homes", MACHINE_NAME)},
        place=places.file_of(("users", name)),
    )


def _uids(written: Any) -> dict[str, int]:
    """A number counts for both classes."""
    if isinstance(written, Mapping):
        return {class_: number for class_, number in sorted(written.items()) if isinstance(number, int)}
    return {"darwin": written, "nixos": written} if isinstance(written, int) else {}


def _user_there(entry: Config) -> UserThere:
    return UserThere(
        account=get(entry, "account"),
        admin=get(entry, "admin"),
        primary=get(entry, "primary", False) is True,
        groups=strings(entry, "groups"),
        shell=get(entry, "shell"),
        uid=get(entry, "uid"),
        imports=strings(entry, "imports"),
    )


def _home_elsewhere(entry: Config) -> HomeElsewhere:
    return HomeElsewhere(
        system=get(entry, "system", ""),
        account=get(entry, "account"),
        home=get(entry, "home"),
        target_host=get(entry, "target_host"),
        imports=strings(entry, "imports"),
    )


def _tag(name: str, entry: Config) -> Tag:
    return Tag(
        name=name,
        description=get(entry, "description"),
        imports=strings(entry, "imports"),
        machines=strings(entry, "machines"),
        select=get(entry, "select"),
    )


def _tag_members(tags: Mapping[str, Any], machines: Mapping[str, Machine]) -> dict[str, tuple[str, ...]]:
    members: dict[str, list[str]] = {tag: [] for tag in (*COMPUTED_TAGS, *tags)}
    for machine in machines.values():
        for tag in machine.tags:
            members.setdefault(tag, []).append(machine.name)
    return {tag: tuple(names) for tag, names in sorted(members.items())}


def _instance(name: str, entry: Config, places: Places) -> Instance:
    module = inside(entry, "module")
    input_ = get(module, "input")
    return Instance(
        name=name,
        service=get(module, "name") or name,
        input=None if input_ in BUILT_IN else input_,
        roles={role: _role(given) for role, given in entries(entry, "roles", ROLE_NAME)},
        place=places.file_of(("instances", name)),
    )


def _role(entry: Config) -> Role:
    return Role(
        machines={name: written(get(member, "settings")) for name, member in entries(entry, "machines", MACHINE_NAME)},
        tags={name: written(get(member, "settings")) for name, member in entries(entry, "tags", TAG_NAME)},
        settings=written(get(entry, "settings")) if "settings" in entry else NOTHING,
        extra_modules=strings(entry, "extra_modules"),
    )
