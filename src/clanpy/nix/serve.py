"""Speaking to `nix-store --serve --write` at the other end of a socket: which paths are there, and adding small ones.

One process there answers both, where a question and a `nix copy` take four processes. The protocol is that of the store `ssh://`:
numbers are little-endian and 64 bits wide, texts have their length before them and are padded to 8 bytes.
"""

from __future__ import annotations

import asyncio
import hashlib
import struct
from collections.abc import Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clanpy.nix.errors import CopyError
from clanpy.nix.nar import nar, nix_hashes


if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from clanpy.nix.copy import PathInfo

OURS, THEIRS = 0x390C9DEB, 0x5452EECB  # what either side begins with
VERSION = 0x205  # 2.5: the first that takes archives with what belongs to them
QUERY_VALID, ADD_NAR = 1, 9
ASK_SECONDS = 60.0
ADD_SECONDS = 300.0
MOST = 1 << 20  # texts and lists that are longer than this are none


@dataclass(slots=True)
class StoreServer:
    """The store at the other end."""

    host: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def valid(self, paths: Sequence[str]) -> frozenset[str]:
        """Those of the paths that are there. They are kept from garbage collection until the connection ends.

        Raises:
            CopyError: it can't say.
        """
        self._send(_number(QUERY_VALID), _number(1), _number(0), _texts(paths))
        async with self._answering("asked what it has", ASK_SECONDS):
            return frozenset([await self._text() for _ in range(await self._count())])

    async def add(self, info: PathInfo) -> None:
        """Add a path of our own store to which all that it refers to is there already.

        Raises:
            CopyError: it was not taken, or it is not what our store says it is.
        """
        data = await asyncio.to_thread(nar, Path(info.path))
        digest = hashlib.sha256(data).digest()
        if info.nar_hash not in nix_hashes(digest):
            raise CopyError(f"{info.path} is not as it was built", hint=f"nix-store --repair-path {info.path}")
        references = sorted({*info.references, *([info.path] if info.refers_to_itself else [])})
        self._send(
            _number(ADD_NAR),
            _text(info.path),
            _text(info.deriver),
            _text(digest.hex()),
            _texts(references),
            _number(0),
            _number(len(data)),
            _number(0),
            _texts(info.signatures),
            _text(info.content_address),
            data,
        )
        async with self._answering(f"sent {info.path}", ADD_SECONDS):
            await self.writer.drain()
            if await self._read_number() != 1:
                raise CopyError(f"{self.host} did not take {info.path}")

    async def greet(self) -> None:
        """Agree on the protocol.

        Raises:
            CopyError: what answers is no store, or too old.
        """
        self._send(_number(OURS), _number(VERSION))
        async with self._answering("greeted", ASK_SECONDS):
            magic, version = await self._read_number(), await self._read_number()
        if magic != THEIRS or version < VERSION:
            raise CopyError(f"the store of {self.host} speaks another protocol")

    def _send(self, *parts: bytes) -> None:
        self.writer.write(b"".join(parts))

    @asynccontextmanager
    async def _answering(self, doing: str, seconds: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(seconds):
                yield
        except (OSError, EOFError) as error:
            raise CopyError(f"the store of {self.host} ended the conversation when it was {doing}") from error

    async def _read_number(self) -> int:
        return int.from_bytes(await self.reader.readexactly(8), "little")

    async def _count(self) -> int:
        count = await self._read_number()
        if count > MOST:
            raise CopyError(f"the store of {self.host} says what can't be understood")
        return count

    async def _text(self) -> str:
        length = await self._count()
        padded = await self.reader.readexactly(length + -length % 8)
        return padded[:length].decode("utf-8", errors="replace")


@asynccontextmanager
async def serving(socket: Path, host: str) -> AsyncIterator[StoreServer]:
    """The store whose `nix-store --serve --write` answers at a socket.

    Raises:
        CopyError: nothing sensible answers.
    """
    reader, writer = await asyncio.open_unix_connection(socket)
    try:
        server = StoreServer(host, reader, writer)
        await server.greet()
        yield server
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def _number(value: int) -> bytes:
    return struct.pack("<Q", value)


def _text(value: str) -> bytes:
    data = value.encode()
    return _number(len(data)) + data + b"\0" * (-len(data) % 8)


def _texts(values: Iterable[str]) -> bytes:
    texts = [_text(value) for value in values]
    return _number(len(texts)) + b"".join(texts)
