"""Yggdrasil: a mesh in which a machine's address follows from its key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from clanpy.services.declaration import Computed, Member, Role, Service
from clanpy.services.exports import Address, Endpoint, Export, Network
from clanpy.services.generator import SECRET, Generator, YggdrasilKey
from clanpy.services.needs import not_generated, public_line
from clanpy.services.settings import Field, Settings


GENERATOR, KEY_FILE, ADDRESS_FILE = "yggdrasil", "privateKey", "address"
PRIORITY = 2000
LINK_LOCAL_PORT = 9001


class Default(Settings):
    """A node of the mesh."""

    extra_peers: list[str] = Field(
        default_factory=list,
        description="Nodes to connect to, beside those of the fleet that listen: `tls://host:port`",
    )
    listen: str | None = Field(
        None,
        description="Where others reach this machine from anywhere (a name or address): it listens, and the fleet connects to it",
    )
    port: int = Field(6443, ge=1, le=65535, description="The port that it listens on (TLS), with `listen`")
    interfaces: list[str] = Field(
        default_factory=lambda: [".*"],
        description="Interfaces (regular expressions) on which neighbours are looked for",
    )


def _generators(member: Member) -> Iterator[Generator]:
    if member.machine.class_ == "nixos":
        files = {KEY_FILE: replace(SECRET, restart_units=("yggdrasil.service",))}
        yield Generator(name=GENERATOR, kind=YggdrasilKey(), files=files)


def _url(member: Member) -> str | None:
    settings: Default = member.settings
    if settings.listen is None:
        return None
    host = f"[{settings.listen}]" if ":" in settings.listen else settings.listen
    return f"tls://{host}:{settings.port}"


def _nixos(member: Member) -> Mapping[str, Any]:
    settings: Default = member.settings
    others = member.exported(Endpoint, service="yggdrasil", instance=member.instance)
    urls = [end.url for name, ends in others.items() if name != member.machine.name for end in ends if end.url]
    neighbours = [
        {"Regex": regex, "Beacon": True, "Listen": True, "Port": LINK_LOCAL_PORT} for regex in settings.interfaces
    ]
    config: dict[str, Any] = {"Peers": [*settings.extra_peers, *urls], "MulticastInterfaces": neighbours}
    module: dict[str, Any] = {
        "services": {"yggdrasil": {"enable": True, "openMulticastPort": True, "settings": config}},
        "networking": {"firewall": {"allowedTCPPorts": [LINK_LOCAL_PORT]}},
    }
    if settings.listen is not None:
        config["Listen"] = [f"tls://[::]:{settings.port}"]
        module["networking"]["firewall"]["allowedTCPPorts"].append(settings.port)
    if member.public(GENERATOR, ADDRESS_FILE) is not None:
        config["PrivateKeyPath"] = member.path(GENERATOR, KEY_FILE)
    return module


def _exports(member: Member) -> Iterator[Export]:
    yield Network(priority=PRIORITY)
    address, url = public_line(member, GENERATOR, ADDRESS_FILE), _url(member)
    if address is not None:
        yield Address(host=address)
    if url is not None:
        yield Endpoint(name="yggdrasil", host=member.settings.listen, port=member.settings.port, url=url)


def _lacks(member: Member) -> Iterator[str]:
    wanted = (member.machine.name, GENERATOR, ADDRESS_FILE)
    return not_generated(member, [wanted] if member.machine.class_ == "nixos" else [])


SERVICE = Service(
    name="yggdrasil",
    description="A mesh that finds its own ways; a machine keeps its address wherever it is",
    roles={
        "default": Role(
            description="Nodes of the mesh",
            settings=Default,
            nixos=(Computed(_nixos),),
            notes={"darwin": "nix-darwin has no module for it"},
            generators=_generators,
            exports=_exports,
            lacks=_lacks,
        )
    },
)
