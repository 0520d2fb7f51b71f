"""Records of packages that are taken from another channel: written to the end of a file, and taken out again."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from clanpy.errors import NothingMatchedError, nearest
from clanpy.inventory.editing.plan import File, Plan
from clanpy.inventory.editing.splice import Splice, applied, rendered
from clanpy.inventory.editing.tomlfile import Section, TomlFile
from clanpy.inventory.editing.values import read_file, real_path, toml_sources
from clanpy.inventory.sources import INVENTORY


TABLE = ("nixpkgs", "fallbacks")


def add_fallback(root: Path, record: Mapping[str, Any], *, file: str | None = None) -> Plan:
    """The plan to write a record: behind the other ones where there are some, else at the end of inventory.toml.

    Raises:
        NotEditableError: the file can't be read.
    """
    name = file or _file_with_records(root) or INVENTORY
    before = read_file(root, name)
    parsed = TomlFile(before)
    newline = parsed.newline.decode()
    lines = ["[[nixpkgs.fallbacks]]", *(f"{key} = {rendered(value)}" for key, value in record.items())]
    others = _sections(parsed)
    position = _end(parsed, others[-1]) if others else len(before)
    head = before[:position].rstrip(b"\r\n") + 2 * parsed.newline if before[:position].strip() else b""
    tail = before[position:].lstrip(b"\r\n")
    text = newline.join(lines).encode() + parsed.newline
    return _plan(root, name, before, head + text + (parsed.newline + tail if tail else b""))


def drop_fallback(root: Path, package: str, platform: str | None = None) -> Plan:
    """The plan to take out the records of a package (of those that name a platform, where one is given).

    Raises:
        NothingMatchedError: there is none in any file that can be edited.
    """
    files: list[File] = []
    known: set[str] = set()
    for source in toml_sources(root):
        before = read_file(root, source.name)
        parsed = TomlFile(before)
        spans = []
        for section in _sections(parsed):
            record = _record(parsed, section)
            known.add(str(record.get("package")))
            if record.get("package") == package and (platform is None or platform in record.get("platforms", ())):
                spans.append(Splice(section.start, _end(parsed, section), b""))
        if spans:
            files += _plan(root, source.name, before, applied(before, spans)).files
    if not files:
        where = f" on {platform}" if platform else ""
        raise NothingMatchedError(f"there is no fallback of '{package}'{where}", hint=nearest(package, known))
    return Plan(root=root, files=tuple(files))


def _file_with_records(root: Path) -> str | None:
    names = (source.name for source in toml_sources(root) if _sections(TomlFile(read_file(root, source.name))))
    return next(names, None)


def _sections(parsed: TomlFile) -> list[Section]:
    return [s for s in parsed.sections if s.is_list and tuple(part.text for part in s.parts) == TABLE]


def _end(parsed: TomlFile, section: Section) -> int:
    """Behind its last line, and behind the empty lines that follow it."""
    last = max([section.end, *(pair.end for pair in section.pairs)])
    end = parsed.line_end(last)
    while end < len(parsed.raw) and not parsed.raw[end : parsed.line_end(end)].strip():
        end = parsed.line_end(end)
    return end


def _record(parsed: TomlFile, section: Section) -> dict[str, Any]:
    text = parsed.raw[section.start : _end(parsed, section)].decode()
    return dict(tomllib.loads(text)[TABLE[0]][TABLE[1]][0])


def _plan(root: Path, name: str, before: bytes, after: bytes) -> Plan:
    file = File(path=PurePosixPath(name), real=real_path(root, name), before=before, after=after)
    return Plan(root=root, files=(file,))
