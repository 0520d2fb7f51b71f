"""People: what their entry says, what their accounts become on machines, and what can be wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clanpy.inventory import load, resolve
from clanpy.inventory.editing import rename
from clanpy.inventory.homes import with_hosts_elsewhere
from clanpy.inventory.hosts import homes_anywhere
from clanpy.modules.deferred import NixData, NixFile
from support.fleets import CONFIGURATIONS, TWO, errors, fleet, write


KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE9CyMSZEYtRZkbLVIMo92kuniDPI1JH18xWbrf+Z2s3"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAFHudVCHWpuWO1qf5LAAt7I97TSI8agnvyoo/NPt3hB"
ANN = f"""
[users.ann]
ssh_keys = ["{KEY} ann"]
aliases = ["annie"]
github = "ann-at-work"
groups = ["admins", "audio"]
shell = "fish"
uid = {{ nixos = 1000, darwin = 501 }}

[users.ann.machines.alpha]
admin = true
groups = ["video"]
"""
HERE = """
[instances.ann]
module.name = "users"
roles.default.tags = ["all"]
roles.default.settings = { user = "ann"%s }
"""
ASPECTS = {"modules/home/core.nix": "{ }\n", "modules/nixos/web.nix": "{ }\n"}


def _people(root: Path, text: str) -> Any:
    return fleet(root, TWO + text, {**CONFIGURATIONS, **ASPECTS})


def _data(config: Any, origin: str) -> Any:
    module = next(m for m in config.modules if origin in m.key)
    assert isinstance(module.content, NixData | NixFile)
    return module.content.value if isinstance(module.content, NixData) else module.content.settings


def _told(root: Path, text: str) -> list[str]:
    return [str(error) for error in errors(root, TWO + text, {**CONFIGURATIONS, **ASPECTS})]


def test_an_account_is_what_the_person_says_and_what_differs_on_the_machine(tmp_path: Path) -> None:
    found = _people(tmp_path, ANN + HERE % "")
    linux = _data(resolve(found, "alpha"), "nixos/users/ann")
    account = linux["users"]["users"]["ann"]
    assert (account["uid"], account["shell"]) == (1000, "/run/current-system/sw/bin/fish")
    assert account["extraGroups"] == ["wheel", "admins", "audio", "video"]
    assert linux["nix"]["settings"]["trusted-users"] == ["ann"]
    assert resolve(found, "alpha").users[0].admin


def test_on_macos_an_account_with_a_number_is_known_to_nix_darwin(tmp_path: Path) -> None:
    mac = _data(resolve(_people(tmp_path, ANN + HERE % ""), "beta"), "darwin/users/ann")
    assert mac["users"]["users"]["ann"]["uid"] == 501
    assert mac["users"]["knownUsers"] == ["ann"]
    assert "nix" not in mac


def test_one_without_a_number_is_left_to_macos(tmp_path: Path) -> None:
    text = "[users.bob]\n" + (HERE % "").replace("ann", "bob")
    assert "knownUsers" not in _data(resolve(_people(tmp_path, text), "beta"), "darwin/users/bob")["users"]


def test_settings_of_the_service_win(tmp_path: Path) -> None:
    found = _people(tmp_path, ANN + HERE % ', admin = false, shell = "zsh", uid = 2000, groups = ["disk"]')
    linux = _data(resolve(found, "alpha"), "nixos/users/ann")
    account = linux["users"]["users"]["ann"]
    assert (account["uid"], account["shell"].rpartition("/")[2]) == (2000, "zsh")
    assert account["extraGroups"] == ["admins", "audio", "video", "disk"]
    assert "nix" not in linux


def test_one_number_counts_for_both_classes(tmp_path: Path) -> None:
    found = _people(tmp_path, "[users.bob]\nuid = 1001\n" + (HERE % "").replace("ann", "bob"))
    assert [resolve(found, name).users[0].uid for name in ("alpha", "beta")] == [1001, 1001]


def test_the_name_of_the_account_may_differ_and_an_alias_in_the_settings_wins(tmp_path: Path) -> None:
    text = ANN + '[users.ann.machines.beta]\naccount = "ann2"\n'
    assert resolve(_people(tmp_path / "a", text + HERE % ""), "beta").users[0].account == "ann2"
    alias = (HERE % "").replace('user = "ann"', 'user = "annie"')
    there = resolve(_people(tmp_path / "b", text + alias), "beta").users[0]
    assert (there.user, there.account, there.home, there.ssh_keys) == ("ann", "annie", "/Users/annie", (f"{KEY} ann",))


def test_the_primary_user_of_a_mac_is_the_account_that_they_have_there(tmp_path: Path) -> None:
    text = TWO.replace('"aarch64-darwin"', '"aarch64-darwin"\nprimary_user = "ann"') + ANN
    alias = (HERE % "").replace('user = "ann"', 'user = "annie"')
    found = fleet(tmp_path, text + alias, {**CONFIGURATIONS, **ASPECTS})
    said = _data(resolve(found, "beta"), "darwin/machine")["system"]["primaryUser"]
    assert "annie" in said.values() or said.get("content") == "annie"


def test_a_person_may_say_that_a_machine_is_theirs_if_nobody_else_does(tmp_path: Path) -> None:
    text = "[users.ann.machines.beta]\nprimary = true\n"
    assert _people(tmp_path / "a", text).machines["beta"].primary_user == "ann"
    told = "\n".join(_told(tmp_path / "b", text + "[users.bob.machines.beta]\nprimary = true\n"))
    assert "user 'bob' is primary on 'beta', whose primary user is 'ann'" in told


def test_further_aspects_are_for_the_home_on_that_machine_alone(tmp_path: Path) -> None:
    found = _people(tmp_path, "[users.bob.machines.alpha]\nimports = ['core']\n" + (HERE % "").replace("ann", "bob"))
    assert [module.key for module in resolve(found, "alpha").homes["bob"]][1:] == ["home.core"]
    assert not resolve(found, "beta").homes


def test_keys_of_people_can_be_asked_for_by_name_alias_and_group(tmp_path: Path) -> None:
    people = ANN + f'[users.bob]\nssh_keys = ["{OTHER} bob"]\ngroups = ["admins"]\n'
    server = "[instances.sshd.roles.server]\nmachines = ['alpha']\nsettings.authorized_people = {}\n"
    for n, (asked, keys) in enumerate(
        [
            ('["@admins"]', [f"{KEY} ann", f"{OTHER} bob"]),
            ('["annie"]', [f"{KEY} ann"]),
            ('["bob", "@audio"]', [f"{OTHER} bob", f"{KEY} ann"]),
        ]
    ):
        config = resolve(_people(tmp_path / str(n), people + server.format(asked)), "alpha")
        assert _data(config, "nixos/sshd/sshd/server")["root_keys"] == keys


def test_others_may_log_in_to_an_account(tmp_path: Path) -> None:
    people = ANN + f'[users.bob]\nssh_keys = ["{OTHER} bob"]\n' + HERE % ', authorized_people = ["bob"]'
    assert resolve(_people(tmp_path, people), "alpha").users[0].ssh_keys == (f"{KEY} ann", f"{OTHER} bob")


def test_all_that_is_wrong_with_people_is_told_at_once_with_places_and_nearest_names(tmp_path: Path) -> None:
    text = """
    [users.ann]
    aliases = ["bob", "kim"]
    uid = 1000
    imports = ["cor"]

    [users.bob]
    uid = { nixos = 1000 }
    aliases = ["kim"]
    imports = ["web"]
    machines.alhpa.imports = ["core"]

    [instances.sshd.roles.server]
    machines = ["alpha"]
    settings.authorized_people = ["@admin", "amn"]
    """.replace("    ", "")
    told = "\n".join(_told(tmp_path, text))
    for part in (
        "'bob', an alias of 'ann', is a user of its own",
        "'kim' is an alias of both 'ann' and 'bob'",
        "the users 'ann' and 'bob' have one number: 1000 (nixos)",
        "imports the aspect 'web' for class home, but it exists only for nixos",
        "names the home aspect 'cor', which does not exist",
        "names the machine 'alhpa', which does not exist",
        "names the person or group '@admin', which does not exist",
        "names the person or group 'amn', which does not exist",
    ):
        assert part in told
    assert all("inventory.toml:" in line for line in told.splitlines() if "CP01" in line)


def test_two_accounts_with_one_number_or_one_home_on_a_machine_are_errors(tmp_path: Path) -> None:
    bob = (HERE % ', uid = 1000, home = "/home/ann"').replace('user = "ann"', 'user = "bob"').replace(".ann]", ".bob]")
    told = "\n".join(_told(tmp_path, ANN + "[users.bob]\n" + HERE % "" + bob))
    assert "the accounts 'ann' and 'bob' on 'alpha' both have the number 1000" in told
    assert "the accounts 'ann' and 'bob' on 'alpha' have one home folder, /home/ann" in told


def test_two_instances_for_one_account_are_an_error(tmp_path: Path) -> None:
    again = (HERE % "").replace(".ann]", ".again]")
    told = "\n".join(_told(tmp_path, ANN + HERE % "" + again))
    assert "the account 'ann' on 'alpha' comes from two instances" in told


def test_a_number_is_a_number_or_a_table_by_class(tmp_path: Path) -> None:
    told = "\n".join(_told(tmp_path, '[users.ann]\nuid = { nixos = 1, macos = 2 }\n[users.bob]\nuid = "x"\n'))
    assert told.count("a number, or a table of numbers for nixos and darwin") == 2


def test_a_machine_that_is_renamed_keeps_what_differs_on_it(tmp_path: Path) -> None:
    write(tmp_path, {"inventory.toml": TWO + ANN, **CONFIGURATIONS})
    after = {str(file.path): file.after.decode() for file in rename(tmp_path, "alpha", "gamma").files}
    assert "[users.ann.machines.gamma]" in after["inventory.toml"]
    assert load(tmp_path).users["ann"].github == "ann-at-work"


def test_a_home_elsewhere_is_a_home_and_nothing_else(tmp_path: Path) -> None:
    text = (
        ANN.replace("uid =", 'imports = ["core"]\nuid =')
        + '[users.ann.homes.uni]\nsystem = "aarch64-linux"\naccount = "a42"\n'
    )
    found = with_hosts_elsewhere(_people(tmp_path, text))
    config = resolve(found, "uni")
    assert (config.modules, config.machine.class_, config.targets) == ((), "nixos", ("uni",))
    assert [module.key for module in config.homes["a42"]] == ["home/account", "home.core"]
    assert [(one.account, one.home, one.home_manager) for one in config.users] == [("a42", "/home/a42", "standalone")]


def test_every_person_with_aspects_has_a_home_for_every_platform(tmp_path: Path) -> None:
    text = '[users.ann]\nimports = ["core"]\n[users.bob]\n[users.ann.homes.uni]\nsystem = "aarch64-linux"\n'
    found = [(config.machine.system, config.users[0].home) for config in homes_anywhere(_people(tmp_path, text))]
    assert found == [("aarch64-darwin", "/Users/ann"), ("aarch64-linux", "/home/ann"), ("x86_64-linux", "/home/ann")]


def test_what_is_wrong_with_homes_elsewhere_is_told_with_its_place(tmp_path: Path) -> None:
    text = """
    [users.ann.homes.alpha]
    system = "x86_64-linux"

    [users.ann.homes.uni]
    system = "x86_64-linux"
    target_host = "a b"
    imports = ["cor"]

    [users.bob.homes.uni]
    system = "aarch64-linux"
    account = "ann"

    [users.bob.homes.other]
    """.replace("    ", "")
    told = _told(tmp_path, text)
    for part in (
        "the home of 'ann' on 'alpha' is declared as one elsewhere, and 'alpha' is a machine of the fleet",
        "the host 'uni' is x86_64-linux for 'ann' and aarch64-linux for 'bob'",
        "the account 'ann' on 'uni' has two homes: of 'ann' and of 'bob'",
        "target_host of the home of 'ann' on 'uni' is 'a b'",
        "names the home aspect 'cor', which does not exist",
        "'users.bob.homes.other.system' is used, and nothing gives it a value",
    ):
        assert any(line.startswith("inventory.toml:") and part in line for line in told), (part, told)
