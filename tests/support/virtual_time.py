"""A loop whose time passes only when nobody has anything to do: minutes take microseconds, and every run goes the same way."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar


T = TypeVar("T")
MONDAY = datetime(2026, 1, 5, 12, tzinfo=UTC)


class _Skipping(selectors.DefaultSelector):
    """Waits for nothing: where others wait, its time is later."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if ready:
            return ready
        assert timeout is not None, "everybody waits for something that will never happen"
        self.time += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop with a time of its own."""

    def __init__(self) -> None:
        self._skipping = _Skipping()
        super().__init__(self._skipping)

    def time(self) -> float:
        return self._skipping.time


@dataclass(frozen=True, slots=True)
class VirtualClock:
    """The clock of such a loop."""

    began: datetime = MONDAY

    def now(self) -> datetime:
        return self.began + timedelta(seconds=asyncio.get_running_loop().time())

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def run_virtually(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end, whatever time it thinks it takes."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
