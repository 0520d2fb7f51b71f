"""Dialling a host through a SOCKS 5 proxy, which looks the name up: names work that only it knows (onion services)."""

from __future__ import annotations

import asyncio
import socket
import struct

from clanpy.ssh.errors import UnreachableError


_VERSION, _NO_LOGIN, _CONNECT, _BY_NAME = 5, 0, 1, 3
_ADDRESS_SIZES = {1: 4, 4: 16}  # of what the proxy says that it dialled from
_REASONS = {
    1: "it failed",
    2: "its rules forbid it",
    3: "the network can't be reached",
    4: "the host can't be reached",
    5: "the connection was refused",
    6: "it took too long",
    7: "it can't do that",
    8: "it does not know such addresses",
}


async def dial(proxy: str, host: str, port: int) -> socket.socket:
    """A connection to a host through the proxy at `host:port`. The caller sets the time for it.

    Raises:
        UnreachableError: the proxy is not there, or says why it can't.
    """
    sock = await _open(proxy, host)
    try:
        await _ask(sock, host, port)
    except OSError as error:
        sock.close()
        raise UnreachableError(f"the SOCKS proxy at {proxy} hung up on us") from error
    except BaseException:
        sock.close()
        raise
    return sock


async def _open(proxy: str, host: str) -> socket.socket:
    name, _, port = proxy.rpartition(":")
    loop = asyncio.get_running_loop()
    try:
        ((family, kind, _, _, address), *_) = await loop.getaddrinfo(
            name.strip("[]"), int(port), type=socket.SOCK_STREAM
        )
        sock = socket.socket(family, kind)
        try:
            sock.setblocking(False)
            await loop.sock_connect(sock, address)
        except BaseException:
            sock.close()
            raise
    except OSError as error:
        raise UnreachableError(
            f"{host} is reached through a SOCKS proxy, and there is none at {proxy}: {error.strerror or error}",
            hint="does it run on this computer?",
        ) from error
    return sock


async def _ask(sock: socket.socket, host: str, port: int) -> None:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, bytes([_VERSION, 1, _NO_LOGIN]))
    if await _read(sock, 2) != bytes([_VERSION, _NO_LOGIN]):
        raise UnreachableError("the SOCKS proxy wants a login, or is none of version 5")
    name = host.encode()
    asked = bytes([_VERSION, _CONNECT, 0, _BY_NAME, len(name)]) + name + struct.pack(">H", port)
    await loop.sock_sendall(sock, asked)
    _, reply, _, kind = await _read(sock, 4)
    if reply:
        said = _REASONS.get(reply, f"it answers {reply}")
        raise UnreachableError(f"{host} can't be reached through the SOCKS proxy: {said}")
    size = (await _read(sock, 1))[0] if kind == _BY_NAME else _ADDRESS_SIZES.get(kind, 0)
    await _read(sock, size + 2)


async def _read(sock: socket.socket, size: int) -> bytes:
    """So many bytes and not one more: what follows is the host's."""
    found = b""
    while len(found) < size:
        more = await asyncio.get_running_loop().sock_recv(sock, size - len(found))
        if not more:
            raise ConnectionResetError
        found += more
    return found
