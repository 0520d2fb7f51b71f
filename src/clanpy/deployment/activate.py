"""Making a path live on a host: the dialogue with the guard there, over connections that may break at any moment."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from clanpy.activation import (
    GATE_FAILED,
    GATE_UNDECIDED,
    Activation,
    ActivationError,
    ActivationResult,
    FollowedLine,
    FollowedPhase,
    GuardError,
    GuardOutcome,
    HeldLock,
    Phase,
    SwitchStatus,
    condemn,
    confirm,
    follow,
    launch,
    prolong,
    recover,
    result,
    revert,
)
from clanpy.deployment.errors import (
    ActivationFailedError,
    LostSightError,
    NotBackError,
    RebootNeededError,
    RolledBackError,
    StuckError,
    SwitchUnderWayError,
)
from clanpy.events import Stage
from clanpy.rollout.gates import GateVerdict
from clanpy.rollout.outcome import unwrapped
from clanpy.ssh import SshError


if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from clanpy.deployment.gates import Gates
    from clanpy.deployment.reach import Reach
    from clanpy.deployment.run import HostRun
    from clanpy.errors import ClanpyError
    from clanpy.ssh import Connection

_T = TypeVar("_T")

GRACE = 60.0  # seconds beyond the guard's own limits in which we go on looking for the host
PAUSE = 0.5  # seconds between two attempts to reach it
COMMIT_SECONDS = 120.0  # for profile and boot entry after the confirmation
ANSWER_SECONDS = 900.0  # for a person who is asked about gates
MAX_RECOVERIES = 2
PATIENT_LOOKS = 6  # at a host that has booted, before its guard is started from here
TAIL_LINES = 20
MARK = "clanpy: "  # how the guard's own lines in the log begin


@dataclass(slots=True, kw_only=True)
class Guarded:
    """One activation on one host, from its start to its result.

    Attributes:
        reach: the ways to the host. They are dialled anew for the confirmation, and whenever the connection breaks.
        conn: the connection the activation is begun over.
        gates: what has to be passed before it is confirmed.
        reboot_within: seconds in which the host must be back, where it is rebooted.
        after_boot: what a host gets anew then, before it is confirmed.
    """

    host: HostRun
    reach: Reach
    conn: Connection
    activation: Activation
    gates: Gates | None = None
    reboot_within: float = 600.0
    after_boot: Callable[[Connection], Awaitable[None]] | None = None
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _cursor: int = field(default=0, init=False)
    _heard: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL_LINES), init=False)
    _is_going_back: bool = field(default=False, init=False)
    _recoveries: int = field(default=0, init=False)
    _has_begun: bool = field(default=False, init=False)
    _refused: str | None = field(default=None, init=False)
    _address: str = field(default="", init=False)
    _unguarded: int = field(default=0, init=False)

    @property
    def _what(self) -> str:
        return "the system" if self.activation.account is None else f"the home of {self.activation.account}"

    async def run(self, held: HeldLock) -> ActivationResult:
        """Activate, confirm over a fresh connection, and say how it ended.

        Raises:
            RolledBackError, ActivationFailedError, StuckError, LostSightError: it did not end well.
            GuardError: it did not begin.
        """
        with self._in_time("did not come to an end in time"):
            async with asyncio.timeout(self._longest):
                return await self._run(held)

    async def attach(self) -> ActivationResult:
        """The same for an activation that another controller began, which is gone.

        Raises:
            RolledBackError, ActivationFailedError, StuckError, LostSightError: it did not end well.
        """
        with self._in_time("did not come to an end in time"):
            async with asyncio.timeout(self._longest):
                return await self._run(None)

    async def mend(self, held: HeldLock) -> ActivationResult:
        """Bring an activation to an end whose guard was killed, or whose host was rebooted, and say to which."""
        with self._in_time("could not be brought to an end in time"):
            async with asyncio.timeout(self._longest):
                await recover(self.conn, self.activation.id, held=held)
                last = await self._watch()
                if _waits(last):
                    return await self._after_reboot(await self._confirm())
                return await self._after_reboot(await self._result())

    @property
    def _longest(self) -> float:
        """Seconds after which we stop looking, whatever is under way."""
        limits, gates = self.activation, self.gates.gates if self.gates else ()
        gating = max((gate.timeout for gate in gates), default=0.0) + (ANSWER_SECONDS if gates else 0.0)
        going_and_coming = 2 * limits.activate_within + limits.confirm_within + COMMIT_SECONDS + 3 * GRACE
        rebooting = 2 * self.reboot_within + limits.confirm_within + gating
        return going_and_coming + gating + rebooting

    @contextmanager
    def _in_time(self, what: str) -> Iterator[None]:
        try:
            yield
        except TimeoutError as error:
            raise self._lost_sight(what) from error

    async def _run(self, held: HeldLock | None) -> ActivationResult:
        with self.host.stage(Stage.ACTIVATE):
            last = await self._watch(held)
            if not _waits(last) and last.phase is not Phase.REBOOTING:
                return self._judged(await self._result())
        if _waits(last):
            with self.host.stage(Stage.CONFIRM) as note:
                ended = await self._confirm()
                note.text = f"over a fresh connection{self._address and f' to {self._address}'}"
                if not self._is_rebooting(ended):
                    return self._judged(await self._remembered(ended))
        else:
            ended = await self._result()
        with self.host.stage(Stage.REBOOT):
            return self._judged(await self._after_reboot(ended))

    def _is_rebooting(self, ended: ActivationResult) -> bool:
        """Whether the host goes down now, and is to be waited for."""
        return ended.outcome is None and (self.activation.reboot or ended.phase is Phase.REBOOTING)

    async def _after_reboot(self, ended: ActivationResult) -> ActivationResult:
        """How it ends where the host is rebooted now. Where it is not, it has ended already."""
        if not self._is_rebooting(ended):
            return ended
        deadline = asyncio.get_running_loop().time() + self.reboot_within
        while True:
            with suppress(SshError, GuardError):
                async with self.reach.connected(self.host.name) as conn:
                    ended = await self._ask(conn)
                    if ended.outcome is not None:
                        return ended
                    is_up = ended.phase is Phase.AWAITING or ended.has_booted
                    if is_up and (done := await self._booted(conn, ended)) is not None:
                        return done
            if asyncio.get_running_loop().time() > deadline:
                raise NotBackError(
                    f"{self.host.name} was rebooted and was not back within {self.reboot_within:.0f} s",
                    hint="where it comes up after all, it goes back by itself when nobody confirms",
                )
            await self.sleep(PAUSE)

    async def _booted(self, conn: Connection, found: ActivationResult) -> ActivationResult | None:
        """What becomes of it after the boot; None when that is not to be said yet."""
        if not found.alive:  # nothing there starts the guard again: we do; where something does, it is as well
            self._unguarded += 1
            if self._unguarded > PATIENT_LOOKS:
                await recover(conn, self.activation.id)
            return None
        if found.phase is not Phase.AWAITING:
            return None
        self.gates = self.gates.again() if self.gates else None
        if self.after_boot is not None:
            await self.after_boot(conn)
            self.after_boot = None
        ended = await self._say(conn)
        return ended if ended.outcome is not None else None

    async def _remembered(self, ended: ActivationResult) -> ActivationResult:
        """We were there, and could not reach the host: that is the path's fault, and the host is told to remember it."""
        if ended.outcome is GuardOutcome.ROLLED_BACK and ended.reason == "not_confirmed" and self._refused is None:
            with suppress(SshError, ActivationError):
                async with self.reach.connected(self.host.name) as conn:
                    await condemn(conn, self.activation.id)
        return ended

    async def _watch(self, held: HeldLock | None = None) -> FollowedPhase:
        """Follow the guard until it waits for us or is at its end, over as many connections as it takes.

        With a lock it is started for that.
        """
        self._has_begun = held is None
        try:
            return await self._follow(self.conn, held)
        except SshError as error:
            if not self._has_begun:
                raise
            self.host.note(f"looking for the host again: {error.message}", level="warning", stage=Stage.ACTIVATE)
        return await self._over_fresh(self._follow, self.activation.activate_within)

    async def _follow(self, conn: Connection, held: HeldLock | None = None) -> FollowedPhase:
        last = FollowedPhase(Phase.STARTING)
        if held is None:
            events = follow(conn, self.activation.id, cursor=self._cursor)
        else:
            events = launch(conn, self.activation, held=held)
        async with aclosing(events) as said:
            async for item in said:
                self._has_begun = True
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
        ended = await self._over_fresh(self._say, self.activation.confirm_within + COMMIT_SECONDS)
        if ended.outcome is None and not ended.alive and not self._is_rebooting(ended):
            await self._over_fresh(self._revive, self.activation.activate_within)
            return await self._result()
        return ended

    async def _revive(self, conn: Connection) -> FollowedPhase:
        """Its guard is gone, with the boot that it ran in perhaps: it is started again, and sees to an end."""
        self.host.note("its guard was killed: starting it again", level="warning", stage=Stage.CONFIRM)
        await recover(conn, self.activation.id)
        return await self._follow(conn)

    async def _say(self, conn: Connection) -> ActivationResult:
        """Say yes over a connection, or no where a gate was not passed."""
        self._address = conn.address
        if self.gates is not None and self._refused is None:
            self._refused = await self._gated(conn, self.gates)
        if self._refused is not None:
            return await revert(conn, self.activation.id, self._refused, wait=self.activation.activate_within + GRACE)
        return await confirm(conn, self.activation.id, wait=COMMIT_SECONDS)

    async def _gated(self, conn: Connection, gates: Gates) -> str | None:
        """Why it may not stay; None when it may. The guard waits for as long as we look."""
        try:
            async with asyncio.TaskGroup() as tasks:
                prolonging = tasks.create_task(self._prolong(conn), name="prolong")
                failed = await gates.decide(conn)
                prolonging.cancel()
        except BaseExceptionGroup as errors:
            raise unwrapped(errors) from errors
        if failed is None:
            return None
        word = GATE_FAILED if failed.verdict is GateVerdict.FAILED else GATE_UNDECIDED
        return f"{word} {failed.gate.name}: {failed.said}"

    async def _prolong(self, conn: Connection) -> None:
        while True:
            await self.sleep(self.activation.confirm_within / 3)
            await prolong(conn, self.activation.id)

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
        refused = self._refusal(ended)
        if refused is not None:
            raise refused
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

    def _refusal(self, ended: ActivationResult) -> ClanpyError | None:
        """The error for an activation that did not begin."""
        if ended.outcome is not GuardOutcome.FAILED:
            return None
        name, details = self.host.name, tuple(self._heard) or ended.log_tail
        match ended.status:
            case SwitchStatus.REBOOT_NEEDED:
                return RebootNeededError(
                    f"only a reboot can bring {name} {self._what}, and nothing was changed",
                    hint="--reboot does it, and goes back where it does not come up well",
                    details=details,
                )
            case SwitchStatus.SWITCH_UNDER_WAY:
                return SwitchUnderWayError(f"another activation is under way on {name}", details=details)
        return None

    def _lost_sight(self, what: str, *details: str) -> LostSightError:
        name = self.host.name
        return LostSightError(
            f"the activation of {self._what} on {name} {what}; it goes back by itself where nobody confirms",
            hint=f"`clanpy machines status {name}` says where it ended",
            details=details,
        )


def _waits(last: FollowedPhase) -> bool:
    """Whether a guard waits for our word."""
    return last.phase is Phase.AWAITING and not last.ended and not last.lost
