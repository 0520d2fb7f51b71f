"""`clanpy doctor`: what it asks of hosts, and how it judges what they say."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from clanpy.activation import Boot, HostFacts, LockInfo
from clanpy.activation.examine import Examined
from clanpy.deployment.doctor import judged
from clanpy.deployment.options import Options
from clanpy.errors import ExitCode
from clanpy.events import Outcome, Stage
from clanpy.inventory.model import Deploy, Machine
from deploy.rehearsal import Rehearsal


Rehearse = Callable[..., Rehearsal]

MACHINE = Machine(name="web", class_="nixos", system="x86_64-linux", deploy=Deploy(target_host="admin@web.lan"))
FACTS = HostFacts(
    host="web",
    user="admin",
    uid=1000,
    kernel="Linux",
    machine="x86_64",
    release="6.12",
    class_="nixos",
    boot=Boot("1"),
    clock=0,
    running="/nix/store/a",
    profile="/nix/store/a",
    nix="/bin/nix",
    nix_version="2.18.1",
    free_bytes=100 << 30,
    elevation="sudo",
)
GOOD = Examined(facts=FACTS, wants_signatures=True, nix_system="x86_64-linux", supervisor="systemd")
LOCK = LockInfo(owner="bob", host="desk", run="r1", reason="", since=datetime(2026, 1, 2, tzinfo=UTC), by_guard=False)


def found(machine: Machine = MACHINE, *, skew: float = 0.0, build_host: str | None = None, **facts: Any) -> list[str]:
    examined = replace(GOOD, facts=replace(FACTS, **facts))
    return [
        f"{f.level}: {f.text}" for f in judged(machine, examined, skew=skew, options=Options(build_host=build_host))
    ]


def test_a_machine_that_is_as_declared_has_nothing_to_complain_of() -> None:
    assert found() == []


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"class_": "darwin"}, "problem: it is declared as nixos, and what answered is darwin"),
        ({"nix": None}, "problem: there is no Nix on it"),
        ({"nix_version": "2.3.16"}, "problem: its Nix 2.3.16 is older than 2.8"),
        ({"elevation": "none"}, "problem: admin can't become root: there is no sudo, doas or run0"),
        (
            {"elevation": "sudo-password"},
            "warning: admin becomes root with a password (sudo): it is asked for once, on a terminal",
        ),
        (
            {"elevation": "doas"},
            'problem: admin can\'t become root by sudo, and might by doas: write deploy.elevation = "doas"',
        ),
        ({"free_bytes": 1 << 30}, "warning: only 1.0 GiB are free in its store"),
        ({"free_bytes": 1 << 20}, "problem: only 1.0 MiB are free in its store"),
        ({"lock": LOCK}, "warning: it is locked by bob on desk (run r1) since 2026-01-02 00:00:00 UTC"),
        ({"profile": "/nix/store/b"}, "warning: it runs another system than a reboot would bring"),
        ({"running": None}, "warning: there is nothing to go back to: it runs no system that Nix made"),
    ],
)
def test_what_stands_in_the_way_is_said(facts: dict[str, Any], said: str) -> None:
    assert said in found(**facts)


@pytest.mark.parametrize("tool", ["doas", "run0"])
def test_who_becomes_root_as_is_declared_is_ready_unless_a_password_is_wanted_that_nobody_could_give(tool: str) -> None:
    declared = replace(MACHINE, deploy=Deploy(target_host="admin@cinnabar", elevation=tool))
    assert found(declared, elevation=tool) == []
    assert f"problem: admin can't become root without a password ({tool})" in found(
        declared, elevation=f"{tool}-password"
    )


def test_another_architecture_than_the_declared_one_is_a_problem() -> None:
    arm = replace(MACHINE, system="aarch64-linux")
    assert found(arm) == ["problem: its system is declared as aarch64-linux, and it is x86_64-linux"]
    assert "it is to build itself" in found(arm, build_host="target")[1]


def test_a_clock_that_is_wrong_is_told_with_its_direction() -> None:
    assert found(skew=-90.0) == ["warning: its clock is 90 s behind"]
    assert found(skew=3.0) == []


def test_nix_takes_unsigned_paths_from_root_and_from_those_it_trusts() -> None:
    trusting = replace(GOOD, trusted_users=("root", "@wheel"), groups=("users",))
    assert not trusting.is_trusted
    assert replace(trusting, groups=("wheel",)).is_trusted
    assert replace(trusting, facts=replace(FACTS, uid=0)).is_trusted


@pytest.mark.lab
@pytest.mark.nix
async def test_a_machine_that_is_not_as_declared_is_refused_before_anything_is_built_for_it(rehearse: Rehearse) -> None:
    fleet = rehearse(nixos=1)
    (host,) = fleet.hosts
    text = (fleet.folder / "inventory.toml").read_text()
    fleet.write("inventory.toml", text.replace("x86_64-linux", "aarch64-linux"))
    result = await fleet.update()
    found = result.state.hosts[host.name]
    assert (found.outcome, found.error and found.error["code"]) == (Outcome.FAILED, "CP0525")
    assert "declared as aarch64-linux, and it is x86_64-linux" in str(found.error)
    assert not {Stage.BUILD, Stage.COPY, Stage.ACTIVATE} & {*fleet.stages(host)}


@pytest.mark.lab
@pytest.mark.nix
async def test_who_can_not_become_root_is_told_before_anything_is_built(rehearse: Rehearse) -> None:
    fleet = rehearse(nixos=1)
    (host,) = fleet.hosts
    forbidden = fleet.lab.run_in(host, ["sh", "-c", "echo 'root ALL=(ALL:ALL) ALL' > /etc/sudoers"])
    assert forbidden.returncode == 0
    result = await fleet.update(ways={host.name: replace(fleet.target(host), user="admin")})
    found = result.state.hosts[host.name]
    assert (found.outcome, found.error and found.error["code"]) == (Outcome.FAILED, "CP0525")
    assert not {Stage.BUILD, Stage.COPY, Stage.ACTIVATE} & {*fleet.stages(host)}


@pytest.mark.lab
@pytest.mark.nix
async def test_what_finds_no_room_is_not_sent(rehearse: Rehearse) -> None:
    fleet = rehearse(nixos=1, disk="60m")
    (host,) = fleet.hosts
    big = 'pkgs.runCommand "big" { } "head -c 90000000 /dev/urandom > $out"'
    fleet.configure(host, f'{{ pkgs, ... }}: {{ environment.etc."big".source = {big}; }}')
    result = await fleet.update()
    found = result.state.hosts[host.name]
    assert (found.outcome, found.error and found.error["code"]) == (Outcome.FAILED, "CP0204")
    assert "would be sent 85.9 MiB" in str(found.error)
    assert fleet.lab.run_in(host, ["sh", "-c", "ls -d /nix/store/*big*"]).returncode != 0


@pytest.mark.lab
@pytest.mark.nix
def test_the_doctor_asks_each_host_once_and_tells_a_table_or_a_document(rehearse: Rehearse) -> None:
    fleet = rehearse(nixos=1, darwin=1)
    assert fleet.clanpy("machines", "update").returncode == 0
    done = fleet.clanpy("doctor", "--json")
    document = json.loads(done.stdout)
    assert (done.returncode, document["schema"]) == (0, "clanpy.doctor/1")
    linux, mac = sorted(document["machines"], key=lambda machine: str(machine["class"]), reverse=True)
    assert (linux["system"], linux["elevation"], linux["user"]) == ("x86_64-linux", "root", "root")
    assert (mac["system"], mac["elevation"], mac["user"]) == ("aarch64-darwin", "sudo", "crs58")
    for machine in document["machines"]:
        assert machine["running"] == machine["profile"]
        assert (machine["verdict"], machine["findings"]) == ("ready", [])
        assert machine["nix_version"].startswith("2.")
        assert abs(machine["clock_skew"]) < 3
    table = fleet.clanpy("doctor")
    assert all(name in table.stdout for name in fleet.names)
    assert "2 machines: ready 2" in table.stderr


@pytest.mark.lab
@pytest.mark.nix
def test_the_doctor_tells_machines_that_are_not_there_and_others_that_are_not_as_declared(rehearse: Rehearse) -> None:
    fleet = rehearse(nixos=2)
    gone, other = fleet.hosts
    fleet.lab.fault("no-sshd", gone)
    alone = fleet.clanpy("doctor", gone.name)
    assert (alone.returncode, "CP0302" in alone.stderr) == (ExitCode.UNREACHABLE, True)
    text = (fleet.folder / "inventory.toml").read_text()
    head, tail = text.split(f"[machines.{other.name}]")
    fleet.write("inventory.toml", f"{head}[machines.{other.name}]{tail.replace('x86_64-linux', 'aarch64-linux', 1)}")
    both = fleet.clanpy("doctor")
    assert both.returncode == ExitCode.HOSTS_FAILED
    assert f"{other.name}: problem: its system is declared as aarch64-linux" in both.stderr
    assert "problems 1, unreachable 1" in both.stderr
