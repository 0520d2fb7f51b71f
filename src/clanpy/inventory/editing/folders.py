"""The files of a machine outside of the inventory: its folder, its values, its keys, and the links by which it may read secrets."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from os.path import normpath, relpath
from pathlib import Path, PurePosixPath

from clanpy.inventory.editing.plan import Moved


_TREES = ("vars", "sops", "secrets")
_STORES = ((), ("secrets", "clan-vars"))  # the store of age files keeps them in a folder of its own
_READER = 2  # a link that gives a machine access is at …/machines/<machine>


def folders_of(name: str) -> tuple[PurePosixPath, ...]:
    """What belongs to one machine alone, whether it is there or not."""
    return (
        PurePosixPath("machines", name),
        PurePosixPath("vars", "per-machine", name),
        PurePosixPath("secrets", "clan-vars", "per-machine", name),
        PurePosixPath("secrets", "age-keys", "machines", name),
        PurePosixPath("sops", "machines", name),
        PurePosixPath("sops", "secrets", f"{name}-age.key"),
    )


def owned(root: Path, name: str) -> tuple[PurePosixPath, ...]:
    """What goes with a machine: its folders and files that are there, and the links that name it elsewhere."""
    own = [path for path in (*folders_of(name), *_exports(root, name)) if os.path.lexists(root / path)]
    return (*own, *(path for path in _links(root) if _names(path, name) and not _is_below(path, own)))


def moves(root: Path, old: str, new: str) -> Iterator[Moved]:
    """What has to get another path, or say something else, when a machine gets another name."""
    ways = dict(zip(folders_of(old), folders_of(new), strict=True))
    ways |= {path: path.with_name(_export_of(path.name, new)) for path in _exports(root, old)}
    machine = PurePosixPath("machines", old)
    here = [machine] if (root / machine).is_symlink() else _files(root, machine)
    for path in (*here, *(path for tree in _TREES for path in _files(root, PurePosixPath(tree)))):
        moved = _mapped(path, ways)
        if not (root / path).is_symlink():
            if moved != path:
                yield Moved(old=path, new=moved)
            continue
        if _names(path, old):
            moved = moved.with_name(new)
        said = (root / path).readlink().as_posix()
        link = _retargeted(path, said, ways)
        if moved != path or link != said:
            yield Moved(old=path, new=moved, link=link)


def _retargeted(path: PurePosixPath, said: str, ways: Mapping[PurePosixPath, PurePosixPath]) -> str:
    """What a link says when what it points to has another path. A link itself never gets deeper or less deep."""
    target = PurePosixPath(normpath(path.parent / said))
    after = _mapped(target, ways)
    if said.startswith("/") or after == target:
        return said
    parts, depth = PurePosixPath(said).parts, len(target.parts)
    changed = [*parts[:-depth], *after.parts] if parts[-depth:] == target.parts else []
    return "/".join(changed) or _from_below(path, parts, target, after)


def _from_below(path: PurePosixPath, parts: tuple[str, ...], target: PurePosixPath, after: PurePosixPath) -> str:
    """A link that begins somewhere below the fleet's folder: as many of its last parts are changed as it says."""
    down = sum(1 for part in parts if part != "..")
    written = "/".join([*parts[: len(parts) - down], *after.parts[-down:]]) if down else ""
    return written if normpath(path.parent / written) == str(after) else relpath(after, path.parent)


def _mapped(path: PurePosixPath, ways: Mapping[PurePosixPath, PurePosixPath]) -> PurePosixPath:
    for above in (path, *path.parents):
        if above in ways:
            return ways[above] / path.relative_to(above)
    return path


def _names(path: PurePosixPath, name: str) -> bool:
    """Whether a link gives access to a machine."""
    return path.parts[-_READER:] == ("machines", name)


def _is_below(path: PurePosixPath, folders: list[PurePosixPath]) -> bool:
    return any(folder == path or folder in path.parents for folder in folders)


def _links(root: Path) -> Iterator[PurePosixPath]:
    for tree in _TREES:
        yield from (path for path in _files(root, PurePosixPath(tree)) if (root / path).is_symlink())


def _files(root: Path, folder: PurePosixPath) -> Iterator[PurePosixPath]:
    """Every file and link below a folder, sorted. Links are not followed."""
    for here, folders, files in os.walk(root / folder):
        folders.sort()
        links = [name for name in folders if (Path(here) / name).is_symlink()]
        base = PurePosixPath(Path(here).relative_to(root).as_posix())
        yield from (base / name for name in sorted([*files, *links]))


def _exports(root: Path, name: str) -> Iterator[PurePosixPath]:
    """Folders of values that a machine exports: `SERVICE:INSTANCE:ROLE:MACHINE`."""
    for store in _STORES:
        folder = PurePosixPath(*store, *(() if store else ("vars",)), "per-export")
        if (root / folder).is_dir():
            for entry in sorted((root / folder).iterdir()):
                if ":" in entry.name and entry.name.rpartition(":")[2] == name:
                    yield folder / entry.name


def _export_of(scope: str, machine: str) -> str:
    return f"{scope.rpartition(':')[0]}:{machine}"
