"""One authenticated connection to a host: run a command, follow one, bridge a socket to one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from clanpy.ssh.bridge import Bridge
from clanpy.ssh.channels import Channels
from clanpy.ssh.errors import ConnectionLostError, RemoteTimeoutError, command_failed, last_lines, translate
from clanpy.ssh.session import Collector, Lines
from clanpy.ssh.shell import Command, guarded, remote, script, shown


if TYPE_CHECKING:
    import asyncssh

    from clanpy.ssh.background import Background
    from clanpy.ssh.options import Route
    from clanpy.ssh.session import Channel

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

    def __init__(self, client: asyncssh.SSHClientConnection, route: Route, address: str, tasks: Background) -> None:
        self.target = route.target
        self.address = address
        self.user = route.user
        self.bytes_sent = 0
        self._client = client
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
            RemoteTimeoutError, ConnectionLostError, ChannelRefusedError: as they say.
        """
        text = remote(guarded(command, len(input)), self._become(elevate, as_user))
        session = Collector(keep)
        try:
            async with asyncio.timeout(timeout), self._channels.open(session, text) as channel:
                self._feed(channel, input)
                await session.ended.wait()
        except TimeoutError as error:
            raise self._too_long(command, timeout, session) from error
        self._check_ended(session, command)
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
        session = Lines(KEPT_BYTES)
        text = remote(guarded(command), self._become(elevate, as_user))
        async with self._channels.open(session, text):
            while (line := await session.next()) is not None:
                yield line
        self._check_ended(session, command)
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
    ) -> AsyncIterator[Bridge]:
        """A Unix socket here, each connection to which is a fresh run of `command` there, joined by its standard streams.

        The result is the path of the socket where a path or text is wanted (`f"unix://{socket}"`).

        Args:
            command: as for `run`; it must end at the end of its input.
            on_bytes: called with the number of bytes of every piece that was handed to the host.
            elevate: as for `run`.
            as_user: as for `run`.

        Raises:
            RemoteCommandError, ConnectionLostError: the body failed, and this is why.
        """

        def count(size: int) -> None:
            self.bytes_sent += size
            if on_bytes:
                on_bytes(size)

        bridge = Bridge(self._channels, self.host, shown(command), count)
        text = remote(script(command), self._become(elevate, as_user))
        async with bridge.listening(text):
            yield bridge

    def _become(self, elevate: bool, account: str | None) -> tuple[str, ...]:
        elevation = self.target.elevation
        if account is not None:
            return elevation.as_user(self.user, account)
        return elevation.as_root(self.user) if elevate else ()

    def _feed(self, channel: Channel, data: bytes) -> None:
        # A command that ended at once may have closed the channel already; its status tells the rest.
        with suppress(BrokenPipeError):
            channel.write(data)
            self.bytes_sent += len(data)

    def _check_ended(self, session: Collector, command: Command) -> None:
        if session.status is None and session.signal is None:
            doing = f"running {shown(command)} on"
            if session.error is not None:
                raise translate(session.error, self.host, doing=doing) from session.error
            raise ConnectionLostError(f"the connection to {self.host} was closed while {doing} it")

    def _too_long(self, command: Command, seconds: float, session: Collector) -> RemoteTimeoutError:
        return RemoteTimeoutError(
            f"a command on {self.host} did not end within {seconds:g} s: {shown(command)}",
            details=last_lines(session.stderr.text() or session.stdout.text()),
        )


async def close(client: asyncssh.SSHClientConnection, seconds: float) -> None:
    """Say good-bye; drop the connection if that takes longer than `seconds`."""
    client.close()
    try:
        async with asyncio.timeout(seconds):
            await client.wait_closed()
    except TimeoutError:
        client.abort()
