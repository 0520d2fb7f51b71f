"""ZeroTier: a network of the fleet's own across all others. One controller admits; peers join."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clanpy.services.declaration import Member, Role, Service, Static
from clanpy.services.settings import Field, Settings


class Peer(Settings):
    """A machine in the network."""

    network_id: str | None = Field(
        None, pattern=r"^[0-9a-f]{16}$", description="The network to join (16 hexadecimal digits), once there is one"
    )
    port: int = Field(9993, ge=1, le=65535, description="The UDP port")
    interfaces_prefix: list[str] = Field(
        default_factory=lambda: ["docker", "podman", "veth"],
        description="Interfaces, by the beginning of their names, over which no path is looked for",
    )


class Controller(Peer):
    """The machine that decides who is in the network."""

    public: bool = Field(False, description="Admit everybody who knows the network's number")
    allowed_ids: list[str] = Field(default_factory=list, description="Node addresses (10 hexadecimal digits) to admit")
    mtu: int = Field(2800, ge=1280, le=10000, description="The network's MTU")


def _network(member: Member) -> Mapping[str, Any]:
    """The controller's picture of its network: which machines of the fleet belong to it."""
    machines = sorted({name for names in member.members().values() for name in names})
    return {"machines": machines}


SERVICE = Service(
    name="zerotier",
    description="A network of the fleet's own, across all others, with its own addresses",
    roles={
        "controller": Role(
            description="Decides who is in the network",
            settings=Controller,
            nixos=(Static("node-nixos.nix"), Static("controller.nix", more=_network)),
            max_members=1,
            notes={"darwin": "a controller runs on NixOS"},
        ),
        "peer": Role(
            description="Machines in the network",
            settings=Peer,
            nixos=(Static("node-nixos.nix"),),
            darwin=(Static("node-darwin.nix"),),
        ),
    },
)
