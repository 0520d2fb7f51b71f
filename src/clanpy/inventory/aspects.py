"""Aspects: named pieces of configuration of one class, found by where their files are.

`modules/<class>/<name>.nix` or `modules/<class>/<name>/**.nix`; class `system` stands for both nixos and darwin. The same aspect may
also be written as data, `aspects.<class>.<name>`, in any top-level module; all that is written of it counts. What is written stays
a value that is not looked into until somebody imports the aspect: a computation in it costs the others nothing. In its `imports` it may
name other aspects of its class.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from clanpy.errors import ClanpyError, Place
from clanpy.inventory.errors import BadNameError
from clanpy.inventory.model import Aspect
from clanpy.inventory.reading import get, inside, keys
from clanpy.inventory.schema import ASPECT_CLASSES, ASPECT_NAME
from clanpy.inventory.sources import files_below, relative
from clanpy.inventory.translate import Translator
from clanpy.modules.deferred import DeferredModule, NixClass, NixData, NixFile
from clanpy.modules.errors import ModuleError
from clanpy.modules.lazy import Lazy
from clanpy.modules.nix_encoding import to_nix_module
from clanpy.modules.types.deferred import Deferred, Part


Key = tuple[NixClass, str]
FEEDS: Mapping[str, tuple[NixClass, ...]] = {
    "nixos": ("nixos",),
    "darwin": ("darwin",),
    "home": ("home",),
    "system": ("nixos", "darwin"),
}


class _Piece(NamedTuple):
    """What one file writes of an aspect: a module, or a part that becomes one when somebody wants it."""

    key: str
    file: str
    content: NixFile | Part
    path: tuple[str, ...]


class Aspects(Mapping[Key, Aspect]):
    """The aspects by class and name. Which there are is known; each is made when it is looked at.

    `errors` are what is wrong with those that were looked at.
    """

    def __init__(self, root: Path, pieces: Mapping[Key, list[_Piece]], translator: Translator) -> None:
        self.root = root
        self.errors: dict[Key, list[ClanpyError]] = {}
        self._pieces = dict(sorted(pieces.items()))
        self._translator = translator
        self._made: dict[Key, Aspect] = {}

    def __getitem__(self, key: Key) -> Aspect:
        if key not in self._made:
            self._made[key] = self._make(key, self._pieces[key])
        return self._made[key]

    def __iter__(self) -> Iterator[Key]:
        return iter(self._pieces)

    def __len__(self) -> int:
        return len(self._pieces)

    def __contains__(self, key: object) -> bool:
        return key in self._pieces

    def imports(self, key: Key) -> Iterator[tuple[str, tuple[str, ...]]]:
        """The aspects that an aspect imports by name, each with the path at which that is written. Makes nothing."""
        for piece in self._pieces.get(key, ()):
            if isinstance(piece.content, Part):
                yield from ((name, piece.path) for name in imported(piece.content.value))

    def _make(self, key: Key, pieces: list[_Piece]) -> Aspect:
        contents = [(piece, self._content(key, piece)) for piece in pieces]
        return Aspect(
            name=key[1],
            class_=key[0],
            modules=tuple(DeferredModule(p.key, key[0], c, p.file) for p, c in contents if c is not None),
            files=tuple(dict.fromkeys(self.root / piece.file for piece in pieces)),
            imports=tuple(dict.fromkeys(name for name, _ in self.imports(key))),
        )

    def _content(self, key: Key, piece: _Piece) -> NixData | NixFile | None:
        """A piece for Nix; None after noting what is wrong with it."""
        if isinstance(piece.content, NixFile):
            return piece.content
        if isinstance(piece.content.value, NixFile | NixData):
            return piece.content.value
        try:
            return NixData(to_nix_module(_without_names(piece.content.value)))
        except ModuleError as error:
            error.path = (*piece.path, *error.path)
            error.place = error.place or piece.content.source.fixed
            self.errors.setdefault(key, []).extend(self._translator.all([error], None))
            return None


def imported(value: Any) -> tuple[str, ...]:
    """The names in the `imports` of a module that is a plain table: aspects of the same class, and no files."""
    imports = value.get("imports", ()) if isinstance(value, Mapping) and not isinstance(value, Lazy) else ()
    if not isinstance(imports, list | tuple):
        return ()
    return tuple(item for item in imports if isinstance(item, str) and _is_name(item))


def _is_name(text: str) -> bool:
    return ASPECT_NAME.fits(text) and not text.endswith(".nix")


def _without_names(value: Any) -> Any:
    if not imported(value):
        return value
    rest = [item for item in value["imports"] if not (isinstance(item, str) and _is_name(item))]
    return {**{key: item for key, item in value.items() if key != "imports"}, **({"imports": rest} if rest else {})}


def find_aspects(root: Path, written: Mapping[str, Any], translator: Translator, errors: list[ClanpyError]) -> Aspects:
    """Every aspect of a fleet: the ones in files, then the data (`written`: class → name → deferred module) joined to them."""
    pieces: dict[Key, list[_Piece]] = {}
    for folder in ASPECT_CLASSES:
        for key, piece in (*_from_files(root, folder, errors), *_from_data(root, folder, inside(written, folder))):
            pieces.setdefault(key, []).append(piece)
    return Aspects(root, pieces, translator)


def _from_files(root: Path, folder: str, errors: list[ClanpyError]) -> Iterator[tuple[Key, _Piece]]:
    base = root / "modules" / folder
    for path in files_below(root, base, errors):
        if path.suffix != ".nix":
            continue
        inner = path.relative_to(base)
        is_alone = len(inner.parts) == 1
        name = inner.stem if is_alone else inner.parts[0]
        file = relative(root, path)
        if not ASPECT_NAME.fits(name):
            errors.append(
                BadNameError(f"'{name}' can't be {ASPECT_NAME.what}", place=Place(file), hint=ASPECT_NAME.hint)
            )
            continue
        content = NixFile(path, root=None if is_alone else base / inner.parts[0])
        for class_ in FEEDS[folder]:
            key = f"{class_}.{name}" if is_alone and folder == class_ else f"{class_}.{name}@{file}"
            yield (class_, name), _Piece(key, file, content, ("aspects", folder, name))


def _from_data(root: Path, folder: str, written: Mapping[str, Any]) -> Iterator[tuple[Key, _Piece]]:
    for name in keys(written):
        given = get(written, name)
        seen: Counter[str] = Counter()
        for part in given.parts if isinstance(given, Deferred) and ASPECT_NAME.fits(name) else ():
            file = part.source.file.removeprefix(f"{root}/")
            seen[file] += 1
            again = f"/{seen[file]}" if seen[file] > 1 else ""
            for class_ in FEEDS[folder]:
                key = f"{class_}.{name}@{file}{again}" + (f"#{folder}" if folder != class_ else "")
                yield (class_, name), _Piece(key, file, part, ("aspects", folder, name))
