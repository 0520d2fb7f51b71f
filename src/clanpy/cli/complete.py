"""What the shell offers: names of machines, tags and runs, read in a few milliseconds and never an error.

The fleet is not loaded for this: names are taken from the TOML files as they stand, by the parser of the standard library.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


COMPUTED_TAGS = ("all", "darwin", "nixos")


def complete_machines(incomplete: str) -> list[str]:
    """Names of machines that begin like this."""
    return _beginning(incomplete, set(_machines()))


def complete_tags(incomplete: str) -> list[str]:
    """Tags that begin like the last one of a comma-separated list."""
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{tag}" for tag in _beginning(last, set(_tags()))]


def complete_runs(incomplete: str) -> list[str]:
    """Ids of runs of any fleet, the newest first."""
    from clanpy.journal import state_home  # noqa: PLC0415 - only when runs are completed

    ids = {path.parent.name for path in state_home().glob("*/runs/*/events.jsonl")}
    return sorted((run for run in ids if run.startswith(incomplete)), reverse=True)


def _beginning(incomplete: str, names: set[str]) -> list[str]:
    return sorted(name for name in names if name.startswith(incomplete))


def _machines() -> Iterator[str]:
    root = _root()
    if root is None:
        return
    yield from (path.name for path in root.glob("machines/*/") if not path.name.startswith(("_", ".")))
    for document in _documents(root):
        yield from _table(_table(document, "inventory"), "machines") or _table(document, "machines")


def _tags() -> Iterator[str]:
    yield from COMPUTED_TAGS
    for document in _documents(_root()):
        inventory = _table(document, "inventory") or document
        yield from _table(inventory, "tags")
        for machine in _table(inventory, "machines").values():
            if isinstance(machine, dict):
                yield from (tag for tag in machine.get("tags", ()) if isinstance(tag, str))


def _documents(root: Path | None) -> Iterator[Mapping[str, Any]]:
    if root is None:
        return
    for path in [root / "inventory.toml", *sorted(root.glob("inventory/*.toml"))]:
        try:
            yield tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue  # a file that is broken offers nothing; `clanpy check` says why


def _table(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def _root() -> Path | None:
    given = os.environ.get("CLANPY_FLEET")
    here = Path(given) if given else Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / "inventory.toml").is_file()), None)
