"""The guard dies at every point at which it could: after each program that it runs.

The programs it uses are replaced by ones that count, and at a given count kill the guard. Then what is left must be whole, and
`recover` must bring it to an end that is the old system or the new one, in all places alike: on the same boot, and after a reboot.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from activation.folder import Machine, activation, make_machine
from clanpy.activation import (
    ActivationResult,
    FollowedPhase,
    GuardError,
    GuardOutcome,
    Phase,
    follow,
    gather,
    guard,
    recover,
    result,
    start,
)


# `sleep` is left out: to die while waiting is to die after the step before. `setsid` too: its process has to become the activation's.
PROGRAMS = ("cat", "cp", "date", "dd", "ln", "ls", "mkdir", "mv", "nix-env", "readlink", "rm", "sed")

# An activation and what it starts have a session of their own and are not counted: of them, only the guard is to die.
COUNTING = """#!/bin/sh
{program} "$@"
status=$?
IFS= read -r stat </proc/$$/stat
set -- ${{stat##*) }}
IFS= read -r guard <"{crash}/guard"
if [ "$4" = "$guard" ]; then
  echo >>"{crash}/count"
  n=$(/usr/bin/wc -l <"{crash}/count")
  [ "$n" -ne {at} ] || kill -KILL "$guard"
fi
exit $status
"""


@dataclass
class Doomed:
    """A host whose guard dies after the program with the number `at` (0: never)."""

    machine: Machine
    old: str
    new: str
    crash: Path

    async def run(self) -> int:
        """Let the guard run to its end or its death. The result is how many programs it ran."""
        what = activation(self.new, confirm_within=2.0)
        folder = self.machine.run_dir(what.id)
        folder.mkdir(parents=True)
        (folder / "spec").write_text(guard._spec(what, None))
        (folder / "public").write_text(guard._public(what) + "since=1\n")
        (folder / "guard").write_text(guard.guard_text())
        shell = self.machine.conn.shell
        process = await asyncio.create_subprocess_exec(
            *(shell, "-c", f'echo $$ >{self.crash}/guard; exec {shell} "$0" "$@"', folder / "guard", "go", folder),
            env={**self.machine.conn.env, "PATH": f"{self.crash}:{self.machine.conn.env['PATH']}"},
            start_new_session=True,
        )
        await process.wait()
        return (self.crash / "count").read_text().count("\n")

    def reboot(self) -> None:
        """Nothing goes on, what is not on a disk is gone, and the boot entry says what runs."""
        self.machine.end()
        shutil.rmtree(self.machine.root / "var/run")
        entry = self.machine.boot_entry
        (self.machine.root / "run/current-system").unlink()
        (self.machine.root / "run/current-system").symlink_to(entry)
        for state in self.machine.vault.glob("runs/*/state"):
            state.write_text(
                "".join(
                    "boot=before\n" if line.startswith("boot=") else line + "\n"
                    for line in state.read_text().splitlines()
                )
            )

    async def recovered(self) -> ActivationResult | None:
        """Bring a run that was left over to its end. None: it had not come so far that anything was to be recovered."""
        conn = self.machine.conn
        facts = await gather(conn)
        if not facts.left_over:
            return await result(conn, "run-1") if facts.runs else None
        assert facts.left_over[0].id == "run-1"
        await recover(conn, "run-1")
        assert [event async for event in follow(conn, "run-1")]
        return await result(conn, "run-1")

    @property
    def places(self) -> set[str]:
        return {self.machine.running, self.machine.profile, self.machine.boot_entry}


def doomed(folder: Path, behaviour: str, at: int) -> Doomed:
    machine = make_machine(folder)
    crash = folder / "crash"
    crash.mkdir()
    (crash / "count").touch()
    for name in PROGRAMS:
        program = shutil.which(name, path=machine.conn.env["PATH"])
        (crash / name).write_text(COUNTING.format(program=program, crash=crash, at=at))
        (crash / name).chmod(0o755)
    old, new = machine.add("old"), machine.add("new", behaviour)
    machine.install(old)
    return Doomed(machine, old, new, crash)


def whole(host: Doomed, done: ActivationResult | None) -> None:
    """The host has one system everywhere, and the result is the truth about it."""
    if done is None:
        assert host.places == {host.old}
        return
    assert done.outcome in {GuardOutcome.CONFIRMED, GuardOutcome.ROLLED_BACK, GuardOutcome.FAILED}
    assert host.places == {host.new if done.outcome is GuardOutcome.CONFIRMED else host.old}


@pytest.mark.parametrize("stride", [11, pytest.param(1, marks=pytest.mark.slow)], ids=["some", "all"])
@pytest.mark.parametrize("rebooted", [False, True], ids=["killed", "rebooted"])
@pytest.mark.parametrize(
    ("behaviour", "end"),
    [
        ("confirms", GuardOutcome.CONFIRMED),
        ("fail2", GuardOutcome.ROLLED_BACK),
        ("noboot confirms", GuardOutcome.ROLLED_BACK),
    ],
    ids=["good", "fails", "can-not-be-kept"],
)
async def test_wherever_the_guard_dies_the_host_ends_on_one_system(
    tmp_path: Path, behaviour: str, end: GuardOutcome, stride: int, *, rebooted: bool
) -> None:
    untouched = doomed(tmp_path / "0", behaviour, 0)
    points = await untouched.run()
    assert (await result(untouched.machine.conn, "run-1")).outcome is end
    assert points > 20
    seen: set[GuardOutcome | None] = set()

    async def die(at: int) -> None:
        host = doomed(tmp_path / str(at), behaviour, at)
        await host.run()
        assert host.places <= {host.old, host.new}
        if rebooted:
            host.reboot()
        done = None
        try:
            done = await host.recovered()
            whole(host, done)
        except (AssertionError, GuardError) as error:
            left = {file.name: file.read_text() for file in host.machine.run_dir("run-1").glob("[!g]*")}
            error.add_note(
                f"killed after program {at} of {points}: {done}, {host.places}, {host.machine.calls}, {left}"
            )
            raise
        facts = await gather(host.machine.conn)
        assert (facts.lock, facts.left_over) == (None, ())
        seen.add(done.outcome if done else None)

    # Each case of the short test begins elsewhere, so that together they see more points.
    ats = list(range(1 + (len(behaviour) + 3 * rebooted) % stride, points + 1, stride))
    for first in range(0, len(ats), 4):
        async with asyncio.TaskGroup() as group:
            for at in ats[first : first + 4]:
                group.create_task(die(at))
    assert end in seen
    assert len(seen) > 1


async def test_an_activation_that_outlived_its_guard_is_ended_before_going_back(one: Machine) -> None:
    """Or else it would go on while the old system is activated, and have the last word."""
    old, new = one.add("old"), one.add("new", "hang")
    one.install(old)
    await start(one.conn, activation(new, activate_within=60))
    async with asyncio.timeout(10):
        while one.running != new:
            await gather(one.conn)
    os.kill(int(one.state("run-1")["pid"]), signal.SIGKILL)
    assert [event async for event in follow(one.conn, "run-1")][-1] == FollowedPhase(Phase.ACTIVATING, lost=True)
    await recover(one.conn, "run-1")
    assert [event async for event in follow(one.conn, "run-1")]
    done = await result(one.conn, "run-1")
    assert (done.outcome, done.why, one.running) == (GuardOutcome.ROLLED_BACK, "its guard was killed", old)
    async with asyncio.timeout(5):
        while one.processes():
            await gather(one.conn)
