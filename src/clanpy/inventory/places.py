"""Where a value stands: file, line and column of any key or value of the inventory, found only when somebody asks.

Values come from `tomllib`, which keeps no positions. When an error or an explanation needs one, the file is parsed once more by
tree-sitter (imported then), its table headers are indexed, and the path is followed into the table it is in.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from clanpy.errors import Place
from clanpy.inventory.sources import Source


if TYPE_CHECKING:
    from tree_sitter import Node

Path_ = tuple[str, ...]
_HUMP = re.compile(r"(?<=[a-z0-9])([A-Z])")
_VALUES = {"inline_table", "array"}


def snake(key: str) -> str:
    """Clan's spelling of a key in ours: `targetHost` is `target_host`."""
    return _HUMP.sub(lambda match: f"_{match[1].lower()}", key) if not key.islower() else key


def same_key(written: str, wanted: str) -> bool:
    return written == wanted or snake(written) == wanted


class Places:
    """Looks places up in the sources of a fleet. Cheap to make; files are parsed on first need and once."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._by_name = {source.file: _File(source) for source in sources}
        self._by_prefix: dict[Path_, list[_File]] = {}
        for file in self._by_name.values():
            self._by_prefix.setdefault(file.source.prefix, []).append(file)
        self._found: dict[Path_, Place | None] = {}

    def find(self, path: Path_) -> Place | None:
        """The place of the first definition of a path, or of the longest part of it that is written anywhere.

        A part that names an element of a list is that element's text; `("machines", "a", "tags", "web")` finds the word `web`.
        """
        if path not in self._found:
            self._found[path] = self._find(path)
        return self._found[path]

    def _find(self, path: Path_) -> Place | None:
        best = max(self._writers(path), key=lambda file: file.depth(path), default=None)
        if best is None:
            return None
        return best.place(path) if best.depth(path) else Place(best.source.file)

    def find_all(self, path: Path_) -> tuple[Place, ...]:
        """The places of every file that writes a path as far as anything does."""
        depths = [(file.depth(path), file) for file in self._writers(path)]
        deepest = max((depth for depth, _ in depths), default=0)
        return tuple(file.place(path) for depth, file in depths if depth == deepest and depth)

    def file_of(self, path: Path_) -> Place | None:
        """The first file that writes a path, without parsing anything for the line."""
        return next((Place(file.source.file) for file in self._writers(path) if file.depth(path) == len(path)), None)

    def in_file(self, file: str, path: Path_) -> Place:
        """The place of a path in one file, or the file alone when the path is not in it."""
        known = self._by_name.get(file)
        return known.place(path) if known is not None else Place(file)

    def _writers(self, path: Path_) -> list[_File]:
        """The files that could write a path, in order: those of the whole fleet, and those of the machine it is about."""
        return [file for length in range(len(path) + 1) for file in self._by_prefix.get(path[:length], ())]


@dataclass
class _File:
    source: Source

    def depth(self, path: Path_) -> int:
        """How much of a path this file writes. Asks the data only: nothing is parsed."""
        prefix = self.source.prefix
        shared = len(prefix)
        if path[:shared] != prefix[: len(path)]:
            return 0
        return shared + _depth(self.source.data, path[shared:]) if len(path) >= shared else len(path)

    def place(self, path: Path_) -> Place:
        inner = path[len(self.source.prefix) :]
        found = self._index.find(inner) if inner else None
        return Place(self.source.file, *(found or ()))

    @cached_property
    def _index(self) -> _TomlIndex | _PythonIndex:
        return _PythonIndex(self.source.text) if self.source.path.suffix == ".py" else _TomlIndex(self.source.text)


def _depth(value: Any, path: Path_) -> int:
    for n, part in enumerate(path):
        if isinstance(value, Mapping):
            key = part if part in value else _other_spelling(value, part)
            if key is None:
                return n
            value = value[key]
        elif isinstance(value, list):
            if part in value:
                return n + 1
            if not part.isdecimal() or int(part) >= len(value):
                return n
            value = value[int(part)]
        else:
            return n
    return len(path)


def _other_spelling(table: Mapping[str, Any], wanted: str) -> str | None:
    """The key that means the same. Only a name with an underscore has a second spelling: big tables are not searched."""
    return next((key for key in table if snake(key) == wanted), None) if "_" in wanted else None


@dataclass
class _TomlIndex:
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
            for node in self._headers.get(tuple(snake(part) for part in path[:length]), ()):
                yield path[:length], node
        whole = tuple(snake(part) for part in path)
        if whole in self._implied and whole not in self._headers:
            yield path, self._implied[whole]

    @cached_property
    def _root(self) -> Node:
        from tree_sitter import Language, Parser  # noqa: PLC0415 - only an error or an explanation needs it
        from tree_sitter_toml import language  # noqa: PLC0415 - the same

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
        for n, child in enumerate(elements):
            if (child.type == "string" and _text(child) == rest[0]) or str(n) == rest[0]:
                return 1, child, child
        return None
    partial: tuple[int, Node, Node] | None = None
    for pair in node.named_children:
        if pair.type != "pair":
            continue
        parts = _key_parts(pair.named_children[0])
        shared = _shared(parts, rest)
        if shared == len(parts):
            return shared, pair, pair.named_children[-1]
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
class _PythonIndex:
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
