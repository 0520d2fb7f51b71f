"""`clanpy inventory members|settings|of|add|remove`, and why a final setting is what it is: as they are typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clanpy.cli.program import run
from support.fleets import CONFIGURATIONS, TWO, line_of, write


INVENTORY = (
    TWO
    + """
# who is in it
[instances.net]
module.name = "zerotier"
[instances.net.roles]
controller.machines = ["alpha"]  # one
peer.tags = ["all"]
peer.settings.port = 1

[instances.net.roles.peer.machines.beta.settings]
port = { _force = 3 }
"""
)


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLANPY_FLEET", "CLANPY_JSON", "CLANPY_LAB", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write(tmp_path, {"inventory.toml": INVENTORY, **CONFIGURATIONS})


def said(capsys: pytest.CaptureFixture[str], root: Path, *words: str) -> tuple[int, str, str]:
    code = run(("inventory", *words, "--fleet", str(root)))
    captured = capsys.readouterr()
    return int(code), captured.out, captured.err


def data(capsys: pytest.CaptureFixture[str], root: Path, *words: str) -> Any:
    code, out, err = said(capsys, root, *words, "--json")
    assert code == 0, err
    return json.loads(out)


def test_members_are_machines_by_instance_and_role(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert data(capsys, root, "members") == {"net": {"controller": ["alpha"], "peer": ["alpha", "beta"]}}
    assert "net       peer        2      alpha, beta" in said(capsys, root, "members", "net")[1]


def test_settings_are_those_that_count_in_the_end(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = data(capsys, root, "settings", "net")

    assert {key: values["port"] for key, values in found.items()} == {
        "net/controller/alpha": 9993,
        "net/peer/alpha": 1,
        "net/peer/beta": 3,
    }
    assert "  port = 3" in said(capsys, root, "settings")[1]


def test_of_a_machine_it_is_told_what_it_is_in_and_by_what(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (one,) = data(capsys, root, "of", "beta")

    assert (one["instance"], one["role"], one["by"]) == ("net", "peer", ["machine beta", "tag all"])
    assert "tag all" in said(capsys, root, "of", "alpha")[1]


def test_an_instance_that_is_not_there_is_told_with_the_nearest(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = said(capsys, root, "members", "nett")

    assert code == 64
    assert "there is no instance 'nett'" in err
    assert "did you mean 'net'?" in err


def test_wrong_settings_are_errors_of_the_command(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "inventory.toml").write_text(INVENTORY.replace("port = 1\n", 'port = "x"\n'))
    code, _, err = said(capsys, root, "settings")

    assert code == 65
    assert "'port': input should be a valid integer" in err


def test_a_final_setting_is_explained_with_every_level(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = data(capsys, root, "explain", "instances.net.roles.peer.beta.settings.port")
    counts, dropped = found["definitions"]

    assert found["value"] == 3
    assert (counts["why"], counts["counts"]) == ("settings of machine beta", True)
    assert counts["place"].startswith(f"inventory.toml:{line_of(INVENTORY, '_force')}:")
    assert (dropped["why"], dropped["counts"]) == ("settings of role peer", False)
    assert dropped["dropped"] == "its priority 100 is outdone by 50"
    assert found["description"] == "The UDP port"


def test_a_setting_that_nobody_sets_is_the_default_of_the_service(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = data(capsys, root, "explain", "instances.net.roles.controller.alpha.settings.public")

    assert (found["value"], found["type"]) == (False, "true or false")
    assert [line["why"] for line in found["definitions"]] == ["default of service zerotier"]


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("instances.net.roles.peer.gamma.settings.port", "'gamma' is not in role 'peer' of instance 'net'"),
        ("instances.nt.roles.peer.alpha.settings.port", "there is no instance 'nt'"),
        ("instances.net.roles.pear.alpha.settings", "instance 'net' uses no role 'pear'"),
        ("instances.net.roles.peer.alpha.settings.prot", "did you mean 'port'?"),
        ("instances.net.roles.peer.alpha.settings.mtu", "role 'controller' of the service has it"),
        ("instances.net.roles.peer.alpha.settings.nothing", "there are network_id, public, port"),
    ],
)
def test_what_is_not_there_is_told(path: str, says: str, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = said(capsys, root, "explain", path)

    assert code == 64
    assert says in err


def test_members_are_added_where_they_stand_and_the_rest_of_the_file_stays(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(capsys, root, "add", "net", "peer", "--tag", "web", "--machine", "alpha")[0] == 0
    changed = INVENTORY.replace('peer.tags = ["all"]', 'peer.tags = ["all", "web"]')
    text = (root / "inventory.toml").read_text()

    assert text.replace("peer.machines.alpha = {}\n", "") == changed
    assert data(capsys, root, "of", "alpha")[1]["by"] == ["machine alpha", "tag all", "tag web"]


def test_a_new_instance_may_be_called_otherwise_than_its_service(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("add", "hi", "morning", "--machine", "alpha", "--machine", "beta")
    code, _, err = said(capsys, root, *words)
    assert code != 0
    assert "there is no service 'hi'" in err

    assert said(capsys, root, *words, "--service", "hello-world")[0] == 0
    assert data(capsys, root, "members", "hi") == {"hi": {"morning": ["alpha", "beta"]}}


def test_an_edit_that_breaks_a_limit_is_refused(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (root / "inventory.toml").read_text()
    code, _, err = said(capsys, root, "add", "net", "controller", "--machine", "beta")

    assert code != 0
    assert "Role 'controller' of 'net' allows at most 1 machine, 2 are assigned: alpha, beta" in err
    assert (root / "inventory.toml").read_text() == before


def test_members_are_removed_with_their_settings(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = said(capsys, root, "remove", "net", "peer", "--machine", "beta")

    assert code == 0
    assert "what beta is set to there goes with it" in err
    assert "_force" not in (root / "inventory.toml").read_text()
    assert "# who is in it" in (root / "inventory.toml").read_text()
    assert data(capsys, root, "members") == {"net": {"controller": ["alpha"], "peer": ["alpha", "beta"]}}
    assert said(capsys, root, "remove", "net", "peer", "--tag", "all")[0] == 0
    assert data(capsys, root, "members") == {"net": {"controller": ["alpha"], "peer": []}}


def test_who_is_there_by_a_tag_cannot_be_removed_by_name(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = said(capsys, root, "remove", "net", "peer", "--machine", "alpha")

    assert code == 64
    assert "it is in it because it carries the tag 'all'" in err


def test_nobody_named_is_a_mistake_and_a_dry_run_changes_nothing(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(capsys, root, "add", "net", "peer")[0] == 2
    code, out, _ = said(capsys, root, "add", "net", "peer", "--tag", "web", "--dry-run")

    assert code == 0
    assert '+peer.tags = ["all", "web"]' in out
    assert (root / "inventory.toml").read_text() == INVENTORY
