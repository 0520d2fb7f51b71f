"""Aspects: named pieces of configuration of one class, found by where their files are.

`modules/<class>/<name>.nix` or `modules/<class>/<name>/**.nix`; class `system` stands for both nixos and darwin. The same aspect may
also be written as data, `aspects.<class>.<name>`, in any top-level module; all that is written of it counts. What is written stays
a value that is not looked into until somebody imports the aspect: a computation in it, or a mistake, costs the others nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from clanpy.errors import ClanpyError, Place
from clanpy.inventory.errors import BadNameError
from clanpy.inventory.model import Aspect
from clanpy.inventory.reading import get, inside, keys
from clanpy.inventory.schema import ASPECT_CLASSES, ASPECT_NAME
from clanpy.inventory.sources import files_below, relative
from clanpy.inventory.translate import Translator
from clanpy.modules.deferred import DeferredModule, NixClass, NixData, NixFile
from clanpy.modules.errors import ModuleError
from clanpy.modules.nix_encoding import to_nix_module
from clanpy.modules.types.deferred import Deferred, Part


Key = tuple[NixClass, str]
FEEDS: Mapping[str, tuple[NixClass, ...]] = {
    "nixos": ("nixos",),
    "darwin": ("darwin",),
    "home": ("home",),
    "system": ("nixos", "darwin"),
}


def find_aspects(
    root: Path, written: Mapping[str, Any], translator: Translator, errors: list[ClanpyError]
) -> dict[Key, Aspect]:
    """Every aspect of a fleet: the ones in files, then the data (`written`: class → name → deferred module) joined to them."""
    modules: dict[Key, list[tuple[DeferredModule, Path]]] = {}
    for folder in ASPECT_CLASSES:
        for name, module, path in _from_files(root, folder, errors):
            modules.setdefault((module.class_, name), []).append((module, path))
        for name, module, path in _from_data(root, folder, inside(written, folder), translator, errors):
            modules.setdefault((module.class_, name), []).append((module, path))
    return {key: _aspect(key, modules[key]) for key in sorted(modules)}


def _aspect(key: Key, parts: list[tuple[DeferredModule, Path]]) -> Aspect:
    files = tuple(dict.fromkeys(path for _, path in parts))
    return Aspect(name=key[1], class_=key[0], modules=tuple(module for module, _ in parts), files=files)


def _from_files(root: Path, folder: str, errors: list[ClanpyError]) -> Iterator[tuple[str, DeferredModule, Path]]:
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
            yield name, DeferredModule(key, class_, content, file), path


def _from_data(
    root: Path, folder: str, written: Mapping[str, Any], translator: Translator, errors: list[ClanpyError]
) -> Iterator[tuple[str, DeferredModule, Path]]:
    for name in keys(written):
        given = get(written, name)
        seen: Counter[str] = Counter()
        for part in given.parts if isinstance(given, Deferred) and ASPECT_NAME.fits(name) else ():
            content = _content(part, ("aspects", folder, name), translator, errors)
            if content is None:
                continue
            file = part.source.file.removeprefix(f"{root}/")
            seen[file] += 1
            again = f"/{seen[file]}" if seen[file] > 1 else ""
            for class_ in FEEDS[folder]:
                key = f"{class_}.{name}@{file}{again}" + (f"#{folder}" if folder != class_ else "")
                yield name, DeferredModule(key, class_, content, file), root / file


def _content(
    part: Part, path: tuple[str, ...], translator: Translator, errors: list[ClanpyError]
) -> NixData | NixFile | None:
    """What one file writes of an aspect, for Nix; None after reporting what is wrong with it."""
    if isinstance(part.value, NixFile | NixData):
        return part.value
    try:
        return NixData(to_nix_module(part.value))
    except ModuleError as error:
        error.path = (*path, *error.path)
        error.place = error.place or part.source.fixed
        errors.extend(translator.all([error], None))
        return None
