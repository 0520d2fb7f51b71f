"""Which written keys a path of the inventory means: clan's camelCase for fields, names as they are, settings in either spelling."""

from __future__ import annotations

from typing import Any

from clanpy.inventory.places import snake
from clanpy.inventory.spelling import ROOT, Level, key_of


Path_ = tuple[str, ...]


def level_at(path: Path_) -> Level | None:
    """What the schema says of a path: None below it, where everything is data."""
    level: Level | None = ROOT
    for part in path:
        if level is None or level.is_carried:
            return None
        level = level.fields.get(part, level.each)
    return level


def same(above: Path_, written: str, wanted: str) -> bool:
    """Whether a written key means a part of a path. `above` and `wanted` are in the spelling of the options."""
    if written == wanted:
        return True
    level = level_at(above)
    if level is None or level.is_carried:
        return snake(written) == snake(wanted)
    return level.each is None and key_of(written, level) == wanted


def normal(path: Path_) -> Path_:
    """A path in the spelling of the options: `machines.web.deploy.targetHost` is `machines.web.deploy.target_host`."""
    found: Path_ = ()
    for part in path:
        level = level_at(found)
        known = level is not None and not level.is_carried and level.each is None
        found = (*found, key_of(part, level) if known and level is not None else part)
    return found


def expand(path: Path_, value: Any) -> Any:
    """The table that a short form at a path stands for: `["a"]` for `{ a = {} }` where members of a role are."""
    level = level_at(path)
    return value if level is None or level.short is None else level.short(value)


def is_entry(path: Path_) -> bool:
    """Whether it is a name in a table of names: such an entry means something even when there is nothing in it."""
    above = level_at(path[:-1])
    return above is not None and above.each is not None
