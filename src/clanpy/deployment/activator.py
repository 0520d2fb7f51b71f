"""Changing a host under its lock: the one way, whatever the change is for."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from clanpy.activation import Activation, GuardError, GuardOutcome, LockHeldError, lock, preview
from clanpy.deployment.activate import Guarded
from clanpy.deployment.gates import Gates
from clanpy.deployment.reach import facts_of
from clanpy.events import Stage


if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from clanpy.activation import HeldLock, HostFacts, LockInfo, RunRecord
    from clanpy.deployment.delivery import Deliveries
    from clanpy.deployment.options import Options, Surroundings
    from clanpy.deployment.reach import Reach
    from clanpy.deployment.run import HostRun
    from clanpy.inventory.model import HostConfig, Machine
    from clanpy.ssh import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Activator:
    """Makes paths live on hosts. `purpose` is what other controllers are told about it.

    `attempt` tells what is activated on a host from what the same run activated there before: a guard's name is its own.
    """

    run: str
    attempt: str = ""
    purpose: str
    surroundings: Surroundings
    options: Options
    reach: Reach
    deliveries: Deliveries

    async def deliver(self, host: HostRun, conn: Connection, config: HostConfig) -> bool:
        """Bring a host its secrets, and activate nothing. Gives whether anything was done."""
        async with self._locked(host, conn) as (_, waited):
            if waited and await self.deliveries.is_current(config, await facts_of(conn, config.machine)):
                return False
            with host.committed():
                await self.deliveries.put(host, conn, config, apply=True)
        return True

    async def activate(
        self,
        host: HostRun,
        conn: Connection,
        machine: Machine,
        new: str,
        *,
        account: str | None = None,
        generation: int | None = None,
        config: HostConfig | None = None,
        is_still_wanted: Callable[[], Awaitable[bool]] | None = None,
        secrets: HostConfig | None = None,
    ) -> bool:
        """Make a path live and see it confirmed.

        Args:
            host: who is told.
            conn: the connection the lock hangs on.
            machine: which it is.
            new: the store path, present there.
            account: whose home it is; None for the system.
            generation: the generation of the profile that is gone back to.
            config: the machine, resolved: its gates have to be passed, and its people are known. None: as it goes back.
            is_still_wanted: asked when we had to wait for somebody else, who may have done the same.
            secrets: whose secrets are brought there before; the guard takes them back when it goes back.

        Returns:
            Whether anything was done.
        """
        activation = self._activation(machine, new, account=account, generation=generation, config=config)
        async with self._locked(host, conn) as (held, waited):
            if waited and is_still_wanted is not None and not await is_still_wanted():
                return False
            with host.committed():
                if secrets is not None:
                    await self.deliveries.put(host, conn, secrets, apply=False)
                try:
                    await self._guarded(host, conn, activation, config).run(held)
                except GuardError:  # there is none that would take them back
                    if secrets is not None:
                        await self.deliveries.take_back(host, conn)
                    raise
        return True

    async def attach(self, host: HostRun, conn: Connection, record: RunRecord, config: HostConfig) -> None:
        """See an activation to its end that a controller began which is gone: its guard still waits for a word."""
        activation = self._again(record, config.machine)
        host.note(f"an activation of run {record.run} is under way and waits for its controller: going on with it")
        with host.committed():
            await self._guarded(host, conn, activation, config).attach()

    async def preview(self, host: HostRun, conn: Connection, config: HostConfig, new: str, account: str | None) -> None:
        """Tell what an activation would do."""
        with host.stage(Stage.ACTIVATE) as note:
            for line in await self.foreseen(conn, config, new, account):
                host.note(line)
            note.text = "nothing was activated"

    async def foreseen(self, conn: Connection, config: HostConfig, new: str, account: str | None) -> tuple[str, ...]:
        """What a path that is there says about what its activation would do."""
        return await preview(conn, self._activation(config.machine, new, account=account, config=config))

    def _activation(
        self,
        machine: Machine,
        new: str,
        *,
        account: str | None = None,
        generation: int | None = None,
        config: HostConfig | None = None,
    ) -> Activation:
        live, is_system = self.options.live, account is None
        is_nixos = is_system and machine.class_ == "nixos"
        return Activation(
            run=self.run + self.attempt,
            class_=machine.class_ if is_system else "home",
            new=new,
            owner=self.surroundings.lock_owner(self.run, self.purpose),
            account=account,
            generation=generation,
            goal=live.goal,
            specialisation=live.specialisation if is_nixos else None,
            reboot=live.reboot and is_system,
            install_bootloader=live.install_bootloader and is_nixos,
            primary_user=_account_of(config, machine.primary_user) if is_system else None,
            backup_extension="" if is_system else live.backup_extension,
            confirm_within=self.options.confirm_within,
            activate_within=self.options.activate_within,
        )

    def _guarded(
        self, host: HostRun, conn: Connection, activation: Activation, config: HostConfig | None = None
    ) -> Guarded:
        gates = None
        if config is not None and config.gates:
            gates = Gates(
                host=host,
                gates=config.gates,
                domain=config.domain,
                undecided=self.options.live.undecided,
                ask=self.surroundings.ask,
            )
        return Guarded(
            host=host,
            reach=self.reach,
            conn=conn,
            activation=activation,
            gates=gates,
            reboot_within=self.options.live.reboot_within,
            after_boot=partial(self._after_boot, host, config) if config is not None else None,
        )

    async def _after_boot(self, host: HostRun, config: HostConfig, conn: Connection) -> None:
        """What was in the memory of a host is gone when it has booted: it gets its secrets again before it is confirmed."""
        if not await self.deliveries.is_current(config, await facts_of(conn, config.machine)):
            await self.deliveries.put(host, conn, config, apply=True)

    async def mend(self, host: HostRun, conn: Connection, machine: Machine, facts: HostFacts) -> None:
        """Bring activations to an end that an earlier run left in the middle: their guard was killed, or the host rebooted."""
        for left in facts.left_over:
            async with self._locked(host, conn) as (held, _):
                with host.committed(), host.stage(Stage.ROLLBACK) as note:
                    activation = self._again(left, machine)
                    ended = await self._guarded(host, conn, activation).mend(held)
                    came = "forward" if ended.outcome is GuardOutcome.CONFIRMED else "back"
                    note.text = f"run {left.run} had been left in the middle: brought {came} to {ended.running}"

    def _again(self, left: RunRecord, machine: Machine) -> Activation:
        account = left.slot.removeprefix("home.") if left.slot.startswith("home.") else None
        return Activation(
            run=left.run,
            class_=machine.class_ if account is None else "home",
            new=left.new,
            owner=self.surroundings.lock_owner(self.run, self.purpose),
            account=account,
            confirm_within=self.options.confirm_within,
            activate_within=self.options.activate_within,
        )

    @asynccontextmanager
    async def _locked(self, host: HostRun, conn: Connection) -> AsyncIterator[tuple[HeldLock, bool]]:
        """The lock, and whether we had to wait for it. A dead run of our own keeps nobody waiting."""
        waited = False

        def waiting(holder: LockInfo) -> None:
            nonlocal waited
            waited = True
            if self.surroundings.is_dead(holder):
                raise LockHeldError(f"{host.name} is locked by {holder}", holder=holder)
            host.note(f"waiting for {holder}", level="warning")

        def locked(*, steal: bool) -> AbstractAsyncContextManager[HeldLock]:
            owner = self.surroundings.lock_owner(self.run, self.purpose)
            return lock(conn, owner, wait=self.options.lock_wait, steal=steal, on_wait=waiting)

        async with AsyncExitStack() as stack:
            try:
                held = await stack.enter_async_context(locked(steal=self.options.steal_lock))
            except LockHeldError as error:
                if not self.surroundings.is_dead(error.holder):
                    raise
                host.note(f"taking the lock over from {error.holder}: that run has died", level="warning")
                held = await stack.enter_async_context(locked(steal=True))
            yield held, waited


def _account_of(config: HostConfig | None, person: str | None) -> str | None:
    """What somebody's account on a machine is called: the name of the person, unless it is known better."""
    users = config.users if config is not None else ()
    return next((user.account for user in users if user.user == person), person)
