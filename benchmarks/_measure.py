"""What the benchmarks share: measuring whole processes, medians, and the page that the results go to."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path


PAGE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
CLANPY = str(Path(sys.executable).with_name("clanpy"))


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process took, with all that it started and waited for: seconds, seconds of processors, bytes of memory at most."""

    wall: float
    cpu: float
    memory: int
    output: str = ""


def measure(command: Sequence[str], environ: Mapping[str, str] | None = None) -> Cost:
    """Run a command to its end.

    Raises:
        SystemExit: it failed.
    """
    began = time.perf_counter()
    process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    output, complaints = _drained(process)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - began
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}:\n{output[-3000:]}\n{complaints[-3000:]}")
    # the memory of the largest process in the tree; of the children only those that were waited for
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, output)


def _drained(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Both streams to their ends: the little that is written to the second fits into a pipe."""
    assert process.stdout is not None
    assert process.stderr is not None
    return process.stdout.read(), process.stderr.read()


def median(values: Iterable[float]) -> float:
    return statistics.median(values)


def spread(values: Sequence[float]) -> str:
    """The median, and between which values it was measured."""
    return f"{median(values):.2f} s ({min(values):.2f} to {max(values):.2f})"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def come_first() -> str:
    """Have this process and all that it starts run before all else on this computer. Gives what is to be said about it."""
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    return "It ran with real-time priority, both sides alike, so that other work on the computer took no part.\n"


def circumstances() -> str:
    """When and where it was measured."""
    nix = subprocess.run(["nix", "--version"], capture_output=True, text=True, check=False).stdout.strip()
    load = os.getloadavg()[0]
    return (
        f"Measured {datetime.now(UTC):%Y-%m-%d %H:%M} UTC on {platform.system()} {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}{f', {nix}' if nix else ''}; load {load:.1f} at the end.\n"
    )


def publish(name: str, text: str, *, write: bool) -> None:
    """Print a result; with `write`, put it between its markers in docs/performance.md."""
    print(text)
    if not write:
        return
    page = PAGE.read_text()
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    before, found, rest = page.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        sys.exit(f"{PAGE} has no place for '{name}'")
    PAGE.write_text(f"{before}{begin}{text}{closed}{after}")
