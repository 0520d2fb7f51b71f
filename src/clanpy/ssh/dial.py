"""Getting a connection: which address, through which hosts, how many at once, and how often it is tried again."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections import defaultdict
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import asyncssh

from clanpy.ssh.background import background
from clanpy.ssh.connection import Connection, close
from clanpy.ssh.errors import (
    AuthenticationError,
    ConnectionLostError,
    HostKeyError,
    SshError,
    SshSetupError,
    UnreachableError,
    is_foreign,
    translate,
)
from clanpy.ssh.hostkeys import Known, KnownHosts, Verdict
from clanpy.ssh.options import Route, Timeouts, key_algorithms, resolve
from clanpy.ssh.race import race
from clanpy.ssh.target import HostKeyCheck, Target


if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from types import TracebackType

RETRIES = 2
BACKOFF_SECONDS = 0.5
DIALS = 64
DIALS_PER_JUMP = 8


class Dialer:
    """Opens connections for a whole run: shares what can be shared, and limits what has to be limited.

    A jump host is connected once for all targets behind it. Limits hold for dials under way, not for connections held:
    a fan-out through an sshd with its default settings fails from the tenth simultaneous handshake on.
    """

    def __init__(
        self,
        *,
        timeouts: Timeouts | None = None,
        dials: int = DIALS,
        dials_per_jump: int = DIALS_PER_JUMP,
        retries: int = RETRIES,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: random.Random | None = None,
    ) -> None:
        self.timeouts = timeouts or Timeouts()
        self._dials = asyncio.Semaphore(dials)
        self._through: defaultdict[Target, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(dials_per_jump))
        self._retries = retries
        self._sleep = sleep
        self._rng = rng or random.Random()  # noqa: S311  (spreads load; nothing secret hangs on it)
        self._known_hosts = KnownHosts()
        self._stack = AsyncExitStack()
        self._jumps: dict[tuple[Target, ...], asyncssh.SSHClientConnection] = {}
        self._jump_locks: defaultdict[tuple[Target, ...], asyncio.Lock] = defaultdict(asyncio.Lock)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @asynccontextmanager
    async def connect(
        self, target: Target | Sequence[Target], *, timeouts: Timeouts | None = None
    ) -> AsyncIterator[Connection]:
        """Connect to a host and keep the connection for the body of the `async with`.

        Several targets are several ways to one host, in order of preference: they are tried concurrently, and the first that
        lets us in wins; `Connection.target` and `Connection.address` say which.

        Raises:
            UnreachableError, HostKeyError, AuthenticationError, ConnectionLostError, SshSetupError: as they say; where several
                ways were tried, the one that came furthest, with all of them in `details`.
        """
        limits = timeouts or self.timeouts
        targets = (target,) if isinstance(target, Target) else tuple(target)
        client, route, address = await self._dial_again(targets, limits)
        async with background() as tasks:
            try:
                yield Connection(client, route, address, tasks)
            finally:
                await close(client, limits.close)

    async def _dial_again(self, targets: Sequence[Target], timeouts: Timeouts) -> _Dialled:
        for attempt in range(self._retries):
            try:
                return await self._dial(targets, timeouts)
            except SshError as error:
                if not error.transient:
                    raise
            # Full jitter: a fleet that was refused together must not come back together.
            await self._sleep(self._rng.uniform(0, BACKOFF_SECONDS * 2**attempt))
        return await self._dial(targets, timeouts)

    async def _dial(self, targets: Sequence[Target], timeouts: Timeouts) -> _Dialled:
        ways: list[Callable[[], Awaitable[_Dialled]]] = []
        failures: list[SshError] = []
        for target in targets:
            try:
                route = await resolve(target, timeouts)
                ways += [self._way(route, address, timeouts) for address in await _addresses(route, timeouts)]
            except SshError as error:
                failures.append(error)
        won, lost = await race(ways, stagger=timeouts.stagger, discard=_discard)
        if won is None:
            raise _furthest([*failures, *lost])
        return won

    def _way(self, route: Route, address: _Address | None, timeouts: Timeouts) -> Callable[[], Awaitable[_Dialled]]:
        async def go() -> _Dialled:
            tunnel = await self._jump(route.jump, timeouts) if route.jump else None
            limit = self._through[route.jump[-1]] if route.jump else contextlib.nullcontext()
            async with limit, self._dials:
                return await self._log_in(route, address, tunnel, timeouts)

        return go

    async def _jump(self, hops: tuple[Target, ...], timeouts: Timeouts) -> asyncssh.SSHClientConnection:
        async with self._jump_locks[hops]:
            found = self._jumps.get(hops)
            if found is None or found.is_closed():
                last = replace(hops[-1], jump=hops[:-1])
                found, _, _ = await self._dial_again((last,), timeouts)
                self._stack.push_async_callback(close, found, timeouts.close)
                self._jumps[hops] = found
            return found

    async def _log_in(
        self, route: Route, address: _Address | None, tunnel: asyncssh.SSHClientConnection | None, timeouts: Timeouts
    ) -> _Dialled:
        where = str(address.name[0]) if address else ""
        verdict = self._verdict(route, where)
        progress = _Progress(asyncio.timeout(timeouts.connect), timeouts)
        try:
            async with progress.deadline:
                client = await asyncssh.connect(
                    route.target.host,
                    options=route.options,
                    tunnel=tunnel,
                    sock=await _open(address) if address else None,
                    client_factory=lambda: _Client(verdict, progress),
                    server_host_key_algs=key_algorithms(verdict.known),
                    known_hosts=_trust(verdict),
                )
        except asyncssh.HostKeyNotVerifiable as error:
            raise verdict.refusal or translate(error, route.label) from error
        except TimeoutError as error:
            raise progress.too_late(route.label) from error
        except BaseException as error:
            if not is_foreign(error):
                raise
            raise translate(error, route.label, tried=route.keys_offered()) from error
        return client, route, where

    def _verdict(self, route: Route, address: str) -> Verdict:
        name = route.name_at(address)
        files = route.known_hosts
        known = Known() if route.target.host_key_check is HostKeyCheck.NONE else self._known_hosts.lookup(files, name)
        return Verdict(label=route.label, name=name, files=files, check=route.target.host_key_check, known=known)


_Dialled = tuple[asyncssh.SSHClientConnection, Route, str]


@dataclass(frozen=True, slots=True)
class _Address:
    family: int
    name: tuple[Any, ...]


@dataclass(slots=True)
class _Progress:
    """How far a login has come, and until when the next step must be done."""

    deadline: asyncio.Timeout
    timeouts: Timeouts
    connected: bool = False

    def reached(self) -> None:
        """The network connection stands: from here on the time for the login counts."""
        self.connected = True
        self.deadline.reschedule(asyncio.get_running_loop().time() + self.timeouts.login)

    def too_late(self, label: str) -> UnreachableError:
        if self.connected:
            return UnreachableError(
                f"{label} was reached, but did not let us in within {self.timeouts.login:g} s",
                hint="is its sshd overloaded?",
            )
        return UnreachableError(
            f"{label} did not answer within {self.timeouts.connect:g} s", hint="is it on, and is the address right?"
        )


class _Client(asyncssh.SSHClient):
    def __init__(self, verdict: Verdict, progress: _Progress) -> None:
        self._verdict = verdict
        self._progress = progress

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        self._progress.reached()

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        return self._verdict.accepts(key)

    def validate_host_ca_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        return self._verdict.check is HostKeyCheck.NONE


def _trust(verdict: Verdict) -> Any:
    known = verdict.known
    return None if verdict.check is HostKeyCheck.NONE else (known.trusted, known.authorities, known.revoked)


async def _addresses(route: Route, timeouts: Timeouts) -> Sequence[_Address | None]:
    """The addresses to dial, or None where somebody else dials (a host on the way, a proxy command)."""
    if not route.direct:
        return (None,)
    options = route.options
    try:
        async with asyncio.timeout(timeouts.connect):
            found = await asyncio.get_running_loop().getaddrinfo(
                options.host, options.port, family=options.family, type=socket.SOCK_STREAM
            )
    except (OSError, UnicodeError) as error:
        raise translate(error, route.label) from error
    return [_Address(family, name) for family, _, _, _, name in found]


async def _open(address: _Address) -> socket.socket:
    sock = socket.socket(address.family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        await asyncio.get_running_loop().sock_connect(sock, address.name)
    except BaseException:
        sock.close()
        raise
    return sock


def _discard(dialled: _Dialled | None) -> None:
    if dialled:
        dialled[0].abort()


def _furthest(failures: Sequence[SshError]) -> SshError:
    """Of several failed ways the one that came furthest; the others are told with it."""
    first = min(failures, key=_distance)
    others = [f"also tried: {error.message}" for error in failures if error is not first]
    first.details = (*first.details, *others)
    if isinstance(first, UnreachableError):
        first.transient = any(error.transient for error in failures)
    return first


def _distance(error: SshError) -> int:
    """How far from being let in we were."""
    kinds: tuple[type[SshError], ...] = (HostKeyError, AuthenticationError, ConnectionLostError, SshSetupError)
    return next((n for n, kind in enumerate(kinds) if isinstance(error, kind)), len(kinds))
