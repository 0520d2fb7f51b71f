"""Nix literals: reading the `inputs` of a `flake.nix`, which Nix itself wants to be literal, and writing values as Nix."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clanpy.errors import Place
from clanpy.nix.errors import InputsError
from clanpy.nix.lexer import LexError, Token, tokens


_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_'-]*")
_KEYWORDS = frozenset(("assert", "else", "if", "in", "inherit", "let", "or", "rec", "then", "with"))
_OPENING, _CLOSING = frozenset(("{", "${", "(", "[")), frozenset(("}", ")", "]"))
_TOO_LARGE = 2**63
_CONSTANTS = {"true": True, "false": False, "null": None}


def to_nix(value: Any, *, indent: int = 0) -> str:
    """A value of JSON as a Nix expression that can stand anywhere.

    Raises:
        TypeError: the value is not one of JSON.
    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, int) and abs(value) < _TOO_LARGE:
        return str(value) if value >= 0 else f"({value})"
    if isinstance(value, float) and math.isfinite(value):
        return _float(value)
    if isinstance(value, Mapping):
        pairs = [f"{attribute(str(k))} = {to_nix(v, indent=indent + 1)};" for k, v in sorted(value.items())]
        return _block("{", pairs, "}", indent)
    if isinstance(value, Sequence):
        return _block("[", [to_nix(v, indent=indent + 1) for v in value], "]", indent)
    raise TypeError(f"{value!r} can't be written as Nix")


def _float(value: float) -> str:
    mantissa, mark, exponent = repr(value).partition("e")
    text = (mantissa if "." in mantissa else f"{mantissa}.0") + mark + exponent
    return f"({text})" if text.startswith("-") else text


def quote(text: str) -> str:
    """A Nix string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("${", "\\${")
    return '"' + escaped.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t") + '"'


def attribute(name: str) -> str:
    """The name of an attribute, quoted where it has to be."""
    return name if _NAME.fullmatch(name) and name not in _KEYWORDS else quote(name)


def _block(opening: str, lines: list[str], closing: str, indent: int) -> str:
    if not lines:
        return f"{opening} {closing}"
    inner = "".join("  " * (indent + 1) + line + "\n" for line in lines)
    return f"{opening}\n{inner}{'  ' * indent}{closing}"


def read_inputs(path: Path) -> dict[str, Any]:
    """The `inputs` of a flake.nix, by name: what is written of each (`url`, `flake`, `inputs`, `follows`, …).

    Raises:
        InputsError: the file is not there, can't be read, or its inputs are no plain literals.
    """
    try:
        text = path.read_text()
    except FileNotFoundError:
        raise InputsError(
            "the fleet has no flake.nix", place=Place(path.name), hint="`clanpy init` shows one"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputsError(f"can't be read: {error}", place=Place(path.name)) from error
    try:
        return _Reader(list(tokens(text))).flake_inputs()
    except LexError as error:
        line = text.count("\n", 0, error.offset) + 1
        raise InputsError(
            str(error), place=Place(path.name, line), hint="Nix wants the inputs of a flake to be literal"
        ) from error


class _Reader:
    """Reads a flake's outermost set, of which only `inputs` matters."""

    def __init__(self, words: list[Token]) -> None:
        self.words = words
        self.at = 0

    def flake_inputs(self) -> dict[str, Any]:
        self._expect("{")
        flake: dict[str, Any] = {}
        while not self._take("}"):
            if self._take("inherit"):
                self._skip_value()
                continue
            path = self._attribute_path()
            if path[0] == "inputs":
                _put(flake, path, self._literal(), self._offset())
                self._expect(";")
            else:
                self._skip_value()
        inputs = flake.get("inputs", {})
        if not isinstance(inputs, dict) or not all(isinstance(spec, dict) for spec in inputs.values()):
            raise LexError("'inputs' has to be a set of sets", 0)
        return inputs

    def _offset(self) -> int:
        return self.words[min(self.at, len(self.words) - 1)].start if self.words else 0

    def _next(self) -> Token:
        if self.at >= len(self.words):
            raise LexError("the file ends too early", self._offset())
        self.at += 1
        return self.words[self.at - 1]

    def _take(self, text: str) -> bool:
        if self.at < len(self.words) and self.words[self.at].kind != "string" and self.words[self.at].text == text:
            self.at += 1
            return True
        return False

    def _expect(self, text: str) -> None:
        if not self._take(text):
            raise LexError(f"there should be '{text}' here", self._offset())

    def _attribute_path(self) -> list[str]:
        path: list[str] = []
        while True:
            word = self._next()
            if word.kind not in {"name", "string"} or word.text is None:
                raise LexError("there should be the name of an attribute here", word.start)
            path.append(word.text)
            if self._take("="):
                return path
            self._expect(".")

    def _literal(self) -> Any:
        word = self._next()
        if word.kind == "name" and word.text in _CONSTANTS:
            return _CONSTANTS[word.text]
        if word.kind == "number" and word.text is not None:
            return float(word.text) if "." in word.text else int(word.text)
        if word.kind in {"string", "uri"} and word.text is not None:
            return word.text
        if word.kind == "sign" and word.text == "{":
            return self._literal_set()
        if word.kind == "sign" and word.text == "[":
            return self._literal_list()
        raise LexError("only literals can stand in 'inputs'", word.start)

    def _literal_set(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not self._take("}"):
            path = self._attribute_path()
            _put(found, path, self._literal(), self._offset())
            self._expect(";")
        return found

    def _literal_list(self) -> list[Any]:
        found: list[Any] = []
        while not self._take("]"):
            found.append(self._literal())
        return found

    def _skip_value(self) -> None:
        """Over an expression, to behind the `;` that ends its binding."""
        nesting = 0
        pending = 0  # `with x;` and `assert x;` have a `;` of their own
        while True:
            word = self._next()
            text = word.text if word.kind in {"sign", "name"} else None
            if text in _OPENING or text == "let":
                nesting += 1
            elif text in _CLOSING or text == "in":
                nesting -= 1
            elif nesting == 0 and text in {"with", "assert"}:
                pending += 1
            elif nesting == 0 and text == ";":
                if pending == 0:
                    return
                pending -= 1


def _put(target: dict[str, Any], path: Sequence[str], value: Any, offset: int) -> None:
    *parents, last = path
    for name in parents:
        target = target.setdefault(name, {})
        if not isinstance(target, dict):
            raise LexError(f"'{name}' is written twice, once as a set", offset)
    old = target.get(last)
    if isinstance(old, dict) and isinstance(value, dict):
        target[last] = {**old, **value}
    elif last in target:
        raise LexError(f"'{last}' is written twice", offset)
    else:
        target[last] = value
