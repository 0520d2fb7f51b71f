"""Making a path live on a host: the dialogue with the guard there, over connections that may break at any moment."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from clanpy.activation import (
    Activation,
    ActivationResult,
    FollowedLine,
    FollowedPhase,
    GuardOutcome,
    HeldLock,
    Phase,
    confirm,
    follow,
    recover,
    result,
    start,
)
from clanpy.deployment.errors import ActivationFailedError, LostSightError, RolledBackError, StuckError
from clanpy.events import Stage
from clanpy.ssh import SshError


if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from clanpy.deployment.reach import Reach
    from clanpy.deployment.run import HostRun
    from clanpy.ssh import Connection

_T = TypeVar("_T")

GRACE = 60.0  # seconds beyond the guard's own limits in which we go on looking for the host
PAUSE = 0.5  # seconds between two attempts to reach it
COMMIT_SECONDS = 120.0  # for profile and boot entry after the confirmation
MAX_RECOVERIES = 2
TAIL_LINES = 20
MARK = "clanpy: "  # how the guard's own lines in the log begin


@dataclass(slots=True, kw_only=True)
class Guarded:
    """One activation on one host, from its start to its result.

    Attributes:
        reach: the ways to the host. They are dialled anew for the confirmation, and whenever the connection breaks.
        conn: the connection the activation is begun over.
    """

    host: HostRun
    reach: Reach
    conn: Connection
    activation: Activation
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _cursor: int = field(default=0, init=False)
    _heard: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL_LINES), init=False)
    _is_going_back: bool = field(default=False, init=False)
    _recoveries: int = field(default=0, init=False)

    @property
    def _what(self) -> str:
        return "the system" if self.activation.account is None else f"the home of {self.activation.account}"

    async def run(self, held: HeldLock) -> ActivationResult:
        """Activate, confirm over a fresh connection, and say how it ended.

        Raises:
            RolledBackError, ActivationFailedError, StuckError, LostSightError: it did not end well.
            GuardError: it did not begin.
        """
        limits = self.activation
        try:
            async with asyncio.timeout(2 * limits.activate_within + limits.confirm_within + COMMIT_SECONDS + 3 * GRACE):
                return await self._run(held)
        except TimeoutError as error:
            raise self._lost_sight("did not come to an end in time") from error

    async def _run(self, held: HeldLock) -> ActivationResult:
        with self.host.stage(Stage.ACTIVATE):
            await start(self.conn, self.activation, held=held)
            ended = await self._ended()
            if ended is not None:
                return self._judged(ended)
        with self.host.stage(Stage.CONFIRM) as note:
            ended = await self._confirm()
            note.text = "over a fresh connection"
            return self._judged(ended)

    async def mend(self, held: HeldLock) -> ActivationResult:
        """Bring an activation to an end whose guard was killed, or whose host was rebooted, and say to which."""
        try:
            async with asyncio.timeout(2 * self.activation.activate_within + 3 * GRACE):
                await recover(self.conn, self.activation.id, held=held)
                return await self._ended() or await self._confirm()
        except TimeoutError as error:
            raise self._lost_sight("could not be brought to an end in time") from error

    async def _ended(self) -> ActivationResult | None:
        """How it ended without us; None when it waits for our word."""
        last = await self._watch()
        if last.phase is Phase.AWAITING and not last.ended and not last.lost:
            return None
        return await self._result()

    async def _watch(self) -> FollowedPhase:
        """Follow the guard until it waits for us or is at its end, over as many connections as it takes."""
        try:
            return await self._follow(self.conn)
        except SshError as error:
            self.host.note(f"looking for the host again: {error.message}", level="warning", stage=Stage.ACTIVATE)
        return await self._over_fresh(self._follow, self.activation.activate_within)

    async def _follow(self, conn: Connection) -> FollowedPhase:
        last = FollowedPhase(Phase.STARTING)
        async with aclosing(follow(conn, self.activation.id, cursor=self._cursor)) as said:
            async for item in said:
                if isinstance(item, FollowedLine):
                    self._hear(item)
                    continue
                last = item
                if item.phase is Phase.ROLLING_BACK and not item.ended:
                    self.host.note("going back", level="warning", stage=Stage.ROLLBACK)
        if last.lost and self._recoveries < MAX_RECOVERIES:
            self._recoveries += 1
            self.host.note("its guard was killed: starting it again", level="warning", stage=Stage.ACTIVATE)
            await recover(conn, self.activation.id)
            return await self._follow(conn)
        return last

    def _hear(self, line: FollowedLine) -> None:
        self._cursor = line.cursor
        self.host.log(Stage.ACTIVATE, line.text)
        if line.text.startswith(MARK):
            self._is_going_back = self._is_going_back or line.text == f"{MARK}{Phase.ROLLING_BACK}"
        elif not self._is_going_back:
            self._heard.append(line.text)

    async def _confirm(self) -> ActivationResult:
        async def say(conn: Connection) -> ActivationResult:
            return await confirm(conn, self.activation.id, wait=COMMIT_SECONDS)

        return await self._over_fresh(say, self.activation.confirm_within + COMMIT_SECONDS)

    async def _result(self) -> ActivationResult:
        try:
            return await result(self.conn, self.activation.id)
        except SshError:
            return await self._over_fresh(self._ask, GRACE)

    async def _ask(self, conn: Connection) -> ActivationResult:
        return await result(conn, self.activation.id)

    async def _over_fresh(self, act: Callable[[Connection], Awaitable[_T]], seconds: float) -> _T:
        """Do something over a new connection, and over another one as often as it breaks."""
        deadline = asyncio.get_running_loop().time() + seconds + GRACE
        while True:
            try:
                async with self.reach.connected(self.host.name) as conn:
                    return await act(conn)
            except SshError as error:
                if asyncio.get_running_loop().time() > deadline:
                    raise self._lost_sight("can't be followed: the host is out of reach since", str(error)) from error
            await self.sleep(PAUSE)

    def _judged(self, ended: ActivationResult) -> ActivationResult:
        """The result, if it is a good one."""
        if ended.outcome is GuardOutcome.CONFIRMED:
            return ended
        name, why = self.host.name, ended.why or "no reason is known"
        if self.activation.account is None:
            self.host.previous, self.host.system = ended.previous, ended.running
        # what went wrong is said before the way back begins, and that may be long
        details = tuple(self._heard) or ended.log_tail
        match ended.outcome:
            case GuardOutcome.ROLLED_BACK:
                raise RolledBackError(f"{name} went back to what ran before: {why}", details=details)
            case GuardOutcome.STUCK:
                message = f"{name} could neither go on nor back: {why}"
                raise StuckError(
                    message,
                    hint="log in and look; a reboot brings the last system that was good",
                    details=ended.log_tail,
                )
            case GuardOutcome.FAILED:
                raise ActivationFailedError(f"{self._what} was not activated on {name}: {why}", details=details)
        raise self._lost_sight("has not come to an end", *ended.log_tail)

    def _lost_sight(self, what: str, *details: str) -> LostSightError:
        name = self.host.name
        return LostSightError(
            f"the activation of {self._what} on {name} {what}; it goes back by itself where nobody confirms",
            hint=f"`clanpy machines status {name}` says where it ended",
            details=details,
        )
