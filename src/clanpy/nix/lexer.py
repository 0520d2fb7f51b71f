"""Taking Nix text apart into words: enough to see which paths and names a file mentions, and to read plain literals.

Strings are one token each; what is interpolated into them comes out as tokens of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal


Kind = Literal["name", "path", "uri", "number", "string", "sign"]


@dataclass(frozen=True, slots=True)
class Token:
    """A word of Nix. Of a string, `text` is the content of a plain one, and None where something is interpolated.

    A path that goes on in an interpolation ends with `/`: the folder in which it lies.
    """

    kind: Kind
    text: str | None
    start: int


class LexError(ValueError):
    """The text is not Nix, as far as words go. `offset` says where."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


_SKIP = re.compile(r"(?:\s+|#[^\n]*|/\*.*?\*/)+", re.DOTALL)
_WORD = re.compile(
    r"(?P<uri>[A-Za-z][A-Za-z0-9+.-]*:[A-Za-z0-9%/?:@&=+$,_.!~*'-]+)"
    r"|(?P<path><[\w.+-]+(?:/[\w.+-]+)*>|~?[\w.+-]*(?:/[\w.+-]+)+/?|\.{1,2}/|~/)"
    r"|(?P<number>\d+\.\d*(?:[eE][+-]?\d+)?|\d+)"
    r"|(?P<name>[A-Za-z_][\w'-]*)"
    r"|(?P<sign>\$\{|''|//|\+\+|==|!=|<=|>=|->|&&|\|\||\.\.\.|.)",
    re.DOTALL,
)
_PLAIN = re.compile(r'(?:[^"\\$]|\\.|\$\\.|\$[^{"\\]|\$(?="))+', re.DOTALL)
_INDENTED = re.compile(r"(?:[^$']|'(?!')|''(?:\$|'|\\.)|\$[^{']|\$(?=''))+", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


def tokens(text: str) -> Iterator[Token]:
    """The words of a Nix text.

    Raises:
        LexError: a string, comment or interpolation does not end.
    """
    found, _ = _code(text, 0, closing=None)
    return iter(found)


def _code(text: str, at: int, closing: str | None) -> tuple[list[Token], int]:
    """Tokens from `at` up to the brace that closes an interpolation, or to the end."""
    found: list[Token] = []
    depth = 0
    while True:
        if skipped := _SKIP.match(text, at):
            at = skipped.end()
        if at >= len(text):
            if closing is None:
                return found, at
            raise LexError("an interpolation does not end", at)
        if text.startswith("''", at) or text[at] == '"':
            inner, at = _string(text, at)
            found += inner
            continue
        word = _WORD.match(text, at)
        assert word is not None  # the last alternative takes any character
        kind, value = word.lastgroup, word[0]
        if value == "}" and depth == 0 and closing is not None:
            return found, word.end()
        depth += {"{": 1, "${": 1, "}": -1}.get(value, 0)
        if kind == "path" and text.startswith("${", word.end()):
            value = value[: value.rindex("/") + 1]
        found.append(Token(kind, value, at))  # type: ignore[arg-type]  # the names of the groups are the kinds
        at = word.end()


def _string(text: str, start: int) -> tuple[list[Token], int]:
    """A string at `start`, and the tokens of what is interpolated into it."""
    quote = '"' if text[start] == '"' else "''"
    body = _PLAIN if quote == '"' else _INDENTED
    at, parts, inner, plain = start + len(quote), [], list[Token](), True
    while not text.startswith(quote, at):
        if at >= len(text):
            raise LexError("a string does not end", start)
        if text.startswith("${", at):
            plain = False
            more, at = _code(text, at + 2, closing="}")
            inner += more
        elif chunk := body.match(text, at):
            parts.append(chunk[0])
            at = chunk.end()
        else:
            raise LexError("a string does not end", start)
    value = "".join(parts) if plain else None
    if value is not None and quote == '"':
        value = _ESCAPE.sub(lambda m: _ESCAPES.get(m[1], m[1]), value)
    return [Token("string", value, start), *inner], at + len(quote)
