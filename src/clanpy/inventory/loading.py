"""Loading a fleet: files → modules → one evaluation → values. Needs no Nix, no service and no network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from clanpy.errors import ClanpyError, Place, raise_all
from clanpy.inventory.aspects import find_aspects
from clanpy.inventory.build import build_fleet
from clanpy.inventory.collector import collector_paused
from clanpy.inventory.errors import BadNameError
from clanpy.inventory.evaluation import Evaluated, evaluate_fleet, place_in_modules
from clanpy.inventory.kinds import Name, Table
from clanpy.inventory.model import Fleet
from clanpy.inventory.places import Path_, Places
from clanpy.inventory.reading import get, inside, keys
from clanpy.inventory.references import check_references
from clanpy.inventory.schema import ASPECT_CLASSES, OPTIONS
from clanpy.inventory.sources import read_sources
from clanpy.inventory.translate import shown


__all__ = ["Loaded", "load", "load_all", "place_text", "shown"]


_PENDING = ".clanpy-pending"  # as `clanpy.secrets.transaction` calls it, which is not imported for this


class Loaded(NamedTuple):
    """A fleet as far as it could be understood, and everything that is wrong with it."""

    fleet: Fleet
    errors: tuple[ClanpyError, ...]


def load(root: Path) -> Fleet:
    """Load the fleet in a folder.

    What the instances' services say about roles and settings is checked when a machine is resolved, and all at once by
    `clanpy.inventory.check`.

    Raises:
        ClanpyError: one thing is wrong.
        CombinedError: several things are wrong; all of them.
    """
    loaded = load_all(root)
    raise_all(loaded.errors)
    return loaded.fleet


def load_all(root: Path) -> Loaded:
    """Load the fleet in a folder, going on after errors as far as there is something to go on with."""
    with collector_paused():
        return _load_all(root)


def _load_all(root: Path) -> Loaded:
    root = root.absolute()
    if (root / _PENDING).exists():
        _settle(root)
    errors: list[ClanpyError] = []
    sources = read_sources(root, errors)
    is_whole = not errors  # what stands in a file that could not be read would all be unknown
    places = Places(sources)
    evaluated = evaluate_fleet(root, sources, places, is_whole=is_whole)
    errors.extend(evaluated.errors)
    modules = {source.file for source in sources if source.module is not None}
    if modules:
        places.ask_also(partial(place_in_modules, evaluated, modules))
    errors.extend(_bad_names(evaluated, places))
    aspects = find_aspects(root, inside(evaluated.config, "aspects"), evaluated.translator, errors)
    fleet = build_fleet(root, evaluated.config, aspects, places)
    fleet.memo["evaluated"] = evaluated
    if evaluated.is_whole:
        errors.extend(check_references(fleet, evaluated.config, evaluated.spoiled))
    return Loaded(fleet, tuple({str(error): error for error in errors}.values()))  # folders are walked more than once


def _settle(root: Path) -> None:
    """Complete what an interrupted edit had decided: nobody sees half of it."""
    from clanpy.secrets.transaction import Tree  # noqa: PLC0415 - only after a crash

    Tree(root).settle()


def _bad_names(evaluated: Evaluated, places: Places) -> Iterator[ClanpyError]:
    """Names that can't be names: of machines, users, tags, instances, their roles and members, aspects."""
    for name in ("machines", "users", "tags", "instances"):
        yield from _in_table(evaluated.config, (name,), OPTIONS[name].type, places)
    for class_ in ASPECT_CLASSES:
        aspects = inside(evaluated.config, "aspects", class_)
        yield from _wrong(keys(aspects), OPTIONS["aspects"][class_].type.names, ("aspects", class_), places)


def _in_table(owner: Mapping[str, Any], path: Path_, kind: Any, places: Places) -> Iterator[ClanpyError]:
    table = inside(owner, path[-1])
    names = keys(table)
    yield from _wrong(names, kind.names, path, places)
    modules = kind.elem.modules
    inner = {n: o.type for n, o in modules[0]["options"].items() if isinstance(getattr(o, "type", None), Table)}
    for name in names if inner else ():
        entry = get(table, name)
        if isinstance(entry, Mapping):
            for field, type_ in inner.items():
                yield from _in_table(entry, (*path, name, field), type_, places)


def _wrong(names: list[str], kind: Name, path: Path_, places: Places) -> Iterator[ClanpyError]:
    for name in names:
        if not kind.fits(name):
            yield BadNameError(f"'{name}' can't be {kind.what}", place=places.find((*path, name)), hint=kind.hint)


def place_text(place: Place | None) -> str:
    return "" if place is None else f" ({place.file}:{place.line})" if place.line else f" ({place.file})"
