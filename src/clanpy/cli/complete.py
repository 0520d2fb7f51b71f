"""What the shell offers: names of machines, tags and runs, read in a few milliseconds and never an error.

The fleet is not loaded for this: names are taken from the TOML files as they stand, by the parser of the standard library.
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any


COMPUTED_TAGS = ("all", "darwin", "nixos")
CLASSES = ("darwin", "nixos")
_BEGUN = re.compile(r"""(?P<before>(?:.*[\s(,])?)(?P<word>[^\s(,]*)""", re.DOTALL)


def complete_machines(incomplete: str) -> list[str]:
    """Selections of machines that begin like this: the last word of one is completed, a name or what stands behind `tag:`."""
    begun = _BEGUN.fullmatch(incomplete)
    if begun is None:
        return []
    before, word = begun["before"], begun["word"]
    kind, colon, value = word.partition(":")
    found = _of_kind(kind, value) if colon else _words(word, is_inside=bool(before.strip(" (")))
    return [f"{before}{item}" for item in found]


def complete_users(incomplete: str) -> list[str]:
    """People that begin like this, and their aliases."""
    return [name.removeprefix("user:") for name in _of_kind("user", incomplete)]


def begun_with_colon(words: list[str], current: int) -> tuple[list[str], int, str]:
    """The words of a line that bash has split at each colon, as they were typed, and which of them is being completed.

    Last comes what bash has already got of this word, up to its last colon: what is offered has to be without it.
    """
    glued: list[str] = []
    is_open = False
    for word in words[: current + 1]:
        is_colon = set(word) == {":"}
        if glued and (is_open or is_colon):
            glued[-1] += word
        else:
            glued.append(word)
        is_open = is_colon
    last = words[current] if current < len(words) else ""
    typed = glued[-1][: glued[-1].rindex(":") + 1] if glued and glued[-1] != last else ""
    return glued, len(glued) - 1, typed


@contextmanager
def cut(typed: str) -> Iterator[None]:
    """Take a text from the beginning of each line that is printed."""
    if not typed:
        yield
        return
    stdout = sys.stdout
    with redirect_stdout(io.StringIO()) as said:
        try:
            yield
        finally:
            stdout.writelines(line.removeprefix(typed) for line in said.getvalue().splitlines(keepends=True))


def complete_tags(incomplete: str) -> list[str]:
    """Tags that begin like the last one of a comma-separated list."""
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{tag}" for tag in _beginning(last, set(_tags()))]


def complete_runs(incomplete: str) -> list[str]:
    """Ids of runs of any fleet, the newest first."""
    from clanpy.journal import state_home  # noqa: PLC0415 - only when runs are completed

    ids = {path.parent.name for path in state_home().glob("*/runs/*/events.jsonl")}
    return sorted((run for run in ids if run.startswith(incomplete)), reverse=True)


def _words(word: str, *, is_inside: bool) -> list[str]:
    """Names; what else a selection can go on with, when no name begins so. What can only be a kind goes on to its values."""
    machines = set(_machines())
    if not machines:
        return []
    named = _beginning(word, machines) if word else []
    if named:
        return named
    more = {f"{kind}:" for kind in _KINDS} | ({"and", "or", "not"} if is_inside else {"not"} if word else set())
    found = _beginning(word, machines | more)
    return _of_kind(found[0][:-1], "") if len(found) == 1 and found[0].endswith(":") else found


def _of_kind(kind: str, value: str) -> list[str]:
    known = _KINDS.get(kind)
    return [f"{kind}:{name}" for name in _beginning(value, set(known()))] if known is not None else []


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
        yield from _table(_inventory(document), "tags")
    for machine in _entries("machines"):
        yield from _texts(machine.get("tags"))


def _field(name: str) -> Iterator[str]:
    for machine in _entries("machines"):
        yield from _texts([machine.get(name)])


def _users() -> Iterator[str]:
    for document in _documents(_root()):
        yield from _table(_inventory(document), "users")
    for user in _entries("users"):
        yield from _texts(user.get("aliases"))


def _instances() -> Iterator[str]:
    for document in _documents(_root()):
        yield from _table(_inventory(document), "instances")


def _roles() -> Iterator[str]:
    for document in _documents(_root()):
        instances = _table(_inventory(document), "instances")
        for instance in instances:
            for role in _table(_table(instances, instance), "roles"):
                yield from (role, f"{instance}/{role}")


_KINDS: Mapping[str, Callable[[], Iterator[str]]] = {
    "tag": _tags,
    "class": lambda: iter(CLASSES),
    "system": lambda: _field("system"),
    "type": lambda: _field("type"),
    "user": _users,
    "instance": _instances,
    "role": _roles,
    "is": lambda: iter(("changed", "failed", "stale", "unreachable")),
}


def _inventory(document: Mapping[str, Any]) -> Mapping[str, Any]:
    return _table(document, "inventory") or document


def _entries(name: str) -> Iterator[Mapping[str, Any]]:
    for document in _documents(_root()):
        yield from (entry for entry in _table(_inventory(document), name).values() if isinstance(entry, dict))


def _texts(value: Any) -> Iterator[str]:
    yield from (text for text in value if isinstance(text, str)) if isinstance(value, list) else ()


_WHOLE = ("inventory.toml", "inventory.json")  # the latter is a clan's


def _documents(root: Path | None) -> Iterator[Mapping[str, Any]]:
    if root is None:
        return
    for path in [*(root / name for name in _WHOLE), *sorted(root.glob("inventory/*.toml"))]:
        read = json.loads if path.suffix == ".json" else tomllib.loads
        try:
            document = read(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue  # a file that is broken offers nothing; `clanpy check` says why
        if isinstance(document, dict):
            yield document


def _table(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def _root() -> Path | None:
    given = os.environ.get("CLANPY_FLEET")
    here = Path(given) if given else Path.cwd()
    return next((folder for folder in (here, *here.parents) if any((folder / name).is_file() for name in _WHOLE)), None)
