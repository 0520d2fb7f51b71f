"""The fleet as a graph: machines, the tags that they carry, the roles that they are in, and the aspects that all of these import.

A picture of hundreds of boxes tells nothing. Of a large fleet, machines that are alike are one node, and so are tags, roles and
aspects that stand in the same relations. Nothing is left out: a node knows the names that it stands for.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from clanpy.inventory.matching import role_members
from clanpy.inventory.model import COMPUTED_TAGS, Fleet, Machine, Role
from clanpy.modules.deferred import NixClass


NodeKind = Literal["machine", "tag", "role", "aspect"]
KINDS: tuple[NodeKind, ...] = ("machine", "tag", "role", "aspect")
PLURALS = {"machine": "machines", "tag": "tags", "role": "roles of instances", "aspect": "aspects"}
LIMIT = 30  # nodes of one kind that can be looked at; more are put together
_CLASSES: tuple[NixClass, ...] = ("nixos", "darwin")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One or more things of a kind that stand in the same relations. `detail` is a word about them."""

    id: str
    kind: NodeKind
    names: tuple[str, ...]
    detail: str = ""

    @property
    def label(self) -> str:
        """What it is called, in a few words."""
        return self.names[0] if len(self.names) == 1 else f"{self.names[0]} … {self.names[-1]}"

    @property
    def lines(self) -> tuple[str, ...]:
        """What it is called, and what is known about it."""
        count = "" if len(self.names) == 1 else f"{len(self.names)} {PLURALS[self.kind].partition(' ')[0]}"
        about = " · ".join(part for part in (count, self.detail) if part)
        return (self.label, about) if about else (self.label,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """A relation between nodes. `some` says of how many it holds, where it is not all."""

    source: str
    target: str
    some: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """Nodes by kind and name, and the edges between them: machine → tag, machine or tag → role, and all of these → aspect."""

    name: str
    machines: int
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def of(self, kind: NodeKind) -> tuple[Node, ...]:
        return tuple(node for node in self.nodes if node.kind == kind)


def fleet_graph(fleet: Fleet, machines: Sequence[Machine] | None = None, *, limit: int = LIMIT) -> Graph:
    """The graph of some machines (of all, when none are given): these, and what they have to do with.

    No settings are looked at. More than `limit` nodes of a kind are put together as far as they are alike.
    """
    drawing = _Drawing(fleet, tuple(fleet.machines.values()) if machines is None else tuple(machines), limit)
    return drawing.graph()


class _Drawing:
    def __init__(self, fleet: Fleet, machines: Sequence[Machine], limit: int) -> None:
        self.fleet = fleet
        self.machines = machines
        self.limit = limit
        self.chosen = {machine.name for machine in machines}
        self.nodes: dict[str, Node] = {}
        self.counts: dict[tuple[str, str], int] = {}
        self.roles = {
            f"{instance.name}/{name}": role
            for instance in fleet.instances.values()
            for name, role in instance.roles.items()
            if self.chosen.intersection(role_members(fleet, role))
        }

    def graph(self) -> Graph:
        sizes = self._machines()
        self._tags()
        self._roles()
        edges = [self._edge(source, target, sizes) for source, target in self.counts]
        nodes, edges = _reduced(list(self.nodes.values()), edges, self.limit)
        order = {kind: n for n, kind in enumerate(KINDS)}
        return Graph(
            name=self.fleet.meta.name,
            machines=len(self.machines),
            nodes=tuple(sorted(nodes, key=lambda node: (order[node.kind], node.names))),
            edges=tuple(sorted(edges, key=lambda edge: (edge.source, edge.target))),
        )

    def _edge(self, source: str, target: str, sizes: dict[str, int]) -> Edge:
        count, size = self.counts[source, target], sizes.get(source, 0)
        return Edge(source=source, target=target, some=f"{count} of {size}" if 0 < count < size else "")

    def _link(self, source: str, target: str) -> None:
        self.counts[source, target] = self.counts.get((source, target), 0) + 1

    def _machines(self) -> dict[str, int]:
        """The nodes of machines, with what each carries and imports. Gives how many machines each node stands for."""
        sizes = {}
        for group in self._groups():
            first = group[0]
            types = {machine.type for machine in group}
            detail = " · ".join(part for part in (first.class_, first.type if len(types) == 1 else None) if part)
            node = Node(id=f"machine:{first.name}", kind="machine", names=tuple(m.name for m in group), detail=detail)
            self.nodes[node.id] = node
            sizes[node.id] = len(group)
            for machine in group:
                for tag in machine.tags:
                    self._link(node.id, f"tag:{tag}")
                for name in machine.imports:
                    self._link(node.id, self._aspect(name))
                for key in self._named.get(machine.name, ()):
                    self._link(node.id, f"role:{key}")
        return sizes

    def _groups(self) -> list[tuple[Machine, ...]]:
        """The machines, in as many groups as can be looked at, each of machines that are as much alike as possible."""
        self._named: dict[str, list[str]] = {}
        for key, role in self.roles.items():
            for name in role.machines:
                self._named.setdefault(name, []).append(key)
        ways: tuple[Callable[[Machine], Hashable], ...] = (
            lambda m: m.name,
            lambda m: (m.class_, m.type, m.tags, m.imports, tuple(self._named.get(m.name, ()))),
            lambda m: (m.class_, m.tags, m.imports),
            lambda m: (m.class_, m.type),
        )
        groups: list[tuple[Machine, ...]] = []
        for way in ways:
            groups = _grouped(self.machines, way)
            if len(groups) <= self.limit:
                break
        return groups

    def _tags(self) -> None:
        for tag in sorted({tag for machine in self.machines for tag in machine.tags}):
            record = self.fleet.tag_records.get(tag)
            self.nodes[f"tag:{tag}"] = Node(id=f"tag:{tag}", kind="tag", names=(tag,))
            for name in record.imports if record else ():
                self._link(f"tag:{tag}", self._aspect(name))

    def _roles(self) -> None:
        for key, role in self.roles.items():
            instance, _, name = key.partition("/")
            service = self.fleet.instances[instance].service
            detail = name if service == instance else f"{name} · {service}"
            self.nodes[f"role:{key}"] = Node(id=f"role:{key}", kind="role", names=(instance,), detail=detail)
            for tag in role.tags:
                if self.chosen.intersection(self.fleet.tags.get(tag, ())):
                    self._link(f"tag:{tag}", f"role:{key}")
            self._extra(key, role)

    def _extra(self, key: str, role: Role) -> None:
        for name in role.extra_modules:
            self._link(f"role:{key}", self._aspect(name))

    def _aspect(self, wanted: str) -> str:
        """The node of an aspect, made on first need with those that it imports itself."""
        waiting = [wanted]
        while waiting:
            name = waiting.pop()
            id_ = f"aspect:{name}"
            if id_ in self.nodes:
                continue
            classes = [class_ for class_ in _CLASSES if (class_, name) in self.fleet.aspects]
            self.nodes[id_] = Node(id=id_, kind="aspect", names=(name,), detail=", ".join(classes))
            imported = sorted({inner for class_ in classes for inner in self.fleet.aspects[class_, name].imports})
            for inner in imported:
                self._link(id_, f"aspect:{inner}")
            waiting.extend(imported)
        return f"aspect:{wanted}"


def _grouped(machines: Iterable[Machine], way: Callable[[Machine], Hashable]) -> list[tuple[Machine, ...]]:
    groups: dict[Hashable, list[Machine]] = {}
    for machine in machines:
        groups.setdefault(way(machine), []).append(machine)
    return [tuple(group) for group in groups.values()]


def _reduced(nodes: list[Node], edges: list[Edge], limit: int) -> tuple[list[Node], list[Edge]]:
    """Put together what stands in the same relations, among the kinds of which there are too many, until nothing is left to do."""
    many = {kind for kind in KINDS[1:] if sum(node.kind == kind for node in nodes) > limit}
    before = len(nodes) + 1
    while many and len(nodes) < before:
        before = len(nodes)
        for kind in KINDS:
            if kind in many:
                nodes, edges = _without_twins(nodes, edges, kind)
    return nodes, edges


def _without_twins(nodes: list[Node], edges: list[Edge], kind: NodeKind) -> tuple[list[Node], list[Edge]]:
    around: dict[str, set[tuple[bool, str]]] = {node.id: set() for node in nodes}
    for edge in edges:
        around[edge.source].add((True, edge.target))
        around[edge.target].add((False, edge.source))
    twins: dict[Hashable, list[Node]] = {}
    for node in nodes:
        is_alone = node.kind != kind or node.names[0] in COMPUTED_TAGS
        alone = node.id if is_alone else frozenset(around[node.id])
        twins.setdefault((node.kind, node.detail, alone), []).append(node)
    place = {node.id: found[0].id for found in twins.values() for node in found}
    return [_one(found) for found in twins.values()], list(_moved(edges, place))


def _one(twins: list[Node]) -> Node:
    names = tuple(sorted(name for node in twins for name in node.names))
    return replace(twins[0], names=names) if len(twins) > 1 else twins[0]


def _moved(edges: Iterable[Edge], place: dict[str, str]) -> Iterator[Edge]:
    found: dict[tuple[str, str], Edge] = {}
    for edge in edges:
        moved = replace(edge, source=place[edge.source], target=place[edge.target])
        other = found.setdefault((moved.source, moved.target), moved)
        if other.some != moved.some:
            found[moved.source, moved.target] = replace(moved, some="some")
    yield from found.values()
