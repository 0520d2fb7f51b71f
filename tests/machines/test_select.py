"""Choosing machines, and how they are reached."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clanpy.errors import ClanpyError, NothingMatchedError, UsageError
from clanpy.inventory import load
from clanpy.inventory.model import Deploy, Fleet, Machine
from clanpy.machines import rows, select, targets
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
def test_any_text_is_a_selection_or_an_error_with_exit_code_64(name: str, tag: str) -> None:
    found: tuple[ClanpyError, ...] = ()
    try:
        select(FLEET, [name], [tag])
    except ClanpyError as error:
        found = raised(error)

    assert all(int(error.exit_code) == 64 for error in found)


@pytest.mark.parametrize(
    ("names", "tags", "message", "hint"),
    [
        (["cinabar"], [], "there is no machine 'cinabar'", "'cinnabar'"),
        (["xyzzy"], [], "there is no machine 'xyzzy'", "known: argentum, blackphos"),
        (["gpu"], [], "there is no machine 'gpu'", "--tags gpu"),
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
