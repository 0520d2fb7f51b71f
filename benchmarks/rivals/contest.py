"""Who takes part, and what a turn costs."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks._measure import CLANPY
from benchmarks.rivals.fleet import HERE, LAB, Fleet, through
from clanpy.lab import cgroup


CLANPY_NAME = "clanpy"
RIVALS = {"colmena": "colmena.sh", "deploy-rs": "deploy-rs.sh", "one connection": "master.sh"}
CONTENDERS = (*RIVALS, CLANPY_NAME)
STAGES = ("connect", "build", "copy", "activate", "confirm")
PATIENCE = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One deployment to all hosts.

    Attributes:
        run: seconds from the first contact with a host to the last.
        command: seconds of the whole process, which with clanpy is also started, and reads the fleet.
        here: seconds of processors on the controller.
        there: seconds of processors on the hosts.
        started: processes and threads that were started meanwhile on this computer, by whomever.
        trips: round trips to a host at most, where they are counted.
        stages: the median of the hosts' seconds in each stage, where it is told.
    """

    run: float
    command: float
    here: float
    there: float
    started: int
    trips: int = 0
    stages: Mapping[str, float] = field(default_factory=dict)


def take(fleet: Fleet, who: str, variant: str) -> Turn:
    """Deploy a variant to all hosts, and look whether they have it. Raises SystemExit."""
    words = _words(fleet, who, variant)
    group = _group()
    there, started = _used(cgroup.lab_group(LAB), "host-"), _started()
    began = time.perf_counter()
    output = _run(fleet, words, group, enter=who != CLANPY_NAME)
    command = time.perf_counter() - began
    started, there = _started() - started, _used(cgroup.lab_group(LAB), "host-") - there
    here = _seconds(group)
    cgroup.destroy(group)
    fleet.check(variant, who)
    if who != CLANPY_NAME:
        return Turn(run=command, command=command, here=here, there=there, started=started)
    return _told(output, command, here, there, started)


def _words(fleet: Fleet, who: str, variant: str) -> list[str]:
    fleet.choose(variant)
    if who == CLANPY_NAME:
        return [CLANPY, "machines", "update", "-y", "--json", "--parallel", str(len(fleet.names))]
    lines = "".join(f"{name} {path}\n" for name, path in fleet.systems[variant].items())
    (fleet.folder / "hosts").write_text(lines)
    return through(fleet, [str(HERE / RIVALS[who])])


def _run(fleet: Fleet, words: Sequence[str], group: Path | None, *, enter: bool) -> str:
    """Run to the end. All but clanpy, which goes there by itself, are put into the lab's network."""
    log = fleet.folder / "complaints"

    def prepare() -> None:
        cgroup.join(group)
        if enter:
            fleet.lab.enter()

    with log.open("w") as complaints:
        done = subprocess.run(
            words, env=fleet.environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=complaints, text=True,
            check=False, timeout=PATIENCE, preexec_fn=prepare,
        )  # fmt: skip
    if done.returncode:
        sys.exit(f"{words} ended with {done.returncode}:\n{done.stdout[-3000:]}\n{log.read_text()[-3000:]}")
    return done.stdout


def _told(output: str, command: float, here: float, there: float, started: int) -> Turn:
    lines = [json.loads(line) for line in output.splitlines()]
    result = lines[-1]
    if result["nix_processes"] > 1:  # one `nix copy` may be; evaluating and building may not
        building = [line for line in lines if line.get("event") == "stage_started" and line["stage"] == "evaluate"]
        if building:
            sys.exit(f"clanpy evaluated {len(building)} machines that it should have known")
    stages = {
        stage: statistics.median(found)
        for stage in STAGES
        if (found := [line["seconds"] for line in lines if _ends(line, stage)])
    }
    trips = max(result["round_trips"].values())
    return Turn(
        run=result["seconds"], command=command, here=here, there=there, started=started, trips=trips, stages=stages
    )


def _ends(line: Mapping[str, object], stage: str) -> bool:
    return line.get("event") == "stage_finished" and line.get("stage") == stage


def _group() -> Path | None:
    """A control group of its own for each turn: it counts what every process used, whoever waited for it."""
    top = cgroup.root()
    if top is None:
        return None
    group = top / f"clanpy-bench-{os.getpid()}"
    cgroup.destroy(group)
    group.mkdir()
    return group


def _seconds(group: Path | None) -> float:
    if group is None or not group.is_dir():
        return 0.0
    return int((group / "cpu.stat").read_text().split()[1]) / 1e6


def _used(group: Path | None, prefix: str) -> float:
    """Seconds of processors that the groups within of this name have used."""
    return 0.0 if group is None else sum(_seconds(one) for one in group.glob(f"{prefix}*"))


def _started() -> int:
    """Processes and threads that were ever started on this computer."""
    lines = Path("/proc/stat").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("processes "))
