"""`clanpy home`: homes as they are listed, and what can be wrong with a name before anything is begun."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clanpy.cli.program import run
from clanpy.errors import ExitCode
from support.fleets import CONFIGURATIONS, TWO, write


INVENTORY = (
    TWO
    + """
[users.ann]
aliases = ["annie"]
imports = ["core"]

[users.bob]

[instances.ann]
module.name = "users"
roles.default.machines.alpha.settings = { home_manager = "standalone" }
roles.default.machines.beta = {}
roles.default.settings = { user = "ann" }

[instances.annie]
module.name = "users"
roles.default.machines = ["alpha"]
roles.default.settings = { user = "annie", home_manager = "standalone" }
"""
)


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("CLANPY_FLEET", "CLANPY_JSON", "CLANPY_LAB", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLANPY_STATE", str(tmp_path / "state"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files = {"inventory.toml": INVENTORY, "modules/home/core.nix": "{ }\n", **CONFIGURATIONS}
    return write(tmp_path / "fleet", files)


def said(capsys: pytest.CaptureFixture[str], root: Path, *words: str) -> tuple[int, str, str]:
    code = run((*words, "--fleet", str(root)))
    captured = capsys.readouterr()
    return int(code), captured.out, captured.err


ELSEWHERE = """
[users.ann.homes.uni]
system = "aarch64-linux"
account = "a42"
target_host = "login.uni.example:2222"
"""


def test_every_home_that_there_can_be_is_listed_and_those_on_hosts_of_others(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(root, {"inventory.toml": INVENTORY + ELSEWHERE + '[users.kim]\nimports = ["core"]\n'})
    homes = json.loads(said(capsys, root, "home", "list", "--json")[1])["homes"]
    found = {(home["user"], home["system"]): [there["machine"] for there in home["deployed"]] for home in homes}
    systems = ["aarch64-darwin", "aarch64-linux", "x86_64-linux"]
    assert [system for user, system in found if user == "kim"] == systems
    assert not any(found["kim", system] for system in systems)
    assert found["ann", "aarch64-linux"] == ["uni"]
    assert homes[1]["deployed"] == [
        {"machine": "uni", "account": "a42", "home": "/home/a42", "home_manager": "standalone"}
    ]
    assert (
        "a42 on uni: /home/a42, not made here, home standalone, no machine of the fleet"
        in said(capsys, root, "users", "show", "ann")[1]
    )


def test_a_host_of_others_is_a_machine_for_its_homes_alone(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(root, {"inventory.toml": INVENTORY + ELSEWHERE})
    listed = json.loads(said(capsys, root, "machines", "list", "--json")[1])
    assert [machine["name"] for machine in listed] == ["alpha", "beta"]
    code, _, err = said(capsys, root, "machines", "update", "uni", "--dry-run")
    assert (code, "uni" in err) == (ExitCode.NOTHING_MATCHED, True)
    code, _, err = said(capsys, root, "home", "update", "ann@uny")
    assert (code, "there is no machine 'uny'" in err, "uni" in err) == (ExitCode.NOTHING_MATCHED, True, True)


def test_homes_are_listed_by_person_and_system_with_where_they_are(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    homes = json.loads(said(capsys, root, "home", "list", "--json")[1])["homes"]
    assert [(home["user"], home["system"]) for home in homes] == [("ann", "aarch64-darwin"), ("ann", "x86_64-linux")]
    assert [(there["account"], there["home_manager"]) for there in homes[1]["deployed"]] == [
        ("ann", "standalone"),
        ("annie", "standalone"),
    ]
    line = said(capsys, root, "home", "list")[1].splitlines()[2]
    assert line.split("  ")[-2:] == ["ann@alpha, annie@alpha", "-"] or "ann@alpha, annie@alpha" in line


@pytest.mark.parametrize(
    ("home", "code", "message"),
    [
        ("amn@alpha", ExitCode.NOTHING_MATCHED, "there is no user 'amn'"),
        ("ann@alhpa", ExitCode.NOTHING_MATCHED, "there is no machine 'alhpa'"),
        ("bob", ExitCode.NOTHING_MATCHED, "'bob' has no standalone home"),
        ("ann@beta", ExitCode.NOTHING_MATCHED, "clanpy machines update beta"),
    ],
)
def test_a_home_that_is_not_there_is_told_before_anything_is_begun(
    root: Path, capsys: pytest.CaptureFixture[str], home: str, code: ExitCode, message: str
) -> None:
    found, _, err = said(capsys, root, "home", "update", home)
    assert (found, message in err) == (code, True), err


def test_two_homes_on_one_machine_are_updated_one_after_the_other(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = said(capsys, root, "home", "update", "ann@alpha", "annie@alpha")
    assert code == ExitCode.USAGE
    assert "these are two homes on alpha: ann and annie" in err
