"""Tor: machines that can be reached as onion services from anywhere, and machines that can reach them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clanpy.services.declaration import Member, Role, Service, Static
from clanpy.services.settings import Field, Settings


class Server(Settings):
    """What is offered as an onion service."""

    ports: dict[str, int] = Field(
        default_factory=lambda: {"22": 22}, description="Port of the onion service → port of the machine"
    )


class Client(Settings):
    """How programs of the machine reach tor."""

    socks_port: int = Field(9050, ge=1, le=65535, description="The port of the SOCKS proxy, on this machine only")
    transparent: bool = Field(False, description="Offer `torsocks`, which leads a program through tor (NixOS)")


def _mapping(member: Member) -> Mapping[str, Any]:
    settings: Server = member.settings
    return {"mapping": [{"port": int(port), "target": target} for port, target in sorted(settings.ports.items())]}


SERVICE = Service(
    name="tor",
    description="Onion services: a way to a machine that needs no address and no open port",
    roles={
        "server": Role(
            description="Machines that can be reached through tor",
            settings=Server,
            nixos=(Static("server-nixos.nix", more=_mapping),),
            darwin=(Static("server-darwin.nix", more=_mapping),),
        ),
        "client": Role(
            description="Machines that reach others through tor",
            settings=Client,
            nixos=(Static("client-nixos.nix"),),
            darwin=(Static("client-darwin.nix"),),
        ),
    },
)
