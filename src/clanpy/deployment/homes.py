"""One standalone home on one machine: from what it is to what it should be, whatever becomes of the machine's system."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from clanpy.deployment.errors import QuarantinedError
from clanpy.deployment.reach import facts_of
from clanpy.deployment.run import Verdict
from clanpy.events import Outcome, Stage
from clanpy.ssh import Elevation


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from clanpy.activation import HostFacts
    from clanpy.deployment.activator import Activator
    from clanpy.deployment.making import Makers
    from clanpy.deployment.options import Options, Surroundings
    from clanpy.deployment.reach import Reach
    from clanpy.deployment.releases import Releases
    from clanpy.deployment.run import HostRun
    from clanpy.ssh import Connection, Target


def logged_in_as(surroundings: Surroundings, accounts: Mapping[str, str]) -> Surroundings:
    """The same, where these machines are reached as these accounts, and nobody becomes root on them."""

    def ways(machine: str) -> tuple[Target, ...]:
        found: Iterable[Target] = surroundings.targets.get(machine) or ()
        return tuple(replace(way, user=accounts[machine], elevation=Elevation.NONE) for way in found)

    return replace(surroundings, targets={**{name: ways(name) for name in accounts}})


@dataclass(slots=True, kw_only=True)
class HomeUpdater:
    """Updates the home of one account on each machine: `accounts` by machine."""

    options: Options
    accounts: Mapping[str, str]
    reach: Reach
    releases: Releases
    makers: Makers
    activator: Activator

    async def update(self, host: HostRun) -> Verdict:
        """Bring a home to its release.

        Raises:
            ClanpyError: it could not be brought there; the home is as it was, or as the error says.
        """
        account, machine = self.accounts[host.name], self.releases.config(host.name).machine
        async with AsyncExitStack() as stack:
            with host.stage(Stage.CONNECT):
                conn = await stack.enter_async_context(self.reach.connected(host.name))
                facts = await facts_of(conn, machine, [account])
            maker = self.makers.of(host.name)
            release = await maker.release(host, conn)
            wanted = release.system  # the home: nothing else of the machine is made
            if facts.left_over and not self.options.dry_run:
                await self.activator.mend(host, conn, machine, facts)
                facts = await facts_of(conn, machine, [account])
            host.previous = host.system = _now(facts, account)
            if host.previous == wanted.out:
                return Verdict(outcome=Outcome.UNCHANGED)
            if self.options.dry_run:
                host.note(f"home.{account}: {host.previous or 'nothing'} → {wanted.out}")
                return Verdict(outcome=Outcome.PLANNED, wanted=wanted.out)
            self._check_failed(facts, account, wanted.out)
            host.will_change()
            await maker.build(host, conn, release)
            with host.stage(Stage.COPY) as note:
                note.text = await maker.deliver(host, conn, [wanted.out])
            return await self._activate(host, conn, account, wanted.out)

    async def _activate(self, host: HostRun, conn: Connection, account: str, new: str) -> Verdict:
        machine = self.releases.config(host.name).machine

        async def is_still_wanted() -> bool:
            return _now(await facts_of(conn, machine, [account]), account) != new

        host.changed.append(f"home.{account}")
        changed = await self.activator.activate(
            host, conn, machine, new, account=account, is_still_wanted=is_still_wanted
        )
        return Verdict(outcome=Outcome.CONFIRMED if changed else Outcome.UNCHANGED, system=new)

    def _check_failed(self, facts: HostFacts, account: str, path: str) -> None:
        """Refuse what has failed there before, unless told to try again."""
        failed = facts.failures.get(f"home.{account}", {}).get(path)
        if failed is not None and not self.options.live.retry_failed:
            raise QuarantinedError(
                f"{account} on {facts.host} is not given {path} again, which failed there in run {failed.run}: {failed.why}",
                hint="change what was wrong, or --retry-failed tries the same once more",
            )


def _now(facts: HostFacts, account: str) -> str | None:
    home = facts.homes.get(account)
    return (home.running or home.profile) if home else None
