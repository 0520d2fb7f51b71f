"""What the commands of `clanpy machines` do: select, call the deployer, render. Imported when one of them runs."""

from __future__ import annotations

import asyncio
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from clanpy.cli.asking import ask_first
from clanpy.cli.context import KeyCheck, print_json, print_lines, say, settings, uses_colour
from clanpy.cli.following import follow_run
from clanpy.cli.site import Site, open_site
from clanpy.deploy import RunResult, deploy, roll_back
from clanpy.deploy import build as build_here
from clanpy.deploy import upload as upload_secrets
from clanpy.deployment.execute import execute as execute_everywhere
from clanpy.deployment.execute import execute_exit_code
from clanpy.deployment.generations import Known, known_generations
from clanpy.deployment.live import Live
from clanpy.deployment.options import CONFIRM_WITHIN, RETRIES, WAIT_FOR_LOCK, Options
from clanpy.deployment.selecting import changed_since, live_kind
from clanpy.errors import ClanpyError, ExitCode, NothingMatchedError, UsageError
from clanpy.events import Outcome
from clanpy.machines import select, select_one
from clanpy.rollout.reading import policy_named
from clanpy.ssh import HostKeyCheck
from clanpy.ui.format import clean, counted, names, painted
from clanpy.ui.table import table_lines


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import typer

    from clanpy.events import Sink
    from clanpy.inventory.model import Machine
    from clanpy.journal import Recorder
    from clanpy.rollout.interrupts import Interrupts
    from clanpy.ssh import Completed


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which machines: by selections, by tags that all of them carry, and by what has changed since a revision of git."""

    names: Sequence[str] = ()
    tags: Sequence[str] = ()
    since: str | None = None

    def of(self, site: Site) -> tuple[Machine, ...]:
        """The machines.

        Raises:
            NothingMatchedError: a name or tag does not exist, or nothing is left.
        """
        more = [live_kind(site.surroundings, site.journal)] if any("is:" in name for name in self.names) else []
        found = select(site.fleet, self.names, self.tags, more=more)
        if self.since is None:
            return found
        changed = changed_since(site.surroundings, self.since, [machine.name for machine in found])
        chosen = tuple(machine for machine in found if machine.name in changed)
        if not chosen:
            raise NothingMatchedError(f"no machine has changed since {self.since}")
        return chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """Options that the commands share."""

    parallel: int | None = None
    max_failures: int | None = None
    retries: int = RETRIES
    build_host: str | None = None
    via: str | None = None
    check: KeyCheck = KeyCheck.STRICT
    dry_run: bool = False
    yes: bool = False
    wait_lock: bool = True
    steal_lock: bool = False
    confirm_within: float = CONFIRM_WITHIN
    activate_within: float = 900.0
    live: Live = field(default_factory=Live)
    rollout: str | None = None
    at_once: bool = False
    reports: Sequence[str] = ()
    as_json: bool = False

    def site(self, ctx: typer.Context, *, homes_elsewhere: bool = False) -> Site:
        return open_site(
            ctx,
            HostKeyCheck(self.check.value),
            retries=self.retries,
            build_host=self.build_host,
            via=self.via,
            homes_elsewhere=homes_elsewhere,
        )

    def options(self) -> Options:
        return Options(
            dry_run=self.dry_run,
            parallel=self.parallel,
            max_failures=self.max_failures,
            build_host=self.build_host,
            via=self.via,
            lock_wait=WAIT_FOR_LOCK if self.wait_lock else 0.0,
            steal_lock=self.steal_lock,
            confirm_within=self.confirm_within,
            activate_within=self.activate_within,
            live=self.live,
        )


def update(ctx: typer.Context, selection: Selection, how: How) -> int:
    """`machines update`."""
    site = how.site(ctx)
    hosts = [machine.name for machine in selection.of(site)]
    if not how.dry_run and not how.yes:
        ask_first(f"Update {counted(len(hosts), 'machine')}: {names(hosts)}?", len(hosts))

    policy = None if how.at_once else policy_named(site.fleet, how.rollout)

    async def work(recorder: Recorder, sinks: Sequence[Sink], interrupts: Interrupts) -> RunResult:
        return await deploy(
            site.surroundings, hosts, how.options(), recorder, sinks=sinks, interrupts=interrupts, policy=policy
        )

    return follow_run(ctx, site, work, as_json=how.as_json, dry_run=how.dry_run, reports=how.reports)


def resume(ctx: typer.Context, run: str, how: How) -> int:
    """`runs resume`."""
    site = how.site(ctx)
    state = site.journal.read(run)
    if state.command != "update":
        raise UsageError(f"run {state.run} was a {state.command}: only an update can be resumed")
    policy = policy_named(site.fleet, state.rollout) if state.rollout is not None else None
    done = {Outcome.CONFIRMED, Outcome.UNCHANGED}
    if policy is not None:  # what was spent of its budget is spent: failed machines are not tried again
        done |= {Outcome.FAILED, Outcome.ROLLED_BACK}
    left = [name for name, host in state.hosts.items() if name in site.fleet.machines and host.outcome not in done]
    if not left:
        say(f"run {state.run} has nothing left to do")
        return ExitCode.DONE

    async def work(recorder: Recorder, sinks: Sequence[Sink], interrupts: Interrupts) -> RunResult:
        return await deploy(
            site.surroundings,
            left,
            how.options(),
            recorder,
            sinks=sinks,
            interrupts=interrupts,
            policy=policy,
            before=state,
        )

    return follow_run(ctx, site, work, as_json=how.as_json, recorder=site.journal.reopen(state.run))


def build(ctx: typer.Context, selection: Selection, how: How) -> int:
    """`machines build`."""
    site = how.site(ctx)
    hosts = [machine.name for machine in selection.of(site)]

    async def work(recorder: Recorder, sinks: Sequence[Sink], interrupts: Interrupts) -> RunResult:
        return await build_here(site.surroundings, hosts, how.options(), recorder, sinks=sinks, interrupts=interrupts)

    return follow_run(ctx, site, work, as_json=how.as_json, paths=True)


def upload(ctx: typer.Context, selection: Selection, how: How) -> int:
    """`vars upload`."""
    site = how.site(ctx)
    hosts = [machine.name for machine in selection.of(site)]

    async def work(recorder: Recorder, sinks: Sequence[Sink], interrupts: Interrupts) -> RunResult:
        return await upload_secrets(
            site.surroundings, hosts, how.options(), recorder, sinks=sinks, interrupts=interrupts
        )

    return follow_run(ctx, site, work, as_json=how.as_json, dry_run=how.dry_run)


def rollback(ctx: typer.Context, name: str, how: How, *, to: str | None, account: str | None) -> int:
    """`machines rollback`."""
    site = how.site(ctx)
    machine = select_one(site.fleet, name)

    async def work(recorder: Recorder, sinks: Sequence[Sink], interrupts: Interrupts) -> RunResult:
        return await roll_back(
            site.surroundings,
            machine.name,
            how.options(),
            recorder,
            to=to,
            account=account,
            sinks=sinks,
            interrupts=interrupts,
        )

    return follow_run(ctx, site, work, as_json=how.as_json, dry_run=how.dry_run)


def generations(ctx: typer.Context, name: str, how: How, *, account: str | None) -> int:
    """`machines generations`."""
    site = how.site(ctx)
    machine = select_one(site.fleet, name)
    known = asyncio.run(known_generations(site.surroundings, machine.name, account))
    if how.as_json:
        print_json(known.to_dict())
    else:
        print_lines(generation_lines(known, colour=uses_colour(settings(ctx).colour, sys.stdout)))
    return ExitCode.DONE


def generation_lines(known: Known, *, colour: bool) -> Iterator[str]:
    """The generations of a profile, newest first, for people."""
    rows = [
        (
            str(found.number),
            f"{found.made:%Y-%m-%d %H:%M}Z",
            " ".join(
                word
                for word, holds in (
                    ("running", found.path == known.running),
                    ("profile", found.current),
                    ("way-back", found.path == known.way_back),
                )
                if holds
            ),
            found.path,
        )
        for found in reversed(known.generations)
    ]
    yield from table_lines(("GENERATION", "MADE", "IS", "PATH"), rows, colour=colour)


def execute(
    ctx: typer.Context,
    selection: Selection,
    how: How,
    command: Sequence[str],
    *,
    seconds: float,
    elevate: bool,
    as_json: bool,
) -> int:
    """`machines exec`."""
    site = how.site(ctx)
    hosts = [machine.name for machine in selection.of(site)]
    results = asyncio.run(
        execute_everywhere(
            site.surroundings, hosts, command, Options(parallel=how.parallel), timeout=seconds, elevate=elevate
        )
    )
    if as_json:
        print_json([_executed(name, result) for name, result in results.items()])
    else:
        print_lines(_executed_lines(results, colour=uses_colour(settings(ctx).colour, sys.stdout)))
    return execute_exit_code(results)


def _executed(name: str, result: Completed | ClanpyError) -> dict[str, Any]:
    if isinstance(result, ClanpyError):
        return {"name": name, "status": None, "stdout": "", "stderr": "", "error": result.to_dict()}
    return {"name": name, "status": result.status, "stdout": result.stdout, "stderr": result.stderr, "error": None}


def _executed_lines(results: Mapping[str, Completed | ClanpyError], *, colour: bool) -> Iterator[str]:
    """What was said, under the names of those that said it. Hosts that said the same are told together."""
    said: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name, result in results.items():
        said[_said(result)].append(name)
    for (verdict, *lines), hosts in said.items():
        yield painted(f"{names(hosts)}{verdict}", "bold", colour=colour)
        yield from (f"  {clean(line)}" for line in lines)


def _said(result: Completed | ClanpyError) -> tuple[str, ...]:
    if isinstance(result, ClanpyError):
        hint = (f"hint: {result.hint}",) if result.hint else ()
        return (f": {result.message} ({result.code})", *hint)
    verdict = "" if result.ok else f" (exit status {result.status})"
    return (verdict, *result.stdout.splitlines(), *result.stderr.splitlines())
