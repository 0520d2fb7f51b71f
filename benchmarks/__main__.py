"""All benchmarks, one after the other: `python -m benchmarks [--write] [--alone]`. With `--write` the results go to docs/performance.md."""

from __future__ import annotations

import sys

from benchmarks import deploy, rollout, scale, secrets, services, startup


for benchmark in (startup, deploy, scale, services, rollout, secrets):
    known = ("--write", "--alone") if benchmark is not scale else ("--write",)
    benchmark.main([word for word in sys.argv[1:] if word in known])
