"""Finding out what an update would change on a host: built where it is built, compared with what runs, nothing made live.

An unchanged host costs one round trip. Any other costs three more: what lies in the system that runs, which paths are missing, and,
where none is, what the new system itself says about units.
"""

from __future__ import annotations

import subprocess
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from clanpy.activation.contents import Contents, Look, contents, contents_here
from clanpy.deployment.making import Kind, place_of
from clanpy.deployment.plan import (
    SYSTEM,
    Change,
    Delta,
    HostChange,
    changed_files,
    changed_packages,
    reboot_reasons,
)
from clanpy.deployment.reach import facts_of, standalone_accounts
from clanpy.deployment.releases import wanted
from clanpy.deployment.remote_build import READ
from clanpy.deployment.run import Verdict
from clanpy.deployment.units import units_by_files, units_by_jobs, units_said
from clanpy.errors import ClanpyError
from clanpy.events import Outcome, Stage
from clanpy.nix.build import missing as unbuilt
from clanpy.nix.serve import serving
from clanpy.ui.format import counted, size


if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

    from clanpy.activation import HostFacts
    from clanpy.deployment.activator import Activator
    from clanpy.deployment.copying import Copier
    from clanpy.deployment.delivery import Deliveries
    from clanpy.deployment.making import Makers
    from clanpy.deployment.options import Options
    from clanpy.deployment.plan import Package, Units
    from clanpy.deployment.reach import Reach
    from clanpy.deployment.releases import Releases
    from clanpy.deployment.remote_build import RemoteMaker
    from clanpy.deployment.run import HostRun
    from clanpy.inventory.model import HostConfig
    from clanpy.nix.copy import PathInfo
    from clanpy.nix.release import Release
    from clanpy.nix.serve import StoreServer
    from clanpy.ssh import Connection

GIT_SECONDS = 10.0
TOLD = 20  # packages


@dataclass(frozen=True, slots=True, kw_only=True)
class _Due:
    """What is to be done to a host: for each slot the path that is live and the one that is to be; and its secrets."""

    previous: Mapping[str, str | None]
    wanted: Mapping[str, str]
    digests: tuple[str | None, str]
    secrets: Mapping[str, str]

    @property
    def has_new_secrets(self) -> bool:
        before, after = self.digests
        return not (before == after or (before is None and not self.secrets))

    def look(self, paths: Mapping[str, str | None], *, booted: str | None, system: str | None, is_mac: bool) -> Look:
        """What is to be known of the paths of one side."""
        found = {slot: path for slot, path in paths.items() if path is not None and slot in self.wanted}
        boots = [path for path in (booted, system) if path is not None]
        trees = [_tree(slot, path) for slot, path in found.items()]
        if is_mac and SYSTEM in found:
            trees += _job_trees(found[SYSTEM])
        return Look(closure=tuple(dict.fromkeys(found.values())), trees=trees, boots=boots)


@dataclass(slots=True, kw_only=True)
class Planner:
    """Plans hosts. One for a run; `plan` is called once for each host, and what it found is in `found`.

    Attributes:
        copies: bring what is missing to a host, so that the new system itself says what becomes of units there.
    """

    options: Options
    reach: Reach
    releases: Releases
    makers: Makers
    remote: RemoteMaker
    copier: Copier
    activator: Activator
    deliveries: Deliveries
    copies: bool = False
    found: dict[str, HostChange] = field(default_factory=dict)

    async def plan(self, host: HostRun) -> Verdict:
        """Find out what would change.

        Raises:
            ClanpyError: it can't be known.
        """
        config, maker = self.releases.config(host.name), self.makers.of(host.name)
        async with AsyncExitStack() as stack:
            with host.stage(Stage.CONNECT):
                conn = await stack.enter_async_context(self.reach.connected(host.name))
                facts = await facts_of(conn, config.machine, standalone_accounts(config))
            host.previous = host.system = facts.running
            release = await maker.release(host, conn)
            due = await self._due(config, facts, release)
            if due.wanted:
                release = await maker.build(host, conn, release)
                due = await self._due(config, facts, release)
            change, missing = await self._compare(host, conn, config, facts, due)
        self.found[host.name] = HostChange(
            name=host.name,
            key=release.source.key,
            change=change,
            previous=due.previous,
            wanted=_all_of(release),
            secrets=due.digests,
            missing=(len(missing), sum(info.size for info in missing)),
        )
        if not change:
            return Verdict(outcome=Outcome.UNCHANGED)
        return Verdict(outcome=Outcome.PLANNED, wanted=release.system.out)

    async def told(self, host: HostRun, conn: Connection, facts: HostFacts, release: Release) -> list[str]:
        """What a dry run says of a change, as far as it is known without building anything."""
        nix = self.copier.nix
        if self._kind(host.name) is not Kind.HERE or isinstance(nix, ClanpyError) or unbuilt(release, nix):
            return [f"what changes is known when it is built: `clanpy machines diff {host.name}`"]
        config = self.releases.config(host.name)
        due = await self._due(config, facts, release)
        change, missing = await self._compare(host, conn, config, facts, due)
        return list(_lines(change, missing))

    async def _due(self, config: HostConfig, facts: HostFacts, release: Release) -> _Due:
        digest, files = await self.deliveries.expected(config)
        slots = facts.differs(wanted(release))
        due = _Due(previous=_live(facts, release), wanted={}, digests=(facts.secrets, digest), secrets=files)
        if due.has_new_secrets and SYSTEM not in slots and self.deliveries.makes_its_own(config):
            slots = (SYSTEM, *slots)
        paths = {slot: path for slot, path in _all_of(release).items() if slot in slots}
        return _Due(previous=due.previous, wanted=paths, digests=due.digests, secrets=files)

    async def _compare(
        self, host: HostRun, conn: Connection, config: HostConfig, facts: HostFacts, due: _Due
    ) -> tuple[Change, Sequence[PathInfo]]:
        if not due.wanted and not due.has_new_secrets:
            return Change(), ()
        is_mac = config.machine.class_ == "darwin"
        boots = not is_mac and SYSTEM in due.wanted
        old_look = due.look(due.previous, booted=facts.booted if boots else None, system=None, is_mac=is_mac)
        old = await self._old(conn, old_look, with_secrets=due.has_new_secrets)
        new_look = due.look(due.wanted, booted=None, system=due.wanted[SYSTEM] if boots else None, is_mac=is_mac)
        infos, new = await self._new(host, conn, list(due.wanted.values()), new_look)
        missing = await self._missing(host, conn, infos)
        files = changed_files(_files(due.previous, old), _files(due.wanted, new))
        tops = {*due.wanted.values(), *(path for path in due.previous.values() if path)}
        packages, rebuilt = changed_packages(old.closure - tops, {info.path for info in infos} - tops)
        units = await self._units(host, conn, config, due, files=files, missing=missing) if boots else None
        if is_mac and SYSTEM in due.wanted:
            units = units_by_jobs(Delta.of(_jobs(due.previous, old), _jobs(due.wanted, new)))
        change = Change(
            slots=tuple(due.wanted),
            first=SYSTEM in due.wanted and due.previous.get(SYSTEM) is None,
            packages=packages,
            rebuilt=rebuilt,
            files=files,
            units=units,
            reboot=reboot_reasons(*_booted(old, new)) if boots else (),
            secrets=_secrets(old, due),
        )
        return change, missing

    async def _old(self, conn: Connection, look: Look, *, with_secrets: bool) -> Contents:
        if not (look.closure or look.boots or with_secrets):
            return Contents()
        asked = Look(closure=look.closure, trees=look.trees, boots=look.boots, secrets=with_secrets)
        return await contents(conn, asked)

    async def _new(
        self, host: HostRun, conn: Connection, paths: Sequence[str], look: Look
    ) -> tuple[Sequence[PathInfo], Contents]:
        """The closure of what was built, and what lies in it, where it was built."""
        if not paths:
            return (), Contents()
        files = Look(trees=look.trees, boots=look.boots)
        if self._kind(host.name) is Kind.HERE:
            return (await self.copier.known(paths)).of(*paths), await contents_here(files)
        async with self.remote.where(host.name, conn) as there:
            async with _store(there) as store:
                infos = await store.closure(paths)
            return infos, await contents(there, files)

    async def _missing(self, host: HostRun, conn: Connection, infos: Sequence[PathInfo]) -> Sequence[PathInfo]:
        if not infos or self._kind(host.name) is Kind.TARGET:
            return ()
        async with _store(conn) as store:
            there = await store.valid([info.path for info in infos])
        return [info for info in infos if info.path not in there]

    def _kind(self, name: str) -> Kind:
        return place_of(self.releases.config(name).machine, self.options.build_host).kind

    async def _units(
        self,
        host: HostRun,
        conn: Connection,
        config: HostConfig,
        due: _Due,
        *,
        files: Delta,
        missing: Sequence[PathInfo],
    ) -> Units:
        """What becomes of units. The new system itself knows, but has to be there to be asked."""
        if missing and self.copies:
            with host.stage(Stage.COPY) as note:
                note.text = await self.makers.of(host.name).deliver(host, conn, list(due.wanted.values()))
        if not missing or self.copies:
            try:
                return units_said(await self.activator.foreseen(conn, config, due.wanted[SYSTEM], None))
            except ClanpyError as error:
                host.note(f"the new system does not say what becomes of units: {error.message}", level="warning")
        return units_by_files(files)


def revision_of(root: Path) -> tuple[str | None, bool]:
    """The commit of a fleet, and whether there is anything beside it; None where it is not under git."""
    commit = _git(root, "rev-parse", "HEAD")
    return commit or None, bool(commit and _git(root, "status", "--porcelain", "--", "."))


def _git(root: Path, *words: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *words], capture_output=True, text=True, check=False, timeout=GIT_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


@asynccontextmanager
async def _store(conn: Connection) -> AsyncIterator[StoreServer]:
    async with conn.bridge(READ) as socket, serving(Path(str(socket)), conn.host) as store:
        yield store


def _lines(change: Change, missing: Sequence[PathInfo]) -> Iterator[str]:
    """A change for a log: what is long is counted from its middle on."""
    if change.packages:
        told = [_package(one) for one in change.packages[:TOLD]]
        more = len(change.packages) - TOLD
        yield f"packages: {', '.join(told)}{f' and {more} more' if more > 0 else ''}"
    if change.reboot:
        yield f"a reboot is needed for: {', '.join(change.reboot)}"
    total = sum(info.size for info in missing)
    yield f"{counted(len(missing), 'path')}, {size(total)} to send" if missing else "nothing to send"


def _package(one: Package) -> str:
    before, after = ", ".join(one.before), ", ".join(one.after)
    return (
        f"{one.name} {before} → {after}"
        if before and after
        else f"{'+' if after else '-'} {one.name} {after or before}"
    )


def _all_of(release: Release) -> dict[str, str]:
    homes = {f"home.{home.installable.account}": home.out for home in release.homes}
    return {SYSTEM: release.system.out, **homes}


def _live(facts: HostFacts, release: Release) -> dict[str, str | None]:
    """What is live in each slot of a release."""
    live: dict[str, str | None] = {SYSTEM: facts.running}
    for artifact in release.homes:
        home = facts.homes.get(str(artifact.installable.account))
        live[f"home.{artifact.installable.account}"] = (home.running or home.profile) if home else None
    return live


def _tree(slot: str, path: str) -> str:
    """Where the configuration files of a system or home lie."""
    return f"{path}/etc" if slot == SYSTEM else f"{path}/home-files"


def _job_trees(path: str) -> list[str]:
    """Where the jobs of launchd of a darwin system lie."""
    return [f"{path}/Library", f"{path}/user/Library"]


def _jobs(paths: Mapping[str, str | None] | Mapping[str, str], found: Contents) -> dict[str, str]:
    """The jobs of launchd of one side."""
    trees = _job_trees(paths.get(SYSTEM) or "")
    return {name: what for tree in trees for name, what in found.trees.get(tree, {}).items()}


def _files(paths: Mapping[str, str | None] | Mapping[str, str], found: Contents) -> dict[str, str]:
    """All files of one side, those of a home with its name before them."""
    return {
        name if slot == SYSTEM else f"{slot}:{name}": what
        for slot, path in paths.items()
        if path is not None
        for name, what in found.trees.get(_tree(slot, path), {}).items()
    }


def _booted(old: Contents, new: Contents) -> tuple[Mapping[str, str], Mapping[str, str]]:
    return next(iter(old.boots.values()), {}), next(iter(new.boots.values()), {})


def _secrets(old: Contents, due: _Due) -> Delta:
    """Which secrets change. Where the host does not tell them apart, all of them are delivered."""
    if not due.has_new_secrets:
        return Delta()
    return Delta.of(old.secrets, due.secrets) or Delta(changed=tuple(sorted(due.secrets)) or ("all",))
