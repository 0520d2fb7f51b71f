"""Priority and order in plain data: tables with one key that begins with an underscore.

| written | Nix | means |
|---|---|---|
| `{ _force = v }` | `lib.mkForce v` | priority 50: wins |
| `{ _default = v }` | `lib.mkDefault v` | priority 1000: gives way |
| `{ _override = [n, v] }` | `lib.mkOverride n v` | priority n, the lowest wins; plain values have 100 |
| `{ _before = v }` | `lib.mkBefore v` | order 500: in front of other lists |
| `{ _after = v }` | `lib.mkAfter v` | order 1500: behind other lists |
| `{ _order = [n, v] }` | `lib.mkOrder n v` | order n; plain lists have 1000 |

As in Nix, priority stands outside of order: `{ _force = { _before = […] } }`. Any other key with an underscore is a key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from clanpy.modules.lazy import Lazy
from clanpy.modules.priority import Order, Override, Wrapper
from clanpy.modules.sigils import KNOWN, NUMBERED, SIGILS


MAX_DEPTH = 64  # of tables and lists; far beyond what people write, far below what the interpreter bears
Path_ = tuple[str, ...]
Misuse = Callable[[Path_, str], None]
_PAIR = 2
_NAMES = {
    ("override", 50): "_force",
    ("override", 1000): "_default",
    ("order", 500): "_before",
    ("order", 1500): "_after",
}


class Dropped:
    """Stands for a value that was left out because it is wrong."""


DROPPED = Dropped()


def unwrap(value: Any, path: Path_, misused: Misuse) -> Any:
    """The wrapper that a table is, the table itself when it is none, or DROPPED when it looks like one and is wrong."""
    if value.__class__ is not dict or not (KNOWN & value.keys()):
        return value
    name = min(KNOWN & value.keys())
    if len(value) > 1:
        others = ", ".join(f"'{key}'" for key in value if key != name)
        misused(path, f"'{name}' has to be the only key of its table, but there is also {others}")
        return DROPPED
    content = value[name]
    if name in SIGILS:
        return SIGILS[name](content)
    if isinstance(content, list) and len(content) == _PAIR and type(content[0]) is int:
        return NUMBERED[name](content[0], content[1])
    misused(path, f"'{name}' takes a pair: [number, value]")
    return DROPPED


def decode(value: Any, path: Path_, misused: Misuse) -> Any:
    """A copy of plain data with wrappers where sigils were; what is misused is reported and left out.

    Raises:
        RecursionError: it is nested more than `MAX_DEPTH` levels deep.
    """
    if len(path) > MAX_DEPTH:
        raise RecursionError
    value = unwrap(value, path, misused)
    if isinstance(value, Override | Order):
        inner = decode(value.content, path, misused)
        return DROPPED if inner is DROPPED else type(value)(value.priority, inner)
    if isinstance(value, dict):
        pairs = ((key, decode(item, (*path, key), misused)) for key, item in value.items())
        return {key: item for key, item in pairs if item is not DROPPED}
    if isinstance(value, list | tuple):
        items = [decode(item, (*path, str(n)), misused) for n, item in enumerate(value)]
        return [item for item in items if item is not DROPPED]
    return value


def encode(value: Any) -> Any:
    """Data with wrappers as it would be written in TOML, for showing. What is computed is shown as such."""
    if isinstance(value, Override | Order):
        kind = "override" if isinstance(value, Override) else "order"
        name = _NAMES.get((kind, value.priority))
        content = encode(value.content)
        return {name: content} if name else {f"_{kind}": [value.priority, content]}
    if isinstance(value, Wrapper | Lazy):
        return "…"
    if isinstance(value, Mapping):
        return {key: encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encode(item) for item in value]
    return value
