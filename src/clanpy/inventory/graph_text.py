"""A fleet's graph in the languages of other programs: Graphviz's DOT, and Mermaid, which many sites that show Markdown draw."""

from __future__ import annotations

from collections.abc import Iterator

from clanpy.inventory.graph import KINDS, PLURALS, Graph, Node


_MANY = 10  # names of a node that stands for several; further ones are counted
_SHAPES = {"machine": "box", "tag": "ellipse", "role": "box", "aspect": "note"}
_FILLS = {"machine": "#e8f0fe", "tag": "#fff4e0", "role": "#e6f4ea", "aspect": "#f3e8fd"}
_BRACKETS = {"machine": ("[", "]"), "tag": ("([", "])"), "role": ("[[", "]]"), "aspect": ("[/", "/]")}


def to_dot(graph: Graph) -> str:
    """The graph for `dot`, with the names that a node stands for as its tooltip."""
    return "\n".join(_dot_lines(graph)) + "\n"


def _dot_lines(graph: Graph) -> Iterator[str]:
    yield f"digraph {_dot(graph.name)} {{"
    yield '  rankdir=LR; ranksep=1.5; nodesep=0.1; node [fontname="monospace", fontsize=10, style=filled]; edge [color="#888888"];'
    for kind in KINDS:
        yield f"  subgraph {_dot('cluster_' + kind)} {{"
        yield f'    label={_dot(PLURALS[kind])}; color="#dddddd"; node [shape={_SHAPES[kind]}, fillcolor="{_FILLS[kind]}"];'
        for node in graph.of(kind):
            yield f"    {_dot(node.id)} [label={_dot(*node.lines)}, tooltip={_dot(', '.join(node.names))}];"
        yield "  }"
    for edge in graph.edges:
        some = f" [style=dashed, label={_dot(edge.some)}]" if edge.some else ""
        yield f"  {_dot(edge.source)} -> {_dot(edge.target)}{some};"
    yield "}"


def _dot(*lines: str) -> str:
    """A quoted string, of one or more lines."""
    escaped = (line.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") for line in lines)
    return '"' + "\\n".join(escaped) + '"'


def to_mermaid(graph: Graph) -> str:
    """The graph as a Mermaid flow chart. A comment lists the names of each node that stands for several."""
    return "\n".join(_mermaid_lines(graph)) + "\n"


def _mermaid_lines(graph: Graph) -> Iterator[str]:
    ids = {node.id: f"n{n}" for n, node in enumerate(graph.nodes)}
    yield "flowchart LR"
    for node in graph.nodes:
        yield from (f"  {line}" for line in _mermaid_node(node, ids[node.id]))
    for edge in graph.edges:
        is_long = edge.source.startswith("machine:") and not edge.target.startswith("tag:")  # past the tags
        arrow = f"-. {_mermaid(edge.some)} {'..' if is_long else '.'}->" if edge.some else "--->" if is_long else "-->"
        yield f"  {ids[edge.source]} {arrow} {ids[edge.target]}"
    for kind in KINDS:
        yield f"  classDef {kind} fill:{_FILLS[kind]},stroke:#888,color:#222"


def _mermaid_node(node: Node, id_: str) -> Iterator[str]:
    if len(node.names) > 1:
        yield f"%% {id_}: {', '.join(' '.join(name.split()) for name in node.names)}"
    before, after = _BRACKETS[node.kind]
    yield f"{id_}{before}{_mermaid(*node.lines)}{after}:::{node.kind}"


_ENTITIES = {'"': "#quot;", "#": "#35;", "<": "#lt;", ">": "#gt;", "&": "#amp;", "`": "#96;", "\n": " "}


def _mermaid(*lines: str) -> str:
    """A quoted label, of one or more lines."""
    return '"' + "<br/>".join("".join(_ENTITIES.get(c, c) for c in line) for line in lines) + '"'
