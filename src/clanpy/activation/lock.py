"""The lock of a host: two controllers never change one host at the same time, and the second learns who the first is.

It is held by a small process there that lives as long as the connection. A killed controller, a lost connection and a rebooted host
all let go of it; a guard takes it over, because an activation goes on without its controller.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from clanpy.activation.errors import ActivationError, LockDeniedError, LockHeldError
from clanpy.activation.scripts import assemble
from clanpy.activation.wire import REASON_LENGTH, check_run, hundredths, number, read


if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping

    from clanpy.activation.wire import Host

ANSWER_SECONDS = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LockOwner:
    """Who wants the lock, for others to read.

    Attributes:
        owner: the person.
        host: the computer that clanpy runs on.
        run: the id of the run.
        reason: what the run does.
    """

    owner: str
    host: str
    run: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockInfo:
    """Who holds a lock. `by_guard`: an activation of that run is under way, with or without its controller."""

    owner: str
    host: str
    run: str
    reason: str
    since: datetime
    by_guard: bool

    def __str__(self) -> str:
        since = f"{self.since:%Y-%m-%d %H:%M:%S} UTC"
        what = f", {self.reason}" if self.reason else ""
        return f"{self.owner} on {self.host} (run {self.run}{what}) since {since}"


@dataclass(frozen=True, slots=True)
class HeldLock:
    """A lock that we hold. The guard is given the token, so that it and nobody else may take it over."""

    token: str


def lock_info(values: Mapping[str, str]) -> LockInfo | None:
    """What a lock file says, or None when it says nothing."""
    if "token" not in values:
        return None
    return LockInfo(
        owner=values.get("owner", ""),
        host=values.get("host", ""),
        run=values.get("run", ""),
        reason=values.get("reason", ""),
        since=datetime.fromtimestamp(number(values.get("since")) or 0, UTC),
        by_guard=values.get("kind") == "guard",
    )


@asynccontextmanager
async def lock(
    conn: Host,
    owner: LockOwner,
    *,
    wait: float = 0.0,
    steal: bool = False,
    on_wait: Callable[[LockInfo], None] | None = None,
    elevate: bool = True,
) -> AsyncIterator[HeldLock]:
    """Hold the lock of a host for the body of the `async with`. One round trip.

    Args:
        conn: the connection whose end is the end of the lock.
        owner: who we are, for others to read.
        wait: how many seconds to wait for it to become free.
        steal: take it from a controller that still holds it (never from a guard).
        on_wait: told who holds it, once for each holder, while we wait.
        elevate: lock the host as a whole, which takes root; otherwise only against other runs of the same account.

    Raises:
        LockHeldError: somebody else holds it, and went on doing so.
        LockDeniedError: we may not.
    """
    script = assemble(
        "locking",
        "lock",
        variables={
            "owner": _line(owner.owner),
            "controller": _line(owner.host),
            "run": check_run(owner.run),
            "reason": _line(owner.reason),
            "wait_for": hundredths(wait),
            "steal": steal,
        },
    )
    async with aclosing(conn.follow(script, elevate=elevate)) as lines:
        async with asyncio.timeout(wait + ANSWER_SECONDS):
            token = await _until_held(lines, conn.host, on_wait)
        yield HeldLock(token)


async def _until_held(lines: AsyncGenerator[str, None], host: str, on_wait: Callable[[LockInfo], None] | None) -> str:
    seen: list[str] = []
    async for line in lines:
        seen.append(line)
        word, _, value = line.removeprefix("@").partition("=")
        if word == "held":
            return value
        if word == "denied":
            raise LockDeniedError(
                f"the account that clanpy is on {host} may not lock it: {value} is closed to it",
                hint="let it become root there, or log in as root",
            )
        if word in {"busy", "waiting"}:
            holder = lock_info(read(seen).under("lock."))
            seen.clear()
            if holder and word == "busy":
                raise lock_held(host, holder)
            if holder and on_wait:
                on_wait(holder)
    raise ActivationError(f"{host} did not answer when it was to be locked", details=seen[-10:])


def lock_held(host: str, holder: LockInfo) -> LockHeldError:
    """The error that somebody else is at work on a host: who, and what can be done about it."""
    hint = (
        "an activation is under way there: wait for its end"
        if holder.by_guard
        else "wait for its end; if that run is known to be dead, --steal-lock takes the lock from it"
    )
    return LockHeldError(f"{host} is locked by {holder}", holder=holder, hint=hint)


def _line(text: str) -> str:
    return " ".join(text.split())[:REASON_LENGTH]
