"""Rollouts to 8, 50 and 200 real hosts of a lab, of which a tenth goes wrong: what it costs, and that it ends as it has to.

    python -m benchmarks.rollout_lab [--write] [HOSTS …]

For each size: hosts that have nothing yet get their first system; then what all of them share is changed, and rolled out in waves of one host,
a tenth and the rest. Every tenth host goes wrong: its activation fails, its cable is pulled in the middle, it is off, its sessions are
killed, it restarts. Once the budget allows all of that, once 2 %. Afterwards everything is mended, every host is looked at, and one more
update has to bring all of them to what they should run.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

from tests.support.many_hosts import (
    ManyHosts,
    Ran,
    faults_of,
    how_it_went_on,
    what_is_wrong_with,
    where_it_has_to_stop,
)

from benchmarks._measure import circumstances, publish, table
from clanpy.lab import down
from clanpy.lab.cgroup import lab_group


SIZES = (8, 50, 200)
LAB = "bench-rollout"
MEMORY_LIMIT = 400_000_000


@contextmanager
def fleet(hosts: int) -> Iterator[tuple[ManyHosts, float]]:
    """So many hosts, as new, and the seconds that it took to have them."""
    with tempfile.TemporaryDirectory(prefix="clanpy-bench-") as folder:
        down(LAB, wipe=True)
        try:
            began = time.perf_counter()
            many = ManyHosts.up(Path(folder), LAB, hosts)
            yield many, time.perf_counter() - began
        finally:
            down(LAB, wipe=True)


def measured(hosts: int) -> list[str]:
    """The row of a size.

    Raises:
        SystemExit: something is not as it has to be.
    """
    with fleet(hosts) as (many, up):
        faults = faults_of(many.names)
        before = _on_hosts()
        first = _good(many.clanpy("machines", "update", "-y", "--at-once"), many)
        went_on = _checked(many, "one", "100%")
        stopped = _checked(many, "two", "2%")
        last = _good(many.clanpy("machines", "update", "-y", "--at-once"), many)
        their_cpu = _on_hosts() - before
        runs = (first, went_on, stopped, last)
        memory, files = max(run.memory for run in runs), max(run.files for run in runs)
        if memory > MEMORY_LIMIT:
            sys.exit(f"{memory / 1e6:.0f} MB of memory with {hosts} hosts")
    return [
        str(hosts),
        f"{up:.1f} s",
        f"{first.wall:.0f} s",
        f"{1000 * first.own_cpu / hosts:.0f} ms",
        f"{1000 * (first.cpu - first.own_cpu) / hosts:.0f} ms",
        f"{went_on.wall:.0f} s",
        f"{1000 * went_on.own_cpu / hosts:.0f} ms",
        f"{1000 * (went_on.cpu - went_on.own_cpu) / hosts:.0f} ms",
        f"{1000 * their_cpu / hosts / len(runs):.0f} ms",
        f"{memory / 1e6:.0f} MB",
        str(files),
        f"{len(faults)}: {_told(went_on)}",
        f"{_told(stopped)}",
    ]


def _checked(many: ManyHosts, text: str, share: str) -> Ran:
    """A rollout with faults that stops where it has to, and after which every host is whole."""
    ran = many.roll_out(text, faults_of(many.names), share)
    stop = where_it_has_to_stop(ran, Fraction(share.rstrip("%")) / 100)
    wrong = list(how_it_went_on(ran, stop))
    many.heal()
    wrong += what_is_wrong_with(many.status())
    if wrong:
        sys.exit("\n".join([*wrong, ran.complaints[-3000:]]))
    return ran


def _good(ran: Ran, many: ManyHosts) -> Ran:
    states = many.status()
    wrong = [name for name, host in states.items() if host["state"] != "current"]
    if ran.exit_code or wrong:
        sys.exit(f"it ended with {ran.exit_code}; not as wanted: {wrong}\n{ran.complaints[-3000:]}")
    return ran


def _told(ran: Ran) -> str:
    return ", ".join(f"{count} {outcome.replace('_', ' ')}" for outcome, count in sorted(ran.outcomes.items()))


def _on_hosts() -> float:
    """Seconds of processors that the lab's hosts have used."""
    group = lab_group(LAB)
    return 0.0 if group is None else int((group / "cpu.stat").read_text().split()[1]) / 1e6


def main(words: list[str]) -> None:
    sizes = [int(word) for word in words if word.isdecimal()] or SIZES
    rows = []
    for size in sizes:
        rows.append(measured(size))
        print(f"{size} hosts: done", file=sys.stderr)
    head = [
        "Hosts", "Lab up", "First system", "own, a host", "Nix, a host", "Rollout", "own, a host", "Nix, a host",
        "on the host, a run", "Memory", "Open files", "Ended (all allowed)", "Ended (2 % may fail)",
    ]  # fmt: skip
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    note = f"Open files are those of clanpy at most, of {allowed} allowed.\n"
    publish("rollout_lab", f"{table(head, rows)}\n{circumstances()}{note}", write="--write" in words)


if __name__ == "__main__":
    main(sys.argv[1:])
