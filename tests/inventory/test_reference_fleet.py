"""This repository is a fleet: the reference fleet, and the one that `clanpy init` makes."""

from __future__ import annotations

import base64
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from clanpy.errors import UsageError
from clanpy.inventory import check, load, resolve, show_fleet, show_host
from clanpy.inventory.matching import role_members
from clanpy.inventory.model import Fleet
from clanpy.inventory.skeleton import make_fleet
from support.fleets import REFERENCE


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    return load(REFERENCE)


MACHINES = {
    "stibnite": ("aarch64-darwin", "laptop", "crs58", "crs58", "crs58@stibnite.zt", "workstation laptop controller"),
    "blackphos": ("aarch64-darwin", "laptop", "raquel", "crs58", "crs58@blackphos.zt", "workstation laptop fleet"),
    "rosegold": (
        "aarch64-darwin",
        "laptop",
        "janettesmith",
        "cameron",
        "cameron@rosegold.zt",
        "workstation laptop fleet",
    ),
    "argentum": (
        "aarch64-darwin",
        "laptop",
        "christophersmith",
        "cameron",
        "cameron@argentum.zt",
        "workstation laptop fleet",
    ),
    "cinnabar": ("x86_64-linux", "vps", "cameron", "cameron", "root@cinnabar.zt", "cloud hetzner controller"),
    "electrum": ("x86_64-linux", "vps", "cameron", "cameron", "root@electrum.zt", "cloud hetzner peer"),
    "galena": ("x86_64-linux", "vm", "cameron", "cameron", "root@galena.zt", "cloud gcp peer"),
    "scheelite": ("x86_64-linux", "vm", "cameron", "cameron", "root@scheelite.zt", "cloud gcp gpu peer"),
}
NIXOS = ("cinnabar", "electrum", "galena", "scheelite")
MEMBERS = {
    ("zerotier", "controller"): ("cinnabar",),
    ("zerotier", "peer"): ("electrum", "galena", "scheelite"),
    ("sshd", "server"): NIXOS,
    ("sshd", "client"): NIXOS,
    ("tor", "server"): NIXOS,
    ("emergency-access", "default"): tuple(sorted(MACHINES)),
    ("user-cameron", "default"): tuple(sorted((*NIXOS, "argentum", "rosegold"))),
    ("user-crs58", "default"): ("blackphos", "stibnite"),
    ("user-tara", "default"): ("galena", "scheelite"),
}


@pytest.mark.parametrize("name", MACHINES)
def test_the_machines_are_those_of_the_table(name: str, fleet: Fleet) -> None:
    machine = fleet.machines[name]
    system, type_, primary, admin, target, tags = MACHINES[name]
    class_ = "darwin" if system.endswith("darwin") else "nixos"

    assert (machine.class_, machine.system, machine.type) == (class_, system, type_)
    assert (machine.primary_user, machine.admin_user, machine.deploy.target_host) == (primary, admin, target)
    assert set(machine.tags) == {*tags.split(), "all", class_}


def test_there_are_no_others(fleet: Fleet) -> None:
    assert set(fleet.machines) == set(MACHINES)
    assert fleet.meta.domain == "zt"


@pytest.mark.parametrize(("instance", "role"), MEMBERS)
def test_the_services_have_the_members_they_should(instance: str, role: str, fleet: Fleet) -> None:
    assert role_members(fleet, fleet.instances[instance].roles[role]) == MEMBERS[instance, role]


def test_nothing_is_wrong_with_it_and_nothing_worth_a_warning() -> None:
    found = check(REFERENCE)

    assert (found.errors, found.warnings) == ((), ())


def test_cameron_is_what_crs58_is_called_where_the_instance_says_so(fleet: Fleet) -> None:
    by_machine = {name: {user.account: user.user for user in resolve(fleet, name).users} for name in fleet.machines}

    assert by_machine["cinnabar"] == {"cameron": "crs58"}
    assert by_machine["stibnite"] == {"crs58": "crs58"}
    assert by_machine["rosegold"] == {"cameron": "crs58", "janettesmith": "janettesmith"}
    assert all(machine.admin_user in by_machine[name] for name, machine in fleet.machines.items())


def test_it_has_homes_of_both_kinds_and_aspects_of_every_class_in_three_languages(fleet: Fleet) -> None:
    homes = {user.home_manager for name in fleet.machines for user in resolve(fleet, name).users}
    languages = {file.suffix for aspect in fleet.aspects.values() for file in aspect.files}

    assert homes == {"module", "standalone"}
    assert {class_ for class_, _ in fleet.aspects} == {"nixos", "darwin", "home"}
    assert languages == {".nix", ".toml", ".py"}


def test_every_aspect_is_imported_by_somebody(fleet: Fleet) -> None:
    hosts = [resolve(fleet, name) for name in fleet.machines]
    modules = {m.key for host in hosts for part in (host.modules, *host.homes.values()) for m in part}

    assert {m.key for aspect in fleet.aspects.values() for m in aspect.modules} <= modules


def test_public_keys_are_well_formed(fleet: Fleet) -> None:
    for user in fleet.users.values():
        for key in user.ssh_keys:
            kind, blob, _ = key.split()
            raw = base64.b64decode(blob, validate=True)
            assert raw[4:15].decode() == kind == "ssh-ed25519"
            assert struct.unpack(">I", raw[15:19])[0] == len(raw[19:]) == 32


SHOW = """
import json, sys
from pathlib import Path
from clanpy.inventory import load, resolve, show_fleet, show_host
root = Path(sys.argv[1])
fleet = load(root)
print(json.dumps([show_fleet(fleet), *(show_host(resolve(fleet, name), root) for name in fleet.machines)]))
"""


def test_the_same_files_give_the_same_bytes_whatever_the_seed_of_hashes() -> None:
    def shown(seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        return subprocess.run(
            [sys.executable, "-c", SHOW, str(REFERENCE)], env=environment, check=True, capture_output=True, text=True
        ).stdout

    assert shown("1") == shown("2")


def test_it_can_be_shown_as_json(fleet: Fleet) -> None:
    document = json.loads(json.dumps(show_fleet(fleet)))
    assert set(document) == {"schema", "root", "meta", "machines", "users", "tags", "instances", "aspects"}

    host = json.loads(json.dumps(show_host(resolve(fleet, "scheelite"), fleet.root)))
    assert set(host) == {
        "schema",
        "machine",
        "domain",
        "targets",
        "instances",
        "users",
        "generators",
        "gates",
        "modules",
        "homes",
    }
    assert not any(str(fleet.root) in json.dumps(module) for module in host["modules"])


LISTING = """
import sys
from pathlib import Path
from clanpy.inventory import load
from clanpy.machines import rows, select
rows(select(load(Path(sys.argv[1])), [], []))
print(sorted({name.partition(".")[0] for name in sys.modules} & {"pydantic", "tree_sitter", "jinja2", "rich", "typer", "asyncssh"}))
print([name for name in sys.modules if name.startswith("clanpy.services.")])
"""


def test_listing_machines_reads_no_service_and_imports_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", LISTING, str(REFERENCE)], check=True, capture_output=True, text=True)

    assert done.stdout == "[]\n[]\n"


def test_a_new_fleet_is_right_and_has_both_classes(tmp_path: Path) -> None:
    files = make_fleet(tmp_path / "my fleet", user="ann", ssh_keys=["ssh-ed25519 AAAA ann"])
    found = check(tmp_path / "my fleet")

    assert (found.errors, found.warnings) == ((), ())
    assert found.fleet.meta.name == "my-fleet"
    assert {machine.class_ for machine in found.fleet.machines.values()} == {"nixos", "darwin"}
    assert found.fleet.users["ann"].ssh_keys == ("ssh-ed25519 AAAA ann",)
    assert sorted(files) == list(files)
    assert tmp_path / "my fleet" / ".gitignore" in files
    assert all(resolve(found.fleet, name).homes for name in found.fleet.machines)


def test_a_new_fleet_without_a_key_says_where_it_belongs(tmp_path: Path) -> None:
    make_fleet(tmp_path, user="ann")

    assert check(tmp_path).errors == ()
    assert "your public key" in (tmp_path / "inventory.toml").read_text()


def test_a_new_fleet_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    with pytest.raises(UsageError, match="is not empty"):
        make_fleet(tmp_path, user="ann")
    with pytest.raises(UsageError, match="name of an account"):
        make_fleet(tmp_path / "new", user="Ann Smith")

    assert [path.name for path in tmp_path.iterdir()] == ["precious"]
