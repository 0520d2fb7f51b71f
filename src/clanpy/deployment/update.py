"""The way of one host from what it runs to what it should run. Hosts go it independently, under a limit for each kind of work."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from clanpy.activation import Goal
from clanpy.activation.lock import lock_held
from clanpy.deployment import preflight
from clanpy.deployment.applying import check_planned
from clanpy.deployment.errors import DriftError, QuarantinedError, WrongGoalError
from clanpy.deployment.reach import facts_of, standalone_accounts
from clanpy.deployment.releases import wanted
from clanpy.deployment.run import Verdict
from clanpy.events import Outcome, Stage
from clanpy.nix.release import Artifact, Release


if TYPE_CHECKING:
    from collections.abc import Mapping

    from clanpy.activation import HostFacts, Wanted
    from clanpy.deployment.activator import Activator
    from clanpy.deployment.delivery import Deliveries
    from clanpy.deployment.making import Makers
    from clanpy.deployment.options import Options
    from clanpy.deployment.planning import Planner
    from clanpy.deployment.reach import Reach
    from clanpy.deployment.releases import Releases
    from clanpy.deployment.run import HostRun
    from clanpy.deployment.turns import Turn
    from clanpy.inventory.model import HostConfig
    from clanpy.rollout.limits import Limits
    from clanpy.ssh import Connection

SYSTEM = "system"
ASKED_AT_ONCE = 32  # hosts that are asked what they lack, and given it where it is little


@dataclass(slots=True)
class Slots:
    """One semaphore for each kind of work."""

    limits: Limits
    copy: asyncio.Semaphore = field(init=False)
    activate: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        # where little is sent it is the way there and back that takes the time; `Copier` limits what is large
        self.copy = asyncio.Semaphore(max(self.limits.copy, ASKED_AT_ONCE))
        self.activate = asyncio.Semaphore(self.limits.activate)


@dataclass(frozen=True, slots=True)
class _Work:
    """What is to be done to a host: the slots to activate, and whether its secrets are delivered."""

    slots: tuple[str, ...]
    secrets: bool

    def __bool__(self) -> bool:
        return bool(self.slots) or self.secrets


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What lies ready on a host: what is made live for each slot, and whether its secrets are delivered."""

    release: Release
    artifacts: Mapping[str, Artifact]
    secrets: bool


@dataclass(slots=True, kw_only=True)
class Updater:
    """Updates hosts. One for a run; `update` is called once for each host."""

    options: Options
    slots: Slots
    reach: Reach
    releases: Releases
    makers: Makers
    activator: Activator
    deliveries: Deliveries
    planner: Planner | None = None

    async def update(self, host: HostRun) -> Verdict:
        """Bring a host to its release.

        Raises:
            ClanpyError: it could not be brought there, and where it is now is what the error says.
        """
        config = self.releases.config(host.name)
        self._check_goal(config)
        async with AsyncExitStack() as stack:
            with host.stage(Stage.CONNECT):
                conn = await stack.enter_async_context(self.reach.connected(host.name))
                facts = await self._facts(conn, config)
                host.previous = host.system = facts.running
                host.free_bytes = facts.free_bytes
            release = await self.makers.of(host.name).release(host, conn)
            work = await self._work(config, facts, release)
            if not work:
                return Verdict(outcome=Outcome.UNCHANGED)
            check_planned(self.options, facts, release)
            if self.options.dry_run:
                for line in await self.planner.told(host, conn, facts, release) if self.planner else ():
                    host.note(line)
                return self._planned(host, facts, release, work)
            self._check_failed(facts, work, release)
            await preflight.check(conn, config.machine, facts)
            is_attached = await self._attach(host, conn, facts, work, release)
            if is_attached:
                facts = await self._facts(conn, config)
                if not await self._work(config, facts, release):
                    return Verdict(outcome=Outcome.CONFIRMED, system=release.system.out)
            self._check_lock(facts)
            if facts.left_over:
                await self.activator.mend(host, conn, config.machine, facts)
                facts = await self._facts(conn, config)
                host.previous = host.system = facts.running
            prepared = await self._prepare(host, conn, facts, release)
            if isinstance(prepared, Verdict):
                return prepared
            if host.turn is None:
                return await self._make_live(host, conn, prepared)
        return await self._in_turn(host, host.turn, prepared)

    async def _facts(self, conn: Connection, config: HostConfig) -> HostFacts:
        live = self.options.live
        return await facts_of(conn, config.machine, standalone_accounts(config), specialisation=live.specialisation)

    def _wanted(self, release: Release) -> Wanted:
        live = self.options.live
        return replace(wanted(release), goal=live.goal, specialisation=live.specialisation)

    async def _work(self, config: HostConfig, facts: HostFacts, release: Release) -> _Work:
        """What is not as it should be. Where secrets are decrypted by the activation, new ones need one."""
        slots = facts.differs(self._wanted(release))
        has_secrets = await self.deliveries.is_current(config, facts)
        if not has_secrets and SYSTEM not in slots and self.deliveries.makes_its_own(config):
            slots = (SYSTEM, *slots)
        return _Work(slots, secrets=not has_secrets)

    def _planned(self, host: HostRun, facts: HostFacts, release: Release, work: _Work) -> Verdict:
        if work.secrets:
            host.note("its secrets would be delivered")
        for slot in work.slots:
            now = facts.running if slot == SYSTEM else _home_now(facts, slot)
            host.note(f"{slot}: {now or 'nothing'} → {_artifact(release, slot).out}")
        return Verdict(outcome=Outcome.PLANNED, wanted=release.system.out)

    def _check_goal(self, config: HostConfig) -> None:
        """Stop before the work where what is asked for makes no sense for the machine."""
        live, machine = self.options.live, config.machine
        if machine.class_ == "darwin" and (live.goal is Goal.BOOT or live.specialisation):
            what = "goal boot" if live.goal is Goal.BOOT else "specialisations"
            raise WrongGoalError(
                f"{machine.name} is of class darwin, which knows no {what}", hint="choose machines of class nixos alone"
            )

    def _check_failed(self, facts: HostFacts, work: _Work, release: Release) -> None:
        """Refuse what has failed on the host before, unless told to try again."""
        if self.options.live.retry_failed:
            return
        for slot in work.slots:
            path = _artifact(release, slot).out
            failed = facts.failures.get(slot, {}).get(path)
            if failed is not None:
                raise QuarantinedError(
                    f"{facts.host} is not given {path} again, which failed there in run {failed.run}: {failed.why}",
                    hint="change what was wrong, or --retry-failed tries the same once more",
                )

    async def _attach(self, host: HostRun, conn: Connection, facts: HostFacts, work: _Work, release: Release) -> bool:
        """Go on with activations of what is wanted whose controller is gone, and whose guard waits. Gives whether there were any."""
        found = [facts.runs[slot] for slot in work.slots if slot in facts.runs]
        waiting = [run for run in found if run.pending and run.alive and not run.watched]
        mine = [run for run in waiting if run.new == _artifact(release, run.slot).out]
        for run in mine:
            await self.activator.attach(host, conn, run, self.releases.config(host.name))
        return bool(mine)

    def _check_lock(self, facts: HostFacts) -> None:
        """Stop before the work when there is no point in it."""
        holder = facts.lock
        if holder is None or self.options.lock_wait or self.options.steal_lock:
            return
        if not self.activator.surroundings.is_dead(holder):
            raise lock_held(facts.host, holder)

    async def _prepare(
        self, host: HostRun, conn: Connection, facts: HostFacts, release: Release
    ) -> Verdict | _Prepared:
        """Bring everything to the host that is to be made live. A verdict when that is all there is to do."""
        config = self.releases.config(host.name)
        work = await self._work(config, facts, release)
        if not work:
            return Verdict(outcome=Outcome.UNCHANGED)
        host.will_change()
        host.check_budget(self.options.max_failures)
        artifacts: dict[str, Artifact] = {}
        if work.slots:
            release = await self.makers.of(host.name).build(host, conn, release)
            artifacts = {slot: _artifact(release, slot) for slot in work.slots}
            await self._copy(host, conn, [artifact.out for artifact in artifacts.values()])
        if self.options.live.preview:
            for artifact in artifacts.values():
                await self.activator.preview(host, conn, config, artifact.out, artifact.installable.account)
            return Verdict(outcome=Outcome.PLANNED, wanted=release.system.out)
        return _Prepared(release, artifacts, secrets=work.secrets)

    async def _in_turn(self, host: HostRun, turn: Turn, prepared: _Prepared) -> Verdict:
        """Wait for the host's turn, without a connection; then see whether it is still as it was."""
        await turn.wait()
        config = self.releases.config(host.name)
        async with self.reach.connected(host.name) as conn:
            facts = await self._facts(conn, config)
            if not await self._work(config, facts, prepared.release):
                return Verdict(outcome=Outcome.CONFIRMED, system=prepared.release.system.out)
            if facts.running not in {host.previous, prepared.release.system.out}:
                raise DriftError(
                    f"{host.name} runs {facts.running}, and ran {host.previous} when the rollout began",
                    hint="somebody else was at work on it: look at it, and run the rollout again",
                )
            return await self._make_live(host, conn, prepared)

    async def _make_live(self, host: HostRun, conn: Connection, prepared: _Prepared) -> Verdict:
        config, release, artifacts = self.releases.config(host.name), prepared.release, prepared.artifacts
        changed = False
        if prepared.secrets and SYSTEM not in artifacts:
            changed = await self.activator.deliver(host, conn, config)
        for slot, artifact in artifacts.items():
            if changed and host.interrupts.stopping:
                host.note(f"{slot} is left as it is: the run was interrupted", level="warning")
                break
            secrets = config if slot == SYSTEM and prepared.secrets else None
            host.changed.append(slot)
            changed = await self._activate(host, conn, artifact, slot, release=release, secrets=secrets) or changed
        return Verdict(outcome=Outcome.CONFIRMED if changed else Outcome.UNCHANGED, system=release.system.out)

    async def _copy(self, host: HostRun, conn: Connection, paths: list[str]) -> None:
        async with self.slots.copy:
            with host.stage(Stage.COPY) as note:
                note.text = await self.makers.of(host.name).deliver(host, conn, paths)

    async def _activate(
        self,
        host: HostRun,
        conn: Connection,
        artifact: Artifact,
        slot: str,
        *,
        release: Release,
        secrets: HostConfig | None,
    ) -> bool:
        config = self.releases.config(host.name)

        async def is_still_wanted() -> bool:
            return slot in (await self._work(config, await self._facts(conn, config), release)).slots

        async with self.slots.activate, AsyncExitStack() as stack:
            host.check_budget(self.options.max_failures)
            if not conn.is_open:  # an activation may cut the connections there were
                conn = await stack.enter_async_context(self.reach.connected(host.name))
            return await self.activator.activate(
                host,
                conn,
                config.machine,
                artifact.out,
                account=artifact.installable.account,
                config=config,
                is_still_wanted=is_still_wanted,
                secrets=secrets,
            )


def _artifact(release: Release, slot: str) -> Artifact:
    if slot == SYSTEM:
        return release.system
    return next(home for home in release.homes if f"home.{home.installable.account}" == slot)


def _home_now(facts: HostFacts, slot: str) -> str | None:
    home = facts.homes.get(slot.removeprefix("home."))
    return home.running or home.profile if home else None
