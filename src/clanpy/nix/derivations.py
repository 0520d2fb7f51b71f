"""Reading derivations: which others each needs. They are small files in the store, so no Nix is asked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


_INPUT = re.compile(rb'\("([^"]+\.drv)",\[')
_NAME = re.compile(r"[0-9a-z]{32}-(?P<name>.+?)(?:\.drv)?$")


@dataclass(slots=True)
class Derivations:
    """The derivations of a store, each read once."""

    _inputs: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def inputs(self, drv: str) -> tuple[str, ...]:
        """The derivations that this one needs; none for one that can't be read."""
        if drv not in self._inputs:
            try:
                text = Path(drv).read_bytes()
            except OSError:
                text = b""
            self._inputs[drv] = tuple(match.decode() for match in _INPUT.findall(text))
        return self._inputs[drv]

    def closure(self, drv: str) -> frozenset[str]:
        """A derivation and all that it needs."""
        found: set[str] = set()
        pending = [drv]
        while pending:
            current = pending.pop()
            if current not in found:
                found.add(current)
                pending += self.inputs(current)
        return frozenset(found)

    def users(self, tops: Mapping[str, Iterable[str]]) -> dict[str, tuple[str, ...]]:
        """For each derivation, the names of those in whose closure it is. `tops` are the outermost ones by name."""
        found: dict[str, set[str]] = {}
        for name, drvs in tops.items():
            for top in drvs:
                for drv in self.closure(top):
                    found.setdefault(drv, set()).add(name)
        return {drv: tuple(sorted(names)) for drv, names in found.items()}


def name_of(path: str) -> str:
    """What a store path or derivation is called: its name without the hash."""
    match = _NAME.search(path.rsplit("/", 1)[-1])
    return match["name"] if match else path
