"""Packages by name, without a module for them."""

from __future__ import annotations

from clanpy.services.declaration import Role, Service, Static
from clanpy.services.settings import Field, Settings


class Default(Settings):
    """What is installed."""

    packages: list[str] = Field(
        description="Packages for everybody on the machine, by their attributes in nixpkgs: `htop`, `python3Packages.black`"
    )


SERVICE = Service(
    name="packages",
    description="Packages of nixpkgs, by name, on many machines",
    roles={
        "default": Role(
            description="Machines on which the packages are installed",
            settings=Default,
            nixos=(Static("packages.nix"),),
            darwin=(Static("packages.nix"),),
        )
    },
)
