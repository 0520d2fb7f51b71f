"""Which inputs a machine's flake has, and how they are locked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clanpy.nix.errors import InputsError
from clanpy.nix.inputs import FleetInputs, InputOverrides


FLAKE = """{
  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs";
    home-manager = { url = "github:x/home-manager"; inputs.nixpkgs.follows = "nixpkgs"; };
    tools.url = "github:x/tools";
    alias.follows = "tools/deep";
    data = { url = "github:x/data"; flake = false; };
    local.url = "path:./local";
    self.submodules = true;
  };
  outputs = _: { };
}"""


def locked(name: str, **inputs: Any) -> dict[str, Any]:
    original = {"type": "github", "owner": "x", "repo": name}
    return {"locked": {**original, "narHash": f"sha256-{name}", "rev": "0"}, "original": original, "inputs": inputs}


LOCK: dict[str, Any] = {
    "version": 7,
    "root": "root",
    "nodes": {
        "root": {
            "inputs": {
                "nixpkgs": "nixpkgs",
                "home-manager": "home-manager",
                "tools": "tools",
                "alias": ["tools", "deep"],
                "data": "data",
            }
        },
        "nixpkgs": locked("nixpkgs"),
        "home-manager": locked("home-manager", nixpkgs=["nixpkgs"]),
        "tools": locked("tools", nixpkgs="nixpkgs_2", deep="deep"),
        "nixpkgs_2": locked("old"),
        "deep": locked("deep", data=["data"]),
        "data": locked("data"),
    },
}


def inputs(root: Path, *, lock: Any = LOCK, **overrides: Path) -> FleetInputs:
    root.mkdir(exist_ok=True)
    (root / "flake.nix").write_text(FLAKE)
    if lock is not None:
        (root / "flake.lock").write_text(lock if isinstance(lock, str) else json.dumps(lock))
    return FleetInputs(root, InputOverrides(named=overrides), lambda folder: f"sha256-of-{folder.name}")


def stand_in(folder: Path, flake: str = "{ outputs = _: { }; }") -> Path:
    folder.mkdir()
    (folder / "flake.nix").write_text(flake)
    return folder


def test_only_what_is_asked_for_and_what_it_follows_is_there(tmp_path: Path) -> None:
    chosen = inputs(tmp_path).select(["home-manager"])

    assert set(chosen.specs) == {"home-manager", "nixpkgs"}
    assert set(chosen.lock["nodes"]) == {"root", "home-manager", "nixpkgs"}
    assert chosen.lock["nodes"]["root"] == {"inputs": {"home-manager": "home-manager", "nixpkgs": "nixpkgs"}}


def test_what_a_locked_input_follows_deep_down_comes_along(tmp_path: Path) -> None:
    chosen = inputs(tmp_path).select(["alias"])

    assert set(chosen.specs) == {"alias", "tools", "data"}
    assert set(chosen.lock["nodes"]) == {"root", "tools", "nixpkgs_2", "deep", "data"}
    assert chosen.lock["nodes"]["root"]["inputs"]["alias"] == ["tools", "deep"]


def test_an_input_that_nobody_needs_changes_nothing(tmp_path: Path) -> None:
    before = inputs(tmp_path).select(["home-manager"])
    moved = json.loads(json.dumps(LOCK).replace("sha256-tools", "sha256-newer"))

    assert inputs(tmp_path, lock=moved).select(["home-manager"]) == before
    assert inputs(tmp_path, lock=moved).select(["tools"]) != before


def test_an_override_is_locked_by_its_content_and_needs_no_lock_file(tmp_path: Path) -> None:
    mini = stand_in(tmp_path / "mini")
    found = inputs(tmp_path / "fleet", lock=None, nixpkgs=mini, tools=mini).select(["tools", "nixpkgs"])

    node = found.lock["nodes"]["nixpkgs"]
    assert node["locked"] == {"type": "path", "path": str(mini), "narHash": "sha256-of-mini"}
    assert found.specs["tools"] == {"url": f"path:{mini}"}


def test_an_override_of_what_others_follow_is_followed(tmp_path: Path) -> None:
    mini = stand_in(tmp_path / "mini")
    found = inputs(tmp_path / "fleet", nixpkgs=mini).select(["home-manager"])

    nodes = found.lock["nodes"]
    assert nodes["home-manager"]["inputs"] == {"nixpkgs": ["nixpkgs"]}
    assert nodes[nodes["root"]["inputs"]["nixpkgs"]]["locked"]["path"] == str(mini)


def test_an_override_never_takes_the_name_of_a_node_that_others_need(tmp_path: Path) -> None:
    mini = stand_in(tmp_path / "mini")
    lock = json.loads(json.dumps(LOCK).replace('"nixpkgs": "nixpkgs_2"', '"nixpkgs": "nixpkgs"'))
    found = inputs(tmp_path / "fleet", lock=lock, nixpkgs=mini).select(["nixpkgs", "tools"])

    nodes = found.lock["nodes"]
    assert nodes["nixpkgs"] == LOCK["nodes"]["nixpkgs"]
    assert nodes[nodes["root"]["inputs"]["nixpkgs"]]["locked"]["path"] == str(mini)


def test_a_folder_of_the_fleet_is_locked_like_an_override(tmp_path: Path) -> None:
    root = tmp_path / "fleet"
    root.mkdir()
    stand_in(root / "local")
    found = inputs(root).select(["local"])

    assert found.specs["local"] == {"url": f"path:{root / 'local'}"}
    assert found.lock["nodes"]["local"]["locked"]["narHash"] == "sha256-of-local"


def test_data_is_no_flake_when_overridden_either(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    found = inputs(tmp_path / "fleet", data=tmp_path / "plain").select(["data"])

    assert found.specs["data"]["flake"] is False
    assert found.lock["nodes"]["data"]["flake"] is False


def test_a_stand_in_with_inputs_of_its_own_is_refused(tmp_path: Path) -> None:
    other = stand_in(tmp_path / "other", '{ inputs.x.url = "y"; outputs = _: { }; }')

    with pytest.raises(InputsError, match="inputs of its own"):
        inputs(tmp_path / "fleet", nixpkgs=other).select(["nixpkgs"])


def test_overriding_what_is_not_there_is_an_error_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(InputsError, match="no input 'nixpkg'") as caught:
        inputs(tmp_path / "fleet", nixpkg=tmp_path)

    assert caught.value.hint == "did you mean 'nixpkgs'?"


@pytest.mark.parametrize(
    ("lock", "said"),
    [
        (None, "no flake.lock"),
        ("{", "no lock file"),
        ({"nodes": {"root": {}}, "root": "root", "version": 5}, "version 5"),
        ({"nodes": {"root": {}}, "root": "root", "version": 7}, "does not know the input 'nixpkgs'"),
    ],
)
def test_a_lock_file_that_can_not_be_used_is_named(tmp_path: Path, lock: Any, said: str) -> None:
    with pytest.raises(InputsError, match=said):
        inputs(tmp_path, lock=lock).select(["nixpkgs"])


def test_the_first_of_several_names_is_found(tmp_path: Path) -> None:
    assert inputs(tmp_path).first("nope", "tools") == "tools"
    with pytest.raises(InputsError, match="no input 'homemanager'") as caught:
        inputs(tmp_path).first("homemanager")
    assert caught.value.hint == "did you mean 'home-manager'?"
