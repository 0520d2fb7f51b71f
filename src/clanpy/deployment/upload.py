"""`vars upload`: a host gets its secrets, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from clanpy.deployment.errors import NoSystemError
from clanpy.deployment.reach import facts_of
from clanpy.deployment.run import Verdict
from clanpy.events import Outcome, Stage
from clanpy.inventory import resolve


if TYPE_CHECKING:
    from clanpy.deployment.activator import Activator
    from clanpy.deployment.delivery import Deliveries
    from clanpy.deployment.options import Options
    from clanpy.deployment.reach import Reach
    from clanpy.deployment.run import HostRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploader:
    """Brings hosts their secrets. One for a run; `upload` is called once for each host."""

    options: Options
    reach: Reach
    activator: Activator
    deliveries: Deliveries

    async def upload(self, host: HostRun) -> Verdict:
        """Bring a host its secrets, if it does not have them.

        Raises:
            ClanpyError: it still has those that it had.
        """
        config = resolve(self.deliveries.surroundings.fleet, host.name)
        if (problem := self.deliveries.problem(config)) is not None:
            raise problem
        async with self.reach.connected(host.name) as conn:
            with host.stage(Stage.CONNECT):
                facts = await facts_of(conn, config.machine)
                host.previous = host.system = facts.running
            if await self.deliveries.is_current(config, facts):
                return Verdict(outcome=Outcome.UNCHANGED)
            if self.options.dry_run:
                host.note("its secrets would be delivered")
                return Verdict(outcome=Outcome.PLANNED, wanted=facts.running)
            if not self.deliveries.makes_its_own(config):
                changed = await self.activator.deliver(host, conn, config)
            elif facts.running is None:
                raise NoSystemError(f"{host.name} runs no system that could decrypt its secrets: update it first")
            else:  # what it runs is activated once more, with the new ones
                changed = await self.activator.activate(host, conn, config.machine, facts.running, secrets=config)
        return Verdict(outcome=Outcome.CONFIRMED if changed else Outcome.UNCHANGED, system=facts.running)
