"""`clanpy vars`: values that are generated once, kept with the fleet, and delivered to machines."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clanpy.cli.context import (
    DryRun,
    HostKeys,
    Json,
    KeyCheck,
    Name,
    Names,
    Parallel,
    StealLock,
    Tags,
    WaitLock,
    new_app,
    open_fleet,
    print_json,
    print_lines,
    say,
    settings,
    split_tags,
)
from clanpy.errors import ExitCode


if TYPE_CHECKING:
    from clanpy.generators.generate import Intent
    from clanpy.generators.maintain import Fixed
    from clanpy.generators.prompts import Prompter
    from clanpy.generators.tools import ToolFinder
    from clanpy.inventory.model import Fleet
    from clanpy.secrets import Secret
    from clanpy.vars import Finding, Session

app = new_app("Generate, show, set and check the values of machines.")

Generators = Annotated[
    list[str] | None, typer.Option("-g", "--generator", help="Only this generator (repeatable)", show_default=False)
]
Plan = Annotated[bool, typer.Option("--plan", help="Print what would be done and why, and do nothing")]
NoSandbox = Annotated[
    bool, typer.Option("--no-sandbox", help="Run scripts in the open: they see the network and all your files")
]
Limit = Annotated[int | None, typer.Option("-j", "--parallel", min=1, help="Generators at once", show_default=False)]
ValueName = Annotated[str, typer.Argument(help="GENERATOR/FILE, or GENERATOR when it makes one file", metavar="NAME")]


@app.callback()
def _vars() -> None:
    """Generate, show, set and check the values of machines."""


@app.command()
def generate(
    ctx: typer.Context,
    machines: Names = None,
    *,
    tags: Tags = None,
    generators: Generators = None,
    regenerate: Annotated[bool, typer.Option("-r", "--regenerate", help="Also what is there and good")] = False,
    plan: Plan = False,
    no_sandbox: NoSandbox = False,
    parallel: Limit = None,
    json: Json = False,
) -> None:
    """Make what is missing, outdated or expired, and all that is made from it. All of it is written, or nothing."""
    from clanpy.vars import Wanted, intend  # noqa: PLC0415 - rooms are imported when a command runs

    fleet = open_fleet(ctx)
    chosen = _chosen(fleet, machines, tags)
    session = open_session(ctx, fleet, chosen)
    wanted = Wanted(machines=chosen, generators=tuple(generators or ()), regenerate=regenerate)
    if plan:
        _show_intent(intend(session, wanted), json=json)
        return
    tools = _tools(ctx, fleet.root)
    _generate(session, wanted, tools=tools, sandbox=not no_sandbox, parallel=parallel, json=json)


@app.command()
def rotate(
    ctx: typer.Context,
    machines: Names = None,
    *,
    tags: Tags = None,
    generators: Generators = None,
    keys_only: Annotated[
        bool, typer.Option("--keys-only", help="The same values under new data keys (as `sops rotate`)")
    ] = False,
    plan: Plan = False,
    no_sandbox: NoSandbox = False,
    parallel: Limit = None,
    json: Json = False,
) -> None:
    """Make values anew, with all that is made from them, and say which machines have to get them."""
    from clanpy.errors import UsageError  # noqa: PLC0415 - rooms are imported when a command runs
    from clanpy.generators.maintain import rotate_keys  # noqa: PLC0415 - the same
    from clanpy.vars import Wanted, intend  # noqa: PLC0415 - the same

    fleet = open_fleet(ctx)
    chosen = _chosen(fleet, machines, tags)
    session = open_session(ctx, fleet, chosen)
    if keys_only:
        folders = asyncio.run(rotate_keys(session, chosen if machines or tags else ()))
        say(f"{_count(len(folders), 'secret')} under new data keys")
        return
    if not generators and not machines and not tags:
        raise UsageError(
            "name what to rotate", hint="`-g GENERATOR`, or machines; all values at once is `vars generate -r`"
        )
    wanted = Wanted(machines=chosen, generators=tuple(generators or ()), regenerate=True)
    if plan:
        _show_intent(intend(session, wanted), json=json)
        return
    tools = _tools(ctx, fleet.root)
    _generate(session, wanted, tools=tools, sandbox=not no_sandbox, parallel=parallel, json=json)


@app.command()
def check(
    ctx: typer.Context,
    machines: Names = None,
    *,
    tags: Tags = None,
    decrypt: Annotated[bool, typer.Option("--decrypt", help="Also decrypt every secret")] = False,
    json: Json = False,
) -> None:
    """Say what is missing, outdated, expired, superfluous or readable by others than it should be. Exit code 1 if so."""
    from clanpy.generators.states import examine, unreadable  # noqa: PLC0415 - rooms are imported when a command runs

    fleet = open_fleet(ctx)
    chosen = _chosen(fleet, machines, tags)
    session = open_session(ctx, fleet, chosen)
    found = [*examine(session.graph, session.store, session.policy, chosen, session.now())]
    if decrypt:
        found += unreadable(session.graph, session.store, chosen)
    show_findings(found, json=json)


@app.command("list")
def list_(ctx: typer.Context, machine: Name, *, json: Json = False) -> None:
    """List the values of a machine. Secrets are shown as stars."""
    from clanpy.generators.legacy import legacy_values  # noqa: PLC0415 - the same
    from clanpy.generators.values import listed  # noqa: PLC0415 - rooms are imported when a command runs

    fleet = open_fleet(ctx)
    name = _one(fleet, machine)
    session = open_session(ctx, fleet, [name])
    items, older = list(listed(session, name)), list(legacy_values(session, name))
    if json:
        print_json([*(item.to_dict() for item in items), *(value.to_dict() for value in older)])
    else:
        print_lines(f"{item.var.generator}/{item.var.file}: {item.shown()}" for item in items)
        print_lines(f"{value.name}: ******** ({value.rule.file})" for value in older)


@app.command()
def get(ctx: typer.Context, machine: Name, name: ValueName) -> None:
    """Print a value as it is, decrypted."""
    from clanpy.generators.legacy import read_legacy  # noqa: PLC0415 - the same
    from clanpy.generators.values import get as read  # noqa: PLC0415 - rooms are imported when a command runs

    fleet = open_fleet(ctx)
    chosen = _one(fleet, machine)
    session = open_session(ctx, fleet, [chosen])
    value = (read_legacy(session, chosen, name) or read(session, chosen, name)).reveal()
    sys.stdout.buffer.write(value)
    if sys.stdout.isatty() and not value.endswith(b"\n"):
        sys.stdout.write("\n")


@app.command("set")
def set_(ctx: typer.Context, machine: Name, name: ValueName) -> None:
    """Set a value by hand: from stdin, or asked for on a terminal."""
    from clanpy.generators.values import find, put  # noqa: PLC0415 - the same
    from clanpy.secrets import Secret  # noqa: PLC0415 - rooms are imported when a command runs

    fleet = open_fleet(ctx)
    chosen = _one(fleet, machine)
    session = open_session(ctx, fleet, [chosen])
    find(session, chosen, name)
    value = _asked(f"{name} of {chosen}") if sys.stdin.isatty() else Secret(sys.stdin.buffer.read())
    _report(asyncio.run(put(session, chosen, name, value)))


@app.command()
def keygen(
    ctx: typer.Context,
    user: Annotated[str | None, typer.Option(help="Who you are in the fleet (default: your account)")] = None,
) -> None:
    """Register your key with the fleet; make one first if there is none at hand."""
    from clanpy.generators.people import keygen as register  # noqa: PLC0415 - rooms are imported when a command runs

    session = open_session(ctx)
    name = user or os.environ.get("USER") or "admin"
    done = asyncio.run(register(session, name, environment=os.environ, home=Path.home()))
    if done.created is not None:
        say(f"made a new private key in {done.created}: keep a copy of it in a safe place")
    say(f"user {done.user} has the key {done.public}")


@app.command()
def fix(
    ctx: typer.Context, machines: Names = None, *, tags: Tags = None, generators: Generators = None, json: Json = False
) -> None:
    """Encrypt every secret to those who should be able to read it now."""
    from clanpy.generators.maintain import fix as repair  # noqa: PLC0415 - rooms are imported when a command runs

    fleet = open_fleet(ctx)
    chosen = _chosen(fleet, machines, tags) if machines or tags else ()
    session = open_session(ctx, fleet, chosen or None)
    show_fixed(asyncio.run(repair(session, chosen, generators or ())), json=json)


@app.command()
def upload(
    ctx: typer.Context,
    machines: Names = None,
    *,
    tags: Tags = None,
    dry_run: DryRun = False,
    parallel: Parallel = None,
    wait_lock: WaitLock = True,
    steal_lock: StealLock = False,
    host_key_check: HostKeys = KeyCheck.STRICT,
    json: Json = False,
) -> None:
    """Bring machines the secrets that they need, where those are not there yet, and restart what uses them. Nothing else is changed."""
    from clanpy.cli import verbs  # noqa: PLC0415 - rooms are imported when a command runs

    how = verbs.How(
        parallel=parallel,
        check=host_key_check,
        dry_run=dry_run,
        wait_lock=wait_lock,
        steal_lock=steal_lock,
        as_json=json,
    )
    raise typer.Exit(verbs.upload(ctx, verbs.Selection(names=machines or (), tags=split_tags(tags)), how))


@app.command()
def prune(
    ctx: typer.Context,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would go, and remove nothing")] = False,
) -> None:
    """Remove the values that no generator declares."""
    from clanpy.generators.maintain import prune as remove  # noqa: PLC0415 - rooms are imported when a command runs
    from clanpy.generators.states import superfluous  # noqa: PLC0415 - the same

    session = open_session(ctx)
    gone = (
        superfluous(session.graph, session.store, broken=session.context.broken)
        if dry_run
        else asyncio.run(remove(session))
    )
    print_lines(str(stored.var) for stored in gone)
    say(f"{_count(len(gone), 'value')} {'to be removed' if dry_run else 'removed'}")


@app.command()
def export(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(help="A new folder, on a tmpfs", show_default=False)],
    *,
    to_disk: Annotated[bool, typer.Option("--to-disk", help="Even if that writes all secrets to a disk")] = False,
) -> None:
    """Write all values in plain text, to move them to another backend."""
    from clanpy.generators.values import export as write  # noqa: PLC0415 - rooms are imported when a command runs

    say(f"{write(open_session(ctx), folder, to_disk=to_disk)} values are in {folder}, in plain text")


@app.command("import")
def import_(
    ctx: typer.Context, folder: Annotated[Path, typer.Argument(help="What `export` wrote", show_default=False)]
) -> None:
    """Store the values that `export` wrote."""
    from clanpy.generators.values import bring_in  # noqa: PLC0415 - rooms are imported when a command runs

    say(f"{asyncio.run(bring_in(open_session(ctx), folder))} values were stored")


# --- shared with `clanpy secrets` ---


def open_session(ctx: typer.Context, fleet: Fleet | None = None, names: Sequence[str] | None = None) -> Session:
    """The vars of the fleet, which is loaded unless it was already; of other machines than those named, mistakes are passed over."""
    from clanpy.generators.fleet import read_fleet  # noqa: PLC0415 - the same
    from clanpy.vars import Session  # noqa: PLC0415 - rooms are imported when a command runs

    found = read_fleet(fleet or open_fleet(ctx), names)
    return Session.open(found.context, backend=found.backend, lab=settings(ctx).lab)


def show_findings(findings: Sequence[Finding], *, json: bool) -> None:
    """Print findings, and end with code 1 when there are some."""
    if json:
        print_json({"schema": "clanpy.findings/1", "findings": [finding.to_dict() for finding in findings]})
    else:
        print_lines(f"{finding.state.value}: {finding.subject}: {finding.detail}" for finding in findings)
        say(_count(len(findings), "finding") if findings else "everything is in order")
    if findings:
        raise typer.Exit(ExitCode.HOSTS_FAILED)


def show_fixed(fixed: Fixed, *, json: bool) -> None:
    """Print what was re-encrypted, and end with code 1 when something could not be."""
    if json:
        print_json(fixed.to_dict())
    else:
        print_lines(f"{c.folder}: +{len(c.added)} -{len(c.removed)} keys" for c in fixed.changes)
        for key, folders in fixed.lost().items():
            say(f"{key} can't read these any more, and may have kept what it read ({len(folders)}):")
            for folder in folders:
                say(f"    {folder}")
        for secret, error in fixed.failures:
            say(f"error: {secret}: {error.message} ({error.code})")
        say(f"{_count(len(fixed.changes), 'secret')} re-encrypted")
    if fixed.failures:
        raise typer.Exit(ExitCode.HOSTS_FAILED)


def _tools(ctx: typer.Context, root: Path) -> ToolFinder:
    """Programs of the PATH, and otherwise of the fleet's nixpkgs where there is Nix."""
    from clanpy.errors import ClanpyError, ToolMissingError  # noqa: PLC0415 - rooms are imported when a command runs
    from clanpy.generators.tools import tools_on_path  # noqa: PLC0415 - the same

    def build(packages: Sequence[str]) -> tuple[str, ...]:
        from clanpy.cli.site import nix_of  # noqa: PLC0415 - only when something is missing
        from clanpy.nix.tools import build_tools  # noqa: PLC0415 - the same

        names = ", ".join(packages)
        say(f"taking {names} from the fleet's nixpkgs")
        try:
            nix, overrides = nix_of(ctx)
            return asyncio.run(build_tools(nix, root, packages, overrides))
        except ClanpyError as error:
            message = (
                f"a generator needs {names}: no such program is on the PATH, nor can it be had from the fleet's nixpkgs"
            )
            raise ToolMissingError(message, hint=error.hint, details=[error.message, *error.details]) from error

    return tools_on_path(build=build)


def _generate(
    session: Session, wanted: Any, *, tools: ToolFinder, sandbox: bool, parallel: int | None, json: bool
) -> None:
    from clanpy.generators.sandbox import NO_SANDBOX  # noqa: PLC0415 - the same
    from clanpy.vars import How, generate  # noqa: PLC0415 - rooms are imported when a command runs

    if not sandbox:
        say(f"note: {NO_SANDBOX.gives_up}")
    how = How(prompter=_prompter(), sandbox=sandbox, tools=tools, on_done=lambda step: say(f"{step.id}: {step.reason}"))
    if parallel is not None:
        how = replace(how, limit=parallel)
    done = asyncio.run(generate(session, wanted, how))
    if json:
        print_json(
            {**done.intent.to_dict(), "changed": list(done.changed), "deliver_to": list(done.intent.plan.machines)}
        )
        return
    _report(done.changed)
    if done.intent.plan:
        say(f"to be delivered to: {', '.join(done.intent.plan.machines)}")


def _show_intent(intent: Intent, *, json: bool) -> None:
    if json:
        print_json({**intent.to_dict(), "deliver_to": list(intent.plan.machines)})
        return
    print_lines(_intent_lines(intent))
    say(f"{_count(len(intent.plan.steps), 'generator')} would run")


def _intent_lines(intent: Intent) -> Iterator[str]:
    yield from (f"key for machine {machine}" for machine in intent.machines_without_key)
    for step in intent.plan.steps:
        asks = f"; asks for {', '.join(step.node.generator.prompts)}" if step.node.generator.prompts else ""
        yield f"{step.id}: {step.reason}{asks}"
    yield from (f"{var}: machine {machine} gets access" for var, machine in intent.grants)


def _report(changed: Iterable[str]) -> None:
    count = len(list(changed))
    say(f"{_count(count, 'file')} written: add to git what is new" if count else "nothing to do")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _chosen(fleet: Fleet, machines: list[str] | None, tags: str | None) -> tuple[str, ...]:
    from clanpy.machines import select  # noqa: PLC0415 - rooms are imported when a command runs

    return tuple(machine.name for machine in select(fleet, machines or [], split_tags(tags)))


def _one(fleet: Fleet, machine: str) -> str:
    from clanpy.machines import select_one  # noqa: PLC0415 - rooms are imported when a command runs

    return select_one(fleet, machine).name


def _prompter() -> Prompter:
    from clanpy.vars import NobodyToAsk  # noqa: PLC0415 - rooms are imported when a command runs

    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return NobodyToAsk()
    from clanpy.cli.questions import Terminal  # noqa: PLC0415 - only on a terminal

    return Terminal()


def _asked(label: str) -> Secret:
    from clanpy.cli.questions import ask_hidden  # noqa: PLC0415 - only on a terminal

    return ask_hidden(label)
