"""ZeroTier: a network of the fleet's own across all others. One controller admits; peers join; moons help them find each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from ipaddress import IPv6Address
from typing import Any

from clanpy.services.declaration import Member, Role, Service, Static
from clanpy.services.exports import Address, Export, Fact, Network
from clanpy.services.generator import SECRET, Generator, ZeroTierIdentity, ZeroTierNetwork
from clanpy.services.needs import Value, not_generated, public_line
from clanpy.services.settings import Field, Settings


IDENTITY, SECRET_FILE, PUBLIC_FILE, ADDRESS_FILE = (
    "zerotier",
    "zerotier-identity-secret",
    "zerotier-identity",
    "zerotier-address",
)
NETWORK_FILE = "zerotier-network-id"
PRIORITY = 900
_NODE_BYTES = 5
MAX_MOONS = 4  # more than these make a node's own list of roots too long for one packet


class Peer(Settings):
    """A machine in the network."""

    network_id: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{16}$",
        description="The network to join (16 hexadecimal digits); that of the generated controller when not set",
    )
    public: bool = Field(
        False, description="Joins a network that admits everybody: it is not on the list that the controller keeps"
    )
    port: int = Field(9993, ge=1, le=65535, description="The UDP port")
    interfaces_prefix: list[str] = Field(
        default_factory=lambda: ["docker", "podman", "veth"],
        description="Interfaces, by the beginning of their names, over which no path is looked for",
    )


class Moon(Peer):
    """A machine that others can always reach, and that helps them find each other."""

    stable_endpoints: list[str] = Field(
        min_length=1, description="Where it is always reached: addresses, with `/port` when that is not the usual one"
    )


class Controller(Peer):
    """The machine that decides who is in the network."""

    public: bool = Field(False, description="Admit everybody who knows the network's number")
    allowed_ids: list[str] = Field(
        default_factory=list,
        description="Further node addresses (10 hexadecimal digits) to admit, beside the fleet's machines",
    )
    allowed_ips: list[str] = Field(
        default_factory=list,
        description="The same by the addresses that such nodes have in the network (they end with the node's)",
    )
    mtu: int = Field(2800, ge=1280, le=10000, description="The network's MTU")


def network_generator(instance: str) -> str:
    """The generator of an instance's network number, which its controller has."""
    return f"zerotier-network-{instance}"


def address_in(network: str, node: str) -> IPv6Address:
    """The address of a node in a network by ZeroTier's own plan (RFC 4193): `fd`, the network, `9993`, the node."""
    return IPv6Address(bytes.fromhex(f"fd{network}9993{node}"))


def _identity(member: Member) -> Generator:
    unit = () if member.machine.class_ == "darwin" else ("zerotierone.service",)
    return Generator(name=IDENTITY, kind=ZeroTierIdentity(), files={SECRET_FILE: replace(SECRET, restart_units=unit)})


def _generators(member: Member) -> Iterator[Generator]:
    yield _identity(member)


def _controller_generators(member: Member) -> Iterator[Generator]:
    yield _identity(member)
    if member.settings.network_id is None:
        yield Generator(name=network_generator(member.instance), kind=ZeroTierNetwork(controller=IDENTITY))


def _controller(member: Member) -> str | None:
    return next(iter(member.members().get("controller", ())), None)


def network_of(member: Member) -> str | None:
    """The number of the network that a member is in; None while it is not known."""
    settings: Peer = member.settings
    controller = _controller(member)
    if settings.network_id is not None or controller is None:
        return settings.network_id
    theirs = member.peers("controller").get(controller)
    if theirs is not None and theirs.settings.network_id is not None:
        return str(theirs.settings.network_id)
    return public_line(member, network_generator(member.instance), NETWORK_FILE, machine=controller)


def _nodes(member: Member, machines: tuple[str, ...]) -> dict[str, str]:
    """The node addresses of machines, where they are known."""
    found = {name: public_line(member, IDENTITY, ADDRESS_FILE, machine=name) for name in machines}
    return {name: node for name, node in found.items() if node is not None}


def _node(member: Member) -> Mapping[str, Any]:
    """What every machine in the network needs to know."""
    identity = public_line(member, IDENTITY, PUBLIC_FILE)
    moons = _nodes(member, member.members().get("moon", ()))
    moons.pop(member.machine.name, None)
    return {
        "network": network_of(member),
        "identity": identity,
        "secret": None if identity is None else member.path(IDENTITY, SECRET_FILE),
        "moons": sorted(moons.values()),
    }


def _is_public(member: Member, role: str, name: str) -> bool:
    """Whether a machine joins without being on the controller's list."""
    return role != "controller" and bool(member.peers(role)[name].settings.public)


def _members_of(member: Member) -> Mapping[str, Any]:
    """The controller's picture of its network: which machines of the fleet belong to it, and their node addresses."""
    listed = {name for role, names in member.members().items() for name in names if not _is_public(member, role, name)}
    machines = tuple(sorted(listed))
    known = _nodes(member, machines)
    by_address = {IPv6Address(text).packed[-_NODE_BYTES:].hex() for text in member.settings.allowed_ips}
    nodes = sorted({*known.values(), *member.settings.allowed_ids, *by_address})
    return {"machines": list(machines), "nodes": nodes, "network": network_of(member)}


def _moon(member: Member) -> Mapping[str, Any]:
    port = member.settings.port
    return {"endpoints": [text if "/" in text else f"{text}/{port}" for text in member.settings.stable_endpoints]}


def _exports(member: Member) -> Iterator[Export]:
    yield Network(priority=PRIORITY)
    network, node = network_of(member), public_line(member, IDENTITY, ADDRESS_FILE)
    if node is not None:
        yield Fact(name="zerotier-node", value=node)
    if node is not None and network is not None:
        yield Address(host=str(address_in(network, node)))


def _lacks(member: Member) -> Iterator[str]:
    wanted: list[Value] = [(member.machine.name, IDENTITY, PUBLIC_FILE)]
    controller = _controller(member)
    if network_of(member) is None and controller is not None:
        wanted.append((controller, network_generator(member.instance), NETWORK_FILE))
    yield from not_generated(member, wanted)
    if network_of(member) is None and controller is None:
        yield "knows no network: the instance has neither a controller nor a network_id"


SERVICE = Service(
    name="zerotier",
    description="A network of the fleet's own, across all others, with its own addresses",
    roles={
        "controller": Role(
            description="Decides who is in the network",
            settings=Controller,
            nixos=(Static("node-nixos.nix", more=_node), Static("controller.nix", more=_members_of)),
            max_members=1,
            notes={"darwin": "a controller runs on NixOS"},
            generators=_controller_generators,
            exports=_exports,
            lacks=_lacks,
        ),
        "moon": Role(
            description="Can be reached by everybody, and introduces machines to each other",
            settings=Moon,
            nixos=(Static("node-nixos.nix", more=_node), Static("moon.nix", more=_moon)),
            max_members=MAX_MOONS,
            notes={"darwin": "a moon runs on NixOS"},
            generators=_generators,
            exports=_exports,
            lacks=_lacks,
        ),
        "peer": Role(
            description="Machines in the network",
            settings=Peer,
            nixos=(Static("node-nixos.nix", more=_node),),
            darwin=(Static("node-darwin.nix", more=_node),),
            generators=_generators,
            exports=_exports,
            lacks=_lacks,
        ),
    },
)
