"""A TOML file as text with places: which bytes a key, a value or a table takes.

Edits are splices of these bytes, so that everything else stays as it is written: comments, order, spelling, line ends.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from tree_sitter import Language, Node, Parser
from tree_sitter_toml import language


Path_ = tuple[str, ...]
Same = Callable[[Path_, str, str], bool]
"""Whether a written key means a wanted one: (the path above it, the written key, the wanted one)."""


def exactly(above: Path_, written: str, wanted: str) -> bool:
    """Keys mean what they say."""
    return written == wanted


class Part(NamedTuple):
    """One part of a key: `b` of `a.b.c`."""

    text: str
    start: int
    end: int


class Pair(NamedTuple):
    """A key with its value."""

    parts: tuple[Part, ...]
    value: Node
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Section:
    """A table with a header, or what stands before the first header. `is_list` is an element of an array of tables."""

    parts: tuple[Part, ...]
    start: int
    head_end: int
    pairs: tuple[Pair, ...]
    is_list: bool = False

    @property
    def name(self) -> Path_:
        return tuple(part.text for part in self.parts)

    @property
    def end(self) -> int:
        return self.pairs[-1].end if self.pairs else self.head_end


class Piece(NamedTuple):
    """Something that says a path or something below it. `at` is the index of the key's part where the path ends."""

    what: Section | Pair
    at: int
    owner: Section | Node

    @property
    def is_whole(self) -> bool:
        """Whether it is the value of the path itself."""
        return isinstance(self.what, Pair) and self.at == len(self.what.parts) - 1

    @property
    def part(self) -> Part:
        return self.what.parts[self.at]


class Container(NamedTuple):
    """A table that is written and stands above a path: how many parts of the path it is, and where it is written."""

    depth: int
    what: Section | Node


class Stuck(NamedTuple):
    """Where a path can't go on: something that is no table. `value` is None for an array of tables."""

    depth: int
    value: Node | None
    start: int


@dataclass(slots=True)
class Found:
    """All that a file has to do with a path."""

    pieces: list[Piece] = field(default_factory=list)
    containers: list[Container] = field(default_factory=list)
    stuck: Stuck | None = None

    @property
    def deepest(self) -> Container:
        return max(self.containers, key=lambda container: container.depth)


class TomlFile:
    """One file, parsed. It has to be TOML; `same` says which written keys are meant by a path."""

    def __init__(self, raw: bytes, same: Same = exactly) -> None:
        self.raw = raw
        self.same = same
        self.sections = tuple(_sections(Parser(Language(language())).parse(raw).root_node))
        self.newline = b"\r\n" if raw.partition(b"\n")[0].endswith(b"\r") else b"\n"

    def find(self, path: Path_) -> Found:
        """Everything that is written at a path, below it, or on the way to it."""
        found = Found()
        lists = [section.name for section in self.sections if section.is_list]
        for section in self.sections:
            if not self._agree(section.parts, path, ()):
                continue
            inside = next((len(name) for name in lists if section.name[: len(name)] == name), None)
            if len(section.parts) >= len(path) and (inside is None or inside >= len(path)):
                found.pieces.append(Piece(section, len(path) - 1, section))
            elif inside is not None:
                found.stuck = Stuck(inside, None, section.start)
            else:
                found.containers.append(Container(len(section.parts), section))
                for pair in section.pairs:
                    self._look(pair, section, path, len(section.parts), found)
        return found

    def _look(self, pair: Pair, owner: Section | Node, path: Path_, depth: int, found: Found) -> None:
        rest = path[depth:]
        if not self._agree(pair.parts, rest, path[:depth]):
            return
        if len(pair.parts) >= len(rest):
            found.pieces.append(Piece(pair, len(rest) - 1, owner))
            return
        below = depth + len(pair.parts)
        if pair.value.type != "inline_table":
            found.stuck = Stuck(below, pair.value, pair.start)
            return
        found.containers.append(Container(below, pair.value))
        for inner in pairs_of(pair.value):
            self._look(inner, pair.value, path, below, found)

    def _agree(self, parts: Iterable[Part], path: Path_, above: Path_) -> bool:
        """Whether a key and a path are the same as far as both go."""
        return all(
            self.same((*above, *path[:n]), part.text, wanted)
            for n, (part, wanted) in enumerate(zip(parts, path, strict=False))
        )

    def value(self, path: Path_) -> Node | None:
        """The value at a path; parts that are numbers lead into lists."""
        for length in range(len(path), 0, -1):
            found = self.find(path[:length])
            if len(found.pieces) == 1 and found.pieces[0].is_whole:
                pair = found.pieces[0].what
                return _inside(pair.value, path[length:]) if isinstance(pair, Pair) else None
        return self._in_element(path)

    def _in_element(self, path: Path_) -> Node | None:
        """A value in an array of tables: `waves.0.select`, where the file says `[[waves]]`."""
        for depth in range(1, len(path)):
            elements = [section for section in self.sections if section.is_list and section.name == path[:depth]]
            if elements and path[depth].isdecimal() and int(path[depth]) < len(elements):
                return _in_pairs(elements[int(path[depth])].pairs, path[depth + 1 :])
        return None

    def line_start(self, position: int) -> int:
        return self.raw.rfind(b"\n", 0, position) + 1

    def line_end(self, position: int) -> int:
        """Behind the end of the line."""
        end = self.raw.find(b"\n", position)
        return len(self.raw) if end < 0 else end + 1

    def line_of(self, position: int) -> int:
        """The number of the line, counted from 1."""
        return self.raw.count(b"\n", 0, position) + 1


def pairs_of(node: Node) -> tuple[Pair, ...]:
    """The pairs of a table, with or without a header."""
    return tuple(_pair(child) for child in node.named_children if child.type == "pair")


def elements_of(array: Node) -> list[Node]:
    return [child for child in array.named_children if child.type != "comment"]


def text_of(node: Node) -> str | None:
    """The text that a string says; None for anything else."""
    return _unquoted(node) if node.type == "string" else None


def _inside(value: Node, rest: Path_) -> Node | None:
    if not rest:
        return value
    if value.type == "inline_table":
        return _in_pairs(pairs_of(value), rest)
    if value.type != "array" or not rest[0].isdecimal() or int(rest[0]) >= len(elements_of(value)):
        return None
    return _inside(elements_of(value)[int(rest[0])], rest[1:])


def _in_pairs(pairs: Iterable[Pair], path: Path_) -> Node | None:
    for pair in pairs:
        name = tuple(part.text for part in pair.parts)
        if path[: len(name)] == name:
            found = _inside(pair.value, path[len(name) :])
            if found is not None:
                return found
    return None


def _sections(root: Node) -> Iterator[Section]:
    yield Section((), 0, 0, pairs_of(root))
    for node in root.named_children:
        if node.type in {"table", "table_array_element"}:
            is_list = node.type == "table_array_element"
            closing = next(child for child in node.children if child.type == ("]]" if is_list else "]"))
            parts = tuple(_parts(node.named_children[0]))
            yield Section(parts, node.start_byte, closing.end_byte, pairs_of(node), is_list)


def _pair(node: Node) -> Pair:
    key, value = node.named_children[:2]  # a comment on the same line may follow
    return Pair(tuple(_parts(key)), value, key.start_byte, value.end_byte)


def _parts(node: Node) -> Iterator[Part]:
    if node.type == "dotted_key":
        for child in node.named_children:
            yield from _parts(child)
    else:
        text = _unquoted(node) if node.type == "quoted_key" else (node.text or b"").decode()
        yield Part(text, node.start_byte, node.end_byte)


def _unquoted(node: Node) -> str:
    return str(tomllib.loads(f"x = {(node.text or b'').decode()}")["x"])
