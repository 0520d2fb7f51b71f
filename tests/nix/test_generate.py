"""A fleet as one plain flake: what plain Nix makes of it is what clanpy would have built."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clanpy.inventory.model import Fleet, HostConfig
from clanpy.nix.errors import SourceError
from clanpy.nix.evaluate import evaluate
from clanpy.nix.generate import write_flake
from clanpy.nix.release import Release
from clanpy.nix.source import stage
from nix.fleets import account, data, file, fleet, host
from nix.world import MINI_FOR_ALL, World


FILES = {
    "modules/a.nix": "{ imports = [ ./parts/b.nix ]; }",
    "modules/parts/b.nix": '{ environment.etc.b.text = "b"; }',
    "home.nix": "{ home.file.x.text = builtins.toJSON 1; }",
}


def some(tmp_path: Path) -> tuple[Fleet, list[HostConfig]]:
    found = fleet(tmp_path / "fleet", FILES)
    shared, person = file(found.root, "modules/a.nix"), [account("ada"), file(found.root, "home.nix", class_="home")]
    return found, [
        host("alpha", [shared, data("k", {"environment": {"etc": {"k": {"text": "alpha"}}}})]),
        host("beta", [shared, data("k", {"environment": {"etc": {"k": {"text": "beta"}}}})], homes={"ada": person}),
        host("mac", [data("k", {"networking": {"hostName": "mac"}}, class_="darwin")], class_="darwin"),
        host("gamma", [shared], homes={"ada": person}, standalone=["ada"]),
    ]


@pytest.mark.nix
async def test_plain_nix_makes_the_same_of_the_flake(tmp_path: Path, world: World) -> None:
    found, configs = some(tmp_path)
    out, cache = tmp_path / "out", tmp_path / "cache"
    write_flake(found, configs, out, cache, MINI_FOR_ALL)
    wanted = {
        artifact.installable.attribute: artifact.out
        async for release in evaluate([stage(found, c, cache, MINI_FOR_ALL) for c in configs], world.nix(), cache)
        if isinstance(release, Release)
        for artifact in (release.system, *release.homes)
    }
    assert len(wanted) == 5

    for attribute, path in wanted.items():
        done = await world.nix().run(["nix", "eval", "--json", f"path:{out}#{attribute}.outPath"])
        assert json.loads(done.check(f"evaluating {attribute}")) == path


def test_what_machines_share_lies_there_once_and_each_module_says_why_it_is_there(tmp_path: Path) -> None:
    found, configs = some(tmp_path)
    write_flake(found, configs, tmp_path / "out", tmp_path / "cache", MINI_FOR_ALL)

    files = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert {"flake.nix", "flake.lock", "modules/a.nix", "modules/parts/b.nix", "home.nix"} <= files
    assert {"generated/alpha/default.nix", "generated/beta/k.json", "generated/mac/clanpy.json"} <= files
    assert "# k (inventory.toml:3)" in (tmp_path / "out/generated/alpha/default.nix").read_text()


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    found, configs = some(tmp_path)
    (tmp_path / "out").mkdir()
    write_flake(found, configs, tmp_path / "out", tmp_path / "cache", MINI_FOR_ALL)

    with pytest.raises(SourceError, match="there is something in"):
        write_flake(found, configs, tmp_path / "out", tmp_path / "cache", MINI_FOR_ALL)
