"""A socket here, a command there."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import random
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from clanpy.errors import ClanpyError
from clanpy.ssh import (
    AuthenticationError,
    Bridge,
    Connection,
    ConnectionLostError,
    RemoteCommandError,
    connect,
)
from clanpy.ssh.shell import Command
from ssh.watch import gone, hear
from support.sshd import Sshd, make_key, running_sshd


both_engines = pytest.mark.parametrize("in_process", [True, False], ids=["in-process", "worker"])


@contextlib.asynccontextmanager
async def bridged(sshd: Sshd, command: Command, *, in_process: bool = True) -> AsyncIterator[Bridge]:
    async with connect(sshd.target(name="cinnabar")) as conn, conn.bridge(command, in_process=in_process) as bridge:
        yield bridge


async def exchange(bridge: Bridge, data: bytes) -> bytes:
    """Send everything, say so, and read to the end, both at the same time."""
    reader, writer = await asyncio.open_unix_connection(str(bridge))

    async def send() -> None:
        writer.write(data)
        await writer.drain()
        writer.write_eof()

    async with asyncio.TaskGroup() as group:
        group.create_task(send())
        received = await reader.read()
    writer.close()
    await writer.wait_closed()
    return received


@both_engines
async def test_a_stream_goes_there_and_comes_back_whole(sshd: Sshd, in_process: bool) -> None:
    data = random.Random(1).randbytes(20 << 20)

    async with bridged(sshd, "cat", in_process=in_process) as bridge:
        assert await exchange(bridge, data) == data

    assert (bridge.sent, bridge.received) == (len(data), len(data))
    assert bridge.failures == []


async def test_each_connection_is_a_command_of_its_own(sshd: Sshd) -> None:
    messages = [random.Random(n).randbytes(200_000) for n in range(12)]

    async with bridged(sshd, "cat") as bridge, asyncio.TaskGroup() as group:
        tasks = [group.create_task(exchange(bridge, data)) for data in messages]

    assert [task.result() for task in tasks] == messages


async def test_the_end_of_what_we_send_is_not_the_end_of_what_we_hear(sshd: Sshd) -> None:
    data = random.Random(2).randbytes(1 << 20)

    async with bridged(sshd, "sha256sum") as bridge:
        heard = await exchange(bridge, data)

    assert heard.split()[0].decode() == hashlib.sha256(data).hexdigest()


async def test_bytes_are_counted_as_they_go(sshd: Sshd) -> None:
    counted: list[int] = []

    async with connect(sshd.target()) as conn:
        async with conn.bridge("cat >/dev/null", on_bytes=counted.append) as bridge:
            await exchange(bridge, bytes(3 << 20))
        assert sum(counted) == bridge.sent == conn.bytes_sent == 3 << 20

    assert bridge.received == 0


async def test_who_reads_slowly_holds_up_the_host_and_not_our_memory(sshd: Sshd) -> None:
    async with connect(sshd.target()) as conn, conn.bridge("head -c 60000000 /dev/zero") as bridge:
        reader, writer = await asyncio.open_unix_connection(str(bridge), limit=1 << 16)
        await reader.readexactly(1)

        assert await _settled(conn, lambda: bridge.received) < 10 << 20

        rest = 1
        while piece := await reader.read(1 << 20):
            rest += len(piece)
        writer.close()

    assert rest == bridge.received == 60_000_000


async def test_a_host_that_reads_slowly_holds_up_who_writes(sshd: Sshd, fifo: Path) -> None:
    async with connect(sshd.target()) as conn, conn.bridge(f"read go <{fifo}; cat >/dev/null") as bridge:
        reader, writer = await asyncio.open_unix_connection(str(bridge))
        writer.write(bytes(40 << 20))

        assert await _settled(conn, lambda: bridge.sent) < 10 << 20

        await asyncio.to_thread(fifo.write_text, "go\n")
        await writer.drain()
        writer.write_eof()
        await reader.read()
        writer.close()

    assert bridge.sent == 40 << 20


async def test_the_socket_is_private_short_and_gone_afterwards(sshd: Sshd) -> None:
    async with bridged(sshd, "cat") as bridge:
        path = bridge.path
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert len(os.fsencode(path)) < 104
        assert f"unix://{bridge}" == f"unix://{path}"
        assert os.fspath(bridge) == str(path)

    assert not path.parent.exists()


@both_engines
async def test_leaving_closes_what_is_open_on_both_sides(sshd: Sshd, fifo: Path, in_process: bool) -> None:
    async with bridged(sshd, f"echo $$ >{fifo}; exec cat", in_process=in_process) as bridge:
        reader, writer = await asyncio.open_unix_connection(str(bridge))
        pid = int(await hear(fifo))

    assert await reader.read() == b""
    await gone(pid)
    writer.close()
    assert not bridge.path.parent.exists()


async def test_a_program_that_is_killed_here_ends_the_command_there(sshd: Sshd, fifo: Path) -> None:
    async with bridged(sshd, f"echo $$ >{fifo}; exec cat") as bridge:
        _, writer = await asyncio.open_unix_connection(str(bridge))
        pid = int(await hear(fifo))
        writer.transport.abort()
        await gone(pid)

    assert bridge.failures == []


@both_engines
async def test_a_failure_of_the_body_is_explained_by_the_command_that_failed(sshd: Sshd, in_process: bool) -> None:
    with pytest.raises(RemoteCommandError) as caught:
        await _fail_in_body(sshd, "echo no daemon here >&2; exit 5", in_process=in_process)

    assert "failed on cinnabar with status 5" in caught.value.message
    assert caught.value.details == ("no daemon here",)
    assert str(caught.value.__cause__) == "the copy failed"


async def test_a_failure_of_the_body_by_itself_stays_what_it_is(sshd: Sshd) -> None:
    with pytest.raises(ClanpyError, match="the copy failed"):
        await _fail_in_body(sshd, "cat", in_process=True)


@both_engines
async def test_a_connection_lost_in_the_middle_is_the_reason_told(tmp_path: Path, fifo: Path, in_process: bool) -> None:
    with running_sshd(tmp_path / "sshd") as server, pytest.raises(ConnectionLostError, match="to cinnabar was lost"):
        await _lose_in_body(server, fifo, in_process=in_process)


async def test_a_worker_that_is_not_let_in_says_why(sshd: Sshd, tmp_path: Path) -> None:
    stranger = make_key(tmp_path / "stranger")

    async with connect(sshd.target(name="cinnabar")) as conn:
        conn.target = sshd.target(name="cinnabar", identity_files=(stranger,))
        with pytest.raises(AuthenticationError, match="cinnabar let none of our keys in"):
            async with conn.bridge("cat", in_process=False):
                pass


async def test_a_worker_that_dies_is_told(sshd: Sshd) -> None:
    with pytest.raises(ConnectionLostError, match="the bridge to cinnabar has ended by itself"):
        await _kill_worker(sshd)


async def test_a_bridge_needs_no_channel_until_it_is_used(sshd: Sshd) -> None:
    async with connect(sshd.target()) as conn:
        async with conn.bridge("cat") as bridge:
            assert conn.round_trips == 0
            await exchange(bridge, b"x")
        assert conn.round_trips == 1


async def _settled(conn: Connection, count: Callable[[], int]) -> int:
    """A count of bytes when it no longer grows while commands come and go on the same connection."""
    before, now = -1, count()
    while before != now:
        for _ in range(5):
            await conn.run("true")
        before, now = now, count()
    return now


async def _fail_in_body(sshd: Sshd, command: str, *, in_process: bool) -> None:
    async with bridged(sshd, command, in_process=in_process) as bridge:
        await exchange(bridge, b"")
        raise ClanpyError("the copy failed")


async def _lose_in_body(sshd: Sshd, fifo: Path, *, in_process: bool) -> None:
    async with bridged(sshd, f"echo $$ >{fifo}; exec cat", in_process=in_process) as bridge:
        reader, writer = await asyncio.open_unix_connection(str(bridge))
        await hear(fifo)
        for pid in sshd.children():
            os.kill(pid, 9)
        assert await reader.read() == b""
        writer.close()
        raise ClanpyError("the copy failed")


async def _kill_worker(sshd: Sshd) -> None:
    async with bridged(sshd, "cat", in_process=False) as bridge:
        reader, writer = await asyncio.open_unix_connection(str(bridge))
        for pid in _workers():
            os.kill(pid, 9)
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()
        raise ClanpyError("the copy failed")


def _workers() -> list[int]:
    """Our own children that serve a bridge."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [int(pid) for pid in children if b"clanpy.ssh.bridge_worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]


@pytest.mark.nix
@both_engines
async def test_nix_copies_a_path_through_a_bridge_and_knows_that_it_is_there(
    sshd: Sshd, tmp_path: Path, in_process: bool
) -> None:
    payload = tmp_path / "payload"
    payload.mkdir()
    (payload / "big").write_bytes(random.Random(3).randbytes(4 << 20))
    path = await _nix("store", "add-path", "--store", f"{tmp_path}/here", str(payload))
    # NIX_REMOTE and not --store: the daemon of Nix 2.8 takes no such option.
    daemon = f"NIX_REMOTE={tmp_path}/there NIX_CONFIG='build-users-group =' exec nix-daemon --stdio"

    async with bridged(sshd, daemon, in_process=in_process) as bridge:
        copy = ("copy", "--no-check-sigs", "--from", f"{tmp_path}/here", "--to", f"unix://{bridge}", path)
        await _nix(*copy)
        await bridge.settle()
        first = bridge.sent
        await _nix(*copy)
        await bridge.settle()

    assert first > 4 << 20
    assert bridge.sent - first < 10_000
    assert await _nix("path-info", "--store", f"{tmp_path}/there", path) == path
    assert bridge.failures == []


@pytest.mark.nix
async def test_a_copy_to_a_host_without_nix_says_so(sshd: Sshd, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    path = await _nix("store", "add-path", "--store", f"{tmp_path}/here", str(tmp_path / "file"))

    with pytest.raises(RemoteCommandError) as caught:
        await _copy_to_nobody(sshd, tmp_path, path)

    assert caught.value.status == 127
    assert "not found" in caught.value.details[-1]


async def _copy_to_nobody(sshd: Sshd, tmp_path: Path, path: str) -> None:
    async with bridged(sshd, ["no-nix-daemon", "--stdio"]) as bridge:
        await _nix("copy", "--no-check-sigs", "--from", f"{tmp_path}/here", "--to", f"unix://{bridge}", path)


async def _nix(*arguments: str) -> str:
    config = "experimental-features = nix-command flakes\nsubstituters =\nbuild-users-group ="
    process = await asyncio.create_subprocess_exec(
        "nix",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "NIX_CONFIG": config},
    )
    out, said = await process.communicate()
    if process.returncode:
        raise ClanpyError(f"nix {arguments[0]} failed: {said.decode()}")
    return out.decode().strip()
