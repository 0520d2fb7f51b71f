"""`clanpy lab` as a user types it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from clanpy.lab import HostSpec, LabSpec, up
from clanpy.lab.errors import LabSpecError, NotLinuxError, NotRootError


def clanpy(*words: str, environment: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", "import sys; from clanpy.cli import main; sys.exit(main())", *words],
        capture_output=True, text=True, check=False, env={**os.environ, **(environment or {})},
    )  # fmt: skip


@pytest.mark.lab
def test_up_use_and_down(own_lab_name: Callable[[str], str]) -> None:
    name = own_lab_name("cli")
    done = clanpy("lab", "up", "2", "--name", name, "--disk", "60m", "--json")
    assert done.returncode == 0, done.stderr
    assert [(host["name"], host["state"]) for host in json.loads(done.stdout)["hosts"]] == [
        ("h1", "running"),
        ("h2", "running"),
    ]
    assert clanpy("lab", "exec", "h1", "--name", name, "--", "sh", "-c", "hostname; exit 3").returncode == 3
    assert clanpy("lab", "ssh", "admin@h2", "--name", name, "--", "id -un; hostname").stdout == "admin\nh2\n"
    assert clanpy("lab", "fault", "off", "h1", "--name", name).returncode == 0
    assert clanpy("lab", "status", "--name", name).stdout.splitlines()[0].split() == [
        "h1",
        "nixos",
        "10.77.1.1",
        "off",
        "admin",
    ]
    assert clanpy("lab", "exec", "h1", "--name", name, "true").returncode == 1
    assert clanpy("lab", "down", "--name", name, "--wipe").returncode == 0
    done = clanpy("lab", "status", "--name", name)
    assert (done.returncode, done.stdout) == (64, "")
    assert "there is no lab" in done.stderr


@pytest.mark.lab
def test_up_makes_a_host_for_each_machine_of_the_fleet(own_lab_name: Callable[[str], str], tmp_path: Path) -> None:
    name = own_lab_name("fleet")
    (tmp_path / "inventory.toml").write_text("""
        [meta]
        name = "small"
        [users.raquel]
        [users.crs58]
        [machines.web]
        class = "nixos"
        system = "x86_64-linux"
        deploy.target_host = "root@web.example"
        [machines.mac]
        class = "darwin"
        system = "aarch64-darwin"
        primary_user = "raquel"
        admin_user = "crs58"
        deploy.target_host = "ssh://crs58@mac.example:2222"
    """)
    done = clanpy("lab", "up", "--name", name, "--fleet", str(tmp_path), "--json")
    assert done.returncode == 0, done.stderr
    hosts = {host["name"]: (host["class"], host["users"]) for host in json.loads(done.stdout)["hosts"]}
    assert hosts == {"web": ("nixos", []), "mac": ("darwin", ["crs58", "raquel"])}


def test_up_without_a_fleet_asks_how_many(tmp_path: Path) -> None:
    done = clanpy("lab", "up", environment={"CLANPY_FLEET": str(tmp_path / "none")})
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_faults_are_listed() -> None:
    listed = json.loads(clanpy("lab", "fault", "--json").stdout)
    assert {"kind", "help", "argument", "is_remedy"} == set(listed[0])
    assert "reboot" in clanpy("lab", "fault").stdout
    assert clanpy("lab", "fault", "freeze").returncode == 2


def test_the_lab_needs_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(NotRootError, match="the lab needs root"):
        up(LabSpec(name="never", hosts=(HostSpec(name="a"),)))


def test_the_lab_needs_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(NotLinuxError, match="the lab needs Linux"):
        up(LabSpec(name="never", hosts=(HostSpec(name="a"),)))


@pytest.mark.parametrize("name", ["", "UPPER", "a/b", "a" * 41, "-a"])
def test_a_labs_name_fits_where_it_is_used(name: str) -> None:
    with pytest.raises(LabSpecError, match="can't be the name of a lab"):
        LabSpec(name=name, hosts=())


@pytest.mark.parametrize(
    "raw", [{"name": "a b"}, {"name": "a", "users": ("Root User",)}, {"name": "a", "disk": "much"}, {"name": ".."}]
)
def test_a_host_that_cannot_be_is_refused(raw: dict[str, str]) -> None:
    with pytest.raises(LabSpecError):
        HostSpec(**raw)  # type: ignore[arg-type]  # what comes from outside is not always what it should be


def test_a_host_is_asked_for_once() -> None:
    with pytest.raises(LabSpecError, match="asked for twice"):
        LabSpec(hosts=(HostSpec(name="a"), HostSpec(name="a")))
