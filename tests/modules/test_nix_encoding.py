"""Modules as data for Nix."""

import json
from pathlib import Path
from typing import Any

import pytest

from clanpy.modules import (
    ConversionError,
    evaluate,
    lazy,
    mk_after,
    mk_default,
    mk_definition,
    mk_force,
    mk_if,
    mk_merge,
    option,
    to_nix_module,
)
from clanpy.modules import types as t
from clanpy.modules.deferred import DeferredModule, NixData, NixFile


CASES: dict[str, tuple[Any, Any]] = {
    "plain data": ({"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}),
    "a priority": ({"a": mk_force(1)}, {"a": {"_type": "override", "priority": 50, "content": 1}}),
    "an order": ({"a": mk_after([1])}, {"a": {"_type": "order", "priority": 1500, "content": [1]}}),
    "a condition": ({"a": mk_if(True, 1)}, {"a": {"_type": "if", "condition": True, "content": 1}}),
    "a lazy condition": (
        {"a": mk_if(lazy(lambda: False), 1)},
        {"a": {"_type": "if", "condition": False, "content": 1}},
    ),
    "a merge": (
        {"a": mk_merge([1, mk_default(2)])},
        {"a": {"_type": "merge", "contents": [1, {"_type": "override", "priority": 1000, "content": 2}]}},
    ),
    "a definition": ({"a": mk_definition(file="f", value=1)}, {"a": {"_type": "definition", "file": "f", "value": 1}}),
    "a lazy value": ({"a": lazy(lambda: [1])}, {"a": [1]}),
    "a function without arguments": (lambda: {"a": 1}, {"a": 1}),
    "a tuple": ({"a": (1, 2)}, {"a": [1, 2]}),
    "a path": ({"a": Path("/x")}, {"a": "/x"}),
    "imports": ({"imports": [{"a": 1}, "/x.nix", Path("/y.nix")]}, {"imports": [{"a": 1}, "/x.nix", "/y.nix"]}),
    "structural keys": (
        {"config": {"a": 1}, "class": "nixos", "file": "f", "disabled_modules": ["x"], "key": "k"},
        {"config": {"a": 1}, "_class": "nixos", "_file": "f", "disabledModules": ["x"], "key": "k"},
    ),
    "shorthand keeps class and file as options": ({"class": "x", "file": "y"}, {"class": "x", "file": "y"}),
    "a condition around everything": (mk_if(True, {"a": 1}), {"_type": "if", "condition": True, "content": {"a": 1}}),
    "data that is marked as such": (NixData({"a": 1}), {"a": 1}),
    "a nix file": (NixFile(Path("/m.nix")), "/m.nix"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_module_becomes(case: tuple[Any, Any]) -> None:
    found = to_nix_module(case[0])
    assert found == case[1]
    json.dumps(found)


REFUSED: dict[str, tuple[Any, str]] = {
    "a function of config": (lambda config: {}, "asks for `config', which only Nix knows"),
    "a function in a value": ({"a": lambda: 1}, "`a' is a function, which has no form in Nix"),
    "options": ({"options": {"a": option(t.int)}}, "can't declare options here"),
    "an option in a value": ({"a": option(t.int)}, "`a' is an option declaration"),
    "a type": ({"a": t.int}, "`a' is a type (`signed integer')"),
    "an object": ({"a": object()}, "which has no form in Nix"),
    "a condition that is no bool": ({"a": mk_if(1, 2)}, "non-Boolean condition"),
    "a file with settings": (NixFile(Path("/m.nix"), settings={"a": 1}), "is more than a path"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_what_has_no_form_in_nix_is_refused(case: tuple[Any, str]) -> None:
    with pytest.raises(ConversionError) as raised:
        to_nix_module(case[0])
    assert case[1] in raised.value.message


def test_deep_data_is_refused_and_does_not_break() -> None:
    value: Any = 1
    for _ in range(5_000):
        value = {"n": value}
    with pytest.raises(ConversionError, match="nested too deeply for Nix"):
        to_nix_module(value)


def test_a_file_can_become_something_else() -> None:
    module = {"imports": [NixFile(Path("/m.nix"), settings={"n": 1}), Path("/p.nix")]}
    assert to_nix_module(module, file=lambda f: {"file": str(getattr(f, "path", f))}) == {
        "imports": [{"file": "/m.nix"}, {"file": "/p.nix"}]
    }


DEFERRED = {"options": {"aspects": option(t.lazy_attrs_of(t.deferred_module), default={})}}


def test_a_deferred_option_collects_modules_with_their_files(tmp_path: Path) -> None:
    path = tmp_path / "f.toml"
    path.write_text("[aspects.base]\nservices.ssh.enable = { _default = true }\n")
    modules = [DEFERRED, path, {"_file": "second", "aspects": {"base": {"networking": {"x": 1}}}}]
    found = evaluate(modules).config.aspects.base
    assert [part.file for part in found] == ["second, via option aspects.base", f"{path}, via option aspects.base"]
    assert str(found.parts[1].place) == f"{path}:1:10"
    assert to_nix_module(found) == {
        "imports": [
            {"_file": "second, via option aspects.base", "imports": [{"networking": {"x": 1}}]},
            {
                "_file": f"{path}, via option aspects.base",
                "imports": [
                    {"services": {"ssh": {"enable": {"_type": "override", "priority": 1000, "content": True}}}}
                ],
            },
        ]
    }


def test_a_deferred_module_means_here_what_it_would_mean_in_nix() -> None:
    found = evaluate(
        [DEFERRED, {"aspects": {"a": {"n": mk_default(1), "l": ["x"]}}}, {"aspects": {"a": {"n": 2, "l": ["y"]}}}]
    ).config
    options = {"options": {"n": option(t.int), "l": option(t.list_of(t.str))}}
    assert evaluate([options, found.aspects.a]).config == {"n": 2, "l": ["x", "y"]}


def test_errors_in_a_deferred_module_name_the_file_and_the_option() -> None:
    found = evaluate([DEFERRED, {"_file": "bad.toml", "aspects": {"a": {"n": "bogus"}}}]).config.aspects.a
    problem = evaluate([{"options": {"n": option(t.int)}}, found]).errors()[0]
    assert 'In `bad.toml, via option aspects.a\': "bogus"' in str(problem)


def test_deferred_modules_are_not_evaluated() -> None:
    def module(pkgs: Any) -> Any:
        raise AssertionError

    config = evaluate([DEFERRED, {"aspects": {"a": module}}]).config
    assert config.aspects.a.imports == (module,)


def test_a_deferred_option_without_definitions_has_no_value_and_an_empty_merge_is_empty() -> None:
    kind = t.deferred_module_with(static_modules=[{"n": 1}])
    config = evaluate([{"options": {"m": option(kind)}}, {"m": {"n": 1}}]).config
    assert config.m.imports == ({"n": 1}, {"n": 1})
    assert len(config.m) == 2


def test_values_for_nix_can_be_deferred() -> None:
    carried = DeferredModule("nixos.a", "nixos", NixData({"a": mk_force(1)}), "tag all")
    config = evaluate([DEFERRED, {"aspects": {"a": carried}}]).config
    assert to_nix_module(config.aspects.a)["imports"][0]["imports"] == [
        {"_file": "tag all", "key": "nixos.a", "imports": [{"a": {"_type": "override", "priority": 50, "content": 1}}]}
    ]


@pytest.mark.parametrize("value", [1, "relative", None, [1]], ids=repr)
def test_a_deferred_module_has_to_look_like_one(value: Any) -> None:
    problem = evaluate([{"options": {"m": option(t.deferred_module)}}, {"m": value}]).errors()[0]
    assert "`m' is not of type `module'" in problem.message


def test_values_for_nix_can_not_be_imported_here() -> None:
    problem = evaluate([NixFile(Path("/m.nix"))]).errors()[0]
    assert problem.kind == "shape"


def test_errors_in_a_deferred_module_have_the_line_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "f.toml"
    path.write_text('[aspects.a]\n# a comment\nn = "bogus"\n')
    found = evaluate([DEFERRED, path]).config.aspects.a
    problem = evaluate([{"options": {"n": option(t.int)}}, found]).errors()[0]
    assert str(problem.place) == f"{path}:3:1"
