"""`clanpy machines diff` and `clanpy plan`: what an update would change, shown, saved, and done as it was saved."""

from __future__ import annotations

import asyncio
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clanpy.cli import live
from clanpy.cli.context import (
    BuildHost,
    ChangedSince,
    ConfirmWithin,
    DryRun,
    HostKeys,
    Json,
    KeyCheck,
    MaxFailures,
    Names,
    Parallel,
    Retries,
    StealLock,
    Tags,
    WaitLock,
    Yes,
    new_app,
    print_json,
    print_lines,
    say,
    settings,
    split_tags,
    uses_colour,
)


if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from clanpy.cli.site import Site
    from clanpy.cli.verbs import How, Selection
    from clanpy.deploy import RunResult
    from clanpy.deployment.plan import Plan
    from clanpy.events import Sink
    from clanpy.inventory.model import Fleet
    from clanpy.journal import Recorder
    from clanpy.rollout.interrupts import Interrupts

app = new_app("Save what an update would change, and do that later and nothing else.")


class PlanForm(StrEnum):
    """How a plan is shown."""

    TEXT = "text"
    JSON = "json"
    HTML = "html"


Form = Annotated[PlanForm, typer.Option("--format", help="As text, as JSON, or as one page of HTML")]
Copy = Annotated[
    bool,
    typer.Option(
        "--copy", help="Send what is missing, so that machines say themselves what becomes of units; activates nothing"
    ),
]
File = Annotated[Path, typer.Argument(help="The file of the plan", show_default=False)]


def diff(
    ctx: typer.Context,
    *,
    names: Names = None,
    tags: Tags = None,
    changed_since: ChangedSince = None,
    copy: Copy = False,
    parallel: Parallel = None,
    build_host: BuildHost = None,
    retries: Retries = 2,
    host_key_check: HostKeys = KeyCheck.STRICT,
    form: Form = PlanForm.TEXT,
    as_json: Json = False,
) -> None:
    """Show what an update would change: packages, bytes to send, files, units, reboots, secrets.

    Machines with the same change are shown once. What has changed is built for that, where an update would build it; nothing is
    copied to the machines (unless told --copy) and nothing is activated.
    """
    from clanpy.cli.verbs import How, Selection  # noqa: PLC0415 - rooms are imported when a command runs

    how = How(parallel=parallel, build_host=build_host, retries=retries, check=host_key_check)
    selection = Selection(names=names or (), tags=split_tags(tags), since=changed_since)
    result, plan = _made(ctx, how.site(ctx), selection, how, copies=copy)
    _show(ctx, plan, PlanForm.JSON if as_json else form)
    raise typer.Exit(result.exit_code)


@app.command()
def save(
    ctx: typer.Context,
    *,
    file: File,
    names: Names = None,
    tags: Tags = None,
    changed_since: ChangedSince = None,
    copy: Copy = False,
    parallel: Parallel = None,
    build_host: BuildHost = None,
    retries: Retries = 2,
    host_key_check: HostKeys = KeyCheck.STRICT,
) -> None:
    """Find out what an update would change, show it, and save it in a file for `plan apply`.

    Machines of which it can't be known are told, and are no part of what can be applied.
    """
    from clanpy.cli.verbs import How, Selection  # noqa: PLC0415 - rooms are imported when a command runs

    how = How(parallel=parallel, build_host=build_host, retries=retries, check=host_key_check)
    selection = Selection(names=names or (), tags=split_tags(tags), since=changed_since)
    result, plan = _made(ctx, how.site(ctx), selection, how, copies=copy)
    _write(file, plan)
    _show(ctx, plan, PlanForm.TEXT)
    say(f"plan: {file}")
    raise typer.Exit(result.exit_code)


@app.command()
def show(ctx: typer.Context, *, file: File, form: Form = PlanForm.TEXT, as_json: Json = False) -> None:
    """Show a saved plan. Nothing is asked of any machine."""
    _show(ctx, _read(file), PlanForm.JSON if as_json else form)


@app.command()
def apply(
    ctx: typer.Context,
    *,
    file: File,
    dry_run: DryRun = False,
    yes: Yes = False,
    parallel: Parallel = None,
    build_host: BuildHost = None,
    max_failures: MaxFailures = None,
    retries: Retries = 2,
    wait_lock: WaitLock = True,
    steal_lock: StealLock = False,
    confirm_timeout: ConfirmWithin = 60.0,
    activation_timeout: live.ActivationTimeout = 900.0,
    reboot: live.Reboot = False,
    reboot_timeout: live.RebootTimeout = 600.0,
    undecided_gates: live.UndecidedGates = live.UndecidedChoice.ASK,
    rollout: Annotated[
        str | None,
        typer.Option(
            "--rollout", metavar="NAME", help="Activate as [rollout.NAME] says (default: `default`)", show_default=False
        ),
    ] = None,
    at_once: Annotated[
        bool, typer.Option("--at-once", help="Activate all machines at once, whatever [rollout.default] says")
    ] = False,
    host_key_check: HostKeys = KeyCheck.STRICT,
    as_json: Json = False,
) -> None:
    """Update the machines of a saved plan to what it says, as `machines update` does.

    Refused, before anything is changed, where a machine, its files or its secrets are not as they were when the plan was made, and
    where the plan is older than `max_age` of the rollout.
    """
    from clanpy.cli.verbs import How  # noqa: PLC0415 - rooms are imported when a command runs

    how = How(
        parallel=parallel,
        build_host=build_host,
        max_failures=max_failures,
        retries=retries,
        check=host_key_check,
        dry_run=dry_run,
        yes=yes,
        wait_lock=wait_lock,
        steal_lock=steal_lock,
        confirm_within=confirm_timeout,
        activate_within=activation_timeout,
        live=live.live_of(
            goal=live.GoalChoice.SWITCH,
            specialisation=None,
            reboot=reboot,
            reboot_timeout=reboot_timeout,
            install_bootloader=False,
            backup_extension="",
            retry_failed=False,
            undecided=undecided_gates,
        ),
        rollout=rollout,
        at_once=at_once,
        as_json=as_json,
    )
    raise typer.Exit(_apply(ctx, _read(file), how))


def _made(ctx: typer.Context, site: Site, selection: Selection, how: How, *, copies: bool) -> tuple[RunResult, Plan]:
    from clanpy.cli.following import watch_run  # noqa: PLC0415 - rooms are imported when a command runs
    from clanpy.deploy import plan as make_plan  # noqa: PLC0415 - as above

    hosts = [machine.name for machine in selection.of(site)]
    made: list[Plan] = []

    async def work(recorder: Recorder, sinks: Sequence[Sink], interrupts: Interrupts) -> RunResult:
        result, plan = await make_plan(
            site.surroundings, hosts, how.options(), recorder, copies=copies, sinks=sinks, interrupts=interrupts
        )
        made.append(plan)
        return result

    return watch_run(ctx, site, work), made[0]


def _show(ctx: typer.Context, plan: Plan, form: PlanForm) -> None:
    from clanpy.ui.plan import plan_lines, plan_page, plan_summary  # noqa: PLC0415 - as above

    document: dict[str, Any] = plan.to_dict()
    if form is PlanForm.JSON:
        print_json(document)
    elif form is PlanForm.HTML:
        sys.stdout.write(plan_page(document))
    else:
        print_lines(plan_lines(document, colour=uses_colour(settings(ctx).colour, sys.stdout)))
        say(plan_summary(document))


def _apply(ctx: typer.Context, plan: Plan, how: How) -> int:
    from dataclasses import replace  # noqa: PLC0415 - as above
    from datetime import UTC, datetime  # noqa: PLC0415 - as above

    from clanpy.cli.asking import ask_first  # noqa: PLC0415 - as above
    from clanpy.cli.following import follow_run  # noqa: PLC0415 - as above
    from clanpy.deploy import deploy  # noqa: PLC0415 - as above
    from clanpy.deployment.applying import check_age, check_plan, planned_systems  # noqa: PLC0415 - as above
    from clanpy.rollout.reading import policy_named  # noqa: PLC0415 - as above
    from clanpy.ui.format import counted, names  # noqa: PLC0415 - as above

    site = how.site(ctx)
    policy = None if how.at_once else policy_named(site.fleet, how.rollout)
    check_age(plan, max_age(site.fleet, how.rollout), datetime.now(UTC))
    asyncio.run(check_plan(site.surroundings, plan, how.options()))
    hosts = [host.name for host in plan.changing()]
    if not hosts:
        say("the plan changes nothing")
        return 0
    if not how.dry_run and not how.yes:
        ask_first(f"Update {counted(len(hosts), 'machine')}: {names(hosts)}?", len(hosts))
    options = replace(how.options(), planned=planned_systems(plan))

    async def work(recorder: Recorder, sinks: Sequence[Sink], interrupts: Interrupts) -> RunResult:
        return await deploy(
            site.surroundings, hosts, options, recorder, sinks=sinks, interrupts=interrupts, policy=policy
        )

    return follow_run(ctx, site, work, as_json=how.as_json, dry_run=how.dry_run)


def max_age(fleet: Fleet, rollout: str | None) -> timedelta | None:
    """How old a plan may be: `max_age` of the rollout that is named, or of `default`."""
    from clanpy.inventory.rollouts import rollouts_of  # noqa: PLC0415 - as above
    from clanpy.rollout.reading import DEFAULT, parse_duration  # noqa: PLC0415 - as above

    text = rollouts_of(fleet).get(rollout or DEFAULT, {}).get("max_age")
    return None if text is None else parse_duration(text)


def _read(file: Path) -> Plan:
    from clanpy.deployment.errors import PlanFileError  # noqa: PLC0415 - as above
    from clanpy.deployment.plan import read_plan  # noqa: PLC0415 - as above
    from clanpy.errors import Place  # noqa: PLC0415 - as above

    try:
        return read_plan(file.read_text(encoding="utf-8"))
    except PlanFileError as error:
        raise PlanFileError(error.message, place=Place(str(file)), hint=error.hint) from None
    except (OSError, UnicodeDecodeError) as error:
        raise PlanFileError(f"the plan {file} can't be read: {_why(error)}") from error


def _write(file: Path, plan: Plan) -> None:
    import json  # noqa: PLC0415 - as above

    from clanpy.deployment.errors import PlanFileError  # noqa: PLC0415 - as above

    fresh = file.with_name(f".{file.name}.new")
    try:
        fresh.write_text(json.dumps(plan.to_dict(), ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        fresh.replace(file)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise PlanFileError(f"the plan can't be written to {file}: {_why(error)}") from error


def _why(error: OSError | UnicodeDecodeError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "it is not text"
