"""How long the whole process takes when there is little to do: help, and a list of the reference fleet's machines.

python -m benchmarks.startup [--write] [--times N] [--alone]
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks._measure import CLANPY, circumstances, come_first, measure, median, publish, table


FLEET = Path(__file__).resolve().parent.parent
COMMANDS = {
    ("--help",): "0.15 s",
    ("--version",): "",
    ("machines", "list"): "0.25 s",
    ("machines", "list", "--json"): "",
    ("inventory", "show", "cinnabar"): "",
    ("check",): "",
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--write", action="store_true", help="put the results into docs/performance.md")
    parser.add_argument("--times", type=int, default=15)
    parser.add_argument(
        "--alone", action="store_true", help="run before all else on this computer (real-time priority)"
    )
    given = parser.parse_args(arguments)
    note = come_first() if given.alone else ""
    environ = {**os.environ, "CLANPY_FLEET": str(FLEET)}
    bare = [measure([sys.executable, "-c", ""], environ).wall for _ in range(given.times)]
    rows = [["`python -c ''`, for comparison", f"{median(bare):.3f} s", f"{min(bare):.3f} s", "", ""]]
    for words, limit in COMMANDS.items():
        costs = [measure([CLANPY, *words], environ) for _ in range(given.times)]
        walls = [cost.wall for cost in costs]
        memory = max(cost.memory for cost in costs)
        rows.append(
            [
                f"`clanpy {' '.join(words)}`",
                f"{median(walls):.3f} s",
                f"{min(walls):.3f} s",
                limit,
                f"{memory / 1e6:.0f} MB",
            ]
        )
    head = ["the whole process", f"median of {given.times}", "quickest", "limit", "memory"]
    publish("startup", f"{circumstances()}{note}\n{table(head, rows)}", write=given.write)


if __name__ == "__main__":
    main()
