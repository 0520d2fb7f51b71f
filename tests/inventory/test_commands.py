"""`clanpy inventory show`, `check` and `init`, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clanpy.cli.program import run
from support.fleets import CONFIGURATIONS, REFERENCE, TWO, write


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLANPY_FLEET", "CLANPY_JSON", "CLANPY_LAB", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = run(words)
    captured = capsys.readouterr()
    return int(code), captured.out, captured.err


def test_check_says_what_it_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = said(capsys, "check", "--fleet", str(REFERENCE))

    assert (code, err) == (0, "")
    assert "8 machines" in out
    assert "no errors" in out


def test_check_tells_every_error_and_ends_with_65(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, {"inventory.toml": TWO + '[tags]\nx = ["gamma"]\ny = ["alhpa"]\n', **CONFIGURATIONS})
    code, out, err = said(capsys, "check", "--fleet", str(tmp_path))

    assert (code, out) == (65, "")
    assert "inventory.toml:15:6: tag 'x' names the machine 'gamma', which does not exist (CP0117)" in err
    assert "hint: did you mean 'alpha'?" in err
    assert "2 errors" in err


def test_check_gives_errors_and_warnings_as_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, {"inventory.toml": TWO + '[tags]\nx = ["gamma"]\n', **CONFIGURATIONS})
    code, out, err = said(capsys, "check", "--json", "--fleet", str(tmp_path))
    document = json.loads(out)

    assert (code, err) == (65, "")
    assert (document["schema"], document["machines"], document["warnings"]) == ("clanpy.check/1", 2, [])
    assert [e["code"] for e in document["errors"]] == ["CP0117"]
    assert document["errors"][0]["place"] == {"file": "inventory.toml", "line": 15, "column": 6}


def test_a_machine_without_files_is_a_warning_when_something_configures_it_and_else_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configured = TWO + '[tags]\nweb = { imports = ["x"] }\n'
    write(tmp_path, {"inventory.toml": configured, "modules/nixos/x.nix": "", "machines/beta/configuration.nix": ""})
    code, out, err = said(capsys, "check", "--fleet", str(tmp_path))
    assert code == 0
    assert "no errors" in out
    assert "warning: inventory.toml:6:2: there are no files in machines/alpha (CP0120)" in err

    write(tmp_path, {"inventory.toml": TWO})
    code, _, err = said(capsys, "check", "--fleet", str(tmp_path))
    assert code == 65
    assert "there are no files in machines/alpha" in err


def test_show_prints_the_whole_inventory(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = said(capsys, "inventory", "show", "--fleet", str(REFERENCE))

    assert (code, err) == (0, "")
    for name in ("scheelite", "janettesmith", "user-tara", "emergency-access", "hetzner"):
        assert name in out


def test_show_prints_one_machine_with_the_origin_of_everything(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, "inventory", "show", "scheelite", "--fleet", str(REFERENCE))

    assert code == 0
    assert "root@scheelite.zt" in out
    assert 'user = "cameron"  ← role default (inventory.toml:' in out
    assert "modules/nixos/gpu.nix, by tag gpu (inventory.toml:" in out
    assert "modules of class home for tara, in order" in out


def test_show_gives_data(capsys: pytest.CaptureFixture[str]) -> None:
    def document(*words: str) -> Any:
        code, out, err = said(capsys, "inventory", "show", *words, "--json", "--fleet", str(REFERENCE))
        assert (code, err) == (0, "")
        return json.loads(out)

    assert document()["instances"]["zerotier"]["roles"]["peer"]["tags"] == {"peer": {"settings": {}}}
    host = document("stibnite")
    assert host["machine"]["name"] == "stibnite"
    assert [user["account"] for user in host["users"]] == ["crs58"]
    assert host["modules"][0]["key"] == "darwin/machine"
    note = next(part["note"] for part in host["instances"] if part["instance"] == "emergency-access")
    assert note.startswith("emergency-access: no darwin half here")


def test_show_of_a_machine_that_does_not_exist_ends_with_64(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = said(capsys, "inventory", "show", "shceelite", "--fleet", str(REFERENCE))

    assert (code, out) == (64, "")
    assert "did you mean 'scheelite'?" in err


def test_init_makes_a_fleet_that_check_likes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path, {".ssh/id_ed25519.pub": "ssh-ed25519 AAAA me\n"})
    folder = tmp_path / "new"
    monkeypatch.setenv("SOPS_AGE_KEY_FILE", str(tmp_path / "keys.txt"))
    code, out, err = said(capsys, "init", str(folder), "--user", "ann")

    assert code == 0
    assert str(folder / "inventory.toml") in out.splitlines()
    assert "clanpy check && clanpy lab up" in err
    assert f"made a new private key in {tmp_path / 'keys.txt'}" in err
    assert said(capsys, "vars", "check", "--fleet", str(folder))[0] == 0
    assert "ssh-ed25519 AAAA me" in (folder / "inventory.toml").read_text()
    assert said(capsys, "check", "--fleet", str(folder))[0] == 0
    code, _, err = said(capsys, "init", str(folder))
    assert code == 2
    assert "is not empty" in err


def test_init_leaves_the_secrets_alone_when_told_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = said(capsys, "init", str(tmp_path / "new"), "--no-vars")

    assert code == 0
    assert "clanpy vars keygen && clanpy vars generate" in err
    assert not (tmp_path / "new" / "vars").exists()


def test_init_refuses_a_private_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, {"id": "-----BEGIN OPENSSH PRIVATE KEY-----\nx\n"})
    code, _, err = said(capsys, "init", str(tmp_path / "new"), "--ssh-key", str(tmp_path / "id"))

    assert code == 2
    assert "is not a public key" in err
    assert not (tmp_path / "new").exists()
