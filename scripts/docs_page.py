"""What the scripts that write pages of docs/ share: a page is written, or with `--check` compared with what is there."""

from __future__ import annotations

import argparse
import html
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path


DOCS = Path(__file__).resolve().parent.parent / "docs"


def main(name: str, page: Callable[[], Iterable[str]]) -> int:
    """Write `docs/<name>`. Gives 1 when `--check` finds it out of date, and writes nothing then."""
    script = f"scripts/{Path(sys.argv[0]).name}"
    parser = argparse.ArgumentParser(description=f"Write docs/{name}")
    parser.add_argument("--check", action="store_true", help="only say whether it is up to date")
    for variable in [key for key in os.environ if key.startswith("CLANPY_")]:
        del os.environ[variable]  # what is set here is nobody's default
    text = "\n".join([f"<!-- written by {script}: changes belong there -->", "", *page()]) + "\n"
    path = DOCS / name
    if not parser.parse_args().check:
        path.write_text(text, encoding="utf-8")
        return 0
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return 0
    print(f"docs/{name} is out of date: run {script}", file=sys.stderr)
    return 1


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A table of Markdown, and an empty line behind it."""
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(map(_cell, row))} |"
    yield ""


def _cell(text: str) -> str:
    """Text as it stands in a cell: no bar ends it, and outside of code nothing is taken for HTML.

    A bar in code is written as HTML: the ways of escaping it that Markdown's dialects have contradict each other.
    """
    parts = text.split("`")
    return "".join(_code_in_cell(part) if n % 2 else _escaped(part) for n, part in enumerate(parts))


def _code_in_cell(text: str) -> str:
    return f"<code>{_escaped(html.escape(text, quote=False))}</code>" if "|" in text else f"`{text}`"


def _escaped(text: str) -> str:
    return text.replace("<", "&lt;").replace("|", "&#124;")


def code(text: str) -> str:
    """Text as code, or nothing for nothing."""
    return f"`{text}`" if text else ""
