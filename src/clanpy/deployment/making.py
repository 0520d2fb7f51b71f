"""How a machine's release comes about and reaches it: made here and sent, or made elsewhere. The way of a host is the same for both."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from clanpy.events import Stage


if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from clanpy.deployment.building import Builder
    from clanpy.deployment.copying import Copier
    from clanpy.deployment.releases import Releases
    from clanpy.deployment.run import HostRun
    from clanpy.inventory.model import Machine
    from clanpy.nix.release import Release
    from clanpy.ssh import Connection

HERE = frozenset({"local", "localhost"})
THERE = "target"


class Kind(StrEnum):
    """Where a machine is built: on this computer, on itself, or on another host."""

    HERE = "here"
    TARGET = "target"
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a machine is built; `host` is the other host, as it was named."""

    kind: Kind
    host: str = ""


def place_of(machine: Machine, override: str | None = None) -> Place:
    """Where a machine is built: what the run says, else the machine's `deploy.build_host`, else here."""
    text = override or machine.deploy.build_host
    if text is None or text in HERE:
        return Place(Kind.HERE)
    if text in {THERE, machine.name, machine.deploy.target_host}:
        return Place(Kind.TARGET, machine.name)
    return Place(Kind.ELSEWHERE, text)


def peer_of(machine: Machine, override: str | None = None) -> str | None:
    """The host beside a machine from which it gets its store paths; None: from here, as that host itself does."""
    text = override or machine.deploy.via
    return None if text in {machine.name, machine.deploy.target_host} else text


class Maker(Protocol):
    """Makes releases, and has them on their machines."""

    def knows(self, name: str) -> bool:
        """Whether `release` would not have to evaluate or wait."""
        ...

    async def release(self, host: HostRun, conn: Connection | None) -> Release:
        """What a machine is to become. `conn` leads to it, and is needed only by what is made there."""
        ...

    async def build(self, host: HostRun, conn: Connection | None, release: Release) -> Release:
        """Build it; gives it as it was built."""
        ...

    async def deliver(self, host: HostRun, conn: Connection, paths: Sequence[str]) -> str:
        """Have paths that were built on the machine; gives what was done, for people."""
        ...


@dataclass(frozen=True, slots=True)
class Makers:
    """Who makes the release of which machine."""

    local: Maker
    remote: Maker
    elsewhere: Collection[str]

    def of(self, name: str) -> Maker:
        """Who makes that of a machine."""
        return self.remote if name in self.elsewhere else self.local


def made_elsewhere(machines: Iterable[Machine], override: str | None) -> frozenset[str]:
    """The machines that are not built on this computer."""
    return frozenset(machine.name for machine in machines if place_of(machine, override).kind is not Kind.HERE)


@dataclass(frozen=True, slots=True)
class LocalMaker:
    """Evaluates and builds with the Nix of this computer."""

    releases: Releases
    builder: Builder
    copier: Copier

    def knows(self, name: str) -> bool:
        return self.releases.is_known(name)

    async def release(self, host: HostRun, _: Connection | None) -> Release:
        if self.knows(host.name):
            return await self.releases.of(host.name)
        with host.stage(Stage.EVALUATE):
            return await self.releases.of(host.name)

    async def build(self, host: HostRun, _: Connection | None, release: Release) -> Release:
        with host.stage(Stage.BUILD):
            await self.builder.build(host, release)
        return release

    async def deliver(self, host: HostRun, conn: Connection, paths: Sequence[str]) -> str:
        return await self.copier.send(host, conn, paths)
