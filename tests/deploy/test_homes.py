"""Accounts, keys and homes of people, looked at on hosts of the lab; homes that are updated without root."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from clanpy.errors import ExitCode
from deploy.rehearsal import Rehearsal
from support.lab import LentLab


Rehearse = Callable[..., Rehearsal]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE9CyMSZEYtRZkbLVIMo92kuniDPI1JH18xWbrf+Z2s3"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAFHudVCHWpuWO1qf5LAAt7I97TSI8agnvyoo/NPt3hB"
ALONE = """
[users.crs58]
imports = ["core"]
[instances.people]
module.name = "users"
[instances.people.roles.default]
machines = ["{host}"]
settings = {{ user = "crs58", managed = false, home_manager = "standalone" }}
"""
PEOPLE = f"""
[users.crs58]
ssh_keys = ["{KEY} crs58"]
aliases = ["cameron"]
groups = ["admins"]
imports = ["core"]
uid = 1500
[users.tara]
ssh_keys = ["{OTHER} tara"]
groups = ["video"]
[users.tara.machines.{{host}}]
account = "tara2"
[instances.cameron]
module.name = "users"
roles.default.tags = ["nixos"]
roles.default.settings = {{{{ user = "cameron", admin = true, password = false }}}}
[instances.tara]
module.name = "users"
roles.default.tags = ["nixos"]
roles.default.settings = {{{{ user = "tara", password = false, authorized_people = ["@admins"] }}}}
"""


@pytest.mark.lab
@pytest.mark.nix
def test_accounts_have_the_keys_numbers_and_homes_of_their_people(rehearse: Rehearse) -> None:
    fleet = rehearse()
    (host,) = fleet.hosts
    fleet.write("modules/home/core.nix", '{ home.file.".greeting".text = "hi"; }\n')
    fleet.inventory(PEOPLE.format(host=host.name))
    done = fleet.clanpy("machines", "update")
    assert done.returncode == 0, done.stderr

    def look(script: str) -> str:
        return fleet.lab.run_in(host, ["sh", "-c", script]).stdout

    assert look("id -u cameron; id -un 1500; id -nG cameron").split()[:2] == ["1500", "cameron"]
    assert "wheel" in look("id -nG cameron").split()
    assert look("cat /etc/ssh/authorized_keys.d/cameron").splitlines() == [f"{KEY} crs58"]
    assert look("cat /etc/ssh/authorized_keys.d/tara2").splitlines() == [f"{OTHER} tara", f"{KEY} crs58"]
    assert look("cat ~cameron/.greeting; stat -L -c %h ~cameron/.greeting >/dev/null && echo") == "hi\n"


@pytest.mark.lab
@pytest.mark.nix
@pytest.mark.parametrize("class_", ["nixos", "darwin"])
def test_a_home_is_updated_by_its_owner_without_root_and_the_system_stays(
    lab: LentLab, tmp_path: Path, class_: Literal["nixos", "darwin"]
) -> None:
    fleet = Rehearsal(lab, tmp_path, lab.hosts(1, class_=class_, users=("crs58",)))
    (host,) = fleet.hosts
    home = f"crs58@{host.name}"
    fleet.write("modules/home/core.nix", '{ home.file.".greeting".text = "hi"; }\n')
    fleet.inventory(ALONE.format(host=host.name))
    before = fleet.running(host)

    fleet.lab.run_in(host, ["sh", "-c", "echo mine >~crs58/.greeting"])
    refused = fleet.clanpy("home", "update", home)
    assert refused.returncode == ExitCode.HOSTS_FAILED
    assert "are in the way, and nothing was changed" in refused.stderr

    first = fleet.clanpy("home", "update", home, "--home-backup-extension", "old", "--retry-failed")
    assert first.returncode == 0, first.stderr
    assert fleet.lab.run_in(host, ["sh", "-c", "cat ~crs58/.greeting ~crs58/.greeting.old"]).stdout == "himine\n"
    assert fleet.lab.run_in(host, ["sh", "-c", "stat -c %U ~crs58/.greeting"]).stdout.strip() == "crs58"
    assert fleet.running(host) == before
    told = fleet.clanpy("machines", "status").stdout
    assert f"  {home}" in told
    assert "current" in next(line for line in told.splitlines() if home in line)

    again = json.loads(fleet.clanpy("home", "update", "crs58", "--json").stdout.splitlines()[-1])
    assert again["hosts"][host.name]["outcome"] == "unchanged"

    fleet.write("modules/home/core.nix", '{ home.file.".greeting".text = "bye"; }\n')
    assert fleet.clanpy("home", "update", home).returncode == 0
    known = json.loads(fleet.clanpy("home", "generations", home, "--json").stdout)
    assert [found["running"] for found in known["generations"]] == [False, True]
    back = fleet.clanpy("home", "rollback", home)
    assert back.returncode == 0, back.stderr
    assert fleet.lab.run_in(host, ["sh", "-c", "cat ~crs58/.greeting"]).stdout == "hi"


ELSEWHERE = """
[users.crs58]
imports = ["core"]
[users.crs58.homes.{host}]
system = "{system}"
account = "c42"
home = "{home}"
"""


@pytest.mark.lab
@pytest.mark.nix
@pytest.mark.parametrize(("class_", "system"), [("nixos", "x86_64-linux"), ("darwin", "aarch64-darwin")])
def test_a_home_is_taken_to_a_host_that_is_no_machine_of_the_fleet(
    lab: LentLab, tmp_path: Path, class_: Literal["nixos", "darwin"], system: str
) -> None:
    fleet = Rehearsal(lab, tmp_path, lab.hosts(1, class_=class_, users=("c42",)))
    (host,) = fleet.hosts
    home = lab.run_in(host, ["sh", "-c", "echo ~c42"]).stdout.strip()
    fleet.write("modules/home/core.nix", '{ home.file.".greeting".text = "hi"; }\n')
    fleet.write("inventory.toml", '[meta]\nname = "x"\n' + ELSEWHERE.format(host=host.name, system=system, home=home))

    def greeting() -> str:
        return fleet.lab.run_in(host, ["sh", "-c", "cat ~c42/.greeting; stat -c %U ~c42/.greeting"]).stdout

    (listed,) = json.loads(fleet.clanpy("home", "list", "--json").stdout)["homes"]
    assert (listed["system"], [there["machine"] for there in listed["deployed"]]) == (system, [host.name])
    done = fleet.clanpy("home", "update", f"crs58@{host.name}")
    assert done.returncode == 0, done.stderr
    assert greeting() == "hic42\n"
    fleet.write("modules/home/core.nix", '{ home.file.".greeting".text = "bye"; }\n')
    assert fleet.clanpy("home", "update", "c42").returncode == 0
    assert greeting() == "byec42\n"
    known = json.loads(fleet.clanpy("home", "generations", f"c42@{host.name}", "--json").stdout)
    assert len(known["generations"]) == 2
    back = fleet.clanpy("home", "rollback", f"c42@{host.name}")
    assert back.returncode == 0, back.stderr
    assert greeting() == "hic42\n"


@pytest.mark.lab
@pytest.mark.nix
def test_a_system_that_can_t_be_evaluated_keeps_no_home_on_it_from_its_update(lab: LentLab, tmp_path: Path) -> None:
    fleet = Rehearsal(lab, tmp_path, lab.hosts(1, users=("crs58",)))
    (host,) = fleet.hosts
    fleet.write("modules/home/core.nix", '{ home.file.".greeting".text = "hi"; }\n')
    fleet.inventory(ALONE.format(host=host.name))
    fleet.configure(host, '{ environment.etc.x.text = throw "this system is broken"; }\n')
    assert "this system is broken" in fleet.clanpy("machines", "update").stderr
    done = fleet.clanpy("home", "update", f"crs58@{host.name}")
    assert done.returncode == 0, done.stderr
    line = next(line for line in fleet.clanpy("machines", "status").stdout.splitlines() if f"crs58@{host.name}" in line)
    assert "current" in line
    fleet.configure(host, "{ }\n")
    update = fleet.clanpy("machines", "update")
    assert update.returncode == 0, update.stderr
    known = json.loads(fleet.clanpy("home", "generations", f"crs58@{host.name}", "--json").stdout)
    assert len(known["generations"]) == 1  # it is the same by either way
