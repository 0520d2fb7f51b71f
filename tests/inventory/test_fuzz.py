"""Whatever is in the files: errors of clanpy, each with a sentence, and never anything else."""

from __future__ import annotations

import contextlib
import json
import os
import random
import tempfile
from pathlib import Path
from typing import Any

import tomlkit
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clanpy.errors import ClanpyError
from clanpy.inventory import check, load, resolve, show_fleet, show_host
from clanpy.inventory.explain import explain
from clanpy.inventory.findings import Findings
from support.fleets import REFERENCE, write


REFERENCE_FLEET = load(REFERENCE)
TEXT = (REFERENCE / "inventory.toml").read_text()
PIECES = [
    "[", "]", "{", "}", "=", ".", ",", '"', "'", "#", "\n", "\\", "\0", "ä", "_force", "_override", "[[", "]]", "0x", "inf", "nan",
    "1979-05-27", "true", "[]", "{}", '""', "machines", "tags", "settings", "roles", "instances", "[machines.x]\n", "1", "-1", "é = 1\n",
]  # fmt: skip
EXAMPLES = int(os.environ.get("CLANPY_FUZZ_EXAMPLES", "80"))  # some thousands, now and then
QUICK = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def findings(text: str | bytes, files: dict[str, str | bytes] | None = None) -> Findings:
    with tempfile.TemporaryDirectory() as folder:
        root = write(Path(folder), {"inventory.toml": text, **(files or {})})
        found = check(root)
        for error in (*found.errors, *found.warnings):
            assert isinstance(error, ClanpyError)
            assert error.message
            assert error.place is not None, error.message
        show_fleet(found.fleet)
        if not found.errors:
            for name in found.fleet.machines:
                show_host(resolve(found.fleet, name), root)
        return found


@QUICK
@given(st.integers(0, 2**32), st.integers(1, 6))
def test_a_mutilated_inventory_is_told_and_nothing_breaks(seed: int, cuts: int) -> None:
    chance = random.Random(seed)
    text = TEXT
    for _ in range(cuts):
        here = chance.randrange(len(text))
        there = min(len(text), here + chance.choice([0, 0, 1, 3, 40]))
        text = text[:here] + chance.choice([*PIECES, ""]) + text[there:]
    findings(text)


@QUICK
@given(st.integers(0, 2**32))
def test_lines_in_another_order_are_told_and_nothing_breaks(seed: int) -> None:
    chance = random.Random(seed)
    lines = TEXT.splitlines()
    for _ in range(chance.randrange(1, 8)):
        one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
        lines[one], lines[other] = lines[other], lines[one]
    findings("\n".join(lines))


@QUICK
@given(st.binary(max_size=200))
def test_bytes_are_told(content: bytes) -> None:
    findings(content)


KEYS = st.sampled_from(
    [
        *(
            "meta",
            "machines",
            "users",
            "tags",
            "instances",
            "aspects",
            "nixos",
            "darwin",
            "system",
            "class",
            "name",
            "domain",
        ),
        *(
            "imports",
            "deploy",
            "target_host",
            "roles",
            "server",
            "default",
            "settings",
            "module",
            "input",
            "port",
            "user",
        ),
        *("aliases", "_force", "_override", "_before", "a", "b"),
    ]
)
SCALARS = st.one_of(
    st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.sampled_from(["a", "b", "nixos", "users", "self", "x86_64-linux"])
)  # fmt: skip
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=20
)


@QUICK
@given(st.dictionaries(KEYS, TREES, max_size=4), st.dictionaries(KEYS, TREES, max_size=3))
def test_any_data_of_any_shape_is_told(tree: dict[str, Any], other: dict[str, Any]) -> None:
    findings(tomlkit.dumps(tree), {"inventory/other.toml": tomlkit.dumps(other)})


MACHINE = st.fixed_dictionaries(
    {"class": st.sampled_from(["nixos", "darwin"]), "system": st.sampled_from(["x86_64-linux", "aarch64-darwin"])},
    optional={"tags": st.lists(st.sampled_from("abc")), "primary_user": st.sampled_from("xy")},
)
ROLE = st.fixed_dictionaries(
    {},
    optional={
        "tags": st.lists(st.sampled_from(["a", "all", "z"])),
        "settings": st.dictionaries(KEYS, TREES, max_size=2),
    },
)
FLEETS = st.fixed_dictionaries(
    {
        "meta": st.just({"name": "x"}),
        "machines": st.dictionaries(st.sampled_from(["m", "n"]), MACHINE),
        "instances": st.dictionaries(
            st.sampled_from(["sshd", "users", "tor"]),
            st.fixed_dictionaries({"roles": st.dictionaries(st.sampled_from(["server", "default"]), ROLE)}),
        ),
    },
    optional={"users": st.dictionaries(st.sampled_from("xy"), st.just({})), "tags": st.just({"c": ["m"]})},
)


@QUICK
@given(FLEETS)
def test_fleets_that_are_nearly_right_are_told(tree: dict[str, Any]) -> None:
    findings(tomlkit.dumps(tree))


PATHS = st.lists(
    KEYS | st.sampled_from(["cinnabar", "sshd", "machines", "<name>", "*", ""]) | st.text(max_size=4), max_size=6
)


@QUICK
@given(PATHS)
def test_any_path_is_explained_or_told_to_lead_nowhere(parts: list[str]) -> None:
    path = ".".join(parts)
    with contextlib.suppress(ClanpyError):
        json.dumps(explain(REFERENCE_FLEET, path).to_dict())
