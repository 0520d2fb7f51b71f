"""How CI systems fold a log: each has marks of its own for where one begins and ends."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


class Folds(Protocol):
    """The marks of one CI system."""

    def begin(self, title: str) -> str: ...

    def end(self) -> str | None: ...

    def failure(self, host: str, message: str) -> Iterator[str]: ...


class GitHubFolds:
    """`::group::`, and `::error` for annotations."""

    def begin(self, title: str) -> str:
        return f"::group::{title}"

    def end(self) -> str:
        return "::endgroup::"

    def failure(self, host: str, message: str) -> Iterator[str]:
        escaped = message.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
        yield f"::error title={host}::{escaped}"


@dataclass(slots=True)
class GitLabFolds:
    """`section_start` and `section_end`: with a time and a name, and collapsed from the beginning."""

    clock: Callable[[], float] = time.time
    _name: str = field(default="", init=False)

    def begin(self, title: str) -> str:
        self._name = re.sub(r"[^A-Za-z0-9_.-]+", "_", title)
        return f"\x1b[0Ksection_start:{int(self.clock())}:{self._name}[collapsed=true]\r\x1b[0K{title}"

    def end(self) -> str:
        return f"\x1b[0Ksection_end:{int(self.clock())}:{self._name}\r\x1b[0K"

    def failure(self, host: str, message: str) -> Iterator[str]:
        """GitLab knows no annotations."""
        yield from ()


class BuildkiteFolds:
    """A line that begins with `---` folds all up to the next one; `^^^ +++` opens the one before."""

    def begin(self, title: str) -> str:
        return f"--- {title}"

    def end(self) -> None:
        """The next beginning is the end."""

    def failure(self, host: str, message: str) -> Iterator[str]:
        yield "^^^ +++"


def folds_of(environ: Mapping[str, str]) -> Folds | None:
    """The marks of the CI system that we run in; None where there is none that folds."""
    if environ.get("GITHUB_ACTIONS") == "true":
        return GitHubFolds()
    if environ.get("GITLAB_CI") == "true":
        return GitLabFolds()
    return BuildkiteFolds() if environ.get("BUILDKITE") == "true" else None
