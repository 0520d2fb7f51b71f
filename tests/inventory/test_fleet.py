"""What a loaded fleet is: tags, aspects, spellings."""

from __future__ import annotations

from pathlib import Path

import pytest

from clanpy.inventory import load, show_fleet
from clanpy.modules.deferred import NixData, NixFile
from support.fleets import META, TWO, fleet, write


SNAKE = """
[meta]
name = "test"

[machines.alpha]
class = "nixos"
system = "x86_64-linux"
primary_user = "ann"
admin_user = "ann"
installed_at = 3
deploy = { target_host = "root@a", build_host = "localhost", forward_agent = true }

[users.ann]
full_name = "Ann"
ssh_keys = ["k"]

[instances.s]
module = { name = "sshd" }
roles.server = { tags = { all = { settings = { port = 23 } } }, extra_modules = ["x"] }
roles.client = { machines = { alpha = { } }, settings = { certificate = { search_domains = ["a"] } } }
"""
CAMEL = (
    SNAKE.replace("class =", "machineClass =")
    .replace('"sshd"', '"sshd", input = "clan-core"')
    .replace("tags = { all = { settings = { port = 23 } } }", "tags.all.settings.port = 23")
)
for word in ("primary_user", "admin_user", "installed_at", "target_host", "build_host", "forward_agent", "full_name"):
    first, second = word.split("_")
    CAMEL = CAMEL.replace(word, first + second.title())
for word in ("ssh_keys", "extra_modules", "search_domains"):
    first, second = word.split("_")
    CAMEL = CAMEL.replace(word, first + second.title())


def test_the_spelling_of_clan_means_the_same(tmp_path: Path) -> None:
    files = {"modules/nixos/x.nix": ""}
    snake = write(tmp_path / "fleet", {"inventory.toml": SNAKE, **files})
    ours = show_fleet(load(snake))
    theirs = show_fleet(load(write(tmp_path / "fleet", {"inventory.toml": CAMEL})))
    # settings are shown as they are written; what they mean is told by `resolve`
    theirs["instances"]["s"]["roles"]["client"]["settings"]["certificate"] = {"search_domains": ["a"]}

    assert "_" not in CAMEL.replace("x86_64", "")
    assert theirs == ours


def test_a_list_is_a_short_form_of_a_table(tmp_path: Path) -> None:
    short = TWO + '[tags]\na = ["beta"]\n[instances.sshd.roles]\nserver = { tags = ["a"], machines = ["alpha"] }\n'
    long = (
        TWO + '[tags.a]\nmachines = ["beta"]\n[instances.sshd]\nmodule.name = "sshd"\n'
        "[instances.sshd.roles.server]\ntags.a = {}\nmachines.alpha.settings = {}\n"
    )

    assert show_fleet(fleet(tmp_path, short)) == show_fleet(fleet(tmp_path, long))


def test_tags_come_from_machines_from_lists_and_from_what_a_machine_is(tmp_path: Path) -> None:
    found = fleet(tmp_path, TWO + '[tags]\nstatic = ["beta", "alpha"]\nlonely = []\nweb = { description = "d" }\n')

    assert found.machines["alpha"].tags == ("all", "nixos", "static", "web")
    assert found.machines["beta"].tags == ("all", "darwin", "static")
    assert found.tags == {
        "all": ("alpha", "beta"),
        "darwin": ("beta",),
        "lonely": (),
        "nixos": ("alpha",),
        "static": ("alpha", "beta"),
        "web": ("alpha",),
    }
    assert found.tag_records["web"].description == "d"


def test_targets_are_one_or_several(tmp_path: Path) -> None:
    one = TWO + '[machines.beta.deploy]\ntarget_host = "a@b"\n'
    deploy = fleet(tmp_path, one).machines["beta"].deploy
    assert (deploy.target_host, deploy.alternatives) == ("a@b", ())

    deploy = fleet(tmp_path, one.replace('"a@b"', '["a@b", "[fd00::1]:22"]')).machines["beta"].deploy
    assert (deploy.target_host, deploy.alternatives) == ("a@b", ("[fd00::1]:22",))


@pytest.mark.parametrize(
    "target",
    [
        "host",
        "root@host",
        "root@host:22",
        "ssh://root@host.zt:2222",
        "10.0.0.1",
        "a@[fd00::1]",
        "[fe80::1%eth0]:22",
        "h_1",
    ],
)
def test_targets_that_are_understood(target: str, tmp_path: Path) -> None:
    found = fleet(tmp_path, TWO + f'[machines.beta.deploy]\ntarget_host = "{target}"\n')

    assert found.machines["beta"].deploy.target_host == target


def test_aspects_are_found_by_folder_and_what_is_written_twice_is_joined(tmp_path: Path) -> None:
    found = fleet(
        tmp_path,
        TWO,
        {
            "modules/nixos/base.nix": "",
            "modules/system/base.nix": "",
            "modules/home/base/git.nix": "",
            "modules/darwin/only/x.nix": "",
            "modules/darwin/only/deeper/y.nix": "",
            "modules/infra/cloud.nix": "",
            "modules/data.toml": "[aspects.system.base]\na = { _force = 1 }\n[aspects.nixos.base]\nb = 2\n",
            "modules/code.py": 'fleet = {"aspects": {"home": {"base": {"c": 3}}}}\n',
        },
    )
    keys = {key: [module.key for module in aspect.modules] for key, aspect in found.aspects.items()}

    assert keys == {
        ("darwin", "base"): ["darwin.base@modules/system/base.nix", "darwin.base@modules/data.toml#system"],
        ("darwin", "only"): ["darwin.only@modules/darwin/only/deeper/y.nix", "darwin.only@modules/darwin/only/x.nix"],
        ("home", "base"): ["home.base@modules/home/base/git.nix", "home.base@modules/code.py"],
        ("nixos", "base"): [
            "nixos.base",
            "nixos.base@modules/data.toml",
            "nixos.base@modules/system/base.nix",
            "nixos.base@modules/data.toml#system",
        ],
    }
    file, data, _, forced = (module.content for module in found.aspects["nixos", "base"].modules)
    assert file == NixFile(tmp_path / "modules/nixos/base.nix")
    assert data == NixData({"b": 2})
    assert forced == NixData({"a": {"_type": "override", "priority": 50, "content": 1}})
    (git, _) = found.aspects["home", "base"].modules
    assert git.content == NixFile(tmp_path / "modules/home/base/git.nix", root=tmp_path / "modules/home/base")


def test_two_files_may_say_the_same(tmp_path: Path) -> None:
    found = fleet(tmp_path, TWO, {"inventory/x.toml": '[machines.alpha]\nsystem = "x86_64-linux"\n'})

    assert found.machines["alpha"].system == "x86_64-linux"


def test_a_fleet_without_machines_is_a_fleet(tmp_path: Path) -> None:
    assert fleet(tmp_path, META).machines == {}
