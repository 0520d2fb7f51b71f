"""All benchmarks, one after the other: `python -m benchmarks [--write]`. With `--write` the results go to docs/performance.md."""

from __future__ import annotations

import sys

from benchmarks import deploy, rollout, scale, services, startup


for benchmark in (startup, deploy, scale, services, rollout):
    benchmark.main([word for word in sys.argv[1:] if word == "--write"])
