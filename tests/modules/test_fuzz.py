"""Whatever is thrown at the loader and the evaluation: a value, or an error of this library. Never anything else.

Cases that broke it once are kept by name at the end.
"""

import json
import os
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from clanpy.modules import (
    ModuleError,
    evaluate,
    lazy,
    mk_after,
    mk_definition,
    mk_force,
    mk_if,
    mk_merge,
    mk_override,
    option,
    to_data,
    to_nix_module,
)
from clanpy.modules import types as t
from clanpy.modules.positions_json import json_spots
from clanpy.modules.positions_toml import toml_spots


EXAMPLES = int(os.environ.get("CLANPY_FUZZ_EXAMPLES", "60"))
quick = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))

FREE = {
    "freeform_type": t.anything,
    "options": {"a": option(t.int, default=0), "l": option(t.list_of(t.str), default=[])},
}

PIECES = st.sampled_from(
    [
        *(
            "a",
            "b.c",
            '"x y"',
            "'q'",
            "_force",
            "_override",
            "_type",
            "imports",
            "options",
            "config",
            "key",
            "_module",
            "l",
        ),
        *(" = ", "=", "[", "]", "[[", "]]", "{", "}", ", ", "\n", "\n\n", "#c\n", " ", "\t", "\r\n", "\\", "\0", "ü"),
        *(
            "1",
            "-5",
            "0x1f",
            "1.5",
            "inf",
            "nan",
            "true",
            "false",
            '"s"',
            '"""m\n"""',
            "2020-01-01",
            "00:00:00",
            "1e400",
            "null",
        ),
        *(
            '"imports" : ["/"]',
            '{"a": 1}',
            "[1, 2]",
            '"\\ud800"',
            "imports = ['.']",
            "[options]",
            "[_module]",
            "check = 0",
        ),
    ]
)
TEXTS = st.one_of(
    st.lists(PIECES, max_size=25).map("".join).map(str.encode),
    st.binary(max_size=60),
    st.text(max_size=60).map(lambda s: s.encode("utf-8", "surrogatepass")),
)


def loaded(data: bytes, suffix: str) -> None:
    """Load, compute everything, describe every error."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"f{suffix}")
        path.write_bytes(data)
        result = evaluate([FREE, path])
        described(attempt(result.errors))
        described(attempt(lambda: to_nix_module(to_data(result.config))))


def attempt(look: Callable[[], Any]) -> Any:
    """What it gives; an error of the library is a result like any other, anything else is not."""
    try:
        return look()
    except ModuleError as error:
        return error


def described(found: Any) -> None:
    for error in found if isinstance(found, tuple) else (found,):
        assert str(error) or not isinstance(error, ModuleError)


@quick
@given(TEXTS)
@example(b"a = {_force = {_force = 1}}")
@example(b"_force = 1")
@example(b"imports = 1")
@example(b"imports = ['f.toml']")
@example(b"key = []")
@example(b"options.a = 1")
@example(b"_module.args = 1")
@example(b"_module.check = 1\nzz = 1")
@example(b"_module.freeform_type = 1")
@example(b"a = { _override = [1e400, 1] }")
@example(b"a = { _override = [true, 1] }")
@example(b"config = 1")
@example(b"_class = 1\n_file = 2")
@example(b"disabled_modules = ['x', 1]")
def test_any_toml(data: bytes) -> None:
    loaded(data, ".toml")


@quick
@given(TEXTS)
@example(b'{"a": NaN}')
@example(b'{"_type": "if"}')
@example(b'{"x": {"_type": "if", "condition": 1}}')
@example(b'{"x": {"_type": "override", "priority": "high", "content": 1}}')
@example(b'{"x": {"_type": {}, "a": 1}}')
@example(b'{"imports": [[]]}')
@example(b'{"a": 1' + b"0" * 5_000 + b"}")
def test_any_json(data: bytes) -> None:
    loaded(data, ".json")


# Positions

KEYS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=6)
LEAVES = st.one_of(st.integers(-9, 9), st.booleans(), st.text(st.characters(codec="utf-8"), max_size=8))
DATA = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=12,
)


def paths(value: Any, steps: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every key and element."""
    if steps:
        yield steps
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else []
    for key, inner in items:
        yield from paths(inner, (*steps, key))


def as_toml(value: dict[str, Any], prefix: tuple[str, ...] = ()) -> str:
    """Tables as headers, arrays of tables as such, everything else inline."""
    lines, later = [], []
    for key, item in value.items():
        name = json.dumps(key)
        header = ".".join(json.dumps(k) for k in (*prefix, key))
        if isinstance(item, dict) and len(item) != 1:
            later.append(f"[{header}]\n{as_toml(item, (*prefix, key))}")
        elif isinstance(item, list) and item and all(isinstance(i, dict) for i in item):
            later += [f"[[{header}]]\n{as_toml(i, (*prefix, key))}" for i in item]
        else:
            lines.append(f"{name} = {inline(item)}")
    return "\n".join([*lines, *later]) + "\n"


def inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(k)} = {inline(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[\n" + ",\n".join(map(inline, value)) + "]"
    return json.dumps(value).replace("\x7f", "\\u007f")


@quick
@given(st.dictionaries(KEYS, DATA, max_size=4))
def test_every_key_and_element_of_toml_has_a_position(data: dict[str, Any]) -> None:
    text = as_toml(data)
    try:
        parsed = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    spots = toml_spots(text.encode())
    lines = text.split("\n")
    for steps in paths(parsed):
        line, column = spots[steps]
        assert lines[line - 1][column - 1 :] != ""
        if isinstance(steps[-1], str):
            assert lines[line - 1][column - 1 :].startswith(json.dumps(steps[-1]))


@quick
@given(st.dictionaries(KEYS, DATA, max_size=4), st.sampled_from([None, 1, 4]))
def test_every_key_and_element_of_json_has_a_position(data: dict[str, Any], indent: int | None) -> None:
    text = json.dumps(data, indent=indent, ensure_ascii=False)
    spots = json_spots(text.encode("utf-8", "surrogatepass"))
    lines = text.split("\n")
    for steps in paths(data):
        line, column = spots[steps]
        if isinstance(steps[-1], str):
            assert lines[line - 1][column - 1 :].startswith(json.dumps(steps[-1], ensure_ascii=False))


# Modules that are anything at all

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.floats(),
    st.text(max_size=3),
    st.sampled_from([t.int, t.str, t.list_of(t.int), option(t.int), option(t.int, default="x"), option()]),
    st.sampled_from([t.submodule({"options": {"a": option(t.int)}}), option(t.attrs_of(t.submodule({"l": 1})))]),
    st.builds(object),
    st.just(lambda: 1),
    st.just(lambda config: config.a),
    st.just(lambda **kw: {"config": {"a": 1}}),
    st.builds(lambda: lazy(lambda: 1)),
    st.builds(lambda: lazy(lambda config: config.a)),
    st.builds(lambda: lazy(lambda config: {"a": config.l})),
    st.binary(max_size=2),
    st.sampled_from([{1, 2}, {1: 2}, {None: 1}, dict, Exception("e"), Path("/nonexistent.toml"), Path("relative")]),
)
NAMES = st.sampled_from(
    [
        "a",
        "l",
        "b",
        "imports",
        "options",
        "config",
        "key",
        "_module",
        "args",
        "check",
        "freeform_type",
        "_file",
        "class",
        "disabled_modules",
    ]
)


def wrapped(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        inner.map(mk_force),
        inner.map(mk_after),
        inner.map(lambda v: mk_if(True, v)),
        st.tuples(inner, inner).map(lambda p: mk_if(p[0], p[1])),
        st.lists(inner, max_size=2).map(mk_merge),
        inner.map(lambda v: mk_override(3, v)),
        inner.map(lambda v: mk_definition(file="f", value=v)),
    )


ANYTHING = st.recursive(
    ODD,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=4), wrapped(inner)),
    max_leaves=10,
)


def survived(modules: Any) -> None:
    result = evaluate(modules)
    described(attempt(result.errors))
    described(attempt(lambda: to_data(result.config)))
    described(attempt(lambda: result.graph))
    described(attempt(lambda: list(result.documented())))
    described(attempt(lambda: result.warnings))
    for path in ("a", "l", "b", "_module"):
        described(attempt(partial(result.explain, path)))


@quick
@given(st.lists(st.one_of(st.dictionaries(NAMES, ANYTHING, max_size=4), ANYTHING), max_size=4))
def test_any_modules(modules: Any) -> None:
    survived([FREE, *modules])
    survived(modules)


@quick
@given(st.lists(ANYTHING, min_size=1, max_size=3))
def test_any_definitions_of_any_type(definitions: Any) -> None:
    kinds = [
        t.int,
        t.str,
        t.lines,
        t.path,
        t.package,
        t.enum(["a", 1]),
        t.null_or(t.float),
        t.list_of(t.bool),
        t.attrs_of(t.anything),
    ]
    kinds += [
        t.lazy_attrs_of(t.int),
        t.either(t.int, t.list_of(t.str)),
        t.coerced_to(t.int, str, t.str),
        t.unspecified,
        t.raw,
    ]
    kinds += [
        t.submodule(FREE),
        t.submodule_with(modules=[FREE]),
        t.deferred_module,
        t.option_type,
        t.function_to(t.int),
        t.number,
    ]
    kinds += [
        t.attr_tag({"a": option(t.int)}),
        t.non_empty_list_of(t.anything),
        t.unique(t.str),
        t.passwd_entry(t.str),
        t.single_line_str,
    ]
    kinds += [t.str_matching("a*"), t.add_check(t.int, lambda v: v > 1), t.bool_by_or, t.ints.positive, t.anything]
    declaring = {"options": {f"o{n}": option(kind) for n, kind in enumerate(kinds)}}
    survived([declaring, *({f"o{n}": d for n in range(len(kinds))} for d in definitions)])


# What broke it once


def test_keys_that_are_no_strings() -> None:
    survived([FREE, {"config": {1: 2}}])
    survived([FREE, {1: 2}])
    survived([FREE, {"b": {1: 2}}])
    survived([{"options": {1: option(t.int)}}])
    survived([{"options": {None: {}}}])


@pytest.mark.parametrize("value", [[], {}, 5, b"x", object()], ids=["list", "table", "number", "bytes", "object"])
def test_structural_keys_with_odd_values(value: Any) -> None:
    for key in (
        "imports",
        "options",
        "config",
        "key",
        "_file",
        "_class",
        "disabled_modules",
        "freeform_type",
        "_notices",
        "_problems",
    ):
        survived([FREE, {key: value}])
        survived([FREE, {"config": {}, key: value}])
