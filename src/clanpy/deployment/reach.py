"""Reaching hosts: a connection each, so many at once, and what could not be reached as a value beside what could."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self, TypeVar

from clanpy.activation import Question, gather
from clanpy.deployment.errors import NoTargetError, WrongClassError
from clanpy.errors import ClanpyError
from clanpy.ssh import Connection, Dialer, Timeouts


if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence

    from clanpy.activation import HostFacts
    from clanpy.deployment.options import Surroundings
    from clanpy.inventory.model import HostConfig, Machine
    from clanpy.ssh import Target

_T = TypeVar("_T")

# A host that vanishes during its activation has to be noticed well before its guard goes back.
TIMEOUTS = Timeouts(keepalive_interval=5.0, keepalive_count=3)


@dataclass(slots=True)
class Reach:
    """The ways to the machines, and one dialer for all of them. `round_trips` counts what was asked of each."""

    targets: Mapping[str, Sequence[Target]]
    way_hint: str
    builders: Mapping[str, Sequence[Target]] = field(default_factory=dict)
    round_trips: Counter[str] = field(default_factory=Counter)
    dialer: Dialer = field(default_factory=lambda: Dialer(timeouts=TIMEOUTS))

    @classmethod
    def of(cls, surroundings: Surroundings) -> Self:
        """The ways of a run."""
        dialer = Dialer(timeouts=TIMEOUTS, retries=surroundings.retries, ask_password=surroundings.ask_password)
        return cls(surroundings.targets, surroundings.way_hint, surroundings.builders, dialer=dialer)

    async def __aenter__(self) -> Self:
        await self.dialer.__aenter__()
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.dialer.__aexit__(None, None, None)

    def ways(self, name: str) -> Sequence[Target]:
        """The ways to a machine.

        Raises:
            NoTargetError: nobody says where it is.
        """
        ways = self.targets.get(name)
        if not ways:
            hint = self.way_hint.format(name=name)
            raise NoTargetError(f"nothing says where machine '{name}' is reached", hint=hint)
        return ways

    @asynccontextmanager
    async def connected_to_builder(self, name: str) -> AsyncIterator[Connection]:
        """A connection to a host that builds for others, under the name that `deploy.build_host` has for it.

        Raises:
            NoTargetError, SshError: it can't be had.
        """
        ways = self.builders.get(name)
        if not ways:
            raise NoTargetError(
                f"nothing says where the build host '{name}' is reached", hint=self.way_hint.format(name=name)
            )
        async with self.dialer.connect(ways) as conn:
            yield conn

    @asynccontextmanager
    async def connected(self, name: str) -> AsyncIterator[Connection]:
        """A connection to a machine.

        Raises:
            NoTargetError, SshError: it can't be had.
        """
        async with self.dialer.connect(self.ways(name)) as conn:
            try:
                yield conn
            finally:
                self.round_trips[name] += conn.round_trips


async def each(
    hosts: Iterable[str], work: Callable[[str], Awaitable[_T]], *, at_once: int
) -> dict[str, _T | ClanpyError]:
    """Do something with every host, so many at once, and give the results in the order of the hosts."""
    slots, results = asyncio.Semaphore(at_once), dict.fromkeys(hosts)

    async def one(name: str) -> None:
        async with slots:
            try:
                results[name] = await work(name)
            except ClanpyError as error:
                results[name] = error

    async with asyncio.TaskGroup() as group:
        for name in results:
            group.create_task(one(name), name=f"host {name}")
    return results  # type: ignore[return-value] # every place is filled now


async def facts_of(
    conn: Connection,
    machine: Machine,
    accounts: Sequence[str] = (),
    *,
    specialisation: str | None = None,
    standing: bool = False,
    by_hand: bool = False,
) -> HostFacts:
    """What a host runs, and the standalone homes of these accounts on it: one round trip.

    Raises:
        WrongClassError: what answered can't be that machine.
    """
    question = Question(
        accounts=tuple(accounts), specialisation=specialisation, standing=standing or by_hand, by_hand=by_hand
    )
    facts = await gather(conn, question, elevate=bool(accounts))
    is_mac = facts.kernel == "Darwin"
    if is_mac != (machine.class_ == "darwin"):
        raise WrongClassError(
            f"{machine.name} is of class {machine.class_}, and what answered at {conn.address or conn.host} is {facts.kernel}",
            hint="is this the right address?",
        )
    return facts


def standalone_accounts(host: HostConfig) -> tuple[str, ...]:
    """The accounts on a machine whose homes are activated on their own, as that account."""
    return tuple(sorted(user.account for user in host.users if user.home_manager == "standalone"))
