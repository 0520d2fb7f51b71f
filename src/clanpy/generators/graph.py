"""The graph of generators: which need which, in what order they run, and what else has to run when one does."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from clanpy.errors import ClanpyError, nearest, raise_all
from clanpy.generators.context import VarsContext
from clanpy.generators.errors import GeneratorCycleError, GeneratorInvalidError
from clanpy.secrets import Placement, VarId, validation_hash
from clanpy.services.generator import Generator, VarFile
from clanpy.services.generator_problems import problems


@dataclass(frozen=True, slots=True, order=True)
class GeneratorId:
    """One generator at one place. Shared ones come first, then machines by name."""

    placement: Placement
    name: str

    def __str__(self) -> str:
        return f"{self.placement}/{self.name}"

    def var(self, file: str) -> VarId:
        """One of its files."""
        return VarId(self.placement, self.name, file)

    @property
    def sort_key(self) -> tuple[str, str]:
        """Machine, then generator; shared ones have no machine and come first."""
        return (self.placement.name, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A generator with what it needs and who has it.

    Attributes:
        declarations: the declaration of each machine that has it, by machine, sorted; of a generator that is not shared
            there is one. They differ in owners, groups and modes alone.
        needs: the generators that it needs.
    """

    id: GeneratorId
    declarations: Mapping[str, Generator]
    needs: tuple[GeneratorId, ...]

    @property
    def generator(self) -> Generator:
        """Its declaration, as the first machine has it."""
        return next(iter(self.declarations.values()))

    @property
    def machines(self) -> tuple[str, ...]:
        return tuple(self.declarations)

    def readers(self, file: str) -> tuple[str, ...]:
        """The machines that get a file."""
        return tuple(m for m, g in self.declarations.items() if file in g.outputs() and g.outputs()[file].deploy)


@dataclass(frozen=True, slots=True)
class Graph:
    """All generators of a fleet. `nodes` is sorted."""

    nodes: Mapping[GeneratorId, Node]

    def of_machine(self, machine: str) -> tuple[GeneratorId, ...]:
        """The generators that a machine declares, shared ones included."""
        return tuple(id_ for id_, node in self.nodes.items() if machine in node.declarations)

    def dependents(self, roots: Iterable[GeneratorId]) -> dict[GeneratorId, GeneratorId]:
        """Everything that needs one of the roots, directly or not, and because of which generator."""
        direct = _turned(self.nodes.values())
        found: dict[GeneratorId, GeneratorId] = {}
        queue = list(roots)
        while queue:
            cause = queue.pop(0)
            for id_ in direct.get(cause, ()):
                if id_ not in found:
                    found[id_] = cause
                    queue.append(id_)
        return found

    def requirements(self, roots: Iterable[GeneratorId]) -> set[GeneratorId]:
        """Everything that the roots need, directly or not; without the roots."""
        found: set[GeneratorId] = set()
        queue = [need for root in roots for need in self.nodes[root].needs]
        while queue:
            id_ = queue.pop()
            if id_ not in found:
                found.add(id_)
                queue += self.nodes[id_].needs
        return found

    def order(self, some: Iterable[GeneratorId]) -> tuple[GeneratorId, ...]:
        """Generators in an order in which they can run: what is needed first, otherwise by machine and then by name."""
        chosen = set(some)
        waiting = {id_: len(chosen.intersection(self.nodes[id_].needs)) for id_ in chosen}
        direct = _turned(self.nodes[id_] for id_ in chosen)
        ready = [(id_.sort_key, id_) for id_, count in waiting.items() if not count]
        heapq.heapify(ready)
        done: list[GeneratorId] = []
        while ready:
            _, id_ = heapq.heappop(ready)
            done.append(id_)
            for other in direct.get(id_, ()):
                waiting[other] -= 1
                if not waiting[other]:
                    heapq.heappush(ready, (other.sort_key, other))
        return tuple(done)


def build(context: VarsContext) -> Graph:
    """The graph of a fleet.

    Raises:
        GeneratorInvalidError, GeneratorCycleError: declarations make no sense; all that is wrong is told at once.
    """
    errors: list[ClanpyError] = []
    declared: dict[GeneratorId, dict[str, Generator]] = {}
    for name, machine in sorted(context.machines.items()):
        for generator in machine.generators.values():
            errors += problems(generator, machine.class_)
            declared.setdefault(_id_of(name, generator), {})[name] = generator
    nodes = {}
    for id_, declarations in sorted(declared.items(), key=lambda item: item[0].sort_key):
        errors += _differences(id_, declarations)
        needs = list(_needs(id_, declarations, context, errors))
        nodes[id_] = Node(id=id_, declarations=declarations, needs=tuple(sorted(needs, key=lambda n: n.sort_key)))
    raise_all(_unique(errors))
    graph = Graph(nodes)
    if cycle := _cycle(graph):
        raise GeneratorCycleError(
            f"generators need each other in a circle: {' → '.join(map(str, cycle))}",
            place=nodes[cycle[0]].generator.place,
        )
    return graph


def _turned(nodes: Iterable[Node]) -> dict[GeneratorId, list[GeneratorId]]:
    """Who needs each generator directly."""
    direct: dict[GeneratorId, list[GeneratorId]] = {}
    for node in nodes:
        for need in node.needs:
            direct.setdefault(need, []).append(node.id)
    return direct


def _id_of(machine: str, generator: Generator) -> GeneratorId:
    return GeneratorId(Placement.shared() if generator.share else Placement.machine(machine), generator.name)


def _needs(
    id_: GeneratorId, declarations: Mapping[str, Generator], context: VarsContext, errors: list[ClanpyError]
) -> Iterator[GeneratorId]:
    machine, generator = next(iter(declarations.items()))
    there = context.machines[machine].generators
    for name in generator.needs():
        needed = there.get(name)
        if needed is None:
            errors.append(
                GeneratorInvalidError(
                    f"generator {generator.name!r} of machine {machine!r} needs generator {name!r}, which is not declared there",
                    place=generator.place,
                    hint=nearest(name, there),
                )
            )
        elif generator.share and not needed.share:
            errors.append(
                GeneratorInvalidError(
                    f"the shared generator {generator.name!r} needs {name!r}, which each machine has its own of",
                    place=generator.place,
                    hint=f"share {name!r} too, or don't share {generator.name!r}",
                )
            )
        else:
            yield _id_of(machine, needed)


def _differences(id_: GeneratorId, declarations: Mapping[str, Generator]) -> Iterator[ClanpyError]:
    """A shared generator has to be the same on every machine, but for who owns its files there."""
    (first, reference), *others = declarations.items()
    for machine, generator in others:
        ours, theirs = _essence(reference), _essence(generator)
        if differ := [key for key in ours if ours[key] != theirs[key]]:
            yield GeneratorInvalidError(
                f"machines {first} and {machine} declare the shared generator {id_.name!r} differently "
                f"({', '.join(differ)})",
                place=generator.place or reference.place,
            )


def _essence(generator: Generator) -> dict[str, object]:
    return {
        "files": {name: _essence_of_file(file) for name, file in generator.outputs().items()},
        "prompts": dict(generator.prompts),
        "dependencies": generator.needs(),
        "validation": validation_hash(generator.validation),
        "kind": generator.kind,
        "script": generator.script,
        "python": generator.python,
        "runtime_inputs": generator.runtime_inputs,
        "expires": (generator.expires, generator.renew_before),
    }


def _essence_of_file(file: VarFile) -> VarFile:
    return replace(file, owner="", group=None, mode="", restart_units=(), needed_for="services", deploy=True)


def _unique(errors: list[ClanpyError]) -> list[ClanpyError]:
    """The same declaration may come from several machines: its errors are told once."""
    return list({str(error): error for error in errors}.values())


def _cycle(graph: Graph) -> list[GeneratorId]:
    """A circle, beginning with the first of its generators; empty when there is none."""
    left = set(graph.nodes) - set(graph.order(graph.nodes))
    if not left:
        return []
    path = [min(left, key=lambda id_: id_.sort_key)]
    while True:
        following = min((n for n in graph.nodes[path[-1]].needs if n in left), key=lambda id_: id_.sort_key)
        if following in path:
            circle = path[path.index(following) :]
            first = circle.index(min(circle, key=lambda id_: id_.sort_key))
            return [*circle[first:], *circle[:first], circle[first]]
        path.append(following)
