"""Ctrl-C: the first one stops politely, the second one lets go."""

from __future__ import annotations

import asyncio
import signal
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(slots=True)
class Interrupts:
    """What was asked for from outside. Hosts hang in here for as long as they are at work.

    First request: hosts that have changed nothing yet are cancelled, those whose activation has begun go on to their end.
    Second request: those are let go, too: the guard on the host finishes what was begun, and goes back when nobody confirms.
    """

    on_request: Callable[[int], None] = lambda _count: None
    count: int = field(default=0, init=False)
    _free: set[asyncio.Task[object]] = field(default_factory=set, init=False)
    _committed: set[asyncio.Task[object]] = field(default_factory=set, init=False)

    @property
    def stopping(self) -> bool:
        """Whether no more hosts may be begun."""
        return self.count > 0

    @property
    def detached(self) -> bool:
        """Whether hosts in the middle of their activation were let go."""
        return self.count > 1

    @contextmanager
    def member(self) -> Iterator[None]:
        """The current task is a host's work: it may be cancelled by the first request."""
        task = _current()
        self._free.add(task)
        try:
            yield
        finally:
            self._free.discard(task)

    @contextmanager
    def committed(self) -> Iterator[None]:
        """From here to the end of the body only the second request cancels the current task."""
        task = _current()
        was_free = task in self._free
        self._free.discard(task)
        self._committed.add(task)
        try:
            yield
        finally:
            self._committed.discard(task)
            if was_free:
                self._free.add(task)

    def request(self) -> None:
        """Somebody pressed Ctrl-C."""
        self.count += 1
        victims = self._free if self.count == 1 else self._free | self._committed
        for task in tuple(victims):
            task.cancel()
        self.on_request(self.count)

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Let SIGINT and SIGTERM mean a request, for the body."""
        loop = asyncio.get_running_loop()
        signals = (signal.SIGINT, signal.SIGTERM)
        for number in signals:
            loop.add_signal_handler(number, self.request)
        try:
            yield
        finally:
            for number in signals:
                loop.remove_signal_handler(number)


def _current() -> asyncio.Task[object]:
    task = asyncio.current_task()
    assert task is not None, "only tasks are interrupted"
    return task
