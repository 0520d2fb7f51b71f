"""Merging definitions of plain data: the one place where two values for one thing become one.

The rules are those of Nix's module system as far as they need no types: tables merge key by key; of the definitions of a leaf
those with the lowest priority number count; lists among them are joined, ordered by their order number and, where that is equal,
the later definition first; anything else has to be equal. The module system of `clanpy.modules` takes this file's place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from clanpy.inventory.sigils import PLAIN_ORDER, PLAIN_PRIORITY, rewrap, unwrap


Path_ = tuple[str, ...]


class Definition(NamedTuple):
    """One value for one thing, and whose it is (`origin`: what the caller knows a definition by)."""

    value: Any
    origin: Any = None
    priority: int = PLAIN_PRIORITY
    order: int = PLAIN_ORDER


class Conflict(NamedTuple):
    """Definitions of one leaf that can't be joined."""

    path: Path_
    definitions: tuple[Definition, ...]


class Misuse(NamedTuple):
    """A table that looks like a sigil and is none."""

    path: Path_
    definition: Definition
    reason: str


class Carried(NamedTuple):
    """Data that is carried through a merge as it is written, each part with its origin."""

    parts: tuple[Definition, ...]


@dataclass(slots=True)
class Merged:
    """The result: the value, for each leaf the definitions that made it, and what went wrong."""

    value: Any = None
    leaves: dict[Path_, tuple[Definition, ...]] = field(default_factory=dict)
    conflicts: list[Conflict] = field(default_factory=list)
    misuses: list[Misuse] = field(default_factory=list)


def merge(definitions: Iterable[Definition]) -> Merged:
    """Merge definitions, in the order of their modules. No definition at all gives an empty table."""
    result = Merged()
    result.value = _merge(list(definitions), (), result, keep=False)
    return result


def merge_keeping_sigils(definitions: Iterable[Definition]) -> Merged:
    """As `merge`, but a leaf whose priority is not the plain one keeps it, as `{_override = [n, v]}`: for merging in steps."""
    result = Merged()
    result.value = _merge(list(definitions), (), result, keep=True)
    return result


def _merge(definitions: Sequence[Definition], path: Path_, result: Merged, *, keep: bool) -> Any:
    opened = [inner for definition in definitions if (inner := _open(definition, path, result)) is not None]
    if all(isinstance(d.value, Mapping) for d in opened):
        return _merge_tables(opened, path, result, keep=keep)
    best = min(d.priority for d in opened)
    winners = [d for d in opened if d.priority == best]
    if all(isinstance(d.value, Mapping) for d in winners):
        return _merge_tables(winners, path, result, keep=keep)
    result.leaves[path] = tuple(winners)
    value = _leaf(winners, path, result)
    return rewrap(value, priority=best) if keep else value


def _open(definition: Definition, path: Path_, result: Merged) -> Definition | None:
    """A definition without its sigils: priority and order are on the definition instead."""
    try:
        while (sigil := unwrap(definition.value)) is not None:
            if sigil.kind == "override":
                definition = definition._replace(value=sigil.content, priority=sigil.number)
            else:
                definition = definition._replace(value=sigil.content, order=sigil.number)
    except ValueError as error:
        result.misuses.append(Misuse(path, definition, str(error)))
        return None
    return definition


def _merge_tables(tables: Sequence[Definition], path: Path_, result: Merged, *, keep: bool) -> dict[str, Any]:
    by_key: dict[str, list[Definition]] = {}
    for table in tables:
        for key, value in table.value.items():
            by_key.setdefault(key, []).append(table._replace(value=value))
    return {key: _merge(found, (*path, key), result, keep=keep) for key, found in by_key.items()}


def _leaf(winners: Sequence[Definition], path: Path_, result: Merged) -> Any:
    if all(isinstance(d.value, list) for d in winners):
        later_first = list(reversed(winners))
        return [element for d in sorted(later_first, key=lambda d: d.order) for element in d.value]
    if all(isinstance(d.value, Carried) for d in winners):
        return Carried(tuple(part for d in winners for part in d.value.parts))
    first = winners[0].value
    if any(not _equal(first, d.value) for d in winners[1:]):
        result.conflicts.append(Conflict(path, tuple(winners)))
    return first


def _equal(one: Any, other: Any) -> bool:
    """Equal and of the same type: `1`, `1.0` and `true` are three values."""
    return type(one) is type(other) and bool(one == other)
