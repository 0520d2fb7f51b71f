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
    root: list[Any] = [value]
    pending: list[Any] = [root]
    while pending:
        made = pending.pop()
        for key in range(len(made)) if made.__class__ is list else made:
            item = made[key]
            if item.__class__ in ATOMS:
                continue
            if isinstance(item, Lazy):
                item = force(item)
            if isinstance(item, Mapping):
                item = dict(item.items())
                pending.append(item)
            elif isinstance(item, list | tuple):
                item = list(item)
                pending.append(item)
            made[key] = item
    return root[0]
