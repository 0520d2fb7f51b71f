"""Priority and order in plain data: tables with one key that begins with an underscore.

| written | Nix | means |
|---|---|---|
| `{ _force = v }` | `lib.mkForce v` | priority 50: wins |
| `{ _default = v }` | `lib.mkDefault v` | priority 1000: gives way |
| `{ _override = [n, v] }` | `lib.mkOverride n v` | priority n, the lowest wins; plain values have 100 |
| `{ _before = v }` | `lib.mkBefore v` | order 500: in front of other lists |
| `{ _after = v }` | `lib.mkAfter v` | order 1500: behind other lists |
| `{ _order = [n, v] }` | `lib.mkOrder n v` | order n; plain lists have 1000 |

As in Nix, priority stands outside of order: `{ _force = { _before = […] } }`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple


PLAIN_PRIORITY = 100
PLAIN_ORDER = 1000

_FIXED: Mapping[str, tuple[Literal["override", "order"], int]] = {
    "_force": ("override", 50),
    "_default": ("override", 1000),
    "_before": ("order", 500),
    "_after": ("order", 1500),
}
_NUMBERED: Mapping[str, Literal["override", "order"]] = {"_override": "override", "_order": "order"}
_PAIR = 2
NAMES = frozenset(_FIXED) | frozenset(_NUMBERED)


class Sigil(NamedTuple):
    """A wrapper taken apart. `kind` is `override` (a priority) or `order`."""

    kind: Literal["override", "order"]
    number: int
    content: Any


def unwrap(value: Any) -> Sigil | None:
    """The sigil that a value is, or None for a plain value.

    Raises:
        ValueError: it looks like a sigil and is none; the message says why.
    """
    if not isinstance(value, Mapping) or not (NAMES & value.keys()):
        return None
    if len(value) > 1:
        name = min(NAMES & value.keys())
        raise ValueError(f"'{name}' has to be the only key of its table")
    ((name, content),) = value.items()
    if name in _FIXED:
        kind, number = _FIXED[name]
        return Sigil(kind, number, content)
    if not (isinstance(content, list) and len(content) == _PAIR and type(content[0]) is int):
        raise ValueError(f"'{name}' takes a pair: [number, value]")
    return Sigil(_NUMBERED[name], content[0], content[1])


def rewrap(value: Any, *, priority: int) -> Any:
    """The value with a priority that is not the plain one written on it."""
    return value if priority == PLAIN_PRIORITY else {"_override": [priority, value]}


def to_nix(value: Any) -> Any:
    """Plain data in Nix's own encoding: `{"_type": "override", …}` and `{"_type": "order", …}` for sigils.

    Raises:
        ValueError: a table looks like a sigil and is none.
    """
    sigil = unwrap(value)
    if sigil is not None:
        label = "priority"  # Nix calls the number so for both
        return {"_type": sigil.kind, label: sigil.number, "content": to_nix(sigil.content)}
    if isinstance(value, Mapping):
        return {key: to_nix(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_nix(item) for item in value]
    return value
