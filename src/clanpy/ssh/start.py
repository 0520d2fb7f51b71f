"""Starting a command: its channel, the way through sudo, and whether it was ever reached."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clanpy.ssh.elevation import PROMPT
from clanpy.ssh.errors import ConnectionLostError, ElevationError, last_lines, translate


if TYPE_CHECKING:
    from clanpy.ssh.channels import Channels
    from clanpy.ssh.session import Channel, Collector


@dataclass(frozen=True, slots=True)
class Start:
    """How one command is started; may be used many times.

    Attributes:
        text: the line for the login shell.
        ask: gives the password that sudo wants. None: it may want none.
        greeted: the command runs as another account, and says so when it is reached.
    """

    channels: Channels
    host: str
    text: str
    ask: Callable[[], Awaitable[str]] | None
    greeted: bool

    @asynccontextmanager
    async def channel(self, session: Collector) -> AsyncIterator[Channel]:
        """The command's channel, as soon as what is written to it is read by the command and nobody else.

        Raises:
            ConnectionLostError, ChannelRefusedError, ElevationError: the command was not started.
        """
        async with self.channels.open(session, self.text) as channel:
            if self.ask is not None:
                await self._admit(session, channel, self.ask)
            yield channel

    def check(self, session: Collector, command: str) -> None:
        """Make sure that the command ran and ended, with whichever status.

        Raises:
            ConnectionLostError: the connection ended before it.
            ElevationError: it was never reached.
        """
        if session.status is None and session.signal is None:
            doing = f"running {command}"
            if session.error is not None:
                raise translate(session.error, self.host, doing=doing) from session.error
            raise ConnectionLostError(f"the connection to {self.host} was closed while {doing}")
        if not session.arrived:
            raise self._refused(session)

    async def _admit(self, session: Collector, channel: Channel, ask: Callable[[], Awaitable[str]]) -> None:
        """Give the password when it is asked for, once: a second question means that it was wrong."""
        answered = False
        while not session.arrived and not session.ended.is_set():
            session.news.clear()
            if session.prompts > answered:
                if answered:
                    raise ElevationError(f"{self.host} did not accept the password for sudo")
                with suppress(BrokenPipeError):
                    channel.write(f"{await ask()}\n".encode())
                answered = True
                continue
            await session.news.wait()

    def _refused(self, session: Collector) -> ElevationError:
        said = session.stderr.text().replace(PROMPT, "")
        return ElevationError(
            f"{self.host} does not let us run commands as another account",
            hint="allow it without a password (NOPASSWD for sudo), or log in as root",
            details=last_lines(said),
        )
