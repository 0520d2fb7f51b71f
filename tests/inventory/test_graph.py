"""`clanpy inventory graph`: machines, tags, roles and aspects as a picture, and what becomes of a large fleet."""

from __future__ import annotations

import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clanpy.cli.program import run
from clanpy.inventory import load
from clanpy.inventory.graph import KINDS, LIMIT, Edge, Graph, Node, fleet_graph
from clanpy.inventory.graph_svg import to_svg
from clanpy.inventory.graph_text import to_dot, to_mermaid
from clanpy.inventory.model import Fleet
from clanpy.machines import select
from support.fleets import META, REFERENCE, TWO, fleet


SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = ('a"b', "a<b>&'c", "a\\", "]]>", 'x"]; y', "--> n1", "a\nb", "%% c", "é", "#quot;")


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLANPY_FLEET", "CLANPY_JSON", "CLANPY_LAB"):
        monkeypatch.delenv(name, raising=False)


def drawn(graph: Graph) -> Iterator[tuple[str, str]]:
    yield "svg", to_svg(graph)
    yield "dot", to_dot(graph)
    yield "mermaid", to_mermaid(graph)


def edges(graph: Graph) -> set[tuple[str, str]]:
    return {(edge.source, edge.target) for edge in graph.edges}


# --- what is in it ---


def test_it_shows_who_carries_what_who_is_in_what_and_what_is_imported_because_of_it(tmp_path: Path) -> None:
    text = (
        TWO.replace('tags = ["web"]', 'tags = ["web"]\nimports = ["own"]')
        + """
    [tags]
    web = { imports = ["nginx"] }
    unused = { imports = ["other"] }
    [instances.sshd.roles.server]
    tags = ["web"]
    extra_modules = ["extra"]
    [instances.tor.roles.server]
    machines = ["alpha"]
    """
    )
    names = ("nginx", "own", "extra", "other", "base")
    files = {f"modules/nixos/{name}.nix": "{ ... }: { }\n" for name in names}
    files["modules/aspect.toml"] = '[aspects.nixos.nginx]\nimports = ["base"]\n'
    graph = fleet_graph(fleet(tmp_path, text, files))

    assert [node.id for node in graph.nodes] == [
        *("machine:alpha", "machine:beta"),
        *("tag:all", "tag:darwin", "tag:nixos", "tag:web"),
        *("role:sshd/server", "role:tor/server"),
        *("aspect:base", "aspect:extra", "aspect:nginx", "aspect:own"),
    ]
    assert edges(graph) == {
        ("machine:alpha", "tag:all"),
        ("machine:alpha", "tag:nixos"),
        ("machine:alpha", "tag:web"),
        ("machine:alpha", "aspect:own"),
        ("machine:alpha", "role:tor/server"),
        ("machine:beta", "tag:all"),
        ("machine:beta", "tag:darwin"),
        ("tag:web", "role:sshd/server"),
        ("tag:web", "aspect:nginx"),
        ("role:sshd/server", "aspect:extra"),
        ("aspect:nginx", "aspect:base"),
    }


def test_every_machine_tag_and_instance_of_the_reference_fleet_is_in_every_picture() -> None:
    found = load(REFERENCE)
    wanted = {*found.machines, *found.tags, *found.instances}

    for form, text in drawn(fleet_graph(found)):
        assert {name for name in wanted if name not in text} == set(), form


def test_a_selection_shows_only_what_its_machines_have_to_do_with() -> None:
    found = load(REFERENCE)
    graph = fleet_graph(found, select(found, ["tag:gpu"]))

    assert [node.id for node in graph.of("machine")] == ["machine:scheelite"]
    assert {node.id for node in graph.of("tag")} == {f"tag:{tag}" for tag in found.machines["scheelite"].tags}
    assert "role:zerotier/controller" not in {node.id for node in graph.nodes}
    assert "aspect:desktop" not in {node.id for node in graph.nodes}


def test_the_same_fleet_gives_the_same_bytes() -> None:
    assert list(drawn(fleet_graph(load(REFERENCE)))) == list(drawn(fleet_graph(load(REFERENCE))))


# --- large fleets ---


def large(tmp_path: Path) -> Fleet:
    """200 machines of five sorts; each laptop has an instance of its own."""
    lines = [META, '[tags]\nall = { imports = ["base"] }\nweb = { imports = ["nginx"] }\n']
    sorts = [("web", "vm", 80), ("db", "metal", 50), ("edge", "vm", 10)]
    for sort, type_, count in sorts:
        for n in range(count):
            lines.append(f'[machines.{sort}-{n:02}]\nclass = "nixos"\nsystem = "x86_64-linux"\ntype = "{type_}"\n')
            lines.append(f'tags = ["{sort}", "{"eu" if n % 2 else "us"}"]\n')
    for n in range(60):
        lines.append(f'[machines.mac-{n:02}]\nclass = "darwin"\nsystem = "aarch64-darwin"\n')
        lines.append(f'[instances.user-{n:02}]\nmodule = "users"\nroles.default.machines = ["mac-{n:02}"]\n')
    lines.append('[instances.tor.roles.server]\nmachines = ["web-03"]\n')
    files = {f"modules/system/{name}.nix": "{ ... }: { }\n" for name in ("base", "nginx")}
    return fleet(tmp_path, "".join(lines), files)


def test_machines_that_are_alike_are_one_node_where_there_are_many(tmp_path: Path) -> None:
    found = large(tmp_path)
    graph = fleet_graph(found)
    machines, roles = graph.of("machine"), graph.of("role")

    assert graph.machines == 200
    assert len(machines) <= LIMIT
    assert sorted(name for node in machines for name in node.names) == sorted(found.machines)
    assert ("web-01 … web-79", "40 machines · nixos · vm") in {node.lines for node in machines}
    assert [node.lines for node in roles] == [("tor", "server"), ("user-00 … user-59", "60 roles · default · users")]
    (tor,) = (edge for edge in graph.edges if edge.target == "role:tor/server")
    assert tor.some == "1 of 40"


def test_no_machine_is_missing_from_the_picture_of_a_large_fleet(tmp_path: Path) -> None:
    found = large(tmp_path)

    for form, text in drawn(fleet_graph(found)):
        assert {name for name in found.machines if not re.search(rf"\b{name}\b", text)} == set(), form
        assert len(text) < 40_000, form


def test_machines_that_have_little_in_common_are_put_together_by_class_and_type(tmp_path: Path) -> None:
    text = META + "".join(
        f'[machines.m{n}]\nclass = "nixos"\nsystem = "x86_64-linux"\ntags = ["rack-{n}"]\n' for n in range(100)
    )
    graph = fleet_graph(fleet(tmp_path, text))

    assert [(node.kind, len(node.names)) for node in graph.nodes] == [
        ("machine", 100),
        ("tag", 1),
        ("tag", 1),
        ("tag", 100),
    ]
    assert {(edge.target, edge.some) for edge in graph.edges} == {
        ("tag:all", ""),
        ("tag:nixos", ""),
        ("tag:rack-0", "1 of 100"),
    }


# --- that other programs can read it ---


def named(words: tuple[str, ...]) -> Graph:
    """A graph whose nodes are called like this."""
    nodes = tuple(
        Node(
            id=f"{KINDS[n % 4]}:{n}{word}", kind=KINDS[n % 4], names=(word,) if n % 3 else (word, "other"), detail=word
        )
        for n, word in enumerate(words)
    )
    some = tuple(Edge(source=a.id, target=b.id, some=a.names[0]) for a, b in pairwise(nodes) if a.kind != "aspect")
    return Graph(name=words[0] if words else "", machines=1, nodes=nodes, edges=some)


NAMES = st.lists(
    st.sampled_from(HOSTILE) | st.text(st.characters(exclude_categories=["C"]), max_size=10), max_size=9
).map(tuple)


@given(NAMES)
def test_a_picture_is_well_formed_whatever_things_are_called(words: tuple[str, ...]) -> None:
    graph = named(words)
    root = ET.fromstring(to_svg(graph))

    assert root.tag == f"{SVG}svg"
    assert len(root.findall(f".//{SVG}rect")) == 1 + len(graph.nodes)
    assert len(root.findall(f".//{SVG}path")) == len(graph.edges)
    shown = [text.text or "" for text in root.iter(f"{SVG}text")]
    assert all(
        any(" ".join(line.split()) == " ".join(text.split()) for text in shown)
        for node in graph.nodes
        for line in node.lines
    )


@given(NAMES)
def test_dot_is_read_as_it_is_meant_whatever_things_are_called(words: tuple[str, ...]) -> None:
    graph = named(words)
    name, nodes, links = read_dot(to_dot(graph))

    assert name == graph.name.replace("\n", " ")
    assert nodes == {node.id.replace("\n", " ") for node in graph.nodes}
    assert links == {(a.replace("\n", " "), b.replace("\n", " ")) for a, b in edges(graph)}


_DOT = re.compile(r'\s*(?:"(?P<text>(?:[^"\\]|\\.)*)"|(?P<word>\w[\w.]*)|(?P<sign>->|[{}\[\]=;,]))')


def read_dot(text: str) -> tuple[str, set[str], set[tuple[str, str]]]:
    """Name, nodes and edges of a digraph. Fails where the grammar of DOT is not kept to."""
    tokens: list[tuple[str, str]] = []
    place = 0
    while text[place:].strip():
        found = _DOT.match(text, place)
        assert found, text[place : place + 40]
        kind = found.lastgroup or ""
        content = re.sub(r'\\(["\\])', r"\1", found[kind]) if kind == "text" else found[kind]
        tokens.append((kind, content))
        place = found.end()
    kinds = "".join({"text": "t", "word": "w"}.get(kind, content) for kind, content in tokens)
    attributes = r"(?:\[[wt]=[wt](?:,[wt]=[wt])*\])?"
    statements = rf"(?:(?:w=[wt]|w{attributes}|t(?:->t)?{attributes});)*"
    assert re.fullmatch(rf"wt\{{{statements}(?:wt\{{{statements}\}})*{statements}\}}", kinds), kinds
    at = [n for n, (kind, content) in enumerate(tokens) if kind == "sign" and content == "->"]
    links = {(tokens[n - 1][1], tokens[n + 1][1]) for n in at}
    ends = {m for n in at for m in (n - 1, n + 1)}
    nodes = {
        content
        for n, (kind, content) in enumerate(tokens)
        if kind == "text" and n not in ends and tokens[n + 1 : n + 2] == [("sign", "[")]
    }
    return tokens[1][1], nodes, links


@pytest.mark.skipif(shutil.which("dot") is None, reason="there is no Graphviz here")
def test_graphviz_draws_it() -> None:
    text = to_dot(fleet_graph(load(REFERENCE))) + to_dot(named(HOSTILE))
    done = subprocess.run(["dot", "-Tplain"], input=text, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


@given(NAMES)
def test_mermaid_has_one_statement_a_line_whatever_things_are_called(words: tuple[str, ...]) -> None:
    label = r'"[^"`<>\n]*(?:<br/>[^"`<>\n]*)*"'
    shapes = rf"(?:\[{label}\]|\(\[{label}\]\)|\[\[{label}\]\]|\[/{label}/\])"
    allowed = (
        r"flowchart LR",
        r"  %% n\d+: .*",
        rf"  n\d+{shapes}:::(machine|tag|role|aspect)",
        rf"  n\d+ (---?>|-\. {label} \.\.?->) n\d+",
        r"  classDef \w+ fill:#\w+,stroke:#\w+,color:#\w+",
    )
    lines = to_mermaid(named(words)).split("\n")[:-1]

    assert [line for line in lines if not any(re.fullmatch(pattern, line) for pattern in allowed)] == []
    assert len([line for line in lines if ":::" in line and not line.lstrip().startswith("%%")]) == len(words)


# --- the command ---


@pytest.mark.parametrize(
    ("form", "beginning"), [("svg", "<svg "), ("dot", 'digraph "vanixiets" {'), ("mermaid", "flowchart LR")]
)
def test_the_command_prints_it(form: str, beginning: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inventory", "graph", "tag:gpu", "--format", form, "--fleet", str(REFERENCE)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(beginning)
    assert "scheelite" in printed
    assert "stibnite" not in printed


def test_the_command_writes_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "fleet.svg"

    assert run(["inventory", "graph", "-o", str(target), "--fleet", str(REFERENCE)]) == 0
    assert ET.parse(target).getroot().tag == f"{SVG}svg"
    assert run(["inventory", "graph", "-o", str(tmp_path / "no" / "fleet.svg"), "--fleet", str(REFERENCE)]) == 2
    assert "can't be written" in capsys.readouterr().err


def test_no_settings_are_looked_at_for_a_picture(tmp_path: Path) -> None:
    text = TWO + '[instances.nope.roles.x]\ntags = ["web"]\nsettings.whatever = 1\n'  # a service that does not exist

    assert "role:nope/x" in {node.id for node in fleet_graph(fleet(tmp_path, text)).nodes}
