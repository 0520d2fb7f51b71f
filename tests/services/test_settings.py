"""Models of settings: their other spelling, what is wrong with data, and the names in it."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from clanpy.services.settings import AspectName, Field, Settings, UserName, canonical, check, references


class Inner(Settings):
    some_number: int = 0
    keeper: UserName | None = None


class Outer(Settings):
    needed: str
    one_inner: Inner = Field(default_factory=Inner)
    by_name: dict[str, Inner] = Field(default_factory=dict)
    in_list: list[Inner] = Field(default_factory=list)
    free_form: dict[str, str] = Field(default_factory=dict)
    owner: UserName | None = None
    admin: UserName = "root"
    parts: list[AspectName] = Field(default_factory=list)


CAMEL = {
    "needed": "x",
    "oneInner": {"someNumber": 1},
    "byName": {"aName": {"someNumber": 2}},
    "inList": [{"someNumber": 3}],
    "freeForm": {"someNumber": "stays"},
}
SNAKE = {
    "needed": "x",
    "one_inner": {"some_number": 1},
    "by_name": {"aName": {"some_number": 2}},
    "in_list": [{"some_number": 3}],
    "free_form": {"someNumber": "stays"},
}


def test_the_other_spelling_is_replaced_as_deep_as_the_model_goes_and_no_deeper() -> None:
    assert canonical(Outer, CAMEL) == SNAKE


@given(
    st.recursive(
        st.none() | st.text(max_size=3), lambda i: st.lists(i) | st.dictionaries(st.sampled_from([*CAMEL, *SNAKE]), i)
    )
)
def test_spelling_is_settled_after_one_go(data: Any) -> None:
    once = canonical(Outer, data)

    assert canonical(Outer, once) == once or not isinstance(data, dict)


def test_all_problems_are_told_each_with_its_path() -> None:
    model, problems = check(
        Outer, {"nedeed": 1, "one_inner": {"some_numbr": 1}, "by_name": {"a": {"some_number": "1"}}}
    )

    assert model is None
    assert {(p.kind, p.path) for p in problems} == {
        ("missing", ("needed",)),
        ("unknown", ("nedeed",)),
        ("unknown", ("one_inner", "some_numbr")),
        ("wrong", ("by_name", "a", "some_number")),
    }
    inner = next(p for p in problems if p.path == ("one_inner", "some_numbr"))
    assert inner.candidates == ("some_number", "keeper")


def test_names_of_things_of_the_fleet_are_found() -> None:
    data = {
        "owner": "ann",
        "admin": "bob",
        "parts": ["a", "b"],
        "needed": "ann",
        "one_inner": {"keeper": "x"},
        "by_name": {"n": {"keeper": "y"}},
        "in_list": [{"keeper": "z"}, {"keeper": None}],
    }

    assert list(references(Outer, data)) == [
        ("user", ("one_inner", "keeper"), "x"),
        ("user", ("by_name", "n", "keeper"), "y"),
        ("user", ("in_list", "0", "keeper"), "z"),
        ("user", ("owner",), "ann"),
        ("user", ("admin",), "bob"),
        ("home aspect", ("parts", "0"), "a"),
        ("home aspect", ("parts", "1"), "b"),
    ]
