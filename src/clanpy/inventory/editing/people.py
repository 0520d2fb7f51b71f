"""People who come and go: the inventory, and the files by which they read secrets, as one edit."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from clanpy.errors import NothingMatchedError, nearest
from clanpy.inventory.editing.errors import DefinedElsewhereError, NameTakenError
from clanpy.inventory.editing.plan import File, Plan
from clanpy.inventory.editing.spelling import Path_
from clanpy.inventory.editing.values import TomlSource, read_file, real_path, set_value, toml_sources
from clanpy.inventory.errors import BadNameError
from clanpy.inventory.explain import definitions
from clanpy.inventory.loading import load_all
from clanpy.inventory.model import Fleet, Instance, Role, User
from clanpy.inventory.references import people
from clanpy.inventory.schema import USER_NAME


_PEOPLE = "authorized_people"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """What goes with a person: paths of the inventory as a whole, and lists that lose names."""

    paths: tuple[Path_, ...]
    lists: Mapping[Path_, tuple[str, ...]]
    instances: tuple[str, ...]


def add_user(root: Path, name: str, fields: Mapping[str, Any], *, file: str | None = None) -> Plan:
    """The plan for a new person.

    Raises:
        NameTakenError: somebody goes by that name.
        BadNameError: that can't be a name.
    """
    fleet = load_all(root).fleet
    if not USER_NAME.fits(name):
        raise BadNameError(f"'{name}' can't be {USER_NAME.what}", hint=USER_NAME.hint)
    known = people(fleet)
    if name in known:
        whose = "there is a user" if known[name] == name else f"the user '{known[name]}' has an alias"
        raise NameTakenError(f"{whose} '{name}' already", place=fleet.where("users", known[name]))
    return set_value(root, ("users", name), dict(fields), file=file)


def remove_user(root: Path, name: str) -> Plan:
    """The plan to forget a person: the entry, what gives them accounts and names them, and their keys for secrets.

    Raises:
        NothingMatchedError: there is no such person; the hint tells of one with that alias.
        DefinedElsewhereError: code defines the person.
    """
    fleet, sources = load_all(root).fleet, toml_sources(root)
    if name not in fleet.users:
        owner = people(fleet).get(name)
        hint = f"it is an alias of '{owner}'" if owner else nearest(name, fleet.users)
        raise NothingMatchedError(f"there is no user '{name}'", hint=hint)
    user, known = fleet.users[name], {source.name for source in sources}
    code = [d.place for d in definitions(fleet, ("users", name)) if d.place is not None and d.place.file not in known]
    if code:
        raise DefinedElsewhereError(f"user '{name}' is defined by code", place=code[0], hint="change it there")
    gone = what_goes(fleet, user)
    removed = tuple(path for path in _keys(root, user) if os.path.lexists(root / path))
    notes = ["what was encrypted to their keys still is: `clanpy vars fix` encrypts it anew"] if removed else []
    return Plan(root=root, files=tuple(_files(root, sources, gone)), removed=removed, notes=tuple(notes))


def what_goes(fleet: Fleet, user: User) -> Gone:
    """What of the inventory is about a person alone, and where they are named among others."""
    names = {user.name, *user.aliases}
    paths: list[Path_] = [("users", user.name)]
    for machine in fleet.machines.values():
        for field, said in (("primary_user", machine.primary_user), ("admin_user", machine.admin_user)):
            if said in names:
                paths.append(("machines", machine.name, field))
    lists: dict[Path_, tuple[str, ...]] = {}
    instances: list[str] = []
    for instance in fleet.instances.values():
        if _is_theirs(instance, names):
            instances.append(instance.name)
            paths.append(("instances", instance.name))
            continue
        for role_name, role in instance.roles.items():
            for at, settings in _levels(("instances", instance.name, "roles", role_name), role):
                asked = settings.get(_PEOPLE)
                if instance.service == "users" and settings.get("user") in names:
                    paths.append(at)
                elif isinstance(asked, list) and names & {one for one in asked if isinstance(one, str)}:
                    lists[(*at, "settings", _PEOPLE)] = tuple(one for one in asked if one not in names)
    return Gone(paths=tuple(paths), lists=lists, instances=tuple(instances))


def _is_theirs(instance: Instance, names: set[str]) -> bool:
    """Whether an instance of the service of accounts gives them to nobody else."""
    if instance.service != "users" or not instance.roles:
        return False
    said = [s["user"] for role in instance.roles.values() for _, s in _levels((), role) if "user" in s]
    return bool(said) and all(isinstance(one, str) and one in names for one in said)


def _levels(path: Path_, role: Role) -> Iterator[tuple[Path_, Mapping[str, Any]]]:
    yield path, role.settings
    for kind, members in (("machines", role.machines), ("tags", role.tags)):
        yield from (((*path, kind, name), settings) for name, settings in members.items())


def _files(root: Path, sources: list[TomlSource], gone: Gone) -> Iterator[File]:
    for source in sources:
        before = after = read_file(root, source.name)
        for path, left in gone.lists.items():
            if source.says(path):
                after = source.with_value(after, path, list(left))
        for path in gone.paths:
            if source.says(path):
                after = source.without(after, path)
        if after != before:
            yield File(path=PurePosixPath(source.name), real=real_path(root, source.name), before=before, after=after)


def _keys(root: Path, user: User) -> Iterator[PurePosixPath]:
    """By what a person reads secrets: their keys, and their places in groups."""
    groups = root / "sops" / "groups"
    for name in (user.name, *user.aliases):
        yield PurePosixPath("sops", "users", name)
        for group in sorted(groups.iterdir()) if groups.is_dir() else ():
            yield PurePosixPath("sops", "groups", group.name, "users", name)
