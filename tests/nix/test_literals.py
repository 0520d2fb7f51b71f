"""Nix text taken apart and put together: literals, the inputs of a flake, and what a file mentions."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clanpy.nix.errors import InputsError
from clanpy.nix.files import inspect
from clanpy.nix.lexer import LexError, tokens
from clanpy.nix.literals import read_inputs, to_nix
from nix.world import World


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NASTY = [
    "${x}",
    "$${x}",
    "\\${x}",
    "''",
    "'' ''${x}''",
    'a"b',
    "\\",
    "\n\t\r",
    "# no comment",
    "/* neither */",
    "if",
    "a'b",
    "é",
]


def inputs_of(folder: Path, text: str) -> dict[str, Any]:
    (folder / "flake.nix").write_text(text)
    return read_inputs(folder / "flake.nix")


@example(inputs={"$\n": {}})  # a dollar before an escape
@given(
    st.dictionaries(st.text(min_size=1), st.dictionaries(st.text(), st.text() | st.booleans(), max_size=3), max_size=3)
)
def test_what_is_written_as_nix_reads_back_the_same(
    tmp_path_factory: pytest.TempPathFactory, inputs: dict[str, Any]
) -> None:
    file = tmp_path_factory.getbasetemp() / "flake.nix"
    file.write_text(f"{{ outputs = _: {{ }}; inputs = {to_nix(inputs)}; }}")

    assert read_inputs(file) == inputs


@given(JSON)
def test_every_value_is_made_of_whole_words(value: Any) -> None:
    assert [token for token in tokens(to_nix(value)) if token.kind in {"path", "uri"}] == []


@pytest.mark.nix
async def test_nix_reads_the_same_values(world: World) -> None:
    values: dict[str, Any] = {
        "strings": NASTY,
        "names": dict.fromkeys(NASTY, 1),
        "numbers": [0, -1, 2**62, 1.5, -0.25, 1e-7, 1e300, 2**63 - 1, -(2**63) + 1],
        "rest": [None, True, False, [], {}, [[]], {"a": {"b": [1, {"c": -2}]}}],
    }

    assert await world.eval(to_nix(values)) == values


def test_inputs_are_read_however_they_are_written(tmp_path: Path) -> None:
    text = """
      # a flake
      { description = "x"; outputs = { self, ... }@inputs: let a = 1; b = { c = 2; }; in with a; assert b; { }; /* ; } */
        inputs.nixpkgs.url = "github:NixOS/nixpkgs";
        inputs.plain = { url = github:a/b; flake = false; };
        inputs = { home-manager.inputs = { nixpkgs.follows = "nixpkgs"; }; home-manager.url = "x"; "odd name".url = "y\\"z"; };
        nixConfig.extra = [ "a" ];
      }"""

    assert inputs_of(tmp_path, text) == {
        "nixpkgs": {"url": "github:NixOS/nixpkgs"},
        "plain": {"url": "github:a/b", "flake": False},
        "home-manager": {"url": "x", "inputs": {"nixpkgs": {"follows": "nixpkgs"}}},
        "odd name": {"url": 'y"z'},
    }


def test_a_flake_without_inputs_has_none(tmp_path: Path) -> None:
    assert inputs_of(tmp_path, "{ outputs = { self }: { }; }") == {}


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("{\n  inputs.a.url = f 1;\n}", 2, "only literals"),
        ("{\n\n inputs = let x = 1; in { };\n}", 3, "only literals"),
        ('{ inputs.a.url = "x${y}"; }', 1, "only literals"),
        ('{ inputs.a.url = "x"; \n inputs.a.url = "y"; }', 2, "twice"),
        ('{ inputs.a.url = "x', 1, "does not end"),
        ("{ inputs.a.url = 1;", 1, "ends too early"),
        ('{ inputs.a = "x"; }', 1, "set of sets"),
    ],
)
def test_inputs_that_are_no_literals_are_refused_with_their_line(
    tmp_path: Path, text: str, line: int, said: str
) -> None:
    with pytest.raises(InputsError, match=said) as caught:
        inputs_of(tmp_path, text)

    assert caught.value.place is not None
    assert (caught.value.place.file, caught.value.place.line) == ("flake.nix", line)


def test_a_fleet_without_a_flake_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(InputsError, match=r"no flake\.nix"):
        read_inputs(tmp_path / "flake.nix")


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("{ imports = [ ./a.nix ../b ]; }", ("../b", "./a.nix")),
        ("import ./.", ("./.",)),
        ('"./in/a/string" # ./in/a/comment', ()),
        ('"${./inside}"', ("./inside",)),
        ("''\n  ${builtins.readFile ./x.sh}\n  ./no ''${./no}\n''", ("./x.sh",)),
        ("./hosts/${name}.nix", ("./hosts/",)),
        ("./${name}", ("./",)),
        ("a/b + ./c", ("./c", "a/b")),
        ("<nixpkgs> + /etc/passwd + ~/x", ()),
        ("1 / 2", ()),
    ],
)
def test_relative_paths_are_seen_where_nix_sees_them(text: str, paths: tuple[str, ...]) -> None:
    assert inspect(text.encode(), executable=False, is_nix=True).paths == paths


@pytest.mark.parametrize(
    ("text", "inputs"),
    [
        ("{ inputs, lib, ... }: { x = inputs.nixpkgs.rev; }", {"nixpkgs"}),
        ("{ lib, inputs }: inputs.a-b.c", {"a-b"}),
        ("{ inputs ? null }: inputs.x", {"x"}),
        ('{ inputs, ... }: inputs."odd"', {"odd"}),
        ("{ inputs, ... }: builtins.attrNames inputs", None),
        ("{ inputs, ... }: inputs.${x}", None),
        ("{ inputs, ... }: { inherit inputs; }", None),
        ("{ specialArgs, ... }: specialArgs.inputs.x", None),
        ("{ lib, ... }: lib.x", set()),
        ('"inputs.x" # inputs.y', set()),
        ('{ inputs }: "${inputs.deep}"', {"deep"}),
        ("{ unfinished", set()),
        ('"does not end', None),
    ],
)
def test_inputs_that_a_file_can_read_are_known(text: str, inputs: set[str] | None) -> None:
    expected = None if inputs is None else frozenset(inputs)

    assert inspect(text.encode(), executable=False, is_nix=True).inputs == expected


@given(st.text())
def test_any_text_is_taken_apart_or_refused(text: str) -> None:
    starts: list[int] = []
    with contextlib.suppress(LexError):
        starts = [token.start for token in tokens(text)]

    assert starts == sorted(starts)


def test_what_is_no_json_can_not_be_written() -> None:
    for value in (object(), float("nan"), 2**63):
        with pytest.raises(TypeError, match="can't be written"):
            to_nix(value)
