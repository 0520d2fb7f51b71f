"""Aspects: named pieces of configuration of one class, found by where their files are.

`modules/<class>/<name>.nix` or `modules/<class>/<name>/**.nix`; class `system` stands for both nixos and darwin. The same aspect may
also be written as data, `aspects.<class>.<name>`, in any top-level module; all that is written of it counts. What is written stays
a value that is not looked into until somebody imports the aspect: a computation in it costs the others nothing. In its `imports` it may
name other aspects of its class, and .nix files, which begin at its own folder.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from clanpy.errors import ClanpyError, Place
from clanpy.inventory.errors import BadNameError
from clanpy.inventory.model import Aspect
from clanpy.inventory.reading import get, inside, keys
from clanpy.inventory.schema import ASPECT_CLASSES, ASPECT_NAME
from clanpy.inventory.sources import files_below, relative
from clanpy.inventory.translate import Translator
from clanpy.modules.deferred import DeferredModule, NixClass, NixData, NixFile
from clanpy.modules.errors import LoadError, ModuleError, ShapeError
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
        modules = [module for piece in pieces for module in self._modules(key, piece)]
        return Aspect(
            name=key[1],
            class_=key[0],
            modules=tuple({module.key: module for module in modules}.values()),
            files=tuple(dict.fromkeys([*(self.root / piece.file for piece in pieces), *_files(modules)])),
            imports=tuple(dict.fromkeys(name for name, _ in self.imports(key))),
        )

    def _modules(self, key: Key, piece: _Piece) -> Iterator[DeferredModule]:
        """A piece for Nix, after the files that it imports; nothing after noting what is wrong with it."""
        given = piece.content
        content = given.value if isinstance(given, Part) else given
        if isinstance(content, NixFile | NixData):
            yield DeferredModule(piece.key, key[0], content, piece.file)
            return
        try:
            rest, files = _taken_apart(content)
            for file in files:
                yield self._imported_file(key, piece, file)
            yield DeferredModule(piece.key, key[0], NixData(to_nix_module(rest)), piece.file)
        except ModuleError as error:
            error.path = (*piece.path, *error.path)
            error.place = error.place or (given.source.fixed if isinstance(given, Part) else None)
            self.errors.setdefault(key, []).extend(self._translator.all([error], None))

    def _imported_file(self, key: Key, piece: _Piece, file: str) -> DeferredModule:
        path = Path(os.path.normpath((self.root / piece.file).parent / file))
        if not path.is_file() or not path.is_relative_to(self.root):
            where = "is not there" if not path.is_file() else "is outside of the fleet"
            raise LoadError(f"the file `{file}', which it imports, {where}", path=("imports",))
        shown = relative(self.root, path)
        return DeferredModule(f"{key[0]}.{key[1]}@{shown}", key[0], NixFile(path), f"{shown}, by {piece.file}")


def _files(modules: Iterable[DeferredModule]) -> Iterator[Path]:
    return (module.content.path for module in modules if isinstance(module.content, NixFile))


def _taken_apart(value: Any) -> tuple[Any, list[str]]:
    """A module without the names of aspects in its `imports`, and the Nix files in them."""
    imports = value.get("imports", ()) if isinstance(value, Mapping) and not isinstance(value, Lazy) else ()
    if not isinstance(imports, list | tuple | Lazy):
        raise ShapeError("`imports' of an aspect should be a list", path=("imports",))
    if isinstance(imports, Lazy) or not imports:
        return value, []
    files = [str(item) for item in imports if isinstance(item, str | PurePath) and str(item).endswith(".nix")]
    taken = {*files, *imported(value)}
    rest = [item for item in imports if not (isinstance(item, str | PurePath) and str(item) in taken)]
    return {
        **{key: item for key, item in value.items() if key != "imports"},
        **({"imports": rest} if rest else {}),
    }, files


def imported(value: Any) -> tuple[str, ...]:
    """The names in the `imports` of a module that is a plain table: aspects of the same class, and no files."""
    imports = value.get("imports", ()) if isinstance(value, Mapping) and not isinstance(value, Lazy) else ()
    if not isinstance(imports, list | tuple):
        return ()
    return tuple(item for item in imports if isinstance(item, str) and _is_name(item))


def _is_name(text: str) -> bool:
    return ASPECT_NAME.fits(text) and not text.endswith(".nix")


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
