"""Syncthing: folders that machines keep the same among themselves, without a server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from clanpy.services.declaration import Computed, Member, Role, Service
from clanpy.services.exports import Export, Fact
from clanpy.services.generator import SECRET, Generator, SyncthingIdentity
from clanpy.services.needs import not_generated, public_line
from clanpy.services.settings import Field, Settings


GENERATOR, KEY_FILE, CERTIFICATE_FILE, ID_FILE = "syncthing", "key", "cert", "id"
_PORT = 22000


class Folder(Settings):
    """A folder that is kept the same."""

    path: str = Field(description="Where it is on the machine")
    devices: list[str] = Field(
        default_factory=list,
        description="With whom it is shared: names of members and of extra devices; with all when empty",
    )


class Device(Settings):
    """A device outside the fleet."""

    id: str = Field(pattern=r"^[A-Z2-7]{7}(-[A-Z2-7]{7}){7}$", description="Its id, as Syncthing shows it")
    addresses: list[str] = Field(
        default_factory=lambda: ["dynamic"], description="Where it is reached: `tcp://host:22000`"
    )


class Peer(Settings):
    """What a machine shares, and with whom."""

    folders: dict[str, Folder] = Field(
        default_factory=dict, description="The folders, by name; machines with the same name share it"
    )
    extra_devices: dict[str, Device] = Field(
        default_factory=dict, description="Devices outside the fleet: phones, for example"
    )
    open_default_ports: bool = Field(
        True, description="Let the ports of the transfer and of discovery through the firewall"
    )
    user: str = Field("syncthing", description="The account that it runs under")
    group: str = Field("syncthing", description="The group that it runs under")
    data_dir: str = Field("/var/lib/syncthing", pattern=r"^/", description="Where folders without a whole path are")


def _generators(member: Member) -> Iterator[Generator]:
    if member.machine.class_ == "nixos":
        kept = replace(SECRET, restart_units=("syncthing.service",))
        yield Generator(name=GENERATOR, kind=SyncthingIdentity(), files={KEY_FILE: kept, CERTIFICATE_FILE: kept})


def _others(member: Member) -> dict[str, str]:
    """The ids of the other members, where they are known."""
    names = (name for name in member.members()["peer"] if name != member.machine.name)
    found = {name: public_line(member, GENERATOR, ID_FILE, machine=name) for name in names}
    return {name: id_ for name, id_ in found.items() if id_ is not None}


def _devices(member: Member) -> dict[str, dict[str, Any]]:
    ours = {
        name: {"id": id_, "addresses": ["dynamic", f"tcp://{name}.{member.domain}:{_PORT}"]}
        for name, id_ in _others(member).items()
    }
    extra = {
        name: {"id": device.id, "addresses": list(device.addresses)}
        for name, device in sorted(member.settings.extra_devices.items())
    }
    return {**ours, **extra}


def _nixos(member: Member) -> Mapping[str, Any]:
    settings: Peer = member.settings
    devices = _devices(member)
    folders = {
        name: {"path": folder.path, "devices": [d for d in devices if not folder.devices or d in folder.devices]}
        for name, folder in sorted(settings.folders.items())
    }
    found: dict[str, Any] = {
        "enable": True,
        "openDefaultPorts": settings.open_default_ports,
        "overrideDevices": True,
        "overrideFolders": True,
        "user": settings.user,
        "group": settings.group,
        "dataDir": settings.data_dir,
        "settings": {"devices": devices, "folders": folders},
    }
    if public_line(member, GENERATOR, ID_FILE) is not None:
        found["key"] = member.path(GENERATOR, KEY_FILE)
        found["cert"] = member.path(GENERATOR, CERTIFICATE_FILE)
    return {"services": {"syncthing": found}}


def _exports(member: Member) -> Iterator[Export]:
    id_ = public_line(member, GENERATOR, ID_FILE)
    if id_ is not None:
        yield Fact(name="syncthing-id", value=id_)


def _lacks(member: Member) -> Iterator[str]:
    return not_generated(member, [(name, GENERATOR, ID_FILE) for name in member.members()["peer"]])


SERVICE = Service(
    name="syncthing",
    description="Folders that machines keep the same among themselves",
    roles={
        "peer": Role(
            description="Machines that share folders",
            settings=Peer,
            nixos=(Computed(_nixos),),
            notes={"darwin": "nix-darwin has no module for it"},
            generators=_generators,
            exports=_exports,
            lacks=_lacks,
        )
    },
)
