"""A type and some definitions, without modules around them: the settings of one use of a service, from several levels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from clanpy.modules.context import Context
from clanpy.modules.errors import Place
from clanpy.modules.mapping import LazyMapping
from clanpy.modules.merge import merge_definitions
from clanpy.modules.show import show_path
from clanpy.modules.sources import UNKNOWN, Def, Path, Source
from clanpy.modules.stack import guarded
from clanpy.modules.types.base import Type
from clanpy.modules.types.deferred import Part


_NOWHERE = Source(UNKNOWN, fixed=Place(UNKNOWN))


def resolve(kind: Type, definitions: Iterable[Any], *, path: Sequence[str] = ()) -> Any:
    """The value that these definitions give an option of this type.

    Args:
        kind: the type; prepare it once and use it for many, because it keeps what it has prepared.
        definitions: values (in wrappers or not), or definitions with their places: the parts of a deferred module, or what
            `options.….definitions_with_locations` gives. Those that come first count as later modules: their lists come
            first.
        path: where the value stands, for messages.

    Raises:
        ModuleError: they don't fit. Inside, values are computed when they are looked at.
    """
    where = tuple(path)
    return guarded(merge_definitions, Context(), kind, where, [_definition(d, where) for d in definitions])


def _definition(given: Any, path: Path) -> Def:
    if isinstance(given, Def):
        return given
    return given.definition(path) if isinstance(given, Part) else Def(given, _NOWHERE)


def origins(value: LazyMapping) -> Mapping[str, tuple[Place, ...]]:
    """For each value inside a configuration (or inside the value of an attrs_of) where it comes from, by its dotted path.

    These are the places of the definitions that count, in merge order; a default has the place of its declaration. Everything
    inside is computed.
    """
    found: dict[str, tuple[Place, ...]] = {}
    pending: list[tuple[LazyMapping, Path]] = [(value, ())]
    while pending:
        mapping, path = pending.pop()
        for name in mapping:
            inner = mapping[name]
            if isinstance(inner, LazyMapping) and len(inner):
                pending.append((inner, (*path, name)))
            else:
                found[show_path((*path, name))] = mapping.places_(name)
    return dict(sorted(found.items()))
