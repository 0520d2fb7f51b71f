"""Values as plain data: everything computed, mappings as dicts, sequences as lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clanpy.modules.lazy import Lazy, force
from clanpy.modules.priority import ATOMS


def to_data(value: Any) -> Any:
    """A deep copy in dicts (in the order of their names, where these are options) and lists, all lazy values computed.

    Raises:
        ModuleError: a value can't be computed.
    """
    root: list[Any] = [None]
    pending: list[tuple[Any, Any, Any]] = [(root, 0, value)]
    while pending:
        target, key, item = pending.pop()
        if item.__class__ in ATOMS:
            target[key] = item
            continue
        if isinstance(item, Lazy):
            item = force(item)
        if isinstance(item, Mapping):
            made: dict[Any, Any] = dict.fromkeys(item)
            target[key] = made
            pending.extend((made, k, item[k]) for k in made)
        elif isinstance(item, list | tuple):
            filled = [None] * len(item)
            target[key] = filled
            pending.extend((filled, i, x) for i, x in enumerate(item))
        else:
            target[key] = item
    return root[0]
