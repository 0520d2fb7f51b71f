"""Where the files of a fleet name a machine: its entry, lists and tables of members, selections. Found in data, changed in text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from typing import Any, NamedTuple

from tree_sitter import Node

from clanpy.errors import Place
from clanpy.inventory.editing.errors import NotEditableError
from clanpy.inventory.editing.spelling import is_entry
from clanpy.inventory.editing.splice import (
    Splice,
    applied,
    data_of,
    rendered,
    without,
    without_element,
    written_key,
)
from clanpy.inventory.editing.tomlfile import Path_, TomlFile, elements_of, text_of
from clanpy.inventory.errors import SelectionError
from clanpy.inventory.selection import And, Not, Or, Pattern, Selection, Term, leaves, parse
from clanpy.modules.sigils import KNOWN, NUMBERED


class Kind(Enum):
    """How a machine is named."""

    KEY = "key"
    ITEM = "an element of the list at this path"
    TEXT = "text"
    SELECTION = "selection"


class Reference(NamedTuple):
    """A place in the data of a file that names a machine. The path is as it is written, sigils included."""

    kind: Kind
    path: Path_


class Spot(NamedTuple):
    """A value and its path."""

    value: Any
    path: Path_


def references(data: Any, prefix: Path_, name: str) -> Iterator[Reference]:
    """Everything in a file that names a machine. `prefix` is where the file's data stands in the fleet."""
    root = [Spot(data, ())]
    if prefix:
        own = root if prefix[:1] == ("machines",) else []
        if prefix == ("machines", name):
            yield from _text(own, name)
        yield from _selections(_elements(_at(own, "deploy", "after")), name)
        return
    machines = _at(root, "machines")
    yield from (Reference(Kind.KEY, (*spot.path, name)) for spot in machines if name in _table(spot))
    yield from _text(_at(machines, name), name)
    for tag in _each(_at(root, "tags")):
        yield from _items(tag, name)
        yield from _members(_at([tag], "machines"), name)
    for person in _each(_at(root, "users")):
        yield from _members(_at([person], "machines"), name)
    for owner in (*_each(_at(root, "vars", "generators")), *_each(_at(root, "secrets", "legacy"))):
        yield from _members(_at([owner], "machines"), name)
    for instance in _each(_at(root, "instances")):
        for role in _each(_at([instance], "roles")):
            yield from _members(_at([role], "machines"), name)
    yield from _selections(_selecting(root), name)


def _selecting(root: list[Spot]) -> Iterator[Spot]:
    """Every selection that a file has."""
    for tag in _each(_at(root, "tags")):
        yield from _at([tag], "select")
    for machine in _each(_at(root, "machines")):
        yield from _elements(_at([machine], "deploy", "after"))
    for rollout in _each(_at(root, "rollout")):
        yield from _at([rollout], "canary", "select")
        yield from _elements(_at([rollout], "domains"))
        yield from _at([*_elements(_at([rollout], "waves"))], "select")


def _seen(spot: Spot) -> Iterator[Spot]:
    """What stands behind the sigils of a value."""
    if isinstance(spot.value, dict) and len(spot.value) == 1 and (sigil := next(iter(spot.value))) in KNOWN:
        inner, path = spot.value[sigil], (*spot.path, sigil)
        if sigil not in NUMBERED:
            yield from _seen(Spot(inner, path))
        elif isinstance(inner, list) and len(inner) == 2:  # noqa: PLR2004 - a number and a value
            yield from _seen(Spot(inner[1], (*path, "1")))
    else:
        yield spot


def _table(spot: Spot) -> dict[str, Any]:
    return spot.value if isinstance(spot.value, dict) else {}


def _at(spots: list[Spot], *keys: str) -> list[Spot]:
    for key in keys:
        spots = [
            seen for spot in spots if key in _table(spot) for seen in _seen(Spot(spot.value[key], (*spot.path, key)))
        ]
    return spots


def _elements(spots: list[Spot]) -> Iterator[Spot]:
    for spot in spots:
        if isinstance(spot.value, list):
            yield from (Spot(value, (*spot.path, str(n))) for n, value in enumerate(spot.value))


def _each(spots: list[Spot]) -> Iterator[Spot]:
    for spot in spots:
        for key, value in _table(spot).items():
            yield from _seen(Spot(value, (*spot.path, key)))


def _items(spot: Spot, name: str) -> Iterator[Reference]:
    if isinstance(spot.value, list) and name in spot.value:
        yield Reference(Kind.ITEM, spot.path)


def _members(spots: list[Spot], name: str) -> Iterator[Reference]:
    for spot in spots:
        yield from _items(spot, name)
        if name in _table(spot):
            yield Reference(Kind.KEY, (*spot.path, name))


def _text(spots: list[Spot], name: str) -> Iterator[Reference]:
    """What a machine calls itself."""
    yield from (Reference(Kind.TEXT, spot.path) for spot in _at(spots, "name") if spot.value == name)


def _selections(spots: Iterable[Spot], name: str) -> Iterator[Reference]:
    for spot in spots:
        if isinstance(spot.value, str) and _terms(spot.value, name):
            yield Reference(Kind.SELECTION, spot.path)


def _terms(text: str, name: str) -> list[Term]:
    """The parts of a selection that are a machine's name. A selection that is none was reported elsewhere."""
    try:
        found = parse(text)
    except SelectionError:
        return []
    return [leaf for leaf in leaves(found) if isinstance(leaf, Term) and _is(leaf, name)]


def _is(leaf: Term, name: str) -> bool:
    return leaf.kind is None and not leaf.pattern.is_glob and leaf.pattern.text == name


# Renaming: only the bytes of the name change.


def renamed(raw: bytes, prefix: Path_, old: str, new: str) -> bytes:
    """A file in which a machine has another name."""
    parsed = TomlFile(raw)
    splices: list[Splice] = []
    for reference in references(data_of(raw), prefix, old):
        splices.extend(_RENAME[reference.kind](parsed, reference.path, old, new))
    return applied(raw, splices)


def _rename_key(parsed: TomlFile, path: Path_, old: str, new: str) -> Iterator[Splice]:
    for piece in parsed.find(path).pieces:
        yield Splice(piece.part.start, piece.part.end, written_key(new).encode())


def _rename_items(parsed: TomlFile, path: Path_, old: str, new: str) -> Iterator[Splice]:
    for element in _named(parsed, path, old):
        yield _rename_text(element, new)


def _rename_text(node: Node, new: str) -> Splice:
    single = (node.text or b"").startswith(b"'")
    return Splice(node.start_byte, node.end_byte, (f"'{new}'" if single else rendered(new)).encode())


def _rename_value(parsed: TomlFile, path: Path_, old: str, new: str) -> Iterator[Splice]:
    node = parsed.value(path)
    if node is not None:
        yield _rename_text(node, new)


def _rename_selected(parsed: TomlFile, path: Path_, old: str, new: str) -> Iterator[Splice]:
    node = parsed.value(path)
    text = None if node is None else text_of(node)
    if node is None or text is None:
        return
    written = str(Term(None, Pattern(new)))
    for term in sorted(_terms(text, old), key=lambda term: term.at, reverse=True):
        text = text[: term.at[0]] + written + text[term.at[1] :]
    yield Splice(node.start_byte, node.end_byte, rendered(text).encode())


_RENAME: dict[Kind, Callable[[TomlFile, Path_, str, str], Iterator[Splice]]] = {
    Kind.KEY: _rename_key,
    Kind.ITEM: _rename_items,
    Kind.TEXT: _rename_value,
    Kind.SELECTION: _rename_selected,
}


def _named(parsed: TomlFile, path: Path_, name: str) -> list[Node]:
    array = parsed.value(path)
    return [node for node in elements_of(array) if text_of(node) == name] if array is not None else []


# Deleting


def deleted(raw: bytes, prefix: Path_, name: str) -> bytes:
    """A file that does not name a machine any more. What is about other machines stays as it is."""
    while (reference := next(references(data_of(raw), prefix, name), None)) is not None:
        after = _deleted(raw, prefix, reference, name)
        if after == raw:
            raise NotEditableError(
                f"'{'.'.join(reference.path)}' can't be changed as it is laid out", hint="do it by hand"
            )
        raw = after
    return raw


def _deleted(raw: bytes, prefix: Path_, reference: Reference, name: str) -> bytes:
    path = reference.path
    if reference.kind is Kind.ITEM:
        parsed = TomlFile(raw)
        array = parsed.value(path)
        assert array is not None, "a list that is in the data is in the text"
        return applied(raw, [without_element(raw, array, _named(parsed, path, name)[0])])
    if reference.kind is Kind.SELECTION:
        return _deselected(raw, path, name)
    return without(
        raw, path, is_entry=lambda above: is_entry((*prefix, *(part for part in above if part not in KNOWN)))
    )


def _deselected(raw: bytes, path: Path_, name: str) -> bytes:
    """A selection without a machine. One that selected nothing else goes, where nothing else hangs on it."""
    parsed = TomlFile(raw)
    node = parsed.value(path)
    assert node is not None, "a selection that is in the data is in the text"
    left = _without_name(parse(_value_at(data_of(raw), path)), name)
    if left is not False:
        text = "*" if left is True else str(left)
        return applied(raw, [Splice(node.start_byte, node.end_byte, rendered(text).encode())])
    if path[0] == "tags":
        return without(raw, path, is_entry=is_entry)
    array = parsed.value(path[:-1]) if path[-1].isdecimal() else None
    if array is not None:
        return applied(raw, [without_element(raw, array, node)])
    raise NotEditableError(
        f"'{'.'.join(path)}' selects only '{name}'",
        place=Place("", parsed.line_of(node.start_byte)),
        hint="let it select something else first, or take it out",
    )


def _value_at(data: Any, path: Path_) -> Any:
    for part in path:
        data = data[int(part)] if isinstance(data, list) else data[part]
    return data


def _without_name(selection: Selection, name: str) -> Selection | bool:
    """A selection when a machine is gone: another one, or whether it selects everything (or nothing) by now."""
    match selection:
        case Term():
            return selection if not _is(selection, name) else False
        case Not(operand=operand):
            inner = _without_name(operand, name)
            return not inner if isinstance(inner, bool) else Not(inner)
        case And(operands=operands):
            return _joined(And, [_without_name(operand, name) for operand in operands], neutral=True)
        case Or(operands=operands):
            return _joined(Or, [_without_name(operand, name) for operand in operands], neutral=False)
    return selection


def _joined(kind: type[And | Or], found: list[Selection | bool], *, neutral: bool) -> Selection | bool:
    if any(part is (not neutral) for part in found):
        return not neutral
    left = tuple(part for part in found if not isinstance(part, bool))
    return kind(left) if len(left) > 1 else left[0] if left else neutral
