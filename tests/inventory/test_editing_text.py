"""Changing one thing in a TOML text: the thing is changed, and every byte around it is as it was."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from clanpy.inventory.editing.errors import NotEditableError
from clanpy.inventory.editing.splice import applied, dotted_key, rendered, with_value, without, without_element
from clanpy.inventory.editing.tomlfile import TomlFile, elements_of, text_of


Path_ = tuple[str, ...]

KEYS = st.sampled_from(["a", "b", "c", "deep", "x-1", "odd key", "ä", "a.b"])
ATOMS = st.one_of(
    st.booleans(),
    st.integers(-(2**40), 2**40),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-8"), max_size=12),
    st.sampled_from(["[x]", "# no comment", 'a "quote"', "two\nlines", "back\\slash", "= {", "\t\x7f"]),
)
LISTS = st.lists(st.one_of(ATOMS, st.lists(ATOMS, max_size=2)), max_size=3)
TABLES = st.recursive(
    st.dictionaries(KEYS, st.one_of(ATOMS, LISTS), max_size=3),
    lambda inner: st.dictionaries(KEYS, st.one_of(ATOMS, LISTS, inner, inner), max_size=4),
    max_leaves=8,
)
VALUES = st.one_of(ATOMS, LISTS, TABLES)
PATHS = st.lists(KEYS, min_size=1, max_size=4).map(tuple)


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    """Data, laid out in any of the ways in which TOML can say it."""
    lines = ["# the head", *draw(st.sampled_from([[], [""]])), *_laid_out(draw, draw(TABLES), ())]
    text = "\n".join(lines) + draw(st.sampled_from(["\n", "", "\n\n# the end\n"]))
    return text.replace("\n", draw(st.sampled_from(["\n", "\r\n"]))).encode()


def _laid_out(draw: st.DrawFn, table: dict[str, Any], path: Path_) -> Iterator[str]:
    """The lines of a table: first what stands in it, then the tables with headers of their own."""
    later = []
    for key, value in table.items():
        how = draw(st.sampled_from(["inline", "dotted", "header"])) if isinstance(value, dict) else "inline"
        if how == "header":
            later.append((key, value))
        elif how == "dotted" and value:
            for inner, item in value.items():
                yield f"{dotted_key((key, inner))} = {rendered(item)}"
        else:
            yield draw(st.sampled_from(["", "# about it\n", "\n"])) + _pair(draw, key, value)
    for key, value in later:
        yield draw(st.sampled_from(["", "\n# ── part ──\n", "# right above"]))
        if value and all(isinstance(item, dict) for item in value.values()) and draw(st.booleans()):
            for inner, item in value.items():
                yield f"[{dotted_key((*path, key, inner))}]"
                yield from _laid_out(draw, item, (*path, key, inner))
        else:
            yield f"[ {dotted_key((*path, key))} ]" + draw(st.sampled_from(["", " # header"]))
            yield from _laid_out(draw, value, (*path, key))


def _pair(draw: st.DrawFn, key: str, value: Any) -> str:
    indent = draw(st.sampled_from(["", "  "]))
    if isinstance(value, list) and value and draw(st.booleans()):
        elements = "".join(f"\n    {rendered(item)}, # one" for item in value)
        return f"{indent}{dotted_key((key,))} = [{elements}\n{indent}] # all"
    return f"{indent}{dotted_key((key,))}={rendered(value)}" + draw(st.sampled_from(["", "  # why"]))


def _put(data: dict[str, Any], path: Path_, value: Any) -> dict[str, Any] | None:
    new = here = copy.deepcopy(data)
    for part in path[:-1]:
        here = here.setdefault(part, {})
        if not isinstance(here, dict):
            return None
    here[path[-1]] = value
    return new


def _drop(data: dict[str, Any], path: Path_) -> dict[str, Any]:
    new = here = copy.deepcopy(data)
    for part in path[:-1]:
        here = here.get(part, {})
        if not isinstance(here, dict):
            return new
    here.pop(path[-1], None)
    return new


def _comments(raw: bytes) -> list[bytes]:
    return [line for line in raw.splitlines() if line.lstrip().startswith(b"#")]


def _is_within(few: list[bytes], many: list[bytes]) -> bool:
    rest = iter(many)
    return all(line in rest for line in few)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(documents(), PATHS, VALUES)
@example(b"[a.b.c]\nx=1\n", ("a", "b", "d"), 1)
@example(b"[a.b]\nx=1\n[a]\ny=1\n", ("a", "b", "d"), {"e": 1})
@example(b"a.b=1\n[c]\n", ("a", "c"), 2)
@example(b"", ("a",), {})
def test_what_was_set_is_there_and_nothing_else_has_changed(raw: bytes, path: Path_, value: Any) -> None:
    before = tomllib.loads(raw.decode())
    wanted = _put(before, path, value)
    if wanted is None:
        with pytest.raises(NotEditableError, match="is no table"):
            with_value(raw, path, value)
        return
    after = with_value(raw, path, value)

    assert tomllib.loads(after.decode()) == wanted
    pieces = TomlFile(raw).find(path).pieces
    if not pieces:
        was, now = raw.splitlines(), after.splitlines()
        differing = [line for line in was if line not in now]
        assert len(differing) <= 1  # the line of an inline table into which it was put
        assert _is_within([line for line in was if line not in differing], now)
    elif len(pieces) == 1 and pieces[0].is_whole:
        node = pieces[0].what.value  # type: ignore[union-attr]  # a whole piece is a pair
        assert after.startswith(raw[: node.start_byte])
        assert after.endswith(raw[node.end_byte :])
    assert (b"\r\n" in after) >= (b"\r\n" in raw)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(documents(), PATHS)
@example(b"[a]\nx=1\n\n[b]\ny=1\n", ("b",))
@example(b"a = { b = 1, c = 2 }\n", ("a", "c"))
def test_what_was_removed_is_gone_and_nothing_else_has_changed(raw: bytes, path: Path_) -> None:
    before = tomllib.loads(raw.decode())
    after = without(raw, path, is_entry=lambda above: True)
    assert tomllib.loads(after.decode()) == _drop(before, path)
    if not TomlFile(raw).find(path).pieces:
        assert after == raw


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(documents(), PATHS, ATOMS)
def test_comments_outside_of_what_is_removed_stay(raw: bytes, path: Path_, value: Any) -> None:
    pieces = TomlFile(raw).find(path).pieces
    assume(pieces)
    spans = [(p.what.start, p.what.end) for p in pieces]
    outside = [
        line
        for start, line in _lines(raw)
        if line.lstrip().startswith(b"#") and not any(a <= start <= b for a, b in spans)
    ]
    assert _is_within(outside, _comments(without(raw, path)))


def _lines(raw: bytes) -> Iterator[tuple[int, bytes]]:
    start = 0
    for line in raw.splitlines(keepends=True):
        yield start, line.rstrip(b"\r\n")
        start += len(line)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=5, unique=True), st.data())
def test_an_element_leaves_its_list_in_every_layout(words: list[str], data: st.DataObject) -> None:
    assume(not any("\ud800" <= c <= "\udfff" for word in words for c in word))
    layout = data.draw(st.sampled_from(["[{}]", "[\n  {},\n]", "[\n  {}\n]", "[ # first\n  {}, # last\n]"]))
    joint = data.draw(st.sampled_from([", ", ",", ",\n  ", ", # one\n  ", "\n  , "]))
    raw = f"l = {layout.format(joint.join(map(rendered, words)))} # end\nz = 1\n".encode()
    chosen = data.draw(st.sampled_from(words))
    array = TomlFile(raw).value(("l",))
    assert array is not None
    element = next(node for node in elements_of(array) if text_of(node) == chosen)
    after = tomllib.loads(applied(raw, [without_element(raw, array, element)]).decode())
    assert after == {"l": [word for word in words if word != chosen], "z": 1}


@pytest.mark.parametrize(
    ("before", "path", "value", "after"),
    [
        ("x = 1 # one\n", ("x",), 2, "x = 2 # one\n"),
        ("[m.a]\nx=1\n# tail\n\n[n]\n", ("m", "a", "y"), "t", '[m.a]\nx=1\ny = "t"\n# tail\n\n[n]\n'),
        (
            "[m.a]\nd.e = 1\nz = 1\n",
            ("m", "a", "d", "f"),
            2,
            "[m.a]\nd.e = 1\nd.f = 2\nz = 1\n",
        ),
        (
            "[m.a]\nx = 1\n\n# ── n ──\n\n[n]\ny = 1\n",
            ("m", "b"),
            {"x": 1, "d": {"e": "f"}},
            '[m.a]\nx = 1\n\n[m.b]\nx = 1\nd.e = "f"\n\n# ── n ──\n\n[n]\ny = 1\n',
        ),
        ("m = { a = 1 }\n", ("m", "b", "c"), True, "m = { a = 1, b.c = true }\n"),
        ("m = {}\n", ("m", "b"), [1, "x"], 'm = { b = [1, "x"] }\n'),
        ("a = 1\r\n[m]\r\nb = 1\r\n", ("m", "c"), 1, "a = 1\r\n[m]\r\nb = 1\r\nc = 1\r\n"),
        ("# about\n\n[m]\nb = 1\n", ("t",), 1, "# about\n\nt = 1\n\n[m]\nb = 1\n"),
        ("[m]", ("m", "c"), 1, "[m]\nc = 1\n"),
        ("[[l]]\na = 1\n\n[[l]]\na = 2\n\n[z]\n", ("l",), [], "[z]\n\n"),
    ],
)
def test_it_is_written_where_a_person_would_write_it(before: str, path: Path_, value: Any, after: str) -> None:
    if path == ("l",):  # an array of tables that becomes a plain list
        assert tomllib.loads(with_value(before.encode(), path, value).decode()) == {"l": [], "z": {}}
        return
    assert with_value(before.encode(), path, value).decode() == after


def test_nothing_is_set_inside_of_an_array_of_tables() -> None:
    with pytest.raises(NotEditableError, match="'l' is no table"):
        with_value(b"[[l]]\na = 1\n[l.b]\nc = 1\n", ("l", "b", "c"), 2)


def test_arrays_of_tables_survive_edits_around_them() -> None:
    raw = b"[m]\na = 1\n\n[[m.l]]\nx = 1\n[m.l.sub]\ny = 1\n\n[[m.l]]\nx = 2\n"
    after = with_value(raw, ("m", "b"), 2)
    assert after == raw.replace(b"a = 1\n", b"a = 1\nb = 2\n")
