"""One attempt at a gate: a request, a connection, a command, a look at the units."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from clanpy.rollout.gates import Attempt, Tried
from clanpy.ssh import RemoteTimeoutError


if TYPE_CHECKING:
    from clanpy.inventory.gates import Gate
    from clanpy.ssh import Connection

NOT_RUN_STATUS = frozenset({126, 127})  # what a shell says of a command that it can't run, or that is not there
MOST_BYTES = 1 << 20
WORDS = 200  # characters of an answer that are told
# Ways in which nothing can be learned about the machine, because it was never asked.
_NO_WAY = (socket.gaierror, PermissionError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The machine that a gate is tried on, as it was reached."""

    name: str
    domain: str
    address: str

    def filled(self, text: str) -> str:
        """A text with the machine's words in it."""
        address = f"[{self.address}]" if ":" in self.address else self.address
        for word, value in (("{name}", self.name), ("{domain}", self.domain), ("{address}", address)):
            text = text.replace(word, value)
        return text


async def attempt(gate: Gate, place: Place, conn: Connection, seconds: float) -> Attempt:
    """Try a gate once, within so many seconds.

    Raises:
        SshError: the connection broke, which is no fault of the gate's.
    """
    try:
        async with asyncio.timeout(seconds):
            return await _attempt(gate, place, conn, seconds)
    except (TimeoutError, RemoteTimeoutError):
        return Attempt(Tried.FAILED, f"no answer within {seconds:.0f} s")
    except _NO_WAY as error:
        return Attempt(Tried.NOT_RUN, str(error))
    except OSError as error:
        return Attempt(Tried.FAILED, error.strerror or str(error))


async def _attempt(gate: Gate, place: Place, conn: Connection, seconds: float) -> Attempt:
    match gate.type:
        case "http":
            return await _http(gate, place)
        case "tcp":
            return await _tcp(gate, place)
        case "units":
            return await _units(gate, conn, seconds)
        case _:
            return await (_there(gate, conn, seconds) if gate.on == "target" else _here(gate, place))


async def _tcp(gate: Gate, place: Place) -> Attempt:
    host = place.filled(gate.host) if gate.host else place.address
    if not host:
        return _no_address()
    _, writer = await asyncio.open_connection(host, gate.port)
    await _close(writer)
    return Attempt(Tried.PASSED, f"port {gate.port} of {host} is open")


async def _http(gate: Gate, place: Place) -> Attempt:
    if "{address}" in gate.url and not place.address:
        return _no_address()
    url = urlsplit(place.filled(gate.url))
    if url.scheme not in {"http", "https"} or not url.hostname:
        return Attempt(Tried.NOT_RUN, f"{url.geturl()} is no address of HTTP")
    try:
        head, body = await _get(url)
    except (ssl.SSLError, EOFError, ValueError) as error:
        return Attempt(Tried.FAILED, f"{url.geturl()}: {error}")
    return _answered(gate, url.geturl(), head, body)


def _answered(gate: Gate, url: str, head: bytes, body: bytes) -> Attempt:
    status = _status(head)
    if status is None:
        return Attempt(Tried.FAILED, f"{url} answered something that is not HTTP")
    if status != gate.status if gate.status is not None else not 200 <= status < 400:  # noqa: PLR2004 - HTTP's own
        return Attempt(Tried.FAILED, f"{url} answered {status}")
    if gate.contains is not None and gate.contains.encode() not in body:
        return Attempt(Tried.FAILED, f"{url} answered {status}, without {gate.contains!r} in it")
    return Attempt(Tried.PASSED, f"{url} answered {status}")


async def _get(url: SplitResult) -> tuple[bytes, bytes]:
    """Head and body of the answer to a request. No redirect is followed."""
    secure = url.scheme == "https"
    reader, writer = await asyncio.open_connection(
        url.hostname, url.port or (443 if secure else 80), ssl=ssl.create_default_context() if secure else None
    )
    try:
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        host = url.netloc.rpartition("@")[2]
        words = (f"GET {path} HTTP/1.0", f"Host: {host}", "User-Agent: clanpy", "Accept: */*", "Connection: close")
        writer.write("\r\n".join((*words, "", "")).encode())
        await writer.drain()
        answer = b""
        while len(answer) < MOST_BYTES and (part := await reader.read(65536)):
            answer += part
    finally:
        await _close(writer)
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, body


def _status(head: bytes) -> int | None:
    words = head.split(b"\r\n", 1)[0].split()
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():  # noqa: PLR2004 - version, status
        return None
    return int(words[1])


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def _there(gate: Gate, conn: Connection, seconds: float) -> Attempt:
    done = await conn.run(["/bin/sh", "-c", gate.command], timeout=seconds, elevate=True)
    return _ended(done.status, done.stderr or done.stdout)


async def _here(gate: Gate, place: Place) -> Attempt:
    environment = {**os.environ, "CLANPY_MACHINE": place.name, "CLANPY_ADDRESS": place.address}
    process = await asyncio.create_subprocess_exec(
        "/bin/sh",
        "-c",
        place.filled(gate.command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment,
        start_new_session=True,
    )
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return _ended(process.returncode if process.returncode is not None else -1, said.decode(errors="replace"))


async def _units(gate: Gate, conn: Connection, seconds: float) -> Attempt:
    patterns = " ".join(shlex.quote(unit) for unit in gate.units)
    listing = f"systemctl list-units --state=failed --plain --no-legend --no-pager {patterns}"
    done = await conn.run(["/bin/sh", "-c", listing], timeout=seconds, elevate=True)
    if not done.ok:
        return Attempt(Tried.NOT_RUN, _last(done.stderr) or f"systemctl ended with {done.status}")
    failed = [line.split()[0] for line in done.stdout.splitlines() if line.strip()]
    if failed:
        return Attempt(Tried.FAILED, f"failed: {', '.join(failed[:5])}{' …' if len(failed) > 5 else ''}")  # noqa: PLR2004 - a line full
    return Attempt(Tried.PASSED, "no unit has failed")


def _ended(status: int, said: str) -> Attempt:
    words = _last(said)
    if status == 0:
        return Attempt(Tried.PASSED, words)
    told = f": {words}" if words else ""
    if status in NOT_RUN_STATUS:
        return Attempt(Tried.NOT_RUN, f"the command could not be run{told}")
    return Attempt(Tried.FAILED, f"exit status {status}{told}")


def _last(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1][:WORDS] if lines else ""


def _no_address() -> Attempt:
    return Attempt(Tried.NOT_RUN, "the machine is reached through a proxy: it has no address that is known here")
