"""Programs for this computer from the fleet's own nixpkgs: what scripts of generators need and the PATH does not have."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clanpy.nix.files import FileCache
from clanpy.nix.inputs import FleetInputs, InputOverrides
from clanpy.nix.literals import quote, to_nix


if TYPE_CHECKING:
    from clanpy.nix.program import NixProgram

_PROCESSORS = {"arm64": "aarch64", "amd64": "x86_64"}


def this_system() -> str:
    """Processor and kernel of this computer, as Nix calls them."""
    processor = platform.machine().lower()
    return f"{_PROCESSORS.get(processor, processor)}-{'darwin' if sys.platform == 'darwin' else 'linux'}"


async def build_tools(
    nix: NixProgram, root: Path, packages: Sequence[str], overrides: InputOverrides | None = None
) -> tuple[str, ...]:
    """Build packages of the fleet's input `nixpkgs` for this computer, and give the folders of their programs.

    Raises:
        InputsError: the fleet has no such input, or does not lock it.
        NixError: there is no such package, or it can't be built.
    """
    inputs = FleetInputs(root, overrides or InputOverrides(), FileCache().nar_hash)
    lock = inputs.select([inputs.first("nixpkgs")]).lock
    locked = lock["nodes"][lock["nodes"]["root"]["inputs"]["nixpkgs"]]["locked"]
    chosen = " ".join(f"(bin pkgs{_attribute(name)})" for name in packages)
    expression = (
        f"let pkgs = import (builtins.fetchTree {to_nix(_without_dates(locked))}) {{ system = {quote(this_system())}; }}; "
        f"bin = package: package.bin or package; in [ {chosen} ]"
    )
    words = ["nix-build", "--no-out-link", "--expr", expression]  # every version knows it, and lists
    done = await nix.run(words)
    return tuple(f"{path}/bin" for path in done.check(f"building {', '.join(packages)}").split())


def _attribute(name: str) -> str:
    return "".join(f".{quote(part)}" for part in name.removeprefix("pkgs.").split("."))


def _without_dates(locked: dict[str, object]) -> dict[str, object]:
    """What names a tree, without what only describes it."""
    return {key: value for key, value in locked.items() if key not in _UNNAMED}


_UNNAMED: Iterable[str] = frozenset(("lastModified", "lastModifiedDate", "revCount", "dir", "__final"))
