"""Priorities and order in data files: `{ _force = v }` in TOML, `{"_force": v}` in JSON.

    { _force = v }  { _default = v }  { _override = [50, v] }
    { _before = v } { _after = v }    { _order = [500, v] }

Nix's own encoding (`_type`, `priority`, `content`) is understood too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from clanpy.modules.errors import LoadError, WrapperError
from clanpy.modules.priority import (
    Wrapper,
    mk_after,
    mk_before,
    mk_default,
    mk_force,
    mk_if,
    mk_merge,
    mk_order,
    mk_override,
)
from clanpy.modules.show import nearest, or_list, show_path, show_value


SIGILS: Final[dict[str, Callable[[Any], Any]]] = {
    "_after": mk_after,
    "_before": mk_before,
    "_default": mk_default,
    "_force": mk_force,
}
NUMBERED: Final[dict[str, Callable[[int, Any], Any]]] = {"_order": mk_order, "_override": mk_override}
KNOWN: Final = frozenset({*SIGILS, *NUMBERED})
_KEPT: Final = frozenset({"_module", "_class", "_file", "_type"})
_PAIR: Final = 2

_MAYBE: Final = re.compile(rb"(?<![\w-])_[A-Za-z]")

Step = str | int


class SigilError(LoadError):
    """A table that looks like a sigil and is none. `steps` is the way to it in the data."""

    def __init__(self, message: str, steps: tuple[Step, ...], hint: str | None = None) -> None:
        super().__init__(message, path=[str(s) for s in steps], hint=hint)
        self.steps = steps


def decode(text: bytes, value: dict[str, Any]) -> dict[str, Any]:
    """The same data with wrappers where sigil tables were; it is changed in place.

    Raises:
        SigilError: a sigil is unknown, is not alone in its table, or has no number where it needs one.
    """
    if not _MAYBE.search(text):
        return value
    found: list[tuple[Any, Any, dict[str, Any], tuple[Step, ...]]] = []
    pending: list[tuple[Any, tuple[Step, ...]]] = [(value, ())]
    while pending:
        container, steps = pending.pop()
        items = container.items() if isinstance(container, dict) else enumerate(container)
        for key, item in items:
            if isinstance(item, dict):
                if any(k.startswith("_") for k in item) and _is_sigil(item, (*steps, key)):
                    found.append((container, key, item, (*steps, key)))
                pending.append((item, (*steps, key)))
            elif isinstance(item, list):
                pending.append((item, (*steps, key)))
    # Inner ones were found after outer ones: from the inside out.
    for container, key, item, steps in reversed(found):
        container[key] = _wrapped(item, steps)
    return value


def _is_sigil(table: dict[str, Any], steps: tuple[Step, ...]) -> bool:
    if "_type" in table:
        return isinstance(table["_type"], str) and table["_type"] in {"override", "order", "if", "merge"}
    names = [k for k in table if k.startswith("_") and k not in _KEPT]
    if not names:
        return False
    known = [name for name in names if name in KNOWN]
    if known and len(table) > 1:
        others = ", ".join(f"`{k}'" for k in table if k != known[0])
        raise SigilError(f"`{known[0]}' has to be alone in its table, but there is also {others}", steps)
    if not known and len(table) == 1:
        close = nearest(names[0], KNOWN)
        raise SigilError(
            f"`{names[0]}' at `{show_path([str(s) for s in steps])}' is no priority or order",
            steps,
            f"Did you mean {or_list(close)}?" if close else f"There are {or_list(sorted(KNOWN))}.",
        )
    return bool(known)


def _wrapped(table: dict[str, Any], steps: tuple[Step, ...]) -> Wrapper:
    if "_type" in table:
        return _from_nix(table, steps)
    ((name, content),) = table.items()
    if name in SIGILS:
        wrapped: Wrapper = SIGILS[name](content)
        return wrapped
    number = content[0] if isinstance(content, list) and len(content) == _PAIR else None
    if not isinstance(number, int) or isinstance(number, bool):
        raise SigilError(f"`{name}' takes a list of a number and a value, not {show_value(content)}", (*steps, name))
    numbered: Wrapper = NUMBERED[name](number, content[1])
    return numbered


def _from_nix(table: dict[str, Any], steps: tuple[Step, ...]) -> Wrapper:
    try:
        match table["_type"]:
            case "override":
                return mk_override(table["priority"], table["content"])
            case "order":
                return mk_order(table["priority"], table["content"])
            case "if":
                return mk_if(table["condition"], table["content"])
        return mk_merge(table["contents"])
    except KeyError as error:
        raise SigilError(f"a table with `_type' {show_value(table['_type'])} lacks {error}", steps) from error
    except WrapperError as error:
        raise SigilError(error.message, steps) from error
