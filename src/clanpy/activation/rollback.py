"""Going back because somebody asks: what there is to go back to. The way is the same as forward, under the same guard."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from clanpy.activation.errors import FactsError, NoWayBackError
from clanpy.activation.scripts import SHELL, assemble
from clanpy.activation.wire import check_account, number, read


if TYPE_CHECKING:
    from collections.abc import Sequence

    from clanpy.activation.facts import HostFacts
    from clanpy.activation.wire import Host

ASK_SECONDS = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """A generation of a profile: its number, the store path it holds, when it was made, and whether the profile is at it."""

    number: int
    path: str
    made: datetime
    current: bool


async def generations(conn: Host, account: str | None = None, *, elevate: bool = False) -> tuple[Generation, ...]:
    """The generations of a host's system profile, or of the home of an account, oldest first. One round trip.

    Raises:
        FactsError: what came back is not what the script writes.
    """
    variables = {
        "kind": "system" if account is None else "home",
        "account": "" if account is None else check_account(account),
    }
    script = assemble("generations", variables=variables)
    done = await conn.run(SHELL, input=script.encode(), timeout=ASK_SECONDS, elevate=elevate)
    said = read(done.stdout.splitlines())
    if said.fields.get("end") != "generations":
        raise FactsError(f"{conn.host} could not list its generations", details=done.stderr.splitlines()[-10:])
    current = said.fields.get("current")
    found = [_generation(name, value, name == current) for name, value in said.fields.items() if name.endswith("-link")]
    return tuple(sorted((g for g in found if g is not None), key=lambda g: g.number))


@dataclass(frozen=True, slots=True, kw_only=True)
class Return:
    """Where to go back to: the store path, and the profile's generation that holds it where that is known."""

    path: str
    generation: int | None


def way_back(
    facts: HostFacts, *, slot: str = "system", generation: int | None = None, known: Sequence[Generation] = ()
) -> Return:
    """Where an operator's "go back" leads: to what ran before what runs now, or to a generation.

    What ran before is what was recorded, never "one generation lower", which may never have run.

    Args:
        facts: of the host.
        slot: `system` or `home.<account>`.
        generation: the number of the generation to go to, which must be in `known`.
        known: what `generations` found.

    Raises:
        NoWayBackError: there is no such generation, or nothing is recorded.
    """
    if generation is not None:
        for found in known:
            if found.number == generation:
                return Return(path=found.path, generation=found.number)
        numbers = ", ".join(str(found.number) for found in known) or "none"
        raise NoWayBackError(f"{facts.host} has no generation {generation} of {slot}", hint=f"there are: {numbers}")
    recorded = facts.ways_back.get(slot)
    if recorded is None or not recorded.path:
        raise NoWayBackError(
            f"nothing is recorded on {facts.host} that {slot} could go back to",
            hint="name a generation: clanpy machines rollback NAME --to N",
        )
    # The recorded generation is of the profile, which need not have held what ran.
    same = recorded.profile == recorded.path
    return Return(path=recorded.path, generation=recorded.generation if same else None)


def _generation(name: str, value: str, current: bool) -> Generation | None:
    made, _, path = value.partition(" ")
    digits = number(name.removesuffix("-link").rpartition("-")[2])
    if digits is None:
        return None
    return Generation(number=digits, path=path, made=datetime.fromtimestamp(number(made) or 0, UTC), current=current)
