"""One authenticated connection to a host: run a command, follow one, bridge a socket to one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from clanpy.errors import ClanpyError
from clanpy.ssh import bridge_process
from clanpy.ssh.bridge import Bridge, private_path
from clanpy.ssh.channels import Channels
from clanpy.ssh.errors import ElevationError, RemoteTimeoutError, command_failed, last_lines
from clanpy.ssh.link import Link, link_below
from clanpy.ssh.options import Route, Timeouts
from clanpy.ssh.pipes import Pipes
from clanpy.ssh.session import Collector, Lines
from clanpy.ssh.shell import Command, guarded, remote, script, shown
from clanpy.ssh.start import Start
from clanpy.ssh.target import Target


if TYPE_CHECKING:
    import asyncssh

    from clanpy.ssh.background import Background
    from clanpy.ssh.session import Channel

AskPassword = Callable[[Target], Awaitable[str]]

DEFAULT_TIMEOUT = 60.0
KEPT_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """How a remote command ended, and the end of what it wrote.

    Attributes:
        status: exit status; -1 when a signal ended it (`signal` names it).
        dropped: bytes of standard output that came before what is kept in `stdout`.
    """

    host: str
    command: str
    status: int
    signal: str | None = None
    stdout: str = ""
    stderr: str = ""
    dropped: int = 0

    @property
    def ok(self) -> bool:
        """Whether the command succeeded."""
        return self.status == 0

    def check(self) -> Self:
        """Itself, if the command succeeded.

        Raises:
            RemoteCommandError: it did not; the last lines that it wrote are in `details`.
        """
        if self.ok:
            return self
        raise command_failed(self.host, self.command, self.status, self.signal, self.stderr or self.stdout)


class Connection:
    """An open connection. Made by `connect`, closed at the end of its `async with`.

    Attributes:
        target: the target that was reached.
        address: the address that was dialled; empty where a proxy dialled.
        user: the account we are there.
        bytes_sent: payload handed to commands (input and bridged bytes), without the overhead of SSH.
    """

    def __init__(
        self,
        client: asyncssh.SSHClientConnection,
        route: Route,
        *,
        address: str,
        timeouts: Timeouts,
        tasks: Background,
        ask: AskPassword | None = None,
    ) -> None:
        self.target = route.target
        self.address = address
        self.user = route.user
        self.timeouts = timeouts
        self.bytes_sent = 0
        self._client = client
        self._ask = partial(ask, self.target) if ask else None
        self._channels = Channels(client, route.label, tasks)

    @property
    def host(self) -> str:
        """What the host is called in messages."""
        return self.target.label

    @property
    def round_trips(self) -> int:
        """How many commands were started, those of bridges included."""
        return self._channels.opened

    @property
    def is_open(self) -> bool:
        """Whether the connection still stands, as far as is known here."""
        return not self._client.is_closed()

    @property
    def link(self) -> Link:
        """The link below, as it was seen so far. Nothing is sent to find out."""
        return link_below(self._client.get_extra_info("socket"))

    async def run(
        self,
        command: Command,
        *,
        input: bytes = b"",  # noqa: A002  (the word everybody knows from subprocess)
        timeout: float = DEFAULT_TIMEOUT,  # noqa: ASYNC109  (part of what a command is; callers may still use asyncio.timeout)
        elevate: bool = False,
        as_user: str | None = None,
        keep: int = KEPT_BYTES,
    ) -> Completed:
        """Run a command to its end.

        It is ended, with all it started in its own session, when this call is cancelled or times out, and when the connection
        is lost as soon as the host notices.

        Args:
            command: text for /bin/sh, or words that need no quoting.
            input: what the command reads from its standard input.
            timeout: seconds until it must have ended, waiting for a free channel included.
            elevate: run it as root, by the target's means.
            as_user: run it as this account, in its home.
            keep: how many bytes of each output stream are kept, counted from the end.

        Raises:
            RemoteTimeoutError, ConnectionLostError, ChannelRefusedError, ElevationError: as they say.
        """
        start = self._start(guarded(command, len(input)), elevate=elevate, as_user=as_user)
        session = Collector(keep, greeted=start.greeted)
        try:
            async with asyncio.timeout(timeout), start.channel(session) as channel:
                self._feed(channel, input)
                await session.ended.wait()
        except TimeoutError as error:
            raise self._too_long(command, timeout, session) from error
        start.check(session, shown(command))
        return Completed(
            host=self.host,
            command=shown(command),
            status=-1 if session.status is None else session.status,
            signal=session.signal,
            stdout=session.stdout.text(),
            stderr=session.stderr.text(),
            dropped=session.stdout.dropped,
        )

    async def follow(
        self, command: Command, *, elevate: bool = False, as_user: str | None = None
    ) -> AsyncGenerator[str, None]:
        """The lines that a command writes to its standard output, as they come; it is ended when the generator is closed.

        Whoever may leave the loop early wraps it in `contextlib.aclosing`. There is no time limit of its own.

        Raises:
            RemoteCommandError: the command ended with a status other than 0, after its last line.
            ConnectionLostError, ChannelRefusedError: as they say.
        """
        start = self._start(guarded(command), elevate=elevate, as_user=as_user)
        session = Lines(KEPT_BYTES, greeted=start.greeted)
        async with start.channel(session):
            while (line := await session.next()) is not None:
                yield line
        start.check(session, shown(command))
        if session.status != 0:
            raise command_failed(self.host, shown(command), session.status, session.signal, session.stderr.text())

    @asynccontextmanager
    async def bridge(
        self,
        command: Command,
        *,
        on_bytes: Callable[[int], None] | None = None,
        elevate: bool = False,
        as_user: str | None = None,
        in_process: bool = True,
        path: Path | None = None,
    ) -> AsyncIterator[Bridge]:
        """A Unix socket here, each connection to which is a fresh run of `command` there, joined by its standard streams.

        The result stands for the path of the socket where a path or text is wanted (`f"unix://{socket}"`).

        Args:
            command: as for `run`; it must end at the end of its input.
            on_bytes: called with the number of bytes of every piece that was handed to the host.
            elevate: as for `run`.
            as_user: as for `run`.
            in_process: False moves the bytes in a process and over a connection of their own, so that this event loop stays
                quick; worth its start from about `BULK_BYTES` on (docs/decisions/0010-bulk-lane.md).
            path: where the socket shall be, if not in a private directory that is made for it.

        Raises:
            RemoteCommandError, ConnectionLostError: the body failed, and this is why.
        """
        with nullcontext(path) if path else private_path() as place:
            bridge = Bridge(self.host, shown(command), place, partial(self._count, on_bytes))
            if in_process:
                engine = Pipes(bridge, self._start(script(command), elevate=elevate, as_user=as_user)).serving(place)
            else:
                engine = bridge_process.serving(
                    bridge,
                    bridge_process.Order(
                        target=self.target,
                        timeouts=self.timeouts,
                        command=command,
                        elevate=elevate,
                        as_user=as_user,
                        path=place,
                        may_ask=self._ask is not None,
                    ),
                    self._ask,
                )
            async with engine:
                try:
                    yield bridge
                except (ClanpyError, OSError) as error:
                    reason = await bridge.reason(error)
                    if reason is error:
                        raise
                    raise reason from error

    def _count(self, on_bytes: Callable[[int], None] | None, size: int) -> None:
        self.bytes_sent += size
        if on_bytes:
            on_bytes(size)

    def _start(self, text: str, *, elevate: bool, as_user: str | None) -> Start:
        become = self._become(elevate, as_user)
        return Start(
            self._channels, self.host, remote(text, become), self._ask if become else None, greeted=bool(become)
        )

    def _become(self, elevate: bool, account: str | None) -> tuple[str, ...]:
        elevation, asking = self.target.elevation, self._ask is not None
        if account is None:
            return elevation.as_root(self.user, may_ask=asking) if elevate else ()
        words = elevation.as_user(self.user, account, may_ask=asking)
        if words is None:
            raise ElevationError(
                f"{self.user} can't become {account} on {self.host}: its elevation is {elevation}",
                hint="set it to sudo, doas or run0, or log in as root",
            )
        return words

    def _feed(self, channel: Channel, data: bytes) -> None:
        # A command that ended at once may have closed the channel already; its status tells the rest.
        with suppress(BrokenPipeError):
            channel.write(data)
            self.bytes_sent += len(data)

    def _too_long(self, command: Command, seconds: float, session: Collector) -> RemoteTimeoutError:
        return RemoteTimeoutError(
            f"a command on {self.host} did not end within {seconds:g} s: {shown(command)}",
            details=last_lines(session.stderr.text() or session.stdout.text()),
        )
