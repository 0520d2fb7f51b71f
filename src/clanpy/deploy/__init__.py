"""The deployer: takes machines from what they run to what they should run, many at once, each independently.

`deploy` is the door; what is done to one host is in `update`, the dialogue with its guard in `activate`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from clanpy.deploy.building import Builder
from clanpy.deploy.copying import Copier
from clanpy.deploy.reach import Reach
from clanpy.deploy.releases import Releases, find_nix
from clanpy.deploy.run import Run, RunResult
from clanpy.deploy.update import Slots, Updater
from clanpy.rollout.interrupts import Interrupts
from clanpy.rollout.limits import Limits


if TYPE_CHECKING:
    from collections.abc import Sequence

    from clanpy.deploy.options import Options, Surroundings
    from clanpy.events import Sink
    from clanpy.journal import Recorder

__all__ = ["RunResult", "deploy"]


async def deploy(
    surroundings: Surroundings,
    names: Sequence[str],
    options: Options,
    recorder: Recorder,
    *,
    sinks: Sequence[Sink] = (),
    interrupts: Interrupts | None = None,
) -> RunResult:
    """Update machines: resolve, stage, evaluate, build, copy, activate, confirm, each as soon as it can.

    Raises:
        JournalError: the journal can't be written. All else is the outcome of a host.
    """
    limits = Limits.derived(parallel=options.parallel)
    run = Run(
        command="update",
        fleet=surroundings.fleet.meta.name,
        recorder=recorder,
        interrupts=interrupts or Interrupts(),
        sinks=sinks,
    )
    nix = find_nix(surroundings)
    releases = Releases(surroundings, names)
    async with Reach(surroundings.targets) as reach, asyncio.TaskGroup() as tasks:
        making = tasks.create_task(releases.run(nix), name="releases")
        updater = Updater(
            run=recorder.run,
            surroundings=surroundings,
            options=options,
            slots=Slots(limits),
            reach=reach,
            releases=releases,
            builder=Builder(tasks, nix, surroundings.cache, limits.build),
            copier=Copier(tasks, nix),
        )
        result = await run.each(names, updater.update)
        making.cancel()
    return result
