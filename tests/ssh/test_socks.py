"""Reaching a host through a SOCKS proxy, as onion services are reached."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from clanpy.ssh import UnreachableError, connect
from support.sshd import Sshd, free_port


@dataclass
class Proxy:
    """A SOCKS 5 proxy that knows one name. `asked` is what it was asked for."""

    address: str = ""
    asked: list[tuple[str, int]] = field(default_factory=list)


@contextlib.asynccontextmanager
async def proxy(name: str, port: int, *, reply: int = 0) -> AsyncIterator[Proxy]:
    found = Proxy()
    serving: list[asyncio.Task[None] | None] = []

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            writer.write_eof()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(asyncio.current_task())
        try:
            await answer(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(3) == b"\x05\x01\x00"
        writer.write(b"\x05\x00")
        *_, length = await reader.readexactly(5)
        wanted = (await reader.readexactly(length)).decode()
        found.asked.append((wanted, int.from_bytes(await reader.readexactly(2), "big")))
        writer.write(bytes([5, reply, 0, 1, 0, 0, 0, 0, 0, 0]))
        if not reply and wanted == name:
            inner, outer = await asyncio.open_connection("127.0.0.1", port)
            async with asyncio.TaskGroup() as group:
                group.create_task(copy(reader, outer))
                group.create_task(copy(inner, writer))
            outer.close()
            await outer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        found.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield found
        await asyncio.gather(*(task for task in serving if task))


async def test_a_host_is_reached_through_the_proxy_that_looks_its_name_up(sshd: Sshd) -> None:
    name = "abcdefgh.onion"
    sshd.known_hosts.write_text(sshd.known_hosts.read_text() + f"[{name}]:2222 {sshd.public_host_key}\n")
    async with (
        proxy(name, sshd.port) as socks,
        connect(sshd.target(host=name, port=2222, socks=socks.address)) as conn,
    ):
        assert (await conn.run("echo here", timeout=10)).stdout == "here\n"
    assert socks.asked == [(name, 2222)]


@pytest.mark.parametrize(("reply", "says"), [(5, "the connection was refused"), (99, "it answers 99")])
async def test_a_proxy_that_cannot_reach_it_says_why(reply: int, says: str, sshd: Sshd) -> None:
    async with proxy("x.onion", sshd.port, reply=reply) as socks:
        with pytest.raises(UnreachableError) as caught:
            async with connect(sshd.target(host="x.onion", socks=socks.address)):
                pass

    assert caught.value.message == f"x.onion can't be reached through the SOCKS proxy: {says}"


async def test_a_proxy_that_is_not_there_is_told(sshd: Sshd) -> None:
    gone = f"127.0.0.1:{free_port()}"
    with pytest.raises(UnreachableError, match="there is none at"):
        async with connect(sshd.target(host="x.onion", socks=gone)):
            pass
