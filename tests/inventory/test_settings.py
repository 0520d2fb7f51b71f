"""Settings: levels, one priority, origins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clanpy.errors import ClanpyError
from clanpy.inventory import resolve
from clanpy.inventory.model import Membership
from support.fleets import TWO, errors, fleet


def server(root: Path, roles: str, machine: str = "alpha", files: dict[str, str] | None = None) -> Membership:
    found = fleet(root, f"{TWO}[instances.sshd.roles.server]\n{roles}\n", files)
    (membership,) = resolve(found, machine).memberships
    return membership


def test_a_member_is_named_or_carries_a_tag_and_is_there_once(tmp_path: Path) -> None:
    found = fleet(tmp_path, TWO + '[instances.sshd.roles.server]\nmachines = ["alpha"]\ntags = ["web", "all"]\n')

    assert [(m.instance, m.role) for m in resolve(found, "alpha").memberships] == [("sshd", "server")]
    assert [(m.instance, m.role) for m in resolve(found, "beta").memberships] == [("sshd", "server")]


def test_settings_of_all_levels_come_together(tmp_path: Path) -> None:
    found = server(
        tmp_path,
        """
        settings = { permit_root_login = "no" }
        tags.web.settings = { open_firewall = false }
        machines.alpha.settings = { port = 23 }
        """,
    )

    assert found.settings["permit_root_login"] == "no"
    assert found.settings["open_firewall"] is False
    assert found.settings["port"] == 23
    assert found.settings["password_authentication"] is False


def test_each_leaf_says_where_it_came_from(tmp_path: Path) -> None:
    found = server(
        tmp_path,
        'settings.permit_root_login = "no"\n'
        'settings.authorized_keys = ["a"]\n'
        "tags.web.settings.open_firewall = false\n"
        'machines.alpha.settings = { port = 23, authorized_keys = ["b"] }\n',
    )

    assert found.origins["permit_root_login"] == "role server (inventory.toml:15)"
    assert found.origins["open_firewall"] == "tag web (inventory.toml:17)"
    assert found.origins["port"] == "machine alpha (inventory.toml:18)"
    assert found.origins["authorized_keys"] == "role server (inventory.toml:16) and machine alpha (inventory.toml:18)"
    assert found.origins["password_authentication"] == "default of service sshd"
    assert found.origins["host_keys.rsa.enable"] == "default of service sshd"


def test_lists_are_joined_with_the_later_level_first_as_in_nix(tmp_path: Path) -> None:
    found = server(
        tmp_path,
        'settings.authorized_keys = ["role"]\n'
        'tags = { web.settings.authorized_keys = ["web"], all.settings.authorized_keys = ["all"] }\n'
        'machines.alpha.settings.authorized_keys = ["machine"]\n',
    )

    assert found.settings["authorized_keys"] == ["web", "all", "machine", "role"]


@pytest.mark.parametrize(
    ("role", "machine", "port"),
    [
        ("{ _default = 1000 }", "2000", 2000),
        ("1000", "{ _force = 2000 }", 2000),
        ("{ _force = 1000 }", "2000", 1000),
        ("{ _override = [90, 1000] }", "{ _override = [80, 2000] }", 2000),
        ("1000", "1000", 1000),
    ],
)
def test_priorities_decide_between_levels(role: str, machine: str, port: int, tmp_path: Path) -> None:
    found = server(tmp_path, f"settings.port = {role}\nmachines.alpha.settings.port = {machine}\n")

    assert found.settings["port"] == port


def test_priority_may_be_written_in_another_file_than_what_it_overrides(tmp_path: Path) -> None:
    more = {"inventory/more.toml": "[instances.sshd.roles.server]\nsettings.port = { _force = 99 }\n"}

    assert server(tmp_path, 'settings.port = 1\ntags = ["web"]', files=more).settings["port"] == 99


def test_a_setting_of_one_role_in_two_files_is_a_conflict_if_they_differ(tmp_path: Path) -> None:
    (error,) = errors(
        tmp_path,
        TWO + '[instances.sshd.roles.server]\nsettings.port = 1\ntags = ["web"]\n',
        {
            "inventory/more.toml": "[instances.sshd.roles.server]\nsettings.port = 2\n",
            "machines/beta/configuration.nix": "",
            "machines/alpha/configuration.nix": "",
        },
    )

    assert error.code == "CP0116"
    assert {detail.split(":")[0] for detail in error.details} == {"inventory.toml", "inventory/more.toml"}


def test_a_tags_settings_count_for_members_that_joined_by_name(tmp_path: Path) -> None:
    inventory = TWO + '[instances.sshd.roles.server]\nmachines = ["alpha"]\ntags.web.settings.port = 5\n'

    assert resolve(fleet(tmp_path, inventory), "alpha").memberships[0].settings["port"] == 5


def test_two_tags_that_differ_are_a_conflict_that_names_both(tmp_path: Path) -> None:
    found = fleet(
        tmp_path,
        TWO + "[instances.sshd.roles.server.tags]\nweb.settings.port = 1\nall.settings.port = 2\n",
    )
    with pytest.raises(ClanpyError) as caught:
        resolve(found, "alpha")

    assert caught.value.details == ("inventory.toml:16:1: 2 (tag all)", "inventory.toml:15:1: 1 (tag web)")


@pytest.mark.parametrize(
    ("snake", "camel"),
    [
        ("settings.open_firewall = false", "settings.openFirewall = false"),
        ('settings.certificate.search_domains = ["x"]', 'settings.certificate.searchDomains = ["x"]'),
        ("settings.host_keys.rsa.enable = true", "settings.hostKeys.rsa.enable = true"),
        ("settings.port._force = 3", "settings.port._force = 3"),
    ],
)
def test_settings_may_be_spelled_as_in_clan(snake: str, camel: str, tmp_path: Path) -> None:
    members = 'tags = ["web"]\n'

    assert server(tmp_path / "a", members + snake).settings == server(tmp_path / "b", members + camel).settings


def test_both_spellings_of_a_setting_at_two_levels_are_one_setting(tmp_path: Path) -> None:
    found = fleet(
        tmp_path,
        TWO
        + "[instances.sshd.roles.server]\nsettings.openFirewall = true\nmachines.alpha.settings.open_firewall = false\n",
    )
    with pytest.raises(ClanpyError, match="conflicting values for 'open_firewall'"):
        resolve(found, "alpha")


def test_nothing_is_converted_silently(tmp_path: Path) -> None:
    for wrong in ("'22'", "22.0", "true", "[22]", "{ a = 1 }"):
        found = fleet(tmp_path, TWO + f'[instances.sshd.roles.server]\ntags = ["web"]\nsettings.port = {wrong}\n')
        with pytest.raises(ClanpyError, match="'port'"):
            resolve(found, "alpha")


def test_final_settings_are_plain_data(tmp_path: Path) -> None:
    def is_plain(value: Any) -> bool:
        if isinstance(value, dict):
            return all(isinstance(key, str) and is_plain(item) for key, item in value.items())
        return (
            all(map(is_plain, value))
            if isinstance(value, list)
            else value is None or type(value) in {str, int, bool, float}
        )

    assert is_plain(server(tmp_path, 'tags = ["web"]').settings)
