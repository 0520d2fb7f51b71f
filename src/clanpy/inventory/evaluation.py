"""The evaluation of a fleet: the schema and every file of it as modules of one set, evaluated by `clanpy.modules`."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from clanpy.errors import ClanpyError, Place
from clanpy.inventory.errors import PythonModuleError
from clanpy.inventory.places import Path_, Places
from clanpy.inventory.pymodule import changed
from clanpy.inventory.schema import MODULE
from clanpy.inventory.sigils import DROPPED
from clanpy.inventory.sources import Source
from clanpy.inventory.spelling import ROOT, Level, Report, rewrite
from clanpy.inventory.translate import Translator
from clanpy.modules.config import Config
from clanpy.modules.errors import ModuleError, UnsetOptionError, flat
from clanpy.modules.errors import Place as ModulePlace
from clanpy.modules.evaluate import Result, evaluate
from clanpy.modules.priority import Override
from clanpy.modules.shape import Given
from clanpy.modules.sources import Source as ModuleSource


@dataclass(slots=True)
class Evaluated:
    """A fleet's configuration as far as it could be computed, and what is wrong. `spoiled` are options that have no right value."""

    result: Result
    config: Config
    errors: list[ClanpyError]
    translator: Translator
    spoiled: set[Path_] = field(default_factory=set)
    is_whole: bool = True


def evaluate_fleet(root: Path, sources: Sequence[Source], places: Places, *, is_whole: bool = True) -> Evaluated:
    """Evaluate the files of a fleet together. Only settings and aspects are not looked into.

    `is_whole` False: a file could not be read, so nothing is said about what is missing.
    """
    errors: list[ClanpyError] = []
    spoiled: set[Path_] = set()
    reports = [Report(partial(places.in_file, s.file), is_data=s.module is None) for s in sources]
    modules = [_module(source, report) for source, report in zip(sources, reports, strict=True)]
    translator = Translator(root, places)
    result = evaluate([MODULE, *modules], special_args={"root": root})
    try:
        config = result.unchecked
    except ModuleError as error:  # modules that can't be collected: the others are looked at without them
        errors.extend(translator.all([error], None))
        is_whole = False
        plain = [m for m, source in zip(modules, sources, strict=True) if source.module is None]
        result = evaluate([MODULE, *plain], special_args={"root": root})
        config = result.unchecked
    found = [e for e in flat(result.errors()) if is_whole or not isinstance(e, UnsetOptionError)]
    errors.extend(translator.all(found, config))
    for report in reports:  # filled when the modules were read
        errors.extend(report.errors)
        spoiled |= report.spoiled
    spoiled.update(translator.spoiled)
    return Evaluated(result, config, errors, translator, spoiled, is_whole)


def place_in_modules(evaluated: Evaluated, files: Collection[str], path: Path_, depth: int) -> Place | None:
    """Where a Python module says more of a path than its first `depth` parts; None when none does."""
    for length in range(len(path), depth, -1):
        try:
            found = evaluated.result.explain(path[:length]).contributions
        except ModuleError:
            continue
        places = [(c, evaluated.translator.place(c.place, path[:length])) for c in found if c.dropped is None]
        written = [(c, place) for c, place in places if place is not None and place.file in files]
        rest = path[length:]
        naming = [place for c, place in written if rest and isinstance(c.value, list) and rest[0] in c.value]
        if written:
            return (naming or [place for _, place in written])[0]
    return None


def _module(source: Source, report: Report) -> Given:
    """A file as a module. Data is rewritten now, what functions give when they are called."""
    level = _level_at(source.prefix)
    key = os.path.normpath(source.path)  # a file that another imports as well counts once
    if source.module is None:
        where = ModuleSource(source.file, fixed=ModulePlace(source.file))
        return Given(
            _placed(_rewritten(source, report, level), source), where, config_only=True, foreign=False, key=key
        )
    where = ModuleSource(source.file, origin=("python", str(source.path), 1), fixed=ModulePlace(source.file))
    module = changed(
        source.module,
        lambda config: _rewritten_of_module(config, source, report, level),
        source.path.parent,
        lambda config: _placed(config, source),
    )
    return Given(module, where, config_only=False, foreign=False, key=key)


def _rewritten(source: Source, report: Report, level: Level | None) -> Any:
    """A file's data in the form of the options; nothing, after a report, when all of it is something else than a table."""
    data = rewrite(source.data, (), report, level)
    inner = data
    while isinstance(inner, Override):
        inner = inner.content
    if isinstance(inner, dict) or data is DROPPED:
        return data
    report.misused((), "a whole file can have a priority, but it has to be a table and can't have an order")
    return DROPPED


def _rewritten_of_module(config: Any, source: Source, report: Report, level: Level | None) -> Any:
    try:
        return rewrite(config, (), report, level)
    except RecursionError:
        report.errors.append(PythonModuleError("gives a value that is nested too deeply", place=Place(source.file)))
        return DROPPED


def _placed(config: Any, source: Source) -> Any:
    """Configuration put where its file's prefix says."""
    if config is DROPPED:
        return {}
    for part in reversed(source.prefix):
        config = {part: config}
    return config


def _level_at(prefix: Path_) -> Level | None:
    level: Level | None = ROOT
    for part in prefix:
        level = None if level is None else level.fields.get(part, level.each)
    return level
