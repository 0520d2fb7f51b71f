"""One round trip tells what a host is, what it runs, and whether anything is to be done."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from activation.folder import LocalHost, Machine, activation, owner
from clanpy.activation import (
    ActivationError,
    FactsError,
    Question,
    Wanted,
    confirm,
    follow,
    gather,
    lock,
    start,
)


async def test_a_host_tells_what_it_is_and_runs(machine: Machine) -> None:
    old = machine.add("old")
    machine.install(old)
    facts = await gather(machine.conn)
    assert (facts.class_, facts.kernel, facts.machine) == ("nixos", "Linux", os.uname().machine)
    assert (facts.running, facts.profile, facts.generation, facts.booted) == (old, old, 1, None)
    assert facts.free_bytes
    assert facts.clock > 1_700_000_000
    assert facts.uid == os.getuid()
    assert facts.lock is None
    assert machine.conn.round_trips == 1


async def test_nothing_to_do_costs_one_round_trip_and_no_nix(one: Machine) -> None:
    one.install(one.add("old"))
    (one.root.parent / "tools/nix").write_text(f"#!/bin/sh\ntouch {one.root}/nix-was-started\necho nix 2.18.1\n")
    (one.root.parent / "tools/nix").chmod(0o755)
    facts = await gather(one.conn)
    assert facts.differs(Wanted(system=one.running)) == ()
    assert one.conn.round_trips == 1
    assert not (one.root / "nix-was-started").exists()


async def test_the_version_of_nix_is_asked_only_on_demand(one: Machine) -> None:
    tool = one.root.parent / "tools/nix"
    tool.write_text("#!/bin/sh\necho 'nix (Nix) 2.8.0'\n")
    tool.chmod(0o755)
    assert (await gather(one.conn)).nix_version is None
    assert (await gather(one.conn, Question(nix_version=True))).nix_version == "2.8.0"


async def test_a_nix_in_the_store_has_its_version_in_its_path(machine: Machine) -> None:
    nix = machine.root / "nix/store/abc-nix-2.24.9/bin/nix"
    nix.parent.mkdir(parents=True)
    nix.write_text("#!/bin/sh\nexit 1\n")
    nix.chmod(0o755)
    (machine.root.parent / "tools/nix").symlink_to(nix)
    assert (await gather(machine.conn)).nix_version == "2.24.9"


async def test_a_host_without_any_system_is_told_too(machine: Machine) -> None:
    facts = await gather(machine.conn)
    assert (facts.class_, facts.running, facts.profile) == ("linux", None, None)
    assert facts.differs(Wanted(system="/nix/store/x")) == ("system",)


async def test_a_darwin_host_is_known_by_its_kernel(one: Machine) -> None:
    # Under busybox, `uname` would be its own.
    tool = one.root.parent / "tools/uname"
    tool.write_text("#!/bin/sh\necho Darwin 24.6.0 arm64\n")
    tool.chmod(0o755)
    facts = await gather(one.conn)
    assert (facts.class_, facts.machine, facts.release) == ("darwin", "arm64", "24.6.0")


async def test_a_system_that_runs_but_is_not_the_profiles_differs(one: Machine) -> None:
    """So it is after `test`, and after a commit that was cut off."""
    one.install(one.add("old"))
    new = one.add("new")
    (one.root / "run/current-system").unlink()
    (one.root / "run/current-system").symlink_to(new)
    assert (await gather(one.conn)).differs(Wanted(system=new)) == ("system",)


async def test_homes_are_told_by_account(machine: Machine) -> None:
    home = machine.root / ("root" if os.getuid() == 0 else "nowhere")
    if os.getuid() != 0:
        pytest.skip("the account of the test has its home elsewhere")
    path = machine.add_home("home-1")
    profiles = home / ".local/state/nix/profiles"
    profiles.mkdir(parents=True)
    (profiles / "home-manager").symlink_to("home-manager-3-link")
    (profiles / "home-manager-3-link").symlink_to(path)
    facts = await gather(machine.conn, Question(accounts=("root", "nobody-is-called-so")))
    assert facts.homes["root"].profile == path
    assert facts.homes["root"].generation == 3
    assert facts.homes["root"].running is None
    assert facts.homes["nobody-is-called-so"].home is None
    assert facts.differs(Wanted(homes={"root": path})) == ()
    assert facts.differs(Wanted(homes={"root": "/other", "x": path})) == ("home.root", "home.x")


async def test_who_is_at_work_is_told(machine: Machine) -> None:
    async with lock(machine.conn, owner()):
        facts = await gather(machine.conn)
    assert facts.lock is not None
    assert (facts.lock.owner, facts.lock.host, facts.lock.run) == ("ann", "laptop", "run-1")
    assert (await gather(machine.conn)).lock is None


async def test_the_last_deployment_and_the_way_back_are_told(machine: Machine) -> None:
    old, new = machine.add("old"), machine.add("new")
    machine.install(old)
    id_ = await start(machine.conn, activation(new))
    async for _ in follow(machine.conn, id_):
        pass
    pending = (await gather(machine.conn)).runs["system"]
    assert (pending.pending, pending.alive, pending.phase) == (True, True, "awaiting")
    await confirm(machine.conn, id_)
    facts = await gather(machine.conn)
    last = facts.runs["system"]
    assert (last.id, last.outcome, last.new, last.previous) == ("run-1", "confirmed", new, old)
    assert (last.owner, last.controller, last.is_left_over) == ("ann", "laptop", False)
    assert last.started
    assert last.finished
    assert facts.ways_back["system"].path == old
    assert facts.ways_back["system"].generation == 1


async def test_an_answer_that_is_none_is_an_error(one: Machine, tmp_path: Path) -> None:
    liar = tmp_path / "liar"
    liar.write_text("#!/bin/sh\necho 'This account is not available.'\nexit 1\n")
    liar.chmod(0o755)
    with pytest.raises(FactsError, match="folder could not say what it runs") as caught:
        await gather(LocalHost(one.root, str(liar), env=one.conn.env))
    assert "This account is not available." in caught.value.details


@pytest.mark.parametrize("account", ["", "a b", "$(id)", "-x", "a/b", "~"])
async def test_a_name_that_is_no_account_never_reaches_a_shell(one: Machine, account: str) -> None:
    with pytest.raises(ActivationError, match="can't be the name of an account"):
        await gather(one.conn, Question(accounts=(account,)))
    assert one.conn.round_trips == 0
