"""Options that moved or are gone."""

from pathlib import Path
from typing import Any

import pytest

from clanpy.modules import (
    RemovedOptionError,
    do_rename,
    evaluate,
    mk_alias_option_module,
    mk_before,
    mk_changed_option_module,
    mk_default,
    mk_force,
    mk_if,
    mk_merged_option_module,
    mk_removed_option_module,
    mk_renamed_option_module,
    option,
    to_data,
)
from clanpy.modules import types as t


NEW = {"options": {"c": {"d": {"e": option(t.int, default=0)}}}}
RENAMED = mk_renamed_option_module("a.b", "c.d.e")


def value(*modules: Any) -> Any:
    return evaluate([NEW, RENAMED, *modules]).config.c.d.e


def test_a_definition_of_the_old_name_counts_for_the_new_one() -> None:
    assert value({"a": {"b": 5}}) == 5


def test_without_a_definition_the_new_option_has_its_default() -> None:
    assert value() == 0


def test_reading_the_old_name_gives_the_new_value() -> None:
    assert evaluate([NEW, RENAMED, {"c": {"d": {"e": 4}}}]).config.a.b == 4


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (mk_default(1), 2, 2),
        (1, mk_default(2), 1),
        (mk_force(1), 2, 1),
        (mk_if(False, 1), 2, 2),
        (mk_force(1), mk_force(1), 1),
    ],
    ids=["default loses", "default outdone", "force wins", "condition", "equal"],
)
def test_definitions_keep_their_priority(old: Any, new: Any, expected: int) -> None:
    assert value({"a": {"b": old}}, {"c": {"d": {"e": new}}}) == expected


def test_old_and_new_definitions_are_merged() -> None:
    options = {"options": {"new": option(t.list_of(t.str), default=[])}}
    modules = [
        options,
        mk_renamed_option_module("old", "new"),
        {"old": ["o"]},
        {"new": ["n"]},
        {"old": mk_before(["b"])},
    ]
    assert sorted(evaluate(modules).config.new) == ["b", "n", "o"]


def test_conflicts_name_the_place_of_the_old_definition() -> None:
    found = evaluate(
        [NEW, RENAMED, {"_file": "old.toml", "a": {"b": 1}}, {"_file": "new.toml", "c": {"d": {"e": 2}}}]
    ).errors()
    assert [e.kind for e in found] == ["conflict"]
    assert {line.partition("': ")[0] for line in found[0].definitions} == {"In `old.toml", "In `new.toml"}


def test_wrong_types_name_the_line_of_the_old_definition(tmp_path: Path) -> None:
    path = tmp_path / "f.toml"
    path.write_text("[a]\nb = 'text'\n")
    found = evaluate([NEW, RENAMED, path]).errors()[0]
    assert (found.path, str(found.place)) == (("c", "d", "e"), f"{path}:2:1")


def test_a_renamed_option_warns_with_the_place() -> None:
    result = evaluate([NEW, RENAMED, {"_file": "f.toml", "a": {"b": 5}}])
    assert result.warnings == ("The option `a.b' defined in `f.toml' has been renamed to `c.d.e'.",)
    assert evaluate([NEW, RENAMED]).warnings == ()


def test_the_warning_is_in_the_option_for_warnings_when_there_is_one() -> None:
    options = {"options": {"warnings": option(t.list_of(t.str), default=[])}}
    config = evaluate([NEW, RENAMED, options, {"_file": "f", "a": {"b": 5}}]).config
    assert config.warnings == ["The option `a.b' defined in `f' has been renamed to `c.d.e'."]
    assert evaluate([NEW, RENAMED, options]).config.warnings == []


def test_an_alias_does_not_warn() -> None:
    result = evaluate([NEW, mk_alias_option_module("a.b", "c.d.e"), {"a": {"b": 5}}])
    assert (result.config.c.d.e, result.config.a.b, result.warnings) == (5, 5, ())


def test_an_alias_can_be_left_out_of_listings() -> None:
    result = evaluate([NEW, mk_alias_option_module("old", "c.d.e", listed=False), {"old": 5}])
    assert to_data(result.config) == {"c": {"d": {"e": 5}}}
    assert [str(o) for o in result.documented()] == ["c.d.e"]
    assert result.config.old == 5


def test_a_rename_into_an_attribute_set_of_submodules() -> None:
    sub = t.submodule({"options": {"p": option(t.int, default=0)}})
    modules = [{"options": {"m": option(t.attrs_of(sub), default={})}}, mk_renamed_option_module("old", "m.main.p")]
    assert to_data(evaluate([*modules, {"old": 3}]).config.m) == {"main": {"p": 3}}
    assert to_data(evaluate(modules).config.m) == {}


def test_a_rename_inside_submodules_works_and_warns() -> None:
    sub = t.submodule(
        [
            {"options": {"target_host": option(t.null_or(t.str))}},
            mk_renamed_option_module(["targetHost"], ["target_host"]),
        ]
    )
    result = evaluate(
        [{"options": {"m": option(t.attrs_of(sub))}}, {"_file": "f", "m": {"x": {"targetHost": "h"}, "y": {}}}]
    )
    assert [m.target_host for m in result.config.m.values()] == ["h", None]
    assert result.warnings == ("The option `m.x.targetHost' defined in `f' has been renamed to `target_host'.",)


def test_a_rename_can_depend_on_a_condition() -> None:
    renamed = do_rename("old", "c.d.e", visible=False, warn=False, condition=lambda config: config.on)
    modules = [NEW, renamed, {"options": {"on": option(t.bool, default=False)}}, {"old": 5}]
    assert evaluate(modules).config.c.d.e == 0
    assert evaluate([*modules, {"on": True}]).config.c.d.e == 5


def test_a_rename_can_drop_priorities_and_change_what_the_old_name_gives() -> None:
    renamed = do_rename("old", "c.d.e", visible=False, warn=False, with_priority=False, use=lambda v: v * 10)
    config = evaluate([NEW, renamed, {"old": mk_default(5)}]).config
    assert (config.c.d.e, config.old) == (5, 50)


def test_a_rename_to_an_option_that_does_not_exist_is_an_error() -> None:
    assert "The option `gone' does not exist" in evaluate([mk_renamed_option_module("old", "gone")]).errors()[0].message


def test_a_definition_of_a_removed_option_is_an_error_that_helps() -> None:
    modules = [NEW, mk_removed_option_module("a.b", "Use c.d.e instead.")]
    assert evaluate(modules).errors() == ()
    found = evaluate([*modules, {"_file": "f", "a": {"b": 1}}]).errors()
    assert [type(e) for e in found] == [RemovedOptionError]
    assert (
        "The option definition `a.b' in `f' no longer has any effect; please remove it. Use c.d.e instead."
        in found[0].message
    )


def test_reading_a_removed_option_is_an_error() -> None:
    config = evaluate([NEW, mk_removed_option_module("a.b", "Use c.d.e instead.")]).config
    with pytest.raises(RemovedOptionError, match="can no longer be used since it's been removed"):
        config.a.b  # noqa: B018  # looking is the test
    assert to_data(config) == {"a": {}, "c": {"d": {"e": 0}}}


def test_removals_become_assertions_where_there_are_some() -> None:
    options = {"options": {"assertions": option(t.list_of(t.anything), default=[])}}
    modules = [NEW, mk_removed_option_module("a.b", "Use c."), options]
    assert [a["assertion"] for a in to_data(evaluate(modules).config.assertions)] == [True]
    broken = to_data(evaluate([*modules, {"_file": "f", "a": {"b": 1}}]).config.assertions)
    assert broken[0]["assertion"] is False
    assert "please remove it" in broken[0]["message"]


def test_an_option_can_change_its_type() -> None:
    changed = mk_changed_option_module("old", "new", lambda config: "high" if config.old > 100 else "normal")
    modules = [{"options": {"new": option(t.str, default="none")}}, changed]
    assert evaluate(modules).config.new == "none"
    result = evaluate([*modules, {"_file": "f", "old": 500}])
    assert result.config.new == "high"
    assert result.warnings == ("The option `old' defined in `f' has been changed to `new' that has a different type.",)


def test_several_options_can_become_one() -> None:
    merged = mk_merged_option_module(["a", "g.b"], "new", lambda config: [config.a, config.g.b])
    modules = [{"options": {"new": option(t.list_of(t.int), default=[])}}, merged, {"a": 1, "g": {"b": 2}}]
    assert evaluate(modules).config.new == [1, 2]
