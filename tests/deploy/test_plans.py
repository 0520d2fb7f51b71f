"""Plans, against hosts of the lab: what an update would change, saved, and done only while everything is as it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from clanpy.deploy import RunResult, plan
from clanpy.deployment.options import Options
from clanpy.deployment.plan import Plan
from clanpy.errors import ExitCode
from deploy.rehearsal import Rehearsal


pytestmark = [pytest.mark.lab, pytest.mark.nix]
Rehearse = Callable[..., Rehearsal]

SERVICE = """
{ pkgs, ... }: {
  environment.systemPackages = [ pkgs.jq ];
  systemd.services.bell = { wantedBy = [ "multi-user.target" ]; serviceConfig.Type = "oneshot"; script = "true"; };
}
"""


def diff(fleet: Rehearsal, *words: str) -> Any:
    done = fleet.clanpy("machines", "diff", "--json", *words)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_machines_with_the_same_change_are_shown_once_and_nothing_is_changed_on_them(rehearse: Rehearse) -> None:
    fleet = rehearse(nixos=2)
    one, other = fleet.hosts
    assert fleet.clanpy("machines", "update", "--yes").returncode == 0
    assert [group["unchanged"] for group in diff(fleet)["groups"]] == [True]
    before = fleet.running(one)
    fleet.write("modules/system/bell.nix", SERVICE)
    fleet.write("modules/system/base.nix", '{ imports = [ ]; environment.etc."greeting".text = "bye"; }\n')
    fleet.inventory()
    text = (fleet.folder / "inventory.toml").read_text().replace('["base"]', '["base", "bell"]')
    fleet.write("inventory.toml", text)

    found = diff(fleet)

    (group,) = found["groups"]
    assert group["hosts"] == sorted(fleet.names)
    assert [(one["name"], one["change"]) for one in group["packages"]] == [("jq", "added")]
    assert "greeting" in group["files"]["changed"]
    assert "systemd/system/bell.service" in group["files"]["added"]
    assert (group["units"]["source"], group["units"]["start"]) == ("files", ["bell.service"])
    assert group["reboot"] == []
    assert all(host["bytes"] > 0 and host["paths"] > 0 for host in found["hosts"].values())
    assert fleet.running(one) == before
    copied = diff(fleet, "--copy", one.name)
    assert copied["groups"][0]["units"] == {
        "source": "dry-activate",
        "stop": [],
        "restart": [],
        "reload": [],
        "start": ["bell.service"],
    }
    assert fleet.running(one) == before
    assert diff(fleet, one.name)["hosts"][one.name]["bytes"] == 0
    assert diff(fleet, other.name)["hosts"][other.name]["bytes"] > 0


def test_of_a_mac_the_jobs_of_launchd_are_told(rehearse: Rehearse) -> None:
    fleet = rehearse(nixos=0, darwin=1)
    (host,) = fleet.hosts

    def write(*jobs: tuple[str, str, str]) -> None:
        lines = (f'launchd.{kind}.{name}.script = "echo {text}";' for kind, name, text in jobs)
        fleet.configure(host, f"{{ {' '.join(lines)} }}\n")

    write(("daemons", "watch", "one"), ("agents", "gone", "one"), ("daemons", "same", "one"))
    assert fleet.clanpy("machines", "update").returncode == 0
    write(("daemons", "watch", "two"), ("user.agents", "fresh", "one"), ("daemons", "same", "one"))

    (group,) = diff(fleet)["groups"]

    found = {what: [unit.rpartition(".")[2] for unit in group["units"][what]] for what in ("stop", "restart", "start")}
    assert found == {"stop": ["gone"], "restart": ["watch"], "start": ["fresh"]}
    assert "restart org.nixos.watch (by its file)" in fleet.clanpy("machines", "diff").stdout


async def test_planning_an_unchanged_machine_takes_one_round_trip_and_a_changed_one_three(rehearse: Rehearse) -> None:
    fleet = rehearse()
    (host,) = fleet.hosts
    await fleet.update()

    async def planned() -> tuple[RunResult, Plan]:
        recorder = fleet.journal.begin()
        try:
            return await plan(fleet.surroundings(), fleet.names, Options(), recorder)
        finally:
            recorder.close()

    result, same = await planned()
    assert (result.round_trips[host.name], same.changing()) == (1, ())
    fleet.greet("other")
    result, other = await planned()
    assert result.round_trips[host.name] == 3
    (change,) = other.changing()
    assert change.change.files.changed == ("greeting",)
    assert change.missing[0] > 0


def test_a_plan_is_applied_as_it_was_saved_and_refused_once_a_machine_or_the_files_are_others(
    rehearse: Rehearse,
) -> None:
    fleet = rehearse(nixos=2)
    one, other = fleet.hosts
    assert fleet.clanpy("machines", "update", "--yes").returncode == 0
    fleet.greet("planned")
    file = str(fleet.folder.parent / "plan.json")
    assert fleet.clanpy("plan", "save", file).returncode == 0
    assert "greeting" in fleet.clanpy("plan", "show", file).stdout
    page = fleet.clanpy("plan", "show", file, "--format", "html").stdout
    assert page.startswith("<!doctype html>")
    assert one.name in page

    fleet.greet("something else")
    refused = fleet.clanpy("plan", "apply", file, "--yes")
    assert refused.returncode == ExitCode.CONFLICT
    assert all(f"{name}: its files have changed" in refused.stderr for name in fleet.names)
    assert fleet.clanpy("machines", "update", one.name).returncode == 0
    fleet.greet("planned")
    refused = fleet.clanpy("plan", "apply", file, "--yes")
    assert refused.returncode == ExitCode.CONFLICT
    assert f"{one.name}: system is {fleet.running(one)}, and was" in refused.stderr
    assert f"{other.name}:" not in refused.stderr
    assert fleet.greeting(other) == "hello"

    assert fleet.clanpy("plan", "save", file).returncode == 0
    assert fleet.clanpy("plan", "apply", file, "--yes").returncode == 0
    assert [fleet.greeting(host) for host in fleet.hosts] == ["planned"] * 2
    assert fleet.clanpy("plan", "apply", file, "--yes").returncode == 0  # all is as it was to become


def test_a_dry_run_tells_packages_and_bytes_of_what_is_built_and_builds_nothing_itself(rehearse: Rehearse) -> None:
    fleet = rehearse()
    (host,) = fleet.hosts
    assert fleet.clanpy("machines", "update", "--yes").returncode == 0
    # A name that no earlier run can have built: stores outlive the runs of a test.
    fleet.configure(host, SERVICE.replace("bell", f"bell{uuid4().hex}"))
    unbuilt = fleet.clanpy("machines", "update", "--dry-run")
    assert f"`clanpy machines diff {host.name}`" in unbuilt.stderr
    assert fleet.clanpy("machines", "build").returncode == 0
    built = fleet.clanpy("machines", "update", "--dry-run")
    assert "packages: + jq" in built.stderr
    assert " to send" in built.stderr


def test_a_plan_that_is_older_than_the_rollout_allows_is_refused(rehearse: Rehearse) -> None:
    fleet = rehearse()
    fleet.inventory('[rollout.default]\nmax_age = "1h"\n')
    file = fleet.folder.parent / "plan.json"
    assert fleet.clanpy("plan", "save", str(file)).returncode == 0
    saved = json.loads(file.read_text())
    assert saved["groups"][0]["first"]
    file.write_text(json.dumps({**saved, "made": "2020-01-01T00:00:00Z"}))
    refused = fleet.clanpy("plan", "apply", str(file), "--yes")
    assert (refused.returncode, "CP0541" in refused.stderr) == (ExitCode.CONFLICT, True)
    assert fleet.running(fleet.hosts[0]) == ""
