"""The way of one host from what it runs to what it should run. Hosts go it independently, under a limit for each kind of work."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from clanpy.activation import Activation, LockHeldError, lock
from clanpy.deploy.activate import Guarded
from clanpy.deploy.reach import facts_of
from clanpy.deploy.releases import wanted
from clanpy.deploy.run import Verdict
from clanpy.events import Outcome, Stage
from clanpy.nix.release import Artifact, Release


if TYPE_CHECKING:
    from clanpy.activation import HostFacts, LockInfo
    from clanpy.deploy.building import Builder
    from clanpy.deploy.copying import Copier
    from clanpy.deploy.options import Options, Surroundings
    from clanpy.deploy.reach import Reach
    from clanpy.deploy.releases import Releases
    from clanpy.deploy.run import HostRun
    from clanpy.rollout.limits import Limits
    from clanpy.ssh import Connection

SYSTEM = "system"


@dataclass(slots=True)
class Slots:
    """One semaphore for each kind of work."""

    limits: Limits
    hosts: asyncio.Semaphore = field(init=False)
    build: asyncio.Semaphore = field(init=False)
    copy: asyncio.Semaphore = field(init=False)
    activate: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self.hosts = asyncio.Semaphore(self.limits.hosts)
        self.build = asyncio.Semaphore(self.limits.build)
        self.copy = asyncio.Semaphore(self.limits.copy)
        self.activate = asyncio.Semaphore(self.limits.activate)


@dataclass(slots=True, kw_only=True)
class Updater:
    """Updates hosts. One for a run; `update` is called once for each host."""

    run: str
    surroundings: Surroundings
    options: Options
    slots: Slots
    reach: Reach
    releases: Releases
    builder: Builder
    copier: Copier

    async def update(self, host: HostRun) -> Verdict:
        """Bring a host to its release.

        Raises:
            ClanpyError: it could not be brought there, and where it is now is what the error says.
        """
        config = self.releases.config(host.name)
        async with self.slots.hosts, AsyncExitStack() as stack:
            with host.stage(Stage.CONNECT):
                conn = await stack.enter_async_context(self.reach.connected(host.name))
                facts = await facts_of(conn, config)
                host.previous = facts.running
            release = await self._release(host)
            if not facts.differs(wanted(release)):
                return Verdict(outcome=Outcome.UNCHANGED, system=facts.running, previous=facts.running)
            if self.options.dry_run:
                return self._planned(host, facts, release)
            return await self._change(host, conn, facts, release)

    def _planned(self, host: HostRun, facts: HostFacts, release: Release) -> Verdict:
        for slot in facts.differs(wanted(release)):
            now = facts.running if slot == SYSTEM else _home_now(facts, slot)
            host.note(f"{slot}: {now or 'nothing'} → {_artifact(release, slot).out}")
        return Verdict(outcome=Outcome.PLANNED, system=facts.running, previous=facts.running)

    async def _change(self, host: HostRun, conn: Connection, facts: HostFacts, release: Release) -> Verdict:
        if facts.lock is not None and not self.options.lock_wait and not self.options.steal_lock:
            raise LockHeldError(f"{host.name} is locked by {facts.lock}", holder=facts.lock, hint="wait for its end")
        slots = facts.differs(wanted(release))
        artifacts = [_artifact(release, slot) for slot in slots]
        await self._build(host, release)
        await self._copy(host, conn, facts, [artifact.out for artifact in artifacts])
        for slot, artifact in zip(slots, artifacts, strict=True):
            if host.interrupts.stopping and slot != slots[0]:
                host.note(f"{slot} is left as it is: the run was interrupted", level="warning")
                break
            await self._activate(host, conn, artifact)
        return Verdict(outcome=Outcome.CONFIRMED, system=release.system.out, previous=facts.running)

    async def _release(self, host: HostRun) -> Release:
        if self.releases.is_known(host.name):
            return await self.releases.of(host.name)
        with host.stage(Stage.EVALUATE):
            return await self.releases.of(host.name)

    async def _build(self, host: HostRun, release: Release) -> None:
        with host.stage(Stage.BUILD):
            await self.builder.build(host, release)

    async def _copy(self, host: HostRun, conn: Connection, facts: HostFacts, paths: list[str]) -> None:
        async with self.slots.copy:
            with host.stage(Stage.COPY) as note:
                note.text = await self.copier.send(host, conn, facts, paths)

    async def _activate(self, host: HostRun, conn: Connection, artifact: Artifact) -> None:
        config = self.releases.config(host.name)
        account = artifact.installable.account
        owner = self.surroundings.lock_owner(self.run, "update")
        activation = Activation(
            run=self.run,
            class_=config.machine.class_ if account is None else "home",
            new=artifact.out,
            owner=owner,
            account=account,
            confirm_within=self.options.confirm_within,
            activate_within=self.options.activate_within,
        )

        def waiting(holder: LockInfo) -> None:
            host.note(f"waiting for {holder}", level="warning")

        async with self.slots.activate:
            held = lock(conn, owner, wait=self.options.lock_wait, steal=self.options.steal_lock, on_wait=waiting)
            async with held as token:
                with host.committed():
                    await Guarded(host=host, reach=self.reach, conn=conn, activation=activation).run(token)


def _artifact(release: Release, slot: str) -> Artifact:
    if slot == SYSTEM:
        return release.system
    return next(home for home in release.homes if f"home.{home.installable.account}" == slot)


def _home_now(facts: HostFacts, slot: str) -> str | None:
    home = facts.homes.get(slot.removeprefix("home."))
    return home.running or home.profile if home else None
