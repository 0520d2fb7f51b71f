"""Homes of mini, activated as the person whose home it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from nix.host import Done, Host
from nix.world import World, home


pytestmark = pytest.mark.nix

HOMES = {
    "one": """
      { pkgs, config, lib, ... }: {
        home.file = {
          "bin/hello" = { text = "#!/bin/sh\\necho hello\\n"; executable = true; };
          "notes".text = "one\\n";
          "deep/er/file".text = "deep";
        };
        xdg.configFile."app/settings.toml".source = (pkgs.formats.toml { }).generate "s.toml" { a.b = 1; };
        home.sessionVariables.EDITOR = "vi";
        home.packages = [ pkgs.ripgrep ];
        programs.git = { enable = true; userName = "Ada"; };
        home.activation.mark = lib.hm.dag.entryAfter [ "writeBoundary" ] "touch $HOME/marked";
      }""",
    "two": '{ home.file."notes".text = "two\\n"; }',
    "broken": '{ home.activation.broken = "exit 7"; home.file."notes".text = "broken\\n"; }',
}


@pytest.fixture(scope="module")
def homes(world: World) -> Mapping[str, Path]:
    return world.build_now({name: home(module) for name, module in HOMES.items()})


def activate(host: Host, generation: Path, *arguments: str, **env: str) -> Done:
    settings = {"HOME": "/home/ada", "USER": "ada", **env}
    return host.run(generation / "activate", *arguments, user="ada", env=settings)


def test_a_generation_has_what_deployers_look_for(homes: Mapping[str, Path]) -> None:
    generation = homes["one"]

    assert generation.name.endswith("-home-manager-generation")
    assert (generation / "gen-version").read_text() == "1"
    assert (generation / "hm-version").read_text() == "26.05"
    assert (generation / "home-path/bin/rg").exists()
    assert (generation / "home-files/notes").read_text() == "one\n"


def test_activation_links_files_and_takes_back_those_of_before(server: Host, homes: Mapping[str, Path]) -> None:
    done = activate(server, homes["one"])

    assert done.status == 0, done.err
    assert server.run("/home/ada/bin/hello").out == "hello\n"
    assert server.read("/home/ada/.config/app/settings.toml") == "[a]\nb = 1\n"
    assert 'name = "Ada"' in server.read("/home/ada/.config/git/config")
    assert server.exists("/home/ada/marked")
    assert server.link("/home/ada/.local/state/home-manager/gcroots/current-home") == str(homes["one"])

    assert activate(server, homes["two"]).status == 0
    assert server.read("/home/ada/notes") == "two\n"
    assert not server.exists("/home/ada/bin")
    assert not server.exists("/home/ada/deep")


def test_who_drives_decides_who_sets_the_profile(server: Host, homes: Mapping[str, Path]) -> None:
    profile = "/home/ada/.local/state/nix/profiles/home-manager"

    activate(server, homes["one"], "--driver-version", "1")
    assert server.link(profile) is None

    activate(server, homes["one"])
    assert server.link(profile) == str(homes["one"])


def test_a_foreign_file_in_the_way_stops_it_before_anything_is_changed(server: Host, homes: Mapping[str, Path]) -> None:
    server.write("/home/ada/notes", "mine\n", owner=1000)

    done = activate(server, homes["one"])

    assert done.status == 1
    assert "Existing file '/home/ada/notes' would be clobbered" in done.err
    assert server.read("/home/ada/notes") == "mine\n"
    assert not server.exists("/home/ada/bin")


def test_a_foreign_file_is_kept_where_that_is_asked_for(server: Host, homes: Mapping[str, Path]) -> None:
    server.write("/home/ada/notes", "mine\n", owner=1000)

    assert activate(server, homes["one"], HOME_MANAGER_BACKUP_EXT="old").status == 0
    assert server.read("/home/ada/notes.old") == "mine\n"
    assert server.read("/home/ada/notes") == "one\n"

    activate(server, homes["two"])
    server.run("rm", "/home/ada/notes")
    server.write("/home/ada/notes", "mine again\n", owner=1000)
    assert activate(server, homes["one"], HOME_MANAGER_BACKUP_EXT="old").status == 1
    assert server.read("/home/ada/notes.old") == "mine\n"


def test_a_foreign_file_with_the_same_content_is_in_nobodys_way(server: Host, homes: Mapping[str, Path]) -> None:
    server.write("/home/ada/notes", "one\n", owner=1000)

    assert activate(server, homes["one"]).status == 0


def test_a_home_is_nobody_elses(server: Host, homes: Mapping[str, Path]) -> None:
    done = activate(server, homes["one"], USER="grace")
    assert (done.status, 'USER is set to "grace"' in done.err) == (1, True)

    done = activate(server, homes["one"], HOME="/root")
    assert (done.status, 'HOME is set to "/root"' in done.err) == (1, True)


def test_a_snippet_that_fails_is_a_failure(server: Host, homes: Mapping[str, Path]) -> None:
    activate(server, homes["one"])

    assert activate(server, homes["broken"]).status == 1
    current = server.link("/home/ada/.local/state/home-manager/gcroots/current-home")
    assert current == str(homes["one"])


def test_a_dry_run_changes_nothing(server: Host, homes: Mapping[str, Path]) -> None:
    activate(server, homes["one"], DRY_RUN="1")

    assert not server.exists("/home/ada/notes")
