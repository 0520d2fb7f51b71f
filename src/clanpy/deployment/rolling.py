"""What a rollout does to hosts that have had their turn: look at their health, and take them back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clanpy.deployment.gates import Gates, Undecided
from clanpy.deployment.reach import facts_of, standalone_accounts
from clanpy.deployment.rollback import Rollback
from clanpy.deployment.run import Verdict
from clanpy.events import Outcome
from clanpy.inventory.rollouts import after_of
from clanpy.machines import select
from clanpy.rollout.gates import GateVerdict
from clanpy.rollout.waves import plan_waves
from clanpy.ssh import SshError


if TYPE_CHECKING:
    from clanpy.deployment.activator import Activator
    from clanpy.deployment.options import Options
    from clanpy.deployment.reach import Reach
    from clanpy.deployment.releases import Releases
    from clanpy.deployment.run import HostRun, Run
    from clanpy.inventory.model import Fleet
    from clanpy.rollout.policy import Policy
    from clanpy.rollout.waves import Waves

SYSTEM = "system"


def waves_of(fleet: Fleet, policy: Policy, hosts: Sequence[str], *, seed: str) -> Waves:
    """The waves of these hosts.

    Raises:
        NothingMatchedError, SelectionError: a selection of the policy, or of what a machine comes after, names nothing.
        WaitingInCirclesError: machines wait for each other.
    """

    def chosen(selection: str) -> list[str]:
        return [machine.name for machine in select(fleet, [selection])]

    known = set(hosts)
    after = {
        name: [other for text in selections for other in chosen(text) if other != name]
        for name, selections in after_of(fleet).items()
        if name in known
    }
    return plan_waves(hosts, policy, seed=seed, select=chosen, after=after)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rolled:
    """Hosts of a rollout, after their turn."""

    run: Run
    options: Options
    fleet: Fleet
    reach: Reach
    releases: Releases
    activator: Activator

    async def revert(self, host: str) -> bool:
        """Take a host back to its own recorded system, and the homes on it that were changed to theirs."""
        done = self.run.hosts[host]
        went_well = True
        for slot in reversed(done.changed):
            rollback = Rollback(
                options=self.options,
                reach=self.reach,
                activator=self.activator,
                machine=self.fleet.machines[host],
                to=done.previous if slot == SYSTEM else None,
                account=None if slot == SYSTEM else slot.removeprefix("home."),
            )
            verdict = await self.run.with_host(host, rollback.go)
            went_well = went_well and verdict.outcome in {Outcome.CONFIRMED, Outcome.UNCHANGED}
            if verdict.error is not None:
                done.note(f"could not be taken back: {verdict.error.message}", level="warning")
        return went_well

    async def health(self, host: str) -> bool | str | None:
        """Whether a host still runs what it was given, and passes its gates."""
        found: list[bool | str | None] = []

        async def look(at: HostRun) -> Verdict:
            found.append(await self._look(at))
            return Verdict(outcome=Outcome.UNCHANGED)

        verdict = await self.run.with_host(host, look)
        if verdict.error is not None:
            return None if isinstance(verdict.error, SshError) else verdict.error.message
        return found[0] if found else None

    async def _look(self, at: HostRun) -> bool | str | None:
        config = self.releases.config(at.name)
        async with self.reach.connected(at.name) as conn:
            facts = await facts_of(conn, config.machine, standalone_accounts(config))
            if SYSTEM in at.changed and facts.running != at.system:
                return f"it runs {facts.running}, and was given {at.system}"
            gates = Gates(host=at, gates=config.gates, domain=config.domain, undecided=Undecided.KEEP)
            failed = await gates.decide(conn)
        if failed is not None:
            return f"gate {failed.gate.name}: {failed.said}"
        return None if any(trial.verdict is GateVerdict.UNDECIDED for trial in gates.trials) else True
