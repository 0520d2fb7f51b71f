"""What hosts run, beside what they should: one round trip each, nothing changed, no Nix."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from clanpy.activation import Wanted
from clanpy.deployment.drift import Drift, drift_of
from clanpy.deployment.making import made_elsewhere
from clanpy.deployment.past import revisions
from clanpy.deployment.plan import reboot_reasons
from clanpy.deployment.reach import Reach, each, facts_of, standalone_accounts
from clanpy.deployment.releases import Releases, find_nix, wanted, wanted_without_nix
from clanpy.errors import ClanpyError, ExitCode
from clanpy.inventory import resolve
from clanpy.inventory.model import HostConfig
from clanpy.rollout.limits import Limits


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clanpy.activation import HostFacts, Standing
    from clanpy.deployment.options import Options, Surroundings
    from clanpy.inventory.model import Machine
    from clanpy.journal import Deployment, Journal

SCHEMA = "clanpy.status/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeStatus:
    """One standalone home; paths are None where they are not known, or not there."""

    account: str
    wanted: str | None
    running: str | None
    profile: str | None
    generation: int | None

    @property
    def state(self) -> str:
        """`current`, `outdated` or `unknown`, as of machines."""
        if self.wanted is None:
            return "unknown"
        return "current" if self.running == self.wanted else "outdated"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostStatus:
    """One machine.

    Attributes:
        wanted: what it should run, where that is known without Nix: after an evaluation of the same sources.
        facts: what it runs; None when it could not be reached.
        error: why it could not be reached, or what is wrong with its configuration.
        last: when it was last deployed from here.
        revision: the commit from which what it runs was deployed from here, and whether there were changes beside it.
        watched: whether it was asked for drift.
        alone: what its standalone homes should be, by account, where only they were evaluated.
    """

    machine: Machine
    wanted: Wanted | None = None
    alone: Mapping[str, str] = field(default_factory=dict)
    facts: HostFacts | None = None
    error: ClanpyError | None = None
    last: Deployment | None = None
    revision: tuple[str, bool] | None = None
    watched: bool = False

    @property
    def age(self) -> int | None:
        """Seconds since what its profile holds was put there, by its own clock."""
        since = self._standing.since if self._standing else None
        return None if since is None or self.facts is None else max(0, self.facts.clock - since)

    @property
    def failed_units(self) -> tuple[str, ...] | None:
        """None where that is not known."""
        return self._standing.failed_units if self._standing else None

    @property
    def pending_reboot(self) -> tuple[str, ...] | None:
        """Why only a reboot makes all of what it runs effective; none: there is no reason. None: that is not known."""
        if self._standing is None or self.facts is None or self.facts.booted is None:
            return None
        return reboot_reasons(self._standing.booted, self._standing.running)

    @property
    def drift(self) -> tuple[Drift, ...] | None:
        """What is not as it should be; None where that was not asked, or could not be."""
        if not self.watched or self.facts is None:
            return None
        return drift_of(self.facts, self.wanted.system if self.wanted else None, self._wanted_homes)

    @property
    def _standing(self) -> Standing | None:
        return self.facts.standing if self.facts else None

    @property
    def state(self) -> str:
        """In a word: `current`, `outdated`, `unknown` (wanted is not known), `interrupted`, `failed`, or `unreachable`.

        `interrupted`: an activation on it has not come to its end, and nobody is at work on it. `failed`: it let us in, and
        could not be asked all the same.
        """
        if self.facts is None:
            lost = self.error is None or self.error.exit_code is ExitCode.UNREACHABLE
            return "unreachable" if lost else "failed"
        if self.facts.left_over:
            return "interrupted"
        if self.wanted is None:
            return "unknown"
        return "outdated" if self.facts.differs(self.wanted) else "current"

    @property
    def homes(self) -> tuple[HomeStatus, ...]:
        """Its standalone homes, by account; none where it could not be asked."""
        if self.facts is None:
            return ()
        return tuple(
            HomeStatus(
                account=account,
                wanted=self._wanted_homes.get(account),
                running=home.running or home.profile,
                profile=home.profile,
                generation=home.generation,
            )
            for account, home in sorted(self.facts.homes.items())
        )

    @property
    def _wanted_homes(self) -> Mapping[str, str]:
        return self.wanted.homes if self.wanted else self.alone

    def to_dict(self) -> dict[str, Any]:
        """The status as JSON."""
        facts, wanted, last = self.facts, self.wanted, self.last
        return {
            "name": self.machine.name,
            "class": self.machine.class_,
            "state": self.state,
            "reachable": facts is not None,
            "error": self.error.to_dict() if self.error else None,
            "wanted": wanted.system if wanted else None,
            "running": facts.running if facts else None,
            "profile": facts.profile if facts else None,
            "booted": facts.booted if facts else None,
            "generation": facts.generation if facts else None,
            "nix_version": facts.nix_version if facts else None,
            "free_bytes": facts.free_bytes if facts else None,
            "locked_by": str(facts.lock) if facts and facts.lock else None,
            "age": self.age,
            "revision": self.revision[0] if self.revision else None,
            "modified": self.revision[1] if self.revision else False,
            "failed_units": _listed(self.failed_units),
            "pending_reboot": _listed(self.pending_reboot),
            "drift": None if self.drift is None else [one.to_dict() for one in self.drift],
            "homes": _homes(facts, self._wanted_homes),
            "last_deployment": {"run": last.run, "when": last.when, "outcome": last.outcome, "system": last.system}
            if last
            else None,
        }


def _listed(values: Sequence[str] | None) -> list[str] | None:
    return None if values is None else list(values)


def _homes(facts: HostFacts | None, wanted: Mapping[str, str]) -> dict[str, Any]:
    if facts is None:
        return {}
    return {
        account: {
            "wanted": wanted.get(account),
            "running": home.running,
            "profile": home.profile,
            "generation": home.generation,
        }
        for account, home in facts.homes.items()
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of the machines here: what they consist of, what they should run, and their last deployments.

    `homes` are those of which no more than they is known, by machine and account.
    """

    hosts: Mapping[str, HostConfig | ClanpyError] = field(default_factory=dict)
    wanted: Mapping[str, Wanted] = field(default_factory=dict)
    homes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    last: Mapping[str, Deployment] = field(default_factory=dict)


async def status(
    surroundings: Surroundings,
    machines: Sequence[Machine],
    options: Options,
    known: Known,
    *,
    standing: bool = False,
    drift: bool = False,
) -> list[HostStatus]:
    """Ask every machine what it runs. A broken configuration keeps none of them from answering.

    `standing`: also how it stands beside that (age, units, reboot); `drift`: also what is not as it should be.
    """
    by_name = {machine.name: machine for machine in machines}
    limits = Limits.derived(parallel=options.parallel)
    async with Reach.of(surroundings) as reach:

        async def ask(name: str) -> HostFacts:
            host = known.hosts.get(name)
            accounts = () if host is None or isinstance(host, ClanpyError) else standalone_accounts(host)
            async with reach.connected(name) as conn:
                return await facts_of(conn, by_name[name], accounts, standing=standing, by_hand=drift)

        found = await each(by_name, ask, at_once=limits.hosts)
    return [replace(_status(by_name[name], answer, known), watched=drift) for name, answer in found.items()]


async def evaluated(surroundings: Surroundings, machines: Sequence[Machine], known: Known) -> Known:
    """The same with what machines should run evaluated by Nix where it was not known. What fails is that machine's error."""
    names = [
        machine.name
        for machine in machines
        if machine.name not in known.wanted and isinstance(known.hosts.get(machine.name), HostConfig)
    ]
    elsewhere = made_elsewhere((surroundings.fleet.machines[name] for name in names), None)
    names = [name for name in names if name not in elsewhere]  # to evaluate on other hosts would be to write there
    releases = Releases(surroundings, names)
    if names:
        await releases.run(find_nix(surroundings))
    hosts, found = dict(known.hosts), dict(known.wanted)
    for name in names:
        try:
            found[name] = wanted(await releases.of(name))
        except ClanpyError as error:
            hosts[name] = error
    return replace(known, hosts=hosts, wanted=found)


def with_revisions(found: Sequence[HostStatus], journal: Journal) -> list[HostStatus]:
    """The same with the commits from which what machines run was deployed."""
    running = {host.machine.name: host.facts.running for host in found if host.facts and host.facts.running}
    known = revisions(journal, running)
    return [replace(host, revision=known.get(host.machine.name)) for host in found]


def status_exit_code(found: Sequence[HostStatus]) -> ExitCode:
    """0 when every machine is current, 4 when all that are not are unreachable, otherwise 1."""
    states = {host.state for host in found} - {"current"}
    if not states:
        return ExitCode.DONE
    return ExitCode.UNREACHABLE if states == {"unreachable"} else ExitCode.HOSTS_FAILED


def _status(machine: Machine, answer: HostFacts | ClanpyError, known: Known) -> HostStatus:
    host = known.hosts.get(machine.name)
    error = answer if isinstance(answer, ClanpyError) else host if isinstance(host, ClanpyError) else None
    return HostStatus(
        machine=machine,
        wanted=known.wanted.get(machine.name),
        alone=known.homes.get(machine.name, {}),
        facts=None if isinstance(answer, ClanpyError) else answer,
        error=error,
        last=known.last.get(machine.name),
    )


def what_is_known(surroundings: Surroundings, journal: Journal, machines: Sequence[Machine]) -> Known:
    """What is known of machines without asking them, and without Nix."""
    hosts: dict[str, HostConfig | ClanpyError] = {}
    for machine in machines:
        try:
            hosts[machine.name] = resolve(surroundings.fleet, machine.name)
        except ClanpyError as error:
            hosts[machine.name] = error
    good = [host for host in hosts.values() if not isinstance(host, ClanpyError)]
    known, homes = wanted_without_nix(surroundings, good)
    return Known(hosts=hosts, wanted=known, homes=homes, last=journal.last_deployments(hosts))
