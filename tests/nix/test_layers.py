"""The five layers of packages, composed by real Nix: which one wins, and what is never touched."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from clanpy.inventory.layers import Channel, Fallback, Layers, Packages
from clanpy.inventory.model import Fleet, HostConfig
from clanpy.nix import render
from clanpy.nix.errors import InputsError
from clanpy.nix.evaluate import evaluate
from clanpy.nix.inputs import InputOverrides
from clanpy.nix.program import Finished
from clanpy.nix.release import Release
from clanpy.nix.source import manifest, stage
from nix.fleets import account, file, fleet, host, write
from nix.world import MINI, MINI_FOR_ALL, World


pytestmark = pytest.mark.nix

LAYERS = Path(render.__file__).parent / "lib" / "layers.nix"

# A package set of our own: a few packages, one of which is broken on Macs.
SET = """\
{ system, config ? { }, overlays ? [ ] }:
let
  package = name: version: { inherit name version; from = "@CHANNEL@"; overrideAttrs = change: package name version // change { }; };
  base = final: {
    lib.here = true;
    callPackage = file: arguments:
      let f = import file; in f (builtins.intersectAttrs (builtins.functionArgs f) final // arguments);
    hello = package "hello" "@VERSION@";
    tree = package "tree" "@VERSION@";
    d2 = if system == "aarch64-darwin" && "@CHANNEL@" == "unstable" then throw "d2 is broken here" else package "d2" "@VERSION@";
    unfree = if config.allowUnfree or false then package "unfree" "@VERSION@" else throw "unfree is not free";
  };
  fix = f: let x = f x; in x;
in
fix (builtins.foldl' (below: overlay: final: let prev = below final; in prev // overlay final prev) base overlays)
"""
# The same packages on top of a real nixpkgs: its fixpoint, `callPackage`, `lib` and configuration.
REAL = """\
{ system, config ? { }, overlays ? [ ] }:
import @NIXPKGS@ {
  inherit system config;
  overlays = [
    (final: prev: {
      hello = prev.hello // { version = "@VERSION@"; from = "@CHANNEL@"; };
      tree = prev.tree // { name = "tree"; version = "@VERSION@"; };
      d2 = if system == "aarch64-darwin" && "@CHANNEL@" == "unstable" then throw "d2 is broken here" else prev.hello // { version = "@VERSION@"; };
      unfree = if prev.config.allowUnfree or false then prev.hello // { version = "@VERSION@"; } else throw "unfree is not free";
    })
  ] ++ overlays;
}
"""
NIXPKGS = os.environ.get("CLANPY_NIXPKGS")
LAYER_TEXT = {
    "channels": "",
    "fallbacks": 'fallbacks.hello = "stable";',
    "overrides": "overrides.hello = ./override.nix;",
    "external": 'external = [ (final: prev: { hello = prev.hello // { from = "external"; below = prev.hello.from; }; }) ];',
    "custom": "custom.hello = ./custom.nix;",
}
GIVEN_BY = {
    "channels": "unstable",
    "fallbacks": "stable",
    "overrides": "override",
    "external": "external",
    "custom": "custom",
}


@pytest.fixture(params=["own", "nixpkgs"])
def package_set(request: pytest.FixtureRequest) -> str:
    """The text of a package set: our own small one, or a real nixpkgs where CLANPY_NIXPKGS names one."""
    if request.param == "own":
        return SET
    if NIXPKGS is None:
        pytest.skip("CLANPY_NIXPKGS names no checkout of nixpkgs")
    return REAL.replace("@NIXPKGS@", str(Path(NIXPKGS).resolve()))


@pytest.fixture
def sets(tmp_path: Path, package_set: str) -> Path:
    """Two channels, one that can't be imported, and files of the fleet."""
    for channel, version in (("unstable", "2.0"), ("stable", "1.0")):
        folder = tmp_path / channel
        folder.mkdir()
        (folder / "default.nix").write_text(package_set.replace("@CHANNEL@", channel).replace("@VERSION@", version))
    (tmp_path / "throwing").mkdir()
    (tmp_path / "throwing" / "default.nix").write_text('throw "this channel was imported"')
    (tmp_path / "override.nix").write_text(
        '{ prev, ... }: prev.hello // { from = "override"; below = prev.hello.from; }'
    )
    (tmp_path / "custom.nix").write_text('{ tree }: { name = "hello"; from = "custom"; needs = tree.name; }')
    return tmp_path


def _evaluate(folder: Path, layers: str, wanted: str, system: str = "x86_64-linux") -> subprocess.CompletedProcess[str]:
    expression = f"""
      with import ./unstable {{
        system = "{system}";
        config = {{ allowUnfree = true; }};
        overlays = [
          (import {LAYERS} {{
            system = "{system}";
            config.allowUnfree = true;
            channels.stable.source = ./stable;
            channels.throwing.source = ./throwing;
            {layers}
          }})
        ];
      }}; {wanted}
    """
    argv = ["nix-instantiate", "--eval", "--strict", "--json", "--readonly-mode", "-E", expression]
    environment = {**os.environ, "NIX_CONFIG": "build-users-group =\nsubstituters =\n"}
    return subprocess.run(argv, check=False, capture_output=True, text=True, cwd=folder, env=environment)


def _value(folder: Path, layers: str, wanted: str, system: str = "x86_64-linux") -> Any:
    done = _evaluate(folder, layers, wanted, system)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(("earlier", "later"), list(combinations(LAYER_TEXT, 2)))
def test_of_two_layers_the_later_one_wins(sets: Path, earlier: str, later: str) -> None:
    layers = LAYER_TEXT[later] + LAYER_TEXT[earlier]  # the order in which they are written says nothing
    assert _value(sets, layers, "hello.from") == GIVEN_BY[later]


@pytest.mark.parametrize(("earlier", "later"), [("fallbacks", "overrides"), ("overrides", "external")])
def test_a_layer_sees_what_the_one_before_made_of_a_package(sets: Path, earlier: str, later: str) -> None:
    assert _value(sets, LAYER_TEXT[earlier] + LAYER_TEXT[later], "hello.below") == GIVEN_BY[earlier]


def test_a_fallback_serves_the_platform_where_a_package_is_broken_and_no_other(sets: Path) -> None:
    broken = _evaluate(sets, "", "d2.version", "aarch64-darwin")
    assert "d2 is broken here" in broken.stderr
    assert _value(sets, 'fallbacks.d2 = "stable";', "d2.version", "aarch64-darwin") == "1.0"
    assert _value(sets, "", "d2.version", "x86_64-linux") == "2.0"


def test_a_channel_that_throws_is_not_touched_while_nobody_uses_it(sets: Path) -> None:
    names = "builtins.attrNames channels"
    assert _value(sets, "", names) == ["stable", "throwing"]
    assert _value(sets, "", "hello.version") == "2.0"
    assert "this channel was imported" in _evaluate(sets, 'fallbacks.tree = "throwing";', "tree.version").stderr


def test_a_fallback_of_a_package_that_its_channel_does_not_have_says_so(sets: Path) -> None:
    done = _evaluate(sets, 'fallbacks.nothere = "stable";', "nothere.version")
    assert "nothere is to be taken from the channel stable, which has no such package" in done.stderr


def test_channels_have_the_configuration_of_the_fleet(sets: Path) -> None:
    assert _value(sets, "", "channels.stable.unfree.version") == "1.0"


def test_a_custom_package_is_given_what_it_asks_for(sets: Path) -> None:
    assert _value(sets, LAYER_TEXT["custom"], "hello.needs") == "tree"


def _with_trap(folder: Path, package_set: str) -> None:
    """A package set whose `applyPatches` tells that it was used: only a patched channel may."""
    text = package_set.replace("@CHANNEL@", "trapped").replace("@VERSION@", "3.0")
    trap = '    applyPatches = { name, src, patches }: throw "patched ${name} with ${toString (builtins.length patches)}";\n'
    (folder / "trapped").mkdir()
    (folder / "trapped" / "default.nix").write_text(
        re.sub(r"^ +hello =", lambda found: trap + found[0], text, flags=re.MULTILINE)
    )


@pytest.mark.parametrize(("patches", "said"), [("[ ]", None), ("[ ./override.nix ]", "patched nixpkgs-trapped with 1")])
def test_only_a_patched_channel_that_is_used_imports_what_it_builds(
    sets: Path, package_set: str, patches: str, said: str | None
) -> None:
    _with_trap(sets, package_set)
    layers = f"channels.trapped = {{ source = ./trapped; patches = {patches}; }};"
    assert _value(sets, layers, "hello.version") == "2.0"
    used = _evaluate(sets, layers, "channels.trapped.hello.version")
    assert (said is None) == (used.returncode == 0)
    assert said is None or said in used.stderr


APPLY = """\
    applyPatches = { name, src, patches }: derivation {
      inherit name src system patches;
      builder = "/bin/sh";
      PATH = "/usr/bin:/bin";
      args = [ "-euc" "cp -r $src $out; chmod -R u+w $out; cd $out; for one in $patches; do patch -p1 <$one; done" ];
    };
"""
PATCH = """\
--- a/version.nix
+++ b/version.nix
@@ -1 +1 @@
-"3.0"
+"3.0-patched"
"""


@pytest.mark.skipif(shutil.which("patch") is None, reason="needs the program patch")
async def test_a_patched_channel_is_built_when_it_is_used_and_nothing_else_ever_is(
    tmp_path: Path, world: World
) -> None:
    text = SET.replace("@CHANNEL@", "own").replace('"@VERSION@"', "(import ./version.nix)")
    files = {
        "own/default.nix": re.sub(r"^ +hello =", lambda found: APPLY + found[0], text, flags=re.MULTILINE),
        "own/version.nix": '"3.0"\n',
        "change.patch": PATCH,
        "override.nix": "{ prev, ... }: prev.hello",
        "custom.nix": "{ tree }: tree",
    }
    write(tmp_path, files)
    overlay = f"""(import {LAYERS} {{
      system = builtins.currentSystem;
      channels.plain.source = ./own;
      channels.patched = {{ source = ./own; patches = [ ./change.patch ]; }};
      fallbacks.tree = "plain";
      overrides.hello = ./override.nix;
      custom.ours = ./custom.nix;
      external = [ (final: prev: {{ other = prev.hello; }}) ];
    }})"""

    async def asked(wanted: str, *options: str) -> Finished:
        expression = f"with import ./own {{ system = builtins.currentSystem; overlays = [ {overlay} ]; }}; {wanted}"
        argv = ["nix-instantiate", "--eval", "--read-write-mode", "--strict", "--json", *options, "-E", expression]
        return await world.nix().run(argv, cwd=tmp_path)

    never = ("--option", "allow-import-from-derivation", "false")
    all_but_it = "map (p: p.version) [ hello tree ours other channels.plain.hello ]"
    assert json.loads((await asked(all_but_it, *never)).check("evaluating")) == ["3.0"] * 5
    assert "import-from-derivation' is disabled" in (await asked("channels.patched.hello.version", *never)).stderr
    assert json.loads((await asked("channels.patched.hello.version")).check("building")) == "3.0-patched"


# ------------------------------------------------------------------------------------------------------ of a machine

FLAKE = """\
{
  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";
    nixpkgs-stable.url = "github:NixOS/nixpkgs/nixos-25.11";
    home-manager.url = "github:nix-community/home-manager";
    unused.url = "github:example/unused";
  };
  outputs = inputs: { };
}
"""
FILES = {
    "flake.nix": FLAKE,
    "all.nix": "{ pkgs, ... }: { environment.systemPackages = [ pkgs.hello pkgs.ours pkgs.channels.stable.tree ]; }",
    "home.nix": "{ pkgs, ... }: { home.packages = [ pkgs.ours ]; }",
    "overrides/hello.nix": '{ prev, ... }: prev.hello.overrideAttrs (_: { version = "99"; })',
    "pkgs/by-name/ours/package.nix": '{ writeShellScriptBin }: writeShellScriptBin "ours" (builtins.readFile ./text)',
    "pkgs/by-name/ours/text": "echo ours\n",
}


def _layers(root: Path) -> Layers:
    return Layers(
        system="x86_64-linux",
        channels={"stable": ("nixpkgs-stable", ())},
        fallbacks={"tree": "stable"},
        overrides={"hello": root / "overrides/hello.nix"},
        custom={"ours": root / "pkgs/by-name/ours/package.nix"},
    )


async def _release(tmp_path: Path, world: World, config: HostConfig, found: Fleet) -> Release:
    source = stage(found, config, tmp_path / "cache", MINI_FOR_ALL)
    results = [result async for result in evaluate([source], world.nix(), tmp_path / "cache")]
    (result,) = results
    assert isinstance(result, Release), result.error.to_dict()
    return result


async def test_a_machine_and_the_homes_on_it_are_made_from_the_layers(tmp_path: Path, world: World) -> None:
    found = fleet(tmp_path / "fleet", FILES)
    home = [account("ada"), file(found.root, "home.nix", class_="home")]
    config = host(modules=[file(found.root, "all.nix")], homes={"ada": home}, standalone=["ada"])
    release = await _release(tmp_path, world, replace(config, packages=_layers(found.root)), found)
    drvs = [release.system.drv, *(made.drv for made in release.homes)]
    needed = (await world.nix().run(["nix-store", "-qR", drvs[0]])).check("asking")
    assert "-hello-99.drv" in needed
    assert "-ours.drv" in needed
    assert "-ours.drv" in (await world.nix().run(["nix-store", "-qR", drvs[1]])).check("asking")


def test_the_sources_of_a_machine_hold_the_layers_and_the_inputs_that_they_name_and_no_other(tmp_path: Path) -> None:
    found = fleet(tmp_path / "fleet", FILES)
    config = replace(host(modules=[file(found.root, "all.nix")]), packages=_layers(found.root))
    source = stage(found, config, tmp_path / "cache", MINI_FOR_ALL)
    assert (source.root / "pkgs/by-name/ours/text").exists()
    lock = json.loads((source.root / "flake.lock").read_text())
    assert sorted(lock["nodes"]["root"]["inputs"]) == ["nixpkgs", "nixpkgs-stable"]


def test_a_fallback_of_another_platform_changes_nothing_of_a_machine(tmp_path: Path) -> None:
    found = fleet(tmp_path / "fleet", FILES)
    config = host(modules=[file(found.root, "all.nix")])
    records = (Fallback(package="d2", platforms=("darwin",)),)
    packages = Packages(channels={"stable": Channel(name="stable", input="nixpkgs-stable")})
    keys = {
        stage(found, replace(config, packages=p.on(found.root, "x86_64-linux")), tmp_path / "c", MINI_FOR_ALL).key
        for p in (packages, replace(packages, fallbacks=records))
    }
    assert len(keys) == 1


def test_a_channel_of_an_input_that_the_fleet_does_not_have_is_an_error_that_names_it(tmp_path: Path) -> None:
    found = fleet(tmp_path / "fleet", FILES)
    layers = Layers(system="x86_64-linux", channels={"stable": ("nixpkgs-stabel", ())})
    with pytest.raises(InputsError, match="has no input 'nixpkgs-stabel'"):
        stage(found, replace(host(), packages=layers), tmp_path / "cache", MINI_FOR_ALL)


async def test_overlays_of_inputs_come_after_overrides_and_before_packages_of_the_fleet(
    tmp_path: Path, world: World
) -> None:
    overlay = '(_: prev: { hello = prev.hello // { version = prev.hello.version + "-seen"; }; ours = throw "hidden"; })'
    files = {
        **FILES,
        "flake.nix": FLAKE.replace("unused.url", 'extra.url = "path:./extra";\n    unused.url'),
        "extra/flake.nix": f"{{ outputs = _: {{ overlays.other = {overlay}; }}; }}",
        "all.nix": "{ pkgs, ... }: { environment.etc.x.text = pkgs.hello.version + pkgs.ours.name; }",
    }
    found = fleet(tmp_path / "fleet", files)
    layers = replace(_layers(found.root), external=(("extra", "other"),))
    config = replace(host(modules=[file(found.root, "all.nix")]), packages=layers)
    mini = dict.fromkeys(("nixpkgs", "nixpkgs-stable", "home-manager"), MINI)
    source = stage(found, config, tmp_path / "cache", InputOverrides(named=mini))
    reference = f"path:{source.root}?narHash={manifest(source)['nar_hash']}"
    asked = f'(builtins.getFlake "{reference}").nixosConfigurations.alpha.config.environment.etc.x.text'
    done = await world.nix().run(["nix", "eval", "--json", "--expr", asked])
    assert json.loads(done.check("evaluating")).startswith("99-seenours")
