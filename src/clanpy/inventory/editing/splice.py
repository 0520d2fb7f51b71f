"""Changing one thing in a TOML text and nothing else.

Each change is tried in the ways in which it can be written, the most fitting first, and the first counts that makes the file's data
what it should be: the text is never trusted, it is parsed again.
"""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import tomlkit
from tomlkit.api import key as toml_key
from tree_sitter import Node

from clanpy.errors import Place
from clanpy.inventory.editing.errors import NotEditableError
from clanpy.inventory.editing.tomlfile import (
    Found,
    Pair,
    Path_,
    Piece,
    Same,
    Section,
    TomlFile,
    elements_of,
    exactly,
    pairs_of,
)


Expand = Callable[[Path_, Any], Any]
"""The table that a short form (a list, a text) at a path stands for; the value itself when it stands for none."""


class Splice(NamedTuple):
    """Bytes in the place of others."""

    start: int
    end: int
    text: bytes = b""


def applied(raw: bytes, splices: list[Splice]) -> bytes:
    """The text with all of them, which must not overlap."""
    for splice in sorted(splices, reverse=True):
        raw = raw[: splice.start] + splice.text + raw[splice.end :]
    return raw


def data_of(raw: bytes) -> dict[str, Any]:
    return tomllib.loads(raw.decode())


def rendered(value: Any) -> str:
    """A value as TOML, on one line."""
    if isinstance(value, Mapping):
        inner = ", ".join(f"{written_key(str(key))} = {rendered(item)}" for key, item in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list):
        return f"[{', '.join(rendered(item) for item in value)}]"
    return str(tomlkit.item(value).as_string())


def written_key(name: str) -> str:
    return toml_key(name).as_string() if name else '""'


def dotted_key(path: Path_) -> str:
    return ".".join(map(written_key, path))


# Setting


def with_value(
    raw: bytes,
    path: Path_,
    value: Any,
    *,
    same: Same = exactly,
    expand: Expand = lambda path, value: value,
    file: str = "",
) -> bytes:
    """The text in which a path has a value, and all else is as it was.

    Raises:
        NotEditableError: something on the way is no table.
    """
    parsed = TomlFile(raw, same)
    found = parsed.find(path)
    stuck, short = found.stuck, None
    if stuck is not None and not found.pieces:
        short = _long_form(parsed, path, expand)
        if not isinstance(short, dict):
            raise NotEditableError(
                f"'{dotted_key(path[: stuck.depth])}' is no table, so that nothing can be set in it",
                place=Place(file, parsed.line_of(stuck.start)),
                hint="set the whole of it",
            )
    wanted = _put(data_of(raw), path, value, same, expand)
    if short is not None and stuck is not None and stuck.value is not None:
        long = _put({path[stuck.depth - 1]: short}, path[stuck.depth - 1 :], value, same, expand)
        text = rendered(long[path[stuck.depth - 1]]).encode()
        attempts: Iterator[bytes] = iter([applied(raw, [Splice(stuck.value.start_byte, stuck.value.end_byte, text)])])
    else:
        attempts = _ways(parsed, found, path, value)
    for attempt in attempts:
        if _says(attempt, wanted):
            return attempt
    raise NotEditableError(
        f"'{dotted_key(path)}' can't be written into this file as it is laid out",
        place=Place(file),
        hint="change it by hand",
    )


def _says(raw: bytes, wanted: dict[str, Any]) -> bool:
    try:
        return data_of(raw) == wanted
    except ValueError:
        return False


def _long_form(parsed: TomlFile, path: Path_, expand: Expand) -> Any:
    """What a short form on the way to a path stands for."""
    data: Any = data_of(parsed.raw)
    for n, part in enumerate(path):
        if not isinstance(data, dict):
            return expand(path[:n], data)
        key = _key(data, path[:n], part, parsed.same)
        if key is None:
            return None
        data = data[key]
    return None


def _key(table: Mapping[str, Any], above: Path_, wanted: str, same: Same) -> str | None:
    return wanted if wanted in table else next((key for key in table if same(above, key, wanted)), None)


def _put(data: dict[str, Any], path: Path_, value: Any, same: Same, expand: Expand) -> dict[str, Any]:
    """Data in which a path has a value."""
    new = here = copy.deepcopy(data)
    for n, part in enumerate(path[:-1]):
        key = _key(here, path[:n], part, same) or part
        inner = here.get(key, {})
        here[key] = inner if isinstance(inner, dict) else expand(path[: n + 1], inner)
        here = here[key]
    here[_key(here, path[:-1], path[-1], same) or path[-1]] = copy.deepcopy(value)
    return new


def _ways(parsed: TomlFile, found: Found, path: Path_, value: Any) -> Iterator[bytes]:
    pieces = found.pieces
    if len(pieces) == 1 and isinstance(pieces[0].what, Pair) and pieces[0].is_whole:
        old = pieces[0].what.value
        yield applied(parsed.raw, [Splice(old.start_byte, old.end_byte, rendered(value).encode())])
        return
    if pieces:
        first = pieces[0].what
        if isinstance(value, dict) and isinstance(first, Section) and all(isinstance(p.what, Section) for p in pieces):
            removed = [_section_span(parsed, p.what) for p in pieces if isinstance(p.what, Section)]
            new = _section_text(parsed, path, value)
            kept = parsed.raw[_content_end(parsed, first) : removed[0].end]  # the empty lines behind it
            yield applied(parsed.raw, [removed[0]._replace(text=new + kept), *removed[1:]])
        parsed = TomlFile(_without(parsed, path), parsed.same)
        found = parsed.find(path)
    yield from _insertions(parsed, found, path, value)


def _insertions(parsed: TomlFile, found: Found, path: Path_, value: Any) -> Iterator[bytes]:
    depth, container = found.deepest
    rest = path[depth:]
    if not isinstance(container, Section):
        yield _into_inline(parsed, container, rest, value)
        return
    is_table = isinstance(value, dict)
    siblings = _share(parsed, path[:-1]) if len(path) > 1 else 0
    if is_table and value and depth < len(path) - 1 and siblings >= min(depth + 1, len(path) - 1):
        yield _new_section(parsed, path, value)
    related = any(parsed.same(path[:depth], pair.parts[0].text, rest[0]) for pair in container.pairs)
    if (depth and not (len(rest) > 1 and _share(parsed, path[: depth + 1]) > depth)) or related:
        yield _into_section(parsed, container, rest, value)
    if is_table:
        yield _new_section(parsed, path, value)
    if len(path) > 1:
        yield _new_section(parsed, path[:-1], {path[-1]: value})
    yield _into_section(parsed, container, rest, value)


def _share(parsed: TomlFile, path: Path_) -> int:
    """How many parts of a path a header begins with, at most."""
    best = 0
    for section in parsed.sections:
        shared = 0
        for n, (part, wanted) in enumerate(zip(section.parts, path, strict=False)):
            if not parsed.same(path[:n], part.text, wanted):
                break
            shared = n + 1
        best = max(best, shared)
    return best


def _into_inline(parsed: TomlFile, table: Node, rest: Path_, value: Any) -> bytes:
    text = f"{dotted_key(rest)} = {rendered(value)}".encode()
    pairs = pairs_of(table)
    if pairs:
        return applied(parsed.raw, [Splice(pairs[-1].end, pairs[-1].end, b", " + text)])
    return applied(parsed.raw, [Splice(table.start_byte, table.end_byte, b"{ " + text + b" }")])


def _into_section(parsed: TomlFile, section: Section, rest: Path_, value: Any) -> bytes:
    text = f"{dotted_key(rest)} = {rendered(value)}".encode()
    after = _nearest_pair(section, rest)
    if after is None and not section.parts:
        position = _behind_first_comment(parsed)
        before = parsed.newline if position and not parsed.raw[:position].endswith(b"\n") else b""
        more = parsed.newline if parsed.raw[position:].strip() else b""
        return applied(parsed.raw, [Splice(position, position, before + text + parsed.newline + more)])
    anchor = section.head_end if after is None else after.end
    start = section.start if after is None else after.start
    indent = parsed.raw[parsed.line_start(start) : start]
    return _line_behind(parsed, anchor, (indent if not indent.strip() else b"") + text)


def _nearest_pair(section: Section, rest: Path_) -> Pair | None:
    """The pair that begins most as a key does; of several, the last."""
    best: Pair | None = None
    most = 0
    for pair in section.pairs:
        shared = 0
        for part, wanted in zip(pair.parts, rest, strict=False):
            if part.text != wanted:
                break
            shared += 1
        if shared >= most:
            best, most = pair, shared
    return best


def _behind_first_comment(parsed: TomlFile) -> int:
    """Where the first pair of a file goes: behind the comment that it begins with."""
    position = 0
    while parsed.raw[position : parsed.line_end(position)].startswith(b"#"):
        position = parsed.line_end(position)
    if position and not parsed.raw[position : parsed.line_end(position)].strip():
        return parsed.line_end(position)
    return 0


def _line_behind(parsed: TomlFile, position: int, text: bytes) -> bytes:
    end = parsed.line_end(position)
    before = b"" if not end or parsed.raw[:end].endswith(b"\n") else parsed.newline
    return applied(parsed.raw, [Splice(end, end, before + text + parsed.newline)])


def _section_text(parsed: TomlFile, path: Path_, value: Mapping[str, Any]) -> bytes:
    lines = [f"[{dotted_key(path)}]"]
    lines += [f"{dotted_key(name)} = {rendered(item)}" for name, item in _flat(value)]
    return b"".join(line.encode() + parsed.newline for line in lines)


def _flat(value: Mapping[str, Any], above: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    for name, item in value.items():
        if isinstance(item, dict) and item:
            yield from _flat(item, (*above, name))
        else:
            yield (*above, name), item


def _new_section(parsed: TomlFile, path: Path_, value: Mapping[str, Any]) -> bytes:
    """A table with a header of its own, behind the last whose name begins most as its does."""
    text = _section_text(parsed, path, value)
    shared = _share(parsed, path)
    after = None
    for section in parsed.sections:
        names = zip(section.parts, path[:shared], strict=False)
        agree = all(parsed.same(path[:n], part.text, wanted) for n, (part, wanted) in enumerate(names))
        if shared and agree and len(section.parts) >= shared:
            after = section
    position = len(parsed.raw) if after is None else _content_end(parsed, after)
    before, behind = parsed.raw[:position], parsed.raw[position:]
    gap = b"" if not before.strip() else parsed.newline
    if before and not before.endswith(b"\n"):
        gap += parsed.newline
    elif before.endswith((b"\n\n", b"\n\r\n")):
        gap = b""
    follow = b"" if not behind or behind.startswith((b"\n", b"\r\n")) else parsed.newline
    return before + gap + text + follow + behind


def _content_end(parsed: TomlFile, section: Section) -> int:
    """Behind the last line of a table, with the comments right below it when they are no part of what follows."""
    end = here = parsed.line_end(section.end)
    while parsed.raw[here : parsed.line_end(here)].lstrip().startswith(b"#"):
        here = parsed.line_end(here)
    return here if not parsed.raw[here : parsed.line_end(here)].strip() else end


# Removing


def without(raw: bytes, path: Path_, *, same: Same = exactly, is_entry: Callable[[Path_], bool] = bool) -> bytes:
    """The text in which nothing says a path, and all else is as it was.

    A table that has lost its last key goes as well, unless `is_entry` says that it means something by being there.
    """
    text = _without(TomlFile(raw, same), path)
    if text == raw:
        return raw
    kept = data_of(text)
    missing = [path[:n] for n in range(1, len(path)) if not _is_there(kept, path[:n], same)]
    entries = [above for above in missing if is_entry(above)]
    return with_value(text, entries[-1], {}, same=same) if entries else text


def _is_there(data: Any, path: Path_, same: Same) -> bool:
    for n, part in enumerate(path):
        key = _key(data, path[:n], part, same) if isinstance(data, dict) else None
        if key is None:
            return False
        data = data[key]
    return True


def _without(parsed: TomlFile, path: Path_) -> bytes:
    while pieces := parsed.find(path).pieces:
        parsed = TomlFile(applied(parsed.raw, [_span(parsed, pieces[-1])]), parsed.same)
    return parsed.raw


def _span(parsed: TomlFile, piece: Piece) -> Splice:
    if isinstance(piece.what, Section):
        return _section_span(parsed, piece.what)
    if isinstance(piece.owner, Section):
        return Splice(parsed.line_start(piece.what.start), parsed.line_end(piece.what.end))
    pairs = [(pair.start, pair.end) for pair in pairs_of(piece.owner)]
    return _between(piece.owner, pairs, pairs.index((piece.what.start, piece.what.end)))


def _section_span(parsed: TomlFile, section: Section) -> Splice:
    """A table with the empty lines behind it; at the end of the file, those before it."""
    start, end = parsed.line_start(section.start), parsed.line_end(section.end)
    while end < len(parsed.raw) and not parsed.raw[end : parsed.line_end(end)].strip():
        end = parsed.line_end(end)
    while end == len(parsed.raw) and start and not parsed.raw[parsed.line_start(start - 1) : start].strip():
        start = parsed.line_start(start - 1)
    return Splice(start, end)


def _between(owner: Node, spans: list[tuple[int, int]], n: int) -> Splice:
    """One of several things with commas between them."""
    if len(spans) == 1:
        return Splice(owner.start_byte + 1, owner.end_byte - 1)
    return Splice(spans[n][0], spans[n + 1][0]) if n + 1 < len(spans) else Splice(spans[n - 1][1], spans[n][1])


def without_element(raw: bytes, array: Node, element: Node) -> Splice:
    """What has to go so that an element is no longer in its list: its lines, where it has lines of its own."""
    spans = [(node.start_byte, node.end_byte) for node in elements_of(array)]
    at = spans.index((element.start_byte, element.end_byte))
    start, end = raw.rfind(b"\n", 0, element.start_byte) + 1, raw.find(b"\n", element.end_byte)
    before, behind = raw[start : element.start_byte].strip(), raw[element.end_byte : end].strip()
    is_alone = array.start_byte < start and 0 < end < array.end_byte and not before
    if is_alone and (behind.startswith(b",") or at == len(spans) - 1):
        behind = behind.removeprefix(b",").strip()
        if not behind or behind.startswith(b"#"):
            return Splice(start, end + 1)
    if len(spans) > 1:
        return _between(array, spans, at)
    is_plain = b"#" not in raw[array.start_byte : spans[0][0]] + raw[spans[0][1] : array.end_byte]
    return Splice(array.start_byte + 1, array.end_byte - 1) if is_plain else _with_comma(raw, array, *spans[0])


def _with_comma(raw: bytes, array: Node, start: int, end: int) -> Splice:
    """The only element of a list with comments, and the comma behind it."""
    comma = next((child.end_byte for child in array.children if child.type == ","), None)
    return Splice(start, end if comma is None or raw[end : comma - 1].strip() else comma)
