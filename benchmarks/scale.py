"""The benchmarks of large inventories (inventory, modules), each in a process of its own, with what they print as the result.

python -m benchmarks.scale [--write] [--only inventory|modules]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from benchmarks._measure import circumstances, measure, publish


NAMES = ("inventory", "modules")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--write", action="store_true", help="put the results into docs/performance.md")
    parser.add_argument("--only", choices=NAMES, help="only one of them")
    given = parser.parse_args(arguments)
    for name in [given.only] if given.only else NAMES:
        cost = measure([sys.executable, "-m", f"benchmarks.{name}"])
        publish(name, f"{circumstances()}\n```text\n{cost.output.rstrip()}\n```\n", write=given.write)


if __name__ == "__main__":
    main()
