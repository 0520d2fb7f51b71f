"""Going back because somebody asks, under the same guard as going forward."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from clanpy.activation import generations, way_back
from clanpy.activation.rollback import Return
from clanpy.deployment.errors import NoSystemError
from clanpy.deployment.reach import facts_of
from clanpy.deployment.run import Verdict
from clanpy.events import Outcome, Stage


if TYPE_CHECKING:
    from clanpy.activation import HostFacts
    from clanpy.deployment.activator import Activator
    from clanpy.deployment.options import Options
    from clanpy.deployment.reach import Reach
    from clanpy.deployment.run import HostRun
    from clanpy.inventory.model import Machine
    from clanpy.ssh import Connection

ASK_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollback:
    """Takes a host back.

    Attributes:
        to: the number of a generation, or a store path that is on the host; None: what ran before what runs now.
        account: whose standalone home; None: the system.
    """

    options: Options
    reach: Reach
    activator: Activator
    machine: Machine
    to: str | None = None
    account: str | None = None

    async def go(self, host: HostRun) -> Verdict:
        """Do it.

        Raises:
            NoWayBackError, NoSystemError: there is nothing to go back to.
            ClanpyError: it could not be done.
        """
        async with self.reach.connected(host.name) as conn:
            with host.stage(Stage.CONNECT):
                facts = await self._facts(conn)
            if facts.left_over and not self.options.dry_run:
                # what an earlier run left in the middle is brought to an end first: only then it is known what "before" is
                await self.activator.mend(host, conn, self.machine, facts)
                facts = await self._facts(conn)
            goal = await self._goal(conn, facts)
            now = self._now(facts)
            host.previous = host.system = now
            if goal.path == now:
                return Verdict(outcome=Outcome.UNCHANGED)
            host.note(f"{now or 'nothing'} → {goal.path}")
            if self.options.dry_run:
                return Verdict(outcome=Outcome.PLANNED, wanted=goal.path)
            await self.activator.activate(
                host, conn, self.machine, goal.path, account=self.account, generation=goal.generation
            )
            return Verdict(outcome=Outcome.CONFIRMED, system=goal.path)

    async def _facts(self, conn: Connection) -> HostFacts:
        return await facts_of(conn, self.machine, [self.account] if self.account else [])

    def _now(self, facts: HostFacts) -> str | None:
        if self.account is None:
            return facts.running
        home = facts.homes.get(self.account)
        return (home.running or home.profile) if home else None

    async def _goal(self, conn: Connection, facts: HostFacts) -> Return:
        slot = "system" if self.account is None else f"home.{self.account}"
        if self.to is None:
            return way_back(facts, slot=slot)
        if self.to.isdigit():
            known = await generations(conn, self.account, elevate=self.account is not None)
            return way_back(facts, slot=slot, generation=int(self.to), known=known)
        there = await conn.run(["test", "-x", f"{self.to}/activate"], timeout=ASK_SECONDS, elevate=True)
        if not there.ok:
            raise NoSystemError(
                f"{self.to} is nothing that {facts.host} can activate",
                hint="name a generation, or a system's store path",
            )
        return Return(path=self.to.rstrip("/"), generation=None)
