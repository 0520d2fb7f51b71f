"""Where a value stands, found in the text again."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from hypothesis import given
from hypothesis import strategies as st

from clanpy.inventory.positions import PythonIndex, TomlIndex
from support.fleets import TWO, fleet


TEXT = """
[meta]
name = "x"

[machines.alpha]
tags = ["web", 'db'] # two
deploy.targetHost = "root@a"
deploy.build_host = "b"

["machines"."be ta"]
inline = { one = 1, "tw.o" = [ { deep = 2 } ] }

[a.b.c]
d = 1

[[list.of]]
k = 1
"""


@pytest.mark.parametrize(
    ("path", "part"),
    [
        (("meta",), "meta]"),
        (("meta", "name"), "name ="),
        (("machines", "alpha"), "machines.alpha"),
        (("machines", "alpha", "tags"), "tags ="),
        (("machines", "alpha", "tags", "db"), "'db'"),
        (("machines", "alpha", "tags", "0"), '"web"'),
        (("machines", "alpha", "deploy"), "deploy.targetHost"),
        (("machines", "alpha", "deploy", "target_host"), "deploy.targetHost"),
        (("machines", "alpha", "deploy", "build_host"), "deploy.build_host"),
        (("machines", "be ta", "inline", "one"), "one = 1"),
        (("machines", "be ta", "inline", "tw.o", "0", "deep"), "deep = 2"),
        (("a", "b"), "a.b.c]"),
        (("a", "b", "c", "d"), "d = 1"),
        (("list", "of", "k"), "k = 1"),
        (("meta", "nothing"), "meta]"),
    ],
)
def test_a_path_leads_to_its_key_or_to_the_longest_part_of_it_that_is_there(path: tuple[str, ...], part: str) -> None:
    found = TomlIndex(TEXT).find(path)

    assert found is not None
    line, column = found
    assert TEXT.splitlines()[line - 1][column - 1 :].startswith(part)


def test_columns_count_characters_and_not_bytes() -> None:
    assert TomlIndex('x = { "ä" = 1, b = 2 }').find(("x", "b")) == (1, 16)


def test_a_path_that_is_not_there_at_all_has_no_place() -> None:
    assert TomlIndex(TEXT).find(("nothing",)) is None


def test_keys_of_python_are_found_in_its_dictionaries() -> None:
    text = 'fleet = {\n    "machines": {"a": {"tags": []}},\n    "meta": {},\n}\n'

    assert PythonIndex(text).find(("machines", "a", "tags")) == (2, 24)
    assert PythonIndex(text).find(("meta",)) == (3, 5)


KEYS = st.text(st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=("Cs", "Cc")), max_size=6)
TREES = st.recursive(st.integers(), lambda inner: st.dictionaries(KEYS, inner, min_size=1, max_size=4), max_leaves=12)


@given(st.dictionaries(KEYS, TREES, min_size=1, max_size=4))
def test_every_key_of_any_toml_is_found_where_it_is_written(tree: dict[str, Any]) -> None:
    text = tomlkit.dumps(tree)
    index = TomlIndex(text)
    lines = text.split("\n")
    for path in _paths(tree, ()):
        if any(part != part.lower() for part in path):  # it has a second spelling, which may be another key here
            continue
        found = index.find(path)
        assert found is not None
        assert any(_written(part) in lines[found[0] - 1] for part in path[-1:])


def _paths(value: Any, path: tuple[str, ...]) -> list[tuple[str, ...]]:
    here = [path] if path else []
    return (
        here + [p for key, item in value.items() for p in _paths(item, (*path, key))]
        if isinstance(value, dict)
        else here
    )


def _written(part: str) -> str:
    return tomlkit.dumps({part: 1}).removesuffix(" = 1\n")


def test_a_fleet_says_where_anything_stands_in_whatever_file_it_is() -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = fleet(
            Path(folder),
            TWO,
            {
                "machines/alpha/machine.toml": 'description = "x"\n',
                "modules/x.py": 'fleet = {\n "tags": {"web": {"description": "y"}}}\n',
            },
        )

        assert str(found.where("machines", "alpha", "system")) == "inventory.toml:8:1"
        assert str(found.where("machines", "alpha", "description")) == "machines/alpha/machine.toml:1:1"
        assert str(found.where("tags", "web", "description")) == "modules/x.py:2:19"
