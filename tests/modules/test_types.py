"""Types: which values each takes, what it is called, how definitions are merged, and what is there without any."""

from pathlib import Path
from typing import Any

import pytest

from clanpy.modules import (
    MISSING,
    ConflictError,
    ModuleError,
    TypeMismatchError,
    UnsetOptionError,
    evaluate,
    lazy,
    mk_force,
    mk_if,
    mk_option_type,
    option,
    to_data,
)
from clanpy.modules import types as t
from modules.rig import error_of_x, one_option, x


SUB = t.submodule({"options": {"p": option(t.int, default=1)}})

# Each type with values it takes and values it refuses.
TAKES: dict[str, tuple[t.Type, list[Any], list[Any]]] = {
    "bool": (t.bool, [True, False], [0, 1, "true", None, []]),
    "bool_by_or": (t.bool_by_or, [True, False], [0, "x"]),
    "int": (t.int, [0, -5, 2**63 - 1], [1.0, "1", True, None, 2**63]),
    "float": (t.float, [0.5, -1.0], [1, "1.0", True]),
    "number": (t.number, [1, 1.5], ["1", True, None]),
    "str": (t.str, ["", "a"], [1, None, ["a"], Path("/a")]),
    "non_empty_str": (t.non_empty_str, ["a", " a"], ["", "  \n\t", 1]),
    "single_line_str": (t.single_line_str, ["a"], ["a\nb", "a\rb", 1]),
    "str_matching": (t.str_matching("[a-z]+"), ["abc"], ["", "abc1", "Abc", 1]),
    "lines": (t.lines, ["a", "a\nb"], [1, ["a"]]),
    "commas": (t.commas, ["a"], [1]),
    "env_var": (t.env_var, ["a:b"], [1]),
    "passwd_entry": (t.passwd_entry(t.str), ["a b"], ["a:b", "a\nb", 1]),
    "path": (t.path, ["/a", Path("/a/b")], ["a", "./a", Path("a"), 1, ""]),
    "relative path": (t.path_with(absolute=False), ["a", "./a"], ["/a", 1]),
    "any path": (t.path_with(), ["a", "/a", ""], [1, None]),
    "path in the store": (
        t.path_in_store,
        ["/nix/store/abc-x", "/nix/store/abc-x/bin"],
        ["/nix/store", "/nix/store/", "/a", ""],
    ),
    "external path": (t.external_path, ["/a"], ["/nix/store/abc-x", "a"]),
    "package": (t.package, ["/nix/store/abc-x", {"type": "derivation"}], ["/nix/store/abc-x/bin", "abc", {}, 1]),
    "port": (t.port, [0, 22, 65535], [-1, 65536, "22", 22.0]),
    "ints.positive": (t.ints.positive, [1], [0, -1, 1.5]),
    "ints.unsigned": (t.ints.unsigned, [0, 1], [-1]),
    "ints.between": (t.ints.between(-2, 3), [-2, 0, 3], [-3, 4, 0.5]),
    "ints.u8": (t.ints.u8, [0, 255], [-1, 256]),
    "ints.u16": (t.ints.u16, [65535], [65536]),
    "ints.u32": (t.ints.u32, [2**32 - 1], [2**32, -1]),
    "ints.s8": (t.ints.s8, [-128, 127], [-129, 128]),
    "ints.s16": (t.ints.s16, [-(2**15), 2**15 - 1], [2**15]),
    "ints.s32": (t.ints.s32, [-(2**31), 2**31 - 1], [2**31]),
    "numbers.between": (t.numbers.between(0, 1.5), [0, 0.5, 1.5], [-0.1, 2]),
    "numbers.nonnegative": (t.numbers.nonnegative, [0, 0.0, 1], [-1, -0.5]),
    "numbers.positive": (t.numbers.positive, [0.1, 1], [0, 0.0, -1]),
    "enum of strings": (t.enum(["a", "b"]), ["a", "b"], ["c", 1, None]),
    "enum of numbers": (t.enum([1, 2]), [1, 2], [True, "1", 3]),
    "empty enum": (t.enum([]), [], ["a", None]),
    "list_of": (t.list_of(t.int), [[], [1, 2], (1,)], [{}, "a", [1, "a"], None]),
    "non_empty_list_of": (t.non_empty_list_of(t.int), [[1]], [[], {}, ["a"]]),
    "attrs_of": (t.attrs_of(t.int), [{}, {"a": 1}], [[], "a", {"a": "b"}, {1: 2}]),
    "lazy_attrs_of": (t.lazy_attrs_of(t.int), [{}, {"a": 1}], [[], {"a": "b"}]),
    "null_or": (t.null_or(t.int), [None, 1], ["a", []]),
    "either": (t.either(t.int, t.str), [1, "a"], [1.5, None]),
    "one_of": (t.one_of(t.int, t.str, t.list_of(t.int)), [1, "a", [1]], [1.5, ["a"]]),
    "coerced_to": (t.coerced_to(t.int, str, t.str), [1, "a"], [1.5, None]),
    "unique": (t.unique(t.int), [1], ["a"]),
    "add_check": (t.add_check(t.int, lambda v: v % 2 == 0), [2], [1, "a"]),
    "anything": (t.anything, [1, "a", None, {"a": [1]}, [{}]], []),
    "raw": (t.raw, [1, None, {"a": 1}], []),
    "unspecified": (t.unspecified, [1, None, {"a": 1}, [1]], []),
    "attr_tag": (
        t.attr_tag({"a": option(t.int), "b": option(t.str)}),
        [{"a": 1}, {"b": "x"}],
        [{}, {"c": 1}, {"a": 1, "b": "x"}, {"a": "x"}, 1],
    ),
    "submodule": (SUB, [{}, {"p": 2}], [1, "p", [], {"p": "x"}, {"q": 1}]),
    "function_to": (t.function_to(t.int), [], [1, "a"]),
    "option_type": (t.option_type, [], [1, "int"]),
}


@pytest.mark.parametrize(
    ("kind", "good"),
    [pytest.param(kind, v, id=f"{n}: {v!r}") for n, (kind, good, _) in TAKES.items() for v in good],
)
def test_a_type_takes(kind: t.Type, good: Any) -> None:
    found = x(kind, good)
    assert found == (
        list(good)
        if isinstance(good, tuple)
        else {"p": 1, **good}
        if kind is SUB
        else str(good)
        if kind is TAKES["coerced_to"][0]
        else good
    )


@pytest.mark.parametrize(
    ("kind", "bad"),
    [pytest.param(kind, v, id=f"{n}: {v!r}") for n, (kind, _, bad) in TAKES.items() for v in bad],
)
def test_a_type_refuses(kind: t.Type, bad: Any) -> None:
    assert error_of_x(kind, bad).kind in {"type", "unknown"}


DESCRIPTIONS: dict[str, t.Type] = {
    "boolean": t.bool,
    "signed integer": t.int,
    "floating point number": t.float,
    "signed integer or floating point number": t.number,
    "string": t.str,
    "unsigned integer, meaning >=0": t.ints.unsigned,
    "positive integer, meaning >0": t.ints.positive,
    "integer between 1 and 9 (both inclusive)": t.ints.between(1, 9),
    "16 bit unsigned integer; between 0 and 65535 (both inclusive)": t.port,
    "absolute path": t.path,
    "path in the Nix store": t.path_in_store,
    "absolute path not in the Nix store": t.external_path,
    "relative path": t.path_with(absolute=False),
    'strings concatenated with "\\n"': t.lines,
    "string matching the pattern [a-z]": t.str_matching("[a-z]"),
    'one of "a", 1, true': t.enum(["a", 1, True]),
    'value "a" (singular enum)': t.enum(["a"]),
    "impossible (empty enum)": t.enum([]),
    "list of string": t.list_of(t.str),
    "list of (null or string)": t.list_of(t.null_or(t.str)),
    "list of list of string": t.list_of(t.list_of(t.str)),
    "non-empty (list of string)": t.non_empty_list_of(t.str),
    "attribute set of signed integer": t.attrs_of(t.int),
    "lazy attribute set of signed integer": t.lazy_attrs_of(t.int),
    "attribute set of (submodule)": t.attrs_of(SUB),
    "null or string": t.null_or(t.str),
    "null or (list of string)": t.null_or(t.list_of(t.str)),
    "signed integer or string": t.either(t.int, t.str),
    "signed integer or string or boolean": t.one_of(t.int, t.str, t.bool),
    "signed integer or list of string": t.either(t.int, t.list_of(t.str)),
    "(list of string) or signed integer": t.either(t.list_of(t.str), t.int),
    "positive integer, meaning >0, or string": t.either(t.ints.positive, t.str),
    "string or signed integer convertible to it": t.coerced_to(t.int, str, t.str),
    "function that evaluates to a(n) string": t.function_to(t.str),
    "attribute-tagged union with choices: a, b": t.attr_tag({"b": option(t.int), "a": option(t.int)}),
    "module": t.deferred_module,
    "submodule": SUB,
    "open submodule of attribute set of signed integer": t.submodule({"freeform_type": t.attrs_of(t.int)}),
    "a cluster": t.submodule_with(modules=[], description="a cluster"),
    "anything": t.anything,
    "raw value": t.raw,
    "unspecified value": t.unspecified,
    "optionType": t.option_type,
    "string, not containing newlines or colons": t.passwd_entry(t.str),
}


@pytest.mark.parametrize("text", DESCRIPTIONS)
def test_a_type_is_described_as(text: str) -> None:
    assert DESCRIPTIONS[text].description == text


MERGES: dict[str, tuple[t.Type, list[Any], Any]] = {
    "lists are joined, later modules first": (t.list_of(t.int), [[1], [2, 3]], [2, 3, 1]),
    "attribute sets are united": (t.attrs_of(t.int), [{"a": 1}, {"b": 2}], {"a": 1, "b": 2}),
    "entries are merged by their type": (t.attrs_of(t.list_of(t.int)), [{"a": [1]}, {"a": [2]}], {"a": [2, 1]}),
    "lines are joined by newlines": (t.lines, ["a", "b"], "b\na"),
    "commas are joined by commas": (t.commas, ["a", "b"], "b,a"),
    "env_var is joined by colons": (t.env_var, ["a", "b"], "b:a"),
    "separated_string is joined by its separator": (t.separated_string(" + "), ["a", "b"], "b + a"),
    "bool_by_or is true when one is": (t.bool_by_or, [False, True, False], True),
    "bool_by_or is false when none is": (t.bool_by_or, [False, False], False),
    "equal strings are one": (t.str, ["a", "a"], "a"),
    "equal numbers are one": (t.int, [1, 1], 1),
    "equal lists in an enum are one": (t.enum([[1], [2]]), [[1], [1]], [1]),
    "nulls are one": (t.null_or(t.str), [None, None], None),
    "values in null_or are merged by their type": (t.null_or(t.list_of(t.int)), [[1], [2]], [2, 1]),
    "either merges by the first type that takes all": (
        t.either(t.list_of(t.int), t.list_of(t.str)),
        [[1], [2]],
        [2, 1],
    ),
    "coerced definitions are merged after coercion": (
        t.coerced_to(t.int, lambda n: [n], t.list_of(t.int)),
        [1, [2]],
        [2, 1],
    ),
    "anything merges sets to any depth": (t.anything, [{"a": {"b": 1}}, {"a": {"c": 2}}], {"a": {"b": 1, "c": 2}}),
    "anything takes equal lists": (t.anything, [[1], [1]], [1]),
    "unspecified joins lists": (t.unspecified, [[1], [2]], [2, 1]),
    "unspecified joins strings": (t.unspecified, ["a", "b"], "ba"),
    "unspecified unites sets, the last one wins": (t.unspecified, [{"a": 1}, {"a": 2, "b": 3}], {"a": 1, "b": 3}),
    "unspecified takes bools by or": (t.unspecified, [True, False], True),
    "submodules are merged option by option": (
        t.submodule({"options": {"p": option(t.int), "q": option(t.int)}}),
        [{"p": 10}, {"q": 20}],
        {"p": 10, "q": 20},
    ),
    "attr_tag merges inside the tag": (
        t.attr_tag({"a": option(t.list_of(t.int))}),
        [{"a": [1]}, {"a": [2]}],
        {"a": [2, 1]},
    ),
    "unique takes the only definition that counts": (t.unique(t.int), [1, mk_force(2)], 2),
    "whole and floating numbers are equal in an enum": (t.enum([1, 1.0]), [1, 1.0], 1.0),
}


@pytest.mark.parametrize("name", MERGES)
def test_merging(name: str) -> None:
    kind, definitions, expected = MERGES[name]
    assert x(kind, *definitions) == expected


CONFLICTS: dict[str, tuple[t.Type, list[Any], str]] = {
    "different strings": (t.str, ["a", "b"], "conflicting definition values"),
    "true and false": (t.bool, [True, False], "conflicting definition values"),
    "different numbers": (t.int, [1, 2], "conflicting definition values"),
    "null and something": (t.null_or(t.int), [None, 1], "is defined both null and not null"),
    "two definitions of a unique option": (t.unique(t.int, message="One only."), [1, 1], "One only."),
    "two definitions of a raw option": (t.raw, [1, 1], "expected to be unique"),
    "two packages": (t.package, ["/nix/store/a-b", "/nix/store/a-b"], "expected to be unique"),
    "different lists in anything": (t.anything, [[1], [2]], "conflicting definition values"),
    "different kinds in anything": (t.anything, [1, "a"], "conflicting option types"),
    "a number and a float in anything": (t.anything, [1, 1.0], "conflicting option types"),
    "two tags": (
        t.attr_tag({"a": option(t.int), "b": option(t.int)}),
        [{"a": 1}, {"b": 1}],
        "defined both as `b` and `a`",
    ),
    "different kinds in unspecified": (t.unspecified, [1, "a"], "Cannot merge definitions"),
    "different numbers in unspecified": (t.unspecified, [1, 2], "Cannot merge definitions"),
    "an entry with two values": (t.attrs_of(t.int), [{"a": 1}, {"a": 2}], "The option `x.a' has conflicting"),
}


@pytest.mark.parametrize("name", CONFLICTS)
def test_a_conflict(name: str) -> None:
    kind, definitions, text = CONFLICTS[name]
    found = error_of_x(kind, *definitions)
    assert isinstance(found, ConflictError)
    assert text in found.message


def test_either_refuses_definitions_that_only_different_types_take() -> None:
    assert isinstance(error_of_x(t.either(t.int, t.str), 1, "a"), TypeMismatchError)


def test_whole_and_floating_numbers_are_no_definitions_of_one_number() -> None:
    assert isinstance(error_of_x(t.number, 1, 1.0), TypeMismatchError)


EMPTY: dict[str, tuple[t.Type, Any]] = {
    "list_of": (t.list_of(t.int), []),
    "attrs_of": (t.attrs_of(t.int), {}),
    "lazy_attrs_of": (t.lazy_attrs_of(t.int), {}),
    "null_or": (t.null_or(t.int), None),
    "submodule": (SUB, {"p": 1}),
    "unique of a list": (t.unique(t.list_of(t.int)), []),
    "coerced_to a list": (t.coerced_to(t.int, lambda n: [n], t.list_of(t.int)), []),
    "add_check of a list": (t.add_check(t.list_of(t.int), bool), []),
    "null_or of a list": (t.null_or(t.list_of(t.int)), None),
}
WITHOUT: dict[str, t.Type] = {
    "int": t.int,
    "str": t.str,
    "bool": t.bool,
    "enum": t.enum(["a"]),
    "lines": t.lines,
    "non_empty_list_of": t.non_empty_list_of(t.int),
    "either": t.either(t.int, t.str),
    "raw": t.raw,
    "anything": t.anything,
    "unspecified": t.unspecified,
    "attr_tag": t.attr_tag({"a": option(t.int)}),
    "function_to": t.function_to(t.int),
}


@pytest.mark.parametrize("name", EMPTY)
def test_without_definitions_there_is_the_empty_value_of(name: str) -> None:
    kind, empty = EMPTY[name]
    assert x(kind) == empty


@pytest.mark.parametrize("name", WITHOUT)
def test_there_is_no_empty_value_of(name: str) -> None:
    found = error_of_x(WITHOUT[name])
    assert isinstance(found, UnsetOptionError)
    assert "`x' was accessed but has no value defined. Try setting the option" in found.message


def test_an_empty_value_is_not_shared() -> None:
    modules = [{"options": {"a": option(t.list_of(t.int)), "b": option(t.list_of(t.int))}}]
    config = evaluate(modules).config
    config.a.append(1)
    assert config.b == []


def test_a_default_that_is_a_list_is_not_shared() -> None:
    default: list[int] = []
    modules = one_option(t.list_of(t.int), default=default)
    evaluate(modules).config.x.append(1)
    assert evaluate(modules).config.x == []
    assert default == []


COMBINE: dict[str, tuple[t.Type, t.Type, str | None]] = {
    "int and int": (t.int, t.int, "signed integer"),
    "int and str": (t.int, t.str, None),
    "a range twice": (t.port, t.port, t.port.description),
    "two ranges": (t.ints.positive, t.ints.unsigned, "signed integer"),
    "a range and int": (t.ints.positive, t.int, "signed integer"),
    "int and a range": (t.int, t.ints.positive, "signed integer"),
    "enums are united": (t.enum(["a"]), t.enum(["b", "a"]), 'one of "a", "b"'),
    "lists of enums": (t.list_of(t.enum(["a"])), t.list_of(t.enum(["b"])), 'list of (one of "a", "b")'),
    "lists of different types": (t.list_of(t.int), t.list_of(t.str), None),
    "a list and a non-empty list": (t.list_of(t.int), t.non_empty_list_of(t.int), "list of signed integer"),
    "attrs_of and lazy_attrs_of": (t.attrs_of(t.int), t.lazy_attrs_of(t.int), None),
    "attrs_of twice": (t.attrs_of(t.int), t.attrs_of(t.int), "attribute set of signed integer"),
    "null_or of enums": (t.null_or(t.enum(["a"])), t.null_or(t.enum(["b"])), 'null or one of "a", "b"'),
    "null_or and not": (t.null_or(t.int), t.int, None),
    "either side by side": (t.either(t.int, t.str), t.either(t.int, t.str), "signed integer or string"),
    "patterns that are the same": (t.str_matching("a"), t.str_matching("a"), "string matching the pattern a"),
    "patterns that differ": (t.str_matching("a"), t.str_matching("b"), None),
    "separators that are the same": (t.lines, t.separated_string("\n"), t.lines.description),
    "separators that differ": (t.lines, t.commas, None),
    "paths of one kind": (t.path, t.path, "absolute path"),
    "paths of different kinds": (t.path, t.path_in_store, None),
    "coerced_to never": (t.coerced_to(t.int, str, t.str), t.coerced_to(t.int, str, t.str), None),
    "functions": (
        t.function_to(t.enum(["a"])),
        t.function_to(t.enum(["b"])),
        'function that evaluates to a(n) (one of "a", "b")',
    ),
    "tags are united": (
        t.attr_tag({"a": option(t.int)}),
        t.attr_tag({"b": option(t.int)}),
        "attribute-tagged union with choices: a, b",
    ),
    "deferred modules": (t.deferred_module, t.deferred_module, "module"),
    "raw": (t.raw, t.raw, "raw value"),
    "anything and raw": (t.anything, t.raw, None),
    "unique": (t.unique(t.int), t.unique(t.int), "signed integer"),
}


@pytest.mark.parametrize("name", COMBINE)
def test_declaring_an_option_with_two_types(name: str) -> None:
    first, second, expected = COMBINE[name]
    both = first.combine(second)
    assert (both.description if both is not None else None) == expected


def test_placeholders_of_attribute_sets_have_to_agree() -> None:
    named = t.attrs_with(elem=t.int, placeholder="host")
    other = t.attrs_with(elem=t.int, placeholder="user")
    assert named.combine(t.attrs_of(t.int)) is not None
    assert named.combine(other) is None


def test_types_of_ones_own_check_and_merge() -> None:
    even = mk_option_type(
        "even", check=lambda v: v % 2 == 0, merge=lambda path, defs: sum(d.value for d in defs), empty=0
    )
    assert x(even, 2, 4) == 6
    assert x(even) == 0
    assert isinstance(error_of_x(even, 3), TypeMismatchError)
    assert x(mk_option_type("loose"), [1], [2]) == [2, 1]


def test_functions_are_merged_where_they_are_called() -> None:
    modules = one_option(t.function_to(t.list_of(t.int)), lambda n: [n], lambda n: [n + 1])
    assert evaluate(modules).config.x(1) == [2, 1]


def test_what_a_function_gives_is_checked() -> None:
    modules = one_option(t.function_to(t.int), lambda: "text")
    with pytest.raises(TypeMismatchError, match=r"`x\.<function body>' is not of type `signed integer'"):
        evaluate(modules).config.x()


def test_functions_in_anything_are_merged_pointwise() -> None:
    modules = one_option(t.anything, lambda n: {"a": n}, lambda n: {"b": n})
    assert to_data(evaluate(modules).config.x(3)) == {"a": 3, "b": 3}


def test_an_either_is_asked_for_all_definitions_at_once() -> None:
    kind = t.either(t.attrs_of(t.int), t.attrs_of(t.str))
    # The first type takes any attribute set as such, so it is the one that merges, and finds the text.
    assert isinstance(error_of_x(kind, {"a": "text"}), TypeMismatchError)


def test_coercion_that_raises_is_an_error_with_the_place_of_the_function() -> None:
    def to_int(text: str) -> int:
        return int(text)

    found = error_of_x(t.coerced_to(t.str, to_int, t.int), "many")
    assert found.kind == "computation"
    assert "ValueError" in found.message
    assert found.place is not None
    assert found.place.file == __file__


def test_coercion_that_does_not_fit_is_a_type_error() -> None:
    assert isinstance(error_of_x(t.coerced_to(t.str, len, t.ints.between(0, 3)), "too long"), TypeMismatchError)


def test_coercion_from_a_submodule_is_refused() -> None:
    with pytest.raises(ValueError, match="must not have submodules"):
        t.coerced_to(SUB, str, t.str)


def test_a_tag_has_to_be_an_option() -> None:
    with pytest.raises(ModuleError, match="tag a was a bare type"):
        t.attr_tag({"a": t.int})


def test_path_types_that_contradict_themselves_are_refused() -> None:
    with pytest.raises(ValueError, match="in_store means that the path must be absolute"):
        t.path_with(in_store=True, absolute=False)


def test_ranges_the_wrong_way_round_are_refused() -> None:
    with pytest.raises(ValueError, match="lowest must be smaller"):
        t.ints.between(2, 1)
    with pytest.raises(ValueError, match="lowest must be smaller"):
        t.numbers.between(2, 1)


def test_the_shallow_attribute_set_of_nix_is_not_offered() -> None:
    with pytest.raises(AttributeError, match="silently loses what is nested"):
        t.attrs  # noqa: B018  # looking is the test


def test_one_of_wants_at_least_one_type() -> None:
    with pytest.raises(ValueError, match="at least one type"):
        t.one_of()


def test_attribute_sets_go_through_their_names_in_order() -> None:
    assert list(evaluate(one_option(t.attrs_of(t.int), {"b": 1, "a": 2, "c": 3})).config.x) == ["a", "b", "c"]


def test_entries_of_an_attribute_set_may_use_each_other_when_it_is_lazy() -> None:
    modules = one_option(t.lazy_attrs_of(t.int), {"a": lazy(lambda config: config.x.b + 1), "b": 1})
    assert evaluate(modules).config.x.a == 2


def test_entries_of_a_strict_attribute_set_can_not_use_each_other() -> None:
    modules = one_option(t.attrs_of(t.int), {"a": lazy(lambda config: config.x.b + 1), "b": 1})
    with pytest.raises(ModuleError, match="infinite recursion"):
        evaluate(modules).config.x.a  # noqa: B018  # looking is the test


def test_types_as_values_are_merged_like_declarations() -> None:
    kind = evaluate(one_option(t.option_type, t.enum(["a"]), t.enum(["b"]))).config.x
    assert kind.description == 'one of "b", "a"'


def test_the_parts_of_a_type_can_be_looked_at() -> None:
    kind: Any = t.null_or(t.list_of(t.enum(["a", "b"])))
    assert kind.nested["elem"].nested["elem"].values == ("a", "b")
    assert {"from": t.int, "to": t.str} == t.coerced_to(t.int, str, t.str).nested
    bounded: Any = t.ints.between(1, 5)
    assert (bounded.lowest, bounded.highest) == (1, 5)
    assert t.either(t.int, t.str).nested == {"left": t.int, "right": t.str}


def test_missing_is_not_none() -> None:
    assert MISSING is not None
    assert not MISSING


def test_a_false_condition_on_every_element_of_a_non_empty_list_leaves_an_empty_one() -> None:
    assert x(t.non_empty_list_of(t.int), [mk_if(False, 1)]) == []
