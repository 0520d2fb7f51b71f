"""Where a value stands: file, line and column of any key or value of the inventory, found only when somebody asks.

Values come from `tomllib`, which keeps no positions. When an error or an explanation needs one, the file is parsed once more by
tree-sitter (imported then), its table headers are indexed, and the path is followed into the table it is in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from clanpy.errors import Place
from clanpy.inventory.sources import Source


if TYPE_CHECKING:
    from clanpy.inventory.clan import JsonIndex
    from clanpy.inventory.positions import PythonIndex, TomlIndex
    from clanpy.modules.sources import Def

Path_ = tuple[str, ...]
Computed = Callable[[Path_, int], Place | None]
"""The place of a path in a Python module, when one says more of it than a number of parts."""
_HUMP = re.compile(r"(?<=[a-z0-9])([A-Z])")


@lru_cache(maxsize=8192)
def snake(key: str) -> str:
    """Clan's spelling of a key in ours: `targetHost` is `target_host`."""
    return _HUMP.sub(lambda match: f"_{match[1].lower()}", key) if not key.islower() else key


def same_key(written: str, wanted: str) -> bool:
    return written == wanted or snake(written) == wanted


class Places:
    """Looks places up in the sources of a fleet. Cheap to make; files are parsed on first need and once."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._by_name = {source.file: _File(source) for source in sources}
        self._by_prefix: dict[Path_, list[_File]] = {}
        for file in self._by_name.values():
            self._by_prefix.setdefault(file.source.prefix, []).append(file)
        self._found: dict[Path_, Place | None] = {}
        self._computed: Computed | None = None

    def ask_also(self, computed: Computed) -> None:
        """Look further into what Python modules define, of which the files' data says nothing."""
        self._computed = computed
        self._found.clear()

    def find(self, path: Path_) -> Place | None:
        """The place of the first definition of a path, or of the longest part of it that is written anywhere.

        A part that names an element of a list is that element's text; `("machines", "a", "tags", "web")` finds the word `web`.
        """
        if path not in self._found:
            self._found[path] = self._find(path)
        return self._found[path]

    def _find(self, path: Path_) -> Place | None:
        best = max(self._writers(path), key=lambda file: file.depth(path), default=None)
        depth = 0 if best is None else best.depth(path)
        if self._computed is not None and depth < len(path):
            computed = self._computed(path, depth)
            if computed is not None:
                return computed
        if best is None:
            return None
        return best.place(path) if depth else Place(best.source.file)

    def find_all(self, path: Path_) -> tuple[Place, ...]:
        """The places of every file that writes a path as far as anything does."""
        depths = [(file.depth(path), file) for file in self._writers(path)]
        deepest = max((depth for depth, _ in depths), default=0)
        return tuple(file.place(path) for depth, file in depths if depth == deepest and depth)

    def file_of(self, path: Path_) -> Place | None:
        """The first file that writes a path, without parsing anything for the line."""
        return next((Place(file.source.file) for file in self._writers(path) if file.depth(path) == len(path)), None)

    def in_file(self, file: str, path: Path_) -> Place:
        """The place of a path in one file, or the file alone when the path is not in it."""
        known = self._by_name.get(file)
        return known.place(path) if known is not None else Place(file)

    def in_order(self, definitions: Iterable[Def]) -> list[Def]:
        """Definitions in the order of the files that they are from."""
        order = {file: n for n, file in enumerate(self._by_name)}
        return sorted(definitions, key=lambda d: order.get(d.source.file, len(order)))

    def _writers(self, path: Path_) -> list[_File]:
        """The files that could write a path, in order: those of the whole fleet, and those of the machine it is about."""
        return [file for length in range(len(path) + 1) for file in self._by_prefix.get(path[:length], ())]


class _File:
    def __init__(self, source: Source) -> None:
        self.source = source

    def depth(self, path: Path_) -> int:
        """How much of a path this file writes. Asks the data only: nothing is parsed."""
        prefix = self.source.prefix
        shared = len(prefix)
        if path[:shared] != prefix[: len(path)]:
            return 0
        return shared + _depth(self.source.data, path[shared:]) if len(path) >= shared else len(path)

    def place(self, path: Path_) -> Place:
        inner = path[len(self.source.prefix) :]
        found = self._index.find(inner) if inner else None
        return Place(self.source.file, *(found or ()))

    @cached_property
    def _index(self) -> PythonIndex | TomlIndex | JsonIndex:
        if self.source.path.suffix == ".json":
            from clanpy.inventory.clan import JsonIndex  # noqa: PLC0415 - as below

            return JsonIndex(self.source.text)
        from clanpy.inventory.positions import PythonIndex, TomlIndex  # noqa: PLC0415 - a parser, for errors only

        return PythonIndex(self.source.text) if self.source.path.suffix == ".py" else TomlIndex(self.source.text)


def _depth(value: Any, path: Path_) -> int:
    for n, part in enumerate(path):
        if isinstance(value, Mapping):
            key = part if part in value else _other_spelling(value, part)
            if key is None:
                return n
            value = value[key]
        elif isinstance(value, list):
            if part in value:
                return n + 1
            if path[n + 1 : n + 2] and path[n + 1] in value:
                return n + 2  # a list that is the short form of a table: `x = ["a"]` for `x.machines = ["a"]`
            if not part.isdecimal() or int(part) >= len(value):
                return n
            value = value[int(part)]
        else:
            return n
    return len(path)


def _other_spelling(table: Mapping[str, Any], wanted: str) -> str | None:
    """The key that means the same. Only a name with an underscore has a second spelling: big tables are not searched."""
    return next((key for key in table if snake(key) == wanted), None) if "_" in wanted else None
