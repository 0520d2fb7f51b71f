"""What a machine could go back to: the generations of its system, or of a home on it, and the path that ran before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clanpy.activation import Generation, generations
from clanpy.deployment.reach import Reach, facts_of


if TYPE_CHECKING:
    from clanpy.deployment.options import Surroundings

SCHEMA = "clanpy.generations/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The generations of one profile.

    Attributes:
        account: whose home; None: the system.
        running: the path that runs.
        way_back: the path that ran before: where `rollback` leads when it is told nothing.
    """

    machine: str
    account: str | None
    generations: tuple[Generation, ...]
    running: str | None
    way_back: str | None

    def to_dict(self) -> dict[str, Any]:
        """As JSON: `schema, machine, account, running, way_back, generations` with `number, path, made, current, running`."""
        return {
            "schema": SCHEMA,
            "machine": self.machine,
            "account": self.account,
            "running": self.running,
            "way_back": self.way_back,
            "generations": [
                {
                    "number": found.number,
                    "path": found.path,
                    "made": found.made.isoformat().replace("+00:00", "Z"),
                    "current": found.current,
                    "running": found.path == self.running,
                }
                for found in self.generations
            ],
        }


async def known_generations(surroundings: Surroundings, name: str, account: str | None = None) -> Known:
    """Ask a machine. Two round trips, nothing changed.

    Raises:
        SshError, FactsError: it can't be asked.
    """
    machine = surroundings.fleet.machines[name]
    async with Reach.of(surroundings) as reach, reach.connected(name) as conn:
        facts = await facts_of(conn, machine, [account] if account else [])
        found = await generations(conn, account, elevate=account is not None)
    home = facts.homes.get(account) if account else None
    back = facts.ways_back.get(f"home.{account}" if account else "system")
    return Known(
        machine=name,
        account=account,
        generations=found,
        running=(home.running or home.profile if home else None) if account else facts.running,
        way_back=back.path if back else None,
    )
