"""What hosts run, beside what they should: one round trip each, nothing changed, no Nix."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from clanpy.activation import Wanted
from clanpy.deploy.reach import Reach, each, facts_of
from clanpy.errors import ClanpyError
from clanpy.rollout.limits import Limits


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clanpy.activation import HostFacts
    from clanpy.deploy.options import Options, Surroundings
    from clanpy.inventory.model import HostConfig
    from clanpy.journal import Deployment

SCHEMA = "clanpy.status/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostStatus:
    """One machine.

    Attributes:
        wanted: what it should run, where that is known without Nix: after an evaluation of the same sources.
        facts: what it runs; None when it could not be reached, and `error` says why.
        last: when it was last deployed from here.
    """

    host: HostConfig
    wanted: Wanted | None = None
    facts: HostFacts | None = None
    error: ClanpyError | None = None
    last: Deployment | None = None

    @property
    def state(self) -> str:
        """In a word: `current`, `outdated`, `unknown` (wanted is not known), `unreachable`, or `interrupted`.

        `interrupted`: an activation on it has not come to its end, and nobody is at work on it.
        """
        if self.facts is None:
            return "unreachable"
        if self.facts.left_over:
            return "interrupted"
        if self.wanted is None:
            return "unknown"
        return "outdated" if self.facts.differs(self.wanted) else "current"

    def to_dict(self) -> dict[str, Any]:
        """The status as JSON."""
        facts, wanted, last = self.facts, self.wanted, self.last
        return {
            "name": self.host.name,
            "class": self.host.machine.class_,
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
            "homes": _homes(facts, wanted),
            "last_deployment": {"run": last.run, "when": last.when, "outcome": last.outcome, "system": last.system}
            if last
            else None,
        }


def _homes(facts: HostFacts | None, wanted: Wanted | None) -> dict[str, Any]:
    if facts is None:
        return {}
    return {
        account: {
            "wanted": wanted.homes.get(account) if wanted else None,
            "running": home.running,
            "profile": home.profile,
            "generation": home.generation,
        }
        for account, home in facts.homes.items()
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of the machines here: what they should run, and their last deployments."""

    wanted: Mapping[str, Wanted] = field(default_factory=dict)
    last: Mapping[str, Deployment] = field(default_factory=dict)


async def status(
    surroundings: Surroundings, hosts: Sequence[HostConfig], options: Options, known: Known
) -> list[HostStatus]:
    """Ask every host what it runs."""
    by_name = {host.name: host for host in hosts}
    limits = Limits.derived(parallel=options.parallel)
    async with Reach.of(surroundings) as reach:

        async def ask(name: str) -> HostFacts:
            async with reach.connected(name) as conn:
                return await facts_of(conn, by_name[name])

        found = await each(by_name, ask, at_once=limits.hosts)
    return [
        HostStatus(
            host=by_name[name],
            wanted=known.wanted.get(name),
            facts=None if isinstance(answer, ClanpyError) else answer,
            error=answer if isinstance(answer, ClanpyError) else None,
            last=known.last.get(name),
        )
        for name, answer in found.items()
    ]
