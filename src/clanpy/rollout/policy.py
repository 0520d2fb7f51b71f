"""How a rollout is to go: waves, how many at once, what may fail, when to stop. Written as `[rollout.<name>]` in the inventory.

[rollout.careful]
canary = { hosts = 1, select = "tag:canary", bake = "10m", promote = "manual" }
waves = ["10%", "50%"]
max_unavailable = "20%"
bake = "5m"
budget = { failed = "2%", unreachable = "5%", consecutive = 3 }
on_stop = "revert-wave"
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from clanpy.rollout.freeze import Freeze
from clanpy.rollout.share import Share


class OnStop(StrEnum):
    """What becomes of the hosts that are done when a rollout stops."""

    HOLD = "hold"
    REVERT_WAVE = "revert-wave"
    REVERT_ALL = "revert-all"


class Promote(StrEnum):
    """Who lets a rollout go on after a wave."""

    AUTO = "auto"
    MANUAL = "manual"


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """The first wave: so many hosts, of those that `select` names. Nothing may fail in it."""

    hosts: Share = field(default_factory=lambda: Share(count=1))
    select: str | None = None
    bake: timedelta | None = None
    promote: Promote = Promote.AUTO


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveSpec:
    """One wave: all hosts up to a share of the eligible ones (counted from the first wave on), or those that `select` names."""

    upto: Share | None = None
    select: str | None = None
    bake: timedelta | None = None
    promote: Promote = Promote.AUTO


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What may go wrong before a rollout stops; compared with `>`, for the run and for each wave on its own.

    Attributes:
        failed, unreachable: how many hosts. None: no limit.
        minimum: so many are allowed however few hosts there are, except in a canary.
        consecutive: so many failures one after the other are not survived in any wave, however large. None: no limit.
    """

    failed: Share | None = field(default_factory=lambda: Share(count=0))
    unreachable: Share | None = None
    minimum: int = 0
    consecutive: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Straggler:
    """A host that takes `factor` times as long as the median of those that are done (and at least `at_least`).

    `skip`: it no longer holds up its wave and counts as unreachable; what is done to it is not broken off.
    """

    factor: float = 3.0
    at_least: timedelta = timedelta(minutes=2)
    skip: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """All of it.

    Attributes:
        max_unavailable: how many are activated at once, of the hosts of the wave; the same share again of each domain. None: all.
        domains: selections; hosts of only one of them are activated at a time, in their order.
        bake: how long a wave is watched before the next one begins.
        check_interval: how often health is looked at while baking.
        min_ready: how long a confirmed host goes on counting as unavailable.
        progress_deadline: stop when no host got well for so long (pauses not counted). None: never.
    """

    name: str = "default"
    canary: Canary | None = None
    waves: tuple[WaveSpec, ...] = ()
    max_unavailable: Share | None = None
    domains: tuple[str, ...] = ()
    bake: timedelta = timedelta(0)
    check_interval: timedelta = timedelta(seconds=30)
    min_ready: timedelta = timedelta(0)
    progress_deadline: timedelta | None = None
    budget: Budget = field(default_factory=Budget)
    on_stop: OnStop = OnStop.HOLD
    straggler: Straggler | None = None
    freeze: tuple[Freeze, ...] = ()
