"""Selecting machines by what is so at this moment: `is:failed`, `is:changed` without asking them, `is:stale`, `is:unreachable` by asking."""

from __future__ import annotations

import asyncio
import io
import subprocess
import tarfile
import tempfile
from collections.abc import Collection, Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from clanpy.deployment.options import Options
from clanpy.deployment.status import HostStatus, what_is_known
from clanpy.deployment.status import status as ask_status
from clanpy.errors import ClanpyError, ExitCode
from clanpy.inventory import load, resolve
from clanpy.inventory.matching import Kind, LazyIndex
from clanpy.nix.source import Stager
from clanpy.rollout.outcome import GOOD


if TYPE_CHECKING:
    from clanpy.deployment.options import Surroundings
    from clanpy.inventory.model import Fleet
    from clanpy.journal import Journal

STATES = ("changed", "failed", "stale", "unreachable")
GIT_SECONDS = 120.0


class RevisionError(ClanpyError):
    """The fleet of a git revision can't be had: there is no such revision, or the fleet is not under git."""

    code: ClassVar[str] = "CP0534"
    exit_code: ClassVar[ExitCode] = ExitCode.NOTHING_MATCHED


def live_kind(surroundings: Surroundings, journal: Journal) -> Kind:
    """`is:STATE`. Machines are asked once, all of them, and only for states that need it."""

    @cache
    def asked() -> tuple[HostStatus, ...]:
        machines = tuple(surroundings.fleet.machines.values())
        known = what_is_known(surroundings, journal, machines)
        return tuple(asyncio.run(ask_status(surroundings, machines, Options(), known)))

    def find(state: str) -> frozenset[str]:
        if state in {"stale", "unreachable"}:
            wanted = {"stale": "outdated", "unreachable": "unreachable"}[state]
            return frozenset(host.machine.name for host in asked() if host.state == wanted)
        return failed(surroundings.fleet, journal) if state == "failed" else changed(surroundings, journal)

    return Kind(name="is", index=lambda _: LazyIndex(STATES, find), what="state of a machine")


def failed(fleet: Fleet, journal: Journal) -> frozenset[str]:
    """Machines whose last deployment from here did not end well."""
    last = journal.last_deployments(fleet.machines)
    return frozenset(name for name, deployment in last.items() if deployment.outcome not in GOOD)


def changed(surroundings: Surroundings, journal: Journal) -> frozenset[str]:
    """Machines that should run something else than they were last given from here, as far as that is known without Nix."""
    machines = tuple(surroundings.fleet.machines.values())
    known = what_is_known(surroundings, journal, machines)
    found = set()
    for machine in machines:
        wanted, last = known.wanted.get(machine.name), known.last.get(machine.name)
        if wanted is None or last is None or wanted.system != last.system:
            found.add(machine.name)
    return frozenset(found)


def changed_since(surroundings: Surroundings, revision: str, names: Iterable[str]) -> frozenset[str]:
    """Of these machines those that read other files, or other content of them, than at a revision of git. Needs no Nix.

    A machine that was not there at the revision, or was broken there, has changed.

    Raises:
        RevisionError: there is no such revision.
        SourceError, InputsError: what a machine reads can't be read.
    """
    fleet, wanted = surroundings.fleet, list(names)
    with tempfile.TemporaryDirectory(prefix="clanpy-revision-") as folder:
        _check_out(fleet.root, revision, Path(folder))
        try:
            before = load(Path(folder))
        except ClanpyError:
            return frozenset(wanted)  # nothing that was broken is unchanged
        now = _keys(surroundings, fleet, wanted)
        then = _keys(surroundings, before, [name for name in wanted if name in before.machines])
    return frozenset(name for name in wanted if now.get(name) is None or now.get(name) != then.get(name))


def _keys(surroundings: Surroundings, fleet: Fleet, names: Collection[str]) -> dict[str, str]:
    with tempfile.TemporaryDirectory(prefix="clanpy-sources-") as cache_dir:
        stager = Stager(fleet, Path(cache_dir), surroundings.overrides)
        found = {}
        for name in names:
            try:
                found[name] = stager.stage(resolve(fleet, name)).key
            except ClanpyError:
                continue
        return found


def _check_out(root: Path, revision: str, folder: Path) -> None:
    """The files of the fleet at a revision, without touching the fleet's own."""
    argv = ["git", "-C", str(root), "archive", "--format=tar", revision, "--", "."]
    try:
        done = subprocess.run(argv, check=True, capture_output=True, timeout=GIT_SECONDS)
    except FileNotFoundError:
        raise RevisionError("git is not installed") from None
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        lines = (error.stderr or b"").decode("utf-8", "replace").strip().splitlines()
        raise RevisionError(f"the fleet of revision '{revision}' can't be had", details=lines[-3:]) from None
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        # Python before 3.11.4 has no such filter. What is unpacked was packed by git: nothing in it leads out of the folder.
        archive.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
        archive.extractall(folder)  # noqa: S202  # the filter is the one above
