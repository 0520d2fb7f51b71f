"""Several ways to one end: start them one after the other, take the first that arrives, stop the rest."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from clanpy.ssh.errors import SshError


if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

T = TypeVar("T")


@dataclass(slots=True)
class _Race(Generic[T]):
    discard: Callable[[T], None]
    winner: T | None = None
    failures: list[SshError] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, way: Callable[[], Awaitable[T]]) -> None:
        try:
            found = await way()
        except SshError as error:
            self.failures.append(error)
        else:
            if self.winner is None:
                self.winner = found
            else:
                self.discard(found)
        self.news.set()

    async def wait_for_news(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self.news.wait()
        except TimeoutError:
            pass
        self.news.clear()


async def race(
    ways: Sequence[Callable[[], Awaitable[T]]], *, stagger: float, discard: Callable[[T], None]
) -> tuple[T | None, list[SshError]]:
    """The first result, and the errors of the ways that failed before it (of all, where the result is None).

    A way starts `stagger` seconds after the one before it, or as soon as one has failed. A second result that comes before its
    way could be stopped goes to `discard`.
    """
    state: _Race[T] = _Race(discard)
    async with asyncio.TaskGroup() as group:
        tasks: list[asyncio.Task[None]] = []
        for way in ways:
            tasks.append(group.create_task(state.run(way)))
            await state.wait_for_news(stagger)
            if state.winner is not None:
                break
        while state.winner is None and len(state.failures) < len(tasks):
            await state.wait_for_news(None)
        for task in tasks:
            task.cancel()
    return state.winner, state.failures
