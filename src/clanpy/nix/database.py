"""Asking the database of this computer's store what is valid and what it refers to: no process, where `nix path-info` is one.

It is Nix's own and not promised to anybody, so its version is checked, and whoever asks has another way for the answer None. A path
that lies in the store is valid only when it is in here: while it is built or copied it is there already, and not whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar


if TYPE_CHECKING:
    import sqlite3

    from clanpy.nix.program import NixProgram

_T = TypeVar("_T")
_Row = tuple[int, str, str, int | None, str | None, str | None, str | None]

SCHEMA = "10"  # since Nix 2.0
WAIT_SECONDS = 5.0  # for a writer
AT_ONCE = 500  # values in one question: SQLite allows 999 and more
_ELSEWHERE = frozenset(("", "auto", "local", "daemon"))  # what NIX_REMOTE may be, and the store still be this one

_VALID = "SELECT path FROM ValidPaths WHERE path IN ({marks})"
_CLOSURE = """
    WITH RECURSIVE needed(id) AS (
        SELECT id FROM ValidPaths WHERE path IN ({marks})
        UNION SELECT reference FROM Refs JOIN needed ON referrer = needed.id
    )
    SELECT v.id, v.path, v.hash, v.narSize, v.deriver, v.sigs, v.ca FROM ValidPaths v JOIN needed ON v.id = needed.id
"""
_REFERENCES = """
    WITH RECURSIVE needed(id) AS (
        SELECT id FROM ValidPaths WHERE path IN ({marks})
        UNION SELECT reference FROM Refs JOIN needed ON referrer = needed.id
    )
    SELECT referrer, reference FROM Refs JOIN needed ON referrer = needed.id
"""


@dataclass(frozen=True, slots=True)
class Registered:
    """What the database says of a valid path. `references` may have the path itself."""

    path: str
    hash: str
    size: int
    references: tuple[str, ...]
    deriver: str
    signatures: tuple[str, ...]
    content_address: str


@dataclass(frozen=True, slots=True)
class StoreDatabase:
    """The database below a state folder."""

    folder: Path

    @classmethod
    def of(cls, nix: NixProgram) -> StoreDatabase | None:
        """The database of the store that this Nix works on, as far as it is one of this computer."""
        if nix.environ.get("NIX_REMOTE", "") not in _ELSEWHERE:
            return None
        if any(line.split("=")[0].strip() == "store" for line in (*nix.config, *_lines(nix))):
            return None
        return cls(nix.state_dir / "db")

    def valid(self, paths: Iterable[str]) -> frozenset[str] | None:
        """Those of the paths that are valid; None when it can't be read."""
        asked = list(dict.fromkeys(paths))

        def look(database: sqlite3.Connection) -> frozenset[str]:
            parts = (asked[start : start + AT_ONCE] for start in range(0, len(asked), AT_ONCE))
            return frozenset(path for part in parts for (path,) in database.execute(_filled(_VALID, part), part))

        return self._ask(look)

    def closure(self, paths: Sequence[str]) -> tuple[Registered, ...] | None:
        """All that some paths refer to, and they themselves; None when it can't be read, or one of them is not valid."""
        if len(paths) > AT_ONCE:
            return None

        def look(database: sqlite3.Connection) -> tuple[list[_Row], list[tuple[int, int]]]:
            database.execute("BEGIN")  # one state of the store for both questions
            return (
                database.execute(_filled(_CLOSURE, paths), paths).fetchall(),
                database.execute(_filled(_REFERENCES, paths), paths).fetchall(),
            )

        found = self._ask(look)
        return None if found is None else _together(paths, *found)

    def _ask(self, look: Callable[[sqlite3.Connection], _T]) -> _T | None:
        import sqlite3  # noqa: PLC0415 - a few milliseconds, and not needed where nothing has changed

        try:
            if (self.folder / "schema").read_text().strip() != SCHEMA:
                return None
            place = f"{(self.folder / 'db.sqlite').as_uri()}?mode=ro"
            with closing(sqlite3.connect(place, uri=True, timeout=WAIT_SECONDS)) as database:
                return look(database)
        except (OSError, sqlite3.Error):
            return None


def _together(
    paths: Sequence[str], rows: Sequence[_Row], links: Iterable[tuple[int, int]]
) -> tuple[Registered, ...] | None:
    names = {number: path for number, path, *_ in rows}
    if not set(paths) <= set(names.values()):
        return None
    references: dict[int, list[str]] = {}
    for referrer, reference in links:
        references.setdefault(referrer, []).append(names[reference])
    return tuple(_registered(row, sorted(references.get(row[0], ()))) for row in rows)


def _registered(row: _Row, references: Sequence[str]) -> Registered:
    _, path, digest, size, deriver, signatures, address = row
    return Registered(
        path, digest, size or 0, tuple(references), deriver or "", tuple((signatures or "").split()), address or ""
    )


def _filled(question: str, values: Sequence[str]) -> str:
    return question.format(marks=",".join("?" * len(values)))


def _lines(nix: NixProgram) -> list[str]:
    return nix.environ.get("NIX_CONFIG", "").splitlines()
