"""Aspects: named pieces of configuration of one class, found by where their files are.

`modules/<class>/<name>.nix` or `modules/<class>/<name>/**.nix`; class `system` stands for both nixos and darwin. The same aspect may
also be written as data, `[aspects.<class>.<name>]`, in any top-level module; all that is written of it counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from clanpy.errors import ClanpyError, Place
from clanpy.inventory.errors import BadNameError, SigilError
from clanpy.inventory.merge import Carried, Definition
from clanpy.inventory.model import Aspect
from clanpy.inventory.places import Places
from clanpy.inventory.schema import ASPECT_CLASSES, ASPECT_NAME
from clanpy.inventory.sigils import to_nix
from clanpy.inventory.sources import files_below, relative
from clanpy.modules.deferred import DeferredModule, NixClass, NixData, NixFile


Key = tuple[NixClass, str]
FEEDS: Mapping[str, tuple[NixClass, ...]] = {
    "nixos": ("nixos",),
    "darwin": ("darwin",),
    "home": ("home",),
    "system": ("nixos", "darwin"),
}


def find_aspects(
    root: Path, written: Mapping[str, Mapping[str, Any]], places: Places, errors: list[ClanpyError]
) -> dict[Key, Aspect]:
    """Every aspect of a fleet: the ones in files, then the data (`written`: class → name → Carried) joined to them."""
    modules: dict[Key, list[tuple[DeferredModule, Path]]] = {}
    for folder in ASPECT_CLASSES:
        for name, module, path in _from_files(root, folder, errors):
            modules.setdefault((module.class_, name), []).append((module, path))
        for name, module, path in _from_data(root, folder, written.get(folder, {}), places, errors):
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
        if re.fullmatch(ASPECT_NAME.pattern or "", name) is None:
            errors.append(
                BadNameError(f"'{name}' can't be {ASPECT_NAME.what}", place=Place(file), hint=ASPECT_NAME.hint)
            )
            continue
        content = NixFile(path, root=None if is_alone else base / inner.parts[0])
        for class_ in FEEDS[folder]:
            key = f"{class_}.{name}" if is_alone and folder == class_ else f"{class_}.{name}@{file}"
            yield name, DeferredModule(key, class_, content, file), path


def _from_data(
    root: Path, folder: str, written: Mapping[str, Any], places: Places, errors: list[ClanpyError]
) -> Iterator[tuple[str, DeferredModule, Path]]:
    for name, carried in sorted(written.items()):
        assert isinstance(carried, Carried)
        for part in carried.parts:
            file = str(part.origin)
            try:
                content = NixData(to_nix(part.value))
            except ValueError as error:
                errors.append(_misused(error, part, places, ("aspects", folder, name)))
                continue
            for class_ in FEEDS[folder]:
                key = f"{class_}.{name}@{file}" + (f"#{folder}" if folder != class_ else "")
                yield name, DeferredModule(key, class_, content, file), root / file


def _misused(error: ValueError, part: Definition, places: Places, path: tuple[str, ...]) -> SigilError:
    return SigilError(f"{error} (in '{'.'.join(path)}')", place=places.in_file(str(part.origin), path))
