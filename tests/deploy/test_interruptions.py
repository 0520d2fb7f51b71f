"""What interrupts a run: another run, Ctrl-C, a connection that is cut. The program is a real process here."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from clanpy.activation import LockOwner, lock
from clanpy.deployment import lanes, reach
from clanpy.deployment.options import Options
from clanpy.errors import ExitCode
from clanpy.events import Event, Note, Outcome, Progress
from clanpy.lab import LabHost
from clanpy.ssh import Timeouts, connect
from deploy.rehearsal import Rehearsal
from support.lab import wait_for


pytestmark = [pytest.mark.lab, pytest.mark.nix]
Rehearse = Callable[..., Rehearsal]

# An activation that says so when it has begun, and goes on when it may.
WAITING = """
{ system.activationScripts.slow.text = ''
    touch /tmp/begun; n=0
    while [ ! -e /tmp/go-on ] && [ $n -lt 300 ]; do sleep 0.1; n=$((n + 1)); done
  '';
}
"""
# A build that does the same.
SLOW_BUILD = """
{ pkgs, ... }: { environment.etc."slow".source = derivation {
    name = "slow"; system = pkgs.system; builder = "/bin/sh"; PATH = "/usr/bin:/bin"; salt = "%s";
    args = [ "-c" "echo it has begun; sleep 100; touch $out" ]; }; }
"""
FAT = """
{ pkgs, ... }: { environment.etc."fat".source = derivation {
    name = "bulky"; system = pkgs.system; builder = "/bin/sh"; PATH = "/usr/bin:/bin";
    args = [ "-c" "head -c %d000000 /dev/urandom > $out" ]; }; }
"""


@contextmanager
def started(fleet: Rehearsal, *words: str) -> Iterator[subprocess.Popen[str]]:
    process = fleet.start(*words)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def begun(fleet: Rehearsal, host: LabHost) -> bool:
    return fleet.lab.run_in(host, ["test", "-e", "/tmp/begun"]).returncode == 0


async def when_begun(fleet: Rehearsal, host: LabHost) -> None:
    await asyncio.to_thread(wait_for, lambda: begun(fleet, host))


def heard(stream: IO[str] | None, words: str) -> None:
    """Wait until a process has said something."""
    assert stream is not None
    assert any(words in line for line in iter(stream.readline, ""))


def let_go_on(fleet: Rehearsal, host: LabHost) -> None:
    fleet.lab.run_in(host, ["touch", "/tmp/go-on"])


def ended(process: subprocess.Popen[str]) -> tuple[int, list[dict[str, Any]], str]:
    """The exit code, the JSON Lines, and what was said to people."""
    out, err = process.communicate(timeout=60)
    return process.returncode, [json.loads(line) for line in out.splitlines()], err


def children_of(fleet: Rehearsal) -> list[int]:
    """Processes on this computer that were started by runs on this fleet."""
    mark = f"CLANPY_STATE={fleet.state}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in entry.read_bytes().split(b"\0"):
                found.append(int(entry.parent.name))
        except OSError:
            continue
    return [pid for pid in found if pid != os.getpid()]


def at_work_on(fleet: Rehearsal, host: LabHost) -> str:
    """What a run left at work on a host."""
    listed = fleet.lab.run_in(host, ["ps", "-ef"]).stdout
    return "\n".join(line for line in listed.splitlines() if "--stdio" in line or "clanpy" in line.split("ps -ef")[0])


def test_the_second_of_two_runs_says_who_holds_the_lock(rehearse: Rehearse) -> None:
    fleet = rehearse()
    (host,) = fleet.hosts
    fleet.configure(host, WAITING)
    with started(fleet, "machines", "update", "--json") as first:
        wait_for(lambda: begun(fleet, host))
        second = fleet.clanpy("machines", "update", "--no-wait-lock", USER="bob")
        let_go_on(fleet, host)
        code, events, _ = ended(first)
    assert second.returncode == ExitCode.CONFLICT
    assert "CP0410" in second.stderr
    assert f"run {events[-1]['run']}" in second.stderr
    assert code == ExitCode.DONE


async def test_the_lock_of_a_run_of_our_own_that_died_is_taken_over_and_one_of_another_computer_is_not(
    rehearse: Rehearse,
) -> None:
    fleet = rehearse()
    (host,) = fleet.hosts
    recorder = fleet.journal.begin()
    recorder.close()  # it never said how it ended: its process is gone
    for controller, outcome in (("elsewhere", Outcome.LOCKED), ("here", Outcome.CONFIRMED)):
        held_by = LockOwner(owner="alice", host=controller, run=recorder.run)
        async with connect(fleet.target(host)) as conn, lock(conn, held_by):
            result = await fleet.update(options=Options(lock_wait=0.0))
        assert result.state.hosts[host.name].outcome is outcome
    assert any(isinstance(fact, Note) and "that run has died" in fact.text for fact in fleet.facts)


async def test_a_dead_run_of_our_own_does_not_keep_a_run_waiting(rehearse: Rehearse) -> None:
    fleet = rehearse()
    (host,) = fleet.hosts
    recorder = fleet.journal.begin()
    recorder.close()
    async with connect(fleet.target(host)) as conn, lock(conn, LockOwner(owner="a", host="here", run=recorder.run)):
        result = await fleet.update()
    assert result.state.hosts[host.name].outcome is Outcome.CONFIRMED


def test_a_run_that_waits_for_another_finds_that_its_work_is_done(rehearse: Rehearse) -> None:
    fleet = rehearse()
    (host,) = fleet.hosts
    fleet.configure(host, WAITING)
    with started(fleet, "machines", "update", "--json") as first:
        wait_for(lambda: begun(fleet, host))
        with started(fleet, "machines", "update", "--json") as second:
            heard(second.stdout, "waiting for")
            let_go_on(fleet, host)
            ends = [ended(first), ended(second)]
    outcomes = [events[-1]["hosts"][host.name]["outcome"] for _, events, _ in ends]
    assert outcomes == [Outcome.CONFIRMED, Outcome.UNCHANGED]
    assert [code for code, _, _ in ends] == [0, 0]


def test_ctrl_c_during_an_activation_lets_it_come_to_its_end(rehearse: Rehearse) -> None:
    fleet = rehearse()
    (host,) = fleet.hosts
    fleet.configure(host, WAITING)
    with started(fleet, "machines", "update", "--json") as process:
        wait_for(lambda: begun(fleet, host))
        process.send_signal(signal.SIGINT)
        let_go_on(fleet, host)
        code, events, said = ended(process)
    assert code == ExitCode.INTERRUPTED
    assert events[-1]["hosts"][host.name]["outcome"] == Outcome.CONFIRMED
    assert "activations under way are finished" in said
    assert fleet.running(host) == fleet.profile(host) == events[-1]["hosts"][host.name]["system"]
    assert children_of(fleet) == []


def test_ctrl_c_before_the_activation_stops_everything_here_and_there(rehearse: Rehearse) -> None:
    fleet = rehearse()
    (host,) = fleet.hosts
    fleet.configure(host, SLOW_BUILD % fleet.folder)
    with started(fleet, "machines", "update", "-v") as process:
        heard(process.stderr, "it has begun")
        process.send_signal(signal.SIGINT)
        _, _, said = ended(process)
    assert process.returncode == ExitCode.INTERRUPTED
    assert "cancelled 1" in said
    assert children_of(fleet) == []
    assert at_work_on(fleet, host) == ""
    journal = json.loads(fleet.clanpy("machines", "status", "--json").stdout)["machines"][0]
    assert (journal["locked_by"], journal["running"]) == (None, None)


def test_a_second_ctrl_c_lets_go_and_the_host_goes_back_by_itself(rehearse: Rehearse) -> None:
    fleet = rehearse()
    (host,) = fleet.hosts
    assert fleet.clanpy("machines", "update").returncode == 0
    before = fleet.running(host)
    fleet.configure(host, WAITING)
    with started(fleet, "machines", "update", "--json", "--confirm-timeout", "1") as process:
        wait_for(lambda: begun(fleet, host))
        process.send_signal(signal.SIGINT)
        heard(process.stderr, "stopping")
        process.send_signal(signal.SIGINT)
        code, events, said = ended(process)
    assert code == ExitCode.INTERRUPTED
    assert "letting go" in said
    assert events[-1]["hosts"][host.name]["error"]["code"] == "CP0502"
    let_go_on(fleet, host)
    wait_for(lambda: fleet.running(host) == fleet.profile(host) == before and not at_work_on(fleet, host))


def test_a_controller_that_is_killed_leaves_a_host_that_goes_back_and_a_journal_that_tells(rehearse: Rehearse) -> None:
    fleet = rehearse()
    (host,) = fleet.hosts
    assert fleet.clanpy("machines", "update").returncode == 0
    before = fleet.running(host)
    fleet.configure(host, WAITING)
    with started(fleet, "machines", "update", "--confirm-timeout", "1") as process:
        wait_for(lambda: begun(fleet, host))
        process.kill()
        process.wait()
    state = json.loads(fleet.clanpy("runs", "show", "--json").stdout)
    assert (state["status"], state["hosts"][host.name]["stage"]) == ("died", "activate")
    let_go_on(fleet, host)
    wait_for(lambda: fleet.running(host) == fleet.profile(host) == before and not at_work_on(fleet, host))
    assert fleet.clanpy("machines", "update").returncode == 0


async def test_a_session_that_is_killed_during_the_activation_does_not_stop_it(rehearse: Rehearse) -> None:
    fleet = rehearse()
    (host,) = fleet.hosts
    fleet.configure(host, WAITING)

    async def cut() -> None:
        await when_begun(fleet, host)
        fleet.lab.fault("kill-sessions", host)
        let_go_on(fleet, host)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(cut())
        result = await fleet.update()
    assert result.state.hosts[host.name].outcome is Outcome.CONFIRMED
    assert fleet.running(host) == fleet.profile(host) == result.state.hosts[host.name].system


# So slow that a computer however busy has the news of the first bytes long before the last are sent.
@pytest.mark.parametrize(
    ("megabytes", "speed"),
    [(3, "2mbit"), (10, "4mbit"), (40, "8mbit")],
    ids=["asked for", "by Nix", "beside the loop"],
)
async def test_a_session_that_is_killed_during_the_copy_leaves_the_old_system_and_the_next_run_goes_on(
    rehearse: Rehearse, megabytes: int, speed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "BULK_BYTES", 32 << 20)
    fleet = rehearse()
    (host,) = fleet.hosts
    before = (await fleet.update()).state.hosts[host.name].system
    fleet.configure(host, FAT % megabytes)
    fleet.lab.fault("rate", host, speed)

    was_cut: list[int] = []

    def cut(event: Event) -> None:
        if isinstance(event.fact, Progress) and event.fact.done > 0 and not was_cut:
            was_cut.append(event.fact.done)
            fleet.lab.fault("kill-sessions", host)

    result = await fleet.update(sinks=[cut])
    assert was_cut
    assert result.state.hosts[host.name].outcome is Outcome.FAILED
    assert fleet.running(host) == fleet.profile(host) == before
    fleet.lab.fault("norate", host)
    again = await fleet.update()
    assert again.state.hosts[host.name].outcome is Outcome.CONFIRMED


async def test_a_host_that_the_change_cuts_off_goes_back_by_itself_and_that_is_told(
    rehearse: Rehearse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach, "TIMEOUTS", Timeouts(connect=1, login=5, keepalive_interval=0.3, keepalive_count=2))
    fleet = rehearse()
    (host,) = fleet.hosts
    before = (await fleet.update()).state.hosts[host.name].system
    fleet.configure(host, WAITING)

    async def cut() -> None:
        await when_begun(fleet, host)
        fleet.lab.fault("linkdown", host)
        let_go_on(fleet, host)
        await asyncio.to_thread(wait_for, lambda: fleet.running(host) != before)
        await asyncio.to_thread(wait_for, lambda: fleet.running(host) == before)
        fleet.lab.fault("linkup", host)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(cut())
        result = await fleet.update(options=Options(confirm_within=2))
    state = result.state.hosts[host.name]
    assert (state.outcome, result.exit_code) == (Outcome.ROLLED_BACK, ExitCode.ROLLED_BACK)
    assert state.error is not None
    assert "no confirmation came in time" in state.error["message"]
    assert fleet.running(host) == fleet.profile(host) == before


async def test_a_host_that_is_rebooted_during_its_activation_is_mended_by_the_next_run(rehearse: Rehearse) -> None:
    fleet = rehearse()
    (host,) = fleet.hosts
    assert (await fleet.update()).exit_code is ExitCode.DONE
    fleet.configure(host, WAITING)

    async def cut() -> None:
        await when_begun(fleet, host)
        fleet.lab.fault("reboot", host)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(cut())
        result = await fleet.update()
    let_go_on(fleet, host)
    assert result.state.hosts[host.name].outcome in {Outcome.ROLLED_BACK, Outcome.FAILED}
    again = await fleet.update()
    assert again.state.hosts[host.name].outcome is Outcome.CONFIRMED
    assert fleet.running(host) == fleet.profile(host)


async def test_a_host_whose_activation_was_left_in_the_middle_is_mended_before_it_goes_back(rehearse: Rehearse) -> None:
    fleet = rehearse()
    (host,) = fleet.hosts
    first = (await fleet.update()).state.hosts[host.name].system
    fleet.greet("later")
    second = (await fleet.update()).state.hosts[host.name].system
    fleet.configure(host, WAITING)
    with started(fleet, "machines", "update") as process:
        await when_begun(fleet, host)
        fleet.lab.fault("reboot", host)
        process.kill()
    let_go_on(fleet, host)
    left = json.loads(fleet.clanpy("machines", "status", "--json").stdout)["machines"][0]
    assert left["state"] == "interrupted"
    result = await fleet.roll_back(host)
    assert result.state.hosts[host.name].outcome is Outcome.CONFIRMED
    assert fleet.running(host) == fleet.profile(host) == first != second
