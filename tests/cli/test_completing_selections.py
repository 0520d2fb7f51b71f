"""What a shell offers inside of a selection of machines."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clanpy.cli.complete import complete_machines
from clanpy.inventory.matching import KINDS


INVENTORY = """
[machines.web-1]
system = "x86_64-linux"
type = "vm"
tags = ["cloud", "edge"]
[machines.web-2]
system = "aarch64-linux"
[tags.cold]
machines = ["web-1"]
[users.ann]
aliases = ["annie"]
[instances.net.roles.peer]
tags = ["all"]
"""


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "inventory.toml").write_text(INVENTORY)
    monkeypatch.setenv("CLANPY_FLEET", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("begun", "offered"),
    [
        ("web", ["web-1", "web-2"]),
        ("tag:c", ["tag:cloud", "tag:cold"]),
        ("tag:x", []),
        ("class:", ["class:darwin", "class:nixos"]),
        ("system:a", ["system:aarch64-linux"]),
        ("type:", ["type:vm"]),
        ("user:an", ["user:ann", "user:annie"]),
        ("instance:", ["instance:net"]),
        ("role:", ["role:net/peer", "role:peer"]),
        ("nope:", []),
        ("ta", ["tag:all", "tag:cloud", "tag:cold", "tag:darwin", "tag:edge", "tag:nixos"]),
        ("no", ["not"]),
        ("a", []),
        ("tag:cloud a", ["tag:cloud and"]),
        ("tag:cloud and not web", ["tag:cloud and not web-1", "tag:cloud and not web-2"]),
        ("(tag:cold or type:", ["(tag:cold or type:vm"]),
        ("(we", ["(web-1", "(web-2"]),
        ("web-1,web-", ["web-1,web-1", "web-1,web-2"]),
    ],
)
def test_the_last_word_of_a_selection_is_completed(begun: str, offered: list[str]) -> None:
    assert complete_machines(begun) == offered


def test_every_kind_is_offered() -> None:
    assert {item[:-1] for item in complete_machines("") if item.endswith(":")} == {"is", *(kind.name for kind in KINDS)}


@given(st.text(max_size=20))
def test_whatever_is_begun_what_is_offered_goes_on_with_it(begun: str) -> None:
    assert all(item.startswith(begun) for item in complete_machines(begun))


def in_bash(root: Path, *words: str) -> list[str]:
    """What bash is offered for its words, the last of which is begun. It splits words at colons, and keeps quotes."""
    line = {"COMP_WORDS": "\n".join(words), "COMP_CWORD": str(len(words) - 1), "_CLANPY_COMPLETE": "complete_bash"}
    done = subprocess.run(
        [sys.executable, "-m", "clanpy"],
        cwd=root,
        env={**os.environ, **line},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("clanpy", "machines", "list", "tag", ":", "c"), ["cloud", "cold"]),
        (("clanpy", "machines", "list", "type", ":"), ["vm"]),
        (("clanpy", "machines", "list", "web-1", "tag", ":", "cl"), ["cloud"]),
        (("clanpy", "machines", "list", "tag", ":", "cloud", "web"), ["web-1", "web-2"]),
        (("clanpy", "machines", "list", "'tag:cloud and type:"), ["tag:cloud and type:vm"]),
        (("clanpy", "--lab", "machines", "list", "class", ":", "n"), ["nixos"]),
    ],
)
def test_bash_is_offered_what_it_puts_behind_its_last_colon(
    words: tuple[str, ...], offered: list[str], root: Path
) -> None:
    assert in_bash(root, *words) == offered
