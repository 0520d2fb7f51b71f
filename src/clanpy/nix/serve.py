"""Speaking to `nix-store --serve` at the other end of a socket: which paths are there, what they are, adding and fetching some.

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
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from clanpy.nix.copy import PathInfo
from clanpy.nix.errors import CopyError
from clanpy.nix.nar import digest_of, nar, nix_hashes


if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

OURS, THEIRS = 0x390C9DEB, 0x5452EECB  # what either side begins with
VERSION = 0x205  # 2.5: the first that takes archives with what belongs to them
QUERY_VALID, QUERY_INFOS, DUMP, QUERY_CLOSURE, ADD_NAR = 1, 2, 3, 7, 9
PIECE = 1 << 18  # bytes that are passed on at once
ASK_SECONDS = 60.0
ADD_SECONDS = 300.0
LITTLE, REMEMBERED = 64 << 10, 512  # bytes of a path that is kept in memory for the next host, and how many of them
MOST = 1 << 20  # texts and lists that are longer than this are none


@dataclass(slots=True)
class StoreServer:
    """The store at the other end. Its greeting is read with its first answer: waiting for it would be a round trip."""

    host: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    _is_greeted: bool = False

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
        await self.add_folder(info, Path(info.path))

    async def add_all(self, infos: Sequence[PathInfo]) -> None:
        """Add paths of our own store, each after those that it refers to: all are sent before the first answer is waited for.

        It is for a few megabytes: they are in memory at once.

        Raises:
            CopyError: one was not taken, or is not what our store says it is.
        """
        for info in infos:
            await self._put(info, Path(info.path))
        for info in infos:
            await self._taken(info)

    async def add_folder(self, info: PathInfo, folder: Path) -> None:
        """Add a file or folder of this computer, wherever it lies, under the path and hash that `info` gives.

        Raises:
            CopyError: it was not taken, or it is not what `info` says it is.
        """
        await self._put(info, folder)
        await self._taken(info)

    async def _put(self, info: PathInfo, folder: Path) -> None:
        if str(folder) == info.path and info.size <= LITTLE:
            await asyncio.sleep(0)  # others have their turn
            data, digest = _archive(info.path)
        else:
            data = await asyncio.to_thread(nar, folder)
            digest = hashlib.sha256(data).digest()
        if info.nar_hash not in nix_hashes(digest):
            if str(folder) != info.path:
                raise CopyError(f"{folder} was changed while it was read", hint="run the command again")
            raise CopyError(f"{info.path} is not as it was built", hint=f"nix-store --repair-path {info.path}")
        self._send(*_described(info, digest, len(data)), data)

    async def take_from(self, other: StoreServer, info: PathInfo, on_bytes: Callable[[int], None]) -> None:
        """Add a path of another store, piece by piece, to which all that it refers to is there already.

        Raises:
            CopyError: one of the two ends did not go along.
        """
        self._send(*_described(info, digest_of(info.nar_hash), info.size))
        async for piece in other.dump(info):
            self._send(piece)
            async with self._answering(f"sent {info.path}", ADD_SECONDS):
                await self.writer.drain()
            on_bytes(len(piece))
        await self._taken(info)

    async def closure(self, paths: Sequence[str]) -> tuple[PathInfo, ...]:
        """Paths that are there and all that they refer to, each with what is known of it.

        Raises:
            CopyError: it can't say.
        """
        self._send(_number(QUERY_CLOSURE), _number(0), _texts(paths))
        async with self._answering("asked for a closure", ASK_SECONDS):
            found = [await self._text() for _ in range(await self._count())]
        self._send(_number(QUERY_INFOS), _texts(found))
        infos: list[PathInfo] = []
        async with self._answering("asked for what it knows of paths", ASK_SECONDS):
            while path := await self._text():
                infos.append(await self._info(path))
        return tuple(infos)

    async def dump(self, info: PathInfo) -> AsyncIterator[bytes]:
        """The archive of a path that is there, in pieces.

        Raises:
            CopyError: it ended too early.
        """
        self._send(_number(DUMP), _text(info.path))
        left = info.size
        while left:
            async with self._answering(f"asked for {info.path}", ADD_SECONDS):
                piece = await self.reader.read(min(PIECE, left))
            if not piece:
                raise CopyError(f"the store of {self.host} ended the conversation in the middle of {info.path}")
            left -= len(piece)
            yield piece

    async def _info(self, path: str) -> PathInfo:
        deriver = await self._text()
        references = [await self._text() for _ in range(await self._count())]
        await self._read_number()  # what it would be to download
        size, nar_hash, address = await self._read_number(), await self._text(), await self._text()
        signatures = tuple([await self._text() for _ in range(await self._count())])
        return PathInfo(
            path,
            size,
            tuple(other for other in references if other != path),
            refers_to_itself=path in references,
            nar_hash=nar_hash,
            deriver=deriver,
            signatures=signatures,
            content_address=address,
        )

    async def _taken(self, info: PathInfo) -> None:
        async with self._answering(f"sent {info.path}", ADD_SECONDS):
            await self.writer.drain()
            if await self._read_number() != 1:
                raise CopyError(f"{self.host} did not take {info.path}")

    def greet(self) -> None:
        """Say which protocol we speak; what is asked may follow at once."""
        self._send(_number(OURS), _number(VERSION))

    async def _greeting(self) -> None:
        magic, version = await self._read_number(), await self._read_number()
        if magic != THEIRS or version < VERSION:
            raise CopyError(f"the store of {self.host} speaks another protocol")
        self._is_greeted = True

    def _send(self, *parts: bytes) -> None:
        self.writer.write(b"".join(parts))

    @asynccontextmanager
    async def _answering(self, doing: str, seconds: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(seconds):
                if not self._is_greeted:
                    await self._greeting()
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
    """The store whose `nix-store --serve --write` answers at a socket. Where nothing sensible does, the first question says so."""
    reader, writer = await asyncio.open_unix_connection(socket)
    try:
        server = StoreServer(host, reader, writer)
        server.greet()
        yield server
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


@lru_cache(maxsize=REMEMBERED)
def _archive(path: str) -> tuple[bytes, bytes]:
    """A small path of our own store and its hash: what one host lacks, others lack as well, and a path never changes."""
    data = nar(Path(path))
    return data, hashlib.sha256(data).digest()


def _described(info: PathInfo, digest: bytes, size: int) -> tuple[bytes, ...]:
    """What is said before the archive of a path that is added."""
    references = sorted({*info.references, *([info.path] if info.refers_to_itself else [])})
    return (
        _number(ADD_NAR),
        _text(info.path),
        _text(info.deriver),
        _text(digest.hex()),
        _texts(references),
        _number(0),
        _number(size),
        _number(0),
        _texts(info.signatures),
        _text(info.content_address),
    )


def _number(value: int) -> bytes:
    return struct.pack("<Q", value)


def _text(value: str) -> bytes:
    data = value.encode()
    return _number(len(data)) + data + b"\0" * (-len(data) % 8)


def _texts(values: Iterable[str]) -> bytes:
    texts = [_text(value) for value in values]
    return _number(len(texts)) + b"".join(texts)
