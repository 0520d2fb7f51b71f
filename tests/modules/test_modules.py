"""What a module is: its two shapes, imports, keys, disabling, classes, and the arguments of functions."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from clanpy.modules import (
    ClassMismatchError,
    InfiniteRecursionError,
    MissingArgumentError,
    ModuleError,
    ShapeError,
    evaluate,
    lazy,
    mk_force,
    mk_if,
    mk_merge,
    option,
    to_data,
)
from clanpy.modules import types as t
from modules.rig import error, value


OPTIONS = {"options": {"a": option(t.int, default=0), "b": option(t.int, default=0), "l": option(t.list_of(t.str))}}


def lists(modules: list[Any], **more: Any) -> Any:
    return value([OPTIONS, *modules], "l", **more)


# Shapes

SHAPES: dict[str, Any] = {
    "shorthand": {"a": 1},
    "structured": {"config": {"a": 1}},
    "structured with empty options": {"options": {}, "config": {"a": 1}},
    "function giving shorthand": lambda: {"a": 1},
    "function giving structured": lambda: {"config": {"a": 1}},
    "function of config": lambda config: {"a": 1},
    "function with keywords": lambda **args: {"a": 1},
    "partial": partial(lambda n, config: {"a": n}, 1),
    "condition as the whole module": mk_if(True, {"a": 1}),
    "condition as config": {"config": mk_if(True, {"a": 1})},
    "function giving a condition": lambda: mk_if(True, {"a": 1}),
    "merge as the whole module": mk_merge([{"a": 1}, {"b": 0}]),
    "merge as config": {"config": mk_merge([{"a": 1}])},
    "force as the whole module": mk_force({"a": 1}),
    "lazy config": {"config": lazy(lambda: {"a": 1})},
    "lazy module": lazy(lambda: {"a": 1}),
    "imports only": {"imports": [{"a": 1}]},
}


@pytest.mark.parametrize("module", SHAPES.values(), ids=SHAPES)
def test_a_module_may_be_written_as(module: Any) -> None:
    assert value([OPTIONS, module], "a") == 1


class Callable:
    def __call__(self, config: Any) -> Any:
        return {"a": 1}

    def method(self, config: Any) -> Any:
        return {"a": 1}


def test_methods_and_objects_that_can_be_called_are_functions_too() -> None:
    assert value([OPTIONS, Callable()], "a") == 1
    assert value([OPTIONS, Callable().method], "a") == 1


NO_MODULES: dict[str, tuple[Any, str]] = {
    "a number": (5, 'found a value of type "int"'),
    "nothing": (None, 'found a value of type "null"'),
    "a set": ({1, 2}, "Expected a module"),
    "a list": ([{"a": 1}], "can't be nested lists"),
    "a configuration": (evaluate([]), 'found a value of type "configuration"'),
    "a function that gives a number": (lambda: 5, 'found a value of type "int"'),
    "a class": (dict, "Expected a module"),
}


@pytest.mark.parametrize("case", NO_MODULES.values(), ids=NO_MODULES)
def test_what_is_no_module_is_refused(case: tuple[Any, str]) -> None:
    found = error([case[0]])
    assert isinstance(found, ShapeError)
    assert case[1] in found.message


def test_the_two_shapes_can_not_be_mixed() -> None:
    found = error([OPTIONS, {"_file": "k", "config": {"a": 1}, "y": 2, "z": 3}])
    assert isinstance(found, ShapeError)
    assert "Module `k' has an unsupported attribute `y'" in found.message
    assert "(namely: `y', `z')" in found.message


def test_a_mistyped_key_of_a_structured_module_gets_a_suggestion() -> None:
    assert "Did you mean `imports'" in str(error([{"config": {}, "import": []}]).hint)


def test_in_shorthand_class_file_and_meta_are_options() -> None:
    options = {"options": {n: option(t.str) for n in ("class", "file")} | {"meta": option(t.anything)}}
    config = value([options, {"class": "nixos", "file": "f", "meta": {"n": 1}}])
    assert config == {"class": "nixos", "file": "f", "meta": {"n": 1}}


def test_in_a_structured_module_meta_is_a_definition_of_the_option_meta() -> None:
    assert value([{"options": {"meta": option(t.anything)}}, {"config": {}, "meta": {"n": 1}}], "meta") == {"n": 1}


def test_nix_spelling_of_the_keys_is_understood() -> None:
    module = {
        "_file": "f",
        "_class": "nixos",
        "freeformType": t.attrs_of(t.int),
        "disabledModules": [],
        "config": {"n": 1},
    }
    assert value([module], class_="nixos") == {"n": 1}


def test_an_unknown_class_in_shorthand_gets_a_hint() -> None:
    assert "write `_class'" in str(error([{"class": "nixos"}, {"options": {"zzzzzzzzzz": option(t.int)}}]).hint)


def test_imports_have_to_be_a_list() -> None:
    assert (
        "`imports' of module `f' is a value of type `string' rather than a list"
        in error([{"_file": "f", "imports": "x"}]).message
    )


# Imports


def test_a_value_without_key_counts_as_often_as_it_is_imported() -> None:
    pear = {"l": ["pear"]}
    assert lists([pear, pear]) == ["pear", "pear"]


def test_a_value_with_key_counts_once() -> None:
    pear = {"key": "k", "l": ["pear"]}
    assert lists([pear, {"imports": [pear]}, pear]) == ["pear"]


def test_of_two_modules_with_one_key_the_first_counts() -> None:
    assert lists([{"key": "k", "l": ["first"]}, {"key": "k", "l": ["second"]}]) == ["first"]


def test_a_module_nearer_to_the_root_comes_before_a_deeper_one_with_its_key() -> None:
    deep = {"imports": [{"imports": [{"key": "k", "l": ["deep"]}]}]}
    assert lists([deep, {"imports": [{"key": "k", "l": ["near"]}]}]) == ["near"]


def test_imports_may_depend_on_special_arguments() -> None:
    def module(which: Any) -> Any:
        return {"imports": [{"l": [which]}]}

    assert lists([module], special_args={"which": "this"}) == ["this"]


def test_imports_can_not_depend_on_config() -> None:
    def module(config: Any) -> Any:
        return {"imports": [{"a": 1}] if config.b else []}

    found = error([OPTIONS, module])
    assert isinstance(found, InfiniteRecursionError)
    assert "the configuration is read while the modules are being collected" in found.message
    assert "`imports`" in str(found.hint)
    assert found.place is not None
    assert found.place.file == __file__


def test_a_module_that_imports_itself_is_an_error() -> None:
    module: dict[str, Any] = {}
    module["imports"] = [module]
    assert "imports itself" in error([module]).message


def test_a_function_that_imports_itself_is_an_error() -> None:
    def module() -> Any:
        return {"imports": [module]}

    assert "imports itself" in error([module]).message


def test_endless_imports_of_ever_new_modules_are_an_error() -> None:
    def module(n: int) -> Any:
        return lambda: {"imports": [module(n + 1)]}

    assert "go on endlessly" in error([module(0)]).message


def test_a_thousand_modules_inside_each_other_are_fine() -> None:
    module: Any = {"l": ["inner"]}
    for _ in range(1_000):
        module = {"imports": [module]}
    assert lists([module]) == ["inner"]


def test_ten_thousand_modules_side_by_side_are_fine() -> None:
    assert len(lists([{"l": ["x"]} for _ in range(10_000)])) == 10_000


def test_a_ladder_of_diamonds_is_loaded_once() -> None:
    calls = []
    module: Any = {"key": "bottom", "l": ["x"]}
    for n in range(12):

        def rung(n: int, below: Any) -> Any:
            calls.append(n)
            return {"key": f"rung{n}", "imports": [below]}

        module = partial(rung, n, module)
    assert lists([module]) == ["x"]


def test_the_graph_says_who_imports_whom() -> None:
    inner = {"key": "inner", "_file": "inner.toml"}
    result = evaluate(
        [{"key": "outer", "_file": "outer.py", "imports": [inner]}, {"disabled_modules": [{"key": "inner"}]}]
    )
    outer = result.graph[0]
    assert (outer.key, outer.file, outer.disabled) == ("outer", "outer.py", False)
    assert (outer.imports[0].key, outer.imports[0].disabled) == ("inner", True)
    assert result.graph[1].key == ":anon-2"


# Disabling


def test_a_disabled_module_does_not_count() -> None:
    modules = [{"key": "k1", "l": ["dropped"]}, {"l": ["kept"], "disabled_modules": [{"key": "k1"}]}]
    assert lists(modules) == ["kept"]


def test_what_only_a_disabled_module_imports_does_not_count() -> None:
    gone = {"key": "k", "imports": [{"key": "inner", "l": ["inner"]}]}
    assert lists([gone, {"disabled_modules": [{"key": "k"}]}]) == []


def test_what_somebody_else_imports_too_still_counts() -> None:
    inner = {"key": "inner", "l": ["inner"]}
    assert lists([{"key": "k", "imports": [inner]}, inner, {"disabled_modules": [{"key": "k"}]}]) == ["inner"]


def test_a_disabled_module_can_disable_others() -> None:
    modules = [
        {"key": "a", "disabled_modules": [{"key": "b"}]},
        {"key": "b", "l": ["b"]},
        {"disabled_modules": [{"key": "a"}]},
    ]
    assert lists(modules) == []


def test_disabling_a_declaration_makes_its_definitions_unknown() -> None:
    modules = [{"key": "decl", "options": {"q": option(t.int)}}, {"q": 1}, {"disabled_modules": [{"key": "decl"}]}]
    assert "The option `q' does not exist" in error(modules).message


def test_a_name_without_effect_is_a_warning() -> None:
    result = evaluate([{"_file": "f", "disabled_modules": [{"key": "nobody"}]}])
    assert any("`nobody', which is no module here" in w for w in result.warnings)


def test_disabling_a_value_without_key_is_an_error() -> None:
    found = error([{"_file": "f", "disabled_modules": [{"l": []}]}])
    assert "Module `f' contains a disabled_modules item that is an attribute set" in found.message


@pytest.mark.parametrize("item", [5, None, ["x"]], ids=repr)
def test_disabling_something_without_a_name_is_an_error(item: Any) -> None:
    assert "must be a path, a string or a mapping with a key" in error([{"disabled_modules": [item]}]).message


def test_files_are_disabled_by_their_path(tmp_path: Path) -> None:
    (tmp_path / "gone.toml").write_text('l = ["gone"]')
    modules = [tmp_path / "gone.toml", {"disabled_modules": [tmp_path / "gone.toml"]}]
    assert lists(modules) == []


def test_files_are_disabled_by_a_path_below_modules_path(tmp_path: Path) -> None:
    (tmp_path / "gone.toml").write_text('l = ["gone"]')
    modules = [tmp_path / "gone.toml", {"disabled_modules": ["gone.toml"]}]
    assert lists(modules, special_args={"modules_path": tmp_path}) == []


# Classes


def test_a_module_of_another_class_is_refused() -> None:
    found = error([{"_file": "mac", "_class": "darwin"}], class_="nixos")
    assert isinstance(found, ClassMismatchError)
    assert found.message == (
        'The module `mac` (class: "darwin") cannot be imported into a module evaluation that expects class "nixos"'
    )


@pytest.mark.parametrize("class_", [None, "nixos"])
def test_a_module_without_class_is_taken_anywhere(class_: str | None) -> None:
    assert value([OPTIONS, {"a": 1}], "a", class_=class_) == 1


def test_without_a_class_every_module_is_taken() -> None:
    assert value([OPTIONS, {"_class": "nixos", "a": 1}, {"_class": "darwin", "b": 1}], "a") == 1


def test_a_nameless_module_of_another_class_is_called_by_its_key() -> None:
    assert "The module `:anon-1`" in error([{"_class": "darwin"}], class_="nixos").message


def test_a_module_can_ask_for_the_class() -> None:
    assert lists([lambda class_: {"l": [class_]}], class_="nixos") == ["nixos"]


def test_classes_of_submodules_are_checked() -> None:
    kind = t.submodule_with(modules=[], class_="nixos")
    assert isinstance(error([{"options": {"x": option(kind)}}, {"x": {"_class": "darwin"}}], "x"), ClassMismatchError)


# Arguments


def test_arguments_are_given_by_name() -> None:
    def module(options: Any, config: Any, special_args: Any, prefix: Any) -> Any:
        return {"l": [str(sorted(special_args)), ".".join(prefix)]}

    assert lists([module], special_args={"n": 1}, prefix=["p"]) == ["['n']", "p"]


def test_modules_give_each_other_arguments() -> None:
    assert lists([lambda word: {"l": [word]}, {"_module": {"args": {"word": "hi"}}}]) == ["hi"]


def test_an_argument_may_be_computed_from_the_configuration() -> None:
    modules = [
        OPTIONS,
        lambda double: {"b": double},
        {"a": 21, "_module": {"args": {"double": lazy(lambda config: config.a * 2)}}},
    ]
    assert value(modules, "b") == 42


def test_an_argument_can_be_used_in_expressions_before_it_is_known() -> None:
    modules = [OPTIONS, lambda number, word: {"a": number + 1, "l": [word.upper(), word[0]]}]
    given = {"_module": {"args": {"number": 1, "word": "hi"}}}
    assert value([*modules, given]) == {"a": 2, "b": 0, "l": ["HI", "h"]}


def test_a_missing_argument_is_named_with_the_module() -> None:
    found = error([OPTIONS, {"_file": "f", "imports": [lambda foo: {"a": foo}]}], "a")
    assert isinstance(found, MissingArgumentError)
    assert "while evaluating the module argument `foo' in `f'" in found.message


def test_a_missing_argument_does_not_matter_when_it_is_not_used() -> None:
    assert value([OPTIONS, lambda foo: {"a": 1}], "a") == 1


def test_a_mistyped_argument_gets_a_suggestion() -> None:
    found = error([OPTIONS, lambda confg: {"a": confg.b}], "a")
    assert "Did you mean `config'" in str(found.hint)


def test_an_argument_with_a_default_is_given_all_the_same() -> None:
    def module(word: Any = "default") -> Any:
        return {"l": [word]}

    assert lists([module, {"_module": {"args": {"word": "given"}}}]) == ["given"]
    assert lists([module]) == ["default"]


def test_special_arguments_win_over_arguments_of_modules() -> None:
    modules = [lambda word: {"l": [word]}, {"_module": {"args": {"word": "module"}}}]
    assert lists(modules, special_args={"word": "special"}) == ["special"]


def test_an_argument_given_twice_is_an_error() -> None:
    given = {"_module": {"args": {"word": "x"}}}
    assert (
        "`_module.args.word' is defined multiple times"
        in error([OPTIONS, lambda word: {"l": [word]}, given, given], "l").message
    )


def test_an_argument_with_a_priority_can_be_overridden() -> None:
    modules = [{"_module": {"args": {"word": "x"}}}, {"_module": {"args": {"word": mk_force("y")}}}]
    assert lists([lambda word: {"l": [word]}, *modules]) == ["y"]


def test_keywords_get_what_is_known_from_the_start() -> None:
    def module(**args: Any) -> Any:
        return {"l": sorted(args.keys() & {"config", "options", "lib", "special_args", "which", "later"})}

    found = lists([module, {"_module": {"args": {"later": 1}}}], special_args={"which": 1})
    assert found == ["config", "lib", "options", "special_args", "which"]


def test_the_library_is_an_argument() -> None:
    assert value([OPTIONS, lambda lib: {"a": lib.mk_force(3)}, {"a": 1}], "a") == 3


def test_arguments_of_imports_have_to_be_special_ones() -> None:
    def module(extra: Any) -> Any:
        return {"imports": extra}

    found = error([OPTIONS, module, {"_module": {"args": {"extra": [{"a": 1}]}}}])
    assert isinstance(found, InfiniteRecursionError)


def test_config_in_a_module_function_stands_for_values_to_come() -> None:
    def module(config: Any) -> Any:
        return {"b": config.a * 2 + 1, "l": [config["words"][0]], "words": ["x"]}

    modules = [OPTIONS, {"options": {"words": option(t.list_of(t.str))}}, module, {"a": 3}]
    assert value(modules) == {"a": 3, "b": 7, "l": ["x"], "words": ["x"]}


OPERATIONS: dict[str, Any] = {
    "addition": (lambda c: c.a + 1, 7),
    "addition from the left": (lambda c: 1 + c.a, 7),
    "subtraction": (lambda c: c.a - 1, 5),
    "subtraction from the left": (lambda c: 10 - c.a, 4),
    "multiplication": (lambda c: c.a * 2, 12),
    "division": (lambda c: c.a // 4, 1),
    "remainder": (lambda c: c.a % 4, 2),
    "power": (lambda c: c.a**2, 36),
    "negation": (lambda c: -c.a, -6),
    "bits": (lambda c: c.a & 2 | 1, 3),
    "both from config": (lambda c: c.a + c.b, 8),
    "a comparison in a condition": (lambda c: mk_if(c.a > 5, 1), 1),
    "equality in a condition": (lambda c: mk_if(c.a == 6, 2), 2),
    "inequality in a condition": (lambda c: mk_if(c.a != 5, 3), 3),
    "a method": (lambda c: c.a.bit_length(), 3),
}


@pytest.mark.parametrize("case", OPERATIONS.values(), ids=OPERATIONS)
def test_values_to_come_can_be_computed_with(case: Any) -> None:
    options = {"options": {"a": option(t.int), "b": option(t.int), "r": option(t.int, default=0)}}
    assert value([options, {"a": 6, "b": 2}, lambda config: {"r": case[0](config)}], "r") == case[1]


@pytest.mark.parametrize(
    "use",
    [bool, str, int, float, len, list, lambda v: f"{v}", lambda v: 1 in v, hash, range],
    ids=["bool", "str", "int", "float", "len", "list", "format", "in", "hash", "index"],
)
def test_what_python_wants_to_know_at_once_is_an_error_that_says_where(use: Any) -> None:
    found = error([OPTIONS, lambda config: {"a": use(config.b)}])
    assert isinstance(found, InfiniteRecursionError)
    assert found.place is not None
    assert found.place.file == __file__
    assert "lazy(lambda: …)" in str(found.hint)


def test_a_module_can_depend_on_which_options_exist() -> None:
    def module(options: Any) -> Any:
        return {"config": lazy(lambda: {"a": 1} if "b" in options else {"zzz": 1})}

    assert value([OPTIONS, module], "a") == 1


def test_a_module_can_read_definitions_of_options() -> None:
    def module(options: Any) -> Any:
        return {"a": lazy(lambda: 1 if options.l.is_defined else 0), "b": lazy(lambda: len(options.l.definitions))}

    assert value([OPTIONS, module, {"l": ["x"]}, {"l": ["y"]}]) == {"a": 1, "b": 2, "l": ["y", "x"]}


def test_a_module_can_extend_its_own_evaluation() -> None:
    def module(extend_modules: Any) -> Any:
        return {"b": lazy(lambda: extend_modules([{"a": mk_force(5)}]).config.a)}

    assert value([OPTIONS, module, {"a": 1}]) == {"a": 1, "b": 5, "l": []}


def test_a_module_that_raises_is_an_error_with_its_place() -> None:
    def module() -> Any:
        raise RuntimeError("out of order")

    found = error([module])
    assert found.kind == "computation"
    assert "`module' raised RuntimeError: out of order" in found.message
    assert found.place is not None
    assert (found.place.file, found.place.line) == (__file__, module.__code__.co_firstlineno + 1)


def test_all_modules_that_can_not_be_loaded_are_reported() -> None:
    def broken() -> Any:
        raise RuntimeError("one")

    found: Any = error([broken, 5, {"config": {}, "zzz": 1}])
    assert {type(e).__name__ for e in found.errors} == {"ComputationError", "ShapeError"}
    assert len(found.errors) == 3


# Results


def test_a_result_can_be_extended() -> None:
    result = evaluate([OPTIONS, {"a": 1}])
    more = result.extend([{"a": mk_force(2)}], special_args={"n": 1})
    assert (result.config.a, more.config.a) == (1, 2)
    assert more.extend([lambda n: {"b": n}]).config.b == 1


def test_an_extended_result_can_be_extended_again() -> None:
    result = evaluate([OPTIONS]).extend([{"l": ["1"]}]).extend([{"l": ["2"]}])
    assert result.config.l == ["2", "1"]


def test_a_result_is_a_type() -> None:
    inner = evaluate([OPTIONS, {"l": ["inner"]}])
    assert value([{"options": {"x": option(inner.type)}}, {"x": {"l": ["outer"]}}], "x.l") == ["outer", "inner"]


def test_attributes_and_items_are_the_same() -> None:
    config = evaluate([{"options": {"a-b": option(t.int, default=1), "items": option(t.int, default=2)}}]).config
    assert config["a-b"] == 1
    assert config["items"] == 2
    assert dict(config.items()) == {"a-b": 1, "items": 2}


def test_names_that_the_library_uses_itself_can_be_options() -> None:
    names = ["group", "level", "definitions", "evaluation", "path", "loc", "type", "value", "config", "options", "name"]
    config = evaluate([{"options": {n: option(t.str, default=n) for n in names}}]).config
    assert [getattr(config, n) for n in names] == names


def test_a_missing_name_is_an_attribute_error_and_a_key_error() -> None:
    config = evaluate([OPTIONS]).config
    with pytest.raises(AttributeError, match="There is no option `aa'"):
        config.aa  # noqa: B018  # looking is the test
    with pytest.raises(KeyError):
        config["aa"]
    assert config.get("aa") is None
    assert not hasattr(config, "aa")


def test_a_configuration_is_a_mapping() -> None:
    config = evaluate([OPTIONS, {"a": 1}]).config
    assert config == {"a": 1, "b": 0, "l": []}
    assert len(config) == 3
    assert "a" in config
    assert config.get("c") is None
    assert {"a", "b", "l"} <= set(dir(config))
    assert repr(config) == "<Config (root): a, b, l>"
    assert {**config} == to_data(config)


def test_internal_options_are_not_among_the_names() -> None:
    config = evaluate([OPTIONS]).config
    assert "_module" not in list(config)
    assert config["_module"]["check"] is True


def test_checking_can_be_turned_off() -> None:
    assert value([OPTIONS, {"zzz": 1, "_module": {"check": False}}], "a") == 0


def test_an_unknown_option_is_found_even_under_a_false_condition() -> None:
    with pytest.raises(ModuleError, match="`zzz' does not exist"):
        evaluate([OPTIONS, mk_if(False, {"zzz": 1})]).config  # noqa: B018  # looking is the test
