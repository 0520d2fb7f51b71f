"""Tasks that serve a body of code and end with it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar


if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

T = TypeVar("T")


class Background:
    """Starts tasks in a group that is left by cancelling them."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin a piece of work. It must not raise: an exception in it is a bug, and ends the body."""
        task = self._group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def cancel(self) -> None:
        """Stop all that is still running."""
        for task in tuple(self._tasks):
            task.cancel()


@asynccontextmanager
async def background() -> AsyncIterator[Background]:
    """A task group whose tasks are cancelled at the end of the body, and that lets the body's exception out as it is.

    A plain TaskGroup waits for its tasks, and wraps whatever the body raises into a group.
    """
    raised: BaseException | None = None
    async with asyncio.TaskGroup() as group:
        tasks = Background(group)
        try:
            yield tasks
        except BaseException as error:
            raised = error
        tasks.cancel()
    if raised is not None:
        raise raised
