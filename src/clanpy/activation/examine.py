"""A closer look at a host, for people who want to know whether it can be deployed to: still one round trip, and nothing changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from clanpy.activation.errors import FactsError
from clanpy.activation.facts import Question, gather
from clanpy.activation.scripts import part
from clanpy.activation.wire import read


if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from clanpy.activation.facts import HostFacts
    from clanpy.activation.wire import Host, Said
    from clanpy.ssh import Completed


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What a host is, and what it takes to deploy to it.

    Attributes:
        facts: what it is and runs.
        trusted_users: whom its Nix takes paths from without signatures (names, and groups with `@`).
        wants_signatures: whether its Nix wants signatures of all others; None when it does not say.
        groups: those of the account that we are there.
        nix_system: what its Nix builds for.
        extra_platforms: what it builds for besides.
        supervisor: what the guard can be started by: `systemd`, `launchd`, `setsid`; None when there is nothing.
        lacks: programs of Nix that are not there.
    """

    facts: HostFacts
    trusted_users: tuple[str, ...] = ()
    wants_signatures: bool | None = None
    groups: tuple[str, ...] = ()
    nix_system: str | None = None
    extra_platforms: tuple[str, ...] = ()
    supervisor: str | None = None
    lacks: tuple[str, ...] = ()

    @property
    def is_trusted(self) -> bool:
        """Whether its Nix takes paths from the account that we are, whoever signed them."""
        mine = {"*", self.facts.user, *(f"@{group}" for group in self.groups)}
        return self.facts.uid == 0 or not mine.isdisjoint(self.trusted_users)


async def examine(conn: Host, accounts: Sequence[str] = ()) -> Examined:
    """Look at a host more closely.

    Raises:
        FactsError: what came back is not what the script writes.
    """
    more = _More(conn)
    facts = await gather(more, Question(accounts=tuple(accounts), nix_version=True, elevation=True))
    said = read(more.said.splitlines())
    if "doctor.end" not in said.fields:
        raise FactsError(f"{conn.host} told what it runs, and then nothing more", details=more.said.splitlines()[-10:])
    return _examined(facts, said)


class _More:
    """A connection over which the question for facts is asked together with ours."""

    def __init__(self, conn: Host) -> None:
        self._conn = conn
        self.host = conn.host
        self.said = ""

    async def run(
        self,
        command: str | Sequence[str],
        *,
        input: bytes = b"",  # noqa: A002  (the connection's own word)
        timeout: float = 60.0,  # noqa: ASYNC109  (the connection's own word)
        elevate: bool = False,
    ) -> Completed:
        assert isinstance(command, str), "the question for facts is a script"
        script = command + part("doctor")
        done = await self._conn.run(script, input=input, timeout=timeout, elevate=elevate)
        self.said = done.stdout
        return done

    def follow(self, command: str | Sequence[str], *, elevate: bool = False) -> AsyncGenerator[str, None]:
        return self._conn.follow(command, elevate=elevate)


def _examined(facts: HostFacts, said: Said) -> Examined:
    fields = said.under("doctor.")
    signatures = fields.get("require-sigs")
    return Examined(
        facts=facts,
        trusted_users=tuple(fields.get("trusted-users", "").split()),
        wants_signatures=None if signatures is None else signatures == "true",
        groups=tuple(fields.get("groups", "").split()),
        nix_system=fields.get("system"),
        extra_platforms=tuple(fields.get("extra-platforms", "").split()),
        supervisor=fields.get("supervisor"),
        lacks=tuple(sorted(said.under("doctor.lacks."))),
    )
