"""Building what hosts need, those that ask at the same time together in one Nix process."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from clanpy.deployment.batch import Asked, Batcher
from clanpy.errors import ClanpyError
from clanpy.events import Stage
from clanpy.nix.build import BuildLine, build
from clanpy.nix.roots import Roots


if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from clanpy.deployment.run import HostRun
    from clanpy.nix.program import NixProgram
    from clanpy.nix.release import Release

# Nix processes that want the same derivation look for each other only every few seconds: one after the other is quicker, until
# the first of them takes long.
PATIENCE = 10.0

_Question = tuple["HostRun", "Release"]
_Answer = ClanpyError | None


@dataclass(slots=True)
class Builder:
    """Builds releases, at most `at_once` Nix processes at a time."""

    tasks: asyncio.TaskGroup
    nix: NixProgram | ClanpyError
    cache: Path
    at_once: int
    _batcher: Batcher[_Question, _Answer] = field(init=False)
    _slots: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._batcher = Batcher(self.tasks, self._work, patience=PATIENCE)
        self._slots = asyncio.Semaphore(self.at_once)

    async def build(self, host: HostRun, release: Release) -> None:
        """Build a release; it is there when this returns.

        Raises:
            ClanpyError: why it could not be built.
        """
        error = await self._batcher.ask((host, release))
        if error is not None:
            raise error

    async def _work(self, batch: Sequence[Asked[_Question, _Answer]]) -> None:
        if isinstance(self.nix, ClanpyError):
            for asked in batch:
                asked.answer(self.nix)
            return
        hosts = {asked.question[1].host: asked for asked in batch}

        def tell(line: BuildLine) -> None:
            for name in line.hosts:
                if name in hosts:
                    hosts[name].question[0].log(Stage.BUILD, f"{line.name}: {line.text}")

        async with self._slots:
            results = await build(
                [asked.question[1] for asked in batch],
                self.nix,
                Roots(self.cache / "roots", self.nix),
                on_line=tell,
                on_built=lambda name: hosts[name].answer(None),
            )
        for name, error in results.items():
            hosts[name].answer(error)
