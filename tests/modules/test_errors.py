"""Errors: all at once, each with its place, its definitions and a remedy."""

import json
import pickle
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from clanpy.modules import (
    EvaluationError,
    InfiniteRecursionError,
    LoadError,
    ModuleError,
    Place,
    UnknownOptionError,
    evaluate,
    lazy,
    mk_force,
    option,
)
from clanpy.modules import types as t
from modules.rig import error, error_of_x, x


SERVER = {
    "options": {
        "server": {
            "enable": option(t.bool, default=False),
            "port": option(t.port, default=80),
            "hosts": option(t.list_of(t.str), default=[]),
            "sites": option(t.attrs_of(t.submodule({"options": {"root": option(t.path)}})), default={}),
        }
    }
}


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(dedent(text).lstrip("\n"))
    return path


def places(result: Any) -> list[str]:
    return [f"{Path(e.place.file).name}:{e.place.line}:{e.place.column}" for e in result.errors()]


# Texts

TEXTS: dict[str, tuple[Any, str]] = {
    "a conflict": (
        lambda: error_of_x(t.str, "a", "b"),
        'B: The option `x\' has conflicting definition values:\n- In `B\': "b"\n- In `A\': "a"\n\nUse `mk_force(value)` or',
    ),
    "a wrong type": (
        lambda: error_of_x(t.int, "a"),
        "A definition for option `x' is not of type `signed integer'. Definition values:\n- In `A': \"a\"",
    ),
    "no value": (
        lambda: error_of_x(t.int),
        "The option `x' was accessed but has no value defined. Try setting the option",
    ),
    "a read-only option with a default": (
        lambda: error_of_x(t.int, 2, read_only=True, default=1),
        "': 1\n- In `A': 2",
    ),
    "a read-only option": (
        lambda: error_of_x(t.int, 1, 2, read_only=True),
        "The option `x' is read-only, but it's set multiple times. Definition values:\n- In `B': 2\n- In `A': 1",
    ),
    "a unique option": (
        lambda: error_of_x(t.unique(t.int, message="One is enough."), 1, 2),
        "The option `x' is defined multiple times while it's expected to be unique. One is enough. Definition values:\n- In `B'",
    ),
    "null and not null": (
        lambda: error_of_x(t.null_or(t.int), None, 2),
        "The option `x` is defined both null and not null, in `B' and `A'",
    ),
    "an unknown option": (
        lambda: error([{"_file": "A", "zz": 1}]),
        "The option `zz' does not exist. Definition values:\n- In `A': 1",
    ),
}


@pytest.mark.parametrize("case", TEXTS.values(), ids=TEXTS)
def test_what_an_error_says(case: Any) -> None:
    assert case[1].removeprefix("B: ") in str(case[0]())


def test_values_are_shown_as_one_would_write_them() -> None:
    values = [1, True, None, 'a"b\n', [1, [2]], {"a": 1, "b c": [None]}, 1.5, {}, [], Path("/a")]
    shown = ["1", "true", "null", '"a\\"b\\n"', "[1, [2]]", '{ a = 1, "b c" = [null] }', "1.5", "{ }", "[]", "/a"]
    kind = t.enum(["never"])
    assert [error_of_x(kind, v).definitions[0].partition("': ")[2] for v in values] == shown


def test_long_values_are_cut() -> None:
    assert len(error_of_x(t.int, "x" * 10_000).definitions[0]) < 500
    assert "…" in error_of_x(t.int, list(range(1_000))).definitions[0]


def test_an_error_has_a_kind_a_path_and_definitions() -> None:
    found = error_of_x(t.attrs_of(t.int), {"a": "text"})
    assert (found.kind, found.path, len(found.definitions)) == ("type", ("x", "a"), 1)


def test_an_error_says_what_was_being_evaluated() -> None:
    options = {"a": option(t.int, default=lambda config: config.b), "b": option(t.int, default=lambda config: config.c)}
    found = error([{"options": {**options, "c": option(t.int)}}], "a")
    assert found.path == ("c",)
    assert found.via == ("c", "b", "a")


def test_errors_can_be_pickled() -> None:
    found = error_of_x(t.int, "a")
    copy = pickle.loads(pickle.dumps(found))
    assert (type(copy), str(copy), copy.place) == (type(found), str(found), found.place)


def test_names_with_dots_are_quoted() -> None:
    found = error_of_x(t.attrs_of(t.int), {"a.b": {"c": 1}})
    assert '`x."a.b"\'' in found.message


# Suggestions

SUGGESTIONS: dict[str, tuple[Any, list[str]]] = {
    "one letter too few": ({"server": {"enabl": True}}, ["server.enable"]),
    "letters swapped": ({"server": {"prot": 1}}, ["server.port"]),
    "another case": ({"server": {"Port": 1}}, ["server.port"]),
    "a group": ({"sever": {}}, ["server"]),
    "nothing like it": ({"server": {"kubernetes": 1}}, []),
}


@pytest.mark.parametrize("case", SUGGESTIONS.values(), ids=SUGGESTIONS)
def test_the_nearest_names_are_suggested(case: tuple[Any, list[str]]) -> None:
    found = error([SERVER, {"config": case[0]}])
    assert isinstance(found, UnknownOptionError)
    assert list(found.suggestions) == case[1]


def test_up_to_three_names_are_suggested() -> None:
    options = {n: option(t.int, default=0) for n in ("foo", "fob", "fox", "fool", "bar")}
    assert "Did you mean `fob', `foo' or `fox'?" in str(error([{"options": options}, {"fop": 1}]).hint)


def test_among_many_names_only_very_near_ones_are_suggested() -> None:
    options = {f"option{n:03}": option(t.int, default=0) for n in range(200)} | {
        "enable": option(t.bool, default=False)
    }
    found: Any = error([{"options": options}, {"enabel": True}])
    assert found.suggestions == ("enable",)
    other: Any = error([{"options": options}, {"opt": True}])
    assert other.suggestions == ()


def test_unknown_options_in_submodules_are_suggested_with_their_path() -> None:
    found: Any = error([SERVER, {"server": {"sites": {"a.b": {"rot": "/x"}}}}], "server.sites")
    assert found.suggestions == ('server.sites."a.b".root',)


# All at once


def test_all_unknown_options_are_in_one_report() -> None:
    modules = [
        SERVER,
        {"_file": "A", "server": {"enabel": 1}, "sever": {}},
        {"_file": "B", "other": 1, "server": {"enabel": 2}},
    ]
    with pytest.raises(EvaluationError) as raised:
        evaluate(modules).config  # noqa: B018  # looking is the test
    assert sorted(e.path for e in raised.value.errors) == [("other",), ("server", "enabel"), ("sever",)]
    twice = next(e for e in raised.value.errors if e.path == ("server", "enabel"))
    assert len(twice.definitions) == 2


def test_unknown_options_and_wrong_types_are_in_one_report() -> None:
    config = {
        "server": {
            "enabel": True,
            "port": "x",
            "hosts": [1, "a", 2],
            "sites": {"s": {"root": "rel", "rot": "/"}, "u": {}},
        }
    }
    found = evaluate([SERVER, config]).errors()
    assert sorted((e.kind, ".".join(e.path)) for e in found) == [
        ("type", "server.hosts.[definition 1-entry 1]"),
        ("type", "server.hosts.[definition 1-entry 3]"),
        ("type", "server.port"),
        ("type", "server.sites.s.root"),
        ("unknown", "server.enabel"),
        ("unknown", "server.sites.s.rot"),
        ("unset", "server.sites.u.root"),
    ]


def test_errors_behind_a_broken_element_of_a_list_are_found_too() -> None:
    sub = t.submodule({"options": {"a": option(t.int), "b": option(t.int, default=0)}})
    modules = [{"options": {"x": option(t.list_of(sub))}}, {"x": [{"a": "text"}, 5, {"a": 1, "z": 1, "b": "text"}]}]
    found = sorted((e.path[1:], e.kind) for e in evaluate(modules).errors())
    assert found == [
        (("[definition 1-entry 1]", "a"), "type"),
        (("[definition 1-entry 2]",), "type"),
        (("[definition 1-entry 3]", "b"), "type"),
        (("[definition 1-entry 3]", "z"), "unknown"),
    ]


def test_checking_raises_one_report() -> None:
    with pytest.raises(EvaluationError) as raised:
        evaluate([SERVER, {"server": {"port": "x", "enable": 3}}]).check()
    assert len(raised.value.errors) == 2
    assert str(raised.value).startswith("2 errors:\n")


def test_checking_a_sound_configuration_says_nothing() -> None:
    result = evaluate([SERVER])
    result.check()
    assert result.errors() == ()


def test_a_single_error_is_raised_as_itself() -> None:
    with pytest.raises(UnknownOptionError):
        evaluate([SERVER, {"zz": 1}]).check()


def test_one_cause_is_reported_once() -> None:
    options = {"a": option(t.int), **{f"o{n}": option(t.int, default=lambda config: config.a) for n in range(5)}}
    assert [e.path for e in evaluate([{"options": options}]).errors()] == [("a",)]


def test_parts_can_be_left_out_of_a_check() -> None:
    result = evaluate([SERVER, {"server": {"port": "x", "enable": 3}}])
    assert [e.path for e in result.errors(where=lambda path: path != ("server", "port"))] == [("server", "enable")]


def test_errors_inside_free_values_are_found() -> None:
    modules = [{"freeform_type": t.attrs_of(t.attrs_of(t.int))}, {"a": {"b": "text"}}]
    assert [e.path for e in evaluate(modules).errors()] == [("a", "b")]


def test_values_that_a_raw_option_hides_are_computed_too() -> None:
    def broken() -> Any:
        raise ValueError("hidden")

    modules = [{"options": {"r": option(t.raw)}}, {"r": {"deep": [lazy(broken)]}}]
    assert [e.kind for e in evaluate(modules).errors()] == ["computation"]


# Places


def test_places_in_toml(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "inventory.toml",
        """
        # a comment
        [server]
        enable = "yes"
        hosts = [
          "fine",
          5,
        ]
        [server.sites."a.b"]
        root = "relative"

        [[list]]
        n = 1
        [[list]]
        n = "x"
        """,
    )
    entry = t.submodule({"options": {"n": option(t.int)}})
    result = evaluate([SERVER, {"options": {"list": option(t.list_of(entry))}}, path])
    assert places(result) == ["inventory.toml:3:1", "inventory.toml:6:3", "inventory.toml:9:1", "inventory.toml:14:1"]


TOML: dict[str, tuple[str, str]] = {
    "a key": ("a = 'x'", "1:1"),
    "an indented key": ("\n  a = 'x'", "2:3"),
    "a dotted key": ("g.b = 'x'", "1:3"),
    "a key in a table": ("[g]\nb = 'x'", "2:1"),
    "a key in an inline table": ("g = { c = 1, b = 'x' }", "1:14"),
    "a quoted key": ("[g]\n\"b\" = 'x'", "2:1"),
    "a literal key": ("[g]\n'b' = 'x'", "2:1"),
    "inside a sigil": ("a = { _force = 'x' }", "1:1"),
    "inside nested sigils": ("a = { _override = [10, { _before = 'x' }] }", "1:1"),
    "inside a sigil around a table": ("g = { _force = { c = 1, b = 'x' } }", "1:25"),
    "an element": ("l = [1, 'x']", "1:9"),
    "an element in a sigil": ("l = { _after = [1, 'x'] }", "1:20"),
    "after umlauts": ("s = 'äöü'\nl = [1, 'ü', 'x']", "2:9"),
    "an unknown key": ("zz = 1", "1:1"),
    "an unknown table": ("[zz]\nb = 1", "1:2"),
}


@pytest.mark.parametrize("case", TOML.values(), ids=TOML)
def test_the_place_in_toml_of(case: tuple[str, str], tmp_path: Path) -> None:
    path = tmp_path / "f.toml"
    path.write_text(case[0])
    group = {"b": option(t.int, default=0), "c": option(t.int, default=0)}
    options = {
        "a": option(t.int, default=0),
        "g": group,
        "l": option(t.list_of(t.int)),
        "s": option(t.lines, default=""),
    }
    found = evaluate([{"options": options}, path]).errors()[0]
    assert str(found.place) == f"{path}:{case[1]}"


JSON: dict[str, tuple[str, str]] = {
    "a key": ('{"a": "x"}', "1:2"),
    "a nested key": ('{\n  "g": {\n    "c": 1,\n    "b": "x"\n  }\n}', "4:5"),
    "an element": ('{"l": [1,\n 2, "x"]}', "2:5"),
    "a key with escapes": ('{"s": "\\"{", "a": "x"}', "1:14"),
    "inside a sigil": ('{"a": {"_force": "x"}}', "1:2"),
    "an empty object before": ('{"g": {}, "l": [], "a": "x"}', "1:20"),
}


@pytest.mark.parametrize("case", JSON.values(), ids=JSON)
def test_the_place_in_json_of(case: tuple[str, str], tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    path.write_text(case[0])
    group = {"b": option(t.int, default=0), "c": option(t.int, default=0)}
    options = {
        "a": option(t.int, default=0),
        "g": group,
        "l": option(t.list_of(t.int)),
        "s": option(t.lines, default=""),
    }
    found = evaluate([{"options": options}, path]).errors()[0]
    assert str(found.place) == f"{path}:{case[1]}"


PYTHON: dict[str, tuple[str, str]] = {
    "a mapping": ("module = {'config': {'a': 'x'}}", "1:22"),
    "a shorthand mapping": ("module = {'a': 'x'}", "1:11"),
    "a function": (
        "def module(config):\n    return {\n        'g': {'c': 1,\n              'b': 'x'},\n    }\n",
        "4:15",
    ),
    "a lambda": ("module = lambda: {'a': 'x'}", "1:19"),
    "top-level names": ("config = {\n  'a': 'x',\n}", "2:3"),
    "a wrapper": ("from clanpy.modules import mk_force\nmodule = {'g': mk_force({'b': 'x'})}", "2:26"),
    "dict()": ("module = dict(config=dict(a='x'))", "1:27"),
    "a lazy value": ("from clanpy.modules import lazy\nmodule = {\n 'a': lazy(lambda: 'x'),\n}", "3:2"),
    "an element": ("module = {'l': [1, 'x']}", "1:20"),
    "a name that is computed": ("key = 'a'\nmodule = {key: 'x'}", "None:None"),
    "an unknown option": ("module = {\n  'zz': 1}", "2:3"),
}


@pytest.mark.parametrize("case", PYTHON.values(), ids=PYTHON)
def test_the_place_in_python_of(case: tuple[str, str], tmp_path: Path) -> None:
    path = tmp_path / "f.py"
    path.write_text(case[0])
    group = {"b": option(t.int, default=0), "c": option(t.int, default=0)}
    options = {"a": option(t.int, default=0), "g": group, "l": option(t.list_of(t.int))}
    found = evaluate([{"options": options}, path]).errors()[0]
    assert found.place is not None
    assert (found.place.file, f"{found.place.line}:{found.place.column}") == (str(path), case[1])


def test_of_several_literals_with_one_key_the_one_with_the_value_is_named() -> None:
    one = {"x": 1}
    other = {"x": "text"}
    found = evaluate([{"options": {"x": option(t.int)}}, mk_force(one), other]).errors()
    assert found == ()
    place = evaluate([{"options": {"x": option(t.int)}}, other, {"x": 2}]).errors()[0].place
    assert place is not None
    assert Path(__file__).read_text().splitlines()[(place.line or 0) - 1].strip() == 'other = {"x": "text"}'


def test_declarations_have_the_place_of_the_call() -> None:
    result = evaluate([SERVER])
    place = result.options.server.port.declaration_positions[0]
    line = Path(__file__).read_text().splitlines()[place.line - 1]
    assert (place.file, line.strip()) == (__file__, '"port": option(t.port, default=80),')
    assert line[place.column - 1 :].startswith("option(")


def test_a_wrong_default_has_the_place_of_the_declaration() -> None:
    found = error([{"options": {"a": option(t.int, default="text")}}], "a")
    assert found.place is not None
    assert "error([{" in Path(__file__).read_text().splitlines()[(found.place.line or 0) - 1]


def test_a_place_is_shown_as_editors_read_it() -> None:
    assert [str(Place("f")), str(Place("f", 1)), str(Place("f", 1, 2))] == ["f", "f:1", "f:1:2"]


def test_the_file_of_a_module_can_be_named_by_itself() -> None:
    found = error([{"options": {"x": option(t.int)}}, {"_file": "made by hand", "x": "text"}], "x")
    assert found.place == Place("made by hand")


def test_positions_follow_a_file_that_changes(tmp_path: Path) -> None:
    path = tmp_path / "f.toml"
    options = {"options": {"a": option(t.int)}}
    path.write_text("a = 'x'")
    assert evaluate([options, path]).errors()[0].place == Place(str(path), 1, 1)
    path.write_text("\n\na = 'xyz'")
    assert evaluate([options, path]).errors()[0].place == Place(str(path), 3, 1)


# Circles

CIRCLES: dict[str, Any] = {
    "two defaults": {
        "a": option(t.int, default=lambda config: config.b),
        "b": option(t.int, default=lambda config: config.a),
    },
    "three defaults": {
        "a": option(t.int, default=lambda config: config.b),
        "b": option(t.int, default=lambda config: config.c),
        "c": option(t.int, default=lambda config: config.a),
    },
    "itself": {"a": option(t.int, default=lambda config: config.a)},
    "through an attribute set": {
        "a": option(t.int, default=lambda config: config.b.x),
        "b": option(t.attrs_of(t.int), default={"x": lazy(lambda config: config.a)}),
    },
    "through apply": {
        "a": option(t.int, default=1, apply=lambda v, config: config.b),
        "b": option(t.int, default=lambda config: config.a),
    },
    "through a list": {
        "a": option(t.int, default=lambda config: config.l[0]),
        "l": option(t.list_of(t.int), default=[lazy(lambda config: config.a)]),
    },
}


@pytest.mark.parametrize("options", CIRCLES.values(), ids=CIRCLES)
def test_a_circle_is_printed_as_a_chain_of_places(options: Any) -> None:
    found = error([{"options": options}], "a")
    assert isinstance(found, InfiniteRecursionError)
    assert found.cycle[0].startswith("a (")
    assert found.cycle[-1] == "a"
    assert " → ".join(found.cycle) in found.message
    assert all(f"({__file__}:" in step for step in found.cycle[:-1])


def test_a_circle_through_conditions() -> None:
    from clanpy.modules import mk_if  # noqa: PLC0415  # used here only

    options = {n: option(t.bool, default=False) for n in "ab"}
    modules = [{"options": options}, lambda config: {"a": mk_if(config.b, True), "b": mk_if(config.a, True)}]
    assert isinstance(error(modules, "a"), InfiniteRecursionError)


def test_a_circle_between_a_submodule_and_its_surroundings() -> None:
    sub = t.submodule({"options": {"p": option(t.int)}})
    options = {"s": option(sub), "a": option(t.int, default=lambda config: config.s.p)}
    found = error([{"options": options}, {"s": {"p": lazy(lambda config: config.a)}}], "a")
    assert isinstance(found, InfiniteRecursionError)
    assert [step.partition(" ")[0] for step in found.cycle] == ["a", "s.p", "a"]


def test_after_a_circle_other_values_are_still_there() -> None:
    options = {**CIRCLES["two defaults"], "c": option(t.int, default=3)}
    config = evaluate([{"options": options}]).config
    with pytest.raises(InfiniteRecursionError):
        config.a  # noqa: B018  # looking is the test
    assert config.c == 3


# Files


def test_files_that_import_each_other_are_an_error(tmp_path: Path) -> None:
    for name, other in (("a", "b"), ("b", "c"), ("c", "a")):
        (tmp_path / f"{name}.toml").write_text(f'imports = ["./{other}.toml"]')
    found = error([tmp_path / "a.toml"])
    assert isinstance(found, InfiniteRecursionError)
    assert [Path(step).name for step in found.cycle] == ["a.toml", "b.toml", "c.toml", "a.toml"]
    assert found.place == Place(str(tmp_path / "c.toml"), 1, 1)


def test_a_file_that_is_imported_twice_counts_once(tmp_path: Path) -> None:
    (tmp_path / "l.toml").write_text('l = ["once"]')
    (tmp_path / "a.toml").write_text('imports = ["l.toml", "./l.toml", "../' + tmp_path.name + '/l.toml"]')
    modules = [{"options": {"l": option(t.list_of(t.str))}}, tmp_path / "a.toml", str(tmp_path / "l.toml")]
    assert evaluate(modules).config.l == ["once"]


BROKEN: dict[str, tuple[str, bytes, str, str]] = {
    "TOML that is none": ("f.toml", b"a = ", "is no valid TOML", "1:5"),
    "a duplicate key in TOML": ("f.toml", b"a = 1\na = 2\n", "is no valid TOML: cannot overwrite a value", "2:6"),
    "a duplicate table in TOML": ("f.toml", b"[a]\n[a]\n", "is no valid TOML", "2:3"),
    "TOML that is not UTF-8": ("f.toml", b"a = 1\nb = '\xff'\n", "is not UTF-8: byte 0xff", "2:6"),
    "TOML nested too deeply": ("f.toml", b"a = " + b"[" * 100_000, "nested too deeply", "None:None"),
    "a number without end in TOML": ("f.toml", b"a = " + b"9" * 10_000, "is no valid TOML", "None:None"),
    "an unknown sigil": ("f.toml", b"[g]\na = { _froce = 1 }", "`_froce' at `g.a' is no priority or order", "2:1"),
    "a sigil that is not alone": (
        "f.toml",
        b"a = { _force = 1, b = 2 }",
        "has to be alone in its table, but there is also `b'",
        "1:1",
    ),
    "a sigil without a number": (
        "f.toml",
        b"a = { _override = ['x', 1] }",
        "takes a list of a number and a value",
        "1:1",
    ),
    "a sigil with too little": ("f.toml", b"a = { _order = [5] }", "takes a list of a number and a value", "1:1"),
    "JSON that is none": ("f.json", b'{"a": }', "is no valid JSON: expecting value", "1:7"),
    "a duplicate key in JSON": ("f.json", b'{"a": 1,\n "a": 2}', "has the key `a' twice in one object", "2:2"),
    "JSON that is a list": ("f.json", b"[1]", "holds no JSON object", "1:1"),
    "JSON nested too deeply": ("f.json", b'{"a": ' + b"[" * 100_000, "nested too deeply", "None:None"),
    "JSON that is not UTF-8": ("f.json", b'{"a": "\xe4"}', "is not UTF-8", "1:8"),
    "Python that is none": ("f.py", b"module = {\n", "is no valid Python", "1:10"),
    "Python with a null byte": ("f.py", b"module = {}\0", "", ""),
    "Python that raises": ("f.py", b"\nraise KeyError('x')", "raised KeyError: 'x'", "2:1"),
    "Python that exits": ("f.py", b"import sys\nsys.exit(3)", "raised SystemExit: 3", "2:1"),
    "Python without a module": ("f.py", b"x = 1", "defines no module", "1:1"),
    "Python nested too deeply": ("f.py", b"module = " + b"(" * 5_000 + b")" * 5_000, "", ""),
    "Python that is not UTF-8": ("f.py", b"module = {'a': '\xff'}", "is no valid Python", ""),
    "Python whose function raises": ("f.py", b"def module():\n    1/0\n", "raised ZeroDivisionError", "2:5"),
    "an empty Python file": ("f.py", b"", "defines no module", "1:1"),
    "a Nix file": ("f.nix", b"{ }", "can't be imported here", ""),
    "a file of another kind": ("f.yaml", b"a: 1", "can't be imported here", ""),
}


@pytest.mark.parametrize("case", BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_one_clear_error(case: tuple[str, bytes, str, str], tmp_path: Path) -> None:
    name, data, text, spot = case
    path = tmp_path / name
    path.write_bytes(data)
    found = error([path])
    assert not isinstance(found, EvaluationError)
    assert text in found.message
    assert str(path) in f"{found.place} {found.message}"
    if spot:
        assert found.place is not None
        assert f"{found.place.line}:{found.place.column}" == spot


def test_a_file_of_ten_megabytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "big.toml"
    path.write_bytes(b"a = 1 # " + b"x" * 10_000_000)
    found = error([path])
    assert isinstance(found, LoadError)
    assert "too large for a module: 10,000,008 bytes" in found.message


def test_links_that_lead_to_themselves_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.toml").symlink_to(tmp_path / "b.toml")
    (tmp_path / "b.toml").symlink_to(tmp_path / "a.toml")
    assert "can't be read: Too many levels of symbolic links" in error([tmp_path / "a.toml"]).message


def test_a_missing_file_is_an_error_at_the_import_with_a_suggestion(tmp_path: Path) -> None:
    (tmp_path / "server.toml").write_text("")
    path = written(tmp_path, "root.toml", 'imports = [\n  "./sever.toml",\n]')
    found = error([path])
    assert isinstance(found, LoadError)
    assert "can't be read: No such file or directory" in found.message
    assert found.place == Place(str(path), 1, 1)
    assert "Did you mean `server.toml'?" in str(found.hint)


def test_a_folder_is_no_module(tmp_path: Path) -> None:
    (tmp_path / "folder.toml").mkdir()
    assert "is a folder, not a module file" in error([tmp_path / "folder.toml"]).message


def test_a_pipe_is_no_module_and_is_not_waited_for(tmp_path: Path) -> None:
    import os  # noqa: PLC0415  # used here only

    os.mkfifo(tmp_path / "pipe.toml")
    assert "is no regular file" in error([tmp_path / "pipe.toml"]).message


def test_a_name_with_a_null_byte_is_an_error() -> None:
    assert isinstance(error(["/a\0b.toml"]), LoadError)


def test_a_byte_order_mark_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "f.toml"
    path.write_bytes(b"\xef\xbb\xbfa = 1")
    assert evaluate([{"options": {"a": option(t.int)}}, path]).config.a == 1


def test_a_python_file_may_define_dataclasses_and_use_what_it_defines(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "m.py",
        """
        from __future__ import annotations
        from dataclasses import dataclass
        from clanpy.modules import option, types

        @dataclass
        class Thing:
            n: int

        options = {"a": option(types.int)}
        config = {"a": Thing(5).n}
        """,
    )
    assert evaluate([path]).config.a == 5


def test_python_files_can_import_others(tmp_path: Path) -> None:
    written(tmp_path, "inner.toml", "a = 4")
    path = written(
        tmp_path,
        "m.py",
        """
        from clanpy.modules import option, types

        def module(config):
            return {"imports": ["inner.toml"], "options": {"a": option(types.int)}}
        """,
    )
    assert evaluate([path]).config.a == 4


SIGILS: dict[str, tuple[str, Any]] = {
    "_force": ("l = { _force = ['f'] }", ["f"]),
    "_default": ("l = { _default = ['f'] }", ["base"]),
    "_override": ("l = { _override = [10, ['f']] }", ["f"]),
    "_before": ("l = { _before = ['f'] }", ["f", "base"]),
    "_after": ("l = { _after = ['f'] }", ["base", "f"]),
    "_order": ("l = { _order = [1400, ['f']] }", ["base", "f"]),
    "_force around _before": ("l = { _force = { _before = ['f'] } }", ["f"]),
    "a dotted sigil": ("l._force = ['f']", ["f"]),
    "a table of a sigil": ("[l]\n_force = ['f']", ["f"]),
    "Nix's own encoding": ("l = { _type = 'override', priority = 10, content = ['f'] }", ["f"]),
    "in an element": ("l = ['a', { _force = 'b' }]", ["a", "b", "base"]),
}


@pytest.mark.parametrize("case", SIGILS.values(), ids=SIGILS)
def test_priorities_and_order_in_toml(case: tuple[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "f.toml"
    path.write_text(case[0])
    # The file is imported, so that plainly it would come first.
    assert (
        evaluate([{"options": {"l": option(t.list_of(t.str))}}, {"l": ["base"], "imports": [path]}]).config.l == case[1]
    )


def test_priorities_in_json(tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    path.write_text(json.dumps({"g": {"_force": {"a": 1}}, "b": None}))
    options = {"g": {"a": option(t.int)}, "b": option(t.null_or(t.int))}
    config = evaluate([{"options": options}, {"g": {"a": 2}}, path]).config
    assert config == {"g": {"a": 1}, "b": None}


def test_keys_that_begin_with_an_underscore_are_no_sigils_beside_others(tmp_path: Path) -> None:
    path = tmp_path / "f.toml"
    path.write_text("[a]\n_x = 1\ny = 2")
    assert x(t.attrs_of(t.int), evaluate([{"options": {"a": option(t.attrs_of(t.int))}}, path]).config.a) == {
        "_x": 1,
        "y": 2,
    }


def test_all_files_that_can_not_be_loaded_are_reported(tmp_path: Path) -> None:
    for n in range(3):
        (tmp_path / f"{n}.toml").write_text("= broken")
    found = error([tmp_path / f"{n}.toml" for n in range(3)])
    assert isinstance(found, EvaluationError)
    assert [Path(e.place.file).name for e in found.errors if e.place] == ["0.toml", "1.toml", "2.toml"]


def test_a_wrapper_error_in_toml_has_its_place(tmp_path: Path) -> None:
    path = tmp_path / "f.toml"
    path.write_text("a = { _before = { _force = 1 } }")
    found: ModuleError = error([{"options": {"a": option(t.int)}}, path], "a")
    assert (found.kind, found.place) == ("wrapper", Place(str(path), 1, 1))
