"""The five layers of packages, as values: channels, fallbacks, overrides, external overlays, custom packages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from clanpy.errors import Place


LAYERS = ("channels", "fallbacks", "overrides", "external", "custom")


def matches(platform: str, system: str) -> bool:
    """Whether a platform (`darwin`, `aarch64-darwin`, `aarch64`) includes a system."""
    return platform == system or platform in system.split("-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A package set: the flake input that it is, which may differ by platform, and patches on top of it."""

    name: str
    input: str | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    patches: tuple[str, ...] = ()
    place: Place | None = None

    def input_on(self, system: str) -> str | None:
        """The flake input that the channel is on a system; None when it has none there."""
        by_system = [self.inputs[platform] for platform in (system, *system.split("-")) if platform in self.inputs]
        return by_system[0] if by_system else self.input


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallback:
    """A package that is taken from another channel on some platforms, for a time, and why."""

    package: str
    platforms: tuple[str, ...] = ()
    channel: str = "stable"
    hydra: str | None = None
    issue: str | None = None
    reason: str | None = None
    remove_when: str | None = None
    added: date | None = None
    until: date | None = None
    place: Place | None = None

    def applies(self, system: str) -> bool:
        """Whether it counts on a system. Without platforms it counts on all."""
        return not self.platforms or any(matches(platform, system) for platform in self.platforms)

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON, with the names of the inventory."""
        return {
            "package": self.package,
            "platforms": list(self.platforms),
            "channel": self.channel,
            "hydra": self.hydra,
            "issue": self.issue,
            "reason": self.reason,
            "remove_when": self.remove_when,
            "added": self.added.isoformat() if self.added else None,
            "until": self.until.isoformat() if self.until else None,
            "place": str(self.place) if self.place else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """A package that is changed by a file of the fleet (a path below its root), and why."""

    package: str
    file: str
    reason: str | None = None
    place: Place | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class External:
    """An overlay of a flake input."""

    input: str
    overlay: str = "default"
    place: Place | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Packages:
    """What a fleet says about packages. `custom` are the files of its own ones, by name; `hidden` those that machines don't get."""

    channels: Mapping[str, Channel] = field(default_factory=dict)
    fallbacks: tuple[Fallback, ...] = ()
    overrides: Mapping[str, Override] = field(default_factory=dict)
    external: tuple[External, ...] = ()
    custom: Mapping[str, Path] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()
    config: Mapping[str, Any] = field(default_factory=dict)
    fallback_limit: int | None = None

    def on(self, root: Path, system: str, *, hidden: bool = False) -> Layers:
        """The layers of one system; with those packages that machines don't get when `hidden`.

        Of several fallbacks of a package the last one counts.
        """
        channels = {name: channel.input_on(system) for name, channel in sorted(self.channels.items())}
        return Layers(
            system=system,
            channels={
                name: (input_, tuple(root / patch for patch in self.channels[name].patches))
                for name, input_ in channels.items()
                if input_ is not None
            },
            fallbacks={f.package: f.channel for f in self.fallbacks if f.applies(system)},
            overrides={name: root / override.file for name, override in sorted(self.overrides.items())},
            external=tuple((e.input, e.overlay) for e in self.external),
            custom={name: path for name, path in sorted(self.custom.items()) if hidden or name not in self.hidden},
            config=self.config,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """The layers of one system, as Nix is given them.

    Attributes:
        channels: the flake input and the patches of each.
        fallbacks: the channel of each package.
        overrides, custom: the file of each package.
        external: flake inputs and the names of their overlays, in order.
        config: nixpkgs' own settings (`allowUnfree`).
    """

    system: str = ""
    channels: Mapping[str, tuple[str, tuple[Path, ...]]] = field(default_factory=dict)
    fallbacks: Mapping[str, str] = field(default_factory=dict)
    overrides: Mapping[str, Path] = field(default_factory=dict)
    external: tuple[tuple[str, str], ...] = ()
    custom: Mapping[str, Path] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)

    def __bool__(self) -> bool:
        layers = (self.channels, self.fallbacks, self.overrides, self.external, self.custom, self.config)
        return any(bool(layer) for layer in layers)

    @property
    def names(self) -> tuple[str, ...]:
        """The packages that the layers give or change, as far as that is known without Nix."""
        return tuple(sorted({*self.fallbacks, *self.overrides, *self.custom}))

    def of(self, package: str) -> list[tuple[str, str]]:
        """Where a package comes from: each layer that gives it, and what it says, first to last. External overlays are not known here."""
        found: list[tuple[str, str]] = []
        if package in self.fallbacks:
            channel = self.fallbacks[package]
            found.append(("fallbacks", f"channel {channel}"))
        if package in self.overrides:
            found.append(("overrides", str(self.overrides[package])))
        if package in self.custom:
            found.append(("custom", str(self.custom[package])))
        return found
