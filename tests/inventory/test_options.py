"""`inventory options` and `inventory schema`: of every fleet, and with what a fleet's own modules declare."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it brings no types

from clanpy.cli.program import run
from clanpy.inventory import check
from clanpy.inventory.reference import json_schema, of_fleet, option_reference, option_rows, options
from support.fleets import CONFIGURATIONS, REFERENCE, TWO, write


SITE = """
from clanpy.modules import option, types

racks = types.submodule({"options": {"rack": {"unit": option(types.ints.positive, default=1, description="Where it hangs.")}}})
module = {
    "options": {
        "site": {
            "name": option(types.str, description="What the site is called."),
            "ports": option(types.non_empty_list_of(types.port), default=[22], description="What is open."),
            "kind": option(types.enum(["a", "b"]), default="a", description="Which kind."),
            "size": option(types.either(types.ints.between(1, 9), types.str), default=1, description="How big."),
            "rooms": option(types.attrs_of(types.submodule({
                "freeform_type": types.attrs_of(types.str),
                "options": {"floor": option(types.null_or(types.int), default=None, description="How high.")},
            })), default={}, description="Rooms."),
            "total": option(types.int, default=lambda config: 1 + 1, description="All of it.", read_only=True),
            "later": option(types.int, default=lambda config: config.site.total, description="Computed."),
            "any": option(types.anything, default={}, example={"a": [1]}, description="Anything."),
            "way": option(types.attr_tag({"tcp": option(types.port, description="p"), "unix": option(types.path, description="p")}), description="A way."),
            "word": option(types.coerced_to(types.int, str, types.str), default="x", description="A word."),
            "on": option(types.bool, default=False, description="Whether.", internal=True),
        },
        "machines": option(types.attrs_of(racks)),
    }
}
"""
RIGHT = """
[site]
name = "north"
ports = [1, 65535]
size = "big"
later = { _force = 3 }
any = { x = [{ y = 1 }] }
way.tcp = 1
word = 5
[site.rooms.hall]
floor = 1
colour = "red"
[machines.alpha.rack]
unit = 3
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A fleet whose module declares options, some of them of machines."""
    return write(tmp_path, {"inventory.toml": TWO + RIGHT, **CONFIGURATIONS, "modules/site.py": SITE})


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = run(words)
    captured = capsys.readouterr()
    return int(code), captured.out, captured.err


def complaints(schema: dict[str, Any], text: str) -> list[str]:
    return [error.message for error in Draft202012Validator(schema).iter_errors(tomllib.loads(text))]


def test_the_schema_is_one_and_takes_the_reference_fleet() -> None:
    Draft202012Validator.check_schema(json_schema())
    Draft202012Validator.check_schema(json_schema(of_fleet(REFERENCE)))
    text = (REFERENCE / "inventory.toml").read_text()
    assert complaints(json_schema(), text) == []
    assert complaints(json_schema(of_fleet(REFERENCE)), text) == []


def test_the_fleet_of_these_tests_is_right(site: Path) -> None:
    assert [str(error) for error in check(site).errors] == []


def test_the_schema_of_a_fleet_takes_what_its_modules_declare(site: Path) -> None:
    schema = json_schema(of_fleet(site))
    Draft202012Validator.check_schema(schema)
    assert complaints(schema, TWO + RIGHT) == []
    assert complaints(json_schema(), TWO + RIGHT) != []


@pytest.mark.parametrize(
    "text",
    [
        "site.name = 5",
        "site.names = 'x'",
        "site.ports = []",
        "site.ports = [70000]",
        "site.kind = 'c'",
        "site.size = 10",
        "site.size = []",
        "site.rooms.hall.floor = 'x'",
        "site.way = { tcp = 1, unix = '/x' }",
        "site.way.udp = 1",
        "site.word = true",
        "site.total = 3",
        "machines.x.rack.unit = 0",
        "machines.x.rack.units = 1",
        "machines.x.tags = 3",
    ],
)
def test_the_schema_of_a_fleet_refuses_what_loading_refuses(site: Path, text: str) -> None:
    assert complaints(json_schema(of_fleet(site)), text) != []


def test_the_reference_of_a_fleet_tells_its_own_options_with_their_files(site: Path) -> None:
    rows = {row["path"]: row for row in option_rows(options(of_fleet(site)), site)}
    assert rows["site.name"]["declared_in"] == ["modules/site.py"]
    assert rows["site.name"]["required"]
    assert rows["machines.<machine>.rack.unit"]["declared_in"] == ["modules/site.py"]
    assert rows["machines.<machine>.class"]["declared_in"] == ["clanpy"]
    assert rows["site.later"]["default"] is None
    assert rows["site.later"]["default_text"] == "computed"
    assert rows["machines"]["type"] == "a table of machines"
    assert rows["site.any"]["example"] == {"a": [1]}
    assert "site.on" not in rows  # internal
    page = option_reference(options(of_fleet(site)), site)
    assert "### `site.rooms.<name>.floor`" in page
    assert "- Declared in `modules/site.py`" in page
    assert "Declared in `clanpy`" not in page


def test_the_commands_look_into_the_fleet_that_they_are_in(
    site: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(site / "machines")
    monkeypatch.delenv("CLANPY_FLEET", raising=False)
    assert "### `site.name`" in said(capsys, "inventory", "options")[1]
    assert "site" in json.loads(said(capsys, "inventory", "schema")[1])["properties"]
    monkeypatch.chdir(site.parent)
    assert said(capsys, "inventory", "schema", "--fleet", str(site / "nowhere"))[0] == 2


def test_a_fleet_with_errors_has_options_all_the_same(site: Path) -> None:
    write(site, {"inventory.toml": TWO + "[machines.x]\n"})
    assert any(row["path"] == "site.name" for row in option_rows(options(of_fleet(site)), site))
    write(site, {"modules/site.py": "module = 5\n"})
    assert any(row["path"] == "meta.name" for row in option_rows(options(of_fleet(site)), site))
