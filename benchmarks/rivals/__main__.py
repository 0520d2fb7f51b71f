"""clanpy beside colmena, deploy-rs and one OpenSSH connection, on hosts of a lab, by turns in one run.

    python -m benchmarks.rivals [--write] [--hosts 8 50] [--rtt 0 100] [--scenario nothing one large small] [--rounds N] [--compress]

For each number of hosts and each round trip (milliseconds, by the lab's own emulation of a link) the scenarios are deployed to all hosts at
once, by each contender in turn, and each comes first as often as the others. What they deploy has been evaluated and built before, and is the
same store paths. After every turn each host is looked at, and put back to where it was. With `--write` each combination's table goes to
docs/performance.md, so that parts of it can be measured anew.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence

from benchmarks._measure import circumstances, come_first, publish
from benchmarks.rivals.contest import CONTENDERS, Turn, take
from benchmarks.rivals.fleet import BASE, Fleet, fleet_of
from benchmarks.rivals.page import SCENARIOS, Measured, told


HOSTS = (8, 50)
TRIPS = (0, 100)
# (hosts, milliseconds): rounds of each scenario. What is not there is left out: a small process carries the packets of a slow link, and
# 2.5 GB through that would measure it and nothing else; many small paths matter where a round trip takes time.
ROUNDS = {
    (8, 0): {"nothing": 7, "one": 7, "large": 5},
    (50, 0): {"nothing": 3, "one": 3, "large": 2},
    (8, 100): {"nothing": 3, "one": 3, "large": 1, "small": 3},
    (50, 100): {"nothing": 2, "one": 2, "small": 1},
}
USUAL = {"nothing": 3, "one": 3, "large": 1, "small": 1}


def measured(fleet: Fleet, name: str, rounds: int) -> Measured:
    """A scenario: in each round everybody has a turn, and each begins a round as often as the others."""
    scenario = SCENARIOS[name]
    fleet.build(scenario.variant)
    turns: dict[str, list[Turn]] = {who: [] for who in CONTENDERS}
    for n in range(rounds):
        at = n % len(CONTENDERS)
        for who in CONTENDERS[at:] + CONTENDERS[:at]:
            if scenario.variant != BASE:
                fleet.reset()
            turn = take(fleet, who, scenario.variant)
            turns[who].append(turn)
            cpu = f"{turn.here:.2f} + {turn.there:.2f} s of processors, {turn.started} processes"
            print(f"  {name}: {who} {turn.command:.2f} s ({turn.run:.2f} s), {cpu}", file=sys.stderr, flush=True)
    paths, size = fleet.paths_of(scenario.variant)
    return Measured(scenario=scenario, paths=paths, size=size, turns=turns)


def _chosen(given: argparse.Namespace, hosts: int, delay: int) -> Iterator[tuple[str, int]]:
    rounds = ROUNDS.get((hosts, delay), USUAL)
    for name in given.scenario or rounds:
        yield name, given.rounds or rounds.get(name, 1)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.rivals", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="put the results into docs/performance.md")
    parser.add_argument("--hosts", type=int, nargs="+", default=HOSTS, help="how many (8 50)")
    parser.add_argument("--rtt", type=int, nargs="+", default=TRIPS, help="milliseconds of a round trip (0 100)")
    parser.add_argument("--scenario", nargs="+", choices=SCENARIOS, help="only these")
    parser.add_argument("--rounds", type=int, help="how often (each combination has its own number)")
    parser.add_argument(
        "--compress", action="store_true", help="have colmena compress, which it does unless told not to"
    )
    parser.add_argument(
        "--alone", action="store_true", help="run before all else on this computer (real-time priority)"
    )
    given = parser.parse_args(arguments)
    note = come_first() if given.alone else ""
    began = time.perf_counter()
    for hosts in given.hosts:
        with fleet_of(hosts, compress=given.compress) as fleet:
            for delay in given.rtt:
                fleet.link(delay)
                found = [measured(fleet, name, rounds) for name, rounds in _chosen(given, hosts, delay)]
                text = f"{circumstances()}{note}\n{told(found)}"
                publish(f"rivals-{hosts}-{delay}", text, write=given.write and _is_on_page(hosts, delay))
                print(f"{time.perf_counter() - began:.0f} s so far", file=sys.stderr, flush=True)


def _is_on_page(hosts: int, delay: int) -> bool:
    return (hosts, delay) in ROUNDS


if __name__ == "__main__":
    main()
