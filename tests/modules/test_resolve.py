"""A type and definitions from several levels, without modules around them; and where each value comes from."""

from pathlib import Path
from typing import Any

import pytest

from clanpy.modules import (
    ConflictError,
    TypeMismatchError,
    UnknownOptionError,
    evaluate,
    mk_default,
    mk_definition,
    mk_force,
    option,
    origins,
    resolve,
    to_data,
)
from clanpy.modules import types as t


SETTINGS = t.submodule(
    {
        "options": {
            "port": option(t.port, default=22),
            "hosts": option(t.list_of(t.str), default=[]),
            "deep": {"level": option(t.int, default=0)},
            "labels": option(t.attrs_of(t.str), default={}),
        }
    }
)


def test_definitions_are_merged_by_the_type() -> None:
    found = resolve(SETTINGS, [{"port": 1, "hosts": ["a"]}, {"hosts": ["b"], "deep": {"level": 2}}])
    assert to_data(found) == {"port": 1, "hosts": ["b", "a"], "deep": {"level": 2}, "labels": {}}


def test_without_definitions_there_are_the_defaults() -> None:
    assert to_data(resolve(SETTINGS, [])) == {"port": 22, "hosts": [], "deep": {"level": 0}, "labels": {}}


def test_a_list_is_joined_in_the_order_given() -> None:
    assert resolve(t.list_of(t.int), [[1], [2]]) == [1, 2]


def test_priorities_count() -> None:
    assert resolve(SETTINGS, [{"port": mk_default(1)}, {"port": 2}]).port == 2
    assert resolve(SETTINGS, [{"port": mk_force(1)}, {"port": 2}]).port == 1


ERRORS: dict[str, tuple[Any, Any]] = {
    "unknown": (UnknownOptionError, {"prot": 1}),
    "of a wrong type": (TypeMismatchError, "text"),
}


@pytest.mark.parametrize("case", ERRORS.values(), ids=ERRORS)
def test_what_does_not_fit_is_an_error_with_the_whole_path(case: tuple[Any, Any]) -> None:
    with pytest.raises(case[0]) as raised:
        resolve(SETTINGS, [case[1]], path=("instances", "ssh", "settings"))
    assert raised.value.path[:3] == ("instances", "ssh", "settings")


def test_conflicts_name_the_files() -> None:
    with pytest.raises(ConflictError) as raised:
        resolve(t.int, [mk_definition(file="a", value=1), mk_definition(file="b", value=2)], path=("x",))
    assert [line.partition(":")[0] for line in raised.value.definitions] == ["In `a'", "In `b'"]


DEFERRED = {"options": {"settings": option(t.deferred_module, default={})}}


def test_parts_of_deferred_modules_keep_their_places(tmp_path: Path) -> None:
    path = tmp_path / "f.toml"
    path.write_text('[settings]\nport = 5\nhosts = ["a"]\n\n[settings.deep]\nlevel = "x"\n')
    parts = evaluate([DEFERRED, path, {"_file": "other", "settings": {"hosts": ["b"]}}]).config.settings
    found = resolve(SETTINGS, parts, path=("m", "settings"))
    assert (found.port, sorted(found.hosts)) == (5, ["a", "b"])
    with pytest.raises(TypeMismatchError) as raised:
        found.deep.level  # noqa: B018  # looking is the test
    assert (str(raised.value.place), raised.value.path) == (f"{path}:6:1", ("m", "settings", "deep", "level"))


def test_definitions_of_an_option_can_be_resolved_by_another_type() -> None:
    options = evaluate([{"options": {"s": option(t.anything)}}, {"_file": "f", "s": {"port": 7}}]).options
    assert resolve(SETTINGS, options.s.definitions_with_locations, path=("s",)).port == 7


def test_every_value_knows_where_it_comes_from(tmp_path: Path) -> None:
    path = tmp_path / "f.toml"
    path.write_text('[s]\nport = 5\nhosts = ["a"]\n[s.deep]\nlevel = 1\n[s.labels]\nx = "y"\n')
    result = evaluate(
        [{"options": {"s": option(SETTINGS)}}, path, {"_file": "g", "s": {"hosts": ["b"], "port": mk_default(9)}}]
    )
    found = {name: [str(place) for place in places] for name, places in origins(result.config).items()}
    assert found == {
        "s.deep.level": [f"{path}:5:1"],
        "s.hosts": [f"{path}:3:1", "g"],
        "s.labels.x": [f"{path}:7:1"],
        "s.port": [f"{path}:2:1"],
    }


def test_a_default_comes_from_its_declaration() -> None:
    found = origins(resolve(SETTINGS, []))
    assert list(found) == ["deep.level", "hosts", "labels", "port"]
    assert all(places[0].file == __file__ for places in found.values())


def test_free_values_know_where_they_come_from() -> None:
    result = evaluate([{"freeform_type": t.attrs_of(t.int)}, {"_file": "f", "z": 1}])
    assert [str(p) for p in origins(result.config)["z"]] == ["f"]
