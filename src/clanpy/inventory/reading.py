"""Reading a configuration that may have mistakes in it: what can be had of it, and never an exception.

A value that is wrong was reported; in its place stands what can be made of its definitions, so that what depends on it can be
looked at as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from clanpy.inventory.kinds import Name
from clanpy.modules.config import Config
from clanpy.modules.errors import ModuleError
from clanpy.modules.lazy import Lazy
from clanpy.modules.options import Declared
from clanpy.modules.priority import Wrapper
from clanpy.modules.types.structure import Entries


def get(owner: Mapping[str, Any], name: str, default: Any = None) -> Any:
    """A value; `default` when there is none, or when it is wrong and nothing can be made of it."""
    try:
        return owner[name]
    except KeyError:  # a MissingAttributeError is one too
        return default
    except ModuleError as error:
        return _salvaged(owner, name, default) if error.resume is None else error.resume


def inside(owner: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """What stands at a path; an empty mapping when there is nothing that can be read."""
    found: Any = owner
    for name in names:
        found = get(found, name, {})
        if not isinstance(found, Mapping):
            return {}
    return found if isinstance(found, Mapping) else {}


def strings(owner: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """A list of texts, each once; of a list that is wrong those elements that are texts."""
    found = get(owner, name, ())
    return tuple(dict.fromkeys(item for item in found if isinstance(item, str))) if isinstance(found, list) else ()


def entries(owner: Mapping[str, Any], name: str, names: Name) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The entries of a table whose names are right, sorted by name."""
    table = inside(owner, name)
    for key in keys(table):
        if names.fits(key):
            entry = get(table, key)
            yield key, entry if isinstance(entry, Mapping) else {}


def keys(table: Mapping[str, Any]) -> list[str]:
    """The names in a table, none when they can't be had."""
    try:
        return list(table)
    except ModuleError:
        return []


def definitions(owner: Mapping[str, Any], name: str) -> list[Any]:
    """The definitions of a value, as they are written."""
    if isinstance(owner, Config | Entries):
        try:
            return list(owner.definitions_(name))
        except (ModuleError, KeyError):
            return []
    return []


def is_written(owner: Mapping[str, Any], name: str) -> bool:
    """Whether anybody gives a value, right or wrong."""
    return bool(definitions(owner, name))


def _salvaged(owner: Mapping[str, Any], name: str, default: Any) -> Any:
    """What the first file that defines it rightly says; lists joined, whatever is in them."""
    child = owner.group_.children.get(name) if isinstance(owner, Config) else None
    kind = child.type if isinstance(child, Declared) else None
    values = [d.value for d in reversed(definitions(owner, name)) if kind is not None and kind.check(d.value)]
    values = [value for value in values if not isinstance(value, Wrapper | Lazy)]
    if values and isinstance(values[0], list):
        return [item for value in values for item in value]
    return next((value for value in values if isinstance(value, str | int)), default)
