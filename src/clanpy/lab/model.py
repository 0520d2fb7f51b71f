"""The lab as values: what is asked for, and what is there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, cast

from clanpy.lab.errors import LabSpecError


HostClass = Literal["nixos", "darwin"]
DEFAULT_NAME = "lab"
CONTROLLER_ADDRESS = "10.77.0.1"
PREFIX = 16
SSH_PORT = 22
MOST_HOSTS = 250 * 200

# The name becomes part of the names of namespaces, cgroups and folders.
_LAB_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_HOST_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}")
_ACCOUNT = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_SIZE = re.compile(r"[1-9][0-9]*[kmg]?")
_RESERVED_ACCOUNTS = frozenset({"root", "nobody", "sshd", "daemon"})


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSpec:
    """A host to have.

    `users` are accounts that can log in by the lab's key, with sudo without a password and trusted by Nix; root always can.
    `disk` puts everything the host writes on a disk of its own of that size ("120m", in memory, new after each start).
    """

    name: str
    class_: HostClass = "nixos"
    users: tuple[str, ...] = ()
    disk: str | None = None

    def __post_init__(self) -> None:
        if not _HOST_NAME.fullmatch(self.name):
            raise LabSpecError(
                f"{self.name!r} can't be the name of a host", hint="letters, digits and dashes, at most 63"
            )
        for user in self.users:
            if not _ACCOUNT.fullmatch(user):
                raise LabSpecError(f"{user!r} can't be the name of an account on host {self.name}")
        if self.disk is not None and not _SIZE.fullmatch(self.disk.casefold()):
            raise LabSpecError(f"{self.disk!r} is no size of a disk", hint="a number with k, m or g, such as 120m")

    @property
    def accounts(self) -> tuple[str, ...]:
        """The accounts to make: `users` without those that every host has."""
        return tuple(user for user in dict.fromkeys(self.users) if user not in _RESERVED_ACCOUNTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabSpec:
    """A lab to have. `base` names the system that its hosts are made from ("host": this computer's own programs)."""

    hosts: tuple[HostSpec, ...]
    name: str = DEFAULT_NAME
    base: str = "host"

    def __post_init__(self) -> None:
        check_lab_name(self.name)
        names = [host.name for host in self.hosts]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise LabSpecError(f"host {twice[0]} is asked for twice")
        if len(names) > MOST_HOSTS:
            raise LabSpecError(f"{len(names)} hosts are more than a lab has addresses for ({MOST_HOSTS})")


def check_lab_name(name: str) -> None:
    """Raises LabSpecError if a lab can't be called that."""
    if not _LAB_NAME.fullmatch(name):
        raise LabSpecError(
            f"{name!r} can't be the name of a lab", hint="lower-case letters, digits and dashes, at most 40"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LabHost:
    """A host of the lab, and where it can be reached from within the lab's network."""

    name: str
    class_: HostClass
    address: str
    port: int = SSH_PORT
    users: tuple[str, ...] = ()
    disk: str | None = None

    @property
    def spec(self) -> HostSpec:
        return HostSpec(name=self.name, class_=self.class_, users=self.users, disk=self.disk)

    @property
    def index(self) -> int:
        """The host's number in the lab, counted from 1: it is in the address and in the name of its link."""
        high, low = (int(part) for part in self.address.split(".")[2:])
        return (high - 1) * 250 + low

    @property
    def link(self) -> str:
        """The controller's end of the host's network cable."""
        return f"host{self.index}"

    @property
    def hardware_address(self) -> str:
        """The address of its network card: locally administered, made from the other address."""
        return ":".join(["02", "c1", *(f"{int(part):02x}" for part in self.address.split("."))])


def address_of(index: int) -> str:
    """The address of the host with this number (counted from 1)."""
    return f"10.77.{1 + (index - 1) // 250}.{1 + (index - 1) % 250}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabEnvironment:
    """What a command needs to work on the lab's hosts, as values: nothing in it knows that this is a lab.

    `identity` is the private key that every account accepts, `nix_config` are lines for NIX_CONFIG of the controller's Nix.
    """

    hosts: Mapping[str, LabHost]
    identity: Path
    known_hosts: Path
    nix_config: tuple[str, ...]


class HostState(StrEnum):
    """`failed`: its start failed or its PID 1 died; `off`: switched off, or never started."""

    RUNNING = "running"
    OFF = "off"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostStatus:
    """A host at this moment. `pid` is its PID 1 as this computer sees it; `boots` counts since the lab is up."""

    host: LabHost
    state: HostState
    pid: int | None = None
    boots: int = 0

    def to_dict(self) -> dict[str, Any]:
        """As JSON: `name, class, address, port, users, disk, state, pid, boots`."""
        host = self.host
        return {
            "name": host.name,
            "class": host.class_,
            "address": host.address,
            "port": host.port,
            "users": list(host.users),
            "disk": host.disk,
            "state": self.state.value,
            "pid": self.pid,
            "boots": self.boots,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class LabStatus:
    """A lab at this moment. `keeper` is the process that holds it together, None if the lab is down."""

    name: str
    base: str
    folder: Path
    keeper: int | None
    hosts: tuple[HostStatus, ...]

    @property
    def running(self) -> bool:
        """Whether every host runs."""
        return self.keeper is not None and all(host.state is HostState.RUNNING for host in self.hosts)

    def to_dict(self) -> dict[str, Any]:
        """As JSON: `name, base, folder, namespace, keeper, running, hosts`."""
        return {
            "name": self.name,
            "base": self.base,
            "folder": str(self.folder),
            "namespace": f"clanpy-{self.name}",
            "keeper": self.keeper,
            "running": self.running,
            "hosts": [host.to_dict() for host in self.hosts],
        }


def host_to_dict(host: LabHost) -> dict[str, Any]:
    """A host as it is written to the lab's state."""
    return {
        "name": host.name,
        "class": host.class_,
        "address": host.address,
        "users": list(host.users),
        "disk": host.disk,
    }


def host_from_dict(raw: Mapping[str, Any]) -> LabHost:
    return LabHost(
        name=raw["name"],
        class_=cast("HostClass", raw["class"]),
        address=raw["address"],
        users=tuple(raw["users"]),
        disk=raw["disk"],
    )
