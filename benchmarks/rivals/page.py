"""What was measured, as a table; and where a target was missed, where the time goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks._measure import median, table
from benchmarks.rivals.contest import CLANPY_NAME, CONTENDERS, RIVALS, STAGES, Turn


MASTER = "one connection"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What is deployed, and how many times as fast as a login for each step, and as one connection, it has to be."""

    title: str
    variant: str
    logins: float
    connection: float

    def target(self, rival: str) -> float:
        return self.connection if rival == MASTER else self.logins


SCENARIOS = {
    "nothing": Scenario(title="nothing changed", variant="base", logins=10, connection=3),
    "one": Scenario(title="one changed path", variant="one", logins=5, connection=1.5),
    "large": Scenario(title="a fresh closure, large", variant="large", logins=1.5, connection=1.1),
    "small": Scenario(title="a fresh closure, small paths", variant="small", logins=4, connection=2),
}

Turns = Mapping[str, Sequence[Turn]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A scenario and all its turns; how many paths, and bytes, a host lacked."""

    scenario: Scenario
    paths: int
    size: int
    turns: Turns

    def of(self, who: str, what: Callable[[Turn], float]) -> float:
        return median(what(turn) for turn in self.turns[who])

    def ratio(self, rival: str, what: Callable[[Turn], float]) -> float:
        """The median of the rounds' ratios: in a round each has its turn."""
        pairs = zip(self.turns[rival], self.turns[CLANPY_NAME], strict=True)
        return median(theirs.command / what(ours) for theirs, ours in pairs)


def _run(turn: Turn) -> float:
    return turn.run


def _command(turn: Turn) -> float:
    return turn.command


def told(found: Sequence[Measured]) -> str:
    """Everything of one number of hosts and one round trip."""
    times = table(
        ["seconds, median", "rounds", *RIVALS, "clanpy, the run", "clanpy, the whole command"],
        (_times(one) for one in found),
    )
    ratios = table(
        ["how many times as fast", *(f"{rival} : clanpy" for rival in RIVALS), "with clanpy's start"],
        (_ratios(one) for one in found),
    )
    costs = table(
        ["seconds of processors, here + on the hosts; processes and threads", *CONTENDERS],
        (_costs(one) for one in found),
    )
    parts = [times, ratios, costs, *(line for one in found for line in _missed(one))]
    return "\n".join(parts)


def _times(one: Measured) -> list[str]:
    rivals = [f"{one.of(rival, _command):.2f}" for rival in RIVALS]
    ours = [f"**{one.of(CLANPY_NAME, _run):.2f}**", f"{one.of(CLANPY_NAME, _command):.2f}"]
    return [_title(one), str(len(one.turns[CLANPY_NAME])), *rivals, *ours]


def _title(one: Measured) -> str:
    size = f"{one.size / 1e6:.0f} MB" if one.size >= 1e6 else f"{one.size / 1e3:.0f} kB"
    return f"{one.scenario.title} ({one.paths} paths, {size})" if one.paths else one.scenario.title


def _ratios(one: Measured) -> list[str]:
    cells = [
        f"{'**' if (ratio := one.ratio(rival, _run)) >= (target := one.scenario.target(rival)) else ''}{ratio:.1f}"
        f"{'**' if ratio >= target else ''} (wanted: {target:g})"
        for rival in RIVALS
    ]
    whole = ", ".join(f"{one.ratio(rival, _command):.1f}" for rival in RIVALS)
    return [one.scenario.title, *cells, whole]


def _costs(one: Measured) -> list[str]:
    def cell(who: str) -> str:
        here, there = one.of(who, lambda turn: turn.here), one.of(who, lambda turn: turn.there)
        return f"{here:.2f} + {there:.2f}; {one.of(who, lambda turn: turn.started):.0f}"

    return [one.scenario.title, *(cell(who) for who in CONTENDERS)]


def _missed(one: Measured) -> Iterator[str]:
    """Where the time of a missed target goes."""
    missed = [rival for rival in RIVALS if one.ratio(rival, _run) < one.scenario.target(rival)]
    if not missed:
        return
    ours = one.turns[CLANPY_NAME]
    stages = [
        f"{stage} {median(turn.stages[stage] for turn in ours if stage in turn.stages):.2f} s"
        for stage in STAGES
        if any(stage in turn.stages for turn in ours)
    ]
    here, there, run = (one.of(CLANPY_NAME, what) for what in (lambda t: t.here, lambda t: t.there, _run))
    trips = max(turn.trips for turn in ours)
    yield (
        f"*{one.scenario.title}* misses what is wanted against {' and '.join(missed)}. Where the run's {run:.2f} s go, for the host in the "
        f"middle: {', '.join(stages)}; {trips} round trips; processors, with the program's start: {here:.2f} s here, {there:.2f} s on the hosts.\n"
    )
