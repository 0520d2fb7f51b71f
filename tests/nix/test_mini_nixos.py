"""NixOS systems of mini, activated on throwaway hosts: what the output contracts of the real ones promise."""

from __future__ import annotations

import fcntl
from collections.abc import Mapping
from pathlib import Path

import pytest

from nix.host import Done, Host
from nix.world import World, nixos


pytestmark = pytest.mark.nix

SYSTEMS = {
    "plain": "{ }",
    "rich": """
      { pkgs, ... }: {
        environment.etc = {
          "app/one.conf".text = "one\\n";
          "secret".text = "s";
          "secret".mode = "0600";
          "motd".text = "hello\\n";
          "passwd".text = "nobody is left\\n";
        };
        environment.systemPackages = [ pkgs.htop ];
        users.users.grace = {
          isNormalUser = true;
          description = "Grace Hopper";
          extraGroups = [ "wheel" "video" ];
          shell = pkgs.zsh;
          openssh.authorizedKeys.keys = [ "ssh-ed25519 AAAA grace" ];
        };
        users.users.ada.extraGroups = [ "wheel" ];
        services.openssh.enable = true;
        services.openssh.settings.PermitRootLogin = "no";
      }""",
    "other": '{ environment.etc."app/two.conf".text = "two\\n"; }',
    "broken": '{ system.activationScripts.broken.text = "echo on its way; false; echo too far"; }',
    "exits": '{ system.activationScripts.leaves.text = "exit 3"; }',
    "unit": """
      { systemd.services.hello = {
          wantedBy = [ "multi-user.target" ];
          serviceConfig.Type = "oneshot";
          script = "echo hello > /run/hello";
        };
        systemd.services.idle.script = "sleep infinity"; }""",
    "sick": """
      { systemd.services.hello = {
          wantedBy = [ "multi-user.target" ];
          serviceConfig.Type = "oneshot";
          script = "test -e /run/well";
        }; }""",
    "special": '{ specialisation.gaming.configuration.environment.etc."fun".text = "yes"; }',
    "homely": """
      { home-manager.users.ada = { pkgs, ... }: {
          home.file."notes/today".text = "write tests\\n";
          home.packages = [ pkgs.ripgrep ];
        }; }""",
    "kernel": "{ pkgs, ... }: { boot.kernelPackages = pkgs.linuxPackages_latest; }",
}


@pytest.fixture(scope="module")
def systems(world: World) -> Mapping[str, Path]:
    return world.build_now({name: nixos(module) for name, module in SYSTEMS.items()})


def switch(host: Host, system: Path, action: str = "test") -> Done:
    return host.run(system / "bin/switch-to-configuration", action)


def test_a_toplevel_has_what_deployers_look_for(systems: Mapping[str, Path]) -> None:
    system = systems["plain"]

    assert system.name.endswith("-nixos-system-host-26.05mini")
    assert (system / "nixos-version").read_text() == "26.05mini"
    assert (system / "system").read_text() == "x86_64-linux"
    for name in ("activate", "bin/switch-to-configuration", "init"):
        assert (system / name).stat().st_mode & 0o111
    for name in ("etc", "sw/bin", "specialisation", "kernel", "initrd", "kernel-modules"):
        assert (system / name).exists()


def test_a_new_kernel_can_be_told_from_the_running_one(systems: Mapping[str, Path]) -> None:
    plain, newer = systems["plain"] / "kernel", systems["kernel"] / "kernel"

    assert plain.resolve() != newer.resolve()


def test_activation_makes_files_and_accounts(server: Host, systems: Mapping[str, Path]) -> None:
    done = switch(server, systems["rich"])

    assert (done.status, done.err.splitlines()[0]) == (0, "activating the configuration...")
    assert server.link("/run/current-system") == str(systems["rich"])
    assert server.read("/etc/app/one.conf") == "one\n"
    assert server.link("/etc/app/one.conf") == "/etc/static/app/one.conf"
    assert server.run("stat", "-c", "%a %U %F", "/etc/secret").out == "600 root regular file\n"
    assert "PermitRootLogin no\n" in server.read("/etc/ssh/sshd_config.d/10-mini.conf")
    assert server.read("/etc/ssh/authorized_keys.d/grace") == "ssh-ed25519 AAAA grace\n"
    assert server.run("id", "-nG", "grace").out.split() == ["users", "wheel", "video"]
    assert server.run("su", "grace", "-c", "echo $HOME; pwd", user=None).out.startswith("/home/grace\n")
    assert "grace:x:1001:100:Grace Hopper:/home/grace:/run/current-system/sw/bin/zsh\n" in server.read("/etc/passwd")
    assert server.run("/run/current-system/sw/bin/htop", "--version").out == "htop 3.4.1 (mini)\n"


def test_what_the_host_stands_on_is_left_to_it(server: Host, systems: Mapping[str, Path]) -> None:
    before = server.read("/etc/passwd")
    switch(server, systems["rich"])

    assert server.read("/etc/passwd").startswith(before)
    assert server.read("/etc/mini/passwd") == "nobody is left\n"
    assert "ada:x:1000:100::/home/ada:/bin/sh\n" in server.read("/etc/passwd")
    assert "wheel" in server.run("id", "-nG", "ada").out.split()


def test_what_is_no_longer_wanted_goes_and_what_was_there_comes_back(server: Host, systems: Mapping[str, Path]) -> None:
    server.write("/etc/motd", "the host's own\n")
    switch(server, systems["rich"])
    assert server.read("/etc/motd") == "hello\n"

    switch(server, systems["other"])

    assert server.read("/etc/motd") == "the host's own\n"
    assert not server.exists("/etc/app/one.conf")
    assert server.read("/etc/app/two.conf") == "two\n"
    assert not server.exists("/etc/secret")
    assert "grace" not in server.read("/etc/passwd") + server.read("/etc/group")
    assert server.exists("/home/grace")


def test_activating_twice_changes_nothing(server: Host, systems: Mapping[str, Path]) -> None:
    switch(server, systems["rich"])
    before = [server.read(f"/etc/{name}") for name in ("passwd", "group", "shadow")]

    assert switch(server, systems["rich"]).status == 0
    assert [server.read(f"/etc/{name}") for name in ("passwd", "group", "shadow")] == before


@pytest.mark.parametrize(("name", "code"), [("broken", 1), ("exits", 3)])
def test_a_snippet_that_fails_is_named_and_gives_two(
    server: Host, systems: Mapping[str, Path], name: str, code: int
) -> None:
    done = switch(server, systems[name])

    assert done.status == 2
    assert f"failed ({code})" in done.err
    assert "too far" not in done.out


def test_a_unit_that_fails_is_named_and_gives_four(server: Host, systems: Mapping[str, Path]) -> None:
    assert switch(server, systems["unit"]).status == 0
    assert server.read("/run/hello") == "hello\n"

    sick = switch(server, systems["sick"])
    assert sick.status == 4
    assert "warning: the following units failed: hello.service" in sick.err

    server.write("/run/well", "")
    assert switch(server, systems["sick"]).status == 0  # what failed is tried again


def test_units_are_files(server: Host, systems: Mapping[str, Path]) -> None:
    switch(server, systems["unit"])

    unit = server.read("/etc/systemd/system/multi-user.target.wants/hello.service")
    assert "Type=oneshot\n" in unit
    assert server.exists("/etc/systemd/system/idle.service")


def test_dry_activation_tells_and_changes_nothing(server: Host, systems: Mapping[str, Path]) -> None:
    done = switch(server, systems["unit"], "dry-activate")

    assert done.status == 0
    assert "would start the following units: hello.service" in done.err
    assert not server.exists("/run/current-system")
    assert not server.exists("/etc/static")


def test_boot_sets_the_entry_and_activates_nothing(server: Host, systems: Mapping[str, Path]) -> None:
    profiles = server.root / "nix/var/nix/profiles"
    profiles.mkdir()
    for number, name in enumerate(("plain", "rich"), 1):
        (profiles / f"system-{number}-link").symlink_to(systems[name])
    (profiles / "system").symlink_to("system-2-link")

    assert switch(server, systems["rich"], "boot").status == 0
    assert server.read("/boot/loader/loader.conf").endswith("default nixos-generation-2.conf\n")
    assert f"init={systems['rich']}/init" in server.read("/boot/loader/entries/nixos-generation-2.conf")
    assert f"init={systems['plain']}/init" in server.read("/boot/loader/entries/nixos-generation-1.conf")
    assert not server.exists("/run/current-system")


def test_booting_activates_what_the_entry_names(server: Host, systems: Mapping[str, Path]) -> None:
    assert server.run(systems["unit"] / "init").status == 0
    assert server.link("/run/booted-system") == server.link("/run/current-system") == str(systems["unit"])
    assert server.read("/run/hello") == "hello\n"


def test_two_at_once_are_one_too_many(server: Host, systems: Mapping[str, Path]) -> None:
    server.write("/run/nixos/switch-to-configuration.lock", "")
    with (server.root / "run/nixos/switch-to-configuration.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        done = switch(server, systems["plain"])

    assert (done.status, done.err) == (11, "Could not acquire lock\n")


def test_what_is_no_nixos_is_left_alone(mac: Host, systems: Mapping[str, Path]) -> None:
    done = switch(mac, systems["plain"])

    assert (done.status, done.err) == (1, "This is not a NixOS installation!\n")
    assert not mac.exists("/etc/static")


def test_an_unknown_action_is_a_usage_error(server: Host, systems: Mapping[str, Path]) -> None:
    assert switch(server, systems["plain"], "dance").status == 1


def test_only_root_activates(server: Host, systems: Mapping[str, Path]) -> None:
    assert server.run(systems["plain"] / "activate", user="ada").status == 1
    assert not server.exists("/etc/static")


def test_a_specialisation_is_the_system_and_more(server: Host, systems: Mapping[str, Path]) -> None:
    special = systems["special"] / "specialisation/gaming"

    assert switch(server, special.resolve()).status == 0
    assert server.read("/etc/fun") == "yes"
    assert not (systems["special"] / "etc/fun").exists()


def test_homes_inside_a_system_are_activated_as_their_people(server: Host, systems: Mapping[str, Path]) -> None:
    done = switch(server, systems["homely"])

    assert done.status == 0, done.err
    assert server.read("/home/ada/notes/today") == "write tests\n"
    assert server.run("stat", "-c", "%U", "/home/ada/notes").out == "ada\n"
    assert server.exists("/etc/profiles/per-user/ada") is False  # useUserPackages is not set


def test_a_home_that_is_in_the_way_is_a_failed_unit(server: Host, systems: Mapping[str, Path]) -> None:
    server.write("/home/ada/notes/today", "mine\n", owner=1000)

    done = switch(server, systems["homely"])

    assert done.status == 4
    assert "home-manager-ada.service" in done.err
    assert server.read("/home/ada/notes/today") == "mine\n"
