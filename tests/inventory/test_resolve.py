"""One machine, complete: its modules in order, its people, its homes."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from clanpy.errors import ClanpyError
from clanpy.inventory import load, resolve
from clanpy.inventory.hosts import Resolver
from clanpy.inventory.model import HostConfig
from clanpy.modules.deferred import NixData, NixFile
from support.fleets import META, TWO, fleet, raised, write


NIX = "{ ... }: { }\n"
ALPHA = META + '[machines.alpha]\nclass = "nixos"\nsystem = "x86_64-linux"\n'


def keys(host: HostConfig) -> list[str]:
    return [module.key for module in host.modules]


def test_modules_come_in_the_documented_order(tmp_path: Path) -> None:
    inventory = (
        ALPHA
        + """
        imports = ["m", "shared"]
        tags = ["z", "b"]
        [tags]
        z = { imports = ["last", "shared"] }
        b = { imports = ["two", "one"] }
        [instances.hello-world.roles]
        morning = { machines = ["alpha"], extra_modules = ["extra"] }
        evening = { tags = ["z"] }
        [instances.a-hello]
        module.name = "hello-world"
        roles.morning.machines = ["alpha"]
        """
    )
    aspects = {f"modules/nixos/{name}.nix": NIX for name in ("m", "shared", "last", "one", "two", "extra")}
    own = {f"machines/alpha/{name}.nix": NIX for name in ("configuration", "disko", "hardware-configuration", "other")}
    host = resolve(
        fleet(tmp_path, inventory, {**aspects, **own, "machines/alpha/facter.json": '{"version": 1}'}), "alpha"
    )

    assert keys(host) == [
        "nixos/machine",
        "nixos.two",
        "nixos.one",
        "nixos.last",
        "nixos.shared",
        "nixos.m",
        "nixos/hello-world/a-hello/morning",
        "nixos/hello-world/hello-world/evening",
        "nixos/hello-world/hello-world/morning",
        "nixos.extra",
        "nixos/machine/hardware-configuration",
        "nixos/machine/disko",
        "nixos/machine/facter",
        "nixos/machine/configuration",
    ]
    assert len(set(keys(host))) == len(keys(host))


def test_every_module_says_why_it_is_there_and_where_that_is_written(tmp_path: Path) -> None:
    inventory = (
        ALPHA
        + 'imports = ["m"]\ntags = ["web"]\n[tags]\nweb = { imports = ["t"] }\n[instances.sshd.roles]\nserver.tags = ["web"]\n'
    )
    files = {"modules/nixos/m.nix": NIX, "modules/nixos/t/x.nix": NIX, "machines/alpha/configuration.nix": NIX}
    host = resolve(fleet(tmp_path, inventory, files), "alpha")

    assert [module.origin for module in host.modules] == [
        "the inventory's entry of alpha",
        "modules/nixos/t/x.nix, by tag web (inventory.toml:11)",
        "modules/nixos/m.nix, by machine alpha (inventory.toml:8)",
        "instance sshd, role server of service sshd (inventory.toml:13)",
        "machines/alpha/configuration.nix",
    ]


def test_the_machine_itself_gives_names_that_anything_may_override(tmp_path: Path) -> None:
    found = fleet(
        tmp_path,
        TWO + "[machines.beta.deploy]\n[users.ann]\n[instances]\n",
        {"inventory/x.toml": '[machines.beta]\nprimary_user = "ann"\n'},
    )

    assert resolve(found, "beta").modules[0].content == NixData(
        {
            "networking": {"hostName": {"_type": "override", "priority": 1000, "content": "beta"}},
            "nixpkgs": {"hostPlatform": {"_type": "override", "priority": 1000, "content": "aarch64-darwin"}},
            "system": {"primaryUser": {"_type": "override", "priority": 1000, "content": "ann"}},
        }
    )


def test_files_of_a_machine_are_staged_with_its_folder_and_a_report_of_facter_is_data(tmp_path: Path) -> None:
    files = {"machines/alpha/configuration.nix": NIX, "machines/alpha/facter.json": '{"a": {"_force": 1}}'}
    modules = resolve(fleet(tmp_path, ALPHA, files), "alpha").modules

    folder = tmp_path / "machines" / "alpha"
    assert modules[-1].content == NixFile(folder / "configuration.nix", root=folder)
    assert modules[-2].content == NixData({"hardware": {"facter": {"report": {"a": {"_force": 1}}}}})


def test_a_broken_report_of_facter_is_a_clear_error(tmp_path: Path) -> None:
    found = fleet(tmp_path, ALPHA, {"machines/alpha/facter.json": "{"})
    with pytest.raises(ClanpyError, match=r"machines/alpha/facter.json: is no JSON"):
        resolve(found, "alpha")


PEOPLE = (
    TWO
    + """
    [users.ann]
    full_name = "Ann"
    aliases = ["annie"]
    ssh_keys = ["k1"]
    imports = ["core"]

    [users.bob]

    [instances.ann]
    module.name = "users"
    roles.default.tags.all.settings = { user = "annie", admin = true, shell = "zsh", ssh_keys = ["k2", "k1"] }
    roles.default.machines.beta.settings = { imports = ["extra"], home_manager = "standalone", managed = false }

    [instances.bob]
    module.name = "users"
    roles.default.machines.alpha.settings = { user = "bob", account = "robert", home = "/srv/bob", groups = ["video"] }
    """
)
HOMES = {f"modules/home/{name}.nix": NIX for name in ("core", "extra")}


def test_people_have_accounts_under_the_name_that_the_inventory_says(tmp_path: Path) -> None:
    found = fleet(tmp_path, PEOPLE, HOMES)
    ann, bob = resolve(found, "alpha").users

    assert (ann.user, ann.account, ann.home, ann.admin, ann.ssh_keys) == (
        "ann",
        "annie",
        "/home/annie",
        True,
        ("k1", "k2"),
    )
    assert (ann.home_manager, ann.managed) == ("module", True)
    assert (bob.user, bob.account, bob.home, bob.admin, bob.home_manager) == ("bob", "robert", "/srv/bob", False, None)
    (ann,) = resolve(found, "beta").users
    assert (ann.home, ann.home_manager, ann.managed) == ("/Users/annie", "standalone", False)


def test_a_home_is_its_account_and_the_aspects_of_the_person_and_of_the_account(tmp_path: Path) -> None:
    found = fleet(tmp_path, PEOPLE, HOMES)

    assert {a: [m.key for m in modules] for a, modules in resolve(found, "beta").homes.items()} == {
        "annie": ["home/account", "home.core", "home.extra"]
    }
    account, *_ = resolve(found, "alpha").homes["annie"]
    assert account.content == NixData(
        {
            "home": {
                "username": {"_type": "override", "priority": 1000, "content": "annie"},
                "homeDirectory": {"_type": "override", "priority": 1000, "content": "/home/annie"},
            }
        }
    )


def test_an_account_that_is_not_managed_adds_nothing_to_the_system(tmp_path: Path) -> None:
    found = fleet(tmp_path, PEOPLE, HOMES)

    assert "nixos/users/ann/default" in keys(resolve(found, "alpha"))
    assert "darwin/users/ann/default" not in keys(resolve(found, "beta"))


def test_a_service_without_a_half_for_a_class_says_so(tmp_path: Path) -> None:
    inventory = TWO + '[instances.emergency-access.roles.default]\ntags = ["all"]\nextra_modules = ["x"]\n'
    inventory += 'settings.password_hash = "$6$x"\n'
    found = fleet(tmp_path, inventory, {"modules/system/x.nix": NIX})
    (nixos,) = resolve(found, "alpha").memberships
    (darwin,) = resolve(found, "beta").memberships

    assert nixos.note is None
    assert (
        darwin.note
        == "emergency-access: no darwin half here (macOS has a recovery system of its own), only extra modules apply"
    )
    assert keys(resolve(found, "beta")) == ["darwin/machine", "darwin.x@modules/system/x.nix"]


def test_targets_stand_in_the_order_in_which_they_are_tried(tmp_path: Path) -> None:
    found = fleet(tmp_path, TWO + '[machines.beta.deploy]\ntarget_host = ["b", "a"]\n')

    assert resolve(found, "beta").targets == ("b", "a")
    assert resolve(found, "alpha").targets == ()


def test_what_is_wrong_with_one_machine_does_not_stop_another(tmp_path: Path) -> None:
    inventory = (
        TWO
        + '[instances.sshd.roles.server]\nmachines.beta.settings.port = "x"\n[instances.shsd.roles.x]\nmachines = ["beta"]\n'
    )
    found = load(write(tmp_path, {"inventory.toml": inventory}))

    assert resolve(found, "alpha").name == "alpha"
    with pytest.raises(ClanpyError) as caught:
        resolve(found, "beta")
    assert {e.code for e in raised(caught.value)} == {"CP0801", "CP0804"}


def test_a_machine_that_does_not_exist_is_told_with_the_nearest_names(tmp_path: Path) -> None:
    with pytest.raises(ClanpyError, match="no machine 'alhpa'") as caught:
        resolve(fleet(tmp_path, TWO), "alhpa")
    assert "'alpha'" in (caught.value.hint or "")


def test_resolving_one_machine_reads_no_service_of_others(tmp_path: Path) -> None:
    broken = {"services/broken/service.py": "raise RuntimeError\n"}
    inventory = TWO + '[instances.broken]\nmodule.input = "self"\nroles.x.machines = ["beta"]\n'
    found = fleet(tmp_path, inventory, broken)
    resolver = Resolver(found)

    assert resolver.host("alpha")[1] == []
    assert [e.code for e in resolver.host("beta")[1]] == ["CP0807"]


def test_a_machine_can_be_sent_to_another_process(tmp_path: Path) -> None:
    host = resolve(fleet(tmp_path, PEOPLE, HOMES), "alpha")

    assert pickle.loads(pickle.dumps(host)) == host
