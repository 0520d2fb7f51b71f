"""A fleet as one plain flake: what plain Nix makes of it is what clanpy would have built."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import pytest

from clanpy.inventory import load
from clanpy.inventory.model import Fleet, HostConfig
from clanpy.nix.errors import SourceError
from clanpy.nix.evaluate import evaluate
from clanpy.nix.generate import Contents, write_flake
from clanpy.nix.release import Release
from clanpy.nix.source import stage
from nix.fleets import account, data, file, fleet, host, write
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
    write_flake(found, Contents(hosts=configs), out, cache, MINI_FOR_ALL)
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
    write_flake(found, Contents(hosts=configs), tmp_path / "out", tmp_path / "cache", MINI_FOR_ALL)

    files = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert {"flake.nix", "flake.lock", "modules/a.nix", "modules/parts/b.nix", "home.nix"} <= files
    assert {"generated/alpha/default.nix", "generated/beta/k.json", "generated/mac/clanpy.json"} <= files
    assert "# k (inventory.toml:3)" in (tmp_path / "out/generated/alpha/default.nix").read_text()


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    found, configs = some(tmp_path)
    (tmp_path / "out").mkdir()
    write_flake(found, Contents(hosts=configs), tmp_path / "out", tmp_path / "cache", MINI_FOR_ALL)

    with pytest.raises(SourceError, match="there is something in"):
        write_flake(found, Contents(hosts=configs), tmp_path / "out", tmp_path / "cache", MINI_FOR_ALL)


WHOLE = {
    "inventory.toml": """
        [meta]
        name = "whole"

        [tags]
        all = { imports = ["base"] }

        [machines.alpha]
        class = "nixos"
        system = "x86_64-linux"

        [machines.mac]
        class = "darwin"
        system = "aarch64-darwin"

        [nixpkgs]
        exclude_from_machines = ["tools-docs"]

        [nixpkgs.overrides.hello]
        file = "overrides/hello.nix"
        reason = "to see it"

        [users.ada]
        imports = ["core"]

        [users.ada.homes.uni]
        system = "x86_64-linux"
        account = "a42"
    """,
    "modules/system/base.nix": "{ pkgs, ... }: { environment.systemPackages = [ pkgs.hello pkgs.tools-ours ]; }",
    "modules/home/core.nix": "{ pkgs, ... }: { home.packages = [ pkgs.hello pkgs.tools-ours ]; }",
    "overrides/hello.nix": '{ prev, ... }: prev.hello.overrideAttrs (_: { version = "99"; })',
    "pkgs/by-name/tools/ours/package.nix": '{ hello, writeShellScriptBin }: writeShellScriptBin "ours" "echo ${hello.version}"',
    "pkgs/by-name/tools/docs/package.nix": '{ tools-ours, writeText }: writeText "docs" "of ${tools-ours}"',
}


@pytest.mark.nix
async def test_packages_homes_and_machines_of_every_platform_are_made_from_the_same_overlays(
    tmp_path: Path, world: World
) -> None:
    root = write(tmp_path / "fleet", {name: textwrap.dedent(text) for name, text in WHOLE.items()})
    found, out = load(root), tmp_path / "out"
    write_flake(found, Contents.of(found, ["alpha", "mac"], is_whole=True), out, tmp_path / "cache", MINI_FOR_ALL)

    async def asked(attribute: str, apply: str = "x: x") -> Any:
        done = await world.nix().run(["nix", "eval", "--json", f"path:{out}#{attribute}", "--apply", apply])
        return json.loads(done.check(f"evaluating {attribute}"))

    names = await asked("packages", "builtins.mapAttrs (_: builtins.attrNames)")
    assert names == {key: ["hello", "tools-docs", "tools-ours"] for key in ("aarch64-darwin", "x86_64-linux")}
    assert await asked("packages.x86_64-linux.hello.version") == "99"
    ours = {system: await asked(f"packages.{system}.tools-ours.outPath") for system in names}
    assert ours["x86_64-linux"] != ours["aarch64-darwin"]

    on_alpha = "c: [ (c.pkgs.tools-ours.outPath) (c.pkgs ? tools-docs) ]"
    assert await asked("nixosConfigurations.alpha", on_alpha) == [ours["x86_64-linux"], False]
    for home, system in (
        ("legacyPackages.x86_64-linux.homeConfigurations.ada", "x86_64-linux"),
        ("legacyPackages.aarch64-darwin.homeConfigurations.ada", "aarch64-darwin"),
        ('homeConfigurations."a42@uni"', "x86_64-linux"),
    ):
        folder = "/Users/ada" if "darwin" in system else "/home/a42" if "uni" in home else "/home/ada"
        got = await asked(home, "h: [ h.config.home.homeDirectory (map (p: p.outPath) h.config.home.packages) ]")
        assert (got[0], ours[system] in got[1]) == (folder, True)
        assert (await asked(f"{home}.activationPackage", "p: p.drvPath")).endswith(".drv")


@pytest.mark.nix
async def test_chosen_machines_come_with_the_packages_of_their_platforms_alone(tmp_path: Path, world: World) -> None:
    root = write(tmp_path / "fleet", {name: textwrap.dedent(text) for name, text in WHOLE.items()})
    found, out = load(root), tmp_path / "out"
    write_flake(found, Contents.of(found, ["mac"]), out, tmp_path / "cache", MINI_FOR_ALL)
    done = await world.nix().run(["nix", "eval", "--json", f"path:{out}#packages", "--apply", "builtins.attrNames"])
    assert json.loads(done.check("evaluating")) == ["aarch64-darwin"]
    assert not (out / "generated/alpha").exists()
    assert not (out / "generated/ada@aarch64-darwin").exists()
