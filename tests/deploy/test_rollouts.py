"""Rollouts on real hosts: waves, a budget that is spent, the way back, and a controller that goes away."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from clanpy.activation import LockOwner, lock
from clanpy.deployment.errors import DriftError
from clanpy.deployment.locks import break_lock, locks
from clanpy.errors import ExitCode, NothingMatchedError
from clanpy.events import (
    Event,
    HostAdmitted,
    HostFinished,
    HostUnhealthy,
    Outcome,
    RolloutPlanned,
    RolloutStopped,
    Stage,
    StageStarted,
    WaveStarted,
)
from clanpy.rollout.engine import Control
from clanpy.rollout.interrupts import Interrupts
from clanpy.rollout.policy import Budget, Canary, OnStop, Policy, WaveSpec
from clanpy.rollout.share import Share
from clanpy.ssh import connect
from deploy.rehearsal import FAILING, Rehearsal


pytestmark = [pytest.mark.lab, pytest.mark.nix]
Rehearse = Callable[..., Rehearsal]
ONE_BY_ONE = Policy(max_unavailable=Share(count=1))


def _outcomes(result: object) -> dict[str, Outcome]:
    return {name: host.outcome for name, host in result.state.hosts.items()}  # type: ignore[attr-defined]  # a RunResult


def _admitted(fleet: Rehearsal) -> list[str]:
    return [str(fact.host) for fact in fleet.facts if isinstance(fact, HostAdmitted)]


async def test_only_activations_wait_for_their_wave(rehearse: Rehearse) -> None:
    fleet = rehearse(nixos=2, darwin=1)
    policy = Policy(canary=Canary(), max_unavailable=Share(count=1))
    result = await fleet.update(policy=policy)
    assert set(_outcomes(result).values()) == {Outcome.CONFIRMED}
    assert result.exit_code is ExitCode.DONE
    assert [fact.title for fact in fleet.facts if isinstance(fact, WaveStarted)] == ["canary", "wave 1"]
    assert len(_admitted(fleet)) == 3
    order = [(fact.host, fact.stage) for fact in fleet.facts if isinstance(fact, StageStarted)]
    activations = [n for n, (_, stage) in enumerate(order) if stage is Stage.ACTIVATE]
    ends = [n for n, fact in enumerate(fleet.facts) if isinstance(fact, HostFinished)]
    starts = [n for n, fact in enumerate(fleet.facts) if isinstance(fact, HostAdmitted)]
    assert all(end < start for end, start in zip(ends, starts[1:], strict=False))
    assert len(activations) == 3
    again = await fleet.update(policy=policy)
    assert again.round_trips == dict.fromkeys(fleet.names, 1)
    assert _admitted(fleet) == []


async def test_a_failed_canary_leaves_the_others_alone_and_is_not_a_success(rehearse: Rehearse) -> None:
    fleet = rehearse(nixos=3)
    await fleet.update()
    for host in fleet.hosts:
        fleet.configure(host, FAILING)
    before = [fleet.running(host) for host in fleet.hosts]
    result = await fleet.update(policy=Policy(canary=Canary()))
    assert sorted(_outcomes(result).values()) == sorted([Outcome.ROLLED_BACK, Outcome.SKIPPED, Outcome.SKIPPED])
    assert result.exit_code is ExitCode.BUDGET_SPENT
    assert [fleet.running(host) for host in fleet.hosts] == before
    assert len(_admitted(fleet)) == 1
    reasons = {host.error["message"].partition(": ")[2] for host in result.state.hosts.values() if host.outcome is Outcome.SKIPPED and host.error}  # fmt: skip
    assert reasons == {"1 of 1 in the canary failed: none may"}


async def test_when_the_budget_is_spent_those_that_are_done_go_back_to_what_they_ran(rehearse: Rehearse) -> None:
    fleet = rehearse(nixos=3)
    await fleet.update()
    before = {host.name: fleet.running(host) for host in fleet.hosts}
    fleet.greet("new")
    policy = Policy(max_unavailable=Share(count=1), on_stop=OnStop.REVERT_ALL)
    last = fleet.hosts[-1]
    fleet.write("inventory/after.toml", f'[machines.{last.name}.deploy]\nafter = ["tag:all"]\n')
    fleet.configure(last, FAILING)
    result = await fleet.update(policy=policy)
    assert set(_outcomes(result).values()) == {Outcome.ROLLED_BACK}
    assert result.exit_code is ExitCode.ROLLED_BACK
    assert {host.name: fleet.running(host) for host in fleet.hosts} == before
    assert [fleet.greeting(host) for host in fleet.hosts] == ["hello"] * 3
    assert _admitted(fleet)[-1] == last.name
    assert fleet.journal.read("last").hosts[last.name].outcome is Outcome.ROLLED_BACK


async def test_a_host_that_falls_ill_while_it_is_watched_stops_the_rollout(rehearse: Rehearse) -> None:
    fleet = rehearse(nixos=2)
    await fleet.update()
    fleet.greet("new")
    before = {host.name: fleet.running(host) for host in fleet.hosts}

    def meddle(event: Event) -> None:
        if isinstance(event.fact, HostFinished) and event.fact.outcome is Outcome.CONFIRMED:
            host = next(host for host in fleet.hosts if host.name == event.fact.host)
            fleet.lab.run_in(host, ["ln", "-sfn", before[host.name], "/run/current-system"])

    policy = Policy(canary=Canary(bake=timedelta(seconds=1)))
    result = await fleet.update(policy=policy, sinks=(meddle,))
    (ill,) = [fact for fact in fleet.facts if isinstance(fact, HostUnhealthy)]
    assert "and was given" in ill.reason
    assert sorted(_outcomes(result).values()) == sorted([Outcome.FAILED, Outcome.SKIPPED])
    assert result.exit_code is ExitCode.BUDGET_SPENT


async def test_a_host_that_somebody_else_changed_meanwhile_is_left_alone(rehearse: Rehearse) -> None:
    fleet = rehearse(nixos=2)
    await fleet.update()
    first = {host.name: fleet.running(host) for host in fleet.hosts}
    fleet.greet("second")
    await fleet.update()
    fleet.greet("third")

    def meddle(event: Event) -> None:
        if isinstance(event.fact, WaveStarted) and event.fact.wave == 0:
            for host in fleet.hosts:
                fleet.lab.run_in(host, ["ln", "-sfn", first[host.name], "/run/current-system"])

    result = await fleet.update(policy=Policy(canary=Canary()), sinks=(meddle,))
    codes = {host.error["code"] for host in result.state.hosts.values() if host.error}
    assert DriftError.code in codes
    assert Outcome.CONFIRMED not in _outcomes(result).values()


async def test_an_interrupted_rollout_goes_on_where_it_was(rehearse: Rehearse) -> None:
    fleet = rehearse(nixos=3)
    interrupts = Interrupts()

    def press(event: Event) -> None:
        fact = event.fact
        if isinstance(fact, StageStarted) and fact.stage is Stage.CONFIRM and not interrupts.stopping:
            interrupts.request()

    policy = ONE_BY_ONE
    stopped = await fleet.update(policy=policy, sinks=(press,), interrupts=interrupts)
    assert stopped.exit_code is ExitCode.INTERRUPTED
    assert sorted(_outcomes(stopped).values()) == sorted([Outcome.CONFIRMED, Outcome.CANCELLED, Outcome.CANCELLED])
    done = [name for name, outcome in _outcomes(stopped).items() if outcome is Outcome.CONFIRMED]
    state = fleet.journal.read("last")
    left = [name for name in fleet.names if name not in done]
    resumed = await fleet.update(*left, policy=policy, before=state)
    assert resumed.exit_code is ExitCode.DONE
    assert set(_outcomes(resumed).values()) == {Outcome.CONFIRMED}
    assert len(resumed.state.hosts) == 3
    assert not set(_admitted(fleet)) & set(done)
    assert not any(isinstance(fact, RolloutPlanned) for fact in fleet.facts)
    assert fleet.journal.read("last").run == state.run


async def test_somebody_at_another_terminal_can_call_it_off(rehearse: Rehearse) -> None:
    fleet = rehearse(nixos=2)
    control = Control()

    def call_off(event: Event) -> None:
        if isinstance(event.fact, HostAdmitted):
            control.abort("the pager went off")

    result = await fleet.update(policy=ONE_BY_ONE, sinks=(call_off,), control=control)
    assert [fact.reason for fact in fleet.facts if isinstance(fact, RolloutStopped)] == ["the pager went off"]
    assert sorted(_outcomes(result).values()) == sorted([Outcome.CONFIRMED, Outcome.SKIPPED])


async def test_a_host_that_is_not_reached_is_counted_apart(rehearse: Rehearse) -> None:
    fleet = rehearse(nixos=2)
    gone = fleet.hosts[0]
    nowhere = fleet.wrongly_keyed(gone, fleet.folder)
    policy = Policy(budget=Budget(unreachable=Share(count=1)), waves=(WaveSpec(upto=Share(count=1)),))
    result = await fleet.update(policy=policy, ways={gone.name: nowhere})
    assert sorted(_outcomes(result).values()) == sorted([Outcome.UNREACHABLE, Outcome.CONFIRMED])
    strict = Policy(budget=Budget(unreachable=Share(count=0)))
    fleet.greet("new")
    stopped = await fleet.update(policy=strict, ways={gone.name: nowhere})
    assert sorted(_outcomes(stopped).values()) == sorted([Outcome.UNREACHABLE, Outcome.SKIPPED])


async def test_a_selection_that_names_nobody_is_told_before_anything_begins(rehearse: Rehearse) -> None:
    fleet = rehearse()
    with pytest.raises((NothingMatchedError, ExceptionGroup)):
        await fleet.update(policy=Policy(waves=(WaveSpec(select="tag:nobody"),)))
    assert not any(isinstance(fact, StageStarted) for fact in fleet.facts)


async def test_who_is_at_work_on_a_machine_is_told_and_their_lock_can_be_taken_away(rehearse: Rehearse) -> None:
    fleet = rehearse(nixos=2)
    one, other = fleet.hosts
    surroundings = fleet.surroundings()
    machines = list(surroundings.fleet.machines.values())
    async with connect(fleet.target(one)) as conn:
        owner = LockOwner(owner="bob", host="there", run="260101-000000-aa", reason="update")
        async with lock(conn, owner):
            held = {found.machine: found.holder for found in await locks(surroundings, machines)}
            assert held[other.name] is None
            holder = held[one.name]
            assert holder is not None
            assert (holder.owner, holder.host, holder.run, holder.by_guard) == ("bob", "there", owner.run, False)
            await break_lock(surroundings, surroundings.fleet.machines[one.name], run="260101-000001-aa")
            assert [found.holder for found in await locks(surroundings, machines)] == [None, None]
