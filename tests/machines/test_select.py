"""Choosing machines, and how they are reached."""

from __future__ import annotations

import io
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clanpy.cli.program import run
from clanpy.errors import ClanpyError, NothingMatchedError, UsageError
from clanpy.inventory import load
from clanpy.inventory.errors import SelectionError
from clanpy.inventory.matching import Kind, LazyIndex
from clanpy.inventory.model import Deploy, Fleet, Machine
from clanpy.machines import rows, select, select_one, targets
from support.fleets import META, REFERENCE, fleet, raised


FLEET = load(REFERENCE)
NAMES = st.lists(st.sampled_from([*FLEET.machines, "*", "s*", "*e*", "[a-c]*", "?????????", "nope", "zz*"]), max_size=3)
TAGS = st.lists(st.sampled_from([*FLEET.tags, "nope"]), max_size=3)


def chosen(names: list[str], tags: list[str]) -> list[str]:
    return [machine.name for machine in select(FLEET, names, tags)]


def test_without_anything_said_it_is_all_of_them_by_name() -> None:
    assert chosen([], []) == sorted(FLEET.machines)
    assert select(FLEET) == select(FLEET, None, None)


def test_names_add_up_and_tags_narrow_down() -> None:
    assert chosen(["galena", "cinnabar"], []) == ["cinnabar", "galena"]
    assert chosen([], ["cloud", "gpu"]) == ["scheelite"]
    assert chosen(["*"], ["controller"]) == ["cinnabar", "stibnite"]
    assert chosen(["c*", "e*"], ["peer"]) == ["electrum"]
    assert chosen(["cinnabar", "cinnabar"], []) == ["cinnabar"]


@given(NAMES, TAGS)
def test_it_is_what_one_would_pick_by_hand(names: list[str], tags: list[str]) -> None:
    expected = [
        machine.name
        for machine in FLEET.machines.values()
        if (not names or any(fnmatchcase(machine.name, name) for name in names)) and set(tags) <= set(machine.tags)
    ]
    are_known = all(any(fnmatchcase(m, name) for m in FLEET.machines) for name in names) and set(tags) <= set(
        FLEET.tags
    )
    if are_known and expected:
        assert chosen(names, tags) == expected
    else:
        with pytest.raises(ClanpyError) as caught:
            chosen(names, tags)
        assert all(isinstance(error, NothingMatchedError) for error in raised(caught.value))


@given(st.text(max_size=12), st.text(max_size=12))
def test_any_text_selects_machines_or_nothing_or_can_not_be_read(name: str, tag: str) -> None:
    found: tuple[ClanpyError, ...] = ()
    try:
        select(FLEET, [name], [tag], stdin=io.StringIO("cinnabar\n"))
    except ClanpyError as error:
        found = raised(error)

    assert {int(error.exit_code) for error in found} <= {64, 2}
    assert all(isinstance(error, NothingMatchedError | SelectionError) for error in found)


@pytest.mark.parametrize(
    ("names", "tags", "message", "hint"),
    [
        (["cinabar"], [], "there is no machine 'cinabar'", "'cinnabar'"),
        (["xyzzy"], [], "there is no machine 'xyzzy'", "known: argentum, blackphos"),
        (["gpu"], [], "there is no machine 'gpu'", "'gpu' is a tag: tag:gpu"),
        (["x*"], [], "no machine has a name like 'x*'", "known: argentum"),
        ([], ["clod"], "there is no tag 'clod'", "'cloud'"),
        ([], ["gpu", "hetzner"], "no machine carries all of the tags 'gpu' and 'hetzner'", "machines list"),
        (["cinnabar"], ["gpu"], "no machine of cinnabar carries the tag 'gpu'", "machines list"),
    ],
)
def test_what_matches_nothing_is_told_with_near_misses(
    names: list[str], tags: list[str], message: str, hint: str
) -> None:
    with pytest.raises(NothingMatchedError) as caught:
        select(FLEET, names, tags)

    assert caught.value.message == message
    assert hint in (caught.value.hint or "")


def test_all_that_is_unknown_is_told_at_once() -> None:
    with pytest.raises(ClanpyError) as caught:
        select(FLEET, ["a", "b", "cinnabar"], ["c"])

    assert [e.message for e in raised(caught.value)] == [
        "there is no machine 'a'",
        "there is no machine 'b'",
        "there is no tag 'c'",
    ]


def test_an_empty_fleet_says_so(tmp_path: Path) -> None:
    empty: Fleet = fleet(tmp_path, META)
    with pytest.raises(NothingMatchedError, match="the fleet has no machines"):
        select(empty)


def on_stdin(text: str, *selections: str) -> list[str]:
    return [machine.name for machine in select(FLEET, selections, stdin=io.StringIO(text))]


def test_a_dash_stands_for_the_names_on_standard_input() -> None:
    assert on_stdin("galena\n\n# a comment\n  cinnabar \n", "-") == ["cinnabar", "galena"]
    assert on_stdin("galena\nstibnite\n", "- and class:nixos", "argentum") == ["argentum", "galena"]
    assert on_stdin("galena\n", "not -", "-") == sorted(FLEET.machines)


def test_standard_input_is_read_only_for_a_dash_and_holds_names_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)

    assert [m.name for m in select(FLEET, ["galena"])] == ["galena"]
    with pytest.raises(NothingMatchedError, match="standard input names no machine"):
        select(FLEET, ["-"])
    with pytest.raises(ClanpyError) as caught:
        on_stdin("galnea\ntag:gpu\n", "-")
    assert [(e.message, e.hint) for e in raised(caught.value)] == [
        ("there is no machine 'galnea', which standard input names", "did you mean 'galena'?"),
        ("there is no machine 'tag:gpu', which standard input names", None),
    ]


def test_a_selection_that_begins_with_a_dash_is_no_option(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, expected in ((["-"], "galena\nstibnite\n"), (["- and class:nixos", "argentum"], "argentum\ngalena\n")):
        monkeypatch.setattr("sys.stdin", io.StringIO("galena\nstibnite\n"))
        assert run(["machines", "list", *words, "--format", "{name}", "--fleet", str(REFERENCE)]) == 0
        assert capsys.readouterr().out == expected


def test_each_selection_has_to_select_something() -> None:
    with pytest.raises(NothingMatchedError) as caught:
        chosen(["cinnabar", "tag:gpu and class:darwin"], [])

    assert caught.value.message == "no machine is in 'tag:gpu and class:darwin'"
    assert caught.value.hint == "`tag:gpu` selects 1; `class:darwin` selects 4, all together none"
    assert int(caught.value.exit_code) == 64


def test_several_mistakes_end_with_the_code_of_nothing_matched() -> None:
    with pytest.raises(ClanpyError) as caught:
        chosen(["(", "nope"], [])

    assert int(caught.value.exit_code) == 64


def test_where_one_machine_is_needed_any_selection_of_one_will_do() -> None:
    assert select_one(FLEET, "tag:gpu").name == "scheelite"
    with pytest.raises(UsageError) as caught:
        select_one(FLEET, "class:nixos")
    assert caught.value.message == "'class:nixos' selects 4 machines, and one is needed"
    assert caught.value.hint == "one of cinnabar, electrum, galena, scheelite"


def test_others_can_add_what_they_know_of_machines() -> None:
    asked: list[str] = []

    def found(value: str) -> list[str]:
        asked.append(value)
        return {"stale": ["galena"], "failed": ["galena", "cinnabar"]}[value]

    kind = Kind(name="is", index=lambda _: LazyIndex(("stale", "failed"), found), what="state")

    assert [m.name for m in select(FLEET, ["is:failed and not is:stale"], more=[kind])] == ["cinnabar"]
    assert [m.name for m in select(FLEET, ["is:f*"], more=[kind])] == ["cinnabar", "galena"]
    assert asked == ["failed", "stale", "failed"]
    with pytest.raises(NothingMatchedError, match="there is no state 'stal'"):
        select(FLEET, ["is:stal"], more=[kind])
    with pytest.raises(SelectionError, match="can't be selected by 'is:'"):
        select(FLEET, ["is:stale"])


def machine(deploy: Deploy) -> Machine:
    return Machine(name="alpha", class_="nixos", system="x86_64-linux", deploy=deploy)


def test_the_command_line_goes_before_the_inventory() -> None:
    here = machine(Deploy(target_host="root@a", alternatives=("root@b", "root@c")))

    assert targets(here) == ("root@a", "root@b", "root@c")
    assert targets(here, "root@other:23") == ("root@other:23",)


def test_a_target_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="'root@' is no target"):
        targets(machine(Deploy()), "root@")


def test_a_machine_that_nobody_says_where_to_find_is_told_with_what_to_write() -> None:
    with pytest.raises(UsageError, match="nothing says where machine 'alpha' is reached") as caught:
        targets(machine(Deploy()))

    assert "deploy.target_host" in (caught.value.hint or "")


def test_rows_have_exactly_the_documented_fields() -> None:
    (row,) = rows(select(FLEET, ["cinnabar"]))

    assert list(row.items()) == [
        ("name", "cinnabar"),
        ("class", "nixos"),
        ("system", "x86_64-linux"),
        ("type", "vps"),
        ("primary_user", "cameron"),
        ("tags", ["all", "cloud", "controller", "hetzner", "nixos"]),
        ("target_host", "root@cinnabar.zt"),
        ("build_host", None),
        ("description", "Controller of the network"),
        ("installed_at", None),
    ]
