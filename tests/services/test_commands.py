"""`clanpy services list|show|create` and `clanpy networks list|overview|ping`, as they are typed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from clanpy.cli.program import hoisted, run
from clanpy.services.registry import built_in_names
from support.fleets import CONFIGURATIONS, META, TWO, write
from support.sshd import running_sshd


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLANPY_FLEET", "CLANPY_JSON", "CLANPY_LAB", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write(tmp_path / "fleet", {"inventory.toml": TWO, **CONFIGURATIONS})


def said(capsys: pytest.CaptureFixture[str], root: Path | None, *words: str) -> tuple[int, str, str]:
    code = run((*words, *(("--fleet", str(root)) if root else ())))
    captured = capsys.readouterr()
    return int(code), captured.out, captured.err


def data(capsys: pytest.CaptureFixture[str], root: Path | None, *words: str) -> Any:
    code, out, err = said(capsys, root, *words, "--json")
    assert code == 0, err
    return json.loads(out)


def test_the_services_there_are_can_be_listed_without_a_fleet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    found = data(capsys, None, "services", "list")["services"]

    assert {row["name"] for row in found} == set(built_in_names())
    assert all(row["description"] and row["roles"] for row in found)


def test_a_service_that_is_broken_hides_none_of_the_others(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(root, {"services/bad/service.py": "1 / 0\n"})
    code, out, err = said(capsys, root, "services", "list")

    assert code == 65
    assert "hello-world" in out
    assert "services/bad/service.py:1" in err


def test_a_service_is_shown_with_its_roles_and_what_they_can_be_set_to(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = data(capsys, root, "services", "show", "sshd")
    port = next(s for s in found["roles"]["server"]["settings"] if s["path"] == "port")
    text = said(capsys, root, "services", "show", "sshd")[1]

    assert port == {
        "path": "port",
        "type": "integer",
        "required": False,
        "default": "22",
        "description": "The port that sshd listens on (NixOS)",
    }
    assert "role server: Hosts that people and clanpy log in to" in text
    assert "certificate.search_domains" in text


@pytest.mark.parametrize("name", built_in_names())
def test_every_built_in_service_can_be_shown(name: str, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"[instances.{name}]" in said(capsys, root, "services", "show", name)[1]


def test_a_service_that_is_not_there_is_told_with_the_nearest(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = said(capsys, root, "services", "show", "shsd")

    assert code == 64
    assert "there is no service 'shsd'" in err
    assert "'sshd'" in err


def test_a_new_service_works_as_it_is_and_its_test_passes(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = said(capsys, root, "services", "create", "door-bell")
    files = [Path(line) for line in out.splitlines()]

    assert code == 0, err
    assert [file.relative_to(root).as_posix() for file in files] == [
        "services/door-bell/service.py",
        "services/door-bell/test_door_bell.py",
    ]
    assert len(files[0].read_text().splitlines()) <= 36
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", "services/door-bell"]
    tested = subprocess.run(words, cwd=root, capture_output=True, text=True, check=False, timeout=60)
    assert tested.returncode == 0, tested.stdout
    assert "3 passed" in tested.stdout
    assert (
        run(("inventory", "add", "door-bell", "default", "--input", "self", "--tag", "all", "--fleet", str(root))) == 0
    )
    assert run(("check", "--fleet", str(root))) == 0


def test_a_service_of_the_fleet_and_a_built_in_one_of_a_name_have_to_be_told_apart(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, root, "services", "create", "sshd")
    code, _, err = said(capsys, root, "services", "show", "sshd")

    assert code == 2
    assert "--input clanpy or --input self" in err
    assert data(capsys, root, "services", "show", "sshd", "--input", "self")["input"] == "self"


@pytest.mark.parametrize(
    ("name", "says"), [("Bell", "can't be the name of a service"), ("there", "there is something of that name")]
)
def test_a_service_cannot_be_begun_twice_or_under_any_name(
    name: str, says: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "services" / "there").mkdir(parents=True)
    code, _, err = said(capsys, root, "services", "create", name)

    assert code == 2
    assert says in err


NETWORKS = (
    META
    + """
[machines.alpha]
class = "nixos"
system = "x86_64-linux"
deploy.target_host = "root@127.0.0.1:1"
[machines.beta]
class = "nixos"
system = "x86_64-linux"
[instances.near]
module = { name = "net", input = "self" }
roles.peer.tags = ["all"]
"""
)
NET = '''
"""A network."""

from clanpy.services import Role, Service
from clanpy.services.exports import Address, Network
from clanpy.services.settings import Settings


class Peer(Settings):
    """Settings."""


def _exports(member):
    yield Network(priority=7)
    if member.machine.name == "alpha":
        yield Address(host="127.0.0.2", port=1)


SERVICE = Service(name="net", description="Net", roles={"peer": Role(description="Peers", settings=Peer, exports=_exports)})
'''  # fmt: skip


@pytest.fixture
def net(tmp_path: Path) -> Path:
    files = {"inventory.toml": NETWORKS, "services/net/service.py": NET}
    return write(tmp_path / "net", {**files, **CONFIGURATIONS})


def test_networks_are_listed_in_the_order_in_which_they_are_tried(
    net: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (found,) = data(capsys, net, "networks", "list")["networks"]

    assert (found["name"], found["priority"]) == ("near", 7)
    assert found["machines"]["alpha"][0]["host"] == "127.0.0.2"
    assert found["machines"]["beta"] == []
    assert "near" in said(capsys, net, "networks", "list")[1]


def test_every_way_is_tried_and_told(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, net, "networks", "ping", "alpha", "--json")
    ways = json.loads(out)["ways"]

    assert code == 4
    assert [(way["source"], way["target"], way["reached"]) for way in ways] == [
        ("inventory", "root@127.0.0.1:1", False),
        ("network near", "root@127.0.0.2:1", False),
    ]
    assert all(way["error"]["code"].startswith("CP03") for way in ways)


def test_one_network_can_be_tried_alone(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = said(capsys, net, "networks", "ping", "alpha", "-n", "near", "--json")

    assert [way["network"] for way in json.loads(out)["ways"]] == ["near"]
    assert "did you mean 'near'?" in said(capsys, net, "networks", "ping", "alpha", "-n", "naer")[2]


def test_a_machine_without_a_way_says_what_was_tried(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = said(capsys, net, "networks", "ping", "beta")

    assert code == 4
    assert "nothing says where machine 'beta' is reached" in err
    assert "network near: no address of it yet" in err
    assert said(capsys, net, "networks", "overview")[0] == 0


def test_the_command_line_says_where_a_machine_is_now(net: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("networks", "ping", "beta", "--target-host")
    here = said(capsys, net, *words, "me@127.0.0.3:1", "--json")[1]
    named = said(capsys, net, *words, "beta=me@127.0.0.3:1", "--json")[1]

    assert [way["target"] for way in json.loads(here)["ways"]] == ["me@127.0.0.3:1"]
    assert json.loads(named)["ways"][0]["source"] == "command line"
    assert "did you mean 'beta'?" in said(capsys, net, *words, "bta=x")[2]
    assert "is for one machine" in said(capsys, net, "networks", "ping", "alpha", "beta", "--target-host", "x")[2]


def test_a_command_with_a_target_of_its_own_keeps_it() -> None:
    assert hoisted(["machines", "create", "x", "--target-host", "y"]) == [
        "machines",
        "create",
        "x",
        "--target-host",
        "y",
    ]
    assert hoisted(["machines", "update", "--target-host", "y"]) == ["--target-host", "y", "machines", "update"]


def test_a_machine_is_reached_over_a_network_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with running_sshd(tmp_path / "sshd") as server:
        home = tmp_path / "home" / ".ssh"
        home.mkdir(parents=True, mode=0o700)
        (home / "id_ed25519").write_bytes(server.identity.read_bytes())
        (home / "id_ed25519").chmod(0o600)
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
        address = f'Address(host="127.0.0.1", port={server.port}, user="{server.user}")'
        files = {
            "inventory.toml": NETWORKS.replace('deploy.target_host = "root@127.0.0.1:1"\n', ""),
            "services/net/service.py": NET.replace('Address(host="127.0.0.2", port=1)', address),
            "known_hosts": f"alpha {server.public_host_key}\n",  # under its name it is known on every way
        }
        root = write(tmp_path / "fleet", {**files, **CONFIGURATIONS})
        (way,) = data(capsys, root, "networks", "ping", "alpha")["ways"]
        code = run(("--fleet", str(root), "machines", "exec", "alpha", "--", "echo", "here"))
        out, err = capsys.readouterr()

    assert (way["source"], way["reached"], way["error"]) == ("network near", True, None)
    assert way["seconds"] > 0
    assert (code, "here" in out) == (0, True), err
