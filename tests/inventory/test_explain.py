"""`inventory explain`, `modules list|show`, `inventory schema` and `inventory options`."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from clanpy.cli.program import run
from clanpy.errors import NothingMatchedError, UsageError
from clanpy.inventory import load
from clanpy.inventory.catalogue import catalogue
from clanpy.inventory.explain import explain
from clanpy.inventory.reference import json_schema, option_reference, options
from support.fleets import REFERENCE, TWO, fleet, write


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLANPY_FLEET", "CLANPY_JSON", "CLANPY_LAB", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = run(words)
    captured = capsys.readouterr()
    return int(code), captured.out, captured.err


def test_every_definition_is_told_with_its_place_and_the_dropped_ones_with_the_reason(tmp_path: Path) -> None:
    more = {"inventory/x.toml": '[machines.alpha]\ntype = { _force = "vm" }\n'}
    found = explain(fleet(tmp_path, TWO.replace('tags = ["web"]', 'type = "pc"'), more), "machines.alpha.type")

    assert (found.value, found.type) == ("vm", "a string")
    assert [(str(d.place), d.value, d.priority, d.dropped) for d in found.definitions] == [
        ("inventory/x.toml:2:1", "vm", 50, None),
        ("inventory.toml:9:1", "pc", 100, "its priority 100 is outdone by 50"),
    ]


def test_a_default_is_told_as_one_that_nobody_wrote(tmp_path: Path) -> None:
    found = explain(fleet(tmp_path, TWO), "machines.alpha.imports")

    assert (found.value, found.definitions) == ([], ())


def test_the_tags_of_a_machine_are_all_that_it_carries_and_who_gives_them(tmp_path: Path) -> None:
    found = explain(fleet(tmp_path, TWO + '[tags]\nstatic = ["alpha"]\n'), "machines.alpha.tags")

    assert found.value == ["all", "nixos", "static", "web"]
    assert [str(d.place) for d in found.definitions] == ["inventory.toml:9:1", "inventory.toml:15:11"]


def test_settings_are_explained_at_the_level_where_they_stand_in_either_spelling(tmp_path: Path) -> None:
    inventory = TWO + '[instances.sshd.roles.server]\ntags = ["web"]\nsettings.openFirewall = { _default = true }\n'
    more = {"inventory/x.toml": "[instances.sshd.roles.server]\nsettings.openFirewall = false\n"}
    found = fleet(tmp_path, inventory, more)

    for name in ("openFirewall", "open_firewall"):
        explained = explain(found, f"instances.sshd.roles.server.settings.{name}")
        assert explained.value is False
        assert [(str(d.place), d.dropped) for d in explained.definitions] == [
            ("inventory/x.toml:2:1", None),
            ("inventory.toml:16:1", "its priority 1000 is outdone by 100"),
        ]


def test_an_aspect_is_explained_by_the_files_that_write_it(tmp_path: Path) -> None:
    files = {"modules/nixos/a.nix": "", "modules/x.toml": "[aspects.nixos.a]\nb = 1\n"}
    found = explain(fleet(tmp_path, TWO, files), "aspects.nixos.a")

    assert found.value == ["modules/nixos/a.nix", "modules/x.toml"]
    assert [str(d.place) for d in found.definitions] == ["modules/nixos/a.nix", "modules/x.toml:1:2"]


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("machines.alhpa", "'alpha'"),
        ("machines.alpha.tagz", "'tags'"),
        ("meta.domian", "'domain'"),
        ("aspects.nixos.nope", None),
        ("instances.sshd.roles.server.settings.prot", None),
    ],
)
def test_what_is_not_there_is_told_with_the_nearest_name(path: str, hint: str | None, tmp_path: Path) -> None:
    with pytest.raises(NothingMatchedError) as caught:
        explain(fleet(tmp_path, TWO + '[instances.sshd.roles.server]\ntags = ["web"]\nsettings.port = 1\n'), path)

    assert path.rpartition(".")[2] in caught.value.message
    assert hint is None or hint in (caught.value.hint or "")


@pytest.mark.parametrize("path", ["", "a..b", 'a."b'])
def test_what_is_no_path_is_told_as_such(path: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        explain(fleet(tmp_path, TWO), path)


def test_anything_of_the_reference_fleet_can_be_explained() -> None:
    found = load(REFERENCE)
    paths = {option.loc[0] for option in options()} | {
        *(f"machines.{name}" for name in found.machines),
        *(f"users.{name}.imports" for name in found.users),
        *(f"instances.{name}.roles" for name in found.instances),
        *(f"aspects.{class_}.{name}" for class_, name in found.aspects),
    }
    for path in sorted(paths):
        assert json.loads(json.dumps(explain(found, path).to_dict()))["path"] == path


def test_a_catalogue_says_who_imports_an_aspect_and_why(tmp_path: Path) -> None:
    inventory = (
        TWO.replace('tags = ["web"]', 'tags = ["web"]\nimports = ["a"]')
        + '[tags]\nall = { imports = ["a"] }\n[users.ann]\nimports = ["h"]\n'
        + '[instances.sshd.roles.server]\ntags = ["web"]\nextra_modules = ["a"]\n'
    )
    files = {f"modules/{name}.nix": "" for name in ("nixos/a", "darwin/a", "nixos/lonely", "home/h")}
    entries = {(e.aspect.class_, e.aspect.name): e for e in catalogue(fleet(tmp_path, inventory, files))}

    assert [found.why for found in entries["nixos", "a"].imports] == [
        "tag all",
        "machine alpha",
        "instance sshd, role server",
    ]
    assert entries["nixos", "a"].machines == ("alpha",)
    assert entries["darwin", "a"].machines == ("beta",)
    assert entries["nixos", "lonely"].imports == ()
    assert [found.why for found in entries["home", "h"].imports] == ["user ann"]


def test_an_aspect_that_is_not_there_is_told_with_the_nearest_name() -> None:
    with pytest.raises(NothingMatchedError, match="no aspect 'bsae'") as caught:
        catalogue(load(REFERENCE), "bsae")
    assert "'base'" in (caught.value.hint or "")
    with pytest.raises(NothingMatchedError, match="of class home"):
        catalogue(load(REFERENCE), "base", "home")


def test_the_commands_print_for_people_and_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    where = ("--fleet", str(REFERENCE))
    assert "+ inventory.toml" in said(capsys, "inventory", "explain", "machines.galena.tags", *where)[1]
    assert json.loads(said(capsys, "inventory", "explain", "meta.name", "--json", *where)[1])["value"] == "vanixiets"
    assert "modules/nixos/gcp/agent.nix" in said(capsys, "modules", "list", *where)[1]
    assert "tag gcp: galena scheelite" in said(capsys, "modules", "show", "gcp", *where)[1]
    assert json.loads(said(capsys, "modules", "list", "--class", "home", "--json", *where)[1])["modules"]
    assert said(capsys, "modules", "show", "nope", *where)[0] == 64


def test_a_conflict_is_explained_although_the_fleet_is_wrong(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    more = "[machines.alpha]\ndescription = 'b'\n"
    write(
        tmp_path,
        {
            "inventory.toml": TWO + "[meta.x]\n",
            "inventory/a.toml": more,
            "inventory/b.toml": more.replace("'b'", "'c'"),
        },
    )
    code, out, _ = said(capsys, "inventory", "explain", "machines.alpha.description", "--fleet", str(tmp_path))

    assert code == 0
    assert out.splitlines()[0] == "machines.alpha.description = null"
    places = ['  + inventory/a.toml:2:1: "b"', '  + inventory/b.toml:2:1: "c"']
    assert sorted(line for line in out.splitlines() if line[2:3] in "+-") == places
    assert "  problem: The option 'machines.alpha.description' has conflicting definition values\n" in out


def test_options_and_schema_need_no_fleet(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)

    assert json.loads(said(capsys, "inventory", "schema")[1]) == json_schema()
    assert said(capsys, "inventory", "options")[1].startswith("# Options of the fleet")
    assert json.loads(said(capsys, "inventory", "options", "--json")[1])["options"]


def test_every_option_is_described_and_stands_in_the_reference() -> None:
    page = option_reference(options())

    for option in options():
        assert option.description, ".".join(option.loc)
        assert option.description.endswith("."), option.description
        assert f"### `{'.'.join(option.loc)}`" in page
    assert "### `instances.<instance>.roles.<role>.settings`" in page


def problems(schema: Mapping[str, Any], value: Any, path: str = "") -> Iterator[str]:
    """What a JSON Schema of the few words that ours uses says against a value."""
    if "$ref" in schema:
        schema = {**SCHEMA["$defs"]["sigil"], **schema}
    if "anyOf" in schema and all(list(problems(choice, value, path)) for choice in schema["anyOf"]):
        yield f"{path}: fits none of {len(schema['anyOf'])}"
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
    if "type" in schema and not isinstance(value, kinds[schema["type"]]):
        yield f"{path}: is no {schema['type']}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: is none of {schema['enum']}"
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{path}: is not like {schema['pattern']}"
    yield from _inside(schema, value, path)


def _inside(schema: Mapping[str, Any], value: Any, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            inner = schema.get("properties", {}).get(key, schema.get("additionalProperties", {}))
            if inner is False:
                yield f"{path}.{key}: is unknown"
            else:
                yield from problems(inner, item, f"{path}.{key}")
    if isinstance(value, list) and "items" in schema:
        for n, item in enumerate(value):
            yield from problems(schema["items"], item, f"{path}.{n}")


SCHEMA = json_schema()


def test_the_schema_takes_the_reference_fleet_and_short_forms_and_sigils() -> None:
    assert list(problems(SCHEMA, tomllib.loads((REFERENCE / "inventory.toml").read_text()))) == []
    short = """
        tags.a = ["x"]
        instances.s = { module = "sshd", roles.server = { machines = ["x"], tags.a.settings.port = 3 } }
        machines.x = { class = { _force = "nixos" }, deploy.target_host = "root@x", tags = { _before = ["b"] } }
        aspects.nixos.y.anything = { at = ["all"] }
        """
    assert list(problems(SCHEMA, tomllib.loads(short))) == []


@pytest.mark.parametrize(
    "text", ["machine.x = {}", 'machines.x.class = "nixso"', "machines.x.tags = 3", 'machines.x.system = "pdp11"']
)
def test_the_schema_refuses_what_loading_refuses(text: str) -> None:
    assert list(problems(SCHEMA, tomllib.loads(text)))


def test_everything_in_the_schema_is_described() -> None:
    def undescribed(schema: Mapping[str, Any], path: str) -> Iterator[str]:
        for name, found in schema.get("properties", {}).items():
            if "description" not in found and "properties" not in found and "anyOf" not in found:
                yield f"{path}.{name}"
            yield from undescribed(found, f"{path}.{name}")

    assert list(undescribed(SCHEMA, "")) == []
