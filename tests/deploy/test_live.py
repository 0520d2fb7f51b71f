"""How systems are made live: goals, specialisations, reboots, and going on with what a controller left."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from clanpy.activation import Goal
from clanpy.deployment import reach
from clanpy.deployment.live import Live
from clanpy.deployment.options import Options, Surroundings
from clanpy.deployment.run import RunResult
from clanpy.errors import ExitCode, UsageError
from clanpy.events import Note, Outcome, Stage, StageFinished
from clanpy.lab import LabHost
from clanpy.ssh import Timeouts
from deploy.matrix import GATE, GATE_HOLDS
from deploy.rehearsal import Rehearsal
from support.lab import wait_for


Rehearse = Callable[..., Rehearsal]
BASE = Options(confirm_within=20)


def how(**live: object) -> Options:
    return replace(BASE, live=Live(**live))  # type: ignore[arg-type]  # the tests' own keywords


def outcome(result: RunResult, host: LabHost) -> Outcome | None:
    return result.state.hosts[host.name].outcome


def boot_entry(fleet: Rehearsal, host: LabHost) -> str:
    script = "sed -n 's/^options init=//p' /boot/loader/entries/$(sed -n 's/^default //p' /boot/loader/loader.conf)"
    return fleet.lab.run_in(host, ["sh", "-c", script]).stdout.strip().removesuffix("/init")


@pytest.mark.parametrize("wrong", [{"reboot": True, "goal": Goal.TEST}, {"specialisation": "x", "goal": Goal.BOOT}])
def test_what_contradicts_itself_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        how(**wrong)


@pytest.mark.lab
@pytest.mark.nix
async def test_each_goal_goes_as_far_as_it_says_and_is_then_left_alone(rehearse: Rehearse) -> None:
    fleet = rehearse()
    (host,) = fleet.hosts
    first = (await fleet.update()).state.hosts[host.name].system

    fleet.greet("tried")
    tested = await fleet.update(options=how(goal=Goal.TEST))
    assert outcome(tested, host) is Outcome.CONFIRMED
    assert fleet.greeting(host) == "tried"
    assert (fleet.profile(host), boot_entry(fleet, host)) == (first, first)
    assert outcome(await fleet.update(options=how(goal=Goal.TEST)), host) is Outcome.UNCHANGED

    booted = await fleet.update(options=how(goal=Goal.BOOT))
    assert outcome(booted, host) is Outcome.CONFIRMED
    assert fleet.running(host) == fleet.profile(host) == boot_entry(fleet, host) != first
    fleet.greet("later")
    await fleet.update(options=how(goal=Goal.BOOT))
    assert fleet.greeting(host) == "tried"
    assert fleet.profile(host) == boot_entry(fleet, host) != fleet.running(host)
    assert outcome(await fleet.update(options=how(goal=Goal.BOOT)), host) is Outcome.UNCHANGED

    running = fleet.running(host)
    told = await fleet.update(options=how(preview=True))
    assert (outcome(told, host), told.exit_code) == (Outcome.PLANNED, ExitCode.DONE)
    assert any(isinstance(fact, Note) and "would activate" in fact.text for fact in fleet.facts)
    assert fleet.running(host) == running


@pytest.mark.slow
@pytest.mark.lab
@pytest.mark.nix
async def test_a_specialisation_is_made_live_and_found_to_be_so(rehearse: Rehearse) -> None:
    fleet = rehearse()
    (host,) = fleet.hosts
    special = '{ specialisation.quiet.configuration.environment.etc."quiet".text = "shh"; }\n'
    fleet.configure(host, special)
    result = await fleet.update(options=how(specialisation="quiet"))
    assert outcome(result, host) is Outcome.CONFIRMED
    assert fleet.lab.run_in(host, ["cat", "/etc/quiet"]).stdout == "shh"
    assert fleet.running(host) != fleet.profile(host) == boot_entry(fleet, host)
    again = await fleet.update(options=how(specialisation="quiet"))
    assert (outcome(again, host), again.round_trips[host.name]) == (Outcome.UNCHANGED, 1)
    plain = await fleet.update()
    assert outcome(plain, host) is Outcome.CONFIRMED
    assert fleet.running(host) == fleet.profile(host)


@pytest.mark.slow
@pytest.mark.lab
@pytest.mark.nix
async def test_a_mac_knows_neither_the_goal_boot_nor_specialisations(rehearse: Rehearse) -> None:
    fleet = rehearse(nixos=0, darwin=1)
    (host,) = fleet.hosts
    for options in (how(goal=Goal.BOOT), how(specialisation="x")):
        error = (await fleet.update(options=options)).state.hosts[host.name].error
        assert error is not None
        assert error["code"] == "CP0524"
    assert fleet.profile(host) == ""


@pytest.mark.lab
@pytest.mark.nix
async def test_preflight_activation_and_confirmation_of_what_is_there_take_at_most_eight_round_trips(
    rehearse: Rehearse,
) -> None:
    fleet = rehearse(nixos=1, darwin=1)
    await fleet.update()
    fleet.greet("other")
    await fleet.update()
    fleet.greet("hello")  # every path of it is on the hosts already
    result = await fleet.update()
    assert {outcome(result, host) for host in fleet.hosts} == {Outcome.CONFIRMED}
    assert max(result.round_trips.values()) <= 8
    again = await fleet.update()
    assert set(again.round_trips.values()) == {1}


@pytest.mark.lab
@pytest.mark.nix
@pytest.mark.parametrize("goal", [Goal.SWITCH, pytest.param(Goal.BOOT, marks=pytest.mark.slow)])
async def test_a_machine_is_rebooted_and_confirmed_in_the_new_boot(rehearse: Rehearse, goal: Goal) -> None:
    fleet = rehearse()
    (host,) = fleet.hosts
    await fleet.update()
    boots = fleet.lab.status(host).boots
    fleet.greet("after a boot")
    result = await fleet.update(options=how(goal=goal, reboot=True, reboot_within=60))
    assert outcome(result, host) is Outcome.CONFIRMED
    assert Stage.REBOOT in fleet.stages(host)
    assert fleet.lab.status(host).boots == boots + 1
    assert fleet.running(host) == fleet.profile(host) == boot_entry(fleet, host)
    assert fleet.greeting(host) == "after a boot"
    assert outcome(await fleet.update(), host) is Outcome.UNCHANGED


@pytest.mark.slow
@pytest.mark.lab
@pytest.mark.nix
async def test_a_gate_that_fails_after_the_reboot_brings_the_machine_back(rehearse: Rehearse) -> None:
    fleet = rehearse()
    (host,) = fleet.hosts
    before = (await fleet.update()).state.hosts[host.name].system
    fleet.greet("after a boot")
    fleet.inventory(GATE.format(command="[ ! -e /var/once ] || exit 9; touch /var/once").replace("20", "1"))
    result = await fleet.update(options=how(reboot=True, reboot_within=60))
    assert (outcome(result, host), result.exit_code) == (Outcome.ROLLED_BACK, ExitCode.ROLLED_BACK)
    assert fleet.running(host) == fleet.profile(host) == boot_entry(fleet, host) == before


@pytest.mark.slow
@pytest.mark.lab
@pytest.mark.nix
async def test_a_machine_that_does_not_come_back_is_told_in_time(rehearse: Rehearse) -> None:
    fleet = rehearse()
    (host,) = fleet.hosts
    await fleet.update()
    fleet.greet("gone")

    def cut(event: object) -> None:
        fact = event.fact  # type: ignore[attr-defined]  # an Event
        if getattr(fact, "stage", None) is Stage.REBOOT and fact.name == "stage_started":
            fleet.lab.fault("off", host)

    result = await fleet.update(options=how(goal=Goal.BOOT, reboot=True, reboot_within=2), sinks=[cut])
    error = result.state.hosts[host.name].error
    assert error is not None
    assert (outcome(result, host), error["code"]) == (Outcome.UNREACHABLE, "CP0523")
    fleet.lab.fault("on", host)
    assert outcome(await fleet.update(), host) in {Outcome.CONFIRMED, Outcome.UNCHANGED}
    assert fleet.running(host) == fleet.profile(host)


@pytest.mark.lab
@pytest.mark.nix
def test_an_activation_whose_controller_is_gone_is_gone_on_with(rehearse: Rehearse) -> None:
    fleet = rehearse()
    (host,) = fleet.hosts
    fleet.inventory(GATE.format(command=GATE_HOLDS.replace('"', '\\"')))
    first = fleet.start("machines", "update", "--confirm-timeout", "60")
    wait_for(lambda: fleet.lab.run_in(host, ["test", "-e", "/tmp/gated"]).returncode == 0)
    first.kill()
    first.communicate()
    fleet.lab.run_in(host, ["touch", "/tmp/go-on"])
    second = fleet.clanpy("machines", "update", "--json")
    *events, last = [json.loads(line) for line in second.stdout.splitlines()]
    assert last["hosts"][host.name]["outcome"] == "confirmed"
    assert any("going on with it" in event.get("text", "") for event in events)
    assert not any(event.get("stage") == "copy" for event in events)
    assert fleet.running(host) == fleet.profile(host)


@pytest.mark.slow
@pytest.mark.lab
@pytest.mark.nix
@pytest.mark.parametrize("class_", ["nixos", "darwin"])
def test_generations_are_listed_and_gone_back_to(rehearse: Rehearse, class_: str) -> None:
    fleet = rehearse(nixos=int(class_ == "nixos"), darwin=int(class_ == "darwin"))
    (host,) = fleet.hosts
    for text in ("one", "two", "three"):
        fleet.greet(text)
        assert fleet.clanpy("machines", "update").returncode == 0
    known = json.loads(fleet.clanpy("machines", "generations", host.name, "--json").stdout)
    assert [found["number"] for found in known["generations"]] == [1, 2, 3]
    assert [found["running"] for found in known["generations"]] == [False, False, True]
    assert known["way_back"] == known["generations"][1]["path"]
    assert fleet.clanpy("machines", "rollback", host.name, "--to", "1").returncode == 0
    assert fleet.greeting(host) == "one"
    assert fleet.clanpy("machines", "rollback", host.name).returncode == 0
    assert fleet.greeting(host) == "three"
    second = known["generations"][1]["path"]
    assert fleet.clanpy("machines", "rollback", host.name, "--to", second).returncode == 0
    assert fleet.greeting(host) == "two"
    assert fleet.running(host) == fleet.profile(host) == second
    listed = fleet.clanpy("machines", "generations", host.name).stdout
    assert "running profile" in listed


HOME = """
[users.crs58]
imports = ["core"]
[instances.people]
module.name = "users"
[instances.people.roles.default]
machines = ["{host}"]
settings = {{ user = "crs58", managed = false, home_manager = "standalone" }}
"""


@pytest.mark.lab
@pytest.mark.nix
def test_a_home_refuses_files_in_its_way_takes_them_aside_when_told_and_is_taken_back(rehearse: Rehearse) -> None:
    fleet = rehearse(nixos=0, darwin=1)
    (host,) = fleet.hosts
    fleet.write("modules/home/core.nix", '{ home.file.".other".text = "o"; }\n')
    fleet.inventory(HOME.format(host=host.name))
    assert fleet.clanpy("machines", "update").returncode == 0
    fleet.write("modules/home/core.nix", '{ home.file.".greeting".text = "hi"; }\n')
    fleet.lab.run_in(host, ["sh", "-c", "echo mine >~crs58/.greeting"])

    refused = fleet.clanpy("machines", "update")
    assert refused.returncode == ExitCode.HOSTS_FAILED
    assert "files that home-manager did not make are in the way, and nothing was changed" in refused.stderr
    assert fleet.lab.run_in(host, ["sh", "-c", "cat ~crs58/.greeting ~crs58/.other"]).stdout == "mine\no"

    taken = fleet.clanpy("machines", "update", "--home-backup-extension", "old")
    assert taken.returncode == 0, taken.stderr
    assert fleet.lab.run_in(host, ["sh", "-c", "cat ~crs58/.greeting ~crs58/.greeting.old"]).stdout == "himine\n"

    back = fleet.clanpy("machines", "rollback", host.name, "--home", "crs58")
    assert back.returncode == 0, back.stderr
    assert (
        fleet.lab.run_in(host, ["sh", "-c", "ls -A ~crs58 | grep -v greeting.old"]).stdout.split().count(".other") == 1
    )
    known = json.loads(fleet.clanpy("machines", "generations", host.name, "--home", "crs58", "--json").stdout)
    assert [(found["number"], found["running"]) for found in known["generations"]] == [(1, True), (2, False)]


@pytest.mark.slow
@pytest.mark.lab
@pytest.mark.nix
async def test_another_switch_on_the_machine_is_told_as_a_lock(rehearse: Rehearse) -> None:
    fleet = rehearse()
    (host,) = fleet.hosts
    before = (await fleet.update()).state.hosts[host.name].system
    hold = "exec 9>/run/nixos/switch-to-configuration.lock; flock 9; touch /tmp/held; exec sleep 60"
    fleet.lab.run_in(host, ["sh", "-c", f"({hold}) >/dev/null 2>&1 & while [ ! -e /tmp/held ]; do :; done"])
    fleet.greet("new")
    result = await fleet.update()
    error = result.state.hosts[host.name].error
    assert error is not None
    assert (outcome(result, host), error["code"]) == (Outcome.LOCKED, "CP0522")
    assert result.exit_code is ExitCode.CONFLICT
    assert fleet.running(host) == before
    fleet.lab.run_in(host, ["sh", "-c", "kill $(pidof sleep)"])
    assert outcome(await fleet.update(), host) is Outcome.CONFIRMED


@pytest.mark.slow
@pytest.mark.lab
@pytest.mark.nix
async def test_a_change_of_address_is_confirmed_at_the_new_one(
    rehearse: Rehearse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old address has gone when the confirmation is to come: what the new configuration says is where it is looked for."""
    fleet = rehearse()
    (host,) = fleet.hosts
    await fleet.update()
    moved = host.address.replace("10.77.", "10.77.20")
    key = next(line.split(" ", 1)[1] for line in fleet.lab.known_hosts.read_text().splitlines() if host.name in line)
    (tmp_path / "known").write_text(f"{moved},{host.address} {key}\n")
    old = replace(fleet.target(host), known_hosts=(tmp_path / "known",))
    here, real = replace(old, host=moved), fleet.surroundings

    def surroundings(**_: object) -> Surroundings:
        return replace(real(), targets={host.name: (here, old)})

    monkeypatch.setattr(fleet, "surroundings", surroundings)
    move = f"ip addr del {host.address}/16 dev eth0 && ip addr add {moved}/16 dev eth0"
    fleet.configure(host, f"{{ system.activationScripts.move.text = ''{move} || true''; }}\n")
    monkeypatch.setattr(reach, "TIMEOUTS", Timeouts(connect=2, login=5, keepalive_interval=0.3, keepalive_count=2))
    result = await fleet.update()
    assert outcome(result, host) is Outcome.CONFIRMED
    confirmed = [fact.note for fact in fleet.facts if isinstance(fact, StageFinished) and fact.stage is Stage.CONFIRM]
    assert confirmed == [f"over a fresh connection to {moved}"]
    assert outcome(await fleet.update(), host) is Outcome.UNCHANGED
