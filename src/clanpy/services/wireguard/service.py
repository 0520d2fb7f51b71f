"""WireGuard: stars of IPv6 networks. Controllers have addresses that can be reached; peers connect to all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from ipaddress import IPv6Address, IPv6Network
from typing import Annotated, Any

from clanpy.services.declaration import Computed, Member, Role, Service
from clanpy.services.exports import Address, Endpoint, Export, Network, PublicKey
from clanpy.services.generator import SECRET, Generator, WireGuardKey
from clanpy.services.needs import not_generated, public_line
from clanpy.services.settings import Field, Refers, Settings


PRIVATE_FILE, PUBLIC_FILE = "privatekey", "publickey"
PRIORITY = 1000
KEEPALIVE = 25  # seconds: shorter than what routers remember a connection for
_SUBNETS = 2**16
_INTERFACE_LENGTH = 15  # of Linux


class Node(Settings):
    """A machine in the network."""

    interface: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_.-]{1,15}$",
        description="What the interface is called; the beginning of the instance's name when not set",
    )
    port: int = Field(51820, ge=1, le=65535, description="The UDP port")
    mtu: int | None = Field(
        None, ge=1280, le=65535, description="The MTU of the interface; WireGuard's own when not set"
    )


class Controller(Node):
    """A machine that peers connect to."""

    endpoint: str = Field(description="Where peers reach it from anywhere: a name, or an address without brackets")
    open_firewall: bool = Field(True, description="Let the port through the host's firewall (NixOS)")


class Peer(Node):
    """A machine that connects to all controllers."""

    controller: Annotated[str | None, Refers("machine")] = Field(
        None, description="In whose network the peer's address is that others use; the first controller when not set"
    )


def keys_generator(instance: str) -> str:
    """The generator of a machine's keys in an instance."""
    return f"wireguard-keys-{instance}"


def prefix_of(instance: str, domain: str) -> IPv6Network:
    """The network of an instance: a unique local one (RFC 4193), always the same for the same names."""
    chosen = sha256(f"wireguard {domain} {instance}".encode()).digest()[:5]
    return IPv6Network((bytes([0xFD]) + chosen + bytes(10), 48))


def networks_of(member: Member) -> dict[str, IPv6Network]:
    """The network of each controller: /64 within the instance's, by a digest of its name; the next one free where two meet."""
    prefix = prefix_of(member.instance, member.domain)
    taken: dict[int, str] = {}
    for name in sorted(member.members().get("controller", ())):
        number = int.from_bytes(sha256(name.encode()).digest()[:2], "big")
        while number in taken:
            number = (number + 1) % _SUBNETS
        taken[number] = name
    return {name: IPv6Network((int(prefix.network_address) + (number << 64), 64)) for number, name in taken.items()}


def address_in(network: IPv6Network, machine: str, *, is_controller: bool) -> IPv6Address:
    """The address of a machine in a controller's network: the controller is the first, others by a digest of their name."""
    host = 1 if is_controller else int.from_bytes(sha256(machine.encode()).digest()[:8], "big") | 2**63
    return IPv6Address(int(network.network_address) + host)


def _generators(member: Member) -> Iterator[Generator]:
    units = () if member.machine.class_ == "darwin" else (f"wireguard-{interface_of(member)}.service",)
    files = {PRIVATE_FILE: replace(SECRET, restart_units=units)}
    yield Generator(name=keys_generator(member.instance), kind=WireGuardKey(), files=files)


def interface_of(member: Member) -> str:
    """The name of a member's interface."""
    return str(member.settings.interface or member.instance[:_INTERFACE_LENGTH])


def public_key_of(member: Member, machine: str) -> str | None:
    return public_line(member, keys_generator(member.instance), PUBLIC_FILE, machine=machine)


def _addresses(member: Member) -> dict[str, IPv6Address]:
    """The member's addresses, by the controller in whose network they are."""
    me, networks = member.machine.name, networks_of(member)
    if member.role == "controller":
        return {me: address_in(networks[me], me, is_controller=True)}
    return {name: address_in(network, me, is_controller=False) for name, network in networks.items()}


def _peers(member: Member) -> list[dict[str, Any]]:
    """Whom the member talks to: every controller with its whole network; a controller also every peer, with one address."""
    networks = networks_of(member)
    found = []
    for name, other in member.peers("controller").items():
        key = public_key_of(member, name)
        if name != member.machine.name and key is not None:
            found.append(_to_controller(key, other, networks[name]))
    if member.role == "controller":
        mine = networks[member.machine.name]
        for name in member.members().get("peer", ()):
            key = public_key_of(member, name)
            if key is not None and name not in networks:
                found.append({"publicKey": key, "allowedIPs": [f"{address_in(mine, name, is_controller=False)}/128"]})
    return found


def _to_controller(key: str, controller: Member, network: IPv6Network) -> dict[str, Any]:
    settings: Controller = controller.settings
    host = f"[{settings.endpoint}]" if ":" in settings.endpoint else settings.endpoint
    return {
        "publicKey": key,
        "allowedIPs": [str(network)],
        "endpoint": f"{host}:{settings.port}",
        "persistentKeepalive": KEEPALIVE,
    }


def _interface(member: Member) -> dict[str, Any]:
    mtu = {} if member.settings.mtu is None else {"mtu": member.settings.mtu}
    return {
        **mtu,
        "listenPort": member.settings.port,
        "privateKeyFile": member.path(keys_generator(member.instance), PRIVATE_FILE),
        "peers": _peers(member),
    }


def _is_ready(member: Member) -> bool:
    """Whether the member has its own key: an interface without one would fail."""
    return public_key_of(member, member.machine.name) is not None


def _nixos(member: Member) -> Mapping[str, Any]:
    if not _is_ready(member):
        return {}
    ips = [f"{address}/64" for _, address in sorted(_addresses(member).items())]
    module: dict[str, Any] = {
        "networking": {"wireguard": {"interfaces": {interface_of(member): {**_interface(member), "ips": ips}}}}
    }
    if member.role == "controller":
        module["boot"] = {"kernel": {"sysctl": {"net.ipv6.conf.all.forwarding": 1}}}
        if member.settings.open_firewall:
            module["networking"]["firewall"] = {"allowedUDPPorts": [member.settings.port]}
    return module


def _darwin(member: Member) -> Mapping[str, Any]:
    if not _is_ready(member):
        return {}
    address = [f"{address}/64" for _, address in sorted(_addresses(member).items())]
    interface = {**_interface(member), "address": address, "autostart": True}
    return {"networking": {"wg-quick": {"interfaces": {interface_of(member): interface}}}}


def _exports(member: Member) -> Iterator[Export]:
    yield Network(priority=PRIORITY)
    key, addresses = public_key_of(member, member.machine.name), _addresses(member)
    if key is None or not addresses:
        return
    yield PublicKey(purpose="wireguard", value=key)
    chosen = getattr(member.settings, "controller", None) or min(addresses)
    if chosen in addresses:
        yield Address(host=str(addresses[chosen]))
    if member.role == "controller":
        yield Endpoint(name="wireguard", host=member.settings.endpoint, port=member.settings.port)


def _lacks(member: Member) -> Iterator[str]:
    me, controllers = member.machine.name, member.members().get("controller", ())
    others = controllers if member.role == "peer" else (*controllers, *member.members().get("peer", ()))
    machines = dict.fromkeys((me, *sorted(others)))
    yield from not_generated(member, ((name, keys_generator(member.instance), PUBLIC_FILE) for name in machines))
    chosen = getattr(member.settings, "controller", None)
    if chosen is not None and chosen not in controllers:
        yield f"has '{chosen}' for its controller, which is none of this instance"


SERVICE = Service(
    name="wireguard",
    description="An IPv6 network of the fleet's own: peers connect to controllers, and through them to each other",
    roles={
        "controller": Role(
            description="Machines that can be reached from anywhere, and pass on what peers send each other",
            settings=Controller,
            nixos=(Computed(_nixos),),
            min_members=1,
            notes={"darwin": "a controller passes packets on, which NixOS is set up for"},
            generators=_generators,
            exports=_exports,
            lacks=_lacks,
        ),
        "peer": Role(
            description="Machines that connect to all controllers",
            settings=Peer,
            nixos=(Computed(_nixos),),
            darwin=(Computed(_darwin),),
            generators=_generators,
            exports=_exports,
            lacks=_lacks,
        ),
    },
)
