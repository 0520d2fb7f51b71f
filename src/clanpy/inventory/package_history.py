"""What git remembers of the fallbacks: which came and went, when, and by whom."""

from __future__ import annotations

import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clanpy.inventory.errors import HistoryError


FILES = ("inventory.toml", "inventory")
_GIT_TIMEOUT = 60.0  # seconds
_FORMAT = "%H%x09%as%x09%an%x09%s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A record that was added or dropped (or written in another way: both). `day` as in git, ISO 8601."""

    day: str
    author: str
    commit: str
    subject: str
    action: str
    package: str
    platforms: tuple[str, ...]
    channel: str

    def to_dict(self) -> dict[str, Any]:
        """The change as JSON."""
        return {
            "day": self.day,
            "author": self.author,
            "commit": self.commit,
            "subject": self.subject,
            "action": self.action,
            "package": self.package,
            "platforms": list(self.platforms),
            "channel": self.channel,
        }


def fallback_history(root: Path, package: str | None = None) -> list[Change]:
    """Every change of the fallbacks that git knows, the newest first; of one package, or of all.

    Only what is written in TOML is seen.

    Raises:
        HistoryError: the fleet is not under git.
    """
    said = _git(root, "log", f"--format={_FORMAT}", "-S[[nixpkgs.fallbacks]]", "-m", "--first-parent", "--", *FILES)
    changes: list[Change] = []
    for line in said.splitlines():
        commit, day, author, subject = line.split("\t", 3)
        before, after = _records(root, f"{commit}^"), _records(root, commit)
        for action, records in (("dropped", before - after), ("added", after - before)):
            changes += [
                Change(
                    day=day,
                    author=author,
                    commit=commit[:12],
                    subject=subject,
                    action=action,
                    package=name,
                    platforms=platforms,
                    channel=channel,
                )
                for name, platforms, channel in sorted(records)
                if package in {None, name}
            ]
    return changes


def file_at(root: Path, revision: str, name: str) -> bytes:
    """A file of the fleet as it was in a revision of git.

    Raises:
        HistoryError: the fleet is not under git, there is no such revision, or the file was not in it.
    """
    try:
        return _git(root, "show", f"{revision}:./{name}").encode()
    except HistoryError as error:
        raise HistoryError(
            f"git has no {name} in '{revision}'", details=error.details, hint="name a commit, a tag or a branch"
        ) from None


def _records(root: Path, revision: str) -> frozenset[tuple[str, tuple[str, ...], str]]:
    try:
        names = _git(root, "ls-tree", "-r", "--name-only", revision, "--", *FILES).splitlines()
    except HistoryError:
        return frozenset()  # before the first commit
    return frozenset(
        record
        for name in names
        if name.endswith(".toml")
        for record in _in_text(_git(root, "show", f"{revision}:./{name}"))
    )


def _in_text(text: str) -> Iterator[tuple[str, tuple[str, ...], str]]:
    try:
        found: Any = tomllib.loads(text).get("nixpkgs", {}).get("fallbacks", [])
    except (ValueError, AttributeError):
        return  # a commit in which the file was broken
    for record in found if isinstance(found, list) else ():
        if isinstance(record, Mapping) and isinstance(record.get("package"), str):
            platforms = record.get("platforms", [])
            yield (
                record["package"],
                tuple(str(p) for p in platforms) if isinstance(platforms, list) else (),
                str(record.get("channel", "stable")),
            )


def _git(root: Path, *arguments: str) -> str:
    argv = ["git", "-C", str(root), *arguments]
    try:
        done = subprocess.run(argv, check=True, capture_output=True, timeout=_GIT_TIMEOUT)
    except FileNotFoundError:
        raise HistoryError("git is not installed, so that there is no history to look at") from None
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        lines = (error.stderr or b"").decode("utf-8", "replace").strip().splitlines()
        raise HistoryError("git can't tell the history of the fleet", details=lines[-3:]) from None
    return done.stdout.decode("utf-8", "replace")
