"""What those commands of `clanpy packages` do that ask Nix, git or the build farm. Imported when one of them runs."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_cache_path

from clanpy.cli.context import open_fleet, print_json, print_lines, say
from clanpy.cli.site import nix_of
from clanpy.cli.tables import add_row, new_table, print_parts
from clanpy.deployment.versions import SCHEMA, Changes, changes_since
from clanpy.errors import ClanpyError, nearest
from clanpy.inventory import resolve
from clanpy.inventory.errors import AbsentPackageError
from clanpy.inventory.homes import platforms
from clanpy.inventory.package_history import file_at
from clanpy.inventory.packages import packages_of
from clanpy.machines import select
from clanpy.nix.asking import Question, missing
from clanpy.nix.farm import Verdict, ask_farm
from clanpy.nix.source import Stager
from clanpy.ui.format import counted


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import typer

    from clanpy.inventory.layers import Fallback
    from clanpy.inventory.model import Fleet
    from clanpy.nix.farm import Answer


INPUTS = ("flake.lock", "flake.nix")


# ------------------------------------------------------------------------------------------------------------ check


def absent(ctx: typer.Context, fleet: Fleet) -> tuple[list[ClanpyError], list[str]]:
    """Fallbacks of packages that their channels do not have, as Nix says; and what could not be looked at, and why."""
    questions = dict(_questions(fleet))
    unchecked = list(dict.fromkeys(_of_patched(fleet)))
    if not questions:
        return [], unchecked
    try:
        nix, overrides = nix_of(ctx)
        stager = Stager(fleet, user_cache_path("clanpy"), overrides)
        source = stager.stage_inputs(sorted({question.input for question in questions}))
        stager.save()
        found = asyncio.run(missing(source, packages_of(fleet).config, tuple(questions), nix))
    except ClanpyError as error:
        names = ", ".join(sorted({question.package for question in questions}))
        return [], [*unchecked, f"whether channels still have {names}: {error}"]
    return [_gone(questions[question], question, names) for question, names in found.items()], unchecked


def _questions(fleet: Fleet) -> Iterator[tuple[Question, Fallback]]:
    packages = packages_of(fleet)
    for fallback in packages.fallbacks:
        channel = packages.channels.get(fallback.channel)
        for system in platforms(fleet):
            input_ = channel.input_on(system) if channel is not None and not channel.patches else None
            if input_ is not None and fallback.applies(system):
                yield Question(input=input_, system=system, package=fallback.package), fallback


def _of_patched(fleet: Fleet) -> Iterator[str]:
    packages = packages_of(fleet)
    for fallback in packages.fallbacks:
        channel = packages.channels.get(fallback.channel)
        if channel is not None and channel.patches:
            yield f"whether the channel {channel.name} has {fallback.package}: it is patched, and would have to be built first"


def _gone(fallback: Fallback, question: Question, names: Sequence[str]) -> ClanpyError:
    return AbsentPackageError(
        f"the channel '{fallback.channel}' ({question.input}) has no package '{fallback.package}' on {question.system}",
        place=fallback.place,
        hint=nearest(question.package, [name for name in names if name != question.package]),
    )


# ----------------------------------------------------------------------------------------------------------- review


def review(ctx: typer.Context, package: str | None, *, as_json: bool) -> None:
    """`packages fallbacks review`."""
    records = [f for f in packages_of(open_fleet(ctx)).fallbacks if package in {None, f.package}]
    answers = ask_farm(record.hydra for record in records if record.hydra)
    if as_json:
        rows = [{**record.to_dict(), **_said(record, answers)} for record in records]
        print_json({"schema": "clanpy.fallback-review/1", "fallbacks": rows})
        return
    table = new_table("package", "platforms", "the job", "it says", "it can go when")
    for record in records:
        said = _said(record, answers)
        where = " ".join(record.platforms) or "all"
        add_row(table, record.package, where, said["job"], said["said"], record.remove_when)
    print_parts(ctx, [table] if records else [])
    for line in _advice(records, answers):
        say(line)


def _said(record: Fallback, answers: Mapping[str, Answer]) -> dict[str, str]:
    answer = answers.get(record.hydra or "")
    if answer is None:
        return {"job": Verdict.UNCLEAR, "said": "the record names no job"}
    return {"job": answer.verdict, "said": answer.said}


def _advice(records: Sequence[Fallback], answers: Mapping[str, Answer]) -> Iterator[str]:
    if not records:
        yield "there are no fallbacks to look at"
    verdicts = {record.package: _said(record, answers)["job"] for record in records}
    silent = [name for name, verdict in verdicts.items() if verdict == Verdict.SILENT]
    if silent:
        yield f"the build farm could not be asked about {', '.join(silent)}: without it nothing is known of them"
    for name, verdict in verdicts.items():
        if verdict == Verdict.SUCCEEDS:
            yield f"the job of {name} succeeds again: clanpy packages fallbacks drop {name}"


# ------------------------------------------------------------------------------------------------------------- diff


def diff(ctx: typer.Context, revision: str, selections: Sequence[str], *, as_json: bool) -> None:
    """`packages diff`."""
    fleet = open_fleet(ctx)
    files = {name: file_at(fleet.root, revision, name) for name in INPUTS}
    hosts = [resolve(fleet, machine.name) for machine in select(fleet, selections)]
    nix, overrides = nix_of(ctx)
    cache = user_cache_path("clanpy")
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            (Path(folder) / name).write_bytes(data)
        found = asyncio.run(changes_since(fleet, hosts, Path(folder), nix=nix, cache=cache, overrides=overrides))
    if as_json:
        machines = {changes.machine: changes.to_dict() for changes in found}
        print_json({"schema": SCHEMA, "revision": revision, "machines": machines})
        return
    for changes in found:
        print_lines(_lines(changes))


def _lines(changes: Changes) -> Iterator[str]:
    if not (changes.inputs or changes.packages):
        yield f"{changes.machine}: the same"
        return
    yield f"{changes.machine}: {counted(len(changes.packages), 'package')}"
    for name, (before, after) in changes.inputs.items():
        yield f"  input {name}: {before or 'nothing'} → {after or 'nothing'}"
    for package in changes.packages:
        yield f"  {package.name}: {', '.join(package.before) or 'nothing'} → {', '.join(package.after) or 'nothing'}"
    if changes.broken:
        yield f"  {counted(changes.broken, 'package')} could not be evaluated, and nothing is said of them"
