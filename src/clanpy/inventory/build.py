"""From the merged data to the values of `model`: machines with their final tags, users, instances. No checking here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from clanpy.inventory.aspects import Key
from clanpy.inventory.merge import Carried, merge_keeping_sigils
from clanpy.inventory.model import Aspect, Deploy, Fleet, Instance, Machine, Meta, Role, Tag, User
from clanpy.inventory.places import Places


COMPUTED_TAGS = ("all", "nixos", "darwin")
BUILT_IN = ("clan-core", "clanpy")  # as an input: what ships with clanpy itself


def build_fleet(root: Path, data: Mapping[str, Any], aspects: Mapping[Key, Aspect], places: Places) -> Fleet:
    """The fleet that merged data describes."""
    tags = data.get("tags", {})
    machines = {name: _machine(name, entry, tags, places) for name, entry in sorted(data.get("machines", {}).items())}
    return Fleet(
        root=root,
        meta=_meta(root, data.get("meta", {})),
        machines=machines,
        users={name: _user(name, entry, places) for name, entry in sorted(data.get("users", {}).items())},
        instances={name: _instance(name, entry, places) for name, entry in sorted(data.get("instances", {}).items())},
        tags=_tag_members(tags, machines.values()),
        tag_records={name: _tag(name, entry) for name, entry in sorted(tags.items())},
        aspects=aspects,
        places=places,
    )


def _meta(root: Path, entry: Mapping[str, Any]) -> Meta:
    return Meta(
        name=entry.get("name", root.name), description=entry.get("description"), domain=entry.get("domain", "clan")
    )


def _machine(name: str, entry: Mapping[str, Any], tags: Mapping[str, Any], places: Places) -> Machine:
    class_ = entry.get("class", "nixos")
    static = (tag for tag, record in tags.items() if name in record.get("machines", ()))
    return Machine(
        name=name,
        class_=class_,
        system=entry.get("system", ""),
        type=entry.get("type"),
        primary_user=entry.get("primary_user"),
        admin_user=entry.get("admin_user"),
        description=entry.get("description"),
        tags=tuple(sorted({*entry.get("tags", ()), *static, "all", class_})),
        imports=_unique(entry.get("imports", ())),
        deploy=_deploy(entry.get("deploy", {})),
        installed_at=entry.get("installed_at"),
        place=places.file_of(("machines", name)),
    )


def _deploy(entry: Mapping[str, Any]) -> Deploy:
    first, *rest = entry.get("target_host") or (None,)
    return Deploy(
        target_host=first,
        build_host=entry.get("build_host"),
        alternatives=tuple(rest),
        forward_agent=entry.get("forward_agent"),
    )


def _user(name: str, entry: Mapping[str, Any], places: Places) -> User:
    return User(
        name=name,
        full_name=entry.get("full_name"),
        email=entry.get("email"),
        ssh_keys=_unique(entry.get("ssh_keys", ())),
        aliases=_unique(entry.get("aliases", ())),
        imports=_unique(entry.get("imports", ())),
        place=places.file_of(("users", name)),
    )


def _tag(name: str, entry: Mapping[str, Any]) -> Tag:
    return Tag(name=name, description=entry.get("description"), imports=_unique(entry.get("imports", ())))


def _tag_members(tags: Mapping[str, Any], machines: Iterable[Machine]) -> dict[str, tuple[str, ...]]:
    members: dict[str, list[str]] = {tag: [] for tag in (*COMPUTED_TAGS, *tags)}
    for machine in machines:
        for tag in machine.tags:
            members.setdefault(tag, []).append(machine.name)
    return {tag: tuple(names) for tag, names in sorted(members.items())}


def _instance(name: str, entry: Mapping[str, Any], places: Places) -> Instance:
    module = entry.get("module", {})
    input_ = module.get("input")
    return Instance(
        name=name,
        service=module.get("name", name),
        input=None if input_ in BUILT_IN else input_,
        roles={role: _role(written) for role, written in sorted(entry.get("roles", {}).items())},
        place=places.file_of(("instances", name)),
    )


def _role(entry: Mapping[str, Any]) -> Role:
    return Role(
        machines={name: _settings(member) for name, member in sorted(entry.get("machines", {}).items())},
        tags={name: _settings(member) for name, member in sorted(entry.get("tags", {}).items())},
        settings=_settings(entry),
        extra_modules=_unique(entry.get("extra_modules", ())),
    )


def _settings(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """One level's settings as they are written. Several files that write one level are merged, and keep their priorities."""
    carried = entry.get("settings")
    if not isinstance(carried, Carried):
        return {}
    if len(carried.parts) == 1:
        value: Mapping[str, Any] = carried.parts[0].value
        return value
    merged: Mapping[str, Any] = merge_keeping_sigils(carried.parts).value
    return merged


def _unique(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))
