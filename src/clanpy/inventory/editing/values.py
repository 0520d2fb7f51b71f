"""`inventory set` and `inventory unset`: one value, in the file that says it already."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from clanpy.errors import Place, UsageError, nearest
from clanpy.inventory.editing.errors import DefinedElsewhereError, NotEditableError
from clanpy.inventory.editing.options import PLAIN, check_value, nothing_at
from clanpy.inventory.editing.plan import File, Plan
from clanpy.inventory.editing.spelling import Path_, expand, is_entry, same
from clanpy.inventory.editing.splice import data_of, with_value, without
from clanpy.inventory.editing.tomlfile import Same
from clanpy.inventory.explain import Line, definitions
from clanpy.inventory.loading import Loaded, load_all
from clanpy.inventory.sources import INVENTORY, Source, read_sources
from clanpy.inventory.spelling import dotted


@dataclass(frozen=True, slots=True)
class TomlSource:
    """A file of the inventory that can be edited. Paths in it begin below its prefix."""

    source: Source

    @property
    def name(self) -> str:
        return self.source.file

    def inner(self, path: Path_) -> Path_ | None:
        """A path of the fleet in this file; None when it can't be in it."""
        prefix = self.source.prefix
        return path[len(prefix) :] if path[: len(prefix)] == prefix and len(path) > len(prefix) else None

    def same(self) -> Same:
        prefix = self.source.prefix
        return lambda above, written, wanted: same((*prefix, *above), written, wanted)

    def says(self, path: Path_) -> bool:
        """Whether the file says something at a path, or is itself all that can be said there."""
        inner = self.inner(path)
        if inner is None:
            return self.source.prefix[: len(path)] == path and bool(self.source.data)
        return _is_said(self.source.data, self.source.prefix, inner)

    def with_value(self, raw: bytes, path: Path_, value: Any) -> bytes:
        inner, prefix = self.inner(path), self.source.prefix
        if inner is None:
            raise NotEditableError(f"{self.name} is about '{dotted(prefix)}' as a whole", place=Place(self.name))
        return with_value(
            raw,
            inner,
            value,
            same=self.same(),
            expand=lambda above, found: expand((*prefix, *above), found),
            file=self.name,
        )

    def without(self, raw: bytes, path: Path_) -> bytes:
        inner, prefix = self.inner(path), self.source.prefix
        if inner is None:
            raise NotEditableError(f"{self.name} is about '{dotted(prefix)}' as a whole", place=Place(self.name))
        return without(raw, inner, same=self.same(), is_entry=lambda above: is_entry((*prefix, *above)))


def _is_said(data: Any, above: Path_, rest: Path_) -> bool:
    for part in rest:
        data = expand(above, data)
        key = next((k for k in data if same(above, k, part)), None) if isinstance(data, dict) else None
        if key is None:
            return False
        above, data = (*above, part), data[key]
    return True


def toml_sources(root: Path) -> list[TomlSource]:
    """The files that can be edited, in order. Those that can't be read are left out."""
    return [TomlSource(source) for source in read_sources(root, []) if source.path.suffix == ".toml"]


def real_path(root: Path, file: str) -> PurePosixPath:
    """Where a file really is, links followed: below the fleet, or somewhere else."""
    real = (root / file).resolve()
    base = root.resolve()
    return PurePosixPath(real.relative_to(base).as_posix() if real.is_relative_to(base) else str(real))


def read_file(root: Path, file: str) -> bytes:
    try:
        return (root / file).read_bytes()
    except OSError as error:
        raise NotEditableError(f"{file} can't be read: {(error.strerror or '').lower()}", place=Place(file)) from error


def set_value(root: Path, path: Path_, value: Any, *, file: str | None = None) -> Plan:
    """The plan to give a path a value.

    Raises:
        DefinedElsewhereError: code defines it, or several files do.
        ClanpyError: there is no such option, or it is of another type.
    """
    loaded = load_all(root)
    priority = check_value(loaded.fleet.memo["evaluated"], path, value)
    sources = toml_sources(root)
    target = _target(root, sources, path, file)
    _refuse_others(loaded, sources, path, priority, target, is_chosen=file is not None)
    raw = read_file(root, target.name)
    return _plan(root, target.name, raw, target.with_value(raw, path, value))


def unset_value(root: Path, path: Path_, *, file: str | None = None) -> Plan:
    """The plan to say nothing at a path any more.

    Raises:
        NothingMatchedError: no file says anything there.
        DefinedElsewhereError: code defines it, or several files do.
    """
    sources = toml_sources(root)
    saying = [source for source in sources if source.says(path) and file in {None, source.name}]
    if not saying:
        loaded = load_all(root)
        lines = _code(definitions(loaded.fleet, path), sources)
        if lines:
            raise _by_code(path, lines)
        raise nothing_at(path, _names(sources, path[:-1]))
    if len(saying) > 1:
        raise _several(path, [_place(root, source, path) for source in saying])
    raw = read_file(root, saying[0].name)
    return _plan(root, saying[0].name, raw, saying[0].without(raw, path))


def _plan(root: Path, file: str, before: bytes, after: bytes) -> Plan:
    return Plan(
        root=root, files=(File(path=PurePosixPath(file), real=real_path(root, file), before=before, after=after),)
    )


def _target(root: Path, sources: Sequence[TomlSource], path: Path_, file: str | None) -> TomlSource:
    """The file that says a path, or inventory.toml."""
    if file is not None:
        found = next((source for source in sources if source.name == file), None)
        if found is None:
            names = [source.name for source in sources]
            raise UsageError(f"'{file}' is no TOML file of this fleet", hint=nearest(file, names))
        return found
    saying = [source for source in sources if source.says(path)]
    if len(saying) > 1:
        raise _several(path, [_place(root, source, path) for source in saying])
    if saying:
        return saying[0]
    own = next((source for source in sources if source.name == INVENTORY), None)
    if own is None:
        raise NotEditableError(f"{INVENTORY} can't be read, so that it can't be changed", place=Place(INVENTORY))
    return own


def _refuse_others(
    loaded: Loaded,
    sources: Sequence[TomlSource],
    path: Path_,
    priority: int,
    target: TomlSource,
    *,
    is_chosen: bool,
) -> None:
    """Refuse what would not have the wanted effect: something else defines it that does not give way."""
    lines = [line for line in definitions(loaded.fleet, path) if _holds(line, priority, target.name)]
    code = _code(lines, sources)
    if code:
        raise _by_code(path, code)
    if lines and not is_chosen:
        raise _several(path, [line.place for line in lines])


def _holds(line: Line, priority: int, target: str) -> bool:
    """Whether a definition stands beside, or before, a new one of a priority."""
    is_off = line.dropped is not None and "condition" in line.dropped
    return line.place is not None and line.place.file != target and line.priority <= priority and not is_off


def _code(lines: Iterable[Line], sources: Sequence[TomlSource]) -> list[Line]:
    names = {source.name for source in sources}
    return [line for line in lines if line.place is not None and line.place.file not in names]


def _by_code(path: Path_, lines: Sequence[Line]) -> DefinedElsewhereError:
    return DefinedElsewhereError(
        f"'{dotted(path)}' is defined by code",
        place=lines[0].place,
        details=[f"also in {line.place}" for line in lines[1:]],
        hint="change it there"
        if min(line.priority for line in lines) < PLAIN
        else "change it there, or set { _force = … }, which wins over it",
    )


def _several(path: Path_, places: Sequence[Place | None]) -> DefinedElsewhereError:
    return DefinedElsewhereError(
        f"'{dotted(path)}' is defined in another file"
        if len(places) == 1
        else f"'{dotted(path)}' is defined in several files",
        place=places[0],
        details=[f"also in {place}" for place in places[1:]],
        hint="--file FILE says which one to change",
    )


def _place(root: Path, source: TomlSource, path: Path_) -> Place:
    from clanpy.inventory.places import Places  # noqa: PLC0415 - a parser, for errors only

    return Places([source.source]).find(path) or Place(source.name)


def _names(sources: Iterable[TomlSource], path: Path_) -> list[str]:
    return sorted({name for source in sources for name in _keys(source, path)})


def _keys(source: TomlSource, path: Path_) -> Iterator[str]:
    data: Any = data_of(source.source.text.encode())
    for n, part in enumerate(source.inner(path) or ()):
        key = next((k for k in data if same(path[:n], k, part)), None) if isinstance(data, dict) else None
        if key is None:
            return
        data = data[key]
    if isinstance(data, dict):
        yield from data
