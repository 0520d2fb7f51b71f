"""`clanpy users`: people as they are listed, shown, added and removed, and their keys."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from clanpy.cli.program import run
from clanpy.errors import ExitCode
from clanpy.inventory import load
from support.fleets import CONFIGURATIONS, TWO, write
from support.vault import sops_path


INVENTORY = (
    TWO
    + """
# the first
[users.ann]
full_name = "Ann"
ssh_keys = ["ssh-ed25519 AAAA ann"]
aliases = ["annie"]
groups = ["admins"]
imports = ["core"]

# the second
[users.bob]
ssh_keys = ["ssh-ed25519 BBBB bob"]
groups = ["admins"]

[instances.ann]
module.name = "users"
roles.default.machines = ["alpha"]
roles.default.settings = { user = "annie", admin = true, home_manager = "standalone" }

[instances.others]
module.name = "users"
roles.default.machines.alpha.settings = { user = "bob" }
roles.default.machines.beta.settings = { user = "ann", managed = false }

# who may be root
[instances.sshd.roles.server]
machines = ["alpha"]
settings.authorized_people = ["ann", "@admins"] # both
"""
).replace('class = "darwin"', 'class = "darwin"\nprimary_user = "ann"')
ANN_KEY, BOB_KEY = "ssh-ed25519 AAAA ann", "ssh-ed25519 BBBB bob"


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLANPY_FLEET", "CLANPY_JSON", "CLANPY_LAB", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files = {"inventory.toml": INVENTORY, "modules/home/core.nix": "{ }\n", **CONFIGURATIONS}
    return write(tmp_path, files)


def said(capsys: pytest.CaptureFixture[str], root: Path, *words: str) -> tuple[int, str, str]:
    code = run((*words, "--fleet", str(root)))
    captured = capsys.readouterr()
    return int(code), captured.out, captured.err


def data(capsys: pytest.CaptureFixture[str], root: Path, *words: str) -> Any:
    code, out, err = said(capsys, root, *words, "--json")
    assert code == 0, err
    return json.loads(out)


def test_people_are_listed_with_the_machines_that_they_have_accounts_on(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = {user["name"]: user for user in data(capsys, root, "users", "list")["users"]}
    assert [(one["machine"], one["account"]) for one in listed["ann"]["accounts"]] == [
        ("alpha", "annie"),
        ("beta", "ann"),
    ]
    assert "ann   Ann        annie    admins  alpha, beta" in said(capsys, root, "users", "list")[1]


def test_a_person_is_shown_by_name_and_by_alias(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = said(capsys, root, "users", "show", "annie")
    assert out.startswith("ann\n")
    assert "annie on alpha: /home/annie, admin, home standalone, by ann" in out
    assert "ann on beta: /Users/ann, not made here, home module, by others" in out


def test_an_unknown_person_is_told_with_the_nearest_name(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = said(capsys, root, "users", "show", "anni")
    assert code == ExitCode.NOTHING_MATCHED
    assert "there is no user 'anni'" in err
    assert "annie" in err


def test_keys_are_those_of_a_group_or_of_people(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, root, "users", "keys", "--group", "admins")[1].splitlines() == [ANN_KEY, BOB_KEY]
    assert said(capsys, root, "users", "keys", "annie")[1].splitlines() == [ANN_KEY]
    assert "nobody is in a group 'admin'" in said(capsys, root, "users", "keys", "--group", "admin")[2]


def test_a_person_is_added_and_all_else_stays(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("users", "add", "kim", "--ssh-key", "ssh-ed25519 CCCC", "--groups", "admins", "--uid", "1003")
    assert said(capsys, root, *words)[0] == 0
    kim = load(root).users["kim"]
    assert (kim.ssh_keys, kim.groups, kim.uid) == (("ssh-ed25519 CCCC",), ("admins",), {"darwin": 1003, "nixos": 1003})
    after = (root / "inventory.toml").read_text().splitlines()
    assert set(INVENTORY.splitlines()) <= set(after)
    assert "has an alias 'annie' already" in said(capsys, root, "users", "add", "annie")[2]


def test_what_removing_means_is_shown_first_and_nothing_is_done(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = said(capsys, root, "users", "remove", "ann", "--dry-run")
    assert code == 0, err
    assert "account annie on alpha (admin) goes with the next update, /home/annie stays" in err
    assert "account ann on beta stays: it is not made by the fleet" in err
    assert "instance ann goes" in err
    assert "-[users.ann]" in out
    assert (root / "inventory.toml").read_text() == INVENTORY


def test_a_person_is_removed_with_all_that_names_them_and_nothing_else(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(root, {"sops/users/ann/key.json": '[{"publickey": "age1x", "type": "age"}]\n'})
    code, _, err = said(capsys, root, "users", "remove", "ann", "--yes")
    assert code == 0, err
    found, text = load(root), (root / "inventory.toml").read_text()
    assert list(found.users) == ["bob"]
    assert found.machines["beta"].primary_user is None
    assert "ann" not in found.instances
    assert list(found.instances["others"].roles["default"].machines) == ["alpha"]
    assert 'settings.authorized_people = ["@admins"] # both' in text
    assert "# who may be root" in text
    assert not (root / "sops/users/ann").exists()


def test_the_secrets_that_somebody_could_read_are_named(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(root, {"sops/users/ann/key.json": '[{"publickey": "age1x", "type": "age"}]\n'})
    write(root, {"sops/users/bob/key.json": '[{"publickey": "age1y", "type": "age"}]\n'})
    for name, reader in (("wifi", "ann"), ("vpn", "bob")):
        write(root, {f"vars/shared/{name}/password/secret": '{"data": "", "sops": {}}'})
        links = root / f"vars/shared/{name}/password/users"
        links.mkdir()
        (links / reader).symlink_to(f"../../../../../sops/users/{reader}")
    _, _, err = said(capsys, root, "users", "remove", "ann", "--dry-run")
    assert "could read vars/shared/wifi/password" in err
    assert "vpn" not in err
    assert "they may have kept" in err


CERTIFICATES = """
[vars.generators.user-ca]
share = true
kind = { name = "ssh-key", file = "id_ed25519" }

[vars.generators.ann-key]
share = true
kind = "ssh-key"

[vars.generators.ann-cert]
share = true
kind = { name = "ssh-certificate", authority = "user-ca", key = "ann-key", principals = ["annie"], type = "user", days = 30 }
"""


def test_certificates_that_name_somebody_or_whose_keys_they_could_read_are_told(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", f"{Path(sops_path()).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    write(root, {"inventory.toml": INVENTORY + CERTIFICATES})
    for words in (("keygen", "--user", "ann"), ("generate",)):
        code, out, err = said(capsys, root, "vars", *words)
        assert code == 0, (out, err)
    _, _, err = said(capsys, root, "users", "remove", "ann", "--dry-run")
    assert re.search(r"certificate shared/ann-cert lets annie in until \d{4}-\d\d-\d\d, whatever", err)
    assert "authority shared/user-ca: they could sign with it; shared/ann-cert are of it" in err
    assert "certificate shared/ann-cert: they could read its key, vars/shared/ann-key/ssh.id_ed25519" in err
    assert "authority shared/openssh-ca: they could sign with it; alpha/openssh-cert are of it" in err
    assert "lets" not in said(capsys, root, "users", "remove", "bob", "--dry-run")[2]


def test_an_alias_is_not_removed_for_a_person(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, _, err = said(capsys, root, "users", "remove", "annie", "--yes")
    assert "it is an alias of 'ann'" in err


def test_nobody_is_removed_without_being_asked(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, root, "users", "remove", "bob")[0] == ExitCode.USAGE
    assert "bob" in load(root).users
