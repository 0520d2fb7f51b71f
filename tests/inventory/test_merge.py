"""Merging definitions: the rules of Nix's module system that need no types."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from clanpy.inventory.merge import Definition, merge, merge_keeping_sigils
from clanpy.inventory.sigils import to_nix


KEYS = st.sampled_from("abcd")
SCALARS = st.one_of(st.booleans(), st.integers(-2, 2), st.sampled_from(["", "x", "y"]))
VALUES = st.recursive(SCALARS | st.lists(SCALARS, max_size=3), lambda inner: st.dictionaries(KEYS, inner, max_size=3))
TABLES = st.dictionaries(KEYS, VALUES, max_size=4)
PRIORITIES = st.sampled_from([10, 50, 100, 1000, 1500])


def merged(*values: Any) -> Any:
    return merge([Definition(value) for value in values]).value


def leaves(value: Any, path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    if not isinstance(value, dict):
        return {path}
    return {leaf for key, item in value.items() for leaf in leaves(item, (*path, key))}


@given(TABLES)
def test_one_definition_is_what_it_says(table: dict[str, Any]) -> None:
    result = merge([Definition(table)])

    assert result.value == table
    assert not result.conflicts
    assert set(result.leaves) == leaves(table)


@given(TABLES)
def test_saying_the_same_twice_is_no_conflict_and_doubles_lists_only(table: dict[str, Any]) -> None:
    result = merge([Definition(table), Definition(table)])

    assert not result.conflicts
    assert leaves(result.value) == leaves(table)


@given(st.lists(TABLES, max_size=3))
def test_the_order_of_definitions_matters_to_lists_only(tables: list[dict[str, Any]]) -> None:
    def without_order(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: without_order(item) for key, item in value.items()}
        return sorted(map(repr, value)) if isinstance(value, list) else value

    forwards = merge(map(Definition, tables))
    backwards = merge(map(Definition, reversed(tables)))

    assert {c.path for c in forwards.conflicts} == {c.path for c in backwards.conflicts}
    if not forwards.conflicts:
        assert without_order(forwards.value) == without_order(backwards.value)


@given(st.lists(st.tuples(PRIORITIES, SCALARS), min_size=1, max_size=5))
def test_of_scalars_those_with_the_lowest_number_count_and_have_to_be_equal(found: list[tuple[int, Any]]) -> None:
    result = merge([Definition({"a": {"_override": [number, value]}}) for number, value in found])
    best = min(number for number, _ in found)
    winners = [value for number, value in found if number == best]

    assert result.value["a"] in winners
    assert bool(result.conflicts) == (len({(type(value), value) for value in winners}) > 1)


@given(st.lists(st.tuples(st.integers(0, 3), st.lists(st.integers(), max_size=3)), min_size=1, max_size=5))
def test_lists_are_joined_by_their_order_and_among_equals_the_later_definition_first(
    found: list[tuple[int, list[int]]],
) -> None:
    result = merge([Definition({"a": {"_order": [order, items]}}) for order, items in found])
    later_first = found[::-1]
    later_first.sort(key=lambda pair: pair[0])
    expected = [item for _, items in later_first for item in items]

    assert result.value["a"] == expected


@given(TABLES, TABLES)
def test_force_wins_over_anything_plain_leaf_by_leaf(forced: dict[str, Any], plain: dict[str, Any]) -> None:
    result = merge([Definition(plain), Definition({"_force": forced})])
    shared = merge([Definition(forced)])

    for path in shared.leaves:
        value, expected = result.value, forced
        for key in path:
            value, expected = value[key], expected[key]
        assert value == expected


SHAPE = st.fixed_dictionaries({}, optional={"a": SCALARS, "b": st.fixed_dictionaries({}, optional={"c": SCALARS})})


@given(st.lists(SHAPE, min_size=3, max_size=3), st.lists(PRIORITIES, min_size=3, max_size=3))
def test_merging_in_steps_gives_what_merging_at_once_gives(tables: list[dict[str, Any]], numbers: list[int]) -> None:
    """For data of one shape without lists, whose order numbers are not kept."""
    definitions = [Definition({"_override": [number, t]}) for t, number in zip(tables, numbers, strict=True)]
    at_once = merge(definitions)
    first = merge_keeping_sigils(definitions[:2])
    in_steps = merge([Definition(first.value), definitions[2]])

    if not at_once.conflicts and not first.conflicts:
        assert in_steps.value == at_once.value


def test_a_default_gives_way_and_a_list_that_gives_way_is_not_joined() -> None:
    assert merged({"a": {"_default": 1}, "l": {"_default": [1]}}, {"a": 2, "l": [2]}) == {"a": 2, "l": [2]}


def test_before_and_after_stand_around_plain_lists() -> None:
    assert merged({"l": {"_after": [3]}}, {"l": [2]}, {"l": {"_before": [1]}}) == {"l": [1, 2, 3]}


def test_priority_may_stand_around_order() -> None:
    forced = {"l": {"_force": {"_before": [1]}}}

    assert merged(forced, {"l": [9]}, {"l": {"_force": [2]}}) == {"l": [1, 2]}


def test_a_truth_a_number_and_a_fraction_are_three_values() -> None:
    for one, other in [(1, True), (1, 1.0), (0, False)]:
        assert merge([Definition({"a": one}), Definition({"a": other})]).conflicts


def test_a_table_and_a_scalar_do_not_go_together_unless_one_is_stronger() -> None:
    assert merge([Definition({"a": {"b": 1}}), Definition({"a": 1})]).conflicts
    assert merged({"a": {"b": 1}}, {"a": {"_force": 1}}) == {"a": 1}
    assert merged({"a": {"_force": {"b": 1}}}, {"a": 1}) == {"a": {"b": 1}}


def test_a_conflict_names_its_definitions() -> None:
    (conflict,) = merge([Definition({"a": {"b": 1}}, "x"), Definition({"a": {"b": 2}}, "y")]).conflicts

    assert conflict.path == ("a", "b")
    assert [d.origin for d in conflict.definitions] == ["x", "y"]


def test_what_looks_like_a_sigil_and_is_none_is_told() -> None:
    for wrong in ({"_force": 1, "b": 2}, {"_override": 3}, {"_order": [True, []]}, {"_override": [1, 2, 3]}):
        (misuse,) = merge([Definition({"a": wrong})]).misuses
        assert misuse.path == ("a",)


def test_sigils_become_what_nix_makes_of_its_own_functions() -> None:
    value = {
        "a": {"_force": {"_before": [1]}},
        "b": [{"_default": 2}],
        "c": {"_override": [7, "x"]},
        "d": {"_after": []},
    }

    assert to_nix(value) == {
        "a": {
            "_type": "override",
            "priority": 50,
            "content": {"_type": "order", "priority": 500, "content": [1]},
        },
        "b": [{"_type": "override", "priority": 1000, "content": 2}],
        "c": {"_type": "override", "priority": 7, "content": "x"},
        "d": {"_type": "order", "priority": 1500, "content": []},
    }
