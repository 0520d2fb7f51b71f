"""The guard, on a host that is a folder: the way there, the way back, and what it says of both."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from activation.folder import Machine, activation, owner
from clanpy.activation import (
    Activation,
    ActivationResult,
    FollowedLine,
    FollowedPhase,
    Goal,
    GuardError,
    GuardOutcome,
    Phase,
    SwitchStatus,
    UnknownRunError,
    Wanted,
    confirm,
    follow,
    gather,
    launch,
    lock,
    preview,
    prolong,
    recover,
    result,
    revert,
    settle,
    start,
)


CONFIRMED, ROLLED_BACK, FAILED, STUCK = (
    GuardOutcome.CONFIRMED,
    GuardOutcome.ROLLED_BACK,
    GuardOutcome.FAILED,
    GuardOutcome.STUCK,
)


async def to_the_question(machine: Machine, what: Activation) -> FollowedPhase:
    """Start it and follow it until it asks, or ends."""
    *_, last = [event async for event in launch(machine.conn, what)]
    assert isinstance(last, FollowedPhase)
    return last


async def to_the_end(machine: Machine, what: Activation) -> ActivationResult:
    """Start it, say yes when it asks, and ask how it ended."""
    last = await to_the_question(machine, what)
    if last.phase is Phase.AWAITING and not last.ended:
        return await confirm(machine.conn, what.id)
    return await result(machine.conn, what.id)


async def wait_for_end(machine: Machine, id_: str) -> ActivationResult:
    """Answer nothing and wait."""
    async with asyncio.timeout(10):
        while (found := await result(machine.conn, id_)).outcome is None:
            pass
    return found


# ---- the way there ----


async def test_profile_and_boot_entry_are_touched_only_after_the_confirmation(machine: Machine) -> None:
    old, new = machine.add("old"), machine.add("new")
    machine.install(old)
    asked = await to_the_question(machine, activation(new))
    assert (asked.phase, asked.ended, asked.lost) == (Phase.AWAITING, False, False)
    assert (machine.running, machine.profile, machine.boot_entry) == (new, old, old)
    done = await confirm(machine.conn, "run-1")
    assert (done.outcome, done.code, done.why) == (CONFIRMED, 0, "")
    assert (done.running, done.new, done.previous) == (new, new, old)
    assert (machine.running, machine.profile, machine.boot_entry) == (new, new, new)
    assert machine.calls == ["test new", "boot new"]
    assert machine.generation_links == {"system-1-link": "old", "system-2-link": "new"}


async def test_both_systems_are_kept_from_garbage_collection_before_anything_is_touched(one: Machine) -> None:
    old, new = one.add("old"), one.add("new", "fail2")
    one.install(old)
    await to_the_question(one, activation(new))
    kept = {link.name: str(link.readlink()) for link in (one.roots / "run-1").iterdir()}
    assert kept == {"new": new, "previous": old, "profile": old}


async def test_without_a_time_for_it_no_confirmation_is_waited_for(one: Machine) -> None:
    new = one.add("new")
    one.install(one.add("old"))
    done = await to_the_end(one, activation(new, confirm_within=0))
    assert (done.outcome, one.profile, one.boot_entry) == (CONFIRMED, new, new)


async def test_the_goal_test_leaves_profile_and_boot_entry_alone(one: Machine) -> None:
    old, new = one.add("old"), one.add("new")
    one.install(old)
    done = await to_the_end(one, activation(new, goal=Goal.TEST))
    assert (done.outcome, one.running, one.profile, one.boot_entry) == (CONFIRMED, new, old, old)


async def test_the_goal_boot_leaves_what_runs_alone(one: Machine) -> None:
    old, new = one.add("old"), one.add("new")
    one.install(old)
    done = await to_the_end(one, activation(new, goal=Goal.BOOT))
    assert (done.outcome, one.running, one.profile, one.boot_entry) == (CONFIRMED, old, new, new)
    assert one.calls == ["boot new"]


async def test_a_specialisation_is_made_live_and_the_whole_system_kept(one: Machine) -> None:
    old, new, special = one.add("old"), one.add("new"), one.add("new-travel")
    one.install(old)
    (Path(new) / "specialisation").mkdir()
    (Path(new) / "specialisation/travel").symlink_to(special)
    done = await to_the_end(one, activation(new, specialisation="travel"))
    assert (done.outcome, one.running, one.profile, one.boot_entry) == (CONFIRMED, special, new, new)


async def test_darwin_is_activated_as_root_and_then_gets_its_profile(machine: Machine) -> None:
    old, new = machine.add("old"), machine.add("new")
    machine.install(old)
    asked = await to_the_question(machine, activation(new, class_="darwin"))
    assert (asked.phase, machine.running, machine.profile) == (Phase.AWAITING, new, old)
    done = await confirm(machine.conn, "run-1")
    assert (done.outcome, machine.running, machine.profile) == (CONFIRMED, new, new)
    assert machine.calls == ["activate new"]


def from_before_2025(machine: Machine, name: str, *, deprecated: bool = False) -> str:
    """Have a darwin system do a part of its activation as the person who uses the machine; later ones have the script, and say so."""
    script = machine.root / "nix/store" / name / "activate-user"
    mark = "# nix-darwin: deprecated\n" if deprecated else ""
    script.write_text(f"#!/bin/sh\n{mark}echo activate-user {name} >>{machine.root}/calls\n")
    script.chmod(0o755)
    return str(script)


async def test_darwin_from_before_2025_does_its_part_as_the_person_who_uses_the_machine(machine: Machine) -> None:
    old, new = machine.add("old"), machine.add("new", "fail2")
    machine.install(old)
    before, after = from_before_2025(machine, "old"), from_before_2025(machine, "new")
    done = await to_the_end(machine, activation(new, class_="darwin", primary_user="ann"))
    assert (done.outcome, machine.running) == (ROLLED_BACK, old)
    assert machine.calls == [
        f"sudo -n -H -u ann -- {after}",
        "activate-user new",
        "activate new",
        f"sudo -n -H -u ann -- {before}",
        "activate-user old",
        "activate old",
    ]


async def test_darwin_of_today_is_activated_by_root_alone(one: Machine) -> None:
    one.install(one.add("old"))
    new = one.add("new")
    from_before_2025(one, "new", deprecated=True)
    await to_the_end(one, activation(new, class_="darwin", primary_user="ann"))
    assert one.calls == ["activate new"]


async def test_darwin_from_before_2025_says_so_when_nobody_is_known_to_use_the_machine(one: Machine) -> None:
    one.install(one.add("old"))
    new = one.add("new")
    from_before_2025(one, "new")
    done = await to_the_end(one, activation(new, class_="darwin"))
    assert done.outcome is CONFIRMED
    assert any("nobody is known to be the primary user" in line for line in done.log_tail)
    assert one.calls == ["activate new"]


async def test_darwin_goes_back_by_activating_what_ran(one: Machine) -> None:
    old, new = one.add("old"), one.add("new", "fail2")
    one.install(old)
    done = await to_the_end(one, activation(new, class_="darwin"))
    assert (done.outcome, done.why) == (ROLLED_BACK, "the activation failed: exit status 2")
    assert (one.running, one.profile, one.calls) == (old, old, ["activate new", "activate old"])


async def test_root_is_at_home_in_its_own_home_whatever_sudo_left(one: Machine) -> None:
    new = one.add("new")
    one.install(one.add("old"))
    (Path(new) / "activate").write_text(
        f"#!/bin/sh\necho $HOME ${{NIX_REMOTE:-none}} >{one.root}/env\nln -sfn {new} {one.root}/run/current-system\n"
    )
    one.conn.env["HOME"] = "/Users/ann"
    await to_the_end(one, activation(new, class_="darwin"))
    if os.getuid() == 0:
        assert (one.root / "env").read_text().split() == ["/root", "none"]


@pytest.mark.skipif(os.getuid() != 0, reason="the home of the account of the test lies elsewhere")
async def test_a_home_is_activated_as_its_account_and_its_profile_follows(machine: Machine) -> None:
    one, two = machine.add_home("home-1"), machine.add_home("home-2")
    for number, path in enumerate((one, two), 1):
        what = activation(
            path, f"run-{number}", class_="home", account="root", confirm_within=0, backup_extension="old"
        )
        done = await to_the_end(machine, what)
        assert done.outcome is CONFIRMED
    profiles = machine.root / "root/.local/state/nix/profiles"
    assert str((profiles / "home-manager").readlink()) == "home-manager-2-link"
    assert str((profiles / "home-manager-2-link").readlink()) == two
    assert machine.calls[0] == f"home home-1 --driver-version 1 as root in {machine.root}/root backup old"
    facts = await gather(machine.conn)
    assert facts.runs["home.root"].previous == one
    assert facts.ways_back["home.root"].path == one


@pytest.mark.skipif(os.getuid() != 0, reason="the home of the account of the test lies elsewhere")
async def test_a_home_that_fails_goes_back(one: Machine) -> None:
    good, bad = one.add_home("good"), one.add_home("bad", "fail")
    await to_the_end(one, activation(good, class_="home", account="root", confirm_within=0))
    done = await to_the_end(one, activation(bad, "run-2", class_="home", account="root", confirm_within=0))
    assert (done.outcome, done.running, done.id) == (ROLLED_BACK, good, "run-2.home.root")


@pytest.mark.skipif(os.getuid() != 0, reason="the home of the account of the test lies elsewhere")
async def test_a_home_whose_files_are_in_the_way_is_told_before_anything_is_touched(one: Machine) -> None:
    good, new = one.add_home("good"), one.add_home("new", "collides")
    await to_the_end(one, activation(good, class_="home", account="root", confirm_within=0))
    done = await to_the_end(one, activation(new, "run-2", class_="home", account="root", confirm_within=0))
    assert (done.outcome, done.reason, done.running) == (FAILED, "in_the_way", good)
    assert "Existing file" in "\n".join(done.log_tail)
    assert len(one.calls) == 1
    backed_up = activation(new, "run-3", class_="home", account="root", confirm_within=0, backup_extension="old")
    assert (await to_the_end(one, backed_up)).outcome is CONFIRMED


async def test_a_system_that_brings_apply_gets_its_profile_and_boot_entry_by_it(machine: Machine) -> None:
    old, new = machine.add("old"), machine.add("new")
    machine.install(old)
    machine.add_apply("new")
    done = await to_the_end(machine, activation(new, install_bootloader=True))
    assert (done.outcome, machine.profile, machine.boot_entry) == (CONFIRMED, new, new)
    profile = machine.root / "nix/var/nix/profiles/system"
    assert machine.calls == ["test new", f"apply boot --profile {profile} --install-bootloader", "boot new"]
    assert machine.generation_links == {"system-1-link": "old", "system-2-link": "new"}


async def test_what_it_would_do_is_told_without_doing_it(one: Machine) -> None:
    old, new = one.add("old"), one.add("new")
    one.install(old)
    assert await preview(one.conn, activation(new)) == ("would restart nginx.service",)
    assert one.running == old


async def test_darwin_can_not_tell_and_is_not_asked(one: Machine) -> None:
    one.install(one.add("old"))
    assert await preview(one.conn, activation(one.add("new"), class_="darwin")) == ()
    assert one.calls == []


# ---- the way back ----


@pytest.mark.parametrize(
    ("behaviour", "code", "why"),
    [
        ("fail2", 2, "the activation failed: the activation script failed"),
        ("fail4", 4, "the activation failed: units failed"),
    ],
)
async def test_an_activation_that_fails_goes_back_to_what_ran(
    machine: Machine, behaviour: str, code: int, why: str
) -> None:
    old, new = machine.add("old"), machine.add("new", behaviour)
    machine.install(old)
    done = await to_the_end(machine, activation(new))
    assert (done.outcome, done.code, done.why) == (ROLLED_BACK, code, why)
    assert done.status is SwitchStatus(code)
    assert (machine.running, machine.profile, machine.boot_entry) == (old, old, old)
    assert machine.calls == ["test new", "test old"]


@pytest.mark.parametrize(("behaviour", "code"), [("refuse", 11), ("reboot", 100)])
async def test_an_activation_that_is_refused_leaves_nothing_to_undo(one: Machine, behaviour: str, code: int) -> None:
    old, new = one.add("old"), one.add("new", behaviour)
    one.install(old)
    done = await to_the_end(one, activation(new))
    assert (done.outcome, done.code, done.reason) == (FAILED, code, "activation_refused")
    assert done.why in {
        "the activation was refused: another switch is under way on the host",
        "the activation was refused: only a reboot can bring this system",
    }
    assert (one.running, one.calls) == (old, ["test new"])


async def test_without_a_confirmation_the_host_goes_back_by_itself(machine: Machine) -> None:
    old, new = machine.add("old"), machine.add("new")
    machine.install(old)
    await to_the_question(machine, activation(new, confirm_within=0.1))
    done = await wait_for_end(machine, "run-1")
    assert (done.outcome, done.why) == (ROLLED_BACK, "no confirmation came in time")
    assert (machine.running, machine.profile, machine.boot_entry) == (old, old, old)


async def test_a_confirmation_that_comes_too_late_is_told_so(one: Machine) -> None:
    one.install(one.add("old"))
    await to_the_question(one, activation(one.add("new"), confirm_within=0.1))
    await wait_for_end(one, "run-1")
    assert (await confirm(one.conn, "run-1")).outcome is ROLLED_BACK


async def test_a_gate_that_failed_sends_it_back(one: Machine) -> None:
    old, new = one.add("old"), one.add("new")
    one.install(old)
    await to_the_question(one, activation(new))
    done = await revert(one.conn, "run-1", "gate_failed")
    assert (done.outcome, done.reason, one.running) == (ROLLED_BACK, "gate_failed", old)


async def test_being_asked_back_wins_over_a_confirmation(one: Machine) -> None:
    old, new = one.add("old"), one.add("new", "slow")
    one.install(old)
    await start(one.conn, activation(new))
    (one.run_dir("run-1") / "confirm").touch()
    done = await revert(one.conn, "run-1", "")
    assert (done.outcome, done.reason, one.running) == (ROLLED_BACK, "asked", old)


@pytest.mark.parametrize("behaviour", ["hang", "stubborn"])
async def test_an_activation_that_hangs_is_ended_with_all_it_started(machine: Machine, behaviour: str) -> None:
    old, new = machine.add("old"), machine.add("new", behaviour)
    machine.install(old)
    done = await to_the_end(machine, activation(new, activate_within=0.3))
    assert (done.outcome, done.code, done.why) == (
        ROLLED_BACK,
        124,
        "the activation failed: it took too long and was ended",
    )
    assert (machine.running, machine.profile) == (old, old)
    assert not machine.processes()


async def test_a_success_that_changed_nothing_is_none(one: Machine) -> None:
    old, new = one.add("old"), one.add("new", "liar")
    one.install(old)
    done = await to_the_end(one, activation(new))
    assert (done.outcome, done.reason, one.running) == (ROLLED_BACK, "not_running", old)


@pytest.mark.parametrize("broken", ["profile", "boot entry"])
async def test_a_system_that_can_not_be_kept_goes_back(one: Machine, broken: str) -> None:
    old, new = one.add("old"), one.add("new", "noboot" if broken == "boot entry" else "")
    one.install(old)
    if broken == "profile":
        (one.root / "nix-env-fails").touch()
    done = await to_the_end(one, activation(new))
    assert (done.outcome, done.reason) == (ROLLED_BACK, "commit_failed")
    assert (one.running, one.profile, one.boot_entry) == (old, old, old)


async def test_a_way_back_that_fails_is_told_and_a_reboot_still_brings_the_old_system(machine: Machine) -> None:
    old, new = machine.add("old"), machine.add("new", "fail4")
    machine.install(old)
    machine.behave("old", "fail2")
    done = await to_the_end(machine, activation(new))
    assert (done.outcome, done.code) == (STUCK, 4)
    assert (machine.profile, machine.boot_entry) == (old, old)


async def test_units_that_fail_in_the_old_system_too_are_no_reason_to_be_stuck(one: Machine) -> None:
    old, new = one.add("old"), one.add("new", "fail4")
    one.install(old)
    one.behave("old", "fail4")
    assert (await to_the_end(one, activation(new))).outcome is ROLLED_BACK


async def test_the_first_system_of_a_host_has_nothing_to_go_back_to(one: Machine) -> None:
    new = one.add("new", "fail4")
    done = await to_the_end(one, activation(new))
    assert (done.outcome, done.code, done.previous) == (FAILED, 4, None)


async def test_going_back_leads_to_what_ran_and_never_one_generation_lower(one: Machine) -> None:
    """What runs here was only tested; the profile stands on an older one, and its newest generation never ran."""
    first, second, tested, new = (one.add(name) for name in ("first", "second", "tested", "new"))
    one.install(first)
    profiles = one.root / "nix/var/nix/profiles"
    (profiles / "system-2-link").symlink_to(second)
    (one.root / "run/current-system").unlink()
    (one.root / "run/current-system").symlink_to(tested)
    one.behave("new", "noboot")
    done = await to_the_end(one, activation(new))
    assert done.outcome is ROLLED_BACK
    assert (one.running, one.profile) == (tested, first)
    assert str((profiles / "system").readlink()) == "system-1-link"


async def test_the_same_path_again_makes_no_generation_and_goes_back_to_itself(one: Machine) -> None:
    old = one.add("old")
    one.install(old)
    assert (await to_the_end(one, activation(old))).outcome is CONFIRMED
    one.behave("old", "noboot")
    assert (await to_the_end(one, activation(old, "run-2"))).reason == "commit_failed"
    assert (one.running, one.profile, one.generation_links) == (old, old, {"system-1-link": "old"})


async def test_a_generation_that_is_gone_back_to_is_not_made_again(one: Machine) -> None:
    old, new = one.add("old"), one.add("new")
    one.install(old)
    await to_the_end(one, activation(new))
    await to_the_end(one, activation(old, "run-2", generation=1))
    assert (one.running, one.profile, one.boot_entry) == (old, old, old)
    assert one.generation_links == {"system-1-link": "old", "system-2-link": "new"}


# ---- a path that failed is remembered ----


@pytest.mark.parametrize(("behaviour", "reason"), [("fail2", "activation_failed"), ("liar", "not_running")])
async def test_a_path_that_failed_is_told_of_until_it_has_succeeded(one: Machine, behaviour: str, reason: str) -> None:
    old, new, other = one.add("old"), one.add("new", behaviour), one.add("other")
    one.install(old)
    await to_the_end(one, activation(new))
    await to_the_end(one, activation(other, "run-2"))
    failed = (await gather(one.conn)).failures["system"]
    assert list(failed) == [new]
    assert (failed[new].run, failed[new].reason) == ("run-1", reason)
    one.behave("new", "")
    await to_the_end(one, activation(new, "run-3"))
    assert (await gather(one.conn)).failures == {}


async def test_a_path_that_a_gate_found_wanting_is_remembered_with_what_the_gate_said(one: Machine) -> None:
    one.install(one.add("old"))
    await to_the_question(one, activation(one.add("new")))
    done = await revert(one.conn, "run-1", "gate_failed web: got 500")
    assert done.why == "a gate failed: web: got 500"
    ((_, failed),) = (await gather(one.conn)).failures["system"].items()
    assert failed.why == "a gate failed: web: got 500"


@pytest.mark.parametrize("behaviour", ["refuse", "reboot"])
async def test_what_is_no_fault_of_the_path_is_not_remembered(one: Machine, behaviour: str) -> None:
    one.install(one.add("old"))
    await to_the_end(one, activation(one.add("new", behaviour)))
    await to_the_question(one, activation(one.add("other"), "run-2", confirm_within=0.1))
    await wait_for_end(one, "run-2")
    await to_the_question(one, activation(one.add("third"), "run-3"))
    await revert(one.conn, "run-3", "gate_undecided web: no way to ask")
    assert (await gather(one.conn)).failures == {}


# ---- a reboot that belongs to the way ----


async def come_up(machine: Machine, id_: str, boots: int = 1) -> ActivationResult:
    """Wait until the host has been rebooted and its guard waits, has ended or is gone."""
    async with asyncio.timeout(20):
        while True:
            found = await result(machine.conn, id_)
            text = ((machine.root / "boots").read_text() if (machine.root / "boots").exists() else "") or "0"
            is_left = not found.alive and not (machine.root / "run/systemd").exists()
            if int(text) >= boots and (found.outcome or found.phase is Phase.AWAITING or is_left):
                return found


async def after_the_reboot(machine: Machine, what: Activation, boots: int = 1) -> ActivationResult:
    """Start it, say yes when it asks before the reboot, and wait for what comes after."""
    last = await to_the_question(machine, what)
    if last.phase is Phase.AWAITING:
        done = await confirm(machine.conn, what.id)
        assert done.outcome is None
    return await come_up(machine, what.id, boots)


@pytest.mark.skipif(os.getuid() != 0, reason="only root reboots")
@pytest.mark.parametrize("goal", [Goal.SWITCH, Goal.BOOT])
async def test_a_host_that_is_rebooted_has_to_be_confirmed_anew(machine: Machine, goal: Goal) -> None:
    old, new = machine.add("old"), machine.add("new")
    machine.install(old)
    machine.have_systemd()
    asked = await after_the_reboot(machine, activation(new, goal=goal, reboot=True))
    assert (asked.phase, asked.alive, machine.running, machine.boot_entry) == (Phase.AWAITING, True, new, new)
    done = await confirm(machine.conn, "run-1")
    assert (done.outcome, machine.running, machine.profile, machine.boot_entry) == (CONFIRMED, new, new, new)
    assert not (machine.root / "etc/systemd/system.control").exists()


@pytest.mark.skipif(os.getuid() != 0, reason="only root reboots")
@pytest.mark.parametrize("goal", [Goal.SWITCH, Goal.BOOT])
async def test_a_boot_that_nobody_confirms_is_undone_by_another(machine: Machine, goal: Goal) -> None:
    old, new = machine.add("old"), machine.add("new")
    machine.install(old)
    machine.have_systemd()
    await after_the_reboot(machine, activation(new, goal=goal, reboot=True, confirm_within=0.4))
    done = await come_up(machine, "run-1", 2)
    done = done if done.outcome else await wait_for_end(machine, "run-1")
    assert (done.outcome, done.reason) == (ROLLED_BACK, "not_confirmed")
    assert (machine.running, machine.profile, machine.boot_entry) == (old, old, old)


@pytest.mark.skipif(os.getuid() != 0, reason="only root reboots")
async def test_a_host_that_comes_up_with_something_else_goes_back(one: Machine) -> None:
    old, new = one.add("old"), one.add("new")
    one.install(old)
    one.have_systemd()
    (one.root / "boots-into").write_text(old)
    await after_the_reboot(one, activation(new, goal=Goal.BOOT, reboot=True))
    done = await wait_for_end(one, "run-1")
    assert (done.outcome, done.why) == (ROLLED_BACK, "the host came up with another system")
    assert (one.running, one.profile, one.boot_entry) == (old, old, old)


@pytest.mark.skipif(os.getuid() != 0, reason="only root reboots")
async def test_what_only_a_reboot_can_bring_is_brought_by_one_when_that_is_allowed(one: Machine) -> None:
    old, new = one.add("old"), one.add("new", "reboot")
    one.install(old)
    one.have_systemd()
    asked = await after_the_reboot(one, activation(new, reboot=True))
    assert (asked.phase, one.running) == (Phase.AWAITING, new)
    assert (await confirm(one.conn, "run-1")).outcome is CONFIRMED
    assert one.calls == ["test new", "boot new", "reboot"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root reboots")
async def test_a_host_without_systemd_waits_for_the_controller_to_start_its_guard_again(one: Machine) -> None:
    one.install(one.add("old"))
    new = one.add("new")
    left = await after_the_reboot(one, activation(new, reboot=True))
    assert (left.phase, left.alive, left.outcome) == (Phase.REBOOTING, False, None)
    await recover(one.conn, "run-1")
    assert [event async for event in follow(one.conn, "run-1")]
    assert (await confirm(one.conn, "run-1")).outcome is CONFIRMED


@pytest.mark.skipif(os.getuid() != 0, reason="only root reboots")
async def test_an_unforeseen_reboot_is_brought_to_its_end_by_the_host_itself(machine: Machine) -> None:
    old, new = machine.add("old"), machine.add("new")
    machine.install(old)
    machine.have_systemd()
    await to_the_question(machine, activation(new, confirm_within=60))
    guard_pid = machine.state("run-1")["pid"]
    os.kill(int(guard_pid), signal.SIGKILL)
    await machine.conn.run(["/bin/sh", "-c", f"sh -c '{machine.root}/reboot'; true"])
    done = await wait_for_end(machine, "run-1")
    assert (done.outcome, done.why) == (ROLLED_BACK, "the host was rebooted before the end")
    assert (machine.running, machine.profile, machine.boot_entry) == (old, old, old)
    assert not (machine.root / "etc/systemd/system.control").exists()


@pytest.mark.skipif(os.getuid() != 0, reason="only root reboots")
async def test_a_host_that_can_not_be_rebooted_goes_back(one: Machine) -> None:
    old, new = one.add("old"), one.add("new")
    one.install(old)
    (one.root / "can-not-reboot").touch()
    done = await to_the_end(one, activation(new, reboot=True))
    done = done if done.outcome else await wait_for_end(one, "run-1")
    assert (done.outcome, done.why) == (ROLLED_BACK, "the host could not be rebooted")
    assert (one.running, one.profile, one.boot_entry) == (old, old, old)


# ---- being watched, and not ----


async def test_a_controller_that_is_not_done_looking_prolongs_the_time(one: Machine) -> None:
    new = one.add("new")
    one.install(one.add("old"))
    await to_the_question(one, activation(new, confirm_within=0.8))
    enough = time.monotonic() + 1.6
    while time.monotonic() < enough:
        assert (await prolong(one.conn, "run-1")).outcome is None
    assert (await confirm(one.conn, "run-1")).outcome is CONFIRMED


async def test_its_log_is_followed_from_where_one_left(machine: Machine) -> None:
    machine.install(machine.add("old"))
    id_ = await start(machine.conn, activation(machine.add("new")))
    lines = [event async for event in follow(machine.conn, id_) if isinstance(event, FollowedLine)]
    assert "activating new" in [line.text for line in lines]
    assert [line.cursor for line in lines] == list(range(1, len(lines) + 1))
    again = [event async for event in follow(machine.conn, id_, cursor=2) if isinstance(event, FollowedLine)]
    assert again == lines[2:]


async def test_it_outlives_the_session_that_started_it(machine: Machine) -> None:
    """The connection is lost: its whole process group is killed. A new one finds the guard where it is."""
    old, new = machine.add("old"), machine.add("new", "slow")
    machine.install(old)
    lines = machine.conn.follow("exec sleep 60")
    reader = asyncio.ensure_future(anext(lines))
    id_ = await start(machine.conn, activation(new))
    reader.cancel()
    machine.conn.kill_sessions()
    events = [event async for event in follow(machine.conn, id_) if isinstance(event, FollowedPhase)]
    assert events[-1].phase is Phase.AWAITING
    assert (await confirm(machine.conn, id_)).outcome is CONFIRMED


async def test_a_hangup_does_not_reach_it(one: Machine) -> None:
    new = one.add("new", "slow")
    one.install(one.add("old"))
    id_ = await start(one.conn, activation(new))
    os.kill(int(one.state(id_)["pid"]), signal.SIGHUP)
    done = [event async for event in follow(one.conn, id_) if isinstance(event, FollowedPhase)]
    assert done[-1].phase is Phase.AWAITING
    await confirm(one.conn, id_)


async def test_one_name_is_given_once(one: Machine) -> None:
    one.install(one.add("old"))
    new = one.add("new")
    await to_the_end(one, activation(new))
    with pytest.raises(GuardError, match="a run of this name has been there already"):
        await start(one.conn, activation(new))


async def test_a_run_that_never_was_is_unknown(machine: Machine) -> None:
    with pytest.raises(UnknownRunError, match="folder knows nothing of run run-9"):
        await result(machine.conn, "run-9")
    with pytest.raises(UnknownRunError):
        await confirm(machine.conn, "run-9")
    with pytest.raises(UnknownRunError):
        [event async for event in follow(machine.conn, "run-9")]


async def test_where_its_state_can_not_be_kept_nothing_is_touched(one: Machine) -> None:
    old = one.add("old")
    one.install(old)
    one.vault.parent.mkdir(parents=True, exist_ok=True)
    one.vault.write_text("a file is in the way")
    with pytest.raises(GuardError, match="its state can't be written"):
        await start(one.conn, activation(one.add("new")))
    assert (one.running, one.calls) == (old, [])


async def test_somebody_elses_lock_keeps_it_from_touching_anything(one: Machine) -> None:
    old = one.add("old")
    one.install(old)
    async with lock(one.conn, owner("other", "bob")):
        done = await to_the_end(one, activation(one.add("new")))
    assert (done.outcome, done.why, one.calls) == (FAILED, "another run holds the lock", [])
    assert (await gather(one.conn)).runs == {}


async def test_only_the_last_runs_are_kept_and_always_the_way_back(one: Machine) -> None:
    zero, one_, bad = one.add("zero"), one.add("one"), one.add("bad", "fail2")
    one.install(zero)
    await to_the_end(one, activation(one_, "run-0", keep=2))
    for number in range(1, 4):
        await to_the_end(one, activation(bad, f"run-{number}", keep=2))
    assert {path.name for path in (one.vault / "runs").iterdir()} == {"run-2", "run-3"}
    assert {path.name for path in one.roots.iterdir()} == {"run-2", "run-3", ".back"}
    assert str((one.roots / ".back/system").readlink()) == zero
    assert (await gather(one.conn)).ways_back["system"].path == zero


async def test_the_whole_way_takes_few_round_trips(one: Machine) -> None:
    old, new = one.add("old"), one.add("new")
    one.install(old)
    facts = await gather(one.conn)
    assert facts.differs(Wanted(system=new)) == ("system",)
    async with lock(one.conn, owner()) as held:
        id_ = await start(one.conn, activation(new), held=held)
        async for _ in follow(one.conn, id_):
            pass
        assert (await confirm(one.conn, id_)).outcome is CONFIRMED
    assert one.conn.round_trips == 5
    assert (await gather(one.conn)).differs(Wanted(system=new)) == ()


async def test_what_was_cut_off_is_settled_before_anything_new(one: Machine) -> None:
    """Or else the half of something would become what is gone back to."""
    old, half, new = one.add("old"), one.add("half"), one.add("new")
    one.install(old)
    await to_the_question(one, activation(half))
    os.kill(int(one.state("run-1")["pid"]), signal.SIGKILL)
    refused = await to_the_end(one, activation(new, "run-2"))
    assert (refused.outcome, refused.why) == (FAILED, "the run before was cut off and has to be recovered first")
    async with lock(one.conn, owner("run-3")) as held:
        facts = await gather(one.conn)
        (settled,) = await settle(one.conn, facts, held=held)
    assert (settled.id, settled.outcome, settled.why) == ("run-1", ROLLED_BACK, "its guard was killed")
    assert one.running == old
    trips = one.conn.round_trips
    assert await settle(one.conn, await gather(one.conn)) == ()
    assert one.conn.round_trips == trips + 1
    assert (await to_the_end(one, activation(new, "run-4"))).outcome is CONFIRMED
