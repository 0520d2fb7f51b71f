"""Ctrl-C: the first one stops politely, the second one lets go."""

from __future__ import annotations

import asyncio
import signal
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(slots=True, eq=False)
class Membership:
    """One host's work, as far as interrupting it goes."""

    task: asyncio.Task[Any]
    depth: int = 0
    has_changed: bool = False

    @contextmanager
    def committed(self) -> Iterator[None]:
        """From here to the end of the body the host is being changed: only the second request cancels it."""
        self.depth += 1
        self.has_changed = True
        try:
            yield
        finally:
            self.depth -= 1


@dataclass(slots=True)
class Interrupts:
    """What was asked for from outside. Hosts hang in here for as long as they are at work.

    First request: hosts that have changed nothing yet are cancelled, those whose activation has begun go on to their end.
    Second request: those are let go, too: the guard on the host finishes what was begun, and goes back when nobody confirms.
    """

    on_request: Callable[[int], None] = lambda _count: None
    count: int = field(default=0, init=False)
    _listeners: list[Callable[[int], None]] = field(default_factory=list, init=False)
    _members: set[Membership] = field(default_factory=set, init=False)

    @property
    def stopping(self) -> bool:
        """Whether no more hosts may be begun."""
        return self.count > 0

    @property
    def detached(self) -> bool:
        """Whether hosts in the middle of their activation were let go."""
        return self.count > 1

    def listen(self, listener: Callable[[int], None]) -> None:
        """Tell somebody of requests, too, before hosts are told."""
        self._listeners.append(listener)

    @contextmanager
    def member(self) -> Iterator[Membership]:
        """The current task is a host's work: it may be cancelled by a request."""
        task = asyncio.current_task()
        assert task is not None, "only tasks are interrupted"
        membership = Membership(task)
        self._members.add(membership)
        try:
            yield membership
        finally:
            self._members.discard(membership)

    def request(self) -> None:
        """Somebody pressed Ctrl-C."""
        self.count += 1
        for listener in self._listeners:
            listener(self.count)
        for member in tuple(self._members):
            if member.depth == 0 or self.detached:
                member.task.cancel()
        self.on_request(self.count)

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Let SIGINT, SIGTERM and SIGHUP mean a request, for the body."""
        loop = asyncio.get_running_loop()
        signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        for number in signals:
            loop.add_signal_handler(number, self.request)
        try:
            yield
        finally:
            for number in signals:
                loop.remove_signal_handler(number)
