"""The same over a real sshd: what a lost connection leaves, and how many round trips the whole way takes."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from activation.folder import Machine, activation, owner
from clanpy.activation import (
    Activation,
    FollowedPhase,
    GuardOutcome,
    LockHeldError,
    Phase,
    Wanted,
    confirm,
    follow,
    gather,
    launch,
    lock,
    result,
    start,
)
from clanpy.ssh import Connection, SshError, connect
from support.sshd import SSHD, Sshd, running_sshd


pytestmark = pytest.mark.skipif(not Path(SSHD).exists(), reason="there is no sshd here")


@pytest.fixture
def remote(one: Machine) -> Machine:
    one.install(one.add("old"))
    return one


@pytest.fixture
def sshd(remote: Machine, tmp_path: Path) -> Iterator[Sshd]:
    env = {**remote.conn.env, "SHLVL": "9"}
    settings = " ".join(f"{name}={value}" for name, value in env.items() if name != "HOME" or os.getuid() != 0)
    with running_sshd(tmp_path / "sshd", extra=f"SetEnv {settings}") as server:
        yield server


def kill_sessions(server: Sshd) -> None:
    """The connections are lost, and the server's side of them with all it started in its own session."""
    for pid in server.children():
        os.kill(pid, signal.SIGKILL)


LOST = (SshError, OSError)


async def start_and_lose(server: Sshd, what: Activation) -> None:
    async with connect(server.target()) as conn, lock(conn, owner()) as held:
        await start(conn, what, held=held)
        kill_sessions(server)
        await conn.run("true")


async def until_free(conn: Connection) -> None:
    async with asyncio.timeout(10):
        while (await gather(conn)).lock:
            pass


async def test_an_unchanged_host_takes_one_round_trip(remote: Machine, sshd: Sshd) -> None:
    async with connect(sshd.target()) as conn:
        facts = await gather(conn)
        assert facts.differs(Wanted(system=remote.running)) == ()
        assert conn.round_trips == 1


async def test_the_whole_way_takes_four_round_trips(remote: Machine, sshd: Sshd) -> None:
    new = remote.add("new")
    async with connect(sshd.target()) as conn:
        assert (await gather(conn)).differs(Wanted(system=new)) == ("system",)
        async with lock(conn, owner()) as held:
            events = [event async for event in launch(conn, activation(new), held=held)]
            assert isinstance(events[-1], FollowedPhase)
            assert events[-1].phase is Phase.AWAITING
            async with connect(sshd.target()) as fresh:
                done = await confirm(fresh, "run-1")
                trips = conn.round_trips + fresh.round_trips
    assert done.outcome is GuardOutcome.CONFIRMED
    assert (remote.running, remote.profile, remote.boot_entry) == (new, new, new)
    assert trips == 4


async def test_two_controllers_do_not_meet_on_a_host(sshd: Sshd) -> None:
    async with connect(sshd.target()) as ann, connect(sshd.target()) as bob:
        async with lock(ann, owner()):
            with pytest.raises(LockHeldError, match="is locked by ann on laptop"):
                async with lock(bob, owner("run-2", "bob")):
                    pass
        await until_free(bob)
        async with lock(bob, owner("run-2", "bob")):
            pass


async def test_a_controller_that_is_gone_holds_no_lock(sshd: Sshd) -> None:
    async with connect(sshd.target()) as bob:

        async def ann() -> None:
            async with connect(sshd.target()) as conn, lock(conn, owner()):
                assert (await gather(bob)).lock
                conn._client.abort()
                await conn.run("true")

        with pytest.raises(LOST):
            await ann()
        await until_free(bob)


async def test_a_server_whose_sessions_are_killed_keeps_no_lock(sshd: Sshd) -> None:
    async def ann() -> None:
        async with connect(sshd.target()) as conn, lock(conn, owner()):
            kill_sessions(sshd)
            await conn.run("true")

    with pytest.raises(LOST):
        await ann()
    async with connect(sshd.target()) as bob:
        await until_free(bob)


async def test_an_activation_goes_on_when_the_session_that_started_it_is_killed(remote: Machine, sshd: Sshd) -> None:
    new = remote.add("new", "slow")
    with pytest.raises(LOST):
        await start_and_lose(sshd, activation(new))
    async with connect(sshd.target()) as again:
        left = (await gather(again)).runs["system"]
        assert (left.id, left.pending, left.alive) == ("run-1", True, True)
        with pytest.raises(LockHeldError):
            async with lock(again, owner("run-2", "bob")):
                pass
        phases = [event.phase async for event in follow(again, left.id) if isinstance(event, FollowedPhase)]
        assert phases[-1] is Phase.AWAITING
        async with connect(sshd.target()) as fresh:
            assert (await confirm(fresh, left.id)).outcome is GuardOutcome.CONFIRMED
    assert (remote.running, remote.profile) == (new, new)


async def test_a_host_that_nobody_confirms_goes_back_without_its_controller(remote: Machine, sshd: Sshd) -> None:
    old, new = remote.running, remote.add("new")
    with pytest.raises(LOST):
        await start_and_lose(sshd, activation(new, confirm_within=0.2))
    async with connect(sshd.target()) as again:
        assert [event async for event in follow(again, "run-1")]
        async with asyncio.timeout(10):
            while (done := await result(again, "run-1")).outcome is None:
                pass
        assert (done.outcome, done.reason) == (GuardOutcome.ROLLED_BACK, "not_confirmed")
        await until_free(again)
    assert (remote.running, remote.profile, remote.boot_entry) == (old, old, old)
