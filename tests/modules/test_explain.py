"""Why an option is what it is."""

from pathlib import Path
from typing import Any

import pytest

from clanpy.modules import (
    MISSING,
    MissingAttributeError,
    evaluate,
    lazy,
    mk_after,
    mk_default,
    mk_force,
    mk_if,
    mk_merge,
    mk_renamed_option_module,
    option,
    to_data,
)
from clanpy.modules import types as t


SITE = t.submodule({"options": {"root": option(t.path), "ports": option(t.list_of(t.port), default=[80])}})
OPTIONS: dict[str, Any] = {
    "_file": "schema",
    "options": {
        "name": option(t.str, default="none", description="What it is called."),
        "words": option(t.list_of(t.str), default=[]),
        "sites": option(t.attrs_of(SITE), default={}),
        "free": option(t.anything, default={}),
        "group": {"inner": option(t.int)},
    },
}


def of(path: str, *modules: Any) -> Any:
    return evaluate([OPTIONS, *modules]).explain(path)


def said(found: Any) -> list[tuple[str, Any, bool]]:
    return [(str(c.place).partition(":")[0], to_data(c.value), c.counts) for c in found.contributions]


def test_a_default_explains_itself() -> None:
    found = of("name")
    assert (found.value, found.type, found.priority, found.description) == (
        "none",
        "string",
        1500,
        "What it is called.",
    )
    assert len(found.declarations) == 1


def test_definitions_that_count_come_first_and_dropped_ones_say_why() -> None:
    found = of(
        "name",
        {"_file": "weak", "name": mk_default("d")},
        {"_file": "off", "name": mk_if(False, "o")},
        {"_file": "f", "name": "f"},
    )
    assert found.value == "f"
    assert found.priority == 100
    assert said(found)[0] == ("f", "f", True)
    why = {str(c.place): c.dropped for c in found.contributions if not c.counts}
    assert why["weak"] == "its priority 1000 is outdone by 100"
    assert why["off"] == "its condition is false"
    assert "its priority 1500 is outdone by 100" in why.values()


def test_what_stands_behind_a_false_condition_is_shown_and_never_computed() -> None:
    found = of(
        "name",
        {"_file": "plain", "name": mk_if(False, mk_force("o"))},
        {"_file": "computed", "name": mk_if(False, lazy(lambda: 1 / 0))},
        {"_file": "f", "name": "f"},
    )
    off = {str(c.place): (c.value, c.priority) for c in found.contributions if c.dropped == "its condition is false"}
    assert off == {"plain": ("o", 50), "computed": (None, 100)}


def test_contributions_are_in_the_order_in_which_they_are_joined() -> None:
    modules = [
        {"_file": "a", "words": mk_after(["a"])},
        {"_file": "b", "words": ["b"]},
        {"_file": "c", "words": mk_merge([["c"], ["d"]])},
    ]
    found = of("words", *modules)
    assert found.value == ["c", "d", "b", "a"]
    assert [(v, counts) for _, v, counts in said(found)][:4] == [
        (["c"], True),
        (["d"], True),
        (["b"], True),
        (["a"], True),
    ]
    assert found.contributions[3].order == 1500


def test_a_value_in_a_submodule_is_explained() -> None:
    found = of(
        "sites.main.root",
        {"_file": "a", "sites": {"main": {"root": "/a"}}},
        {"_file": "b", "sites": {"main": {"root": mk_force("/b")}}},
    )
    assert (found.value, found.type, found.priority) == ("/b", "absolute path", 50)
    assert said(found) == [("b", "/b", True), ("a", "/a", False)]
    assert found.path == ("sites", "main", "root")


def test_an_entry_of_an_attribute_set_is_explained() -> None:
    found = of("sites.main", {"_file": "a", "sites": {"main": {"root": "/a"}}}, {"_file": "b", "sites": {"main": {}}})
    assert found.type == "submodule"
    assert [place for place, _, _ in said(found)] == ["b", "a"]


def test_a_default_in_a_submodule_is_explained() -> None:
    found = of("sites.main.ports", {"sites": {"main": {}}})
    assert (found.value, found.priority) == ([80], 1500)


def test_a_free_value_is_explained_to_any_depth() -> None:
    found = of("free.a.b", {"_file": "a", "free": {"a": {"b": mk_default(1)}}}, {"_file": "b", "free": {"a": {"b": 2}}})
    assert found.value == 2
    assert said(found) == [("b", 2, True), ("a", 1, False)]


def test_a_freeform_value_is_explained() -> None:
    result = evaluate([{"freeform_type": t.attrs_of(t.int)}, {"_file": "a", "z": 1}])
    assert said(result.explain("z")) == [("a", 1, True)]


def test_a_group_is_explained_by_who_defines_in_it() -> None:
    found = of("group", {"_file": "a", "group": {"inner": 1}})
    assert (found.type, said(found)) == (None, [("a", {"inner": 1}, True)])


def test_everything_can_be_explained_at_once() -> None:
    assert of("").path == ()


def test_an_option_without_a_value_says_so() -> None:
    found = of("group.inner")
    assert found.value is MISSING
    assert found.error.kind == "unset"
    assert "(no value)" in str(found)


def test_a_broken_option_still_lists_its_definitions() -> None:
    found = of("name", {"_file": "a", "name": "x"}, {"_file": "b", "name": "y"})
    assert found.error.kind == "conflict"
    assert said(found)[:2] == [("b", "y", True), ("a", "x", True)]


@pytest.mark.parametrize("path", ["nme", "group.iner", "sites.main", "free.a", "sites.x.root"])
def test_a_path_that_does_not_exist_is_an_error(path: str) -> None:
    with pytest.raises(MissingAttributeError, match="There is no option"):
        of(path)


def test_a_near_miss_gets_a_suggestion() -> None:
    with pytest.raises(MissingAttributeError, match="Did you mean `name'"):
        of("nme")


def test_an_explanation_is_text_for_people(tmp_path: Path) -> None:
    path = tmp_path / "f.toml"
    path.write_text('words = ["a"]\n')
    text = str(of("words", path))
    assert f'words = ["a"]\n  type: list of string\n  priority: 100\n  declared in {__file__}:' in text
    assert f'  defined in {path}:1:1: ["a"]' in text
    assert "  dropped (its priority 1500 is outdone by 100) in" in text


def test_a_renamed_definition_is_explained_with_its_own_place() -> None:
    found = of("name", mk_renamed_option_module("old", "name"), {"_file": "f", "old": "x"})
    assert said(found)[0] == ("f", "x", True)


def test_paths_may_be_given_as_names_and_quoted() -> None:
    result = evaluate([OPTIONS, {"sites": {"a.b": {"root": "/x"}}}])
    assert result.explain('sites."a.b".root').value == "/x"
    assert result.explain(["sites", "a.b", "root"]).value == "/x"
    with pytest.raises(ValueError, match="unclosed quote"):
        result.explain('sites."a.b')
