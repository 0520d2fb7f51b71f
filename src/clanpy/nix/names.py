"""What store paths are called: names and versions, told apart by Nix's own rule."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from clanpy.nix.derivations import name_of


if TYPE_CHECKING:
    from collections.abc import Iterable

_VERSION = re.compile(r"-(?=[^A-Za-z])")
# What a package is cut into; the part without a suffix is `out`, and is what most refer to.
OUTPUTS = frozenset(
    ("bin", "data", "debug", "dev", "devdoc", "dist", "doc", "getent", "info", "lib", "libgcc", "man", "modules", "out")
)
_NUMBERS = re.compile(r"(\d+)")


def parse_name(name: str) -> tuple[str, str]:
    """The name and the version of `hello-2.12`: the version begins behind the first dash that no letter follows (`parseDrvName`)."""
    found = _VERSION.search(name)
    if found is None:
        return name, ""
    return name[: found.start()], name[found.end() :]


def package_of(path: str) -> tuple[str, str]:
    """The package that a store path belongs to, and its version, without the output that it is (`-lib`, `-man`)."""
    name, version = parse_name(name_of(path))
    rest, _, output = version.rpartition("-")
    return (name, rest) if rest and output in OUTPUTS else (name, version)


def packages_of(paths: Iterable[str]) -> dict[str, dict[str, frozenset[str]]]:
    """The packages among store paths: versions by name, and the paths of each. What has no version is no package."""
    found: defaultdict[str, defaultdict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for path in paths:
        name, version = package_of(path)
        if version:
            found[name][version].add(path)
    return {
        name: {version: frozenset(paths) for version, paths in versions.items()} for name, versions in found.items()
    }


def in_order(versions: Iterable[str]) -> tuple[str, ...]:
    """Versions, the older first as far as numbers tell."""
    return tuple(sorted(versions, key=lambda version: [_part(part) for part in _NUMBERS.split(version)]))


def _part(text: str) -> tuple[int, int, str]:
    return (1, int(text), "") if text.isdecimal() else (0, 0, text)
