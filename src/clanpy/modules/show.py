"""How names and values look in messages, and which names look alike."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any, Final


Path = tuple[str, ...]

_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_'-]*\Z")
_PLACEHOLDER: Final = re.compile(r"<.*>\Z|\*\Z|\[.*\]\Z")
_MAX_DEPTH: Final = 10
_MAX_ITEMS: Final = 12
_MAX_TEXT: Final = 240
_FEW: Final = 100
_NEAR: Final = 2


def show_path(path: Sequence[str]) -> str:
    """Dotted, with quotes around names that need them: `services."a.b".enable`."""
    return ".".join(show_name(part) for part in path)


def show_name(part: str) -> str:
    part = str(part)  # A key that is no string is an error elsewhere, which has to be able to say so.
    return part if _IDENTIFIER.match(part) or _PLACEHOLDER.match(part) else _quote(part)


def parse_path(text: str | Sequence[str]) -> Path:
    """The names of a dotted path, quotes taken off; a sequence is taken as it is.

    Raises:
        ValueError: a quote is not closed.
    """
    if not isinstance(text, str):
        return tuple(text)
    parts: list[str] = []
    rest = text
    while rest:
        if rest[0] in "\"'":
            end = rest.find(rest[0], 1)
            if end < 0:
                raise ValueError(f"unclosed quote in path {text!r}")
            part, rest = rest[1:end], rest[end + 1 :].removeprefix(".")
        else:
            part, _, rest = rest.partition(".")
        parts.append(part)
    return tuple(parts)


def show_value(value: Any) -> str:
    """A value on one line, as one would write it in TOML, cut where it gets long."""
    text = _show(value, 0)
    return text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 1]}…"


def _show(value: Any, depth: int) -> str:
    if isinstance(value, dict | list | tuple):
        return "…" if depth >= _MAX_DEPTH else _container(value, depth + 1)
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return _quote(value[:_MAX_TEXT])
        case int() | float() | PurePath():
            return str(value)
    return _opaque(value)


def _container(value: Any, depth: int) -> str:
    if isinstance(value, dict):
        inner = [f"{show_name(str(k))} = {_show(v, depth)}" for k, v in list(value.items())[:_MAX_ITEMS]]
        return "{ " + ", ".join([*inner, *_more(value)]) + " }" if value else "{ }"
    inner = [_show(v, depth) for v in value[:_MAX_ITEMS]]
    return "[" + ", ".join([*inner, *_more(value)]) + "]"


def _more(value: Sequence[Any] | Mapping[Any, Any]) -> list[str]:
    return ["…"] if len(value) > _MAX_ITEMS else []


def _opaque(value: Any) -> str:
    if isinstance(value, Mapping):
        return "<set>"
    text = getattr(value, "_shown_", None)
    if isinstance(text, str):
        return text
    name = getattr(value, "__name__", None) if callable(value) else None
    return f"<function {name}>" if isinstance(name, str) else f"<{type(value).__name__}>"


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'


def type_name(value: Any) -> str:
    """What Nix calls the type of this value: `bool`, `int`, `float`, `string`, `null`, `path`, `list`, `set`, `lambda`."""
    names: list[tuple[Any, str]] = [
        (type(None), "null"),
        (bool, "bool"),
        (int, "int"),
        (float, "float"),
        (str, "string"),
        (PurePath, "path"),
        ((list, tuple), "list"),
        (Mapping, "set"),
    ]
    for cls, name in names:
        if isinstance(value, cls):
            return name
    return "lambda" if callable(value) and not isinstance(value, type) else type(value).__name__


def nearest(name: str, candidates: Iterable[Any], limit: int = 3) -> list[str]:
    """Up to `limit` candidates that look like `name`, nearest first; only close ones when there are many."""
    pool = sorted({c for c in candidates if isinstance(c, str)})
    most = _NEAR if len(pool) >= _FEW else max(_NEAR, len(name) // 3)
    found = [(distance(name.casefold(), c.casefold(), most), c) for c in pool if abs(len(c) - len(name)) <= most]
    return [c for d, c in sorted(found) if d <= most][:limit]


def distance(a: str, b: str, most: int) -> int:
    """How many letters have to be inserted, removed or replaced; counting stops above `most`."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
        if min(row) > most:
            return most + 1
    return row[-1]


def or_list(names: Sequence[str]) -> str:
    """`a', `b' or `c'."""
    quoted = [f"`{name}'" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"
