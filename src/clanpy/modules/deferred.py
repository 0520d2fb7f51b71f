"""Deferred modules: values that are carried, ordered and labelled here, and evaluated later by Nix.

This file is on the floor of `clanpy.modules`: it knows nothing of fleets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal


NixClass = Literal["nixos", "darwin", "home"]
NIX_CLASSES: tuple[NixClass, ...] = ("nixos", "darwin", "home")


@dataclass(frozen=True, slots=True)
class NixFile:
    """A `.nix` file that is imported as it is.

    `root` is the folder that the file may read beside itself (its own folder for a folder aspect), which is therefore
    staged with it; None when it is a file on its own. `settings` is passed to the module as an argument when it is not None
    (the file is then a function of it that gives a module).
    """

    path: Path
    root: Path | None = None
    settings: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class NixData:
    """Plain data, written to Nix as JSON; priority wrappers are in Nix's own encoding (`{"_type": "override", …}`)."""

    value: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class NixTemplate:
    """A Jinja2 template that is rendered to a `.nix` file. `context` is JSON data."""

    path: Path
    context: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeferredModule:
    """One module for Nix: what it is, for which class, and where it came from.

    Attributes:
        key: identity, e.g. `nixos.base` for an aspect or `nixos/users/cameron` for a service's contribution; a key is
            imported once however often it is named.
        class_: whose options it sets.
        content: the module itself.
        origin: for people: why this machine has it and where that is written, e.g. `tag workstation (inventory.toml:41)`.
    """

    key: str
    class_: NixClass
    content: NixFile | NixData | NixTemplate
    origin: str
