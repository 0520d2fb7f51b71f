"""Computed tags: those whose machines are selected, by what else is known about machines, other tags included.

A tag can be selected by other tags, and by the instances and roles that these lead to. Tags are therefore computed in the order of
what they depend on, and one that depends on itself is an error that shows the circle.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from typing import NamedTuple

from clanpy.errors import ClanpyError
from clanpy.inventory.errors import CircularValueError, SelectionError, TagSelectionError, UnknownNameError
from clanpy.inventory.matching import Matcher, Members, split_role
from clanpy.inventory.model import COMPUTED_TAGS, Fleet, Instance, Machine, User
from clanpy.inventory.selection import Selection, Stdin, Term, leaves, marked, parse


Node = tuple[str, ...]  # ("tag", t), or ("role", instance, role)


class Selected(NamedTuple):
    """A fleet with its computed tags, the machines that each of these selects, and what is wrong with the selections."""

    fleet: Fleet
    machines: Mapping[str, frozenset[str]]
    errors: tuple[ClanpyError, ...]


@dataclass(frozen=True, slots=True)
class _World:
    """A fleet of which the tags are not known yet. They are filled in as they are computed."""

    machines: Mapping[str, Machine]
    users: Mapping[str, User]
    instances: Mapping[str, Instance]
    tags: dict[str, Members]


def with_computed_tags(fleet: Fleet) -> Selected:
    """Add the machines to tags, and the tags to machines, that selections say."""
    records = {name: record for name, record in fleet.tag_records.items() if name not in COMPUTED_TAGS}
    written = {name: record.select for name, record in records.items() if record.select is not None}
    if not written:
        return Selected(fleet, {}, ())
    tags = _Tags(fleet, written)
    selected = tags.compute()
    return Selected(_carrying(fleet, selected), selected, tuple(tags.errors))


def _carrying(fleet: Fleet, selected: Mapping[str, frozenset[str]]) -> Fleet:
    more: dict[str, set[str]] = {}
    for tag, names in selected.items():
        for name in names:
            more.setdefault(name, set()).add(tag)
    machines = {
        name: replace(machine, tags=tuple(sorted({*machine.tags, *more[name]}))) if name in more else machine
        for name, machine in fleet.machines.items()
    }
    tags = {
        tag: tuple(sorted({*names, *selected[tag]})) if tag in selected else names for tag, names in fleet.tags.items()
    }
    return replace(fleet, machines=machines, tags=tags)


class _Tags:
    """The computation for one fleet."""

    def __init__(self, fleet: Fleet, written: Mapping[str, str]) -> None:
        self.fleet = fleet
        self.errors: list[ClanpyError] = []
        self.world = _World(fleet.machines, fleet.users, fleet.instances, dict(fleet.tags))
        self.matcher = Matcher(self.world, strict=False)
        self.selections = {tag: found for tag, text in written.items() if (found := self._parsed(tag, text))}
        self.written = written

    def compute(self) -> dict[str, frozenset[str]]:
        found: dict[str, frozenset[str]] = {}
        for tag in self._in_order():
            self.matcher.problems.clear()
            found[tag] = self.matcher.members(self.selections[tag])
            self.errors.extend(self._unknown(tag))
            self.world.tags[tag] = found[tag].union(self.world.tags.get(tag, ()))
        return found

    def _parsed(self, tag: str, text: str) -> Selection | None:
        try:
            found = parse(text, self.matcher.kinds)
        except SelectionError as error:
            place = self.fleet.where("tags", tag, "select")
            message = f"the selection of tag '{tag}' can't be read: {error.message}"
            self.errors.append(TagSelectionError(message, place=place, hint=error.hint, details=error.details))
            return None
        if any(isinstance(leaf, Stdin) for leaf in leaves(found)):
            place = self.fleet.where("tags", tag, "select")
            message = f"the selection of tag '{tag}' can't be read: there is no standard input, for which '-' stands"
            self.errors.append(TagSelectionError(message, place=place))
            return None
        return found

    def _unknown(self, tag: str) -> Iterator[ClanpyError]:
        for problem in dict.fromkeys(self.matcher.problems):
            yield UnknownNameError(
                f"{problem.message}, which the selection of tag '{tag}' names",
                place=self.fleet.where("tags", tag, "select"),
                hint=problem.hint,
                details=marked(self.written[tag], problem.at),
            )

    # --- order ---

    def _in_order(self) -> list[str]:
        """The computed tags, each behind those that it depends on. Those in a circle are reported and left out."""
        graph: dict[Node, tuple[Node, ...]] = {}
        for tag in self.selections:
            graph[("tag", tag)] = depended = tuple(dict.fromkeys(self._depends(tag)))
            for node in depended:
                if node[0] == "role" and node not in graph:
                    role = self.world.instances[node[1]].roles[node[2]]
                    graph[node] = tuple(("tag", name) for name in role.tags if name in self.selections)
        while True:
            try:
                order = list(TopologicalSorter(graph).static_order())
            except CycleError as error:
                circle: list[Node] = error.args[1]
                self.errors.append(self._circle(circle[::-1]))
                for node in circle:
                    if node[0] == "tag":
                        graph[node] = ()
                        self.selections.pop(node[1], None)
                continue
            return [node[1] for node in order if node[0] == "tag" and node[1] in self.selections]

    def _depends(self, tag: str) -> Iterator[Node]:
        for leaf in leaves(self.selections[tag]):
            if isinstance(leaf, Term) and leaf.kind in {"tag", "instance", "role"}:
                for value in self.matcher.values(leaf):
                    yield from self._nodes(leaf.kind, value)

    def _nodes(self, kind: str, value: str) -> Iterator[Node]:
        if kind == "instance":
            yield from (("role", value, role) for role in self.world.instances[value].roles)
        elif kind == "role":
            yield ("role", *split_role(value))
        elif value in self.selections:
            yield ("tag", value)

    def _circle(self, circle: list[Node]) -> CircularValueError:
        """The error for tags each of which depends on the next, and the last on the first."""
        first = min(range(len(circle) - 1), key=lambda n: (circle[n][0] != "tag", circle[n]))
        nodes = [*circle[first:-1], *circle[: first + 1]]
        steps = [f"{'.'.join(_path(node))}{self._at(node)}" for node in nodes[:-1]]
        return CircularValueError(
            f"tags are selected in a circle: {' → '.join([*steps, '.'.join(_path(nodes[0]))])}",
            place=self.fleet.where(*_path(nodes[0])),
            hint="select by what does not depend on the tag itself; a glob for tags also means the tag that it selects",
        )

    def _at(self, node: Node) -> str:
        place = self.fleet.where(*_path(node))
        return "" if place is None else f" ({place.file}:{place.line})" if place.line else f" ({place.file})"


def _path(node: Node) -> tuple[str, ...]:
    return ("tags", node[1], "select") if node[0] == "tag" else ("instances", node[1], "roles", node[2])
