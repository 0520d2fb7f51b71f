"""Fleets for tests: files written into a folder, and what loading and checking them gives."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path

from clanpy.errors import ClanpyError, CombinedError
from clanpy.inventory import check, load
from clanpy.inventory.model import Fleet


REFERENCE = Path(__file__).resolve().parent.parent.parent

META = """
[meta]
name = "test"
domain = "lan"
"""

TWO = (
    META
    + """
[machines.alpha]
class = "nixos"
system = "x86_64-linux"
tags = ["web"]

[machines.beta]
class = "darwin"
system = "aarch64-darwin"
"""
)

CONFIGURATIONS = {f"machines/{name}/configuration.nix": "{ ... }: { }\n" for name in ("alpha", "beta")}


def write(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write files; text is dedented. Gives the folder."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(textwrap.dedent(content), encoding="utf-8")
    return root


def fleet(root: Path, inventory: str, files: Mapping[str, str] | None = None) -> Fleet:
    """A fleet of one inventory.toml and further files."""
    return load(write(root, {"inventory.toml": inventory, **(files or {})}))


def errors(root: Path, inventory: str, files: Mapping[str, str | bytes] | None = None) -> tuple[ClanpyError, ...]:
    """All that `check` finds wrong with a fleet of these files."""
    return check(write(root, {"inventory.toml": inventory, **(files or {})})).errors


def raised(error: ClanpyError) -> tuple[ClanpyError, ...]:
    """The errors in what was raised."""
    return error.errors if isinstance(error, CombinedError) else (error,)


def line_of(text: str, part: str) -> int:
    """The number of the line that holds a part of a text."""
    return next(n for n, line in enumerate(text.splitlines(), 1) if part in line)
