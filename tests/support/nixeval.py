"""Modules of a host, evaluated by a real Nix with mini: for tests of what services and aspects contribute.

How modules reach Nix in production is tested with `clanpy.nix`; this is the shortest way that shows whether they mean something.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clanpy.inventory.model import HostConfig
from clanpy.modules.deferred import DeferredModule, NixData, NixFile
from clanpy.nix import render


MINI = Path(render.__file__).parent / "mini"
HAS_NIX = shutil.which("nix-instantiate") is not None


def nix_json(expression: str) -> Any:
    """The value of an expression. Writes nothing to the store."""
    argv = ["nix-instantiate", "--eval", "--strict", "--json", "--readonly-mode", "--expr", expression]
    environment = {**os.environ, "NIX_CONFIG": "build-users-group =\nsubstituters =\n"}
    done = subprocess.run(argv, check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def module_expression(module: DeferredModule, folder: Path, name: str) -> str:
    """A module as a Nix expression; what it needs is written into a folder."""
    content = module.content
    if isinstance(content, NixFile):
        return (
            str(content.path)
            if content.settings is None
            else f"(import {content.path} {_data(content.settings, folder, name)})"
        )
    if isinstance(content, NixData):
        return _data(content.value, folder, name)
    path = folder / f"{name}.nix"
    path.write_text(render.render_template(content.path, content.context))
    return str(path)


def _data(value: Mapping[str, Any], folder: Path, name: str) -> str:
    path = folder / f"{name}.json"
    path.write_text(json.dumps(value))
    return f"(builtins.fromJSON (builtins.readFile {path}))"


def evaluated(hosts: Sequence[HostConfig], folder: Path, wanted: str) -> dict[str, Any]:
    """For each host, what `wanted` (an expression of `config` and `lib`) is in its system; one Nix for all."""
    systems = " ".join(f"{json.dumps(host.name)} = {_system(host, folder)};" for host in hosts)
    found: dict[str, Any] = nix_json(f"""
        let
          mini = (import {MINI}/flake.nix).outputs {{ self = {{ }}; }};
          inherit (mini) lib;
          show = system: let inherit (system) config; in {wanted};
        in builtins.mapAttrs (_: show) {{ {systems} }}
    """)
    return found


def _system(host: HostConfig, folder: Path) -> str:
    function = {"nixos": "nixosSystem", "darwin": "darwinSystem"}[host.machine.class_]
    modules = " ".join(module_expression(m, folder, f"{host.name}-{n}") for n, m in enumerate(host.modules))
    return f'mini.lib.{function} {{ system = "{host.machine.system}"; modules = [ {modules} ]; }}'


def home_outputs(hosts: Sequence[HostConfig], folder: Path) -> dict[str, str]:
    """The derivation of every home of the hosts, by `account@host`."""
    homes = {
        f"{account}@{host.name}": _home(host, modules, folder, f"{host.name}-{account}")
        for host in hosts
        for account, modules in host.homes.items()
    }
    entries = " ".join(f"{json.dumps(name)} = {expression};" for name, expression in homes.items())
    found: dict[str, str] = nix_json(
        f"let mini = (import {MINI}/flake.nix).outputs {{ self = {{ }}; }}; in {{ {entries} }}"
    )
    return found


def _home(host: HostConfig, modules: Sequence[DeferredModule], folder: Path, name: str) -> str:
    listed = " ".join(module_expression(m, folder, f"{name}-{n}") for n, m in enumerate(modules))
    packages = f"mini.legacyPackages.{host.machine.system}"
    return f"(mini.lib.homeManagerConfiguration {{ pkgs = {packages}; modules = [ {listed} ]; }}).activationPackage.drvPath"
