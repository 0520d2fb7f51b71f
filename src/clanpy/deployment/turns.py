"""A host's turn: in a rollout it brings everything there that it needs, then waits until it may be activated."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from clanpy.errors import ClanpyError
    from clanpy.events import HostFinished


@dataclass(slots=True)
class Turn:
    """One host's turn, seen from both sides: by its own work, and by who conducts the rollout.

    Attributes:
        slots: what the host holds while it is at work, and gives back while it waits.
        changes: whether there is anything to be changed on it; known once `known` is set.
        end: how it ended.
    """

    slots: asyncio.Semaphore
    changes: bool = False
    known: asyncio.Event = field(default_factory=asyncio.Event)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    end: HostFinished | None = None
    _admitted: asyncio.Event = field(default_factory=asyncio.Event)
    _refusal: ClanpyError | None = None

    def will_change(self) -> None:
        """Said by the host's work: something is to be done."""
        self.changes = True
        self.known.set()

    async def wait(self) -> None:
        """Said by the host's work: it may be activated now. Comes back when it is its turn.

        Raises:
            ClanpyError: it is left as it is, and why.
        """
        self.ready.set()
        self.slots.release()
        try:
            await self._admitted.wait()
        finally:
            await asyncio.shield(self.slots.acquire())
        if self._refusal is not None:
            raise self._refusal

    def admit(self) -> None:
        """It is its turn."""
        self._admitted.set()

    def refuse(self, error: ClanpyError) -> None:
        """Its turn will not come. The first reason counts."""
        if not self._admitted.is_set():
            self._refusal = error
        self._admitted.set()

    def finish(self, end: HostFinished) -> None:
        """Said by the run: the host is done."""
        self.end = end
        for event in (self.known, self.ready, self.ended):
            event.set()
