"""Changing a host under its lock: the one way, whatever the change is for."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clanpy.activation import Activation, GuardError, GuardOutcome, LockHeldError, lock
from clanpy.deployment.activate import Guarded
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
    """Makes paths live on hosts. `purpose` is what other controllers are told about it."""

    run: str
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
            is_still_wanted: asked when we had to wait for somebody else, who may have done the same.
            secrets: whose secrets are brought there before; the guard takes them back when it goes back.

        Returns:
            Whether anything was done.
        """
        activation = Activation(
            run=self.run,
            class_=machine.class_ if account is None else "home",
            new=new,
            owner=self.surroundings.lock_owner(self.run, self.purpose),
            account=account,
            generation=generation,
            confirm_within=self.options.confirm_within,
            activate_within=self.options.activate_within,
        )
        async with self._locked(host, conn) as (held, waited):
            if waited and is_still_wanted is not None and not await is_still_wanted():
                return False
            with host.committed():
                if secrets is not None:
                    await self.deliveries.put(host, conn, secrets, apply=False)
                try:
                    await Guarded(host=host, reach=self.reach, conn=conn, activation=activation).run(held)
                except GuardError:  # there is none that would take them back
                    if secrets is not None:
                        await self.deliveries.take_back(host, conn)
                    raise
        return True

    async def mend(self, host: HostRun, conn: Connection, machine: Machine, facts: HostFacts) -> None:
        """Bring activations to an end that an earlier run left in the middle: their guard was killed, or the host rebooted."""
        for left in facts.left_over:
            async with self._locked(host, conn) as (held, _):
                with host.committed(), host.stage(Stage.ROLLBACK) as note:
                    activation = self._again(left, machine)
                    ended = await Guarded(host=host, reach=self.reach, conn=conn, activation=activation).mend(held)
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
