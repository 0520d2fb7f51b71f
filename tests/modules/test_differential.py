"""Random module sets, evaluated here and by nixpkgs' own lib: the same values, and errors of the same kind.

The lib is not part of this project: `CLANPY_NIXPKGS_LIB` names a checkout. How many sets are compared is `CLANPY_DIFFERENTIAL_CASES`
(docs/conformance.md records a long run).
"""

import json
import os
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from modules.differential import compare, generate, interpret


CASES = int(os.environ.get("CLANPY_DIFFERENTIAL_CASES", "60"))
FIRST = int(os.environ.get("CLANPY_DIFFERENTIAL_SEED", "1"))
BATCH = 150

pytestmark = [
    pytest.mark.nix,
    pytest.mark.skipif(compare.available() is not None, reason=str(compare.available())),
    pytest.mark.timeout(60 + CASES),
]


def batches(cases: list[Any]) -> list[list[Any]]:
    return [cases[n : n + BATCH] for n in range(0, len(cases), BATCH)]


def compared(cases: list[Any]) -> list[str]:
    """Where the two differ, each with its module set."""
    found = []
    for batch in batches(cases):
        for case, theirs in zip(batch, compare.nix_outcomes(batch), strict=True):
            differing = list(compare.differences(case, theirs))
            if differing:
                found.append("\n".join([json.dumps(case), *differing]))
    return found


def drawn(count: int) -> list[Any]:
    """Module sets that hypothesis comes up with: small ones and odd ones."""
    found: list[Any] = []

    @seed(FIRST)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(generate.cases())
    def collect(case: Any) -> None:
        found.append(case)

    collect()
    return found


def test_module_sets_from_hypothesis_mean_the_same_in_nix() -> None:
    assert compared(drawn(CASES // 2)) == []


def test_large_random_module_sets_mean_the_same_in_nix() -> None:
    assert compared([generate.case_of(FIRST * 1_000_000 + n) for n in range(CASES - CASES // 2)]) == []


def test_errors_are_of_the_same_kind_in_nix() -> None:
    assert kinds_compared(CASES)[1] == []


def kinds_compared(count: int) -> tuple[int, list[str]]:
    """How many failures of random sets were told by both sides, and where the two tell of different kinds."""
    choose = random.Random(FIRST)
    cases = [generate.case_of(FIRST * 1_000_000 + 500_000 + n) for n in range(count)]
    theirs = [outcome for batch in batches(cases) for outcome in compare.nix_outcomes(batch)]
    failing = [(n, name) for n, case in enumerate(cases) for name in both_fail(case, theirs[n])]
    sample = choose.sample(failing, min(len(failing), max(10, count // 20)))
    return len(sample), [said for n, name in sample if (said := kinds_differ(cases[n], name))]


def both_fail(case: Any, theirs: Any) -> list[str | None]:
    """The options that can't be computed on either side; None for everything."""
    ours = interpret.outcome(case)
    if "failed" in ours:
        return [None] if "failed" in theirs and theirs is not compare.UNCATCHABLE else []
    if "failed" in theirs:
        return []
    return [n for n, v in ours["config"].items() if "failed" in v and "failed" in theirs["config"].get(n, {})]


def kinds_differ(case: Any, name: str | None) -> str | None:
    errors = interpret.errors_of(case, name)
    mine = {e.kind for e in errors}
    other = compare.nix_kind(case, name)
    # Nix reports the first error it meets, here there are all of them. A declaration that is refused hides what is inside, and
    # a wrapper that is named here is a wrong type there, or leaks.
    if other in mine or mine & {"declaration", "wrapper"}:
        return None
    # To say that a value is no submodule, Nix describes the submodule, and meets what contradicts itself in that.
    if other == "declaration" and any("submodule" in e.message for e in errors if e.kind == "type"):
        return None
    return f"{name}: here {sorted(mine)} ({errors[0].message}), Nix {other}: {json.dumps(case)}"
