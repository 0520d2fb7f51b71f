"""Positions of keys and values in one text: TOML by tree-sitter, Python by its own parser. Imported when a position is needed."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from tree_sitter import Language, Node, Parser
from tree_sitter_toml import language

from clanpy.inventory.places import Path_, same_key, snake


@dataclass
class TomlIndex:
    """Positions in one TOML text."""

    text: str
    _lines: list[bytes] = field(init=False)
    _reader: _Reader = field(init=False)

    def __post_init__(self) -> None:
        self._lines = self.text.encode().splitlines()
        self._reader = _Reader()

    def find(self, path: Path_) -> tuple[int, int] | None:
        """Line and column of the longest part of the path that is written here."""
        best: tuple[int, Node] | None = None
        for written, node in self._candidates(path):
            found = self._reader.follow(written, node, path)
            if found is not None and (best is None or found[0] >= best[0]):
                best = found
                if best[0] == len(path):
                    break
        return None if best is None else self._position(best[1])

    def _position(self, node: Node) -> tuple[int, int]:
        row, column = node.start_point
        return row + 1, len(self._lines[row][:column].decode("utf-8", "replace")) + 1

    def _candidates(self, path: Path_) -> Iterator[tuple[Path_, Node]]:
        """The tables (their full name, their node) in which the path could be, the longest names first and the root last."""
        wanted = tuple(map(snake, path))
        for length in range(len(path), 0, -1):
            name = wanted[:length]
            nodes = self._headers.get(name)
            if nodes is None:
                nodes = [self._implied[name]] if name in self._implied else []
            for node in reversed(nodes):
                yield path[:length], node
        yield (), self._root

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
                if node.type == "table_array_element":  # also as an element of its list
                    headers[*name, str(len(headers[name]) - 1)] = [node]
        return headers

    @cached_property
    def _implied(self) -> Mapping[Path_, Node]:
        """Tables that are written only as a part of longer headers: [a.b.c] says that there is an a.b."""
        implied: dict[Path_, Node] = {}
        for name, nodes in self._headers.items():
            for length in range(1, len(name)):
                implied.setdefault(name[:length], nodes[0])
        return implied


class _Pair(NamedTuple):
    """A key with its value. `key` is the parts of its name."""

    key: Path_
    pair: Node
    value: Node


class _Reader:
    """Looks into tables and lists of one text, each of them once."""

    def __init__(self) -> None:
        self._pairs: dict[int, dict[Path_, _Pair]] = {}
        self._longest: dict[int, int] = {}
        self._elements: dict[int, tuple[list[Node], dict[str, int]]] = {}

    def follow(self, written: Path_, node: Node, path: Path_) -> tuple[int, Node] | None:
        """How far a path goes in a table, and the key (or element) where it ends."""
        depth, here = len(written), node
        shown: Node | None = node if written else None
        while depth < len(path):
            step = self._element(here, path[depth:]) if here.type == "array" else self._step(here, path[depth:])
            if step is None:
                break
            taken, shown, here = step
            depth += taken
        if shown is None:
            return None
        return depth, shown.named_children[0] if shown.type in {"table", "table_array_element"} else shown

    def _element(self, node: Node, rest: Path_) -> tuple[int, Node, Node] | None:
        """An element further: how many parts it took, the node to show, the value to go on in."""
        elements, texts = self._elements_of(node)
        if rest[0] in texts:
            element = elements[texts[rest[0]]]
            return 1, element, element
        if rest[1:] and rest[1] in texts:  # a list that is the short form of a table
            element = elements[texts[rest[1]]]
            return 2, element, element
        if rest[0].isdecimal() and int(rest[0]) < len(elements):
            element = elements[int(rest[0])]
            return 1, element, element
        return None

    def _elements_of(self, node: Node) -> tuple[list[Node], dict[str, int]]:
        found = self._elements.get(node.id)
        if found is None:
            elements = [child for child in node.named_children if child.type != "comment"]
            texts: dict[str, int] = {}
            for n, child in enumerate(elements):
                if child.type == "string":
                    texts.setdefault(_text(child), n)
            found = self._elements[node.id] = elements, texts
        return found

    def _step(self, node: Node, rest: Path_) -> tuple[int, Node, Node] | None:
        """One key further, as `_element`. A key may have several parts: `a.b.c = 1` says that there is an a.b."""
        pairs = self._pairs_of(node)
        wanted = tuple(map(snake, rest))
        for length in range(min(len(wanted), self._longest[node.id]), 0, -1):
            pair = pairs.get(wanted[:length])
            if pair is None:
                continue
            if length == len(pair.key):
                return length, pair.pair, pair.value
            return (length, pair.pair, pair.pair) if length == len(wanted) else None
        return None

    def _pairs_of(self, node: Node) -> dict[Path_, _Pair]:
        """The pairs of a table by their keys and by the beginnings of their keys."""
        found = self._pairs.get(node.id)
        if found is None:
            found = self._pairs[node.id] = {}
            longest = 0
            for child in node.named_children:
                if child.type != "pair":
                    continue
                key = tuple(snake(part) for part in _key_parts(child.named_children[0]))
                pair = _Pair(key, child, child.named_children[1])  # the last child may be a comment
                for length in range(1, len(key) + 1):
                    found.setdefault(key[:length], pair)
                longest = max(longest, len(key))
            self._longest[node.id] = longest
        return found


def _key_parts(node: Node) -> list[str]:
    if node.type == "dotted_key":
        return [part for child in node.named_children for part in _key_parts(child)]
    text = (node.text or b"").decode("utf-8", "replace")
    return [_text(node)] if node.type == "quoted_key" else [text]


def _text(node: Node) -> str:
    """The value of a string or quoted key."""
    raw = (node.text or b"").decode("utf-8", "replace")
    if "\\" not in raw and not raw.startswith(('"""', "'''")):
        return raw[1:-1]
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
