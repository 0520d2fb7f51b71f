"""One stream of store paths: `nix-store --export` here, `nix-store --import` at the other end of a socket. It waits for no answer."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

from clanpy.nix.errors import CopyError, tail
from clanpy.nix.program import NixProgram


IMPORT = "exec nix-store --import >/dev/null"
AT_ONCE = 1000  # paths on one command line: systems have limits to its length


async def send_stream(paths: Sequence[str], end: Path, nix: NixProgram, *, host: str) -> None:
    """Send store paths, each after those that it refers to, to what imports them at the other end of a socket.

    Raises:
        CopyError: they could not be sent. Why they were not taken, the other end knows.
    """
    for some in in_batches(paths):
        near = await _dial(end)
        try:
            done = await nix.run(["nix-store", "--export", *some], into=near)
            near.shutdown(socket.SHUT_WR)
            await _wait_for_end(near)
        except OSError as error:
            raise CopyError(f"{host} ended the stream of store paths too early") from error
        finally:
            near.close()
        if done.status != 0:
            raise CopyError(f"{host}: store paths could not be sent to it", details=tail(done.stderr))


def in_batches(paths: Sequence[str]) -> Iterator[Sequence[str]]:
    """Paths in numbers that a command line has room for, in their order."""
    for first in range(0, len(paths), AT_ONCE):
        yield paths[first : first + AT_ONCE]


async def _dial(end: Path) -> socket.socket:
    near = socket.socket(socket.AF_UNIX)
    near.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(near, str(end))
    except BaseException:
        near.close()
        raise
    near.setblocking(True)  # for the program that writes to it
    return near


async def _wait_for_end(near: socket.socket) -> None:
    """The other end closes when everything is imported, or nothing more will be."""
    near.setblocking(False)
    while await asyncio.get_running_loop().sock_recv(near, 1 << 12):
        pass
