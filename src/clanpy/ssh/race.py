"""Several ways to one end: start them one after the other, take the first that arrives, stop the rest."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from clanpy.ssh.errors import (
    AuthenticationError,
    ConnectionLostError,
    HostKeyError,
    SshError,
    SshSetupError,
    UnreachableError,
)


if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

T = TypeVar("T")


@dataclass(slots=True)
class _Race(Generic[T]):
    discard: Callable[[T], None]
    winners: list[T] = field(default_factory=list)
    failures: list[SshError] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def go(self, ways: Sequence[Callable[[], Awaitable[T]]], stagger: float) -> None:
        async with asyncio.TaskGroup() as group:
            tasks: list[asyncio.Task[None]] = []
            for way in ways:
                tasks.append(group.create_task(self.run(way)))
                await self.wait_for_news(stagger)
                if self.winners:
                    break
            while not self.winners and len(self.failures) < len(tasks):
                await self.wait_for_news(None)
            for task in tasks:
                task.cancel()

    async def run(self, way: Callable[[], Awaitable[T]]) -> None:
        try:
            found = await way()
        except SshError as error:
            self.failures.append(error)
        else:
            if self.winners:
                self.discard(found)
            else:
                self.winners.append(found)
        self.news.set()

    async def wait_for_news(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self.news.wait()
        except TimeoutError:
            pass
        self.news.clear()


async def race(ways: Sequence[Callable[[], Awaitable[T]]], *, stagger: float, discard: Callable[[T], None]) -> T:
    """The first result.

    A way starts `stagger` seconds after the one before it, or as soon as one has failed. A second result that comes before its
    way could be stopped goes to `discard`.

    Raises:
        SshError: all ways failed; it is the error of the one that came furthest, with the others in `details`.
    """
    state: _Race[T] = _Race(discard)
    try:
        await state.go(ways, stagger)
    except BaseException:  # cancelled, perhaps with a result in hand already
        for late in state.winners:
            discard(late)
        raise
    if not state.winners:
        raise _furthest(state.failures)
    return state.winners[0]


def _furthest(failures: Sequence[SshError]) -> SshError:
    first = min(failures, key=_distance)
    others = [
        line for error in failures if error is not first for line in (f"also tried: {error.message}", *error.details)
    ]
    first.details = (*first.details, *others)
    if isinstance(first, UnreachableError):
        first.transient = any(error.transient for error in failures)
    return first


def _distance(error: SshError) -> int:
    """How far from being let in we were."""
    kinds: tuple[type[SshError], ...] = (HostKeyError, AuthenticationError, ConnectionLostError, SshSetupError)
    return next((n for n, kind in enumerate(kinds) if isinstance(error, kind)), len(kinds))
