"""Evaluating staged sources with Nix: many at a time, a few in one process, each remembered under its content key.

A release that was evaluated before is read from `<cache>/releases/<key>.json`, and no Nix is started. The evaluation is pure: a
source is named by its hash, its inputs are locked, so an equal key means an equal derivation.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clanpy.errors import ClanpyError
from clanpy.nix.diagnose import evaluation_error
from clanpy.nix.files import write_atomically
from clanpy.nix.literals import quote
from clanpy.nix.program import NixProgram, one_error
from clanpy.nix.release import Artifact, Release, Source
from clanpy.nix.render import to_json
from clanpy.nix.source import manifest, origins


FORMAT = 1
HOSTS_TOGETHER = 4  # measured: what machines share is evaluated once, and one process stays small enough


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    """How evaluation is spread: `processes` at once, at most `hosts` machines in each."""

    processes: int = 1
    hosts: int = HOSTS_TOGETHER

    @classmethod
    def for_this_machine(cls, *, memory_per_host: int = 512 << 20) -> Workers:
        """As many processes as there are processors, as long as their machines fit into the memory that is free."""
        processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        fitting = _free_memory() // (memory_per_host * HOSTS_TOGETHER)
        return cls(processes=max(1, min(processors, fitting)))


@dataclass(frozen=True, slots=True)
class HostError:
    """A machine whose evaluation failed, and why. No other machine is touched by it."""

    source: Source
    error: ClanpyError


async def evaluate(
    sources: Iterable[Source], nix: NixProgram, cache_dir: Path, *, workers: Workers | None = None
) -> AsyncIterator[Release | HostError]:
    """Evaluate sources; each release comes as soon as it is known, those that were remembered first.

    What fails comes as a `HostError`; only a Nix that can't be run at all raises. Whoever may leave the loop early wraps this in
    `contextlib.aclosing`, or uses `evaluate_each`.
    """
    results: asyncio.Queue[Release | HostError | None] = asyncio.Queue()

    async def run() -> None:
        try:
            await evaluate_each(sources, nix, cache_dir, results.put_nowait, workers=workers)
        finally:
            results.put_nowait(None)

    with one_error():
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(run())
            try:
                while (result := await results.get()) is not None:
                    yield result
            finally:
                running.cancel()


async def evaluate_each(
    sources: Iterable[Source],
    nix: NixProgram,
    cache_dir: Path,
    on_result: Callable[[Release | HostError], None],
    *,
    workers: Workers | None = None,
) -> None:
    """Evaluate sources, calling `on_result` with each release as soon as it is known, those that were remembered first.

    Raises:
        NixMissingError: Nix can't be run.
    """
    pending: list[Source] = []
    for source in sources:
        release = remembered(source, nix, cache_dir)
        if release is None:
            pending.append(source)
        else:
            on_result(release)
    if pending:
        chosen = workers or Workers.for_this_machine()
        await _Evaluation(nix, cache_dir, on_result, asyncio.Semaphore(chosen.processes)).run(_groups(pending, chosen))


def remembered(source: Source, nix: NixProgram, cache_dir: Path) -> Release | None:
    """The release that was evaluated for this source before, if what it names can still be had."""
    release = recalled(source, nix.store_dir, cache_dir)
    if release is None:
        return None
    artifacts = (release.system, *release.homes)
    return release if all(Path(a.out).exists() or Path(a.drv).exists() for a in artifacts) else None


def recalled(source: Source, store_dir: str, cache_dir: Path) -> Release | None:
    """The release that was evaluated for this source before, here or elsewhere, wherever what it names is by now."""
    try:
        stored = json.loads(_release_path(cache_dir, source).read_bytes())
    except (OSError, ValueError):
        return None
    if stored.get("format") != FORMAT or stored.get("store_dir") != store_dir:
        return None
    return release_of(source, stored["artifacts"])


def forget(source: Source, cache_dir: Path) -> None:
    """Have the source evaluated again next time."""
    _release_path(cache_dir, source).unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class _Evaluation:
    """One evaluation of many sources: a process for each group, and for each machine of a group in which something is wrong."""

    nix: NixProgram
    cache_dir: Path
    on_result: Callable[[Release | HostError], None]
    limit: asyncio.Semaphore

    async def run(self, groups: Iterable[Sequence[Source]]) -> None:
        with one_error():
            async with asyncio.TaskGroup() as tasks:
                for group in groups:
                    tasks.create_task(self._alone(group[0]) if len(group) == 1 else self._together(group))

    async def _together(self, group: Sequence[Source]) -> None:
        async with self.limit:
            found = await _evaluate_group(group, self.nix)
        if found is not None:
            for release in found:
                self._report(release)
            return
        async with asyncio.TaskGroup() as tasks:
            for source in group:
                tasks.create_task(self._alone(source))

    async def _alone(self, source: Source) -> None:
        async with self.limit:
            result = await _evaluate_one(source, self.nix)
        self._report(result)

    def _report(self, result: Release | HostError) -> None:
        if isinstance(result, Release):
            remember(result, self.nix.store_dir, self.cache_dir)
        self.on_result(result)


def _groups(sources: Sequence[Source], workers: Workers) -> list[Sequence[Source]]:
    """Groups as even as they can be: no process has more to do than it must."""
    rounds = -(-len(sources) // (workers.processes * workers.hosts))
    count = min(len(sources), workers.processes * rounds)
    return [sources[n::count] for n in range(count)]


async def _evaluate_group(group: Sequence[Source], nix: NixProgram) -> list[Release] | None:
    """The releases of several sources from one process, or None when any of them fails."""
    done = await nix.run(_command({source.key: source for source in group}.values()))
    if done.status != 0:
        return None
    found: Mapping[str, Any] = json.loads(done.stdout)
    return [release_of(source, found[source.key]) for source in group]


async def _evaluate_one(source: Source, nix: NixProgram) -> Release | HostError:
    done = await nix.run(_command([source]))
    if done.status != 0:
        return HostError(source, evaluation_error(source.host, done.stderr, origins(source, nix.store_dir)))
    return release_of(source, json.loads(done.stdout)[source.key])


def _command(sources: Iterable[Source]) -> list[str]:
    return ["nix", "eval", "--json", "--show-trace", "--expr", _expression(sources)]


def _expression(sources: Iterable[Source]) -> str:
    """For each key the list of `{ drv, out }` of its installables. `getFlake` is pure: the hash says what the tree is."""
    lines = ["let of = d: { drv = d.drvPath; out = d.outPath; }; in {"]
    for source in sources:
        reference = f"path:{source.root}?narHash={manifest(source)['nar_hash']}"
        wanted = " ".join(f"(of flake.{installable.attribute})" for installable in source.installables)
        lines.append(f"  {quote(source.key)} = let flake = builtins.getFlake {quote(reference)}; in [ {wanted} ];")
    return "\n".join([*lines, "}"])


def release_of(source: Source, artifacts: Sequence[Mapping[str, str]]) -> Release:
    """The release that an evaluation found: for each installable its derivation and path, in order."""
    found = [
        Artifact(installable=installable, drv=artifact["drv"], out=artifact["out"])
        for installable, artifact in zip(source.installables, artifacts, strict=True)
    ]
    return Release(source=source, system=found[0], homes=tuple(found[1:]))


def remember(release: Release, store_dir: str, cache_dir: Path) -> None:
    """Keep a release for the next run."""
    artifacts = [{"drv": a.drv, "out": a.out} for a in (release.system, *release.homes)]
    stored = {"format": FORMAT, "store_dir": store_dir, "host": release.host, "artifacts": artifacts}
    with contextlib.suppress(OSError):  # it is only asked again then
        write_atomically(_release_path(cache_dir, release.source), to_json(stored).encode())


def _release_path(cache_dir: Path, source: Source) -> Path:
    return cache_dir / "releases" / f"{source.key}.json"


def _free_memory() -> int:
    """Bytes of memory that can be had, as far as the system tells."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    with contextlib.suppress(OSError, ValueError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    return 4 << 30
