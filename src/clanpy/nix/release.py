"""What a machine is to become, as a value: its sources, derivation and output path."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from clanpy.modules.deferred import NixClass


@dataclass(frozen=True, slots=True, kw_only=True)
class Installable:
    """One thing Nix builds from a source tree: a machine's system or one person's standalone home.

    Attributes:
        kind: `system` or `home`.
        attribute: flake output, e.g. `nixosConfigurations.cinnabar.config.system.build.toplevel`.
        account: the account a home belongs to; None for a system.
    """

    kind: Literal["system", "home"]
    attribute: str
    account: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A machine's own source tree: only the files it can read, as a plain flake.

    `key` is the content key (hex SHA-256 over the tree, the inputs and what else decides the evaluation): equal keys mean
    equal derivations.
    """

    host: str
    class_: NixClass
    system: str
    root: Path
    key: str
    installables: tuple[Installable, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """An evaluated installable: its derivation and the store path that it gives."""

    installable: Installable
    drv: str
    out: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What one machine is to become: the system, and the standalone homes by account."""

    source: Source
    system: Artifact
    homes: tuple[Artifact, ...] = ()

    @property
    def host(self) -> str:
        return self.source.host
