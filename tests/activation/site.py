"""A host of the lab with a few real systems in its store, built there with its own Nix."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Protocol

from clanpy.lab import LabHost
from clanpy.ssh import Connection, Elevation, Target, connect


# Each system tells which it is by a file; `ip link` is there so that going back mends what a bad one broke.
SYSTEMS = """
let
  lib = import ./lib;
  packages = {{ "{system}" = import ./packages.nix {{ inherit lib; system = "{system}"; }}; }};
  world = import ./system {{ inherit lib packages; }};
  homes = import ./home {{ inherit lib packages; }};
  system = name: script: (world.{function} {{
    system = "{system}";
    modules = [ {{
      system.stateVersion = {version};
      environment.etc."which".text = name;
      system.activationScripts.{hook}.text = script;
    }} ];
  }}).config.system.build.toplevel;
  home = name: (homes.homeManagerConfiguration {{
    pkgs = packages."{system}";
    modules = [ {{
      home = {{ username = "admin"; homeDirectory = "{home}"; stateVersion = "26.05"; file.which.text = name; }};
    }} ];
  }}).activationPackage;
in
{{
{attributes}
}}
"""


class Keys(Protocol):
    """A lab, as far as logging in is concerned."""

    @property
    def identity(self) -> Path: ...

    @property
    def known_hosts(self) -> Path: ...


@dataclass(frozen=True, kw_only=True)
class Site:
    """A host, how to reach it, and the paths of its systems by name."""

    keys: Keys
    host: LabHost
    paths: dict[str, str]

    def target(self, user: str = "root") -> Target:
        return target(self.keys, self.host, user)


def target(keys: Keys, host: LabHost, user: str = "root") -> Target:
    return Target(
        host=host.address,
        name=host.name,
        user=user,
        port=host.port,
        identity_files=(keys.identity,),
        known_hosts=(keys.known_hosts,),
        elevation=Elevation.SUDO,
        isolated=True,
    )


async def prepare(keys: Keys, host: LabHost, systems: dict[str, str], homes: tuple[str, ...] = ()) -> Site:
    """Build systems on a host: by name, the text of a step of their activation. Names are kept apart by a file /etc/which."""
    darwin = host.class_ == "darwin"
    attributes = [f"  {name} = system {quoted(name)} {quoted(script)};" for name, script in systems.items()]
    attributes += [f"  {name} = home {quoted(name)};" for name in homes]
    text = SYSTEMS.format(
        system="aarch64-darwin" if darwin else "x86_64-linux",
        function="darwinSystem" if darwin else "nixosSystem",
        version="6" if darwin else '"26.05"',
        hook="postActivation" if darwin else "test",
        home="/Users/admin" if darwin else "/home/admin",
        attributes="\n".join(attributes),
    )
    names = [*systems, *homes]
    async with connect(target(keys, host)) as conn:
        (await conn.run("mkdir -p /root/mini && tar -xC /root/mini", input=archive(text))).check()
        done = await conn.run(
            f"cd /root/mini && nix-build --no-out-link systems.nix {' '.join(f'-A {name}' for name in names)}"
        )
        built = done.check().stdout.split()
    assert len(built) == len(names)
    return Site(keys=keys, host=host, paths=dict(zip(names, built, strict=True)))


def archive(text: str) -> bytes:
    found = io.BytesIO()
    with as_file(files("clanpy.nix") / "mini") as mini, tarfile.open(fileobj=found, mode="w") as tar:
        tar.add(mini, ".")
        info = tarfile.TarInfo("systems.nix")
        info.size = len(text.encode())
        tar.addfile(info, io.BytesIO(text.encode()))
    return found.getvalue()


def quoted(text: str) -> str:
    """A text as a string of Nix."""
    return "''" + text.replace("''", "'''").replace("${", "''${") + "''"


async def say(conn: Connection, command: str) -> str:
    return (await conn.run(command)).check().stdout.strip()
