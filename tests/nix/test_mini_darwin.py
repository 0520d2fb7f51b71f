"""darwin systems of mini, activated on a host that says it is a Mac."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from nix.host import Host
from nix.world import World, darwin


pytestmark = pytest.mark.nix

SYSTEMS = {
    "plain": "{ }",
    "rich": """
      { pkgs, ... }: {
        environment.etc."app.conf".text = "one\\n";
        environment.systemPackages = [ pkgs.git ];
        launchd.daemons.watch.script = "echo watching";
        system.defaults.dock.autohide = true;
        homebrew = { enable = true; casks = [ "zed" ]; };
        users.users.grace.openssh.authorizedKeys.keys = [ "ssh-ed25519 AAAA grace" ];
        home-manager.users.grace.home.file."x".text = "y";
      }""",
    "broken": '{ system.activationScripts.postActivation.text = "exit 3"; }',
}


@pytest.fixture(scope="module")
def systems(world: World) -> Mapping[str, Path]:
    return world.build_now({name: darwin(module) for name, module in SYSTEMS.items()})


def test_a_darwin_system_has_what_deployers_look_for(systems: Mapping[str, Path]) -> None:
    system = systems["rich"]

    assert (system / "darwin-version").read_text() == "26.05mini"
    assert (system / "systemConfig").read_text() == str(system)
    assert (system / "sw/bin/darwin-rebuild").stat().st_mode & 0o111
    assert not (system / "activate-user").exists()
    assert (system / "Brewfile").read_text() == 'cask "zed"\n'
    assert "autohide" in (system / "defaults.json").read_text()


def test_activation_is_for_root_on_a_mac(mac: Host, server: Host, systems: Mapping[str, Path]) -> None:
    assert mac.run(systems["plain"] / "activate", user="ada").status == 2
    assert server.run(systems["plain"] / "activate").status == 2
    assert not mac.exists("/etc/static")
    assert not server.exists("/etc/static")


def test_activation_makes_files_daemons_and_homes_and_takes_them_back(mac: Host, systems: Mapping[str, Path]) -> None:
    done = mac.run(systems["rich"] / "activate")

    assert done.status == 0, done.err
    assert mac.link("/run/current-system") == str(systems["rich"])
    assert mac.read("/etc/app.conf") == "one\n"
    assert "watch-start" in mac.read("/Library/LaunchDaemons/org.nixos.watch.plist")
    assert mac.read("/etc/ssh/nix_authorized_keys.d/grace") == "ssh-ed25519 AAAA grace\n"
    assert mac.read("/Users/grace/x") == "y"

    assert mac.run(systems["plain"] / "activate").status == 0
    assert not mac.exists("/etc/app.conf")
    assert not mac.exists("/Library/LaunchDaemons/org.nixos.watch.plist")


def test_a_step_that_fails_ends_the_activation(mac: Host, systems: Mapping[str, Path]) -> None:
    mac.run(systems["plain"] / "activate")

    done = mac.run(systems["broken"] / "activate")

    assert (done.status, done.err) == (3, "error: activation script 'postActivation' failed (3)\n")
    assert mac.link("/run/current-system") == str(systems["plain"])
