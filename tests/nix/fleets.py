"""Fleets made by hand, without an inventory: what the nix room gets from the rooms below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clanpy.inventory.model import Fleet, HostConfig, HostUser, Machine, Meta
from clanpy.modules.deferred import DeferredModule, NixClass, NixData, NixFile


FLAKE = """\
{
  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";
    nix-darwin = { url = "github:nix-darwin/nix-darwin"; inputs.nixpkgs.follows = "nixpkgs"; };
    home-manager.url = "github:nix-community/home-manager";
    home-manager.inputs.nixpkgs.follows = "nixpkgs";
  };
  outputs = inputs: let x = with inputs; 1; in { };
}
"""


def write(root: Path, files: Mapping[str, str]) -> Path:
    """Write files below a folder, with a flake.nix when there is none among them."""
    for name, text in {"flake.nix": FLAKE, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def fleet(root: Path, files: Mapping[str, str] | None = None) -> Fleet:
    """A fleet in a folder, which needs no machines for what is tested here."""
    return Fleet(root=write(root, files or {}), meta=Meta(name="test"), machines={})


def file(
    root: Path, name: str, *, class_: NixClass = "nixos", folder: str | None = None, **settings: Any
) -> DeferredModule:
    """A module that is a file of the fleet."""
    content = NixFile(root / name, root=root / folder if folder else None, settings=settings or None)
    return DeferredModule(f"{class_}.{name}", class_, content, name)


def data(key: str, value: Mapping[str, Any], *, class_: NixClass = "nixos") -> DeferredModule:
    """A module that is plain data."""
    return DeferredModule(key, class_, NixData(value), f"{key} (inventory.toml:3)")


def host(
    name: str = "alpha",
    modules: Sequence[DeferredModule] = (),
    *,
    class_: NixClass = "nixos",
    homes: Mapping[str, Sequence[DeferredModule]] | None = None,
    standalone: Sequence[str] = (),
    tags: tuple[str, ...] = (),
) -> HostConfig:
    """A machine with some modules."""
    system = "aarch64-darwin" if class_ == "darwin" else "x86_64-linux"
    homes = homes or {}
    base = data(
        f"{class_}/machine", {"networking": {"hostName": name}, "nixpkgs": {"hostPlatform": system}}, class_=class_
    )
    users = tuple(
        HostUser(
            user=account,
            account=account,
            home=f"/home/{account}",
            home_manager="standalone" if account in standalone else "module",
        )
        for account in homes
    )
    return HostConfig(
        machine=Machine(name=name, class_=class_, system=system, tags=tags),
        domain="test",
        targets=(),
        memberships=(),
        users=users,
        modules=(base, *modules),
        homes={account: tuple(found) for account, found in homes.items()},
    )


def account(name: str) -> DeferredModule:
    """What every home needs: whose it is."""
    return data(f"home/{name}", {"home": {"username": name, "homeDirectory": f"/home/{name}"}}, class_="home")
