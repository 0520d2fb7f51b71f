"""Priorities: the lowest number wins, everything else is dropped, ties are merged."""

from typing import Any

import pytest

from clanpy.modules import (
    ConflictError,
    ModuleError,
    WrapperError,
    evaluate,
    lazy,
    mk_after,
    mk_before,
    mk_default,
    mk_definition,
    mk_force,
    mk_if,
    mk_image_media_override,
    mk_merge,
    mk_option_default,
    mk_order,
    mk_override,
    mk_vm_override,
    option,
)
from clanpy.modules import types as t
from modules.rig import error, error_of_x, value, x


WINS: dict[str, tuple[Any, Any]] = {
    "force over plain": (mk_force("won"), "lost"),
    "plain over default": ("won", mk_default("lost")),
    "default over option default": (mk_default("won"), mk_option_default("lost")),
    "plain over option default": ("won", mk_option_default("lost")),
    "vm over force": (mk_vm_override("won"), mk_force("lost")),
    "force over image": (mk_force("won"), mk_image_media_override("lost")),
    "image over plain": (mk_image_media_override("won"), "lost"),
    "override 50 over plain": (mk_override(50, "won"), "lost"),
    "override 99 over plain": (mk_override(99, "won"), "lost"),
    "plain over override 101": ("won", mk_override(101, "lost")),
    "plain over override 1000": ("won", mk_override(1000, "lost")),
    "plain over override 1500": ("won", mk_override(1500, "lost")),
    "override 1 over vm": (mk_override(1, "won"), mk_vm_override("lost")),
    "a condition around a priority": (mk_if(True, mk_force("won")), "lost"),
    "a merge around priorities": (mk_merge([mk_force("won"), "lost"]), "lost"),
}


@pytest.mark.parametrize("pair", WINS.values(), ids=WINS)
@pytest.mark.parametrize("swapped", [False, True], ids=["first", "last"])
def test_the_stronger_definition_wins_wherever_it_stands(pair: tuple[Any, Any], swapped: bool) -> None:
    assert x(t.str, *(reversed(pair) if swapped else pair)) == "won"


@pytest.mark.parametrize("wrap", [mk_force, mk_default, mk_option_default, lambda v: v, lambda v: mk_override(100, v)])
def test_two_definitions_of_one_priority_have_to_be_equal(wrap: Any) -> None:
    assert x(t.str, wrap("a"), wrap("a")) == "a"
    assert isinstance(error_of_x(t.str, wrap("a"), wrap("b")), ConflictError)


def test_priority_100_is_what_a_plain_definition_has() -> None:
    assert isinstance(error_of_x(t.str, mk_override(100, "a"), "b"), ConflictError)


def test_an_options_default_is_merged_with_an_option_default() -> None:
    assert x(t.list_of(t.int), mk_option_default([2]), default=[1]) == [1, 2]


def test_an_options_default_is_dropped_by_a_definition() -> None:
    assert x(t.list_of(t.int), [2], default=[1]) == [2]
    assert x(t.list_of(t.int), mk_default([2]), default=[1]) == [2]


def test_a_default_of_an_attribute_set_is_dropped_as_a_whole() -> None:
    assert x(t.attrs_of(t.int), {"x": 2}, default={"d": 1}) == {"x": 2}


def test_a_condition_that_is_false_lets_the_default_through() -> None:
    assert x(t.str, mk_if(False, "no"), default="d") == "d"


def test_force_on_an_attribute_set_option_drops_what_others_add() -> None:
    assert x(t.attrs_of(t.int), {"b": 2}, mk_force({"a": 1})) == {"a": 1}


def test_force_on_an_entry_leaves_its_siblings() -> None:
    assert x(t.attrs_of(t.int), {"a": 9, "b": 2}, {"a": mk_force(1)}) == {"a": 1, "b": 2}


def test_force_around_a_group_of_options_is_passed_on_to_each() -> None:
    options = {"g": {"a": option(t.int), "b": option(t.int, default=7)}}
    assert value([{"options": options}, {"g": mk_force({"a": 1})}, {"g": {"a": 2}}], "g") == {"a": 1, "b": 7}


def test_default_around_a_whole_module_makes_all_of_it_weak() -> None:
    options = {"a": option(t.int), "b": option(t.int)}
    assert value([{"options": options}, {"config": mk_default({"a": 1, "b": 1})}, {"a": 2}]) == {"a": 2, "b": 1}


def test_inside_a_submodule_each_option_has_its_own_priority() -> None:
    sub = t.submodule({"options": {"p": option(t.int), "q": option(t.int)}})
    assert x(sub, {"p": 1, "q": mk_default(1)}, {"p": mk_force(2), "q": 2}) == {"p": 2, "q": 2}


def test_the_winning_priority_can_be_asked_for() -> None:
    modules = [
        {"options": {n: option(t.int, default=0) for n in "abcd"}},
        {"b": mk_default(1), "c": 1, "d": mk_force(1)},
    ]
    options = evaluate(modules).options
    assert [options[n].highest_prio for n in "abcd"] == [1500, 1000, 100, 50]


def test_losing_definitions_are_not_computed() -> None:
    def broken() -> Any:
        raise AssertionError

    assert x(t.int, mk_default(lazy(broken)), 1) == 1


def test_losing_definitions_may_have_a_wrong_type() -> None:
    assert x(t.int, mk_default("not a number"), 1) == 1


# Order


def test_before_and_after_stand_around_plain_definitions() -> None:
    assert x(t.list_of(t.int), mk_after([4]), [2], mk_before([1]), [3]) == [1, 3, 2, 4]


def test_order_numbers_sort_definitions() -> None:
    got = x(t.list_of(t.str), ["plain1000"], mk_order(100, ["o100"]), mk_after(["after1500"]), mk_before(["before500"]))
    assert got == ["o100", "before500", "plain1000", "after1500"]


def test_order_1000_is_what_a_plain_definition_has() -> None:
    assert x(t.list_of(t.int), mk_order(1000, [1]), [2]) == x(t.list_of(t.int), [1], [2]) == [2, 1]


def test_definitions_of_one_order_keep_theirs() -> None:
    assert x(t.list_of(t.int), mk_before([1]), mk_before([2]), mk_before([3])) == [3, 2, 1]


def test_lines_are_put_in_order_too() -> None:
    assert x(t.lines, mk_after("Z"), "m1", "m2", mk_before("A")) == "A\nm2\nm1\nZ"


def test_priority_comes_before_order() -> None:
    assert x(t.list_of(t.int), mk_before([1]), mk_force([2]), mk_force(mk_before([3]))) == [3, 2]


def test_an_order_on_a_number_changes_nothing() -> None:
    assert x(t.int, mk_before(1)) == 1


def test_an_order_on_entries_counts_for_each_entry() -> None:
    kind = t.attrs_of(t.list_of(t.int))
    assert x(kind, {"a": mk_after([1]), "b": [1]}, {"a": [2], "b": [2]}) == {"a": [2, 1], "b": [2, 1]}


# Order without wrappers


def test_later_modules_come_first() -> None:
    assert x(t.list_of(t.str), ["m1"], ["m2"]) == ["m2", "m1"]


def test_imported_modules_come_before_the_importer() -> None:
    declaring = {"options": {"l": option(t.list_of(t.str))}}
    root = {"imports": [{"config": {"l": ["a"]}}, {"config": {"l": ["b"]}}], "config": {"l": ["root"]}}
    assert value([declaring, root], "l") == ["b", "a", "root"]


def test_modules_are_ordered_by_how_deep_they_are_imported() -> None:
    declaring = {"options": {"l": option(t.list_of(t.str))}}
    b = {"imports": [{"config": {"l": ["c"]}}], "config": {"l": ["b"]}}
    modules = [declaring, {"imports": [b], "config": {"l": ["a"]}}, {"config": {"l": ["z"]}}]
    assert value(modules, "l") == ["c", "b", "z", "a"]


def test_parts_of_a_merge_keep_their_order() -> None:
    assert x(t.list_of(t.str), mk_merge([["x"], mk_if(False, ["no"]), ["y"]])) == ["x", "y"]


def test_definitions_of_a_submodule_are_turned_round_twice() -> None:
    sub = t.submodule({"options": {"l": option(t.list_of(t.int))}})
    assert x(sub, {"l": [1]}, {"l": [2]}) == {"l": [1, 2]}


# Nesting

LEGAL: dict[str, tuple[Any, Any]] = {
    "if around force": (mk_if(True, mk_force(1)), 1),
    "merge around force": (mk_merge([mk_force(1), 2]), 1),
    "if around merge around if": (mk_if(True, mk_merge([mk_if(True, 1), mk_if(False, 2)])), 1),
    "force around before": (mk_force(mk_before(1)), 1),
    "if around force around before": (mk_if(True, mk_force(mk_before(1))), 1),
    "definition around force": (mk_definition(file="f", value=mk_force(1)), 1),
    "if around definition": (mk_if(True, mk_definition(file="f", value=1)), 1),
}


@pytest.mark.parametrize("case", LEGAL.values(), ids=LEGAL)
def test_wrappers_in_the_legal_order_are_taken_off(case: tuple[Any, Any]) -> None:
    assert x(t.int, case[0]) == case[1]


MISTAKES: dict[str, tuple[Any, str, str]] = {
    "force around if": (mk_force(mk_if(True, 1)), "`mk_if' is inside `mk_force'", "mk_if(condition, mk_force(value))"),
    "force around merge": (
        mk_force(mk_merge([1])),
        "`mk_merge' is inside `mk_force'",
        "mk_merge([mk_force(value), …])",
    ),
    "force around force": (mk_force(mk_force(1)), "`mk_force' is inside `mk_force'", "Keep one of the two"),
    "force around default": (mk_force(mk_default(1)), "`mk_default' is inside `mk_force'", "Keep one of the two"),
    "before around force": (mk_before(mk_force(1)), "`mk_force' is inside `mk_before'", "mk_force(mk_before(value))"),
    "before around if": (
        mk_before(mk_if(True, 1)),
        "`mk_if' is inside `mk_before'",
        "mk_if(condition, mk_before(value))",
    ),
    "after around before": (mk_after(mk_before(1)), "`mk_before' is inside `mk_after'", "Keep one of the two"),
    "definition around if": (
        mk_definition(file="f", value=mk_if(True, 1)),
        "`mk_if' is inside `mk_definition'",
        "mk_if(…, mk_definition(…))",
    ),
    "default around override 7": (mk_default(mk_override(7, 1)), "`mk_override' is inside `mk_default'", "Keep one"),
}


@pytest.mark.parametrize("case", MISTAKES.values(), ids=MISTAKES)
def test_a_wrapper_at_the_wrong_level_is_named(case: tuple[Any, str, str]) -> None:
    found = error_of_x(t.int, case[0])
    assert isinstance(found, WrapperError)
    assert case[1] in found.message
    assert "option `x'" in found.message
    assert case[2] in str(found.hint)


def test_a_wrong_wrapper_does_not_matter_where_it_loses() -> None:
    assert x(t.int, mk_default(mk_if(True, 1)), 2) == 2


def test_an_order_around_a_group_of_options_is_named() -> None:
    modules = [{"options": {"g": {"l": option(t.list_of(t.int))}}}, {"g": mk_before({"l": [1]})}]
    found = error(modules, "g.l")
    assert isinstance(found, WrapperError)
    assert "`mk_before' stands around a set of options at `g'" in found.message


def test_force_around_a_condition_is_fine_for_a_submodule_as_in_nix() -> None:
    sub = t.submodule({"options": {"a": option(t.int, default=0)}})
    assert x(sub, mk_force(mk_if(True, {"a": 1}))) == {"a": 1}
    assert x(sub, mk_force(mk_if(False, {"a": 1}))) == {"a": 0}


def test_wrappers_in_lists_are_taken_off_element_by_element() -> None:
    assert x(t.list_of(t.int), [1, mk_if(False, 2), mk_force(3), mk_merge([4])]) == [1, 3, 4]


def test_wrappers_in_anything_are_taken_off_at_any_depth() -> None:
    deep = {"a": {"b": mk_force(1), "c": mk_if(False, 2)}}
    assert x(t.anything, deep, {"a": {"b": 3}}) == {"a": {"b": 1}}


def test_wrappers_in_raw_values_are_not_looked_for() -> None:
    assert isinstance(x(t.raw, {"a": mk_force(1)})["a"], type(mk_force(1)))


# Conditions


@pytest.mark.parametrize("condition", [1, 0, "yes", None, [], {}], ids=repr)
def test_a_condition_that_is_no_bool_is_an_error(condition: Any) -> None:
    found = error_of_x(t.int, mk_if(condition, 1))
    assert "`mk_if' called with a non-Boolean condition" in found.message


@pytest.mark.parametrize(
    "condition",
    [True, lambda: True, lazy(lambda: True), lambda config: config.y, lazy(lambda config: config.y)],
    ids=["bool", "function", "lazy", "function of config", "lazy of config"],
)
def test_a_condition_may_be_a_bool_a_function_or_lazy(condition: Any) -> None:
    modules = [{"options": {"x": option(t.int, default=0), "y": option(t.bool, default=True)}}]
    assert value([*modules, {"x": mk_if(condition, 1)}], "x") == 1


def test_a_condition_may_read_what_it_does_not_decide() -> None:
    options = {"a": option(t.int, default=1), "b": option(t.int, default=2)}
    module = {"config": mk_if(lambda config: config.b == 2, {"a": 5})}
    assert value([{"options": options}, module]) == {"a": 5, "b": 2}


def test_conditions_of_entries_decide_whether_the_entry_exists() -> None:
    assert x(t.attrs_of(t.int), {"a": mk_if(False, 1), "b": 2}) == {"b": 2}


def test_lazy_attribute_sets_keep_an_entry_whose_condition_is_false() -> None:
    modules = [{"options": {"x": option(t.lazy_attrs_of(t.int))}}, {"x": {"a": mk_if(False, 1), "b": 2}}]
    config = evaluate(modules).config
    assert list(config.x) == ["a", "b"]
    assert config.x.b == 2
    with pytest.raises(ModuleError, match=r"`x\.a' was accessed but has no value defined"):
        config.x.a  # noqa: B018  # looking is the test


def test_an_empty_value_stands_for_a_lazy_entry_without_definition() -> None:
    assert x(t.lazy_attrs_of(t.list_of(t.int)), {"a": mk_if(False, [1])}) == {"a": []}


def test_a_condition_around_something_that_is_no_set_is_an_error_above_options() -> None:
    modules = [{"options": {"g": {"a": option(t.int, default=0)}}}, {"g": mk_if(False, 5)}]
    assert "rather than an attribute set for the option `g'" in error(modules).message


def test_wrappers_are_values() -> None:
    assert mk_force([1]) == mk_force([1])
    assert mk_force([1]) != mk_default([1])
    assert mk_force(1) != mk_order(50, 1)
    assert repr(mk_before(1)) == "Order(500, 1)"
