"""What Nix says about a configuration, turned into one sentence with its place in the fleet's own files.

Nix evaluates a copy of the staged tree in its store, and speaks of that. The copy's path follows from its hash, so each name that Nix
gives leads back to the file that was staged.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clanpy.errors import ClanpyError, Place
from clanpy.nix.errors import MAX_DETAILS, DiskFullError, EvaluationError, is_disk_full, plain, tail
from clanpy.nix.lexer import LexError, tokens
from clanpy.nix.nar import base32


GENERATED = "generated/"
_AT = re.compile(r"\bat (?P<file>(?:«[^»]*»)?[^\s:«»]+):(?P<line>\d+):(?P<column>\d+)")
_IN = re.compile(r"(?:- In|, in| in) [`\"](?P<file>[^'`\"]+)['\"]")
_OPTION = re.compile(r"option `(?P<option>[^'`]+)['`]")
_CONTEXT = re.compile(r"… |\.\.\. |at |\(use '--show-trace'|\(stack trace|\d+\|")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origins:
    """Leads back from a staged tree to the fleet.

    Attributes:
        files: where each file of the tree came from, and each module that has no file.
        root: the staged tree.
        stored: the store path of Nix's copy of it.
    """

    files: Mapping[str, str]
    root: Path
    stored: str

    def rename(self, text: str) -> str:
        """The text with the files of the tree called what they are called in the fleet."""
        pattern = self._prefix() + r"(?P<rel>[^\s:'`\"»]+)"
        return re.sub(pattern, lambda match: self.files.get(match["rel"], match["rel"]), text)

    def relative(self, file: str) -> str | None:
        """The name in the tree of a file or module that Nix names; None for what is not of the tree."""
        match = re.fullmatch(self._prefix() + r"(?P<rel>.+)", file)
        name = match["rel"] if match else file
        return name if name in self.files else None

    def place(self, name: str, line: int | None = None, column: int | None = None) -> Place:
        """The fleet's own place for one in the tree. What was generated has no lines in the fleet."""
        return Place(self.files[name]) if name.startswith(GENERATED) else Place(self.files[name], line, column)

    def _prefix(self) -> str:
        return rf"(?:{re.escape(self.stored)}|«path:{re.escape(str(self.root))}[^»]*»|{re.escape(str(self.root))})/"


def store_path(nar_hash: str, store_dir: str) -> str:
    """The store path of a flake's tree with this hash."""
    digest = base64.b64decode(nar_hash.removeprefix("sha256-")).hex()
    whole = hashlib.sha256(f"source:sha256:{digest}:{store_dir}:source".encode()).digest()
    folded = bytearray(20)
    for n, byte in enumerate(whole):
        folded[n % 20] ^= byte
    return f"{store_dir}/{base32(bytes(folded))}-source"


def evaluation_error(host: str, stderr: str, origins: Origins) -> ClanpyError:
    """The error for what Nix wrote when it could not evaluate a machine."""
    text = plain(stderr)
    if is_disk_full(text):
        return DiskFullError(f"{host}: no space left on the disk of this machine's Nix store", details=tail(text))
    message, rest = _last_error(text)
    sentence, *more = [origins.rename(line) for line in message] or ["Nix gave no reason"]
    details = [*more, *(origins.rename(line) for line in _own_trace(rest, origins))]
    return EvaluationError(
        f"{host}: {sentence.rstrip(':.')}",
        place=_place(message, rest, origins),
        hint=_hint(text),
        details=list(dict.fromkeys(details))[:MAX_DETAILS],
    )


def _last_error(text: str) -> tuple[list[str], list[str]]:
    """The lines of the last `error:`, and all others, those nearest to it first."""
    lines = [line.strip() for line in text.splitlines()]
    starts = [i for i, line in enumerate(lines) if line.startswith("error:")]
    if not starts:
        return [line for line in lines if line][-1:], []
    start = starts[-1]
    end = start + 1
    while end < len(lines) and not _CONTEXT.match(lines[end]):
        end += 1
    message = [lines[start].removeprefix("error:").strip(), *lines[start + 1 : end]]
    return [line for line in message if line], [*lines[end:], *reversed(lines[:start])]


def _place(message: Sequence[str], rest: Sequence[str], origins: Origins) -> Place | None:
    """The innermost place in the fleet: what the message itself names comes before what led to it."""
    named = next(_named(message, origins), None)
    if named is not None:
        return origins.place(named, _line_of_option(" ".join(message), origins.root / named))
    found = next(_positions([*message, *rest], origins), None)
    if found is not None:
        return found
    outer = next(_named(rest, origins), None)
    return None if outer is None else origins.place(outer)


def _named(lines: Iterable[str], origins: Origins) -> Iterator[str]:
    for line in lines:
        for match in _IN.finditer(line):
            name = origins.relative(match["file"])
            if name is not None:
                yield name


def _positions(lines: Iterable[str], origins: Origins) -> Iterator[Place]:
    for line in lines:
        for match in _AT.finditer(line):
            name = origins.relative(match["file"])
            if name is not None:
                yield origins.place(name, int(match["line"]), int(match["column"]))


def _line_of_option(message: str, file: Path) -> int | None:
    """Where a file names the option that a message is about, if it names it in one place only."""
    match = _OPTION.search(message)
    if match is None or file.suffix != ".nix":
        return None
    try:
        text = file.read_text()
        last = match["option"].rsplit(".", 1)[-1].strip('"')
        found = {text.count("\n", 0, token.start) + 1 for token in tokens(text) if token.text == last}
    except (OSError, UnicodeDecodeError, LexError):
        return None
    return found.pop() if len(found) == 1 else None


def _own_trace(lines: Iterable[str], origins: Origins) -> Iterator[str]:
    """Of what led to an error, what a user can do something with: options on the way, and places in the fleet."""
    for line in lines:
        if next(_positions([line], origins), None) or "while evaluating the option" in line:
            yield line


_HINTS = (
    (
        re.compile(
            r"(?:path|file) '[^']*' does not exist|getting status of '[^']*': No such file|opening file '[^']*'"
        ),
        "a machine sees its own folder, its aspects, and what their files name by a relative path that is there",
    ),
    (
        re.compile(r"access to (?:absolute )?path '[^']*' is forbidden"),
        "only files of the fleet that are named by a relative path can be read",
    ),
    (
        re.compile(r"reference `config` in `imports`|infinite recursion encountered"),
        "a value depends on itself; in `imports` nothing of `config` can be used",
    ),
)


def _hint(text: str) -> str | None:
    return next((hint for pattern, hint in _HINTS if pattern.search(text)), None)
