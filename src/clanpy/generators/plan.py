"""What has to run, and why: computed from what is declared and what is there, before anything is asked or made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from clanpy.errors import nearest
from clanpy.generators.errors import VarNotFoundError
from clanpy.generators.graph import GeneratorId, Graph, Node
from clanpy.generators.states import Health, State, health
from clanpy.secrets import VarStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One generator that has to run."""

    node: Node
    reason: str

    @property
    def id(self) -> GeneratorId:
        return self.node.id

    def to_dict(self) -> dict[str, Any]:
        """As JSON: what runs, why, what is asked, which files it makes and which machines get them."""
        generator = self.node.generator
        return {
            "generator": self.id.name,
            "machine": self.id.placement.name or None,
            "reason": self.reason,
            "prompts": sorted(generator.prompts),
            "files": sorted(generator.outputs()),
            "machines": list(self.node.machines),
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in the order in which they can run, and the generators that they are of."""

    steps: tuple[Step, ...]
    ids: frozenset[GeneratorId] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", frozenset(step.id for step in self.steps))

    def __bool__(self) -> bool:
        return bool(self.steps)

    @property
    def machines(self) -> tuple[str, ...]:
        """The machines whose values will be others, sorted."""
        return tuple(sorted({machine for step in self.steps for machine in step.node.machines}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What was asked for.

    Attributes:
        machines: names that exist.
        generators: by name; all when there are none.
        regenerate: whether to make values again that are good.
    """

    machines: tuple[str, ...]
    generators: tuple[str, ...] = ()
    regenerate: bool = False


def plan(graph: Graph, store: VarStore, wanted: Wanted, now: datetime) -> Plan:
    """What has to run so that all that was asked for is there and up to date.

    Only what the named machines declare counts, and what that needs. When a value is made again, so are all that were
    made from it, wherever they are.

    Raises:
        VarNotFoundError: a generator is not declared by any of the machines.
    """
    roots = _roots(graph, wanted)
    state = _remembered(lambda id_: health(graph.nodes[id_], store, now))
    reasons = dict.fromkeys(roots, "asked for") if wanted.regenerate else {}
    before = -1
    while len(reasons) > before:
        before = len(reasons)
        _add_unfit(graph, [*roots, *reasons], state, reasons)
        _add_dependents(graph, state, reasons)
    return Plan(tuple(Step(node=graph.nodes[id_], reason=reasons[id_]) for id_ in graph.order(reasons)))


def _add_unfit(
    graph: Graph, some: list[GeneratorId], state: Callable[[GeneratorId], Health], reasons: dict[GeneratorId, str]
) -> None:
    for id_ in [*some, *graph.requirements(some)]:
        found = state(id_)
        if found.state is not None:
            reasons[id_] = f"{found.state.value}: {found.detail}"


def _add_dependents(graph: Graph, state: Callable[[GeneratorId], Health], reasons: dict[GeneratorId, str]) -> None:
    for id_, cause in graph.dependents(list(reasons)).items():
        # What is not there yet, on a machine that was not asked for, is made when it is asked for.
        if id_ not in reasons and state(id_).state is not State.MISSING:
            reasons[id_] = f"made from {cause}, which is made again"


def _roots(graph: Graph, wanted: Wanted) -> list[GeneratorId]:
    own = sorted({id_ for m in wanted.machines for id_ in graph.of_machine(m)}, key=lambda id_: id_.sort_key)
    names = {id_.name for id_ in own}
    for name in wanted.generators:
        if name not in names:
            raise VarNotFoundError(
                f"none of the machines {', '.join(wanted.machines)} declares a generator {name!r}",
                hint=nearest(name, names),
            )
    return [id_ for id_ in own if not wanted.generators or id_.name in wanted.generators]


def _remembered(compute: Callable[[GeneratorId], Health]) -> Callable[[GeneratorId], Health]:
    known: dict[GeneratorId, Health] = {}

    def look_up(id_: GeneratorId) -> Health:
        if id_ not in known:
            known[id_] = compute(id_)
        return known[id_]

    return look_up
