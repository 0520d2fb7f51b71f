"""Doing together what is asked for at about the same time: one process for eight machines costs little more than one for one."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar


if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

_Q = TypeVar("_Q")
_A = TypeVar("_A")

WINDOW = 0.02  # seconds that the first one waits for others


@dataclass(slots=True, eq=False)
class Asked(Generic[_Q, _A]):
    """A question, and the place for its answer. The work may answer each as early as it can."""

    question: _Q
    future: asyncio.Future[_A]

    def answer(self, answer: _A) -> None:
        """Give the answer, unless nobody waits for it any more."""
        if not self.future.done():
            self.future.set_result(answer)


@dataclass(slots=True)
class Batcher(Generic[_Q, _A]):
    """Collects questions for a moment and hands them to the work together.

    Attributes:
        tasks: the group whose end is the end of all work.
        patience: seconds that a batch, growing meanwhile, waits for the one before it to end. Then both work.
        work: answers all questions of a batch. What it raises, all that were not answered yet get.
    """

    tasks: asyncio.TaskGroup
    work: Callable[[Sequence[Asked[_Q, _A]]], Awaitable[None]]
    patience: float = 0.0
    _waiting: list[Asked[_Q, _A]] = field(default_factory=list, init=False)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def ask(self, question: _Q) -> _A:
        """The answer. When nobody of a batch waits any more, its work is cancelled."""
        asked: Asked[_Q, _A] = Asked(question, asyncio.get_running_loop().create_future())
        self._waiting.append(asked)
        if len(self._waiting) == 1:
            self.tasks.create_task(self._batch(), name="batch")
        return await asked.future

    async def _batch(self) -> None:
        await asyncio.sleep(WINDOW)
        async with self._in_turn():
            batch, self._waiting = self._waiting, []
            await self._do([asked for asked in batch if not asked.future.cancelled()])

    @asynccontextmanager
    async def _in_turn(self) -> AsyncIterator[None]:
        has_turn = False
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.patience):
                    has_turn = await self._turn.acquire()
            yield
        finally:
            if has_turn:
                self._turn.release()

    async def _do(self, batch: Sequence[Asked[_Q, _A]]) -> None:
        if not batch:
            return
        left = len(batch)
        working = asyncio.ensure_future(self.work(batch))

        def one_less(_: object) -> None:
            nonlocal left
            left -= 1
            if left == 0 and any(asked.future.cancelled() for asked in batch):
                working.cancel()

        for asked in batch:
            asked.future.add_done_callback(one_less)
        try:
            await working
        except asyncio.CancelledError:
            working.cancel()
            if left:
                raise
        except Exception as error:  # a bug is a bug for each that waits; told by the first
            for asked in batch:
                if not asked.future.done():
                    asked.future.set_exception(error)
