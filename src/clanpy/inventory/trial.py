"""Trying a service out, for its tests: a fleet of one machine in one role, and what the machine has of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from clanpy.inventory.hosts import resolve_host
from clanpy.inventory.loading import load
from clanpy.inventory.model import HostConfig
from clanpy.modules.deferred import NixData


_SYSTEMS = {"nixos": "x86_64-linux", "darwin": "aarch64-darwin"}
_MACHINE = "one"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A machine in a role: the host as it is resolved, and the plain data that the service contributes, of all its modules."""

    host: HostConfig
    data: Mapping[str, Any]


def trial(folder: Path, role: str, settings: Mapping[str, Any] | None = None, *, class_: str = "nixos") -> Trial:
    """Put a machine of a class into a role of the service in a folder (the one that holds its service.py).

    Raises:
        ClanpyError: what is wrong with the service or the settings; a CombinedError when it is more than one thing.
    """
    with TemporaryDirectory(prefix="clanpy-trial-") as name:
        root = Path(name)
        shutil.copytree(folder, root / "services" / folder.name, ignore=shutil.ignore_patterns("__pycache__"))
        (root / "inventory.toml").write_text(_inventory(folder.name, role, settings or {}, class_), encoding="utf-8")
        host = resolve_host(load(root), _MACHINE)
    contributed = [module.content for module in host.modules if f"/{folder.name}" in module.key]
    data: dict[str, Any] = {}
    for content in contributed:
        if isinstance(content, NixData):
            _add(data, content.value)
    return Trial(host=host, data=data)


def _inventory(service: str, role: str, settings: Mapping[str, Any], class_: str) -> str:
    values = ", ".join(f"{json.dumps(key)} = {_toml(value)}" for key, value in settings.items())
    return (
        f'[meta]\nname = "trial"\n[machines.{_MACHINE}]\nclass = "{class_}"\nsystem = "{_SYSTEMS[class_]}"\n'
        f'[instances.{service}]\nmodule.input = "self"\n'
        f'[instances.{service}.roles.{role}]\nmachines = ["{_MACHINE}"]\nsettings = {{ {values} }}\n'
    )


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(str(key))} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(item) for item in value)}]"
    return json.dumps(value)


def _add(target: dict[str, Any], more: Mapping[str, Any]) -> None:
    for key, value in more.items():
        here = target.get(key)
        if isinstance(here, dict) and isinstance(value, Mapping):
            _add(here, value)
        else:
            target[key] = dict(value) if isinstance(value, Mapping) else value
