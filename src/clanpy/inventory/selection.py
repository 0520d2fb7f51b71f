"""Selections of machines as people write them: reading and printing them. What they mean is in `matching`.

    selection = both { ("or" | ",") both }
    both      = one { "and" one }
    one       = "not" one | "(" selection ")" | "-" | pattern | kind ":" pattern
    kind      = "tag" | "class" | "system" | "type" | "user" | "instance" | "role" | …

`not` binds closest, then `and`; `or` and the comma mean the same. A pattern is a name or a glob (`*`, `?`, `[a-c]`), or names a
role as `INSTANCE/ROLE`. A part in quotes, single or double, is taken as it is: there a glob is none, a keyword is a name, and a
backslash takes the meaning from the character behind it. `-` stands for names on standard input.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from fnmatch import translate
from functools import lru_cache
from typing import NamedTuple

from clanpy.errors import nearest
from clanpy.inventory.errors import SelectionError


KINDS = ("tag", "class", "system", "type", "user", "instance", "role")
KEYWORDS = frozenset({"and", "or", "not"})
STDIN = "-"
MAX_DEPTH = 64  # of parentheses and `not`; far beyond what people write, far below what the interpreter bears
_GLOB = frozenset("*?[")
_ESCAPED = re.compile(r"[*?[]")
_TOKEN = re.compile(
    r"""\s*(?:(?P<sign>[(),])|(?P<word>(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s(),'"])+)|(?P<rest>\S))""", re.DOTALL
)
_PIECE = re.compile(r"""(?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<bare>[^\s(),'"]+)""", re.DOTALL)
_SPECIAL = re.compile(r"""[\s(),'"]+""")
_MEANT = {"&": "and", "&&": "and", "+": "and", "|": "or", "||": "or", "!": "not"}
_SHOWN = 60  # characters of a selection around the mark


@lru_cache(maxsize=1024)
def _compiled(glob: str) -> re.Pattern[str]:
    return re.compile(translate(glob))


class Pattern(NamedTuple):
    """A name, or a glob for names."""

    text: str
    is_glob: bool = False

    def fits(self, name: str) -> bool:
        return _compiled(self.text).match(name) is not None if self.is_glob else name == self.text


@dataclass(frozen=True, slots=True)
class Term:
    """Machines by their names (kind None), or by something that is known about them. `at` is where it stands."""

    kind: str | None
    pattern: Pattern
    at: tuple[int, int] = field(default=(0, 0), compare=False)

    def __str__(self) -> str:
        return _written(self.kind, self.pattern)


@dataclass(frozen=True, slots=True)
class Stdin:
    """The machines whose names are on standard input."""

    at: tuple[int, int] = field(default=(0, 0), compare=False)

    def __str__(self) -> str:
        return STDIN


@dataclass(frozen=True, slots=True)
class Not:
    """All other machines."""

    operand: Selection

    def __str__(self) -> str:
        return f"not {_inside(self.operand, And, Or)}"


@dataclass(frozen=True, slots=True)
class _Several:
    operands: tuple[Selection, ...]


class And(_Several):
    """The machines that are in all of these, of which there are two or more."""

    __slots__ = ()

    def __str__(self) -> str:
        return " and ".join(_inside(operand, And, Or) for operand in self.operands)


class Or(_Several):
    """The machines that are in any of these, of which there are two or more."""

    __slots__ = ()

    def __str__(self) -> str:
        return " or ".join(_inside(operand, Or) for operand in self.operands)


Selection = Term | Stdin | Not | And | Or


def parse(text: str, kinds: Collection[str] = KINDS) -> Selection:
    """Read a selection. `str()` of it is a selection that reads the same.

    Raises:
        SelectionError: it is none; the details show where.
    """
    return _Parser(text, kinds).whole()


def leaves(selection: Selection) -> Iterator[Term | Stdin]:
    """Every name, glob, `kind:value` and `-` in a selection."""
    match selection:
        case Not(operand=operand):
            yield from leaves(operand)
        case And(operands=operands) | Or(operands=operands):
            for operand in operands:
                yield from leaves(operand)
        case leaf:
            yield leaf


def marked(text: str, at: tuple[int, int]) -> tuple[str, ...]:
    """The part of a text around a place in it, and a line with a mark below that place."""
    start, end = at
    first = max(0, min(start - _SHOWN // 2, len(text) - _SHOWN))
    before, after = "…" if first else "", "…" if first + _SHOWN < len(text) else ""
    part = "".join(c if c.isprintable() else " " for c in text[first : first + _SHOWN])
    width = max(1, min(end, first + _SHOWN) - start)
    return (f"{before}{part}{after}", " " * (len(before) + start - first) + "^" * width)


def _inside(selection: Selection, *looser: type[Selection]) -> str:
    return f"({selection})" if isinstance(selection, looser) else str(selection)


def _written(kind: str | None, pattern: Pattern) -> str:
    text = pattern.text
    before = "" if kind is None else f"{kind}:"
    is_word = kind is not None or (text not in KEYWORDS and text != STDIN and ":" not in text)
    if pattern.is_glob:
        text = _SPECIAL.sub(lambda found: _quoted(found[0]), text)
        return before + (text if is_word else text.replace(":", '":"'))
    if is_word and text and not _GLOB & set(text) and not _SPECIAL.search(text):
        return before + text
    return before + _quoted(text)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


class _Token(NamedTuple):
    """A word, `(`, `)`, `,` or nothing at the end. Only bare words are keywords."""

    text: str
    start: int
    end: int
    is_word: bool = False

    @property
    def at(self) -> tuple[int, int]:
        return (self.start, self.end)


class _Parser:
    def __init__(self, text: str, kinds: Collection[str]) -> None:
        self.text = text
        self.kinds = kinds
        self.tokens = list(self._tokens())
        self.next = 0
        self.depth = 0

    def whole(self) -> Selection:
        if len(self.tokens) == 1:
            raise SelectionError("a selection is empty", hint="`*` selects every machine")
        if len(self.tokens) == 2 and self._token.text in KEYWORDS:  # noqa: PLR2004 - a word and the end
            raise self._lonely()
        found = self._either()
        if self._is(")"):
            raise self._error("a parenthesis is closed that was not opened", self._token.at)
        return found

    def _either(self) -> Selection:
        found = [self._both()]
        while self._is("or", ","):
            self.next += 1
            found.append(self._both())
        if self._token.is_word or self._is("("):
            raise self._surplus()
        return found[0] if len(found) == 1 else Or(tuple(found))

    def _both(self) -> Selection:
        found = [self._one()]
        while self._is("and"):
            self.next += 1
            found.append(self._one())
        return found[0] if len(found) == 1 else And(tuple(found))

    def _one(self) -> Selection:
        before = self.depth
        while self._is("not"):
            self._deeper()
        negations = self.depth - before
        found = self._inner() if self._is("(") else self._term()
        for _ in range(negations):
            found = Not(found)
        self.depth = before
        return found

    def _inner(self) -> Selection:
        opened = self._token
        self._deeper()
        found = self._either()
        if not self._is(")"):
            raise self._error("a parenthesis is not closed", opened.at)
        self.next += 1
        return found

    def _deeper(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self._error(f"a selection is nested more than {MAX_DEPTH} levels deep", self._token.at)
        self.next += 1

    def _term(self) -> Selection:
        token = self._token
        if not token.is_word or token.text in KEYWORDS:
            raise self._missing()
        self.next += 1
        if token.text == STDIN:
            return Stdin(token.at)
        kind, colon, _ = token.text.partition(":")
        if not colon or _SPECIAL.search(kind):
            return Term(None, self._pattern(token.text, token), token.at)
        if kind not in self.kinds:
            raise self._unknown_kind(kind, token)
        return Term(kind, self._pattern(token.text[len(kind) + 1 :], token), token.at)

    def _pattern(self, written: str, token: _Token) -> Pattern:
        pieces = [(m["bare"], m["quoted"]) for m in _PIECE.finditer(written)]
        if not pieces:
            raise self._error(f"'{token.text}' does not say which", token.at, hint=f"`{token.text}*` means any")
        if any(bare and _GLOB & set(bare) for bare, _ in pieces):
            return Pattern(
                "".join(bare or _ESCAPED.sub(r"[\g<0>]", _unquoted(quoted)) for bare, quoted in pieces), is_glob=True
            )
        return Pattern("".join(bare or _unquoted(quoted) for bare, quoted in pieces))

    # --- words ---

    def _tokens(self) -> Iterator[_Token]:
        for found in _TOKEN.finditer(self.text):
            if found["rest"]:
                raise self._error("a quotation is not closed", (found.start("rest"), len(self.text)))
            name = "word" if found["word"] else "sign"
            yield _Token(found[name], found.start(name), found.end(name), is_word=name == "word")
        yield _Token("", len(self.text), len(self.text) + 1)

    @property
    def _token(self) -> _Token:
        return self.tokens[self.next]

    def _is(self, *texts: str) -> bool:
        return self._token.text in texts

    # --- errors ---

    def _error(self, message: str, at: tuple[int, int], hint: str | None = None) -> SelectionError:
        return SelectionError(message, hint=hint, details=marked(self.text, at))

    def _lonely(self) -> SelectionError:
        """A keyword as a whole selection: the shell has split one that was not quoted."""
        word = self._token.text
        hint = f"""put a whole selection in quotes: 'tag:a {"and not" if word == "not" else word} tag:b'; a machine of this name is '"{word}"'"""
        return SelectionError(f"'{word}' alone selects nothing", hint=hint)

    def _missing(self) -> SelectionError:
        token = self._token
        where = f"before '{token.text}'" if token.text else "at the end"
        if self.next:
            where = f"behind '{self.tokens[self.next - 1].text}'"
        return self._error(f"a selection is missing {where}", token.at)

    def _surplus(self) -> SelectionError:
        token = self._token
        meant = _MEANT.get(token.text) or (token.text.lower() if token.text.lower() in KEYWORDS else None)
        hint = f"write `{meant}`" if meant else "write `and`, `or` or a comma between them"
        before = self.tokens[self.next - 1].text
        return self._error(f"there is nothing between '{before}' and '{token.text}'", token.at, hint)

    def _unknown_kind(self, kind: str, token: _Token) -> SelectionError:
        known = ", ".join(f"{known}:" for known in self.kinds)
        hint = nearest(kind, self.kinds) or f"there are {known}; a name with a colon is put in quotes"
        return self._error(f"machines can't be selected by '{kind}:'", (token.start, token.start + len(kind) + 1), hint)


def _unquoted(quoted: str) -> str:
    return re.sub(r"\\(.)", r"\1", quoted[1:-1], flags=re.DOTALL)
