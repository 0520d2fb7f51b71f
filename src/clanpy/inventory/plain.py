"""Merging plain data whose options are somebody else's: settings, which a service's model checks afterwards.

Priorities, conditions and order count as everywhere; tables are joined name by name, lists in order, and anything else has to be the
same. What was merged is recorded leaf by leaf, so that each value can say where it came from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clanpy.modules.context import Context
from clanpy.modules.errors import ModuleError
from clanpy.modules.lazy import force
from clanpy.modules.merge import MISSING, final
from clanpy.modules.priority import UNWRAPPED, push_down
from clanpy.modules.sources import Def
from clanpy.modules.types.free import anything


Path_ = tuple[str, ...]


@dataclass(slots=True)
class Merged:
    """The result: the value, for each leaf the definitions that made it, and what went wrong.

    `conflicts` are definitions that can't be joined, by their path; `misuses` errors of the module system.
    """

    value: dict[str, Any] = field(default_factory=dict)
    leaves: dict[Path_, tuple[Def, ...]] = field(default_factory=dict)
    conflicts: list[tuple[Path_, tuple[Def, ...]]] = field(default_factory=list)
    misuses: list[tuple[Path_, ModuleError]] = field(default_factory=list)


def merge(definitions: Sequence[Def], context: Context | None = None) -> Merged:
    """Merge definitions in the order of their modules: the first counts first in lists. No definition gives an empty table.

    `context` counts the leaves that were merged.
    """
    result = Merged()
    tables: list[Def] = []
    for d in definitions:
        try:
            tables.extend(Def(mapping, source) for mapping, source in push_down(d.value, d.source, ()))
        except ModuleError as error:
            result.misuses.append(((), error))
    result.value = _tables(tables, (), result)
    if context is not None:
        context.forced += len(result.leaves)
    return result


def _tables(tables: Sequence[Def], path: Path_, result: Merged) -> dict[str, Any]:
    by_key: dict[str, list[Def]] = {}
    for d in tables:
        for key, value in d.value.items():
            by_key.setdefault(key, []).append(Def(value, d.source))
    found = {key: _value(defs, (*path, key), result) for key, defs in by_key.items()}
    return {key: value for key, value in found.items() if value is not MISSING}


def _value(defs: list[Def], path: Path_, result: Merged) -> Any:
    try:
        counted = final(defs, path, anything).defs
    except ModuleError as error:
        result.misuses.append((path, error))
        return MISSING
    if not counted:
        return MISSING
    if all(isinstance(d.value, Mapping) for d in counted):
        return _tables(counted, path, result)
    result.leaves[path] = tuple(counted)
    if all(isinstance(d.value, list | tuple) for d in counted):
        return [_element(item, d, path, result) for d in counted for item in d.value]
    first = counted[0].value
    if any(type(first) is not type(d.value) or first != d.value for d in counted[1:]):
        result.conflicts.append((path, tuple(counted)))
    return first


def _element(item: Any, owner: Def, path: Path_, result: Merged) -> Any:
    """An element of a list, without what may be around the values in it."""
    if item.__class__ in UNWRAPPED and not isinstance(item, dict):
        return item
    inner = Merged()
    value = _value([Def(force(item, owner.source.scope), owner.source)], path, inner)
    result.conflicts.extend(inner.conflicts)
    result.misuses.extend(inner.misuses)
    return value
