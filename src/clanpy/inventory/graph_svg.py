"""A fleet's graph as a picture, drawn by clanpy itself: three columns, lines in the colour of the tag that they belong to.

Who stands where is known beforehand (machines, then tags, then roles above aspects), so no general layout is needed: within its column
each node is moved next to what it is connected with, a few times over. Lines that pass a column get a gap in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from clanpy.inventory.graph import PLURALS, Edge, Graph, Node
from clanpy.inventory.model import COMPUTED_TAGS


_CHARACTER = 7.3  # pixels of a character; the font is monospaced
_LINE = 15
_PADDING = 9
_GAP = 12  # between nodes
_LOOSE = 30  # more, where there is room
_SECTION = 26  # more, above the aspects
_PORT = 5  # between lines at the side of a node
_LANE = 9  # for a line that passes a column
_BETWEEN = 190  # columns
_MARGIN = 24
_HEAD = 64
_TITLE = 26
_SWEEPS = 12
_FILLS = {"machine": "#e8f0fe", "tag": "#fff6e5", "role": "#e6f4ea", "aspect": "#f3e8fd"}
_STROKES = {"machine": "#4a6fb5", "tag": "#b58a3a", "role": "#4a9160", "aspect": "#8a5fb0"}
_COLOURS = (
    "#c0392b",
    "#2471a3",
    "#1e8449",
    "#b9770e",
    "#7d3c98",
    "#117a65",
    "#a04000",
    "#5b6ee1",
    "#ad1457",
    "#558b2f",
)
_PALE = "#b8bec6"
_PLAIN = "#5f6b7a"


@dataclass(slots=True)
class _Slot:
    """A place in a column: a node's, or (without a node) that of a line which passes."""

    id: str
    node: Node | None = None
    y: float = 0.0  # of its middle

    @property
    def height(self) -> float:
        return _LANE if self.node is None else 2 * _PADDING - 4 + _LINE * len(self.node.lines)


def to_svg(graph: Graph) -> str:
    """The graph as an SVG document."""
    return "\n".join(_Picture(graph).lines()) + "\n"


class _Picture:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.passing = [
            edge for edge in graph.edges if edge.source.startswith("machine:") and not edge.target.startswith("tag:")
        ]
        lanes = [_Slot(id=_lane(edge)) for edge in self.passing]
        self.columns = [
            [_Slot(id=node.id, node=node) for node in graph.of("machine")],
            [*(_Slot(id=node.id, node=node) for node in graph.of("tag")), *lanes],
            [_Slot(id=node.id, node=node) for kind in ("role", "aspect") for node in graph.of(kind)],
        ]
        self.slots = {slot.id: slot for column in self.columns for slot in column}
        self._order()
        self.widths = [self._width(column) for column in self.columns]
        self.lefts = [_MARGIN + sum(self.widths[:n]) + n * _BETWEEN for n in range(3)]
        self.height = max(_extent(column) for column in self.columns) + _HEAD + _MARGIN
        self.colours = self._tag_colours()
        self.ports = self._ports()

    # --- where things are ---

    def _order(self) -> None:
        """Sort each column by where the neighbours are. The last column keeps its roles above its aspects."""
        near = self._neighbours()
        for sweep in range(_SWEEPS):
            _spread(self.columns)
            for column in (1, 2) if sweep % 2 == 0 else (1, 0):
                means = {
                    slot.id: _mean([self.slots[other].y for other in near[slot.id]], slot.y)
                    for slot in self.columns[column]
                }
                self.columns[column].sort(key=lambda slot, means=means: (_section(slot), means[slot.id], slot.id))  # type: ignore[misc]  # a default that binds
        _spread(self.columns)

    def _neighbours(self) -> dict[str, list[str]]:
        near: dict[str, list[str]] = {slot: [] for slot in self.slots}
        for edge in self.graph.edges:
            steps = [edge.source, edge.target]
            if _lane(edge) in self.slots:
                steps.insert(1, _lane(edge))
            for one, other in pairwise(steps):
                near[one].append(other)
                near[other].append(one)
        return near

    def _width(self, column: Sequence[_Slot]) -> float:
        lines = [line for slot in column if slot.node for line in slot.node.lines]
        return max((len(line) for line in lines), default=8) * _CHARACTER + 2 * _PADDING

    # --- what is drawn ---

    def lines(self) -> Iterator[str]:
        heading = len(PLURALS["role"]) * _CHARACTER
        width = self.lefts[2] + max(self.widths[2] + 40, heading) + _MARGIN
        yield (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {self.height:.0f}" width="{width:.0f}" height="{self.height:.0f}" '
            f'font-family="ui-monospace, \'DejaVu Sans Mono\', Menlo, Consolas, monospace" font-size="12">'
        )
        count = f"{self.graph.machines} machine{'' if self.graph.machines == 1 else 's'}"
        yield f"<title>{escape(self.graph.name)}: {count}</title>"
        yield "<style>.edge:hover path{stroke-width:3.5;opacity:1}</style>"
        yield (
            f'<defs><marker id="arrow" markerWidth="7" markerHeight="6" refX="6" refY="3" orient="auto">'
            f'<polygon points="0,0 7,3 0,6" fill="{_PLAIN}"/></marker></defs>'
        )
        yield '<rect width="100%" height="100%" fill="#ffffff"/>'
        yield f'<text x="{_MARGIN}" y="{_TITLE}" font-size="15" font-weight="bold" fill="#222">{escape(self.graph.name)} · {count}</text>'
        yield from self._headings()
        for edge in self.graph.edges:
            yield from self._edge(edge)
        for n, column in enumerate(self.columns):
            for slot in column:
                if slot.node is not None:
                    yield from self._node(slot, slot.node, self.lefts[n], self.widths[n])
        yield "</svg>"

    def _headings(self) -> Iterator[str]:
        for n, kind in enumerate(("machine", "tag", "role")):
            yield f'<text x="{self.lefts[n]:.1f}" y="{_TITLE + 24}" fill="#667">{PLURALS[kind]}</text>'
        first = next((slot for slot in self.columns[2] if _section(slot)), None)
        if first is not None:
            y = first.y - first.height / 2 - _GAP
            yield f'<text x="{self.lefts[2]:.1f}" y="{y:.1f}" fill="#667">{PLURALS["aspect"]}</text>'

    def _node(self, slot: _Slot, node: Node, left: float, width: float) -> Iterator[str]:
        top = slot.y - slot.height / 2
        radius = slot.height / 2 if node.kind == "tag" else 3
        yield f'<g class="{node.kind}"><title>{escape(", ".join(node.names))}</title>'
        yield (
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{slot.height:.1f}" rx="{radius:.1f}" '
            f'fill="{_FILLS[node.kind]}" stroke="{self.colours.get(node.id, _STROKES[node.kind])}"/>'
        )
        for n, line in enumerate(node.lines):
            fill = "#222" if n == 0 else "#667"
            y = top + _PADDING + _LINE * n + 8
            yield f'<text x="{left + _PADDING:.1f}" y="{y:.1f}" fill="{fill}">{escape(line)}</text>'
        yield "</g>"

    def _edge(self, edge: Edge) -> Iterator[str]:
        tag = next((end for end in (edge.source, edge.target) if end.startswith("tag:")), None)
        colour = self.colours.get(tag, _PLAIN) if tag else _PLAIN
        more = ' stroke-dasharray="5 4"' if edge.some else ""
        if self._column(edge.source) == self._column(edge.target):  # only here it is not from left to right
            more += ' marker-end="url(#arrow)"'
        names = " → ".join(end.partition(":")[2] for end in (edge.source, edge.target))
        some = f" ({edge.some})" if edge.some else ""
        yield (
            f'<g class="edge"><title>{escape(names + some)}</title><path d="{self._path(edge)}" fill="none" stroke="{colour}" '
            f'stroke-width="1.4" opacity="0.75"{more}/></g>'
        )

    def _path(self, edge: Edge) -> str:
        start, end = self._column(edge.source), self._column(edge.target)
        y1, y2 = self.ports[edge, edge.source], self.ports[edge, edge.target]
        x1 = self.lefts[start] + self.widths[start]
        if start == end:  # within the last column: a bow on its right side
            bow = x1 + 14 + min(60, abs(y2 - y1) / 8)
            return f"M{x1:.1f},{y1:.1f} C{bow:.1f},{y1:.1f} {bow:.1f},{y2:.1f} {x1:.1f},{y2:.1f}"
        x2 = self.lefts[end]
        lane = self.slots.get(_lane(edge))
        if lane is None:
            return f"M{x1:.1f},{y1:.1f} {_curve(x1, y1, x2, y2)}"
        left, right = self.lefts[1], self.lefts[1] + self.widths[1]
        return f"M{x1:.1f},{y1:.1f} {_curve(x1, y1, left, lane.y)} L{right:.1f},{lane.y:.1f} {_curve(right, lane.y, x2, y2)}"

    def _ports(self) -> dict[tuple[Edge, str], float]:
        """Where lines begin and end: side by side, in the order in which they go up or down."""
        sides: dict[tuple[str, bool], list[tuple[float, str, Edge]]] = {}
        for edge in self.graph.edges:
            lane = self.slots.get(_lane(edge))
            for one, other in ((edge.source, edge.target), (edge.target, edge.source)):
                is_right = one == edge.source or self._column(one) == self._column(other)
                sides.setdefault((one, is_right), []).append(((lane or self.slots[other]).y, other, edge))
        found = {}
        for (id_, _), ends in sides.items():
            slot = self.slots[id_]
            step = min(_PORT, (slot.height - 8) / max(1, len(ends) - 1))
            for n, (_, _, edge) in enumerate(sorted(ends, key=lambda end: end[:2])):
                found[edge, id_] = slot.y + (n - (len(ends) - 1) / 2) * step
        return found

    def _column(self, id_: str) -> int:
        return {"machine": 0, "tag": 1}.get(id_.partition(":")[0], 2)

    def _tag_colours(self) -> dict[str, str]:
        """A colour for each tag, in their order from top to bottom, so that neighbours differ. Those of every machine are pale."""
        found, n = {}, 0
        for slot in self.columns[1]:
            if slot.node is None:
                continue
            if set(slot.node.names) <= set(COMPUTED_TAGS):
                found[slot.id] = _PALE
            else:
                found[slot.id] = _COLOURS[n % len(_COLOURS)]
                n += 1
        return found


def _lane(edge: Edge) -> str:
    return f"lane:{edge.source}>{edge.target}"


def _section(slot: _Slot) -> int:
    return 1 if slot.id.startswith("aspect:") else 0


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _extent(column: Sequence[_Slot]) -> float:
    is_split = len({_section(slot) for slot in column}) > 1
    return sum(slot.height + _GAP for slot in column) + (_SECTION if is_split else 0)


def _spread(columns: Sequence[Sequence[_Slot]]) -> None:
    """Give all columns the same middle. Those with few nodes have them farther apart."""
    tallest = max(_extent(column) for column in columns)
    for column in columns:
        spare = tallest - _extent(column)
        gap = _GAP + min(_LOOSE, spare / max(1, len(column)))
        y = _HEAD + (tallest - _extent(column) - (gap - _GAP) * len(column)) / 2
        section = _section(column[0]) if column else 0
        for slot in column:
            if _section(slot) != section:
                section = _section(slot)
                y += _SECTION
            slot.y = y + slot.height / 2
            y += slot.height + gap


def _curve(x1: float, y1: float, x2: float, y2: float) -> str:
    middle = (x1 + x2) / 2
    return f"C{middle:.1f},{y1:.1f} {middle:.1f},{y2:.1f} {x2:.1f},{y2:.1f}"
