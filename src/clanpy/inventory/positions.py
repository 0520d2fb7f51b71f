"""Positions of keys and values in one text: TOML by tree-sitter, Python by its own parser. Imported when a position is needed."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from tree_sitter import Language, Node, Parser
from tree_sitter_toml import language

from clanpy.inventory.places import Path_, same_key, snake


@dataclass
class TomlIndex:
    """Positions in one TOML text."""

    text: str
    _lines: list[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self._lines = self.text.encode().splitlines()

    def find(self, path: Path_) -> tuple[int, int] | None:
        """Line and column of the longest part of the path that is written here."""
        best: tuple[int, Node] | None = None
        for written, node in self._candidates(path):
            found = _follow(written, node, path)
            if found is not None and (best is None or found[0] > best[0]):
                best = found
        return None if best is None else self._position(best[1])

    def _position(self, node: Node) -> tuple[int, int]:
        row, column = node.start_point
        return row + 1, len(self._lines[row][:column].decode("utf-8", "replace")) + 1

    def _candidates(self, path: Path_) -> Iterator[tuple[Path_, Node]]:
        """The tables (their full name, their node) in which the path could be, the root among them."""
        yield (), self._root
        for length in range(1, len(path) + 1):
            name = tuple(snake(part) for part in path[:length])
            implied = [self._implied[name]] if name in self._implied else []
            for node in self._headers.get(name, implied):
                yield path[:length], node

    @cached_property
    def _root(self) -> Node:
        return Parser(Language(language())).parse(self.text.encode()).root_node

    @cached_property
    def _headers(self) -> Mapping[Path_, list[Node]]:
        headers: dict[Path_, list[Node]] = {}
        for node in self._root.named_children:
            if node.type in {"table", "table_array_element"}:
                name = tuple(snake(part) for part in _key_parts(node.named_children[0]))
                headers.setdefault(name, []).append(node)
        return headers

    @cached_property
    def _implied(self) -> Mapping[Path_, Node]:
        """Tables that are written only as a part of longer headers: [a.b.c] says that there is an a.b."""
        implied: dict[Path_, Node] = {}
        for name, nodes in self._headers.items():
            for length in range(1, len(name)):
                implied.setdefault(name[:length], nodes[0])
        return implied


def _follow(written: Path_, node: Node, path: Path_) -> tuple[int, Node] | None:
    """How far a path goes in a table, and the key (or element) where it ends."""
    depth, here = len(written), node
    shown: Node | None = node if written else None
    while depth < len(path):
        step = _step(here, path[depth:])
        if step is None:
            break
        taken, shown, here = step
        depth += taken
    if shown is None:
        return None
    return depth, shown.named_children[0] if shown.type in {"table", "table_array_element"} else shown


def _step(node: Node, rest: Path_) -> tuple[int, Node, Node] | None:
    """One key or element further: how many parts it took, the node to show, the value to go on in."""
    if node.type == "array":
        elements = [child for child in node.named_children if child.type != "comment"]
        texts = [_text(child) if child.type == "string" else None for child in elements]
        if rest[0] in texts:
            element = elements[texts.index(rest[0])]
            return 1, element, element
        if rest[1:] and rest[1] in texts:  # a list that is the short form of a table
            element = elements[texts.index(rest[1])]
            return 2, element, element
        if rest[0].isdecimal() and int(rest[0]) < len(elements):
            element = elements[int(rest[0])]
            return 1, element, element
        return None
    partial: tuple[int, Node, Node] | None = None
    for pair in node.named_children:
        if pair.type != "pair":
            continue
        parts = _key_parts(pair.named_children[0])
        shared = _shared(parts, rest)
        if shared == len(parts):
            return shared, pair, pair.named_children[1]  # the last child may be a comment
        if shared == len(rest) and partial is None:
            partial = shared, pair, pair  # `a.b.c = 1` says that there is an a.b
    return partial


def _shared(parts: Sequence[str], rest: Path_) -> int:
    count = 0
    for part, wanted in zip(parts, rest, strict=False):
        if not same_key(part, wanted):
            break
        count += 1
    return count


def _key_parts(node: Node) -> list[str]:
    if node.type == "dotted_key":
        return [part for child in node.named_children for part in _key_parts(child)]
    text = (node.text or b"").decode("utf-8", "replace")
    return [_text(node)] if node.type == "quoted_key" else [text]


def _text(node: Node) -> str:
    """The value of a string or quoted key."""
    raw = (node.text or b"").decode("utf-8", "replace")
    try:
        return str(tomllib.loads(f"x = {raw}")["x"])
    except ValueError:
        return raw


@dataclass
class PythonIndex:
    """Positions of the keys of the dictionary displays of one Python text."""

    text: str

    def find(self, path: Path_) -> tuple[int, int] | None:
        best: tuple[int, ast.expr] | None = None
        for node in ast.walk(ast.parse(self.text)):
            if isinstance(node, ast.Dict):
                depth, key = _follow_dict(node, path)
                if key is not None and (best is None or depth > best[0]):
                    best = depth, key
        return None if best is None else (best[1].lineno, best[1].col_offset + 1)


def _follow_dict(node: ast.expr, path: Path_) -> tuple[int, ast.expr | None]:
    shown: ast.expr | None = None
    for depth, part in enumerate(path):
        if not isinstance(node, ast.Dict):
            return depth, shown
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(key.value, str) and same_key(key.value, part):
                shown, node = key, value
                break
        else:
            return depth, shown
    return len(path), shown
