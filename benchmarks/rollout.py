"""What it costs to decide a rollout: the engine with hosts that are not there, and with a clock that does not wait.

    python -m benchmarks.rollout [--write] [HOSTS …]

Each host is prepared, activated for 10 to 30 seconds of its own time, watched, and one in a hundred fails. Waves of one host, 10 %, half
and the rest, a fifth of a wave at once. Each size runs in a process of its own.
"""

from __future__ import annotations

import asyncio
import json
import random
import resource
import subprocess
import sys
import time
from collections import Counter
from datetime import timedelta
from typing import Any

from tests.support.virtual_time import VirtualClock, run_virtually

from benchmarks._measure import circumstances, publish, table
from clanpy.events import Fact, HostFinished, Outcome
from clanpy.rollout.engine import Engine
from clanpy.rollout.policy import Budget, Canary, Policy, WaveSpec
from clanpy.rollout.progress import Progress
from clanpy.rollout.share import Share
from clanpy.rollout.waves import plan_waves


SIZES = (1_000, 10_000, 100_000)
FAILING = 0.01
POLICY = Policy(
    canary=Canary(bake=timedelta(minutes=10)),
    waves=(WaveSpec(upto=Share.parse("10%")), WaveSpec(upto=Share.parse("50%"))),
    max_unavailable=Share.parse("20%"),
    bake=timedelta(minutes=5),
    budget=Budget(failed=Share.parse("5%"), minimum=1),
)


class Fleet:
    """Hosts that are not there."""

    def __init__(self) -> None:
        self.random = random.Random(1)

    async def prepare(self, host: str) -> HostFinished | None:
        await asyncio.sleep(self.random.random())
        return None

    async def activate(self, host: str) -> HostFinished:
        await asyncio.sleep(10 + 20 * self.random.random())
        # the very first host is a canary, in which nothing may fail
        failed = self.random.random() < FAILING and host != self.first
        return HostFinished(host=host, outcome=Outcome.ROLLED_BACK if failed else Outcome.CONFIRMED, seconds=20.0)

    async def revert(self, host: str) -> bool:
        await asyncio.sleep(10)
        return True

    async def health(self, host: str) -> bool | str | None:
        return True

    first = ""


def simulate(hosts: int) -> dict[str, Any]:
    """One rollout: seconds that it took, seconds that its clock went on, memory, facts, outcomes."""
    names = [f"host{n:06}" for n in range(hosts)]
    began = time.perf_counter()
    waves = plan_waves(names, POLICY, seed="benchmark", select=lambda _: names)
    fleet, clock, facts = Fleet(), VirtualClock(), Counter[str]()
    fleet.first = waves.hosts[0]

    def tell(fact: Fact) -> None:
        facts[fact.name] += 1

    async def run() -> tuple[Progress, float]:
        engine = Engine(progress=Progress(waves, POLICY), driver=fleet, clock=clock, tell=tell, prepare_at_once=64)
        return await engine.run(), (clock.now() - clock.began).total_seconds()

    progress, simulated = run_virtually(run())
    took = time.perf_counter() - began
    return {
        "hosts": hosts,
        "seconds": took,
        "cpu": time.process_time(),
        "simulated": simulated,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "facts": facts.total(),
        "outcomes": {outcome.value: count for outcome, count in Counter(progress.ended.values()).items()},
    }


def main(words: list[str]) -> None:
    if words[:1] == ["one"]:
        print(json.dumps(simulate(int(words[1]))))
        return
    sizes = [int(word) for word in words if word.isdecimal()] or SIZES
    found = [_apart(size) for size in sizes]
    rows = [
        [
            f"{row['hosts']:,}",
            f"{row['seconds']:.1f} s ({row['cpu']:.1f} s of processor)",
            f"{1e6 * row['cpu'] / row['hosts']:.0f} µs",
            f"{row['memory'] / 1e6:.0f} MB",
            f"{row['simulated'] / 3600:.1f} h",
            ", ".join(f"{count:,} {outcome}" for outcome, count in row["outcomes"].items()),
        ]
        for row in found
    ]
    head = ["Hosts", "Took", "Processor a host", "Memory", "Of their time", "Ended"]
    publish("rollout", f"{table(head, rows)}\n{circumstances()}", write="--write" in words)


def _apart(hosts: int) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.rollout", "one", str(hosts)], check=True, capture_output=True, text=True
    )
    return dict(json.loads(done.stdout))


if __name__ == "__main__":
    main(sys.argv[1:])
