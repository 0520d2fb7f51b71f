"""The lock of a host: one at a time, and the others learn who it is."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import AsyncExitStack

import pytest

from activation.folder import Machine, activation, owner
from clanpy.activation import (
    ActivationError,
    GuardOutcome,
    LockDeniedError,
    LockHeldError,
    LockInfo,
    LockOwner,
    confirm,
    follow,
    gather,
    lock,
    revert,
    start,
)
from clanpy.errors import ExitCode


async def until_free(machine: Machine) -> None:
    async with asyncio.timeout(5):
        while (await gather(machine.conn)).lock:
            pass


async def test_the_second_learns_who_the_first_is(machine: Machine) -> None:
    async with lock(machine.conn, LockOwner(owner="ann", host="laptop", run="run-1", reason="machines update")):
        with pytest.raises(LockHeldError) as caught:
            async with lock(machine.conn, owner("run-2", "bob")):
                pass
    error = caught.value
    assert error.message.startswith("folder is locked by ann on laptop (run run-1, machines update) since 20")
    assert (error.code, error.exit_code) == ("CP0410", ExitCode.CONFLICT)
    assert (error.holder.owner, error.holder.host, error.holder.run) == ("ann", "laptop", "run-1")
    assert machine.conn.round_trips == 2


async def test_it_is_let_go_at_the_end_and_nothing_is_left_behind(machine: Machine) -> None:
    for number in range(3):
        async with lock(machine.conn, owner(f"run-{number}")):
            assert (await gather(machine.conn)).lock
        await until_free(machine)
    assert len(list(machine.locks.iterdir())) == 1
    assert not machine.processes()


async def test_it_is_let_go_when_its_connection_is_killed(machine: Machine) -> None:
    """Not even a chance to clean up: everything of the session is killed at once."""
    async with lock(machine.conn, owner()):
        machine.conn.kill_sessions()
        async with lock(machine.conn, owner("run-2", "bob"), wait=5):
            held = (await gather(machine.conn)).lock
    assert held
    assert held.owner == "bob"


async def test_one_waits_for_it_and_says_for_whom(machine: Machine) -> None:
    told: list[LockInfo] = []
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(lock(machine.conn, owner()))

        def on_wait(info: LockInfo) -> None:
            told.append(info)
            asyncio.get_running_loop().call_soon(machine.conn.kill_first)

        async with lock(machine.conn, owner("run-2", "bob"), wait=10, on_wait=on_wait):
            pass
    assert [info.run for info in told] == ["run-1"]


async def test_waiting_has_an_end(one: Machine) -> None:
    async with lock(one.conn, owner()):
        with pytest.raises(LockHeldError):
            async with lock(one.conn, owner("run-2"), wait=0.2):
                pass


async def test_of_many_who_come_at_once_exactly_one_gets_it(machine: Machine) -> None:
    """Over the remains of a holder that was killed, which is where two takers could both believe that they are first."""
    inside = 0
    answers: list[int] = []

    async def come(number: int) -> bool:
        nonlocal inside
        try:
            async with lock(machine.conn, owner(f"run-{number}")):
                inside += 1
                assert inside == 1
                await all_answered.wait()
                inside -= 1
                return True
        except LockHeldError:
            return False
        finally:
            answers.append(number)
            if len(answers) == 5:
                all_answered.set()

    for _ in range(3):
        all_answered = asyncio.Event()
        answers.clear()
        async with lock(machine.conn, owner("dead")):
            machine.conn.kill_sessions()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(come(number)) for number in range(6)]
        assert sorted(task.result() for task in tasks) == [False] * 5 + [True]


async def test_a_lock_of_another_boot_is_none(machine: Machine) -> None:
    async with lock(machine.conn, owner()):
        (file,) = machine.locks.glob("lock.*")
        text = file.read_text()
        file.write_text(
            "".join("boot=another\n" if line.startswith("boot=") else line for line in text.splitlines(True))
        )
        async with lock(machine.conn, owner("run-2")):
            pass


async def test_another_process_with_the_holders_number_is_not_the_holder(one: Machine) -> None:
    async with lock(one.conn, owner()):
        (file,) = one.locks.glob("lock.*")
        text = file.read_text()
        file.write_text(
            "".join("started=1\n" if line.startswith("started=") else line for line in text.splitlines(True))
        )
        async with lock(one.conn, owner("run-2")):
            pass


async def test_a_lock_that_was_taken_away_is_not_let_go_by_its_former_holder(machine: Machine) -> None:
    async with lock(machine.conn, owner("run-1")) as first:
        stack = AsyncExitStack()
        await stack.enter_async_context(lock(machine.conn, owner("run-2", "bob"), steal=True))
        assert first.token.startswith("run-1.")
    async with stack:
        held = (await gather(machine.conn)).lock
        assert held
        assert held.run == "run-2"


async def test_the_guard_takes_it_over_and_gives_it_back(machine: Machine) -> None:
    machine.install(machine.add("old"))
    async with lock(machine.conn, owner()) as held:
        await start(machine.conn, activation(machine.add("new")), held=held)
        assert [event async for event in follow(machine.conn, "run-1")]
        during = (await gather(machine.conn)).lock
        await confirm(machine.conn, "run-1")
        after = (await gather(machine.conn)).lock
    assert during
    assert after
    assert (during.by_guard, after.by_guard, after.run) == (True, False, "run-1")
    await until_free(machine)


async def test_a_guard_keeps_it_when_its_controller_is_gone(machine: Machine) -> None:
    machine.install(machine.add("old"))
    async with lock(machine.conn, owner()) as held:
        await start(machine.conn, activation(machine.add("new")), held=held)
        machine.conn.kill_sessions()
    with pytest.raises(LockHeldError, match="ann on laptop") as caught:
        async with lock(machine.conn, owner("run-2"), steal=True):  # nobody steals from a guard
            pass
    assert caught.value.holder.by_guard
    assert caught.value.hint == "an activation is under way there: wait for its end"
    assert (await revert(machine.conn, "run-1", "asked")).outcome is GuardOutcome.ROLLED_BACK
    assert (await gather(machine.conn)).lock is None


async def test_a_guard_that_is_killed_holds_nothing(one: Machine) -> None:
    one.install(one.add("old"))
    await start(one.conn, activation(one.add("new")))
    assert [event async for event in follow(one.conn, "run-1")]
    os.kill(int(one.state("run-1")["pid"]), signal.SIGKILL)
    async with lock(one.conn, owner("run-2")):
        pass


async def test_where_no_lock_can_be_kept_it_is_said(machine: Machine) -> None:
    machine.locks.parent.mkdir(parents=True, exist_ok=True)
    machine.locks.write_text("a file is in the way")
    with pytest.raises(LockDeniedError, match="may not lock it"):
        async with lock(machine.conn, owner()):
            pass


async def test_a_host_that_says_nothing_is_an_error(one: Machine) -> None:
    one.conn.shell = "/bin/true"
    with pytest.raises(ActivationError, match="folder did not answer"):
        async with lock(one.conn, owner()):
            pass


@pytest.mark.parametrize("run", ["", "a b", "../x", ".x", "x" * 97, "-x"])
async def test_a_run_has_a_name_that_can_be_a_files(one: Machine, run: str) -> None:
    with pytest.raises(ActivationError, match="can't be the id of a run"):
        async with lock(one.conn, LockOwner(owner="ann", host="laptop", run=run)):
            pass


async def test_what_a_person_writes_stays_on_one_line(one: Machine) -> None:
    strange = LockOwner(owner="ann\nboot=x", host="it's $HOME", run="run-1", reason="x" * 500)
    async with lock(one.conn, strange):
        held = (await gather(one.conn)).lock
    assert held
    assert (held.owner, held.host, len(held.reason)) == ("ann boot=x", "it's $HOME", 200)
