"""The deployer: takes machines from what they run to what they should run, many at once, each independently.

`deploy` is the door; what is done to one host is in `update`, the dialogue with its guard in `activate`.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from clanpy.deployment.activator import Activator
from clanpy.deployment.building import Builder
from clanpy.deployment.conduct import Conductor
from clanpy.deployment.copying import Copier
from clanpy.deployment.delivery import Deliveries
from clanpy.deployment.fanout import Fanout
from clanpy.deployment.homes import HomeUpdater
from clanpy.deployment.making import LocalMaker, Makers, made_elsewhere, peer_of
from clanpy.deployment.plan import Plan
from clanpy.deployment.planning import Planner, revision_of
from clanpy.deployment.reach import Reach
from clanpy.deployment.releases import Releases, find_nix
from clanpy.deployment.remote_build import RemoteMaker
from clanpy.deployment.rollback import Rollback
from clanpy.deployment.rolling import Rolled, waves_of
from clanpy.deployment.run import HostRun, Run, RunResult, Verdict
from clanpy.deployment.update import Slots, Updater
from clanpy.deployment.upload import Uploader
from clanpy.errors import ClanpyError
from clanpy.events import Outcome, RunResumed
from clanpy.rollout.engine import Control
from clanpy.rollout.interrupts import Interrupts
from clanpy.rollout.limits import Limits
from clanpy.rollout.resume import progress_of


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from clanpy.deployment.options import Options, Surroundings
    from clanpy.events import Sink
    from clanpy.journal import Recorder, RunState
    from clanpy.nix.program import NixProgram
    from clanpy.rollout.policy import Policy

__all__ = ["RunResult", "build", "deploy", "plan", "roll_back", "update_homes", "upload"]


async def deploy(
    surroundings: Surroundings,
    names: Sequence[str],
    options: Options,
    recorder: Recorder,
    *,
    sinks: Sequence[Sink] = (),
    interrupts: Interrupts | None = None,
    policy: Policy | None = None,
    control: Control | None = None,
    before: RunState | None = None,
) -> RunResult:
    """Update machines: resolve, stage, evaluate, build, copy, activate, confirm, each as soon as it can.

    With a `policy` only the activations wait: for their wave, and for each other. `control` is how people talk to it meanwhile.
    `before` is where this run stood when its controller went away: `names` are the machines that are left.

    Raises:
        JournalError: the journal can't be written. All else is the outcome of a host.
    """
    limits = Limits.derived(parallel=options.parallel)
    run = _run("update", surroundings, recorder, sinks, interrupts, before=before)
    nix = find_nix(surroundings)
    attempt = "" if before is None else f"-{2 + sum(e['event'] == RunResumed.name for e in recorder.events())}"
    deliveries = Deliveries(surroundings, recorder.run + attempt)
    releases = _releases(surroundings, names, options, deliveries)
    async with Reach.of(surroundings) as reach, asyncio.TaskGroup() as tasks:
        remote = RemoteMaker(tasks, surroundings, reach, releases, options.build_host)
        making = tasks.create_task(releases.run(nix), name="releases")
        builder, copier = Builder(tasks, nix, surroundings.cache, limits.build), _copier(tasks, nix, surroundings)
        machines = surroundings.fleet.machines
        site = Fanout(
            tasks, reach, _copier(tasks, nix, surroundings), lambda name: peer_of(machines[name], options.via)
        )
        copier.site = site
        updater = Updater(
            options=options,
            slots=Slots(limits),
            reach=reach,
            releases=releases,
            makers=Makers(LocalMaker(releases, builder, copier), remote, releases.elsewhere),
            activator=_activator("update", options, recorder, reach, deliveries, attempt=attempt),
            deliveries=deliveries,
        )
        if options.dry_run:
            updater.planner = _planner(updater, remote, copier)
        conduct = None
        if policy is not None and not options.dry_run:
            rolled = Rolled(
                run=run,
                options=options,
                fleet=surroundings.fleet,
                reach=reach,
                releases=releases,
                activator=_activator("rollout", options, recorder, reach, deliveries, attempt=f"{attempt}-back"),
            )
            waves = partial(waves_of, surroundings.fleet, policy, seed=recorder.run)
            waves(names)  # what is wrong with the selections is told before anything begins
            stood = progress_of(recorder.events(), policy) if before is not None else None
            conductor = Conductor(
                run=run, policy=policy, plan=waves, hosts=rolled, control=control or Control(), before=stood
            )
            conduct = conductor.conduct
        result = await run.each(names, updater.update, at_once=limits.hosts, conduct=conduct)
        making.cancel()
        remote.close()
        site.close()
    return replace(result, round_trips=dict(reach.round_trips), nix_processes=_processes(nix))


async def build(
    surroundings: Surroundings,
    names: Sequence[str],
    options: Options,
    recorder: Recorder,
    *,
    sinks: Sequence[Sink] = (),
    interrupts: Interrupts | None = None,
) -> RunResult:
    """Build machines where they are built, and activate nothing.

    Raises:
        JournalError: the journal can't be written.
    """
    run = _run("build", surroundings, recorder, sinks, interrupts)
    nix = find_nix(surroundings)
    releases = _releases(surroundings, names, options, Deliveries(surroundings, recorder.run))

    async def build_one(host: HostRun) -> Verdict:
        maker = makers.of(host.name)
        release = await maker.build(host, None, await maker.release(host, None))
        return Verdict(outcome=Outcome.BUILT, system=release.system.out)

    async with Reach.of(surroundings) as reach, asyncio.TaskGroup() as tasks:
        remote = RemoteMaker(tasks, surroundings, reach, releases, options.build_host)
        making = tasks.create_task(releases.run(nix), name="releases")
        builder = Builder(tasks, nix, surroundings.cache, Limits.derived().build)
        makers = Makers(LocalMaker(releases, builder, _copier(tasks, nix, surroundings)), remote, releases.elsewhere)
        result = await run.each(names, build_one)
        making.cancel()
        remote.close()
    return replace(result, nix_processes=_processes(nix))


async def plan(
    surroundings: Surroundings,
    names: Sequence[str],
    options: Options,
    recorder: Recorder,
    *,
    copies: bool = False,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    sinks: Sequence[Sink] = (),
    interrupts: Interrupts | None = None,
) -> tuple[RunResult, Plan]:
    """Build machines where they are built, and find out what an update would change on them. Nothing is made live.

    With `copies` what is missing is brought to the machines, so that their new systems say themselves what becomes of units.

    Raises:
        JournalError: the journal can't be written.
    """
    limits = Limits.derived(parallel=options.parallel)
    run = _run("diff", surroundings, recorder, sinks, interrupts)
    nix = find_nix(surroundings)
    deliveries = Deliveries(surroundings, recorder.run)
    releases = _releases(surroundings, names, options, deliveries)
    revision, modified = await asyncio.to_thread(revision_of, surroundings.fleet.root)
    async with Reach.of(surroundings) as reach, asyncio.TaskGroup() as tasks:
        remote = RemoteMaker(tasks, surroundings, reach, releases, options.build_host)
        making = tasks.create_task(releases.run(nix), name="releases")
        copier = _copier(tasks, nix, surroundings)
        builder = Builder(tasks, nix, surroundings.cache, limits.build)
        planner = Planner(
            options=options,
            reach=reach,
            releases=releases,
            makers=Makers(LocalMaker(releases, builder, copier), remote, releases.elsewhere),
            remote=remote,
            copier=copier,
            activator=_activator("diff", options, recorder, reach, deliveries),
            deliveries=deliveries,
            copies=copies,
        )
        result = await run.each(names, planner.plan, at_once=limits.hosts)
        making.cancel()
        remote.close()
    made = Plan(
        fleet=surroundings.fleet.meta.name,
        made=now().replace(microsecond=0),
        revision=revision,
        modified=modified,
        hosts=tuple(planner.found[name] for name in sorted(planner.found)),
        errors={name: host.error for name, host in result.state.hosts.items() if host.error is not None},
    )
    return replace(result, round_trips=dict(reach.round_trips), nix_processes=_processes(nix)), made


async def roll_back(
    surroundings: Surroundings,
    name: str,
    options: Options,
    recorder: Recorder,
    *,
    to: str | None = None,
    account: str | None = None,
    sinks: Sequence[Sink] = (),
    interrupts: Interrupts | None = None,
) -> RunResult:
    """Take one machine back to what ran before, to a generation, or to a store path.

    Raises:
        JournalError: the journal can't be written.
    """
    run = _run("rollback", surroundings, recorder, sinks, interrupts)
    async with Reach.of(surroundings) as reach:
        rollback = Rollback(
            options=options,
            reach=reach,
            activator=_activator("rollback", options, recorder, reach, Deliveries(surroundings, recorder.run)),
            machine=surroundings.fleet.machines[name],
            to=to,
            account=account,
        )
        result = await run.each([name], rollback.go)
    return replace(result, round_trips=dict(reach.round_trips))


async def update_homes(
    surroundings: Surroundings,
    accounts: Mapping[str, str],
    options: Options,
    recorder: Recorder,
    *,
    sinks: Sequence[Sink] = (),
    interrupts: Interrupts | None = None,
) -> RunResult:
    """Build the standalone home of one account on each machine (`accounts` by machine), and activate it as that account.

    Raises:
        JournalError: the journal can't be written. All else is the outcome of a host.
    """
    names, limits = tuple(accounts), Limits.derived(parallel=options.parallel)
    run = _run("home", surroundings, recorder, sinks, interrupts)
    nix = find_nix(surroundings)
    deliveries = Deliveries(surroundings, recorder.run)
    elsewhere = made_elsewhere((surroundings.fleet.machines[name] for name in names), options.build_host)
    releases = Releases(surroundings, names, elsewhere, homes=accounts)
    async with Reach.of(surroundings) as reach, asyncio.TaskGroup() as tasks:
        remote = RemoteMaker(tasks, surroundings, reach, releases, options.build_host)
        making = tasks.create_task(releases.run(nix), name="releases")
        builder = Builder(tasks, nix, surroundings.cache, limits.build)
        updater = HomeUpdater(
            options=options,
            accounts=accounts,
            reach=reach,
            releases=releases,
            makers=Makers(LocalMaker(releases, builder, _copier(tasks, nix, surroundings)), remote, releases.elsewhere),
            activator=_activator("home", options, recorder, reach, deliveries),
        )
        result = await run.each(names, updater.update, at_once=limits.hosts)
        making.cancel()
        remote.close()
    return replace(result, round_trips=dict(reach.round_trips), nix_processes=_processes(nix))


async def upload(
    surroundings: Surroundings,
    names: Sequence[str],
    options: Options,
    recorder: Recorder,
    *,
    sinks: Sequence[Sink] = (),
    interrupts: Interrupts | None = None,
) -> RunResult:
    """Bring machines their secrets, and activate nothing (but where a machine decrypts them in its activation).

    Raises:
        JournalError: the journal can't be written.
    """
    run = _run("upload", surroundings, recorder, sinks, interrupts)
    deliveries = Deliveries(surroundings, recorder.run)
    async with Reach.of(surroundings) as reach:
        activator = _activator("upload", options, recorder, reach, deliveries)
        uploader = Uploader(options=options, reach=reach, activator=activator, deliveries=deliveries)
        result = await run.each(names, uploader.upload, at_once=Limits.derived(parallel=options.parallel).hosts)
    return replace(result, round_trips=dict(reach.round_trips))


def _copier(tasks: asyncio.TaskGroup, nix: NixProgram | ClanpyError, surroundings: Surroundings) -> Copier:
    machines = surroundings.fleet.machines
    return Copier(tasks, nix, lambda name: machines[name].deploy.substitute)


def _releases(surroundings: Surroundings, names: Sequence[str], options: Options, deliveries: Deliveries) -> Releases:
    machines = surroundings.fleet.machines
    elsewhere = made_elsewhere((machines[name] for name in names), options.build_host)
    return Releases(surroundings, names, elsewhere, deliveries.problem)


def _run(
    command: str,
    surroundings: Surroundings,
    recorder: Recorder,
    sinks: Sequence[Sink],
    interrupts: Interrupts | None,
    *,
    before: RunState | None = None,
) -> Run:
    who = f"{surroundings.owner}@{surroundings.controller}"
    return Run(
        command=command,
        fleet=surroundings.fleet.meta.name,
        origin=(who, *revision_of(surroundings.fleet.root)),
        recorder=recorder,
        interrupts=interrupts or Interrupts(),
        before=before,
        sinks=sinks,
    )


def _planner(updater: Updater, remote: RemoteMaker, copier: Copier) -> Planner:
    return Planner(
        options=updater.options,
        reach=updater.reach,
        releases=updater.releases,
        makers=updater.makers,
        remote=remote,
        copier=copier,
        activator=updater.activator,
        deliveries=updater.deliveries,
    )


def _activator(
    purpose: str, options: Options, recorder: Recorder, reach: Reach, deliveries: Deliveries, *, attempt: str = ""
) -> Activator:
    return Activator(
        run=recorder.run,
        attempt=attempt,
        purpose=purpose,
        surroundings=deliveries.surroundings,
        options=options,
        reach=reach,
        deliveries=deliveries,
    )


def _processes(nix: NixProgram | ClanpyError) -> int:
    return 0 if isinstance(nix, ClanpyError) else nix.started
