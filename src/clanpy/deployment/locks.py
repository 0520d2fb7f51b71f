"""Who is at work on which machine, and taking a lock away from somebody who is not any more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clanpy.activation import lock
from clanpy.deployment.reach import Reach, each, facts_of
from clanpy.errors import ClanpyError
from clanpy.rollout.limits import Limits


if TYPE_CHECKING:
    from collections.abc import Sequence

    from clanpy.activation import LockInfo
    from clanpy.deployment.options import Surroundings
    from clanpy.inventory.model import Machine

SCHEMA = "clanpy.locks/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A machine's lock: who holds it (None: nobody), or why that is not known."""

    machine: str
    holder: LockInfo | None = None
    error: ClanpyError | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON: `machine`, `locked`, `by` and `error`."""
        holder = self.holder
        return {
            "machine": self.machine,
            "locked": None if self.error else holder is not None,
            "by": None
            if holder is None
            else {
                "owner": holder.owner,
                "host": holder.host,
                "run": holder.run,
                "reason": holder.reason,
                "since": holder.since.isoformat(timespec="seconds").replace("+00:00", "Z"),
                "guard": holder.by_guard,
            },
            "error": self.error.to_dict() if self.error else None,
        }


async def locks(surroundings: Surroundings, machines: Sequence[Machine]) -> list[Held]:
    """Ask machines who is at work on them: one round trip each."""
    by_name = {machine.name: machine for machine in machines}
    async with Reach.of(surroundings) as reach:

        async def ask(name: str) -> LockInfo | None:
            async with reach.connected(name) as conn:
                return (await facts_of(conn, by_name[name])).lock

        found = await each(by_name, ask, at_once=Limits.derived().hosts)
    return [
        Held(machine=name, error=answer) if isinstance(answer, ClanpyError) else Held(machine=name, holder=answer)
        for name, answer in found.items()
    ]


async def break_lock(surroundings: Surroundings, machine: Machine, *, run: str) -> None:
    """Take the lock of a machine from the controller that holds it, and let it go.

    Raises:
        LockHeldError: a guard holds it: an activation is under way, and two at once would ruin the machine.
        ClanpyError: it can't be reached.
    """
    owner = surroundings.lock_owner(run, "breaking a lock")
    async with Reach.of(surroundings) as reach, reach.connected(machine.name) as conn, lock(conn, owner, steal=True):
        pass
