"""Which of the loaded modules count, and what they are called."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from clanpy.modules.errors import Place, ShapeError
from clanpy.modules.lazy import force
from clanpy.modules.shape import Module
from clanpy.modules.show import type_name
from clanpy.modules.sources import Source


class Collected(NamedTuple):
    """The modules in the order of a breadth-first walk, and as the tree in which they import each other."""

    modules: list[Module]
    roots: list[Module]
    disabled_keys: dict[str, Place]


class GraphNode(NamedTuple):
    """A module and what it imports, for people who ask why it is there."""

    key: str
    file: str
    disabled: bool
    imports: tuple[GraphNode, ...]


def resolve(value: str | PurePath, source: Source) -> str:
    """The absolute path of a module file; a relative one starts at the folder of the file that names it."""
    path = Path(value).expanduser()
    if not path.is_absolute():
        path = Path(source.file).parent / path if source.file.startswith("/") else Path.cwd() / path
    return str(PurePath(_normal(path)))


def _normal(path: PurePath) -> PurePath:
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and len(parts) > 1:
            parts.pop()
        elif part != ".":
            parts.append(part)
    return PurePath(*parts)


def walk(roots: Iterable[Module]) -> Iterable[Module]:
    """Every module of the tree once."""
    seen: set[int] = set()
    pending = deque(roots)
    while pending:
        module = pending.popleft()
        if id(module) not in seen:
            seen.add(id(module))
            yield module
            pending.extend(module.children)


def closure(roots: list[Module], disabled: Iterable[str]) -> Iterable[Module]:
    """Breadth first; of several modules with one key the first counts, and its imports."""
    seen: set[str] = set(disabled)
    pending = deque(roots)
    while pending:
        module = pending.popleft()
        if module.key not in seen:
            seen.add(module.key)
            yield module
            pending.extend(module.children)


def disabled_key(item: Any, module: Module, modules_path: Any) -> str:
    """The key of the module that an entry of disabled_modules means.

    Raises:
        ShapeError: it names none.
    """
    item = force(item, module.source.scope)
    if isinstance(item, str) and not item.startswith(("/", "./", "../")):
        return str(_normal(PurePath(str(modules_path), item))) if modules_path is not None else item
    if isinstance(item, str | PurePath):
        return resolve(item, module.source)
    key = item.get("key") if isinstance(item, Mapping) else getattr(item, "key", None)
    if key is not None:
        return str(key)
    if isinstance(item, Mapping):
        raise ShapeError(
            f"Module `{module.file}' contains a disabled_modules item that is an attribute set, presumably a module, "
            "that does not have a `key' attribute, so that it can't be known which module is meant",
            place=module.source.place(("disabled_modules",)),
            hint="Name it by its path, or by a mapping with the `key' that the module has.",
        )
    raise ShapeError(
        f"Each disabled_modules item must be a path, a string or a mapping with a key, but one in `{module.file}' is of "
        f"type `{type_name(item)}'",
        place=module.source.place(("disabled_modules",)),
    )


def graph(collected: Collected) -> tuple[GraphNode, ...]:
    """The tree of imports, with what is disabled marked."""
    done: dict[int, GraphNode] = {}
    for module in reversed(list(_children_last(collected.roots))):
        imports = tuple(done[id(child)] for child in module.children)
        done[id(module)] = GraphNode(module.key, module.file, module.key in collected.disabled_keys, imports)
    return tuple(done[id(root)] for root in collected.roots)


def _children_last(roots: list[Module]) -> Iterable[Module]:
    """Every module once, each before all that it imports."""
    order: list[Module] = []
    state: dict[int, bool] = {}
    pending = [(module, False) for module in reversed(roots)]
    while pending:
        module, finished = pending.pop()
        if finished:
            order.append(module)
        elif id(module) not in state:
            state[id(module)] = True
            pending.append((module, True))
            pending.extend((child, False) for child in reversed(module.children))
    return reversed(order)
