"""Doing what was planned, and nothing else: whatever is not as the plan found it is a reason to change nothing at all."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from clanpy.deployment.delivery import Deliveries
from clanpy.deployment.errors import PlanOutdatedError, PlanTooOldError
from clanpy.deployment.plan import SYSTEM
from clanpy.deployment.reach import Reach, each, facts_of, standalone_accounts
from clanpy.deployment.releases import stage_all
from clanpy.errors import ClanpyError
from clanpy.inventory import resolve
from clanpy.rollout.limits import Limits
from clanpy.ui.format import counted, duration


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime, timedelta

    from clanpy.activation import HostFacts
    from clanpy.deployment.options import Options, Surroundings
    from clanpy.deployment.plan import HostChange, Plan
    from clanpy.inventory.model import HostConfig
    from clanpy.nix.release import Release


def planned_systems(plan: Plan) -> dict[str, tuple[str | None, str]]:
    """What `Options.planned` is for the machines of a plan on which something changes."""
    return {host.name: (host.previous.get(SYSTEM), host.wanted[SYSTEM]) for host in plan.changing()}


def check_planned(options: Options, facts: HostFacts, release: Release) -> None:
    """Stop before a machine is changed that is not as its plan found it, or would become something else.

    Raises:
        PlanOutdatedError: so it is.
    """
    planned = options.planned.get(release.host)
    if planned is None:
        return
    seen, wanted = planned
    if facts.running not in {seen, wanted}:
        raise _outdated([f"{release.host} runs {facts.running or 'nothing'}, and ran {seen or 'nothing'}"])
    if release.system.out != wanted:
        raise _outdated([f"{release.host} would get {release.system.out}, and was to get {wanted}"])


def check_age(plan: Plan, most: timedelta | None, now: datetime) -> None:
    """Refuse a plan that is too old.

    Raises:
        PlanTooOldError: it is.
    """
    age = (now - plan.made).total_seconds()
    if most is not None and age > most.total_seconds():
        raise PlanTooOldError(
            f"the plan is {duration(age)} old, and may be {duration(most.total_seconds())}",
            hint="make it anew: `clanpy plan save FILE`",
        )


async def check_plan(surroundings: Surroundings, plan: Plan, options: Options) -> None:
    """Hold a plan against the fleet as it is now, and every machine that can be reached, in one round trip each.

    A machine that can't be asked is no contradiction: the run tells of it, and holds the plan against it should it come back.

    Raises:
        PlanOutdatedError: something is not any more as it was; nothing is to be done then. All of it is in the details.
    """
    fleet = surroundings.fleet
    if plan.fleet != fleet.meta.name:
        raise _outdated([f"the plan is of the fleet '{plan.fleet}', and this is '{fleet.meta.name}'"])
    hosts = {host.name: host for host in plan.hosts}
    found: dict[str, list[str]] = {name: [] for name in hosts}
    configs = _resolved(surroundings, hosts, found)
    for name, key in (await asyncio.to_thread(_keys, surroundings, configs)).items():
        if key != hosts[name].key:
            found[name].append("its files have changed, or how it is made from them")
    await _check_secrets(surroundings, hosts, configs, found)
    if not any(found.values()):
        await _ask(surroundings, hosts, configs, options, found)
    lines = [f"{name}: {what}" for name, differences in sorted(found.items()) for what in differences]
    if lines:
        raise _outdated(lines)


def _resolved(
    surroundings: Surroundings, hosts: Mapping[str, HostChange], found: dict[str, list[str]]
) -> dict[str, HostConfig]:
    configs = {}
    for name in hosts:
        if name not in surroundings.fleet.machines:
            found[name].append("it is no machine of the fleet any more")
            continue
        try:
            configs[name] = resolve(surroundings.fleet, name)
        except ClanpyError as error:
            found[name].append(error.message)
    return configs


def _keys(surroundings: Surroundings, configs: Mapping[str, HostConfig]) -> dict[str, str | None]:
    return {
        name: None if isinstance(source, ClanpyError) else source.key
        for name, source in stage_all(surroundings, configs.values())
    }


async def _check_secrets(
    surroundings: Surroundings,
    hosts: Mapping[str, HostChange],
    configs: Mapping[str, HostConfig],
    found: dict[str, list[str]],
) -> None:
    deliveries = Deliveries(surroundings, "plan")
    for name, config in configs.items():
        try:
            digest, _ = await deliveries.expected(config)
        except ClanpyError as error:
            found[name].append(error.message)
        else:
            if digest != hosts[name].secrets[1]:
                found[name].append("the secrets that it is to have are others")


async def _ask(
    surroundings: Surroundings,
    hosts: Mapping[str, HostChange],
    configs: Mapping[str, HostConfig],
    options: Options,
    found: dict[str, list[str]],
) -> None:
    """What is not any more as it was on the machines themselves."""
    async with Reach.of(surroundings) as reach:

        async def ask(name: str) -> HostFacts:
            async with reach.connected(name) as conn:
                return await facts_of(conn, configs[name].machine, standalone_accounts(configs[name]))

        answers = await each(hosts, ask, at_once=Limits.derived(parallel=options.parallel).hosts)
    for name, facts in answers.items():
        if not isinstance(facts, ClanpyError):
            found[name] += _differences(hosts[name], facts)


def _differences(host: HostChange, facts: HostFacts) -> Iterator[str]:
    """What is neither as the plan found it nor as it is to become."""
    for slot, wanted in host.wanted.items():
        before = host.previous.get(slot)
        if slot == SYSTEM:
            now = facts.running
        else:
            home = facts.homes.get(slot.removeprefix("home."))
            now = (home.running or home.profile) if home else None
        if now not in {before, wanted}:
            yield f"{slot} is {now or 'nothing'}, and was {before or 'nothing'}"
    if facts.secrets not in host.secrets:
        yield "its secrets are others"


def _outdated(lines: list[str]) -> PlanOutdatedError:
    return PlanOutdatedError(
        f"the plan is outdated, and nothing was changed: {counted(len(lines), 'difference')}",
        hint="make it anew: `clanpy plan save FILE`",
        details=lines,
    )
