"""Positions in TOML: every key and every list element, by a real parser."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from tree_sitter import Node

Steps = tuple[str | int, ...]


def toml_spots(data: bytes) -> dict[Steps, tuple[int, int]]:
    """The line and column of each key and element, both counted from 1; of a repeated table the first one."""
    import tree_sitter_toml  # noqa: PLC0415  # only when there is something to say
    from tree_sitter import Language, Parser  # noqa: PLC0415  # as above

    tree = Parser(Language(tree_sitter_toml.language())).parse(data)
    reader = _Reader(data)
    reader.read(tree.root_node)
    return reader.spots


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.lines = data.split(b"\n")
        self.spots: dict[Steps, tuple[int, int]] = {}
        self.counts: dict[Steps, int] = {}

    def read(self, document: Node) -> None:
        pending: list[tuple[Node, Steps]] = []
        for node in document.children:
            if node.type == "pair":
                pending.append((node, ()))
            elif node.type in {"table", "table_array_element"}:
                prefix = self._table(node)
                pending.extend((child, prefix) for child in node.children if child.type == "pair")
        while pending:
            node, prefix = pending.pop()
            pending.extend(self._value(node, prefix) if node.type != "pair" else self._pair(node, prefix))

    def _table(self, node: Node) -> Steps:
        key = next(child for child in node.children if child.type.endswith("_key"))
        steps = self._resolved(self._key(key, (), header=True), whole=node.type == "table")
        if node.type == "table":
            return steps
        number = self.counts.get(steps, 0)
        self.counts[steps] = number + 1
        self._note((*steps, number), node)
        return (*steps, number)

    def _resolved(self, steps: Steps, *, whole: bool) -> Steps:
        """A table below an array of tables belongs to the array's last element."""
        found: Steps = ()
        last = len(steps) - 1
        for n, step in enumerate(steps):
            found = (*found, step)
            if found in self.counts and (whole or n != last):
                found = (*found, self.counts[found] - 1)
        return found

    def _key(self, node: Node, prefix: Steps, *, header: bool = False) -> Steps:
        """The steps of a key, dotted or not; each of them is noted. Those of a header may name elements of arrays."""
        if node.type == "dotted_key":
            for child in node.children:
                if child.type.endswith("_key"):
                    prefix = self._key(child, prefix, header=header)
            return prefix
        text = (node.text or b"").decode("utf-8", "replace")
        steps = (*prefix, _unquoted(text) if node.type == "quoted_key" else text)
        self._note(self._resolved(steps, whole=False) if header else steps, node)
        return steps

    def _pair(self, node: Node, prefix: Steps) -> list[tuple[Node, Steps]]:
        named = [child for child in node.children if child.type not in {"=", "comment"}]
        if len(named) < 2:  # noqa: PLR2004  # a key and a value
            return []
        return [(named[-1], self._key(named[0], prefix))]

    def _value(self, node: Node, steps: Steps) -> list[tuple[Node, Steps]]:
        if node.type == "inline_table":
            return [(child, steps) for child in node.children if child.type == "pair"]
        if node.type != "array":
            return []
        items = [child for child in node.children if child.type not in {"[", "]", ",", "comment"}]
        for n, item in enumerate(items):
            self._note((*steps, n), item)
        return [(item, (*steps, n)) for n, item in enumerate(items)]

    def _note(self, steps: Steps, node: Node) -> None:
        row, column = node.start_point
        text = self.lines[row][:column] if row < len(self.lines) else b""
        self.spots.setdefault(steps, (row + 1, len(text.decode("utf-8", "replace")) + 1))


def _unquoted(text: str) -> str:
    if text.startswith("'"):
        return text[1:-1]
    try:
        return str(json.loads(text))
    except ValueError:
        return text[1:-1]
