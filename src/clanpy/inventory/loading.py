"""Loading a fleet: files → checked shapes → merged data → values. Needs no Nix, no service and no network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from clanpy.errors import ClanpyError, Place, raise_all
from clanpy.inventory.aspects import find_aspects
from clanpy.inventory.build import build_fleet
from clanpy.inventory.errors import ConflictError, SigilError
from clanpy.inventory.merge import Carried, Definition, Merged, merge, merge_keeping_sigils
from clanpy.inventory.model import Fleet
from clanpy.inventory.places import Path_, Places
from clanpy.inventory.references import check_references
from clanpy.inventory.schema import FLEET, at
from clanpy.inventory.shape import DROPPED, Report, dotted, read
from clanpy.inventory.sources import Source, read_sources


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
    root = root.absolute()
    errors: list[ClanpyError] = []
    sources = read_sources(root, errors)
    is_whole = not errors  # what stands in a file that could not be read would all be unknown
    places = Places(sources)
    spoiled: set[tuple[str, ...]] = set()
    merged = merge(_shaped(sources, places, errors, spoiled))
    errors.extend(_merge_errors(merged, places))
    data = merged.value
    for path, parts in _settings_in_several_files(data):
        errors.extend(_merge_errors(merge_keeping_sigils(parts), places, path))
    aspects = find_aspects(root, data.get("aspects", {}), places, errors)
    fleet = build_fleet(root, data, aspects, places)
    if is_whole:
        errors.extend(check_references(fleet, data, spoiled))
    return Loaded(fleet, tuple({str(error): error for error in errors}.values()))  # folders are walked more than once


def _shaped(
    sources: Sequence[Source], places: Places, errors: list[ClanpyError], spoiled: set[tuple[str, ...]]
) -> Iterator[Definition]:
    for source in sources:
        report = Report(source.file, partial(places.in_file, source.file))
        data = read(FLEET, at(source.prefix, source.data), (), report)
        errors.extend(report.errors)
        spoiled |= report.spoiled
        if data is not DROPPED:
            yield Definition(data, source.file)


def _settings_in_several_files(data: Mapping[str, Any]) -> Iterator[tuple[Path_, Sequence[Definition]]]:
    """The levels of settings that more than one file writes, which are carried through the merge of the whole."""
    for instance, entry in data.get("instances", {}).items():
        for role, written in entry.get("roles", {}).items():
            base = ("instances", instance, "roles", role)
            levels: list[tuple[Path_, Mapping[str, Any]]] = [(base, written)]
            for members in ("machines", "tags"):
                levels += [((*base, members, name), member) for name, member in written.get(members, {}).items()]
            for path, level in levels:
                carried = level.get("settings")
                if isinstance(carried, Carried) and len(carried.parts) > 1:
                    yield (*path, "settings"), carried.parts


def _merge_errors(merged: Merged, places: Places, base: Path_ = ()) -> Iterator[ClanpyError]:
    for conflict in merged.conflicts:
        path = (*base, *conflict.path)
        found = [(d, places.in_file(str(d.origin), path)) for d in conflict.definitions]
        yield ConflictError(
            f"'{dotted(path)}' has conflicting values",
            place=found[-1][1],
            details=tuple(f"{place}: {shown(d.value)}" for d, place in found),
            hint="remove one of them, or write { _force = … } around the one that counts",
        )
    for misuse in merged.misuses:
        path = (*base, *misuse.path)
        place = places.in_file(str(misuse.definition.origin), path)
        yield SigilError(f"{misuse.reason} (in '{dotted(path)}')", place=place)


def shown(value: Any) -> str:
    """A value as TOML would have it, cut where it is long."""
    if isinstance(value, (Mapping, Carried)):
        return "a table"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"  # noqa: PLR2004 - what fits on a line with its place


def place_text(place: Place | None) -> str:
    return "" if place is None else f" ({place.file}:{place.line})" if place.line else f" ({place.file})"
