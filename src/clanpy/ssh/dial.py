"""Getting a connection: which address, through which hosts, how many at once, and how often it is tried again."""

from __future__ import annotations

import asyncio
import random
import resource
import socket
from collections import defaultdict
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from clanpy.ssh import socks
from clanpy.ssh.background import background
from clanpy.ssh.connection import AskPassword, Connection
from clanpy.ssh.errors import SshError, TargetError, UnreachableError, is_foreign, translate
from clanpy.ssh.haste import hasten
from clanpy.ssh.hostkeys import Known, KnownHosts, Verdict
from clanpy.ssh.library import asyncssh
from clanpy.ssh.options import Route, Timeouts, key_algorithms, locked_identities, resolve
from clanpy.ssh.race import race
from clanpy.ssh.target import HostKeyCheck, Target


if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from types import TracebackType

RETRIES = 2
BACKOFF_SECONDS = 0.5
DIALS = 64
DIALS_PER_JUMP = 8
FILES = 8192


@dataclass(frozen=True, slots=True)
class _Address:
    family: int
    name: tuple[Any, ...]

    def __str__(self) -> str:
        return str(self.name[0])


@dataclass(frozen=True, slots=True)
class _Dialled:
    """A connection that stands, and how it came about."""

    client: asyncssh.SSHClientConnection
    route: Route
    address: str


class Dialer:
    """Opens connections for a whole run: shares what can be shared, and limits what has to be limited.

    A jump host is connected once for all targets behind it. Limits hold for dials under way, not for connections held:
    a fan-out to one sshd with its default settings fails from the tenth simultaneous handshake on.

    `ask_password` is called when a host wants a password for sudo, and only then; remembering the answer is its business.
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
        ask_password: AskPassword | None = None,
    ) -> None:
        self.timeouts = timeouts or Timeouts()
        self._dials = asyncio.Semaphore(dials)
        self._through: defaultdict[Target, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(dials_per_jump))
        self._retries = retries
        self._sleep = sleep
        self._rng = rng or random.Random()  # noqa: S311  (spreads load; nothing secret hangs on it)
        self._ask = ask_password
        self._known_hosts = KnownHosts()
        self._stack = AsyncExitStack()
        self._jumps: dict[Target, asyncssh.SSHClientConnection] = {}
        self._opening: dict[Target, asyncio.Future[asyncssh.SSHClientConnection]] = {}

    async def __aenter__(self) -> Self:
        _raise_file_limit()
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
        if not targets:
            raise TargetError("there is no target to connect to")
        dialled = await self._dial_again(targets, limits)
        async with background() as tasks:
            try:
                yield Connection(
                    dialled.client, dialled.route, address=dialled.address, timeouts=limits, tasks=tasks, ask=self._ask
                )
            finally:
                await _close(dialled.client, limits.close)

    async def _dial_again(self, targets: Sequence[Target], timeouts: Timeouts) -> _Dialled:
        for attempt in range(self._retries):
            try:
                return await self._dial(targets, timeouts)
            except SshError as error:
                if not error.transient:
                    raise
            # Full jitter: hosts that were refused together must not come back together.
            await self._sleep(self._rng.uniform(0, BACKOFF_SECONDS * 2**attempt))
        return await self._dial(targets, timeouts)

    async def _dial(self, targets: Sequence[Target], timeouts: Timeouts) -> _Dialled:
        ways = [partial(self._reach, target, timeouts) for target in targets]
        return await race(ways, stagger=timeouts.stagger, discard=_discard)

    async def _reach(self, target: Target, timeouts: Timeouts) -> _Dialled:
        """One target, over whichever of the addresses of its name answers."""
        route = await resolve(target, timeouts)
        addresses = await _addresses(route, timeouts)
        ways = [partial(self._enter, route, address, timeouts) for address in addresses]
        return await race(ways, stagger=timeouts.stagger, discard=_discard)

    async def _enter(self, route: Route, address: _Address | None, timeouts: Timeouts) -> _Dialled:
        if not route.jump:
            async with self._dials:
                return await self._log_in(route, address, None, timeouts)
        # The way is opened before the limits are taken: it is a dial itself, and must not wait for those that wait for it.
        last = replace(route.jump[-1], jump=route.jump[:-1])
        tunnel = await self._tunnel(last, timeouts)
        async with self._through[last], self._dials:
            return await self._log_in(route, address, tunnel, timeouts)

    async def _tunnel(self, last: Target, timeouts: Timeouts) -> asyncssh.SSHClientConnection:
        """The connection to a jump host. Whoever asks while it is being opened shares what comes of it, a failure too."""
        while (found := self._jumps.get(last)) is None or found.is_closed():
            opening = self._opening.get(last)
            if opening is None:
                return await self._open_tunnel(last, timeouts)
            try:
                return await asyncio.shield(opening)
            except SshError as error:
                raise copy(error) from error
            except asyncio.CancelledError:
                if not opening.cancelled():  # it is we who are cancelled, not who was opening it
                    raise
        return found

    async def _open_tunnel(self, last: Target, timeouts: Timeouts) -> asyncssh.SSHClientConnection:
        opening = self._opening[last] = asyncio.get_running_loop().create_future()
        try:
            found = (await self._dial_again((last,), timeouts)).client
        except SshError as error:
            error.transient = (
                False  # patience with the jump host was shown here; the target's dial shall not show it again
            )
            opening.set_exception(error)
            opening.exception()  # seen, even if nobody shares it
            raise
        except BaseException:
            opening.cancel()
            raise
        finally:
            del self._opening[last]
        self._stack.push_async_callback(_close, found, timeouts.close)
        self._jumps[last] = found
        opening.set_result(found)
        return found

    async def _log_in(
        self, route: Route, address: _Address | None, tunnel: asyncssh.SSHClientConnection | None, timeouts: Timeouts
    ) -> _Dialled:
        where = str(address or "")
        attempt = _Attempt(route, self._verdict(route, where), timeouts, asyncio.timeout(timeouts.connect))
        sock: socket.socket | None = None
        client: asyncssh.SSHClientConnection | None = None
        try:
            async with attempt.deadline:
                sock = await _open(address) if address else None
                if route.target.socks is not None and tunnel is None:
                    sock = await socks.dial(route.target.socks, route.options.host, route.options.port)
                client = await attempt.handshake(sock, tunnel)
        except BaseException as error:
            # Both may be left over: the socket when asyncssh had not yet taken it, the connection when it was a moment too late.
            if client is not None:
                client.abort()
            elif sock is not None:
                sock.close()
            if not is_foreign(error):
                raise
            raise attempt.failed(error, where) from error
        return _Dialled(client, route, where)

    def _verdict(self, route: Route, address: str) -> Verdict:
        name = route.name_at(address)
        files = route.known_hosts
        check = route.target.host_key_check
        known = Known() if check is HostKeyCheck.NONE else self._known_hosts.lookup(files, name)
        return Verdict(label=route.label, name=name, files=files, check=check, known=known)


@dataclass(slots=True)
class _Attempt:
    """One login at one address: how far it has come, and until when the next step must be done."""

    route: Route
    verdict: Verdict
    timeouts: Timeouts
    deadline: asyncio.Timeout
    connected: bool = False

    async def handshake(
        self, sock: socket.socket | None, tunnel: asyncssh.SSHClientConnection | None
    ) -> asyncssh.SSHClientConnection:
        known = self.verdict.known
        trusted: Any = (known.trusted, known.authorities, known.revoked)
        return await asyncssh.connect(
            self.route.target.host,
            options=self.route.options,
            tunnel=tunnel,
            sock=sock,
            client_factory=lambda: _Client(self),
            server_host_key_algs=key_algorithms(known),
            known_hosts=None if self.verdict.check is HostKeyCheck.NONE else trusted,
        )

    def reached(self) -> None:
        """The network connection stands: from here on the time for the login counts."""
        self.connected = True
        if not self.deadline.expired():
            self.deadline.reschedule(asyncio.get_running_loop().time() + self.timeouts.login)

    def failed(self, error: BaseException, address: str) -> SshError:
        """What went wrong, and with which account, address and port."""
        found = self._reason(error)
        options = self.route.options
        at = f" ({address})" if address not in {"", options.host} else ""
        found.details = (*found.details, f"as {options.username} at {options.host}{at} port {options.port}")
        return found

    def _reason(self, error: BaseException) -> SshError:
        label = self.route.label
        match error:
            case asyncssh.HostKeyNotVerifiable() if self.verdict.refusal:
                return self.verdict.refusal
            case asyncssh.HostKeyNotVerifiable() if self.verdict.known.revoked:
                return self.verdict.revoked()
            case asyncssh.PermissionDenied():
                return translate(error, label, tried=(*self.route.keys_offered(), *locked_identities(self.route)))
            case asyncssh.ChannelOpenError():
                return self._beyond(error)
            case TimeoutError() if error.errno is None:
                return self._silent()
            case _:
                return translate(error, label)

    def _silent(self) -> UnreachableError:
        label, timeouts = self.route.label, self.timeouts
        if self.connected:
            told = f"{label} was reached, but did not let us in within {timeouts.login:g} s"
            return UnreachableError(told, hint="is its sshd overloaded?")
        told = f"{label} did not answer within {timeouts.connect:g} s"
        return UnreachableError(told, hint="is it on, and is the address right?")

    def _beyond(self, error: asyncssh.ChannelOpenError) -> SshError:
        """The last host on the way could not, or would not, connect to the target."""
        found = UnreachableError(
            f"{self.route.label} can't be reached through {self.route.jump[-1].label}: {error.reason}",
            hint="does it allow TCP forwarding, and know the target under this name?",
        )
        found.transient = "refused" in error.reason.lower()
        return found


class _Client(asyncssh.SSHClient):
    def __init__(self, attempt: _Attempt) -> None:
        self._attempt = attempt

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        self._attempt.reached()
        hasten(conn)

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        return self._attempt.verdict.accepts(key)


def _raise_file_limit() -> None:
    """A connection is a file; the limit is low by default for the sake of programs that use select(), which this one does not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # macOS has a limit of its own below the hard one
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _discard(late: _Dialled) -> None:
    late.client.abort()


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
    sock = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address.name)
    except BaseException:
        sock.close()
        raise
    return sock


async def _close(client: asyncssh.SSHClientConnection, seconds: float) -> None:
    """Say good-bye; drop the connection if that takes longer than `seconds`."""
    client.close()
    try:
        async with asyncio.timeout(seconds):
            await client.wait_closed()
    except TimeoutError:
        client.abort()
