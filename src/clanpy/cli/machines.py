"""`clanpy machines`: list, show, build, update, roll back, ask and talk to machines."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from clanpy.cli import editing, history, live, plan
from clanpy.cli.context import (
    BuildHost,
    ChangedSince,
    ConfirmWithin,
    DryRun,
    Format,
    HostKeys,
    Json,
    KeyCheck,
    MaxFailures,
    Name,
    Names,
    Parallel,
    Retries,
    StealLock,
    Tags,
    Via,
    WaitLock,
    Yes,
    new_app,
    open_fleet,
    print_lines,
    print_rows,
    settings,
    split_tags,
    uses_colour,
)
from clanpy.errors import UsageError


app = new_app("List, build, update, roll back and talk to machines.")


@app.command("list")
def list_(
    ctx: typer.Context, *, names: Names = None, tags: Tags = None, form: Format = None, as_json: Json = False
) -> None:
    """List machines."""
    from clanpy.machines import rows, select  # noqa: PLC0415 - rooms are imported when a command runs

    chosen = select(open_fleet(ctx), names or (), split_tags(tags))
    if as_json or form is not None:
        print_rows(rows(chosen), form)
        return
    from clanpy.ui.table import table_lines  # noqa: PLC0415 - as above

    cells = [
        (
            machine.name,
            machine.system,
            machine.type or "",
            machine.primary_user or "",
            ",".join(machine.tags),
            machine.deploy.target_host or "",
        )
        for machine in chosen
    ]
    head = ("HOSTNAME", "PLATFORM", "TYPE", "PRIMARY USER", "TAGS", "TARGET")
    print_lines(table_lines(head, cells, colour=uses_colour(settings(ctx).colour, sys.stdout)))


@app.command()
def show(ctx: typer.Context, *, name: Name, as_json: Json = False) -> None:
    """Show one machine, complete: roles with their settings, users and modules, and where each comes from."""
    from clanpy.cli.inventory import show as show_machine  # noqa: PLC0415 - rooms are imported when a command runs

    show_machine(ctx, name, json=as_json)


app.command()(plan.diff)
app.command()(history.history)
app.command()(editing.create)
app.command()(editing.rename)
app.command()(editing.delete)


@app.command()
def update(
    ctx: typer.Context,
    *,
    names: Names = None,
    tags: Tags = None,
    changed_since: ChangedSince = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    parallel: Parallel = None,
    build_host: BuildHost = None,
    via: Via = None,
    max_failures: MaxFailures = None,
    retries: Retries = 2,
    wait_lock: WaitLock = True,
    steal_lock: StealLock = False,
    confirm_timeout: ConfirmWithin = 60.0,
    activation_timeout: live.ActivationTimeout = 900.0,
    goal: live.Goal = live.GoalChoice.SWITCH,
    specialisation: live.Specialisation = None,
    reboot: live.Reboot = False,
    reboot_timeout: live.RebootTimeout = 600.0,
    install_bootloader: live.InstallBootloader = False,
    home_backup_extension: live.BackupExtension = "",
    retry_failed: live.RetryFailed = False,
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
    report: Annotated[
        list[str] | None,
        typer.Option(
            "--report",
            metavar="FORM[=FILE]",
            help="Write a report: html, junit, github, gitlab or prometheus (repeatable)",
            show_default=False,
        ),
    ] = None,
    host_key_check: HostKeys = KeyCheck.STRICT,
    as_json: Json = False,
) -> None:
    """Build machines, push to them and activate, in parallel; with a rollout wave by wave.

    On a terminal it asks before more than one machine is changed, unless told --yes; elsewhere it never asks.
    """
    from clanpy.cli import verbs  # noqa: PLC0415 - rooms are imported when a command runs

    how = verbs.How(
        parallel=parallel,
        build_host=build_host,
        via=via,
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
            goal=goal,
            specialisation=specialisation,
            reboot=reboot,
            reboot_timeout=reboot_timeout,
            install_bootloader=install_bootloader,
            backup_extension=home_backup_extension,
            retry_failed=retry_failed,
            undecided=undecided_gates,
        ),
        rollout=rollout,
        at_once=at_once,
        reports=tuple(report or ()),
        as_json=as_json,
    )
    raise typer.Exit(
        verbs.update(ctx, verbs.Selection(names=names or (), tags=split_tags(tags), since=changed_since), how)
    )


@app.command()
def build(
    ctx: typer.Context,
    *,
    names: Names = None,
    tags: Tags = None,
    changed_since: ChangedSince = None,
    build_host: BuildHost = None,
    retries: Retries = 2,
    host_key_check: HostKeys = KeyCheck.STRICT,
    as_json: Json = False,
) -> None:
    """Build machines and activate nothing; prints the store paths."""
    from clanpy.cli import verbs  # noqa: PLC0415 - rooms are imported when a command runs

    selection = verbs.Selection(names=names or (), tags=split_tags(tags), since=changed_since)
    how = verbs.How(build_host=build_host, retries=retries, check=host_key_check, as_json=as_json)
    raise typer.Exit(verbs.build(ctx, selection, how))


@app.command()
def rollback(
    ctx: typer.Context,
    *,
    name: Name,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="GENERATION|PATH",
            help="Go back to this (default: what ran before what runs now)",
            show_default=False,
        ),
    ] = None,
    home: Annotated[
        str | None, typer.Option(metavar="ACCOUNT", help="The standalone home of this account", show_default=False)
    ] = None,
    dry_run: DryRun = False,
    retries: Retries = 2,
    wait_lock: WaitLock = True,
    steal_lock: StealLock = False,
    confirm_timeout: ConfirmWithin = 60.0,
    host_key_check: HostKeys = KeyCheck.STRICT,
    as_json: Json = False,
) -> None:
    """Take a machine back, under the same guard as going forward."""
    from clanpy.cli import verbs  # noqa: PLC0415 - rooms are imported when a command runs

    how = verbs.How(
        retries=retries,
        check=host_key_check,
        dry_run=dry_run,
        wait_lock=wait_lock,
        steal_lock=steal_lock,
        confirm_within=confirm_timeout,
        as_json=as_json,
    )
    raise typer.Exit(verbs.rollback(ctx, name, how, to=to, account=home))


@app.command()
def generations(
    ctx: typer.Context,
    *,
    name: Name,
    home: Annotated[
        str | None, typer.Option(metavar="ACCOUNT", help="The standalone home of this account", show_default=False)
    ] = None,
    host_key_check: HostKeys = KeyCheck.STRICT,
    as_json: Json = False,
) -> None:
    """Show what a machine can be taken back to: `machines rollback NAME --to GENERATION`."""
    from clanpy.cli import verbs  # noqa: PLC0415 - rooms are imported when a command runs

    raise typer.Exit(verbs.generations(ctx, name, verbs.How(check=host_key_check, as_json=as_json), account=home))


@app.command("exec")
def execute(
    ctx: typer.Context,
    *,
    names: Names = None,
    tags: Tags = None,
    parallel: Parallel = None,
    retries: Retries = 2,
    host_key_check: HostKeys = KeyCheck.STRICT,
    elevate: Annotated[bool, typer.Option("--elevate", help="Run it as root", envvar="CLANPY_ELEVATE")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds that it may take", envvar="CLANPY_EXEC_TIMEOUT")] = 300.0,
    as_json: Json = False,
) -> None:
    """Run a command on machines: `clanpy machines exec [NAMES…] -- COMMAND`."""
    from clanpy.cli import verbs  # noqa: PLC0415 - rooms are imported when a command runs

    command = settings(ctx).after_dashes
    if not command:
        raise UsageError("which command?", hint="write it behind `--`: clanpy machines exec cinnabar -- uptime")
    given = list(names or ())
    selection = verbs.Selection(names=given[: len(given) - len(command)], tags=split_tags(tags))
    how = verbs.How(parallel=parallel, retries=retries, check=host_key_check)
    raise typer.Exit(verbs.execute(ctx, selection, how, command, seconds=timeout, elevate=elevate, as_json=as_json))


@app.command()
def status(
    ctx: typer.Context,
    *,
    names: Names = None,
    tags: Tags = None,
    changed_since: ChangedSince = None,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 1 when a machine is not current, with 4 when one is unreachable")
    ] = False,
    drift: Annotated[
        bool,
        typer.Option(
            "--drift",
            help="Show what is not as it should be, files under /etc changed by hand included; exit with 7 when there is any",
        ),
    ] = False,
    evaluate: Annotated[
        bool, typer.Option("--evaluate", help="Evaluate with Nix what is not known of what machines should run")
    ] = False,
    parallel: Parallel = None,
    retries: Retries = 2,
    host_key_check: HostKeys = KeyCheck.STRICT,
    form: Format = None,
    as_json: Json = False,
) -> None:
    """Show what machines run and should run, since when, from which revision, and what is not well with them.

    What a machine should run is known without Nix where its files are as they were when they were last evaluated; elsewhere
    its state is unknown, unless --evaluate is given. The exit code is 0 whatever the states are, unless --check or --drift is given.
    """
    from clanpy.cli import standing, verbs  # noqa: PLC0415 - rooms are imported when a command runs

    selection = verbs.Selection(names=names or (), tags=split_tags(tags), since=changed_since)
    how = verbs.How(parallel=parallel, retries=retries, check=host_key_check, as_json=as_json)
    raise typer.Exit(standing.status(ctx, selection, how, form=form, evaluate=evaluate, check=check, drift=drift))
