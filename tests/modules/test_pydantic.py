"""Pydantic models as submodules."""

from enum import Enum
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from clanpy.modules import ModuleError, evaluate, mk_force, model, option, to_data
from clanpy.modules import types as t


class Level(Enum):
    LOW = "low"
    HIGH = "high"


class Keep(BaseModel):
    daily: int = Field(7, ge=0, description="How many days.")
    weekly: Annotated[int, Field(ge=1, le=9)] = 4


class Backup(BaseModel):
    host: str
    port: Annotated[int, Field(gt=0, lt=65536)] = 22
    mode: Literal["push", "pull"] = "push"
    level: Level = Level.LOW
    keep: Keep = Keep()
    paths: list[Path] = Field(default_factory=list, examples=[["/srv"]])
    name: str = Field("x", pattern="^[a-z]+$", max_length=5)
    address: IPv4Address | None = None
    ratio: float = 0.5
    labels: dict[str, str] = {}
    others: dict[str, Keep] = {}
    count: int | str = 1
    extra: Any = None
    every: int = Field(2, multiple_of=2)
    old: str | None = Field(None, deprecated="use host")


KIND = model(Backup)


def result(*values: Any, kind: t.Type = KIND) -> Any:
    return evaluate([{"options": {"x": option(kind)}}, *({"x": v} for v in values)])


def kinds(found: Any) -> list[tuple[str, str]]:
    return sorted((".".join(e.path), e.kind) for e in found.errors())


def test_defaults_are_kept() -> None:
    found = result({"host": "h"})
    found.check()
    assert to_data(found.config.x) == {
        "host": "h", "port": 22, "mode": "push", "level": "low", "keep": {"daily": 7, "weekly": 4}, "paths": [], "name": "x",
        "address": None, "ratio": 0.5, "labels": {}, "others": {}, "count": 1, "extra": None, "every": 2, "old": None,
    }  # fmt: skip


def test_a_required_field_has_no_default() -> None:
    assert kinds(result({})) == [("x.host", "unset")]


def test_levels_are_merged_option_by_option() -> None:
    found = result(
        {"host": "h", "keep": {"daily": 1}}, {"port": mk_force(23), "keep": {"weekly": 2}, "paths": ["/a"]}, {"port": 1}
    )
    assert to_data(found.config.x.keep) == {"daily": 1, "weekly": 2}
    assert found.config.x.port == 23


BAD: dict[str, Any] = {
    "port": 70_000,
    "mode": "sideways",
    "level": "middle",
    "name": "UPPER",
    "address": "1.2.3",
    "ratio": "half",
    "labels": {"a": 1},
    "paths": [1],
    "every": 3,
    "count": 1.5,
    "host": 5,
}


@pytest.mark.parametrize("field", BAD)
def test_a_constraint_is_checked(field: str) -> None:
    found = kinds(result({"host": "h", field: BAD[field]} if field != "host" else {"host": 5}))
    assert len(found) == 1
    assert found[0][0].startswith(f"x.{field}")
    assert found[0][1] == "type"


GOOD: dict[str, Any] = {
    "port": 1,
    "mode": "pull",
    "level": "high",
    "name": "abcde",
    "address": "10.0.0.1",
    "ratio": 1,
    "labels": {"a": "b"},
    "paths": ["/a", "b"],
    "every": 4,
    "count": "many",
    "others": {"a": {"daily": 0, "weekly": 9}},
    "extra": {"anything": [1]},
}


@pytest.mark.parametrize("field", GOOD)
def test_a_good_value_stays_as_it_is_written(field: str) -> None:
    found = result({"host": "h", field: GOOD[field]})
    found.check()
    assert to_data(found.config.x[field]) == GOOD[field]
    Backup.model_validate(to_data(found.config.x))


def test_constraints_in_nested_models_are_checked() -> None:
    assert kinds(result({"host": "h", "others": {"a": {"weekly": 0}}})) == [("x.others.a.weekly", "type")]


def test_unknown_fields_are_unknown_options() -> None:
    assert kinds(result({"host": "h", "prot": 1})) == [("x.prot", "unknown")]


def test_documentation_is_kept() -> None:
    documented = {str(o): o for o in result({"host": "h"}).documented()}
    assert documented["x.keep.daily"].description == "How many days."
    assert documented["x.keep.daily"].type.description == "unsigned integer, meaning >=0"
    assert documented["x.port"].type.description == "integer between 1 and 65535 (both inclusive)"
    assert documented["x.mode"].type.description == 'one of "push", "pull"'
    assert documented["x.name"].type.description == "string (at most 5 long, matching ^[a-z]+$)"
    assert documented["x.paths"].example == ["/srv"]
    assert documented["x.old"].description == "(deprecated: use host)"
    assert "x.others.<name>.weekly" in documented


def test_a_model_gives_the_same_type_each_time() -> None:
    assert model(Backup) is KIND


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: int = 1


def test_a_model_that_allows_more_takes_more() -> None:
    assert to_data(result({"b": {"c": [1]}}, kind=model(Open)).config.x) == {"a": 1, "b": {"c": [1]}}


class Aliased(BaseModel):
    model_config = ConfigDict(extra="forbid")
    target_host: str | None = Field(None, alias="targetHost")

    @model_validator(mode="after")
    def no_root(self) -> "Aliased":
        if self.target_host == "root":
            raise ValueError("not root")
        return self


def test_an_alias_is_another_name() -> None:
    assert to_data(result({"targetHost": "h"}, kind=model(Aliased)).config.x) == {"target_host": "h"}
    assert to_data(result({"target_host": "h"}, kind=model(Aliased)).config.x) == {"target_host": "h"}


def test_validators_of_the_model_are_run() -> None:
    found = result({"targetHost": "root"}, kind=model(Aliased)).errors()
    assert [e.path for e in found] == [("x",)]
    assert "is no valid Aliased: x: Value error, not root" in found[0].message


class Checked(BaseModel):
    words: list[str] = []

    @field_validator("words")
    @classmethod
    def unique(cls, words: list[str]) -> list[str]:
        if len(set(words)) != len(words):
            raise ValueError("twice")
        return words


def test_validators_of_fields_see_the_merged_value() -> None:
    result({"words": ["a"]}, {"words": ["b"]}, kind=model(Checked)).check()
    found = result({"words": ["a"]}, {"words": ["a"]}, kind=model(Checked)).errors()
    assert "x.words: Value error, twice" in found[0].message


class Tree(BaseModel):
    name: str = ""
    children: list["Tree"] = []
    either: Keep | Open | None = None


def test_a_model_that_contains_itself_is_checked_by_pydantic_inside() -> None:
    value = {"name": "a", "children": [{"name": "b", "children": [{"name": "c"}]}]}
    assert to_data(result(value, kind=model(Tree)).config.x.children) == value["children"]
    assert kinds(result({"children": [{"name": 1}]}, kind=model(Tree))) == [
        ("x.children.[definition 1-entry 1]", "type")
    ]


def test_a_choice_between_models_is_made_by_pydantic() -> None:
    assert to_data(result({"either": {"daily": 1}}, kind=model(Tree)).config.x.either) == {"daily": 1}
    assert kinds(result({"either": {"a": "text"}, "name": "n"}, kind=model(Tree))) in [[("x.either", "type")], []]


def test_places_of_errors_are_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "f.toml"
    path.write_text('[x]\nhost = "h"\nport = 0\n')
    found = evaluate([{"options": {"x": option(KIND)}}, path]).errors()
    assert [str(e.place) for e in found] == [f"{path}:3:1"]


def test_a_model_with_validators_that_can_not_be_computed_reports_the_cause() -> None:
    class Strict(BaseModel):
        a: int

        @model_validator(mode="after")
        def fine(self) -> "Strict":
            return self

    found = result({}, kind=model(Strict))
    assert kinds(found) == [("x.a", "unset")]
    with pytest.raises(ModuleError):
        found.check()
