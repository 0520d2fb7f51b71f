"""Declarations: defaults, apply, read-only, merging of declarations, submodules, freeform, and looking at options."""

from typing import Any

import pytest

from clanpy.modules import (
    ComputationError,
    DeclarationError,
    EvaluationError,
    ModuleError,
    ReadOnlyError,
    UnknownOptionError,
    constant,
    evaluate,
    lazy,
    mk_default,
    mk_enable_option,
    mk_force,
    mk_if,
    mk_option,
    mk_option_default,
    option,
    to_data,
)
from clanpy.modules import types as t
from modules.rig import error, error_of_x, one_option, value, x


def declared(*trees: Any) -> list[Any]:
    """Modules called d1, d2 and so on with these options."""
    return [{"_file": f"d{n}", "options": tree} for n, tree in enumerate(trees, 1)]


# Defaults


def test_a_default_is_the_value_when_nobody_defines_the_option() -> None:
    assert x(t.int, default=3) == 3


def test_a_default_of_none_is_a_default() -> None:
    assert x(t.null_or(t.str), default=None) is None
    assert error_of_x(t.str, default=None).kind == "type"


def test_a_default_may_be_a_function_of_config() -> None:
    options = {"a": option(t.int, default=lambda config: config.b + 1), "b": option(t.int, default=41)}
    assert value(declared(options)) == {"a": 42, "b": 41}


def test_a_function_of_one_unknown_argument_is_a_function_of_config() -> None:
    assert value(declared({"a": option(t.int, default=lambda c: c.b), "b": option(t.int, default=1)}), "a") == 1


def test_a_default_may_ask_for_several_arguments() -> None:
    def default(config: Any, word: str) -> str:
        return f"{word}{config.b}"

    options = {"a": option(t.str, default=default), "b": option(t.int, default=1)}
    assert value(declared(options), "a", special_args={"word": "w"}) == "w1"


def test_a_default_may_be_a_function_without_arguments_or_a_class() -> None:
    assert x(t.list_of(t.int), default=list) == []
    assert x(t.list_of(t.int), default=lambda: [1]) == [1]


def test_parameters_with_a_default_of_their_own_keep_it() -> None:
    options = {f"o{n}": option(t.int, default=lambda config, n=n: n) for n in range(3)}
    assert value(declared(options)) == {"o0": 0, "o1": 1, "o2": 2}


def test_a_function_can_be_the_default_itself() -> None:
    modules = declared({"f": option(t.function_to(t.int), default=constant(lambda n: n + 1))})
    assert evaluate(modules).config.f(1) == 2


def test_a_default_may_be_lazy_or_wrapped() -> None:
    assert x(t.int, default=lazy(lambda: 4)) == 4
    options = {"a": option(t.int, default=lazy(lambda config: config.b)), "b": option(t.int, default=2)}
    assert value(declared(options), "a") == 2


def test_a_default_is_checked() -> None:
    found = error_of_x(t.int, default="text")
    assert found.kind == "type"
    assert '"text"' in str(found)


def test_a_default_is_computed_once() -> None:
    calls: list[int] = []

    def default() -> int:
        calls.append(1)
        return 1

    config = evaluate(declared({"a": option(t.int, default=default)})).config
    assert (config.a, config.a, calls) == (1, 1, [1])


def test_a_default_that_raises_is_an_error_with_its_place() -> None:
    def default() -> int:
        return 1 // 0

    found = error_of_x(t.int, default=default)
    assert isinstance(found, ComputationError)
    assert "ZeroDivisionError" in found.message
    assert found.place is not None
    assert (found.place.file, found.place.line) == (__file__, default.__code__.co_firstlineno + 1)


def test_an_error_is_the_same_every_time() -> None:
    config = evaluate(declared({"a": option(t.int)})).config
    found = []
    for _ in range(2):
        with pytest.raises(ModuleError) as raised:
            config.a  # noqa: B018  # looking is the test
        found.append(raised.value)
    assert found[0] is found[1]


def test_mk_option_is_option_and_mk_enable_option_a_bool() -> None:
    assert mk_option is option
    options = {"enable": mk_enable_option("the server")}
    result = evaluate(declared(options))
    assert result.config.enable is False
    assert result.options.enable.description == "Whether to enable the server."


# Apply, read-only


def test_apply_makes_the_final_value() -> None:
    assert x(t.int, 1, apply=lambda v: v + 1) == 2


def test_apply_works_on_the_default_too() -> None:
    assert x(t.int, default=1, apply=str) == "1"


def test_apply_may_ask_for_arguments_after_the_value() -> None:
    options = {"a": option(t.int, apply=lambda v, config: v * config.b), "b": option(t.int, default=3)}
    assert value([*declared(options), {"a": 2}], "a") == 6


def test_apply_runs_once_and_not_before_it_is_needed() -> None:
    calls: list[int] = []

    def apply(v: int) -> int:
        calls.append(v)
        return v

    config = evaluate([*declared({"a": option(t.int, apply=apply)}), {"a": 1}]).config
    assert calls == []
    assert (config.a, config.a, calls) == (1, 1, [1])


def test_apply_does_not_change_what_options_say_about_definitions() -> None:
    result = evaluate([*declared({"a": option(t.int, apply=lambda v: v + 1)}), {"a": 1}])
    assert result.options.a.definitions == (1,)
    assert result.options.a.value == 2


def test_a_read_only_option_can_be_defined_once() -> None:
    assert x(t.int, 1, read_only=True) == 1
    assert x(t.int, default=1, read_only=True) == 1


@pytest.mark.parametrize(
    ("definitions", "more"),
    [((1, 1), {}), ((1,), {"default": 1}), ((mk_if(False, 2),), {"default": 1}), ((mk_default(1), mk_force(2)), {})],
    ids=["twice", "default and definition", "default and a false condition", "different priorities"],
)
def test_a_read_only_option_can_not_be_defined_twice(definitions: tuple[Any, ...], more: dict[str, Any]) -> None:
    found = error_of_x(t.int, *definitions, read_only=True, **more)
    assert isinstance(found, ReadOnlyError)
    assert "The option `x' is read-only, but it's set multiple times" in found.message


# Merging declarations


def test_an_option_may_be_declared_twice_when_the_types_merge() -> None:
    modules = declared({"e": option(t.enum(["a"]))}, {"e": option(t.enum(["b"]))})
    assert value([*modules, {"e": "a"}], "e") == "a"
    assert value([*modules, {"e": "b"}], "e") == "b"


def test_declarations_share_what_only_one_of_them_has() -> None:
    modules = declared({"a": option(t.int, description="here")}, {"a": option(t.int, default=4)}, {"a": option()})
    result = evaluate(modules)
    assert result.config.a == 4
    assert result.options.a.description == "here"
    assert result.options.a.declarations == ("d3", "d2", "d1")


TWICE: dict[str, tuple[Any, Any]] = {
    "different types": (option(t.int), option(t.str)),
    "two defaults": (option(t.int, default=1), option(t.int, default=1)),
    "two descriptions": (option(t.int, description="a"), option(t.int, description="a")),
    "two examples": (option(t.int, example=1), option(t.int, example=1)),
    "two applies": (option(t.int, apply=str), option(t.int, apply=str)),
    "coerced twice": (option(t.coerced_to(t.int, str, t.str)), option(t.coerced_to(t.int, str, t.str))),
}


@pytest.mark.parametrize("pair", TWICE.values(), ids=TWICE)
def test_declarations_that_contradict_each_other_are_refused(pair: tuple[Any, Any]) -> None:
    found = error(declared({"x": pair[0]}, {"x": pair[1]}))
    assert isinstance(found, DeclarationError)
    assert "The option `x' in " in found.message
    assert "is already declared in" in found.message
    assert found.path == ("x",)


def test_submodule_options_of_several_declarations_are_united() -> None:
    one = option(t.submodule({"options": {"p": option(t.int, default=1)}}))
    two = option(t.submodule({"options": {"z": option(t.int, default=9)}}))
    assert value(declared({"s": one}, {"s": two}), "s") == {"p": 1, "z": 9}


def test_submodules_inside_attribute_sets_are_united_too() -> None:
    one = option(t.attrs_of(t.submodule({"options": {"p": option(t.int, default=1)}})))
    two = option(t.attrs_of(t.submodule({"options": {"z": option(t.int, default=9)}})))
    assert value([*declared({"s": one}, {"s": two}), {"s": {"a": {}}}], "s.a") == {"p": 1, "z": 9}


def test_options_beside_a_submodule_option_are_options_of_the_submodule() -> None:
    sub = option(t.submodule({"options": {"p": option(t.int, default=1)}}))
    nested = {"s": {"deep": {"q": option(t.int, default=2)}}}
    assert value(declared({"s": sub}, nested), "s") == {"p": 1, "deep": {"q": 2}}


def test_an_option_that_is_no_submodule_can_not_have_options_below_it() -> None:
    found = error(declared({"a": option(t.int)}, {"a": {"b": option(t.int)}}))
    assert "The option `a' in module `d1' would be a parent of the following options" in found.message
    assert "`signed integer' does not support nested options" in found.message
    assert "option(s) with prefix `a.b' in module `d2'" in found.message


def test_conflicting_classes_of_submodules_are_refused() -> None:
    one = option(t.submodule_with(modules=[], class_="nixos"))
    two = option(t.submodule_with(modules=[], class_="darwin"))
    assert "conflicting class values" in error(declared({"s": one}, {"s": two})).message


def test_special_arguments_of_submodules_must_not_be_given_twice() -> None:
    one = option(t.submodule_with(modules=[], special_args={"n": 1}))
    two = option(t.submodule_with(modules=[], special_args={"n": 2}))
    assert 'the same special_args "n"' in error(declared({"s": one}, {"s": two})).message


WRONG: dict[str, tuple[Any, str]] = {
    "a bare type": (t.int, "expected an option declaration at option path `a' but got"),
    "a number": (5, "An option declaration for `a' has type `int' rather than an attribute set"),
    "a string": ("x", "has type `string'"),
    "a list": ([option(t.int)], "has type `list'"),
    "a wrapper": (mk_force(option(t.int)), "`mk_force': which options there are can't depend on the configuration"),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_what_is_no_declaration_is_refused(case: tuple[Any, str]) -> None:
    found = error(declared({"a": case[0]}))
    assert isinstance(found, DeclarationError)
    assert case[1] in found.message


def test_options_have_to_be_a_mapping() -> None:
    assert "has type `list' rather than an attribute set" in error([{"options": [1]}]).message


def test_all_wrong_declarations_are_reported() -> None:
    found: Any = error(declared({"a": t.int, "b": {"c": 5}, "d": option(t.int)}))
    assert isinstance(found, EvaluationError)
    assert [e.path for e in found.errors] == [("a",), ("b", "c")]


def test_options_may_be_nested_very_deeply() -> None:
    tree: Any = option(t.int, default=1)
    config: Any = 2
    for n in range(1_500):
        tree = {f"n{n}": tree}
        config = {f"n{n}": config}
    result = evaluate([{"options": tree}, {"config": config}])
    found: Any = result.config
    for n in reversed(range(1_500)):
        found = found[f"n{n}"]
    assert found == 2
    result.check()


# Submodules

SUB = t.submodule({"options": {"p": option(t.int, default=1), "q": option(t.list_of(t.str), default=[])}})


def test_a_submodule_has_its_defaults() -> None:
    assert x(SUB) == {"p": 1, "q": []}
    assert x(SUB, {}) == {"p": 1, "q": []}


def test_a_submodule_knows_its_name() -> None:
    sub = t.submodule({"options": {"n": option(t.str, default=lambda name: name)}})
    assert x(t.attrs_of(sub), {"a": {}, "b": {}}) == {"a": {"n": "a"}, "b": {"n": "b"}}


def test_a_function_in_a_submodule_gets_its_name_as_a_string() -> None:
    sub = t.submodule(lambda name: {"options": {"n": option(t.str, default=f"/home/{name}")}})
    assert x(t.attrs_of(sub), {"a": {}}) == {"a": {"n": "/home/a"}}


def test_config_in_a_submodule_is_the_submodules_own() -> None:
    sub = t.submodule({"options": {"a": option(t.int, default=lambda config: config.b), "b": option(t.int, default=2)}})
    assert x(sub, {"b": 5}) == {"a": 5, "b": 5}


def test_a_definition_of_a_submodule_may_be_a_function() -> None:
    modules = one_option(SUB, lambda config: {"p": 3, "q": [lazy(lambda: str(config.p))]}, lambda: {"q": ["z"]})
    assert value(modules, "x") == {"p": 3, "q": ["3", "z"]}
    assert x(t.attrs_of(SUB), {"a": lambda name: {"q": [name]}}) == {"a": {"p": 1, "q": ["a"]}}


def test_a_plain_definition_of_a_submodule_is_configuration_whatever_its_keys() -> None:
    sub = t.submodule({"options": {"config": option(t.bool, default=False), "imports": option(t.int, default=0)}})
    assert x(sub, {"config": True, "imports": 3}) == {"config": True, "imports": 3}


def test_a_submodule_that_takes_modules_takes_their_structure() -> None:
    sub = t.submodule_with(modules=[{"options": {"p": option(t.int, default=1)}}])
    assert x(sub, {"config": {"p": 2}, "options": {"z": option(t.int, default=3)}}) == {"p": 2, "z": 3}
    assert x(sub, {"imports": [{"p": 4}]}) == {"p": 4}


def test_a_lazy_value_in_a_definition_belongs_to_the_module_in_which_it_stands() -> None:
    modules = [
        {"options": {"x": option(SUB), "p": option(t.int, default=77)}},
        {"x": {"p": lazy(lambda config: config.p)}},
    ]
    assert value(modules, "x.p") == 77


def test_a_lazy_value_in_a_submodules_module_belongs_to_the_submodule() -> None:
    sub = t.submodule([{"options": {"p": option(t.int), "r": option(t.int)}}, {"p": lazy(lambda config: config.r)}])
    assert x(t.attrs_of(sub), {"a": {"r": 1}, "b": {"r": 2}}) == {"a": {"p": 1, "r": 1}, "b": {"p": 2, "r": 2}}


def test_a_submodules_own_definitions_come_before_what_is_added() -> None:
    sub = t.submodule([{"options": {"l": option(t.list_of(t.str))}}, {"l": ["static"]}])
    assert x(sub, {"l": ["given"]}) == {"l": ["static", "given"]}


def test_special_arguments_of_a_submodule() -> None:
    sub = t.submodule_with(modules=[lambda n: {"options": {"p": option(t.int, default=n)}}], special_args={"n": 8})
    assert x(sub) == {"p": 8}


def test_arguments_are_not_inherited_by_submodules() -> None:
    sub = t.submodule(lambda word: {"options": {"p": option(t.str, default=word)}})
    assert error([{"options": {"x": option(sub)}}, {"_module": {"args": {"word": "w"}}}], "x").kind == "argument"


def test_a_submodule_can_be_given_arguments_by_its_definitions() -> None:
    sub = t.submodule(lambda word: {"options": {"p": option(t.str, default=word)}})
    assert x(sub, {"_module": {"args": {"word": "w"}}}) == {"p": "w"}


def test_errors_in_submodules_have_the_whole_path() -> None:
    found = error_of_x(t.attrs_of(SUB), {"a": {"p": "text"}})
    assert found.path == ("x", "a", "p")
    assert "`x.a.p' is not of type `signed integer'" in found.message


def test_errors_in_lists_of_submodules_say_which_element() -> None:
    found = error_of_x(t.list_of(SUB), [{}, {"p": "text"}])
    assert "`x.[definition 1-entry 2].p'" in found.message


def test_a_submodule_inside_a_submodule() -> None:
    outer = t.submodule({"options": {"inner": option(t.attrs_of(SUB), default={})}})
    assert x(t.attrs_of(outer), {"a": {"inner": {"b": {"p": 5}}}}) == {"a": {"inner": {"b": {"p": 5, "q": []}}}}


def test_a_configuration_can_be_a_definition() -> None:
    config = evaluate([{"options": {"s": option(SUB)}}, {"s": {"p": 6}}]).config
    assert x(SUB, config.s) == {"p": 6, "q": []}


def test_submodules_share_their_modules_but_no_values() -> None:
    config = evaluate([{"options": {"x": option(t.attrs_of(SUB))}}, {"x": {"a": {}, "b": {}}}]).config
    config.x.a.q.append("only here")
    assert config.x.b.q == []


# Freeform


FREE: dict[str, tuple[Any, Any, Any]] = {
    "lets in what has no option": (t.attrs_of(t.int), {"z": 5}, {"k": "d", "z": 5}),
    "leaves options their own type": (t.attrs_of(t.int), {"k": "text", "z": 5}, {"k": "text", "z": 5}),
    "merges definitions by its type": (t.attrs_of(t.list_of(t.int)), {"z": [1]}, {"k": "d", "z": [1]}),
    "may be lazy": (t.lazy_attrs_of(t.int), {"z": 5}, {"k": "d", "z": 5}),
    "may be anything": (t.anything, {"z": {"y": 1}}, {"k": "d", "z": {"y": 1}}),
    "needs no definitions": (t.attrs_of(t.int), {}, {"k": "d"}),
}


@pytest.mark.parametrize("case", FREE.values(), ids=FREE)
def test_a_freeform_type(case: tuple[Any, Any, Any]) -> None:
    kind, config, expected = case
    assert (
        value([{"options": {"k": option(t.str, default="d")}, "freeform_type": kind}, {"config": config}]) == expected
    )


def test_a_freeform_type_checks_what_it_lets_in() -> None:
    modules = [{"freeform_type": t.attrs_of(t.int)}, {"z": "text"}]
    assert error(modules, "z").kind == "type"


def test_a_freeform_type_may_be_given_in_shorthand() -> None:
    assert value([{"freeform_type": t.attrs_of(t.int), "z": 5}]) == {"z": 5}


def test_what_is_free_in_a_group_of_options_stands_beside_them() -> None:
    modules = [{"options": {"g": {"k": option(t.int, default=1)}}, "freeform_type": t.anything}, {"g": {"z": 2}}]
    assert value(modules) == {"g": {"k": 1, "z": 2}}


def test_freeform_definitions_have_priorities_and_conditions() -> None:
    modules = [{"freeform_type": t.attrs_of(t.int)}, {"a": 1, "b": mk_if(False, 1)}, {"a": mk_force(2)}]
    assert value(modules) == {"a": 2}


def test_freeform_types_of_several_modules_are_merged() -> None:
    modules = [{"freeform_type": t.attrs_of(t.enum(["a"]))}, {"freeform_type": t.attrs_of(t.enum(["b"]))}, {"z": "b"}]
    assert value(modules) == {"z": "b"}


def test_freeform_values_may_use_each_other_when_they_are_lazy() -> None:
    modules = [{"freeform_type": t.lazy_attrs_of(t.int)}, {"a": lazy(lambda config: config.b + 1), "b": 1}]
    assert value(modules) == {"a": 2, "b": 1}


def test_a_freeform_submodule_takes_settings() -> None:
    sub = t.submodule({"freeform_type": t.attrs_of(t.str), "options": {"port": option(t.port, default=80)}})
    assert x(sub, {"host": "h"}) == {"port": 80, "host": "h"}


# Looking at options


def options_of(*modules: Any) -> Any:
    return evaluate(list(modules)).options


def test_an_option_says_what_was_declared() -> None:
    kind = t.int
    found = options_of(
        {
            "_file": "d",
            "options": {"a": option(kind, default=1, description="text", example=5, internal=True, visible=False)},
        }
    ).a
    assert (str(found), found.loc, found.type) == ("a", ("a",), kind)
    assert (found.default, found.description, found.example) == (1, "text", 5)
    assert (found.internal, found.visible, found.read_only, found.has_default) == (True, False, False, True)
    assert found.declarations == ("d",)


def test_an_option_says_who_defines_it() -> None:
    found = options_of(
        {"options": {"a": option(t.list_of(t.int))}}, {"_file": "f1", "a": [1]}, {"_file": "f2", "a": [2]}
    ).a
    assert found.definitions == ([2], [1])
    assert found.files == ("f2", "f1")
    assert [d.value for d in found.definitions_with_locations] == [[2], [1]]
    assert [str(p) for p in found.places] == ["f2", "f1"]
    assert found.is_defined


def test_an_option_is_not_defined_when_its_conditions_are_false() -> None:
    modules = [{"options": {"a": option(t.int)}}, {"a": mk_if(False, 1)}]
    assert not options_of(*modules).a.is_defined
    assert options_of({"options": {"a": option(t.int, default=1)}}).a.is_defined


def test_options_are_a_mapping_of_groups_and_options() -> None:
    options = options_of({"options": {"g": {"b": option(t.int), "a": option(t.int)}, "x": option(t.int)}})
    assert list(options) == ["g", "x"]
    assert list(options.g) == ["a", "b"]
    assert "g" in options
    assert "h" not in options
    assert len(options.g) == 2
    with pytest.raises(KeyError, match=r"There is no option `g\.c'"):
        options.g["c"]


def test_documentation_lists_options_inside_types() -> None:
    sub = t.submodule({"options": {"p": option(t.int, default=1, description="inner")}})
    result = evaluate(
        [{"options": {"m": option(t.attrs_with(elem=sub, placeholder="host")), "l": option(t.list_of(sub))}}]
    )
    assert [str(o) for o in result.documented()] == ["l", "l.*.p", "m", "m.<host>.p"]
    assert [o.description for o in result.documented()] == [None, "inner", None, "inner"]


def test_documentation_leaves_out_what_is_not_for_users() -> None:
    sub = t.submodule({"options": {"p": option(t.int)}})
    options = {
        "internal": option(t.int, internal=True),
        "hidden": option(sub, visible=False),
        "shallow": option(sub, visible="shallow"),
        "transparent": option(sub, visible="transparent"),
        "shown": option(t.int),
    }
    assert [str(o) for o in evaluate([{"options": options}]).documented()] == ["shallow", "shown", "transparent.p"]


def test_documentation_shows_the_tags_of_a_union() -> None:
    kind = t.attr_tag({"a": option(t.int, description="first"), "b": option(t.str)})
    assert [str(o) for o in evaluate([{"options": {"u": option(kind)}}]).documented()] == ["u", "u.a", "u.b"]


def test_documentation_needs_no_values() -> None:
    result = evaluate([{"options": {"s": option(t.submodule(lambda name: {"options": {name: option(t.int)}}))}}])
    assert [str(o) for o in result.documented()] == ["s", "s.<name>"]
    assert result.forced == 0


def test_an_unset_option_has_a_view_without_value() -> None:
    view = options_of({"options": {"a": option(t.int)}}).a
    assert view.definitions == ()
    with pytest.raises(ModuleError, match="no value defined"):
        view.value  # noqa: B018  # looking is the test


def test_a_default_that_is_merged_with_definitions_counts_as_one() -> None:
    found = options_of({"options": {"a": option(t.list_of(t.int), default=[1])}}, {"a": mk_option_default([2])}).a
    assert found.definitions == ([1], [2])


def test_options_in_config_are_recognised_as_the_mistake_they_are() -> None:
    found = error([{"config": {"a": option(t.int)}}])
    assert isinstance(found, UnknownOptionError)
    assert "by placing it into `config' rather than `options'" in str(found.hint)


def test_options_in_the_config_of_a_submodule_too() -> None:
    sub = t.submodule({"config": {"p": 1}})
    found = error_of_x(sub, {})
    assert "There are no options defined in `x'" in str(found.hint)
    assert to_data({"a": (1, 2)}) == {"a": [1, 2]}
