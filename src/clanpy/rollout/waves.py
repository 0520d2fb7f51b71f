"""Who is activated when: the eligible hosts put into waves, once, at the beginning. Reruns of a plan give the same waves."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from graphlib import CycleError, TopologicalSorter
from typing import Any, ClassVar

from clanpy.errors import ClanpyError, ExitCode, NothingMatchedError
from clanpy.rollout.policy import Canary, Policy, Promote, WaveSpec


Select = Callable[[str], Collection[str]]


class WaitingInCirclesError(ClanpyError):
    """Machines wait for each other: none of them could be the first."""

    code: ClassVar[str] = "CP0530"
    exit_code: ClassVar[ExitCode] = ExitCode.FLEET_INVALID


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """Hosts in the order in which they are begun.

    Attributes:
        is_canary: nothing may fail in it.
        window: how many of them may be unavailable at once.
    """

    name: str
    hosts: tuple[str, ...]
    window: int
    bake: timedelta = timedelta(0)
    promote: Promote = Promote.AUTO
    is_canary: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The wave as JSON."""
        return {
            "name": self.name,
            "hosts": list(self.hosts),
            "window": self.window,
            "bake": self.bake.total_seconds(),
            "promote": self.promote.value,
            "canary": self.is_canary,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Wave:
        """What `to_dict` wrote."""
        return cls(
            name=data["name"],
            hosts=tuple(data["hosts"]),
            window=data["window"],
            bake=timedelta(seconds=data["bake"]),
            promote=Promote(data["promote"]),
            is_canary=data["canary"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Waves:
    """The waves of a rollout.

    Attributes:
        domains: which domain a host is in; hosts of one domain at a time are in flight.
        windows: how many hosts of a domain may be unavailable at once.
        after: for a host, those that have to be done before it.
    """

    waves: tuple[Wave, ...]
    domains: Mapping[str, str] = field(default_factory=dict)
    windows: Mapping[str, int] = field(default_factory=dict)
    after: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def hosts(self) -> tuple[str, ...]:
        """All of them, in order."""
        return tuple(host for wave in self.waves for host in wave.hosts)

    def to_dict(self) -> dict[str, Any]:
        """The waves as JSON: what the journal keeps of them."""
        return {
            "waves": [wave.to_dict() for wave in self.waves],
            "domains": dict(self.domains),
            "windows": dict(self.windows),
            "after": {host: sorted(before) for host, before in self.after.items()},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Waves:
        """What `to_dict` wrote."""
        return cls(
            waves=tuple(Wave.from_dict(wave) for wave in data["waves"]),
            domains=data["domains"],
            windows=data["windows"],
            after={host: frozenset(before) for host, before in data["after"].items()},
        )


def plan_waves(
    hosts: Iterable[str],
    policy: Policy,
    *,
    seed: str,
    select: Select,
    after: Mapping[str, Iterable[str]] | None = None,
) -> Waves:
    """Put hosts into waves.

    Within a wave they are sorted by domain, then by a hash of `seed` (the run's id) and their name: no machine is always the first.
    A host is never in an earlier wave than one that it has to come after; if the policy says so it is moved back.

    Args:
        hosts: the eligible ones.
        policy: how it is to go.
        seed: what makes the order another one in every run: the id of the run.
        select: the hosts that a selection of the policy names.
        after: for a host, those that have to be done before it; those that are not eligible don't count.

    Raises:
        WaitingInCirclesError: hosts wait for each other.
        NothingMatchedError: a selection of a wave names no host at all.
    """
    eligible = sorted(set(hosts))
    before = _before(eligible, after or {})
    domain = _domains(eligible, policy.domains, select)
    rank = {name: n for n, name in enumerate(policy.domains)}
    order = {
        host: (rank.get(domain.get(host, ""), len(rank)), hashlib.sha256(f"{seed}/{host}".encode()).digest())
        for host in eligible
    }
    groups = _moved_back(_groups(eligible, order.__getitem__, policy, select), before)
    waves = [
        _wave(spec, _sorted(members, order.__getitem__, before), n, policy)
        for n, (spec, members) in enumerate(groups)
        if members
    ]
    sizes: dict[str, int] = {}
    for name in domain.values():
        sizes[name] = sizes.get(name, 0) + 1
    return Waves(
        waves=tuple(waves),
        domains=domain,
        windows={name: _window(policy, size) for name, size in sizes.items()},
        after={host: frozenset(names) for host, names in before.items() if names},
    )


def _before(eligible: Sequence[str], after: Mapping[str, Iterable[str]]) -> dict[str, set[str]]:
    known = set(eligible)
    before = {host: {name for name in after.get(host, ()) if name in known} for host in eligible}
    try:
        TopologicalSorter({host: names for host, names in before.items() if names}).prepare()
    except CycleError as error:
        circle = " → ".join(reversed(error.args[1]))
        raise WaitingInCirclesError(
            f"machines wait for each other: {circle}", hint="take one of the dependencies away"
        ) from None
    return before


def _domains(eligible: Sequence[str], selections: Sequence[str], select: Select) -> dict[str, str]:
    """The first domain that names a host; hosts of none are not in the mapping."""
    found: dict[str, str] = {}
    known = set(eligible)
    for selection in selections:
        for host in sorted(known.intersection(select(selection))):
            found.setdefault(host, selection)
    return found


def _groups(
    eligible: Sequence[str], order: Callable[[str], Any], policy: Policy, select: Select
) -> list[tuple[Canary | WaveSpec, list[str]]]:
    """The hosts of each wave, before dependencies. What no wave takes in is a last one."""
    left = sorted(eligible, key=order)
    groups: list[tuple[Canary | WaveSpec, list[str]]] = []
    total = len(left)
    if policy.canary is not None and left:
        of = _matching(left, policy.canary.select, select)
        groups.append((policy.canary, of[: policy.canary.hosts.up(total)]))
    for spec in policy.waves:
        taken = {host for _, members in groups for host in members}
        of = _matching([host for host in left if host not in taken], spec.select, select)
        more = len(of) if spec.upto is None else max(0, spec.upto.up(total) - len(taken))
        groups.append((spec, of[:more]))
    taken = {host for _, members in groups for host in members}
    groups.append((WaveSpec(), [host for host in left if host not in taken]))
    return groups


def _matching(left: list[str], selection: str | None, select: Select) -> list[str]:
    if selection is None:
        return left
    named = set(select(selection))
    if not named:
        raise NothingMatchedError(
            f"the wave of {selection!r} has no machine", hint="see the selection of the rollout's waves"
        )
    return [host for host in left if host in named]


def _moved_back(
    groups: list[tuple[Canary | WaveSpec, list[str]]], before: Mapping[str, set[str]]
) -> list[tuple[Canary | WaveSpec, list[str]]]:
    """No host is in an earlier wave than one it has to come after."""
    at = {host: n for n, (_, members) in enumerate(groups) for host in members}
    for host in TopologicalSorter(before).static_order():
        at[host] = max([at[host], *(at[name] for name in before[host])])
    moved: list[list[str]] = [[] for _ in groups]
    for _, members in groups:
        for host in members:
            moved[at[host]].append(host)
    return [(spec, hosts) for (spec, _), hosts in zip(groups, moved, strict=True)]


def _sorted(members: Sequence[str], order: Callable[[str], Any], before: Mapping[str, set[str]]) -> list[str]:
    """By `order`, each after those it waits for."""
    here = set(members)
    if not any(before[host] & here for host in members):
        return sorted(members, key=order)
    sorter = TopologicalSorter({host: before[host] & here for host in members})
    sorter.prepare()
    found: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=order)
        found += ready
        sorter.done(*ready)
    return found


def _wave(spec: Canary | WaveSpec, hosts: Sequence[str], n: int, policy: Policy) -> Wave:
    is_canary = isinstance(spec, Canary)
    return Wave(
        name="canary" if is_canary else f"wave {n + (policy.canary is None)}",
        hosts=tuple(hosts),
        window=_window(policy, len(hosts)),
        bake=policy.bake if spec.bake is None else spec.bake,
        promote=spec.promote,
        is_canary=is_canary,
    )


def _window(policy: Policy, size: int) -> int:
    """How many of so many hosts may be unavailable at once; all of them when the policy does not say."""
    share = policy.max_unavailable
    return max(1, size) if share is None else share.down(size)
