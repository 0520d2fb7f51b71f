"""Building releases: one Nix process for many machines, its log told apart by machine, one machine's failure never another's.

What is built already costs no process.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from clanpy.errors import ClanpyError
from clanpy.nix.activity import FLAGS, Advanced, BuildStarted, Output, Said, parse
from clanpy.nix.database import StoreDatabase
from clanpy.nix.derivations import Derivations, name_of
from clanpy.nix.errors import BuildError, DiskFullError, StaleReleaseError, is_disk_full, plain, tail
from clanpy.nix.program import NixProgram
from clanpy.nix.release import Artifact, Release
from clanpy.nix.roots import Roots


LOG_LINES = 30
_FAILED = re.compile(r"(?:builder for|[Cc]annot build|hash mismatch in fixed-output derivation) '(?P<drv>[^']+\.drv)'")
_REASON = re.compile(r"(?:failed with exit code \d+|failed due to signal \d+[^\n;]*|hash mismatch|timed out[^\n;]*)")
_ONLY_DEPENDENCIES = re.compile(r"\d+ dependenc(?:y|ies)[^\n]* failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildLimits:
    """How much is built at once: `jobs` derivations, each with `cores` processors (0: all)."""

    jobs: int = field(default_factory=lambda: os.cpu_count() or 1)
    cores: int = 0


@dataclass(frozen=True, slots=True)
class BuildLine:
    """A line of a build's log, and the machines that need what is being built."""

    hosts: tuple[str, ...]
    name: str
    text: str


def _ignore(_: object) -> None:
    """Nobody listens."""


async def build(
    releases: Iterable[Release],
    nix: NixProgram,
    roots: Roots,
    *,
    on_line: Callable[[BuildLine], None] = _ignore,
    on_built: Callable[[str], None] = _ignore,
    limits: BuildLimits | None = None,
) -> Mapping[str, ClanpyError | None]:
    """Build releases, and protect what is built against garbage collection.

    `on_built` is called with the name of a machine as soon as all of it is there, while others are still being built.

    Returns:
        For each machine why it could not be built, or None.
    """
    run = _Run(tuple(releases), nix, on_line, on_built)
    links = {release.host: roots.point(release) for release in run.releases}
    for release in run.releases:
        run.check(release)
    if run.waiting:
        await run.realise(limits or BuildLimits())
    await roots.register(link for host, error in run.results.items() if error is None for link in links[host])
    return run.results


def artifacts(release: Release) -> tuple[Artifact, ...]:
    """All that is built for a machine."""
    return (release.system, *release.homes)


def missing(release: Release, nix: NixProgram) -> list[Artifact]:
    """What of a machine is not built."""
    wanted = artifacts(release)
    database = StoreDatabase.of(nix)
    valid = database.valid(artifact.out for artifact in wanted) if database else None
    if valid is None:
        return [artifact for artifact in wanted if not _seems_built(artifact.out)]
    # what is in the database may have been removed by hand
    return [artifact for artifact in wanted if artifact.out not in valid or not Path(artifact.out).exists()]


def _seems_built(out: str) -> bool:
    """Whether an output is there, and as far as can be seen known to the store: until it is, Nix keeps a lock beside it."""
    return Path(out).exists() and not Path(f"{out}.lock").exists()


def failed_builder(text: str) -> tuple[str, str] | None:
    """The derivation whose builder failed, and how, when a message of Nix tells of one."""
    match = _FAILED.search(text)
    if match is None or _ONLY_DEPENDENCIES.search(text):
        return None
    reason = _REASON.search(text)
    return match["drv"], reason[0] if reason else "failed"


@dataclass
class _Run:
    """One process that builds, and what is known from its log."""

    releases: tuple[Release, ...]
    nix: NixProgram
    on_line: Callable[[BuildLine], None]
    on_built: Callable[[str], None]
    results: dict[str, ClanpyError | None] = field(default_factory=dict)
    waiting: dict[str, Release] = field(default_factory=dict)
    derivations: Derivations = field(default_factory=Derivations)
    building: dict[int, str] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)
    progress: dict[int, int] = field(default_factory=dict)
    logs: dict[str, deque[str]] = field(default_factory=lambda: defaultdict(lambda: deque(maxlen=LOG_LINES)))
    failures: dict[str, str] = field(default_factory=dict)
    said: deque[str] = field(default_factory=lambda: deque(maxlen=LOG_LINES))

    def check(self, release: Release) -> None:
        """Note whether a machine is built, has to be, or can't be because what was evaluated is gone."""
        wanted = missing(release, self.nix)
        if not wanted:
            self._finish(release.host)
        elif gone := [a.drv for a in wanted if not Path(a.drv).exists()]:
            self.results[release.host] = StaleReleaseError(
                f"{release.host}: the derivation {name_of(gone[0])} is no longer in the store",
                hint="run the command again: it is evaluated anew",
            )
        else:
            self.waiting[release.host] = release

    async def realise(self, limits: BuildLimits) -> None:
        """Build everything that machines wait for."""
        drvs = dict.fromkeys(a.drv for release in self.waiting.values() for a in missing(release, self.nix))
        numbers = ["--max-jobs", str(limits.jobs), "--cores", str(limits.cores)]
        command = ["nix-store", "--realise", "--keep-going", "--verbose", *FLAGS, *numbers, *drvs]
        done = await self.nix.run(command, on_line=self._hear)
        for release in list(self.waiting.values()):
            self._settle(release, done.status)

    @cached_property
    def users(self) -> Mapping[str, tuple[str, ...]]:
        """For each derivation the machines that need it; worked out when the first one is built."""
        return self.derivations.users({r.host: [a.drv for a in artifacts(r)] for r in self.releases})

    def _settle(self, release: Release, status: int) -> None:
        """Say how it ended for a machine, now that Nix is done."""
        if not missing(release, self.nix):
            self._finish(release.host)
        else:
            self.results[release.host] = self._error(release, status)

    def _finish(self, host: str) -> None:
        self.waiting.pop(host, None)
        self.results[host] = None
        self.on_built(host)

    def _hear(self, line: str) -> None:
        match parse(line):
            case BuildStarted(activity, drv):
                self.building[activity] = drv
                self.begun.update(self.users.get(drv, ()))
                self._tell(drv, "building")
            case Output(activity, text) if activity in self.building:
                self.logs[self.building[activity]].append(text)
                self._tell(self.building[activity], text)
            case Advanced(activity, done, _) if self.progress.get(activity) != done:
                # Nix says that an outermost derivation is over only at its own end, but counts each that is built
                self.progress[activity] = done
                self._see_what_is_built()
            case Said(text, is_error=True):
                self._failed(plain(text))

    def _tell(self, drv: str, text: str) -> None:
        self.on_line(BuildLine(self.users.get(drv, ()), name_of(drv), text))

    def _see_what_is_built(self) -> None:
        for host in sorted(self.begun & self.waiting.keys()):
            if not missing(self.waiting[host], self.nix):
                self._finish(host)

    def _failed(self, text: str) -> None:
        self.said.extend(text.splitlines())
        failed = failed_builder(text)
        if failed is not None:
            self.failures.setdefault(*failed)

    def _error(self, release: Release, status: int) -> ClanpyError:
        host = release.host
        needed = frozenset().union(*(self.derivations.closure(a.drv) for a in artifacts(release)))
        drv = next((d for d in self.failures if d in needed), None)
        if is_disk_full("\n".join([*self.said, *(self.logs[drv] if drv else ())])):
            return DiskFullError(
                f"{host}: no space left on the disk of this machine's Nix store",
                hint="`nix-collect-garbage` removes what nothing needs",
                details=tail("\n".join(self.said)),
            )
        if drv is None:
            why = f"Nix ended with {status}"
            return BuildError(
                f"{host}: {name_of(release.system.drv)} could not be built: {why}", details=tuple(self.said)
            )
        return BuildError(
            f"{host}: {name_of(drv)} could not be built: its builder {self.failures[drv]}",
            details=tuple(self.logs[drv]),
            hint=f"the whole log: nix log {drv}",
        )
