"""The fleet and one machine of it as JSON data, with stable names. Documented in docs/json.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clanpy.inventory.model import Deploy, Fleet, HostConfig, Instance, Machine, Role, User, UserThere
from clanpy.modules.deferred import DeferredModule, NixData, NixFile


if TYPE_CHECKING:
    from clanpy.services.generator import Generator

_PACKAGE = Path(__file__).resolve().parent.parent


def machine_row(machine: Machine) -> dict[str, Any]:
    """A machine as `machines list --json` has it."""
    return {
        "name": machine.name,
        "class": machine.class_,
        "system": machine.system,
        "type": machine.type,
        "primary_user": machine.primary_user,
        "tags": list(machine.tags),
        "target_host": machine.deploy.target_host,
        "build_host": machine.deploy.build_host,
        "description": machine.description,
        "installed_at": machine.installed_at,
    }


def fleet_document(fleet: Fleet) -> dict[str, Any]:
    """The whole inventory."""
    return {
        "schema": "clanpy.inventory/1",
        "root": str(fleet.root),
        "meta": {"name": fleet.meta.name, "description": fleet.meta.description, "domain": fleet.meta.domain},
        "machines": {name: _machine(machine) for name, machine in fleet.machines.items()},
        "users": {name: user_dict(user) for name, user in fleet.users.items()},
        "tags": {tag: _tag(fleet, tag) for tag in fleet.tags},
        "instances": {name: _instance(instance) for name, instance in fleet.instances.items()},
        "aspects": [
            {"class": class_, "name": name, "files": [shown_path(file, fleet.root) for file in aspect.files]}
            for (class_, name), aspect in fleet.aspects.items()
        ],
    }


def host_document(host: HostConfig, root: Path) -> dict[str, Any]:
    """One machine, complete. Paths are those inside of the fleet (`root`), or of clanpy's own services."""
    return {
        "schema": "clanpy.host/1",
        "machine": _machine(host.machine),
        "domain": host.domain,
        "targets": list(host.targets),
        "instances": [
            {
                "instance": part.instance,
                "service": part.service,
                "role": part.role,
                "settings": dict(part.settings),
                "origins": dict(part.origins),
                "note": part.note,
            }
            for part in host.memberships
        ],
        "users": [
            {
                "user": user.user,
                "account": user.account,
                "home": user.home,
                "admin": user.admin,
                "ssh_keys": list(user.ssh_keys),
                "home_manager": user.home_manager,
                "managed": user.managed,
                "uid": user.uid,
            }
            for user in host.users
        ],
        "gates": [gate.to_dict() for gate in host.gates],
        "generators": [_generator(generator) for generator in host.generators],
        "modules": [_module(module, root) for module in host.modules],
        "homes": {account: [_module(m, root) for m in modules] for account, modules in host.homes.items()},
    }


def _machine(machine: Machine) -> dict[str, Any]:
    return {
        **machine_row(machine),
        "admin_user": machine.admin_user,
        "imports": list(machine.imports),
        "deploy": _deploy(machine.deploy),
    }


def _deploy(deploy: Deploy) -> dict[str, Any]:
    return {
        "target_host": deploy.target_host,
        "alternatives": list(deploy.alternatives),
        "build_host": deploy.build_host,
        "forward_agent": deploy.forward_agent,
        "elevation": deploy.elevation,
        "via": deploy.via,
        "substitute": deploy.substitute,
    }


def user_dict(user: User) -> dict[str, Any]:
    """A person's entry as JSON data."""
    return {
        "full_name": user.full_name,
        "email": user.email,
        "ssh_keys": list(user.ssh_keys),
        "aliases": list(user.aliases),
        "imports": list(user.imports),
        "github": user.github,
        "groups": list(user.groups),
        "shell": user.shell,
        "uid": dict(user.uid),
        "machines": {name: _user_there(there) for name, there in user.machines.items()},
        "homes": {host: {**asdict(there), "imports": list(there.imports)} for host, there in user.homes.items()},
    }


def _user_there(there: UserThere) -> dict[str, Any]:
    return {
        "account": there.account,
        "admin": there.admin,
        "primary": there.primary,
        "groups": list(there.groups),
        "shell": there.shell,
        "uid": there.uid,
        "imports": list(there.imports),
    }


def _tag(fleet: Fleet, tag: str) -> dict[str, Any]:
    record = fleet.tag_records.get(tag)
    return {
        "description": record.description if record else None,
        "machines": list(fleet.tags[tag]),
        "select": record.select if record else None,
        "imports": list(record.imports) if record else [],
    }


def _instance(instance: Instance) -> dict[str, Any]:
    return {
        "module": {"name": instance.service, "input": instance.input},
        "roles": {name: _role(role) for name, role in instance.roles.items()},
    }


def _role(role: Role) -> dict[str, Any]:
    return {
        "machines": {name: {"settings": dict(settings)} for name, settings in role.machines.items()},
        "tags": {name: {"settings": dict(settings)} for name, settings in role.tags.items()},
        "settings": dict(role.settings),
        "extra_modules": list(role.extra_modules),
    }


def _generator(generator: Generator) -> dict[str, Any]:
    from clanpy.services.generator import path_on_host  # noqa: PLC0415 - machines are listed without services

    files = {
        name: {"secret": file.secret, "path": path_on_host(generator.name, name, file) if file.deploy else None}
        for name, file in generator.outputs().items()
    }
    return {"name": generator.name, "share": generator.share, "origin": generator.origin, "files": files}


def _module(module: DeferredModule, root: Path) -> dict[str, Any]:
    return {"key": module.key, "class": module.class_, "origin": module.origin, **_content(module, root)}


def _content(module: DeferredModule, root: Path) -> Mapping[str, Any]:
    match module.content:
        case NixFile(path=path, settings=settings):
            return {"kind": "file", "path": shown_path(path, root), "arguments": settings}
        case NixData(value=value):
            return {"kind": "data", "data": value}
        case template:
            return {"kind": "template", "path": shown_path(template.path, root), "arguments": template.context}


def shown_path(path: Path, root: Path) -> str:
    """A path for people and for comparing: the same on every computer."""
    for base, prefix in ((root, ""), (_PACKAGE, "clanpy/")):
        if path.is_relative_to(base):
            return prefix + path.relative_to(base).as_posix()
    return str(path)
