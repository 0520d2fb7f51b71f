"""Commands over one connection to a real sshd."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import aclosing
from pathlib import Path

import pytest

from clanpy.ssh import (
    ChannelRefusedError,
    ConnectionLostError,
    RemoteCommandError,
    RemoteTimeoutError,
    Timeouts,
    connect,
)
from ssh.watch import gone, hear
from support.sshd import Sshd, running_sshd


async def test_a_command_is_text_for_a_shell_or_words_that_need_no_quoting(sshd: Sshd) -> None:
    async with connect(sshd.target()) as conn:
        text = await conn.run("echo one; echo two >&2; exit 3")
        words = await conn.run(["printf", "%s|", "a b", "$HOME", "it's", "back\\slash", "ü\n"])

    assert (text.status, text.stdout, text.stderr) == (3, "one\n", "two\n")
    assert words.stdout == "a b|$HOME|it's|back\\slash|ü\n|"


async def test_input_of_any_bytes_reaches_the_command(sshd: Sshd) -> None:
    data = os.urandom(300_000)

    async with connect(sshd.target()) as conn:
        done = await conn.run("sha256sum", input=data)
        echoed = await conn.run("od -An -tx1 | tr -d ' \\n'", input=data[:1000])
        counted = conn.bytes_sent

    import hashlib  # noqa: PLC0415

    assert done.stdout.split()[0] == hashlib.sha256(data).hexdigest()
    assert echoed.stdout == data[:1000].hex()
    assert counted == 301_000


async def test_a_command_that_does_not_read_its_input_still_ends(sshd: Sshd) -> None:
    async with connect(sshd.target()) as conn:
        done = await conn.run("exit 4", input=bytes(8 << 20))

    assert done.status == 4


async def test_without_input_a_command_reads_nothing(sshd: Sshd) -> None:
    async with connect(sshd.target()) as conn:
        assert (await conn.run("cat; echo end")).stdout == "end\n"


async def test_check_passes_success_on_and_raises_for_failure_with_the_last_lines(sshd: Sshd) -> None:
    async with connect(sshd.target(name="cinnabar")) as conn:
        done = await conn.run("true")
        failed = await conn.run("seq 100 >&2; exit 9")

    assert done.check() is done
    with pytest.raises(RemoteCommandError) as caught:
        failed.check()
    assert caught.value.message == "a command failed on cinnabar with status 9: seq 100 >&2; exit 9"
    assert caught.value.details[-1] == "100"
    assert len(caught.value.details) == 20
    assert caught.value.status == 9


async def test_a_command_ended_by_a_signal_says_which(sshd: Sshd) -> None:
    async with connect(sshd.target()) as conn:
        done = await conn.run("kill -KILL $$")

    assert (done.status, done.signal) == (-1, "KILL")
    with pytest.raises(RemoteCommandError, match="with signal KILL"):
        done.check()


async def test_of_long_output_the_end_is_kept_and_the_rest_counted(sshd: Sshd) -> None:
    async with connect(sshd.target()) as conn:
        done = await conn.run("seq 1000000", keep=1000)

    assert len(done.stdout) == 1000
    assert done.stdout.endswith("999999\n1000000\n")
    assert done.dropped == 6_888_896 - 1000


async def test_output_that_is_no_utf8_is_no_failure(sshd: Sshd) -> None:
    async with connect(sshd.target()) as conn:
        assert (await conn.run("printf 'a\\377b'")).stdout == "a\N{REPLACEMENT CHARACTER}b"


async def test_the_quick_cipher_is_used_and_nothing_is_compressed(sshd: Sshd, home: Path) -> None:
    (home / ".ssh" / "config").write_text("Compression yes\nCiphers chacha20-poly1305@openssh.com\n")

    async with connect(sshd.target(isolated=False)) as conn:
        how = {name: conn._client.get_extra_info(name) for name in ("send_cipher", "recv_cipher", "send_compression")}

    assert how == {
        "send_cipher": "aes128-gcm@openssh.com",
        "recv_cipher": "aes128-gcm@openssh.com",
        "send_compression": "none",
    }


async def test_every_command_is_a_round_trip_and_connecting_is_none(sshd: Sshd) -> None:
    async with connect(sshd.target()) as conn:
        before = conn.round_trips
        await conn.run("true")
        await conn.run("true")
        async for _ in conn.follow("echo"):
            pass

        assert (before, conn.round_trips) == (0, 3)


async def test_many_commands_at_once_use_eight_channels_at_most(sshd: Sshd, tmp_path: Path) -> None:
    work = f"n=$(ls {tmp_path} | wc -l); touch {tmp_path}/$$; ls {tmp_path} | wc -l; sleep 0.05; rm {tmp_path}/$$"

    async with connect(sshd.target()) as conn, asyncio.TaskGroup() as group:
        tasks = [group.create_task(conn.run(work)) for _ in range(24)]

    seen = [int(task.result().stdout) for task in tasks]
    assert max(seen) <= 8
    assert all(task.result().ok for task in tasks)


async def test_a_host_that_takes_fewer_channels_gets_fewer(tmp_path: Path) -> None:
    with running_sshd(tmp_path, extra="MaxSessions 2") as sshd:
        async with connect(sshd.target()) as conn, asyncio.TaskGroup() as group:
            tasks = [group.create_task(conn.run(["echo", str(n)])) for n in range(12)]

    assert [task.result().stdout for task in tasks] == [f"{n}\n" for n in range(12)]


async def test_a_host_that_takes_no_channel_is_an_error(tmp_path: Path) -> None:
    with running_sshd(tmp_path, extra="MaxSessions 0") as sshd:
        async with connect(sshd.target()) as conn:
            with pytest.raises(ChannelRefusedError, match="refuses to run a command"):
                await conn.run("true")


async def test_a_command_that_takes_too_long_is_ended_and_shown(sshd: Sshd, fifo: Path) -> None:
    async with connect(sshd.target(name="cinnabar")) as conn:
        async with asyncio.TaskGroup() as group:
            heard = group.create_task(hear(fifo))
            with pytest.raises(RemoteTimeoutError) as caught:
                await conn.run(f"echo $$ >{fifo}; echo so far; exec sleep 1000", timeout=0.5)
        await gone(int(heard.result()))
        after = await conn.run("echo still usable")

    assert caught.value.message.startswith("a command on cinnabar did not end within 0.5 s: echo $$")
    assert caught.value.details == ("so far",)
    assert after.stdout == "still usable\n"


@pytest.mark.parametrize("size", [0, 10])
async def test_a_cancelled_command_leaves_nothing_running_there(sshd: Sshd, fifo: Path, size: int) -> None:
    async with connect(sshd.target()) as conn:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(conn.run(f"sleep 1000 & echo $! $$ >{fifo}; wait", input=bytes(size)))
            pids = [int(word) for word in (await hear(fifo)).split()]
            task.cancel()
        for pid in pids:
            await gone(pid)

        assert (await conn.run("echo still usable")).ok


async def test_a_command_cancelled_while_its_channel_opens_leaves_no_channel(sshd: Sshd) -> None:
    async with connect(sshd.target()) as conn:
        for _ in range(20):
            async with asyncio.TaskGroup() as group:
                task = group.create_task(conn.run("exec sleep 1000"))
                await asyncio.sleep(0)
                task.cancel()

        assert (await conn.run("echo still usable")).ok


async def test_the_end_of_the_connection_ends_what_runs_there(sshd: Sshd) -> None:
    async with connect(sshd.target()) as conn:
        lines = conn.follow("echo $$; exec sleep 1000")
        pid = int(await anext(lines))

        conn._client.abort()

        await gone(pid)
        with pytest.raises(ConnectionLostError):
            await anext(lines)


async def test_an_error_of_the_body_comes_out_as_it_is(sshd: Sshd) -> None:
    with pytest.raises(KeyError, match="mine"):
        async with connect(sshd.target()):
            raise KeyError("mine")


async def test_lines_come_as_they_are_written(sshd: Sshd, fifo: Path) -> None:
    async with connect(sshd.target()) as conn:
        lines = conn.follow(f"echo first; read answer <{fifo}; echo $answer; printf last")
        first = await anext(lines)
        await asyncio.to_thread(
            fifo.write_text, "second\n"
        )  # it waits for this, so the first line did not wait for the end

        assert [first, *[line async for line in lines]] == ["first", "second", "last"]


async def test_many_lines_are_followed_at_the_speed_of_who_follows(sshd: Sshd) -> None:
    async with connect(sshd.target()) as conn:
        numbers = [int(line) async for line in conn.follow("seq 200000")]

    assert numbers == list(range(1, 200_001))


async def test_a_line_without_end_comes_in_pieces(sshd: Sshd) -> None:
    async with connect(sshd.target()) as conn:
        pieces = [line async for line in conn.follow("head -c 1000000 /dev/zero | tr '\\0' x")]

    assert sum(map(len, pieces)) == 1_000_000
    assert max(map(len, pieces)) < 200_000


async def test_a_followed_command_that_fails_raises_after_its_last_line(sshd: Sshd) -> None:
    async with connect(sshd.target()) as conn:
        lines = conn.follow("echo a; echo b; echo why >&2; exit 2")

        assert [await anext(lines), await anext(lines)] == ["a", "b"]
        with pytest.raises(RemoteCommandError) as caught:
            await anext(lines)

    assert (caught.value.status, caught.value.details) == (2, ("why",))


async def test_leaving_a_followed_command_ends_it(sshd: Sshd) -> None:
    async with connect(sshd.target()) as conn:
        async with aclosing(conn.follow("echo $$; exec sleep 1000")) as lines:
            pid = int(await anext(lines))
        await gone(pid)


async def test_a_connection_lost_in_the_middle_of_a_command_is_told_at_once(tmp_path: Path, fifo: Path) -> None:
    with running_sshd(tmp_path / "sshd") as sshd:
        async with connect(sshd.target(name="cinnabar")) as conn:
            with pytest.raises(ConnectionLostError) as caught:
                async with asyncio.timeout(10), _killing_sessions(sshd, fifo):
                    await conn.run(f"echo >{fifo}; exec sleep 1000")
            with pytest.raises(ConnectionLostError):
                await conn.run("true")
            open_after = conn.is_open

    assert "the connection to cinnabar was lost while running echo" in caught.value.message
    assert not open_after


async def test_silence_counts_as_loss(tmp_path: Path, fifo: Path) -> None:
    timeouts = Timeouts(keepalive_interval=0.1, keepalive_count=2, close=0.1)
    with running_sshd(tmp_path / "sshd") as sshd:
        async with connect(sshd.target(), timeouts=timeouts) as conn:
            with pytest.raises(ConnectionLostError, match="not responding to keepalive"):
                async with asyncio.timeout(10), _killing_sessions(sshd, fifo, signal.SIGSTOP):
                    await conn.run(f"echo >{fifo}; exec sleep 1000")


async def test_closing_does_not_wait_for_a_host_that_is_frozen(tmp_path: Path) -> None:
    with running_sshd(tmp_path / "sshd") as sshd:
        async with asyncio.timeout(10), connect(sshd.target(), timeouts=Timeouts(close=0.1)) as conn:
            await conn.run("true")
            for pid in sshd.children():
                os.kill(pid, signal.SIGSTOP)


class _killing_sessions:  # noqa: N801  (reads as the context it is)
    """Sends a signal to the server's sessions when a command has written into the fifo."""

    def __init__(self, sshd: Sshd, fifo: Path, number: signal.Signals = signal.SIGKILL) -> None:
        self._sshd, self._fifo, self._number = sshd, fifo, number
        self._group = asyncio.TaskGroup()

    async def __aenter__(self) -> None:
        await self._group.__aenter__()
        self._group.create_task(self._kill())

    async def __aexit__(self, *error: object) -> None:
        await self._group.__aexit__(None, None, None)

    async def _kill(self) -> None:
        await hear(self._fifo)
        for pid in self._sshd.children():
            os.kill(pid, self._number)
