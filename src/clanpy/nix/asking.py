"""Questions to Nix about package sets: names and versions, evaluated purely and without a build."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clanpy.nix.diagnose import evaluation_error
from clanpy.nix.evaluate import Workers
from clanpy.nix.literals import attribute, quote, to_nix
from clanpy.nix.program import NixProgram, one_error
from clanpy.nix.release import Source
from clanpy.nix.source import manifest, origins


LIB = Path(__file__).resolve().parent / "lib"


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What a machine and the homes on it install: the versions of each package, and how many packages could not be evaluated."""

    versions: Mapping[str, tuple[str, ...]]
    broken: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Question:
    """Whether the package set that a flake input is has a package on a system."""

    input: str
    system: str
    package: str


async def installed(sources: Collection[Source], nix: NixProgram) -> dict[str, Installed]:
    """What each of some staged machines installs, by content key.

    Raises:
        EvaluationError: one can't be evaluated.
        NixMissingError: Nix can't be run.
    """
    slots, found = asyncio.Semaphore(Workers.for_this_machine().processes), dict[str, Installed]()

    async def one(source: Source) -> None:
        async with slots:
            said = await _ask(source, nix, "versions.nix", _outputs(source))
        found[source.key] = _installed(said)

    with one_error():
        async with asyncio.TaskGroup() as tasks:
            for source in {source.key: source for source in sources}.values():
                tasks.create_task(one(source))
    return found


async def missing(
    source: Source, config: Mapping[str, Any], questions: Sequence[Question], nix: NixProgram
) -> dict[Question, list[str]]:
    """The packages that are not there, each with the names that are there instead. `source` is a tree with the inputs.

    Raises:
        EvaluationError: a package set can't be evaluated.
        NixMissingError: Nix can't be run.
    """
    asked = [{"input": q.input, "system": q.system, "package": q.package} for q in questions]
    inputs = " ".join(f"{attribute(name)} = flake.inputs.{attribute(name)};" for name in {q.input for q in questions})
    arguments = f"{{ inputs = {{ {inputs} }}; config = {to_nix(dict(config))}; questions = {to_nix(asked)}; }}"
    said = await _ask(source, nix, "present.nix", arguments)
    return {question: names for question, names in zip(questions, said, strict=True) if names is not True}


async def _ask(source: Source, nix: NixProgram, function: str, arguments: str) -> Any:
    """What a function of `lib/` says of a staged flake, which its arguments know as `flake`."""
    reference = f"path:{source.root}?narHash={manifest(source)['nar_hash']}"
    text = (LIB / function).read_text()
    expression = f"let flake = builtins.getFlake {quote(reference)}; in ({text}) {arguments}"
    done = await nix.run(["nix", "eval", "--json", "--show-trace", "--expr", expression])
    if done.status != 0:
        raise evaluation_error(source.host, done.stderr, origins(source, nix.store_dir))
    return json.loads(done.stdout)


def _outputs(source: Source) -> str:
    def of(kind: str, ending: str) -> str:
        chosen = (found.attribute.removesuffix(ending) for found in source.installables if found.kind == kind)
        return " ".join(f"flake.{name}" for name in chosen)

    return f"{{ systems = [ {of('system', '.config.system.build.toplevel')} ]; homes = [ {of('home', '.activationPackage')} ]; }}"


def _installed(said: Mapping[str, Any]) -> Installed:
    found: dict[str, set[str]] = {}
    for package in said["packages"]:
        found.setdefault(package["name"], set()).add(package["version"])
    return Installed(
        versions={name: tuple(sorted(versions)) for name, versions in sorted(found.items())}, broken=said["broken"]
    )
