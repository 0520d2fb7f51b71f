"""What `clanpy packages` asks of Nix: whether channels have what is taken from them, and what another flake.lock means."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from clanpy.cli.program import app
from clanpy.nix.nar import nar_hash
from nix.fleets import write
from nix.test_layers import SET
from nix.world import CONFIG, MINI, World


pytestmark = pytest.mark.nix

FLAKE = """\
{
  inputs.nixpkgs.url = "path:%s";
  inputs.home-manager.url = "path:%s";
  inputs.old = { url = "path:./old"; flake = false; };
  outputs = inputs: { };
}
"""
INVENTORY = """\
[meta]
name = "test"

[machines.web]
class = "nixos"
system = "x86_64-linux"

[machines.mac]
class = "nixos"
system = "aarch64-linux"

[nixpkgs.channels.stable]
input = "old"

"""
RECORD = """\
[[nixpkgs.fallbacks]]
package = "%s"
platforms = ["%s"]
hydra = "https://hydra.nixos.org/job/nixpkgs/trunk/d2.aarch64-darwin"
reason = "does not link"
remove_when = "it links"
added = "2999-05-01"
"""


@pytest.fixture(autouse=True)
def _in_world(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in world.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("NIX_CONFIG", "\n".join(CONFIG))
    monkeypatch.delenv("CLANPY_LAB", raising=False)


def fleet(root: Path, inventory: str, **files: str) -> Path:
    text = SET.replace("@CHANNEL@", "stable").replace("@VERSION@", "1.0")
    more = {"inventory.toml": INVENTORY + inventory, "flake.nix": FLAKE % (MINI, MINI), "old/default.nix": text}
    configurations = {f"machines/{name}/configuration.nix": "{ }" for name in ("web", "mac")}
    return write(root, {**configurations, **more, **files})


def run(root: Path, *words: str, code: int = 0) -> Any:
    done = CliRunner().invoke(app, ["--fleet", str(root), "packages", *words, "--json"])
    assert done.exit_code == code, (done.output, done.exception)
    return json.loads(done.output)


def test_a_package_that_its_channel_has_is_in_order(tmp_path: Path) -> None:
    found = run(fleet(tmp_path, RECORD % ("d2", "linux")), "check")
    assert (found["errors"], found["unchecked"]) == ([], [])


def test_a_package_that_its_channel_no_longer_has_is_an_error_with_the_nearest_name(tmp_path: Path) -> None:
    found = run(fleet(tmp_path, RECORD % ("tre", "x86_64-linux")), "check", code=65)
    (error,) = found["errors"]
    assert error["code"] == "CP0153"
    assert error["message"] == "the channel 'stable' (old) has no package 'tre' on x86_64-linux"
    assert "tree" in error["hint"]
    assert error["place"]["file"] == "inventory.toml"


def test_a_name_that_is_kept_to_say_that_the_package_was_removed_counts_as_none(tmp_path: Path) -> None:
    text = SET.replace("@CHANNEL@", "stable").replace("tree = ", 'tree = throw "tree was removed"; forest = ')
    found = run(fleet(tmp_path, RECORD % ("tree", "linux"), **{"old/default.nix": text}), "check", code=65)
    assert len(found["errors"]) == 2  # on both systems


def test_a_channel_that_is_nothing_on_a_system_is_an_error_there(tmp_path: Path) -> None:
    root = fleet(tmp_path, RECORD % ("d2", "linux"))
    text = (root / "inventory.toml").read_text().replace('input = "old"', 'inputs = { x86_64-linux = "old" }')
    (root / "inventory.toml").write_text(text)
    (error,) = run(root, "check", code=65)["errors"]
    assert "on aarch64-linux from the channel 'stable', which has no input there" in error["message"]


def test_without_nix_it_is_told_what_was_not_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = fleet(tmp_path, RECORD % ("gone", "linux"))
    monkeypatch.setenv("CLANPY_NIX", str(tmp_path / "no-nix"))
    found = run(root, "check")
    (said,) = found["unchecked"]
    assert said.startswith("whether channels still have gone: CLANPY_NIX names")


def test_a_patched_channel_is_not_built_to_look_into_it(tmp_path: Path) -> None:
    root = fleet(tmp_path, RECORD % ("gone", "linux"), **{"a.patch": ""})
    text = (root / "inventory.toml").read_text().replace('input = "old"', 'input = "old"\npatches = ["a.patch"]')
    (root / "inventory.toml").write_text(text)
    (said,) = run(root, "check")["unchecked"]
    assert said == "whether the channel stable has gone: it is patched, and would have to be built first"


# ------------------------------------------------------------------------------------------------------------- diff


def world_with(folder: Path, **versions: str) -> Path:
    """A copy of mini in which packages have other versions."""
    subprocess.run(["cp", "-r", str(MINI), str(folder)], check=True)
    subprocess.run(["chmod", "-R", "u+w", str(folder)], check=True)
    text = (folder / "versions.nix").read_text()
    changed = "".join(f'  {name} = "{version}";\n' for name, version in versions.items())
    lines = [line for line in text.splitlines() if line.split(" = ")[0].strip() not in versions]
    body = "\n".join(lines)
    (folder / "versions.nix").write_text(body[: body.rindex("}")] + changed + "}\n")
    return folder


def lock(folder: Path) -> str:
    node = {"locked": {"type": "path", "path": str(folder), "narHash": nar_hash(folder)}}
    node["original"] = {"type": "path", "path": str(folder)}
    nodes = {"nixpkgs": node, "home-manager": node}
    nodes["root"] = {"inputs": {"nixpkgs": "nixpkgs", "home-manager": "home-manager"}}
    return json.dumps({"nodes": nodes, "root": "root", "version": 7})


def git(root: Path, *words: str) -> None:
    who = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org"]
    subprocess.run(["git", "-C", str(root), *who, *words], check=True, capture_output=True)


def flake(folder: Path) -> str:
    return (FLAKE % (folder, folder)).replace("inputs.old", "# inputs.old")


PEOPLE = """\
[users.ann]
imports = ["core"]

[instances.ann]
module.name = "users"
roles.default.machines = ["web"]
roles.default.settings = { user = "ann", home_manager = "standalone" }
"""


def two_locks(tmp_path: Path) -> Path:
    before = world_with(tmp_path / "before", hello="1.0", git="2.0", jq="1.7")
    after = world_with(tmp_path / "after", hello="1.1", git="2.0", jq="1.8")
    files = {
        "machines/web/configuration.nix": "{ pkgs, ... }: { environment.systemPackages = [ pkgs.hello pkgs.git ]; }",
        "machines/mac/configuration.nix": "{ pkgs, ... }: { environment.systemPackages = [ pkgs.git ]; }",
        "modules/home/core.nix": "{ pkgs, ... }: { home.packages = [ pkgs.jq ]; }",
        "flake.nix": flake(before),
        "flake.lock": lock(before),
    }
    root = fleet(tmp_path / "fleet", PEOPLE, **files)
    text = (root / "inventory.toml").read_text().replace('[nixpkgs.channels.stable]\ninput = "old"\n', "")
    (root / "inventory.toml").write_text(text)
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "before")
    write(root, {"flake.nix": flake(after), "flake.lock": lock(after)})
    return root


def test_versions_that_change_between_two_lock_files_are_told_for_each_machine(tmp_path: Path) -> None:
    root = two_locks(tmp_path)
    found = run(root, "diff", "HEAD")["machines"]
    packages = {name: {p["name"]: (p["before"], p["after"]) for p in m["packages"]} for name, m in found.items()}
    assert packages == {"web": {"hello": (["1.0"], ["1.1"]), "jq": (["1.7"], ["1.8"])}, "mac": {}}
    assert set(found["web"]["inputs"]) == {"nixpkgs", "home-manager"}
    assert list(run(root, "diff", "HEAD", "mac")["machines"]) == ["mac"]


def test_the_same_lock_file_changes_nothing_and_starts_no_nix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = two_locks(tmp_path)
    git(root, "commit", "-q", "-a", "-m", "after")
    program = tmp_path / "nix"
    program.write_text("#!/bin/sh\nexit 9\n")
    program.chmod(0o755)
    monkeypatch.setenv("CLANPY_NIX", str(program))
    assert run(root, "diff", "HEAD")["machines"]["web"] == {"inputs": {}, "packages": [], "broken": 0}


def test_a_revision_that_is_not_there_or_has_no_lock_file_is_told(tmp_path: Path) -> None:
    root = two_locks(tmp_path)
    done = CliRunner().invoke(app, ["--fleet", str(root), "packages", "diff", "nowhere"])
    assert "git has no flake.lock in 'nowhere'" in str(done.exception)
