"""`clanpy machines` as a user types it, against hosts of the lab."""

import json
from collections.abc import Callable

import pytest

from clanpy.errors import ExitCode
from deploy.rehearsal import FAILING, Rehearsal


pytestmark = [pytest.mark.lab, pytest.mark.nix]
Rehearse = Callable[..., Rehearsal]


def test_update_tells_lines_and_a_summary_on_stderr_and_nothing_on_stdout(rehearse: Rehearse) -> None:
    fleet = rehearse()
    (name,) = fleet.names
    done = fleet.clanpy("machines", "update")
    assert (done.returncode, done.stdout) == (0, "")
    assert f"  {name}  ✓ confirmed" in done.stderr
    assert "1 machine in" in done.stderr
    assert "\x1b" not in done.stderr


def test_update_as_json_is_lines_of_events_and_a_document_at_the_end(rehearse: Rehearse) -> None:
    fleet = rehearse()
    (name,) = fleet.names
    done = fleet.clanpy("machines", "update", "--json")
    *events, document = [json.loads(line) for line in done.stdout.splitlines()]
    assert {event["schema"] for event in events} == {"clanpy.event/1"}
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events[0]["event"] == "run_started"
    assert events[-1]["event"] == "run_finished"
    assert (document["schema"], document["exit_code"], document["status"]) == ("clanpy.run/1", 0, "finished")
    assert document["hosts"][name]["outcome"] == "confirmed"
    assert document["round_trips"][name] <= 8
    assert done.stderr == ""


def test_a_rolled_back_machine_is_told_with_its_last_lines_and_its_log(rehearse: Rehearse) -> None:
    fleet = rehearse()
    (host,) = fleet.hosts
    assert fleet.clanpy("machines", "update").returncode == 0
    fleet.configure(host, FAILING)
    done = fleet.clanpy("machines", "update")
    assert done.returncode == ExitCode.ROLLED_BACK
    assert "CP0505" in done.stderr
    assert "      something is broken here" in done.stderr
    assert f"log: {fleet.state}" in done.stderr
    assert f"machines update {host.name}`" in done.stderr


def test_status_tells_what_runs_what_should_and_what_was_last_done(rehearse: Rehearse) -> None:
    fleet = rehearse(nixos=1, darwin=1)
    names = fleet.names
    new = json.loads(fleet.clanpy("machines", "status", "--json").stdout)
    assert [(m["state"], m["running"], m["last_deployment"]) for m in new["machines"]] == [("unknown", None, None)] * 2
    fleet.clanpy("machines", "update")
    done = json.loads(fleet.clanpy("machines", "status", "--json").stdout)
    assert done["schema"] == "clanpy.status/1"
    for machine in done["machines"]:
        assert machine["state"] == "current"
        assert machine["wanted"] == machine["running"] == machine["profile"]
        assert machine["last_deployment"]["outcome"] == "confirmed"
    fleet.greet("different")
    fleet.clanpy("machines", "build")
    shown = fleet.clanpy("machines", "status").stdout
    assert shown.count("outdated") == 2
    assert all(name in shown for name in names)


def test_status_tells_machines_that_are_not_there(rehearse: Rehearse) -> None:
    fleet = rehearse(nixos=2)
    gone, there = fleet.hosts
    fleet.lab.fault("no-sshd", gone)
    done = fleet.clanpy("machines", "status", "--json")
    states = {m["name"]: (m["reachable"], m["state"]) for m in json.loads(done.stdout)["machines"]}
    assert states == {gone.name: (False, "unreachable"), there.name: (True, "unknown")}
    assert done.returncode == 0
    told = fleet.clanpy("machines", "status")
    assert f"{gone.name}: {gone.name} refuses the connection (CP0302)" in told.stderr
    assert "2 machines: unknown 1, unreachable 1" in told.stderr


def test_status_checks_when_it_is_told_to(rehearse: Rehearse) -> None:
    fleet = rehearse(nixos=2)
    gone, there = fleet.hosts
    assert fleet.clanpy("machines", "status", "--check").returncode == ExitCode.HOSTS_FAILED
    assert fleet.clanpy("machines", "update").returncode == 0
    assert fleet.clanpy("machines", "status", "--check").returncode == 0
    fleet.lab.fault("no-sshd", gone)
    assert fleet.clanpy("machines", "status", "--check").returncode == ExitCode.UNREACHABLE
    fleet.greet("different")
    assert fleet.clanpy("machines", "status", "--check").returncode == ExitCode.HOSTS_FAILED
    evaluated = fleet.clanpy("machines", "status", "--check", "--evaluate", "--format", "{name} {state}", there.name)
    assert (evaluated.returncode, evaluated.stdout) == (ExitCode.HOSTS_FAILED, f"{there.name} outdated\n")


def test_what_was_changed_by_hand_on_a_machine_is_drift(rehearse: Rehearse) -> None:
    fleet = rehearse()
    (host,) = fleet.hosts
    assert fleet.clanpy("machines", "update").returncode == 0
    assert fleet.clanpy("machines", "status", "--drift").returncode == 0
    assert fleet.lab.run_in(host, ["sh", "-c", "rm /etc/greeting; echo mine >/etc/greeting"]).returncode == 0
    drifted = fleet.clanpy("machines", "status", "--drift", "--json")
    assert drifted.returncode == ExitCode.DRIFT
    (machine,) = json.loads(drifted.stdout)["machines"]
    assert [(one["kind"], one["name"]) for one in machine["drift"]] == [("file", "/etc/greeting")]
    shown = fleet.clanpy("machines", "status", "--drift")
    assert "/etc/greeting" in shown.stdout
    assert shown.returncode == ExitCode.DRIFT


def test_the_history_of_a_machine_tells_its_runs_the_newest_first(rehearse: Rehearse) -> None:
    fleet = rehearse()
    (host,) = fleet.hosts
    assert fleet.clanpy("machines", "update").returncode == 0
    first = fleet.running(host)
    fleet.greet("different")
    assert fleet.clanpy("machines", "update").returncode == 0
    done = json.loads(fleet.clanpy("machines", "history", host.name, "--json").stdout)
    assert done["schema"] == "clanpy.history/1"
    newest, oldest = done["runs"]
    assert (newest["from"], newest["to"], newest["outcome"]) == (first, fleet.running(host), "confirmed")
    assert oldest["to"] == first
    assert host.name in fleet.clanpy("machines", "history").stdout


def test_build_prints_store_paths_and_touches_no_machine(rehearse: Rehearse) -> None:
    fleet = rehearse()
    done = fleet.clanpy("machines", "build")
    assert done.returncode == 0
    assert done.stdout.startswith("/nix/store/")
    assert len(done.stdout.splitlines()) == 1
    assert fleet.running(fleet.hosts[0]) == ""


def test_rollback_takes_a_machine_back(rehearse: Rehearse) -> None:
    fleet = rehearse()
    (host,) = fleet.hosts
    fleet.clanpy("machines", "update")
    before = fleet.running(host)
    fleet.greet("worse")
    fleet.clanpy("machines", "update")
    done = fleet.clanpy("machines", "rollback", host.name, "--json")
    assert (done.returncode, fleet.running(host)) == (0, before)
    assert json.loads(done.stdout.splitlines()[-1])["command"] == "rollback"


def test_a_machine_whose_configuration_is_broken_still_tells_its_status_and_goes_back(rehearse: Rehearse) -> None:
    fleet = rehearse()
    (host,) = fleet.hosts
    fleet.clanpy("machines", "update")
    before = fleet.running(host)
    fleet.greet("worse")
    fleet.clanpy("machines", "update")
    fleet.write("modules/system/base.nix", "{ broken\n")
    assert fleet.clanpy("machines", "update").returncode == ExitCode.FLEET_INVALID
    status = json.loads(fleet.clanpy("machines", "status", "--json").stdout)["machines"][0]
    assert (status["reachable"], status["state"]) == (True, "unknown")
    assert (fleet.clanpy("machines", "rollback", host.name).returncode, fleet.running(host)) == (0, before)


def test_exec_groups_what_machines_say_and_its_exit_code_tells_of_failures(rehearse: Rehearse) -> None:
    fleet = rehearse(nixos=2)
    one, other = sorted(fleet.names)
    same = fleet.clanpy("machines", "exec", "--", "echo hello; echo world >&2")
    assert (same.returncode, same.stdout) == (0, f"{one} {other}\n  hello\n  world\n")
    words = fleet.clanpy("machines", "exec", one, "--", "echo", "a  b", "$HOME")
    assert words.stdout == f"{one}\n  a  b $HOME\n"
    failed = fleet.clanpy("machines", "exec", other, "--", "exit 7")
    assert (failed.returncode, failed.stdout) == (1, f"{other} (exit status 7)\n")
    as_json = json.loads(fleet.clanpy("machines", "exec", one, "--json", "--", "cat /etc/hostname; exit 3").stdout)
    assert [(r["name"], r["status"]) for r in as_json] == [(one, 3)]


def test_a_changed_host_key_is_refused_unless_told_otherwise(rehearse: Rehearse) -> None:
    fleet = rehearse()
    (host,) = fleet.hosts
    fleet.lab.fault("newkey", host)
    strict = fleet.clanpy("machines", "update")
    assert strict.returncode == ExitCode.UNREACHABLE
    assert "CP0303" in strict.stderr
    assert str(fleet.lab.known_hosts) in strict.stderr
    recorded = [line for line in strict.stderr.splitlines() if line.endswith("is recorded")]
    assert len(recorded) == len(set(recorded)) > 0
    assert fleet.clanpy("machines", "update", "--host-key-check", "none").returncode == 0


def test_exec_without_a_command_is_a_usage_error(rehearse: Rehearse) -> None:
    done = rehearse().clanpy("machines", "exec")
    assert done.returncode == ExitCode.USAGE
    assert "hint: write it behind `--`" in done.stderr


def test_an_unknown_machine_is_met_with_the_nearest_one(rehearse: Rehearse) -> None:
    fleet = rehearse()
    done = fleet.clanpy("machines", "update", fleet.names[0] + "x")
    assert done.returncode == ExitCode.NOTHING_MATCHED
    assert f"did you mean '{fleet.names[0]}'" in done.stderr


def test_progress_as_json_goes_to_stderr(rehearse: Rehearse) -> None:
    done = rehearse().clanpy("machines", "update", "--dry-run", "--progress", "json")
    first = json.loads(done.stderr.splitlines()[0])
    assert (done.stdout, first["event"]) == ("", "run_started")


def test_github_actions_get_annotations(rehearse: Rehearse) -> None:
    fleet = rehearse()
    fleet.configure(fleet.hosts[0], FAILING)
    done = fleet.clanpy("machines", "update", CI="true", GITHUB_ACTIONS="true")
    assert f"::error title={fleet.names[0]}::" in done.stderr
    assert f"::group::log of {fleet.names[0]}" in done.stderr


def test_a_standalone_home_is_activated_as_its_owner(rehearse: Rehearse) -> None:
    fleet = rehearse(nixos=0, darwin=1)
    (host,) = fleet.hosts
    fleet.write("modules/home/core.nix", '{ home.file.".greeting".text = "hi"; }\n')
    fleet.inventory(
        f"""
        [users.crs58]
        imports = ["core"]
        [instances.people]
        module.name = "users"
        [instances.people.roles.default]
        machines = ["{host.name}"]
        settings = {{ user = "crs58", managed = false, home_manager = "standalone" }}
        """
    )
    done = fleet.clanpy("machines", "update")
    assert done.returncode == 0, done.stderr
    listed = fleet.lab.run_in(host, ["sh", "-c", "cd ~crs58 && cat .greeting && stat -c %U .greeting"]).stdout
    assert listed == "hi" + "crs58\n" or listed.split() == ["hi", "crs58"]
    again = fleet.clanpy("machines", "update", "--json")
    assert json.loads(again.stdout.splitlines()[-1])["hosts"][host.name]["outcome"] == "unchanged"
    status = json.loads(fleet.clanpy("machines", "status", "--json").stdout)["machines"][0]
    assert status["homes"]["crs58"]["wanted"] == status["homes"]["crs58"]["profile"]
