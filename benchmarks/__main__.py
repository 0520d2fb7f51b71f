"""All benchmarks, one after the other: `python -m benchmarks [--write] [--alone]`. With `--write` the results go to docs/performance.md."""

from __future__ import annotations

import sys

from benchmarks import deploy, rollout, rollout_lab, scale, secrets, services, startup


WRITE = [word for word in sys.argv[1:] if word == "--write"]
ALONE = [word for word in sys.argv[1:] if word == "--alone"]

startup.main(WRITE + ALONE)
deploy.main(WRITE + ALONE)
scale.main(WRITE)
for benchmark in (secrets, services, rollout, rollout_lab):
    benchmark.main(WRITE)
