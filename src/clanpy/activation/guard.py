"""The guard on the host: start it, follow it, answer it, ask how it ended. Each is one round trip; none needs the one before it.

A controller that was killed, or a connection that was lost, changes nothing for the guard: from a new connection the same id finds it.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from clanpy.activation.errors import FactsError, GuardError, LockDeniedError, UnknownRunError
from clanpy.activation.model import (
    Activation,
    ActivationResult,
    FollowedLine,
    FollowedPhase,
    GuardOutcome,
    Phase,
)
from clanpy.activation.scripts import SHELL, assemble, assignments, printer, records
from clanpy.activation.wire import Said, check_run, hundredths, number, read
from clanpy.ssh import RemoteCommandError


if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from clanpy.activation.facts import HostFacts
    from clanpy.activation.lock import HeldLock
    from clanpy.activation.scripts import Value
    from clanpy.activation.wire import Host

START_SECONDS = 30.0
ASK_SECONDS = 20.0
TAIL_LINES = 20

_REFUSED = {
    "exists": "a run of this name has been there already",
    "unwritable": "its state can't be written there: is the disk full, or the account not allowed to?",
    "unknown": "there is no record of that run",
    "silent": "it was started and did not begin",
}


async def start(conn: Host, activation: Activation, *, held: HeldLock | None = None, elevate: bool = True) -> str:
    """Hand an activation to a guard on the host and see it begin. The result is the id for the other functions here.

    Args:
        conn: the connection.
        activation: what to do.
        held: the lock we hold on the host: the guard takes it over, and gives it back at its end. Without it the guard takes the lock
            itself, and does nothing when somebody else has it.
        elevate: run it as root. Without it, only the home of the account itself can be activated.

    Raises:
        GuardError: it did not begin; nothing was changed.
    """
    said = await _launch(
        conn, "go", activation.id, spec=_spec(activation, held), public=_public(activation), elevate=elevate
    )
    _check_launched(conn.host, activation.id, said)
    return activation.id


async def recover(conn: Host, id_: str, *, held: HeldLock | None = None, elevate: bool = True) -> None:
    """Start a guard again that was killed, or whose host was rebooted: it brings the run to one of its ends.

    Forward if it had been confirmed and the new system runs; back otherwise. Follow it and ask for its result as usual.

    Raises:
        GuardError: it did not begin, or there is no such run.
    """
    token = "" if held is None else held.token
    said = await _launch(
        conn, "recover", check_run(id_), spec=assignments({"token": token}), public="", elevate=elevate
    )
    _check_launched(conn.host, id_, said)


async def settle(
    conn: Host, facts: HostFacts, *, held: HeldLock | None = None, elevate: bool = True
) -> tuple[ActivationResult, ...]:
    """Recover whatever is left over on a host, and wait for it: to be done with the lock in hand, before anything new is started.

    Nothing is left over as a rule, and then this takes no round trip. Raises what `recover` does.
    """
    results: list[ActivationResult] = []
    for run in facts.left_over:
        await recover(conn, run.id, held=held, elevate=elevate)
        async for _ in follow(conn, run.id, elevate=elevate):
            pass
        results.append(await result(conn, run.id, elevate=elevate))
    return tuple(results)


async def follow(
    conn: Host, id_: str, *, cursor: int = 0, elevate: bool = True
) -> AsyncGenerator[FollowedLine | FollowedPhase, None]:
    """The log of an activation from a cursor on, and the phases it comes to, until it waits for an answer, ends or is lost.

    The last one is a `FollowedPhase`: `awaiting`, `rebooting`, or one that is `ended` or `lost`.

    Raises:
        UnknownRunError: the host knows nothing of it.
    """
    script = _attach(id_, "follow", cursor=cursor)
    async with (
        aclosing(conn.follow(script, elevate=elevate)) as lines,
        aclosing(_events(lines, conn.host, id_, cursor)) as events,
    ):
        async for event in events:
            yield event


async def launch(
    conn: Host, activation: Activation, *, held: HeldLock | None = None, elevate: bool = True
) -> AsyncGenerator[FollowedLine | FollowedPhase, None]:
    """`start` and `follow` in one round trip. The first thing comes when the guard has begun: `starting`.

    Raises:
        GuardError: it did not begin; nothing was changed.
    """
    id_ = activation.id
    texts = _texts(_spec(activation, held), _public(activation))
    script = assemble("start", "attach", variables={"mode": "go", **_asked(id_, "follow")}, before=texts)
    async with aclosing(conn.follow(script, elevate=elevate)) as lines:
        _check_launched(conn.host, id_, await _beginning(lines))
        yield FollowedPhase(Phase.STARTING)
        async with aclosing(_events(lines, conn.host, id_, 0)) as events:
            async for event in events:
                yield event


async def _beginning(lines: AsyncGenerator[str, None]) -> Said:
    """What is said until a guard has begun, or why there is none."""
    said: list[str] = []
    try:
        async with asyncio.timeout(START_SECONDS):
            async for line in lines:
                said.append(line)
                if line.startswith(("@started=", "@refused=")):
                    break
    except RemoteCommandError as error:
        said += [f"|{line}" for line in error.details]
    return read(said)


async def _events(
    lines: AsyncGenerator[str, None], host: str, id_: str, cursor: int
) -> AsyncGenerator[FollowedLine | FollowedPhase, None]:
    phase = FollowedPhase(Phase.STARTING)
    async for line in lines:
        name, _, value = line.partition("=")
        match name:
            case "@phase":
                phase = FollowedPhase(_phase(value))
                if phase.phase not in {Phase.AWAITING, Phase.REBOOTING}:
                    yield phase
            case "@stopped":
                yield FollowedPhase(phase.phase, ended=value == "ended", lost=value == "lost")
                return
            case "@unknown":
                raise _unknown(host, id_)
            case _ if line.startswith("|"):
                cursor += 1
                yield FollowedLine(line[1:], cursor)


async def confirm(fresh: Host, id_: str, *, wait: float = 120.0, elevate: bool = True) -> ActivationResult:
    """Tell a guard that all is well, over a connection that was opened after the activation: that is what it proves.

    Waits for the guard's end for at most `wait` seconds; then `outcome` is None. The answer may come too late: the result tells.
    Where the host is rebooted now, `outcome` is None too, and the new boot wants a confirmation of its own.

    Raises:
        UnknownRunError: the host knows nothing of it.
        LockDeniedError: the account may not answer it.
    """
    script = _attach(id_, "answer", answer="confirm", wait=wait)
    return await _answer(fresh, id_, script, wait, elevate=elevate)


async def revert(conn: Host, id_: str, reason: str, *, wait: float = 120.0, elevate: bool = True) -> ActivationResult:
    """Tell a guard to go back, and why (`gate_failed`, `asked`, or words of one's own). Otherwise as `confirm`.

    An activation that is under way is not interrupted: the guard goes back after it.
    """
    script = _attach(id_, "answer", answer="revert", reason=" ".join(reason.split()) or "asked", wait=wait)
    return await _answer(conn, id_, script, wait, elevate=elevate)


async def condemn(conn: Host, id_: str, *, elevate: bool = True) -> ActivationResult:
    """Have the host remember that the path of a run failed there, which its guard could not know. Otherwise as `result`."""
    done = await conn.run(SHELL, input=_attach(id_, "condemn").encode(), timeout=ASK_SECONDS, elevate=elevate)
    return _result(conn.host, id_, read(done.stdout.splitlines()))


async def prolong(conn: Host, id_: str, *, elevate: bool = True) -> ActivationResult:
    """Tell a guard that its controller is there and not done looking: its time for the confirmation begins anew. Otherwise as `confirm`."""
    return await _answer(conn, id_, _attach(id_, "answer", answer="wait"), 0.0, elevate=elevate)


async def result(conn: Host, id_: str, *, elevate: bool = True, tail: int = TAIL_LINES) -> ActivationResult:
    """How an activation ended, or how far it has come.

    Raises:
        UnknownRunError: the host knows nothing of it.
    """
    script = _attach(id_, "report", tail=tail)
    done = await conn.run(script, timeout=ASK_SECONDS, elevate=elevate)
    return _result(conn.host, id_, read(done.stdout.splitlines()))


async def preview(conn: Host, activation: Activation, *, wait: float = 120.0, elevate: bool = True) -> tuple[str, ...]:
    """The lines that the path itself writes about what its activation would do; none for darwin. Changes nothing.

    Raises:
        FactsError: it could not be run there.
    """
    variables = _facts_of(activation)
    script = assemble("classes", "preview", variables=variables)
    done = await conn.run(SHELL, input=script.encode(), timeout=wait, elevate=elevate)
    said = read(done.stdout.splitlines())
    if said.fields.get("end") != "preview":
        raise FactsError(f"{conn.host} could not say what the activation would do", details=said.lines)
    return said.lines


def guard_text() -> str:
    """The whole script of the guard, as it lies on a host while it runs."""
    return assemble("locking", "classes", "limit", "reboot", "secrets", "guard", variables={})


def _facts_of(activation: Activation) -> dict[str, Value]:
    return {
        "kind": activation.kind,
        "class": activation.class_,
        "account": activation.account or "",
        "new": activation.new,
        "live": activation.live,
        "person": activation.primary_user or "",
        "backup": activation.backup_extension,
    }


def _spec(activation: Activation, held: HeldLock | None) -> str:
    owner = activation.owner
    return assignments(
        {
            **_facts_of(activation),
            "id": activation.id,
            "run": activation.run,
            "slot": activation.slot,
            "goal": activation.goal.value,
            "reboot": activation.reboot,
            "generation": activation.generation or "",
            "confirm_within": hundredths(activation.confirm_within),
            "activate_within": hundredths(activation.activate_within),
            "bootloader": activation.install_bootloader,
            "keep": activation.keep,
            "owner": owner.owner,
            "controller": owner.host,
            "reason": owner.reason,
            "token": "" if held is None else held.token,
        }
    )


def _public(activation: Activation) -> str:
    owner = activation.owner
    values: Mapping[str, Value] = {
        "slot": activation.slot,
        "run": activation.run,
        "class": activation.class_,
        "goal": activation.goal.value,
        "new": activation.new,
        "owner": owner.owner,
        "controller": owner.host,
        "purpose": owner.reason,
    }
    return records(values)


async def _launch(conn: Host, mode: str, id_: str, *, spec: str, public: str, elevate: bool) -> Said:
    script = _texts(spec, public) + assemble("start", variables={"mode": mode, "id": id_})
    done = await conn.run(SHELL, input=script.encode(), timeout=START_SECONDS, elevate=elevate)
    return read([*done.stdout.splitlines(), *(f"|{line}" for line in done.stderr.splitlines())])


def _texts(spec: str, public: str) -> str:
    return printer("spec_text", spec) + printer("public_text", public) + printer("guard_text", guard_text())


def _check_launched(host: str, id_: str, said: Said) -> None:
    if said.fields.get("started") == id_:
        return
    why = said.fields.get("refused", "")
    raise GuardError(
        f"the guard of run {id_} could not be started on {host}: {_REFUSED.get(why, 'its shell gave no answer')}",
        details=said.lines[-TAIL_LINES:],
    )


def _attach(
    id_: str, act: str, *, cursor: int = 0, answer: str = "", reason: str = "", wait: float = 0, tail: int = TAIL_LINES
) -> str:
    asked = _asked(id_, act, cursor=cursor, answer=answer, reason=reason, wait=wait, tail=tail)
    return assemble("attach", variables=asked)


def _asked(
    id_: str, act: str, *, cursor: int = 0, answer: str = "", reason: str = "", wait: float = 0, tail: int = TAIL_LINES
) -> dict[str, Value]:
    return {
        "id": check_run(id_),
        "act": act,
        "cursor": cursor,
        "answer": answer,
        "reason": reason,
        "wait_for": hundredths(wait),
        "tail_lines": tail,
    }


async def _answer(conn: Host, id_: str, script: str, wait: float, *, elevate: bool) -> ActivationResult:
    async with asyncio.timeout(wait + 2 * ASK_SECONDS):
        done = await conn.run(script, timeout=wait + ASK_SECONDS, elevate=elevate)
    said = read(done.stdout.splitlines())
    if "denied" in said.fields:
        raise LockDeniedError(f"the account that clanpy is on {conn.host} may not answer the guard of run {id_}")
    return _result(conn.host, id_, said)


def _result(host: str, id_: str, said: Said) -> ActivationResult:
    fields = said.fields
    if "unknown" in fields:
        raise _unknown(host, id_)
    if fields.get("end") != "report":
        raise FactsError(f"{host} could not say how run {id_} ended", details=said.lines[-TAIL_LINES:])
    return ActivationResult(
        id=id_,
        class_=fields.get("class", ""),
        phase=_phase(fields.get("phase", "")),
        # The state names an outcome a moment before the result does; the result alone has an end.
        outcome=GuardOutcome(fields["outcome"]) if "finished" in fields else None,
        reason=fields.get("reason", ""),
        code=number(fields.get("code")),
        running=fields.get("running") or None,
        new=fields.get("new", ""),
        previous=fields.get("previous") or None,
        alive=fields.get("alive") == "1",
        boot=fields.get("now", ""),
        began_in=fields.get("boot", ""),
        log_tail=said.lines,
    )


def _phase(text: str) -> Phase:
    return Phase(text) if text in set(Phase) else Phase.STARTING


def _unknown(host: str, id_: str) -> UnknownRunError:
    return UnknownRunError(f"{host} knows nothing of run {id_}")
