"""Everything that is wrong with an evaluation, in one go; and what its modules have to say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from clanpy.modules.closure import walk
from clanpy.modules.errors import ModuleError, flat, unique
from clanpy.modules.evaluation import Evaluation
from clanpy.modules.lazy import Lazy, force
from clanpy.modules.mapping import LazyMapping
from clanpy.modules.priority import ATOMS
from clanpy.modules.sources import Path
from clanpy.modules.stack import guarded


def find_errors(evaluation: Evaluation, where: Callable[[Path], bool] | None) -> tuple[ModuleError, ...]:
    """All errors: every value is computed, and after an error what can still be computed."""
    errors: list[ModuleError] = []
    pending: list[tuple[Any, Path]] = []
    _try(errors, pending, evaluation.prefix, evaluation.checked_config)
    while pending:
        value, path = pending.pop()
        for name, get in _parts(value, errors):
            inner = (*path, name)
            if where is None or where(inner):
                _try(errors, pending, inner, get)
    return tuple(unique(flat(errors)))


def _try(errors: list[ModuleError], pending: list[tuple[Any, Path]], path: Path, get: Callable[[], Any]) -> None:
    try:
        value = get()
    except ModuleError as error:
        errors.append(error)
        value = error.resume
    if value.__class__ not in ATOMS:
        pending.append((value, path))


def _parts(value: Any, errors: list[ModuleError]) -> Iterator[tuple[str, Callable[[], Any]]]:
    if isinstance(value, Lazy):
        yield "", lambda: guarded(force, value)
    elif isinstance(value, LazyMapping):
        try:
            names = list(value)
        except ModuleError as error:
            errors.append(error)
            return
        for name in names:
            yield name, lambda name=name: value[name]  # type: ignore[misc]  # the name of this round
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key), lambda item=item: item  # type: ignore[misc]  # the item of this round
    elif isinstance(value, list | tuple):
        for n, item in enumerate(value, 1):
            yield f"[entry {n}]", lambda item=item: item  # type: ignore[misc]  # as above


def find_warnings(evaluation: Evaluation) -> tuple[str, ...]:
    """What notices of modules say, and entries of disabled_modules that are without effect."""
    found: list[str] = []
    collected = evaluation.program.collected
    keys = {module.key for module in walk(collected.roots)}
    for key, place in collected.disabled_keys.items():
        if key not in keys:
            found.append(f"disabled_modules in {place} names `{key}', which is no module here")
    for noticed in evaluation.context.noticed:
        for notice in noticed.program.notices:
            said = guarded(notice, noticed.config, noticed.options)
            if isinstance(said, str):
                found.append(said)
    return tuple(dict.fromkeys(found))
