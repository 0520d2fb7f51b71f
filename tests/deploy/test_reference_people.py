"""The people of the reference fleet on all eight of its machines, deployed in a lab of its own and looked at."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from clanpy.inventory import load, resolve
from clanpy.inventory.model import HostUser
from clanpy.lab import Lab
from support.fleets import REFERENCE


pytestmark = [pytest.mark.lab, pytest.mark.nix, pytest.mark.timeout(600)]

NIXOS = ("cinnabar", "electrum", "galena", "scheelite")
MACS = {"stibnite": None, "blackphos": "raquel", "rosegold": "janettesmith", "argentum": "christophersmith"}
CORE, GIT, TERMINAL = ".hushlogin", ".config/git/ignore", ".config/clanpy/aliases"
FILES = {
    "crs58": (CORE, GIT, TERMINAL),
    "tara": (CORE, GIT, TERMINAL),
    "raquel": (CORE, GIT),
    "janettesmith": (CORE,),
    "christophersmith": (CORE,),
}


@dataclass(frozen=True, slots=True)
class Eight:
    """The fleet, a copy of this repository's own, and the lab with a host for each machine."""

    root: Path
    lab: str
    work: Path

    def clanpy(self, *words: str) -> str:
        """Run the program; it has to succeed."""
        environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("CLANPY_", "XDG_", "SOPS_"))},
            "CLANPY_LAB_DIR": os.environ["CLANPY_LAB_DIR"],
            "CLANPY_FLEET": str(self.root),
            "CLANPY_STATE": str(self.work / "state"),
            "CLANPY_LAB": self.lab,
            "XDG_CACHE_HOME": str(self.work / "cache"),
            "HOME": str(self.work / "home"),
        }
        argv = [sys.executable, "-m", "clanpy", *words]
        done = subprocess.run(argv, env=environ, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def look(self, machine: str, script: str) -> str:
        """What a script says on a host, as its root."""
        done = Lab.load(self.lab).run_in(machine, ["sh", "-c", script])
        assert done.returncode == 0, (machine, script, done.stderr)
        return done.stdout


@pytest.fixture(scope="module")
def eight(labs_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Eight]:
    """All machines, deployed once for all tests of this file."""
    work = tmp_path_factory.mktemp("eight")
    (work / "home").mkdir()
    root = work / "fleet"
    root.mkdir()
    for name in ("inventory.toml", "flake.nix"):
        shutil.copy(REFERENCE / name, root / name)
    for name in ("machines", "modules"):
        shutil.copytree(REFERENCE / name, root / name)
    found = Eight(root, f"pytest-{os.getpid()}-eight", work)
    try:
        found.clanpy("lab", "up")
        found.clanpy("vars", "keygen", "--user", "crs58")
        found.clanpy("vars", "generate")
        found.clanpy("machines", "update")
        yield found
    finally:
        from clanpy.lab import down  # noqa: PLC0415 - beside its use

        down(found.lab, wipe=True)


def accounts(eight: Eight, machine: str) -> dict[str, HostUser]:
    return {user.account: user for user in resolve(load(eight.root), machine).users}


@pytest.mark.parametrize("machine", NIXOS)
def test_cameron_is_crs58_on_the_servers_with_keys_rights_and_home(eight: Eight, machine: str) -> None:
    assert "wheel" in eight.look(machine, "id -nG cameron").split()
    (key,) = load(eight.root).users["crs58"].ssh_keys
    assert eight.look(machine, "cat /etc/ssh/authorized_keys.d/cameron").splitlines() == [key]
    assert "crs58" not in eight.look(machine, "cut -d: -f1 /etc/passwd").split()
    homes_are_there(eight, machine, "cameron")


@pytest.mark.parametrize("machine", ["galena", "scheelite"])
def test_the_second_person_of_the_machines_with_many_cores_and_gpus_is_there(eight: Eight, machine: str) -> None:
    (key,) = load(eight.root).users["tara"].ssh_keys
    assert eight.look(machine, "cat /etc/ssh/authorized_keys.d/tara").splitlines() == [key]
    assert ("video" in eight.look(machine, "id -nG tara").split()) == (machine == "galena")
    assert "wheel" not in eight.look(machine, "id -nG tara").split()
    homes_are_there(eight, machine, "tara")


def test_the_second_person_is_on_no_other_server(eight: Eight) -> None:
    for machine in ("cinnabar", "electrum"):
        assert "tara" not in eight.look(machine, "cut -d: -f1 /etc/passwd").split()


@pytest.mark.parametrize("machine", MACS)
def test_the_laptops_have_the_homes_of_who_looks_after_them_and_of_who_owns_them(eight: Eight, machine: str) -> None:
    admin = "crs58" if machine in {"stibnite", "blackphos"} else "cameron"
    people = [admin, *(owner for owner in [MACS[machine]] if owner is not None)]
    assert sorted(accounts(eight, machine)) == sorted(people)
    (key,) = load(eight.root).users["crs58"].ssh_keys
    assert eight.look(machine, f"cat /etc/ssh/nix_authorized_keys.d/{admin}").splitlines() == [key]
    for account in people:
        homes_are_there(eight, machine, account)


def homes_are_there(eight: Eight, machine: str, account: str) -> None:
    """The files that the aspects of a person write, in the folder of the account and of its owner."""
    user = accounts(eight, machine)[account]
    names = " ".join(f'"{user.home}/{name}"' for name in FILES[user.user])
    assert eight.look(machine, f"cd {user.home} && stat -L -c x {names}").split() == ["x"] * len(FILES[user.user])
    assert set(eight.look(machine, f"stat -c %U {user.home} {names}").split()) == {account}
    others = {name for names in FILES.values() for name in names} - set(FILES[user.user])
    for name in others:
        assert eight.look(machine, f'test -e "{user.home}/{name}" || echo no').strip() == "no"


def test_every_machine_and_every_home_is_current(eight: Eight) -> None:
    status = json.loads(eight.clanpy("machines", "status", "--json"))
    assert {m["name"]: m["state"] for m in status["machines"]} == dict.fromkeys((*NIXOS, *MACS), "current")
    homes = {f"{a}@{m['name']}": h["running"] == h["wanted"] for m in status["machines"] for a, h in m["homes"].items()}
    owners = {f"{owner}@{machine}" for machine, owner in MACS.items() if owner}
    assert homes == dict.fromkeys({*owners, "tara@scheelite"}, True)


def test_people_without_an_account_on_any_server_change_their_homes_themselves(eight: Eight) -> None:
    listed = json.loads(eight.clanpy("home", "list", "--json"))["homes"]
    owners = {owner: machine for machine, owner in MACS.items() if owner}
    for owner, machine in owners.items():
        where = {
            home["system"]: [there["machine"] for there in home["deployed"]] for home in listed if home["user"] == owner
        }
        assert where == {"aarch64-darwin": [machine], "x86_64-linux": []}
    systems = {machine: eight.look(machine, "readlink -e /run/current-system") for machine in owners.values()}
    core = eight.root / "modules/home/core.nix"
    core.write_text(core.read_text().replace('.hushlogin".text = ""', '.hushlogin".text = "quiet"'))
    for owner, machine in owners.items():
        eight.clanpy("home", "update", owner)
        home = accounts(eight, machine)[owner].home
        assert eight.look(machine, f"cat {home}/.hushlogin") == "quiet"
        assert eight.look(machine, "readlink -e /run/current-system") == systems[machine]
        eight.clanpy("home", "rollback", f"{owner}@{machine}")
        assert eight.look(machine, f"cat {home}/.hushlogin") == ""
