"""Mycelium: a mesh over the public internet in which a machine's address follows from its key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from clanpy.services.declaration import Computed, Member, Role, Service
from clanpy.services.exports import Address, Export, Network
from clanpy.services.generator import SECRET, Generator, MyceliumKey
from clanpy.services.needs import not_generated, public_line
from clanpy.services.settings import Field, Settings


GENERATOR, KEY_FILE, ADDRESS_FILE = "mycelium", "key", "ip"
PRIORITY = 800


class Peer(Settings):
    """A node of the mesh."""

    open_firewall: bool = Field(
        True, description="Let its ports through the host's firewall (TCP and UDP 9651, UDP 9650)"
    )
    add_hosted_public_nodes: bool = Field(
        True, description="Connect to the nodes that the makers of Mycelium run for all"
    )
    peers: list[str] = Field(
        default_factory=list, description="Further nodes to connect to: `tcp://host:9651`, `quic://…`"
    )


def _generators(member: Member) -> Iterator[Generator]:
    if member.machine.class_ == "nixos":
        files = {KEY_FILE: replace(SECRET, restart_units=("mycelium.service",))}
        yield Generator(name=GENERATOR, kind=MyceliumKey(), files=files)


def _nixos(member: Member) -> Mapping[str, Any]:
    settings: Peer = member.settings
    found: dict[str, Any] = {
        "enable": True,
        "openFirewall": settings.open_firewall,
        "addHostedPublicNodes": settings.add_hosted_public_nodes,
        "peers": list(settings.peers),
    }
    if member.public(GENERATOR, ADDRESS_FILE) is not None:
        found["keyFile"] = member.path(GENERATOR, KEY_FILE)
    return {"services": {"mycelium": found}}


def _exports(member: Member) -> Iterator[Export]:
    yield Network(priority=PRIORITY)
    address = public_line(member, GENERATOR, ADDRESS_FILE)
    if address is not None:
        yield Address(host=address)


def _lacks(member: Member) -> Iterator[str]:
    wanted = (member.machine.name, GENERATOR, ADDRESS_FILE)
    return not_generated(member, [wanted] if member.machine.class_ == "nixos" else [])


SERVICE = Service(
    name="mycelium",
    description="A mesh over the public internet; a machine keeps its address wherever it is",
    roles={
        "peer": Role(
            description="Nodes of the mesh",
            settings=Peer,
            nixos=(Computed(_nixos),),
            notes={"darwin": "nix-darwin has no module for it"},
            generators=_generators,
            exports=_exports,
            lacks=_lacks,
        )
    },
)
