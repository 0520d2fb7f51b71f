"""Tor: machines that can be reached as onion services from anywhere, and machines that can reach them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from clanpy.services.declaration import Member, Role, Service, Static
from clanpy.services.exports import Address, Export, Network
from clanpy.services.generator import SECRET, Generator, TorOnion
from clanpy.services.needs import not_generated, public_line
from clanpy.services.settings import Field, Settings


KEY_FILE, HOSTNAME_FILE = "hs_ed25519_secret_key", "hostname"
PRIORITY = 10
SSH_PORT = 22
PROXY = "127.0.0.1:9050"


class Server(Settings):
    """What is offered as an onion service."""

    ports: dict[str, int] = Field(
        default_factory=lambda: {"22": 22}, description="Port of the onion service → port of the machine"
    )


class Client(Settings):
    """How programs of the machine reach tor."""

    socks_port: int = Field(9050, ge=1, le=65535, description="The port of the SOCKS proxy, on this machine only")
    transparent: bool = Field(False, description="Offer `torsocks`, which leads a program through tor (NixOS)")


def key_generator(instance: str) -> str:
    """The generator of a machine's onion key in an instance."""
    return f"tor_{instance}"


def _generators(member: Member) -> Iterator[Generator]:
    units = () if member.machine.class_ == "darwin" else ("tor.service",)
    files = {KEY_FILE: replace(SECRET, restart_units=units)}
    yield Generator(name=key_generator(member.instance), kind=TorOnion(), files=files)


def _more(member: Member) -> Mapping[str, Any]:
    settings: Server = member.settings
    name = key_generator(member.instance)
    is_known = member.public(name, HOSTNAME_FILE) is not None
    return {
        "mapping": [{"port": int(port), "target": target} for port, target in sorted(settings.ports.items())],
        "key": member.path(name, KEY_FILE) if is_known else None,
    }


def _exports(member: Member) -> Iterator[Export]:
    settings: Server = member.settings
    yield Network(priority=PRIORITY, technology="socks", proxy=PROXY)
    onion = public_line(member, key_generator(member.instance), HOSTNAME_FILE)
    ssh = [int(port) for port, target in sorted(settings.ports.items()) if target == SSH_PORT]
    if onion is not None and ssh:
        yield Address(host=onion, port=ssh[0])


def _lacks(member: Member) -> Iterator[str]:
    return not_generated(member, [(member.machine.name, key_generator(member.instance), HOSTNAME_FILE)])


SERVICE = Service(
    name="tor",
    description="Onion services: a way to a machine that needs no address and no open port",
    roles={
        "server": Role(
            description="Machines that can be reached through tor",
            settings=Server,
            nixos=(Static("server-nixos.nix", more=_more),),
            darwin=(Static("server-darwin.nix", more=_more),),
            generators=_generators,
            exports=_exports,
            lacks=_lacks,
        ),
        "client": Role(
            description="Machines that reach others through tor",
            settings=Client,
            nixos=(Static("client-nixos.nix"),),
            darwin=(Static("client-darwin.nix"),),
        ),
    },
)
