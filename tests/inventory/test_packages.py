"""What a fleet says about packages: the layers, the records of fallbacks, and everything that can be wrong with them."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from clanpy.cli.program import app
from clanpy.inventory import resolve
from clanpy.inventory.loading import load, load_all
from clanpy.inventory.packages import check_packages, packages_of


TODAY = date(2026, 6, 1)
HEAD = """\
[meta]
name = "test"

[machines.web]
class = "nixos"
system = "x86_64-linux"

[machines.mac]
class = "darwin"
system = "aarch64-darwin"

"""
RECORD = """\
[[nixpkgs.fallbacks]]
package = "d2"
platforms = ["darwin"]
hydra = "https://hydra.nixos.org/job/nixpkgs/trunk/d2.aarch64-darwin"
reason = "does not link"
remove_when = "it links"
added = "2026-05-01"
"""
STABLE = '[nixpkgs.channels.stable]\ninput = "nixpkgs-stable"\n\n'


def _fleet(root: Path, text: str, files: dict[str, str] | None = None) -> Path:
    for name, content in {"inventory.toml": HEAD + text, **(files or {})}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    for name in ("web", "mac"):
        (root / "machines" / name).mkdir(parents=True, exist_ok=True)
        (root / "machines" / name / "configuration.nix").write_text("{ }")
    return root


def _findings(root: Path, today: date = TODAY) -> tuple[list[str], list[str]]:
    errors, warnings = check_packages(load(root), today)
    return [str(error) for error in errors], [str(warning) for warning in warnings]


def _run(root: Path, *words: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["--fleet", str(root), "packages", *words])
    assert done.exit_code == code, done.output
    return done.output


def test_a_fallback_counts_on_its_platforms_only(tmp_path: Path) -> None:
    packages = packages_of(load(_fleet(tmp_path, STABLE + RECORD)))
    assert packages.on(tmp_path, "aarch64-darwin").fallbacks == {"d2": "stable"}
    assert packages.on(tmp_path, "x86_64-linux").fallbacks == {}
    assert _findings(tmp_path) == ([], [])


def test_a_channel_may_be_another_input_on_another_platform(tmp_path: Path) -> None:
    text = '[nixpkgs.channels.stable]\ninputs = { linux = "nixos-stable", darwin = "darwin-stable", aarch64-darwin = "mac" }\n'
    packages = packages_of(load(_fleet(tmp_path, text)))
    inputs = {
        system: packages.on(tmp_path, system).channels["stable"][0] for system in ("x86_64-linux", "x86_64-darwin")
    }
    assert inputs == {"x86_64-linux": "nixos-stable", "x86_64-darwin": "darwin-stable"}
    assert packages.on(tmp_path, "aarch64-darwin").channels["stable"][0] == "mac"


def test_custom_packages_are_found_by_their_folder_and_nested_names_are_joined(tmp_path: Path) -> None:
    files = dict.fromkeys(
        ["tool/package.nix", "lang/one/package.nix", "_off/package.nix", "docs/readme.md"], "{ }: { }"
    )
    text = '[nixpkgs]\nexclude_from_machines = ["lang-one"]\n'
    packages = packages_of(load(_fleet(tmp_path, text, {f"pkgs/by-name/{n}": t for n, t in files.items()})))
    assert sorted(packages.custom) == ["lang-one", "tool"]
    assert sorted(packages.on(tmp_path, "x86_64-linux").custom) == ["tool"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (RECORD, "inventory.toml:12:3: there is no channel 'stable'"),
        (STABLE + RECORD.replace('"darwin"', '"darwn"'), "there is no platform 'darwn'"),
        ("[nixpkgs.channels.empty]\npatches = []\n", "the channel 'empty' names no flake input"),
        ('[nixpkgs.channels.p]\ninput = "a"\npatches = ["gone.patch"]\n', "the patch 'gone.patch' of the channel 'p' is not there"),
        ('[nixpkgs.overrides.x]\nfile = "gone.nix"\n', "the override of 'x' names the file 'gone.nix', which is not there"),
        ('[nixpkgs]\nexclude_from_machines = ["gone"]\n', "there is no package of the fleet 'gone'"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_an_error_that_also_keeps_machines_from_being_built(
    tmp_path: Path, text: str, said: str
) -> None:
    root = _fleet(tmp_path, text)
    errors, _ = _findings(root)
    assert any(said in error for error in errors), errors
    with pytest.raises(Exception, match=re.escape(said.rpartition(":")[2].strip())):
        resolve(load(root), "web")


@pytest.mark.parametrize("field", ["hydra", "reason", "remove_when", "added"])
def test_a_record_that_nobody_could_judge_is_an_error(tmp_path: Path, field: str) -> None:
    lines = [line for line in RECORD.splitlines() if not line.startswith(field)]
    errors, _ = _findings(_fleet(tmp_path, STABLE + "\n".join(lines)))
    assert len(errors) == 1
    assert f"({field})" in errors[0]
    assert errors[0].startswith("inventory.toml:15:3: the fallback of 'd2' does not say")


@pytest.mark.parametrize(
    ("more", "today", "said"),
    [
        ("", date(2026, 8, 1), "is 92 days old, and 90 are allowed"),
        ("", date(2026, 7, 30), None),
        ('until = "2026-05-20"\n', TODAY, "was to be looked at 12 days ago (2026-05-20)"),
        ('until = "2026-06-01"\n', TODAY, None),
        ("nixpkgs.fallback_limit = 20\n", TODAY, "is 31 days old, and 20 are allowed"),
    ],
)
def test_a_record_that_is_too_old_is_a_finding_with_its_age(
    tmp_path: Path, more: str, today: date, said: str | None
) -> None:
    text = f"[nixpkgs]\nfallback_limit = 20\n{STABLE}{RECORD}" if "limit" in more else STABLE + RECORD + more
    _, warnings = _findings(_fleet(tmp_path, text), today)
    assert [said in warning for warning in warnings if said] == ([True] if said else [])


def test_a_record_that_a_later_layer_hides_is_an_overlap(tmp_path: Path) -> None:
    text = STABLE + '[nixpkgs.overrides.d2]\nfile = "d2.nix"\n' + RECORD
    _, warnings = _findings(_fleet(tmp_path, text, {"d2.nix": "{ prev, ... }: prev.d2"}))
    assert [w for w in warnings if "overlaps with an override" in w]


def test_two_records_that_meet_on_a_platform_overlap(tmp_path: Path) -> None:
    other = RECORD.replace('["darwin"]', '["aarch64-darwin"]')
    _, warnings = _findings(_fleet(tmp_path, STABLE + RECORD + other))
    assert [w for w in warnings if "overlaps with another one" in w]
    apart = RECORD.replace('["darwin"]', '["linux"]')
    assert _findings(_fleet(tmp_path, STABLE + RECORD + apart)) == ([], [])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ('package = "python3Packages.x"', "inventory.toml:16:1: 'nixpkgs.fallbacks.0.package' should be the name of a package"),
        ('added = "soon"', "inventory.toml:16:1: 'nixpkgs.fallbacks.0.added' should be a date and is a string ('soon')"),
        ('pakage = "d2"', "inventory.toml:16:1: unknown key 'pakage' in 'nixpkgs.fallbacks.0'"),
        ("platforms = 5", "inventory.toml:16:1: 'nixpkgs.fallbacks.0.platforms' should be a list of strings"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_record_is_told_at_its_line(tmp_path: Path, wrong: str, said: str) -> None:
    root = _fleet(
        tmp_path, f"{STABLE}[[nixpkgs.fallbacks]]\n{wrong}\n" + ("" if "package =" in wrong else 'package = "d2"\n')
    )
    found = [str(error) for error in load_all(root).errors]
    assert any(error.startswith(said) for error in found), found


def test_a_record_without_a_package_says_which_one(tmp_path: Path) -> None:
    found = [
        str(error) for error in load_all(_fleet(tmp_path, STABLE + '[[nixpkgs.fallbacks]]\nreason = "x"\n')).errors
    ]
    assert found == ["inventory.toml:15:3: 'nixpkgs.fallbacks.0' has no package"]


# --------------------------------------------------------------------------------------------------------- commands


def test_a_record_is_written_by_command_and_taken_out_again_without_a_trace(tmp_path: Path) -> None:
    root = _fleet(tmp_path, STABLE + "# the end\n")
    before = (root / "inventory.toml").read_bytes()
    words = ["--platform", "aarch64-darwin", "--hydra", "https://h", "--reason", "broken", "--remove-when", "mended"]
    _run(root, "fallbacks", "add", "d2", *words)
    (record,) = tomllib.loads((root / "inventory.toml").read_text())["nixpkgs"]["fallbacks"]
    assert record["package"] == "d2"
    assert record["channel"] == "stable"
    assert "d2" in _run(root, "fallbacks", "list")
    _run(root, "fallbacks", "drop", "d2")
    assert (root / "inventory.toml").read_bytes().rstrip() == before.rstrip()


def test_records_stand_together(tmp_path: Path) -> None:
    root = _fleet(tmp_path, STABLE + RECORD + '\n# other things\n[tags]\nx = { machines = ["web"] }\n')
    words = ["--platform", "darwin", "--hydra", "https://h", "--reason", "broken", "--remove-when", "mended"]
    _run(root, "fallbacks", "add", "tree", *words)
    text = (root / "inventory.toml").read_text()
    assert text.index('"d2"') < text.index('"tree"') < text.index("[tags]")
    assert [f.package for f in packages_of(load(root)).fallbacks] == ["d2", "tree"]


def test_a_record_of_a_channel_that_is_not_there_is_not_written(tmp_path: Path) -> None:
    root = _fleet(tmp_path, "")
    words = ["--platform", "darwin", "--hydra", "h", "--reason", "r", "--remove-when", "w", "--channel", "stabel"]
    before = (root / "inventory.toml").read_bytes()
    done = CliRunner().invoke(app, ["--fleet", str(root), "packages", "fallbacks", "add", "d2", *words])
    assert done.exit_code != 0
    assert (root / "inventory.toml").read_bytes() == before


def test_dropping_what_is_not_there_names_what_is_near(tmp_path: Path) -> None:
    root = _fleet(tmp_path, STABLE + RECORD)
    done = CliRunner().invoke(app, ["--fleet", str(root), "packages", "fallbacks", "drop", "d3"])
    assert "there is no fallback of 'd3'" in str(done.exception)


def test_the_layer_that_gives_a_package_is_named_with_its_reason(tmp_path: Path) -> None:
    root = _fleet(tmp_path, STABLE + RECORD)
    said = json.loads(_run(root, "resolve", "d2", "--json"))
    assert {s["system"]: s["layer"] for s in said["systems"]} == {
        "aarch64-darwin": "fallbacks",
        "x86_64-linux": "nixpkgs",
    }
    assert "does not link" in _run(root, "resolve", "d2", "--machine", "mac")


def test_check_fails_when_something_is_wrong_and_not_when_something_is_old(tmp_path: Path) -> None:
    assert "in order" in _run(_fleet(tmp_path / "a", STABLE), "check")
    assert "days old" in _run(_fleet(tmp_path / "b", STABLE + RECORD.replace("2026-05", "2020-05")), "check")
    assert "there is no channel" in _run(_fleet(tmp_path / "c", RECORD), "check", code=65)


def test_layers_and_channels_are_shown_by_system(tmp_path: Path) -> None:
    root = _fleet(tmp_path, STABLE + RECORD)
    found = json.loads(_run(root, "layers", "--json"))["systems"]
    assert found["aarch64-darwin"]["fallbacks"] == {"d2": "stable"}
    assert found["x86_64-linux"]["fallbacks"] == {}
    (channel,) = json.loads(_run(root, "channels", "--json"))["channels"]
    assert channel == {
        "name": "stable",
        "inputs": {"aarch64-darwin": "nixpkgs-stable", "x86_64-linux": "nixpkgs-stable"},
        "patches": [],
        "fallbacks": 1,
    }
    assert "2 fallbacks" in _run(root, "layers")


def _git(root: Path, *words: str) -> None:
    who = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org"]
    subprocess.run(["git", "-C", str(root), *who, *words], check=True, capture_output=True)


def test_git_remembers_which_fallbacks_came_and_went(tmp_path: Path) -> None:
    root = _fleet(tmp_path, STABLE)
    _git(root, "init", "-q")
    for text, subject in ((STABLE, "begin"), (STABLE + RECORD, "d2 is broken"), (STABLE, "d2 is mended")):
        _fleet(root, text)
        _git(root, "add", "-A")
        _git(root, "commit", "-q", "--allow-empty", "-m", subject)
    found = json.loads(_run(root, "fallbacks", "history", "--json"))["changes"]
    assert [(c["action"], c["package"], c["subject"]) for c in found] == [
        ("dropped", "d2", "d2 is mended"),
        ("added", "d2", "d2 is broken"),
    ]
    assert json.loads(_run(root, "fallbacks", "history", "tree", "--json"))["changes"] == []


def test_without_git_there_is_no_history_and_that_is_said(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["--fleet", str(_fleet(tmp_path, STABLE)), "packages", "fallbacks", "history"])
    assert "history" in str(done.exception)
