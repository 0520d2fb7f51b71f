"""The whole way, on real hosts: real ssh, real Nix, real activation."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from clanpy.deployment.options import Options
from clanpy.errors import ExitCode
from clanpy.events import Note, Outcome, Stage
from deploy.rehearsal import FAILING, Rehearsal


pytestmark = [pytest.mark.lab, pytest.mark.nix]
Rehearse = Callable[..., Rehearsal]


def outcomes(result: object) -> list[Outcome]:
    return [host.outcome for host in result.state.hosts.values()]  # type: ignore[attr-defined] # a RunResult


async def test_a_fleet_of_both_kinds_is_taken_the_whole_way_and_then_left_alone(rehearse: Rehearse) -> None:
    fleet = rehearse(nixos=1, darwin=1)
    first = await fleet.update()
    assert (outcomes(first), first.exit_code) == ([Outcome.CONFIRMED] * 2, ExitCode.DONE)
    assert [fleet.greeting(host) for host in fleet.hosts] == ["hello", "hello"]
    for host in fleet.hosts:
        assert fleet.running(host) == fleet.profile(host) == first.state.hosts[host.name].system
        assert fleet.stages(host)[-4:] == [Stage.BUILD, Stage.COPY, Stage.ACTIVATE, Stage.CONFIRM]

    again = await fleet.update()
    assert (outcomes(again), again.exit_code) == ([Outcome.UNCHANGED] * 2, ExitCode.DONE)
    assert again.round_trips == dict.fromkeys(fleet.names, 1)
    assert again.nix_processes == 0

    fleet.greet("good evening")
    changed = await fleet.update()
    assert outcomes(changed) == [Outcome.CONFIRMED] * 2
    assert [fleet.greeting(host) for host in fleet.hosts] == ["good evening"] * 2
    # facts, what is missing in the store, lock, guard, confirmation; and whether the account on the Mac becomes root
    trips = {host.name: 6 if host.class_ == "darwin" else 5 for host in fleet.hosts}
    assert changed.round_trips == trips
    assert changed.nix_processes <= 4  # an evaluation and a build for each host, or fewer that are shared


async def test_a_change_of_one_machine_leaves_the_others_alone(rehearse: Rehearse) -> None:
    fleet = rehearse(nixos=2)
    await fleet.update()
    one, other = fleet.hosts
    fleet.configure(one, '{ environment.etc."own".text = "mine"; }\n')
    result = await fleet.update()
    assert result.state.hosts[one.name].outcome is Outcome.CONFIRMED
    assert result.state.hosts[other.name].outcome is Outcome.UNCHANGED


async def test_a_dry_run_changes_nothing(rehearse: Rehearse) -> None:
    fleet = rehearse()
    result = await fleet.update(options=Options(dry_run=True))
    assert outcomes(result) == [Outcome.PLANNED]
    assert result.exit_code is ExitCode.DONE
    assert fleet.running(fleet.hosts[0]) == fleet.profile(fleet.hosts[0]) == ""
    assert not {Stage.BUILD, Stage.COPY, Stage.ACTIVATE} & set(fleet.stages(fleet.hosts[0]))
    assert any(isinstance(fact, Note) and "system: nothing →" in fact.text for fact in fleet.facts)
    state = result.state.hosts[fleet.names[0]]
    assert state.system is None
    assert state.wanted is not None
    assert state.wanted.startswith("/nix/store/")


async def test_once_too_many_have_failed_no_other_machine_is_activated(rehearse: Rehearse) -> None:
    fleet = rehearse(nixos=3)
    fleet.configure(fleet.hosts[0], FAILING)
    result = await fleet.update(options=Options(parallel=1, max_failures=0))
    assert outcomes(result) == [Outcome.FAILED, Outcome.SKIPPED, Outcome.SKIPPED]
    assert result.exit_code is ExitCode.BUDGET_SPENT
    error = result.state.hosts[fleet.names[1]].error
    assert error is not None
    assert (error["code"], "1 machine failed, and at most 0 may" in error["message"]) == ("CP0511", True)
    assert [fleet.running(host) for host in fleet.hosts[1:]] == ["", ""]
    enough = await fleet.update(options=Options(parallel=1, max_failures=1))
    assert outcomes(enough) == [Outcome.FAILED, Outcome.CONFIRMED, Outcome.CONFIRMED]


async def test_a_failing_activation_goes_back_and_never_counts_as_success(rehearse: Rehearse) -> None:
    fleet = rehearse(nixos=2)
    good = await fleet.update()
    broken, fine = fleet.hosts
    fleet.configure(broken, FAILING)
    fleet.greet("good morning")
    result = await fleet.update()
    state = result.state.hosts[broken.name]
    assert state.outcome is Outcome.ROLLED_BACK
    assert result.exit_code is ExitCode.ROLLED_BACK
    assert fleet.running(broken) == fleet.profile(broken) == good.state.hosts[broken.name].system
    assert fleet.greeting(broken) == "hello"
    assert state.error is not None
    assert any("something is broken here" in line for line in state.error["details"])
    assert "something is broken here" in fleet.log(broken)
    assert (result.state.hosts[fine.name].outcome, fleet.greeting(fine)) == (Outcome.CONFIRMED, "good morning")


async def test_a_first_activation_that_fails_has_nothing_to_go_back_to(rehearse: Rehearse) -> None:
    fleet = rehearse()
    fleet.configure(fleet.hosts[0], FAILING)
    result = await fleet.update()
    assert outcomes(result) == [Outcome.FAILED]
    assert result.exit_code is ExitCode.HOSTS_FAILED
    assert fleet.profile(fleet.hosts[0]) == ""


async def test_a_machine_that_does_not_evaluate_does_not_keep_others_back(rehearse: Rehearse) -> None:
    fleet = rehearse(nixos=2)
    broken, fine = fleet.hosts
    fleet.configure(broken, "{ environment.etc = 1 + ; }\n")
    result = await fleet.update()
    error = result.state.hosts[broken.name].error
    assert result.state.hosts[broken.name].outcome is Outcome.FAILED
    assert error is not None
    assert error["code"] == "CP0202"
    assert error["place"]["file"].endswith(f"machines/{broken.name}/configuration.nix")
    assert result.state.hosts[fine.name].outcome is Outcome.CONFIRMED


async def test_a_build_that_fails_is_told_with_its_last_lines(rehearse: Rehearse) -> None:
    fleet = rehearse(nixos=2)
    broken, fine = fleet.hosts
    fleet.configure(
        broken,
        """{ pkgs, ... }: { environment.systemPackages = [ (derivation {
            name = "hopeless"; system = pkgs.system; builder = "/bin/sh";
            args = [ "-c" "echo this can not work; exit 7" ]; }) ]; }
        """,
    )
    result = await fleet.update()
    error = result.state.hosts[broken.name].error
    assert error is not None
    assert (error["code"], error["details"][-1]) == ("CP0203", "this can not work")
    assert result.state.hosts[fine.name].outcome is Outcome.CONFIRMED


async def test_an_unreachable_machine_is_told_apart_and_does_not_keep_others_back(rehearse: Rehearse) -> None:
    fleet = rehearse(nixos=2)
    gone, there = fleet.hosts
    way = replace(fleet.target(gone), port=2)
    result = await fleet.update(ways={gone.name: way})
    assert result.state.hosts[gone.name].outcome is Outcome.UNREACHABLE
    assert result.state.hosts[there.name].outcome is Outcome.CONFIRMED
    assert result.exit_code is ExitCode.UNREACHABLE


async def test_a_wrong_host_key_stops_before_anything_is_sent(rehearse: Rehearse, tmp_path: Path) -> None:
    fleet = rehearse()
    host = fleet.hosts[0]
    result = await fleet.update(ways={host.name: fleet.wrongly_keyed(host, tmp_path)})
    error = result.state.hosts[host.name].error
    assert error is not None
    assert error["code"] == "CP0303"
    assert fleet.profile(host) == ""


async def test_a_full_disk_is_called_by_its_name(rehearse: Rehearse) -> None:
    fleet = rehearse(disk="24m")
    fleet.configure(
        fleet.hosts[0],
        """{ pkgs, ... }: { environment.etc."fat".source = derivation {
            name = "fat"; system = pkgs.system; builder = "/bin/sh";
            args = [ "-c" "head -c 60000000 /dev/urandom > $out" ]; PATH = "/usr/bin:/bin"; }; }
        """,
    )
    result = await fleet.update()
    error = result.state.hosts[fleet.hosts[0].name].error
    assert error is not None
    assert error["code"] == "CP0204"
    assert fleet.profile(fleet.hosts[0]) == ""


async def test_the_journal_says_how_each_machine_ended(rehearse: Rehearse) -> None:
    fleet = rehearse()
    result = await fleet.update()
    state = fleet.journal.read("last")
    assert (state.status, state.exit_code) == ("finished", ExitCode.DONE)
    assert state.hosts[fleet.names[0]].system == result.state.hosts[fleet.names[0]].system
    assert fleet.journal.last_deployments(fleet.names)[fleet.names[0]].run == state.run


async def test_going_back_leads_to_what_ran_before_and_to_any_generation(rehearse: Rehearse) -> None:
    fleet = rehearse()
    host = fleet.hosts[0]
    first = (await fleet.update()).state.hosts[host.name].system
    fleet.greet("later")
    second = (await fleet.update()).state.hosts[host.name].system
    assert outcomes(await fleet.roll_back(host)) == [Outcome.CONFIRMED]
    assert fleet.running(host) == fleet.profile(host) == first
    assert outcomes(await fleet.roll_back(host, to="2")) == [Outcome.CONFIRMED]
    assert fleet.running(host) == fleet.profile(host) == second
    assert outcomes(await fleet.roll_back(host, to=first)) == [Outcome.CONFIRMED]
    assert fleet.greeting(host) == "hello"
    missing = await fleet.roll_back(host, to="99")
    assert (outcomes(missing), missing.exit_code) == ([Outcome.FAILED], ExitCode.HOSTS_FAILED)
