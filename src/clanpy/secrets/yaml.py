"""The part of YAML that `sops` writes, and no more: block mappings and sequences, plain and quoted scalars, literal blocks.

Everything else (anchors, tags, flow style with content, folded and multi-line scalars, several documents) is refused, and
left to the program. Comments are dropped. Scalars are told apart as the program does, in so far as they are certain.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, NoReturn

from clanpy.secrets.errors import UnknownShapeError


_INTEGER = re.compile(r"-?(0|[1-9]\d*)")
_KEY = re.compile(
    r"""(?P<key>"(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s"'#&*!|>%@`{\[\]},?:-][^#]*?|-[^\s#][^#]*?)\s*:(?P<rest>\s.*|)$"""
)
_SURELY_TEXT = re.compile(r"[A-Za-z_/+~$^(][^#]*")
_VERSION = re.compile(r"\d+\.\d+\.\d+")  # three numbers are none
_LITERAL = re.compile(r"\|[+-]?")
_CONSTANTS = {"null": None, "~": None, "true": True, "false": False}
# Words that versions of YAML disagree on, and the beginnings of what might be numbers.
_DOUBTFUL = re.compile(r"(?i)(null|true|false|y|n|yes|no|on|off|~|[-+.]?(inf|nan)|[-+.]?\d.*)")


@dataclass(frozen=True, slots=True)
class _Line:
    indent: int
    text: str


def load(text: str, name: str) -> Any:
    """The document as plain data; numbers other than whole ones are refused.

    Raises:
        UnknownShapeError: it is not of the shape that the program writes.
    """
    if "\t" in re.sub(r'"(?:[^"\\]|\\.)*"', "", text):
        _refuse(name)
    lines = [_Line(len(raw) - len(raw.lstrip(" ")), raw.strip(" ")) for raw in text.split("\n")]
    reader = _Reader(lines, name)
    value = reader.block(0)
    reader.skip()
    if reader.at < len(lines):
        _refuse(name)
    return value


class _Reader:
    def __init__(self, lines: list[_Line], name: str) -> None:
        self.lines = lines
        self.name = name
        self.at = 0
        self.sequences: list[int] = []  # how deep those are that we are in

    def skip(self) -> None:
        """Pass over empty lines and comments. In a sequence a comment counts as a value for the program: it is refused."""
        while self.at < len(self.lines):
            line = self.lines[self.at]
            if line.text.startswith("#") and self.sequences and line.indent >= self.sequences[-1]:
                _refuse(self.name)
            if line.text and not line.text.startswith("#"):
                return
            self.at += 1

    def line(self) -> _Line | None:
        self.skip()
        return self.lines[self.at] if self.at < len(self.lines) else None

    def block(self, indent: int) -> Any:
        """The mapping or sequence that begins here, at least `indent` deep."""
        line = self.line()
        if line is None or line.indent < indent:
            return None
        return self.sequence(line.indent) if _is_item(line.text) else self.mapping(line.indent)

    def mapping(self, indent: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while (line := self.line()) is not None and line.indent == indent and not _is_item(line.text):
            match = _KEY.fullmatch(line.text)
            if match is None:
                _refuse(self.name)
            key = self.scalar(match["key"])
            if not isinstance(key, str) or key in found:
                _refuse(self.name)
            self.at += 1
            found[key] = self.value(match["rest"].strip(" "), indent)
        self.end(indent)
        return found

    def sequence(self, indent: int) -> list[Any]:
        found = []
        self.sequences.append(indent)
        while (line := self.line()) is not None and line.indent == indent and _is_item(line.text):
            rest = line.text[1:].lstrip(" ")
            inner = indent + len(line.text) - len(rest)
            if _is_item(rest) or (_KEY.fullmatch(rest) and not rest.startswith(("ENC[", '"', "'"))):
                self.lines[self.at] = _Line(inner, rest)  # what stands behind the dash is a block of its own
                found.append(self.block(inner))
            else:
                self.at += 1
                found.append(self.value(rest, indent))
        self.sequences.pop()
        self.end(indent)
        return found

    def end(self, indent: int) -> None:
        line = self.line()
        if line is not None and line.indent > indent:
            _refuse(self.name)

    def value(self, text: str, indent: int) -> Any:
        """What stands behind a key or a dash; when nothing does, the block below it."""
        if _LITERAL.fullmatch(text):
            return self.literal(text, indent)
        if text and not text.startswith("#"):
            return self.scalar(text)
        line = self.line()
        if line is not None and line.indent == indent and _is_item(line.text):
            return self.sequence(indent)  # a sequence may stand as deep as its key
        return self.block(indent + 1)

    def literal(self, header: str, indent: int) -> str:
        body: list[str] = []
        first: int | None = None
        while self.at < len(self.lines):
            line = self.lines[self.at]
            if line.text and line.indent <= indent:
                break
            if line.text and first is None:
                first = line.indent
            body.append(" " * (line.indent - (first or 0)) + line.text if line.text else "")
            self.at += 1
        kept = len(body)
        while kept and not body[kept - 1]:
            kept -= 1
        text = "\n".join(body[:kept])
        if header == "|-":
            return text
        return f"{text}\n" + "\n" * (len(body) - kept) if header == "|+" else f"{text}\n"

    def scalar(self, text: str) -> Any:
        if text.startswith('"'):
            return self.double_quoted(text)
        if text.startswith("'"):
            if not re.fullmatch(r"'(?:[^']|'')*'", text):
                _refuse(self.name)
            return text[1:-1].replace("''", "'")
        if text in ("{}", "[]"):
            return {} if text == "{}" else []
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        return int(text) if _INTEGER.fullmatch(text) else self.plain(text)

    def plain(self, text: str) -> str:
        if (text.startswith("ENC[AES256_GCM,") and text.endswith("]")) or _VERSION.fullmatch(text):
            return text
        if _DOUBTFUL.fullmatch(text) or not _SURELY_TEXT.fullmatch(text) or ": " in text or text.endswith(":"):
            _refuse(self.name)
        return text

    def double_quoted(self, text: str) -> Any:
        try:
            return json.loads(text)  # the escapes that both have in common; another one is an error
        except ValueError:
            _refuse(self.name)


def _is_item(text: str) -> bool:
    return text == "-" or text.startswith("- ")


def _refuse(name: str) -> NoReturn:
    raise UnknownShapeError(f"{name} is written in a way that only the program `sops` reads")
