"""Writing reports of runs: `runs report`, and `--report` of what makes runs."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from clanpy.cli.context import say
from clanpy.errors import ClanpyError, UsageError, nearest
from clanpy.journal import read_events
from clanpy.ui.report import FORMATS, render, story_of


if TYPE_CHECKING:
    from collections.abc import Sequence

ENDINGS = {"html": "html", "junit": "xml", "github": "md", "gitlab": "json", "prometheus": "prom"}


class ReportError(ClanpyError):
    """A report can't be written."""

    code = "CP0905"


def parse_reports(given: Sequence[str]) -> dict[str, Path | None]:
    """`html`, `junit=report.xml`: what is wanted, and where to. None: where such a report goes by itself.

    Raises:
        UsageError: there is no such form.
    """
    found: dict[str, Path | None] = {}
    for text in given:
        form, _, file = text.partition("=")
        if form not in FORMATS:
            hint = nearest(form, FORMATS) or f"one of {', '.join(FORMATS)}"
            raise UsageError(f"there is no report called '{form}'", hint=hint)
        found[form] = Path(file) if file else None
    return found


def write_reports(folder: Path, wanted: dict[str, Path | None]) -> None:
    """Write reports of the run in a folder of the journal.

    Without a file the one for GitHub is added to the summary of the job, and others are written to `clanpy-RUN.…` here.
    """
    if not wanted:
        return
    story = story_of(read_events(folder / "events.jsonl"), run=folder.name)
    for form, file in wanted.items():
        text = render(story, form)
        summary = os.environ.get("GITHUB_STEP_SUMMARY")
        if file is None and form == "github" and summary:
            _write(Path(summary), text, append=True)
        else:
            where = file or Path(f"clanpy-{folder.name}.{ENDINGS[form]}")
            _write(where, text)
            say(f"report: {where}")


def print_report(folder: Path, form: str, file: Path | None) -> None:
    """Write one report to a file, or print it."""
    text = render(story_of(read_events(folder / "events.jsonl"), run=folder.name), form)
    if file is None:
        sys.stdout.write(text)
    else:
        _write(file, text)
        say(f"report: {file}")


def _write(file: Path, text: str, *, append: bool = False) -> None:
    try:
        with file.open("a" if append else "w", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise ReportError(f"the report can't be written to {file}: {error.strerror}") from error
