"""What a fleet says about packages: read from its configuration and from `pkgs/by-name`, and checked as far as that needs no Nix."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from clanpy.errors import ClanpyError, Place, nearest
from clanpy.inventory.errors import AbsentPackageError, FallbackError, PackageWarningError, UnknownNameError
from clanpy.inventory.homes import platforms
from clanpy.inventory.layers import Channel, External, Fallback, Override, Packages, matches
from clanpy.inventory.model import Fleet
from clanpy.inventory.reading import entries, get, inside, strings
from clanpy.inventory.schema import CHANNEL_NAME, PACKAGE_NAME
from clanpy.inventory.written import written


BY_NAME = Path("pkgs/by-name")
FILE = "package.nix"
FALLBACK_LIMIT = 90  # days
PLATFORMS = ("x86_64-linux", "aarch64-linux", "x86_64-darwin", "aarch64-darwin", "linux", "darwin", "x86_64", "aarch64")
NEEDED = {
    "hydra": "a link to the job of the build farm that fails (hydra)",
    "reason": "what is broken (reason)",
    "remove_when": "when it can go (remove_when)",
    "added": "the day on which it was written (added)",
}

Path_ = tuple[str, ...]


def packages_of(fleet: Fleet) -> Packages:
    """What the fleet says about packages; worked out once."""
    found: Packages | None = fleet.memo.get("packages")
    if found is None:
        evaluated = fleet.memo.get("evaluated")
        config = inside(evaluated.config, "nixpkgs") if evaluated is not None else {}
        found = fleet.memo["packages"] = _packages(fleet, config)
    return found


def broken_packages(fleet: Fleet) -> tuple[ClanpyError, ...]:
    """What keeps the layers from being put together: names and files that are not there."""
    found: tuple[ClanpyError, ...] | None = fleet.memo.get("broken packages")
    if found is None:
        packages = packages_of(fleet)
        unknown = (error for fallback in packages.fallbacks for error in _unknown_names(packages, fallback))
        found = fleet.memo["broken packages"] = (
            *_channels(fleet, packages),
            *_unnamed(fleet, packages),
            *_files(fleet, packages),
            *unknown,
        )
    return found


def check_packages(fleet: Fleet, today: date) -> tuple[list[ClanpyError], list[ClanpyError]]:
    """Errors and findings of the fleet's packages, all of them."""
    packages = packages_of(fleet)
    errors = [
        *broken_packages(fleet),
        *(error for fallback in packages.fallbacks for error in _incomplete(fallback)),
        *(error for fallback in packages.fallbacks for error in _nowhere(fleet, packages, fallback)),
    ]
    warnings = [
        *(found for fallback in packages.fallbacks for found in _aged(packages, fallback, today)),
        *_overlaps(packages),
    ]
    return errors, warnings


# --------------------------------------------------------------------------------------------------------- reading


def _packages(fleet: Fleet, config: Mapping[str, Any]) -> Packages:
    settings = dict(written(get(config, "config"))) if "config" in config else {}
    if get(config, "allow_unfree"):
        settings.setdefault("allowUnfree", True)
    return Packages(
        channels={
            name: _channel(name, entry, fleet.where("nixpkgs", "channels", name))
            for name, entry in entries(config, "channels", CHANNEL_NAME)
        },
        fallbacks=tuple(_records(fleet, config)),
        overrides={
            name: Override(
                package=name,
                file=get(entry, "file") or "",
                reason=get(entry, "reason"),
                place=fleet.where("nixpkgs", "overrides", name),
            )
            for name, entry in entries(config, "overrides", PACKAGE_NAME)
        },
        external=tuple(
            External(input=get(entry, "input") or "", overlay=get(entry, "overlay", "default"), place=place)
            for place, entry in _listed(fleet, config, "external")
        ),
        custom=by_name(fleet.root),
        hidden=frozenset(strings(config, "exclude_from_machines")),
        config=settings,
        fallback_limit=get(config, "fallback_limit"),
    )


def _channel(name: str, entry: Mapping[str, Any], place: Place | None) -> Channel:
    by_platform = inside(entry, "inputs")
    return Channel(
        name=name,
        input=get(entry, "input"),
        inputs={platform: by_platform[platform] for platform in sorted(by_platform)},
        patches=strings(entry, "patches"),
        place=place,
    )


def _records(fleet: Fleet, config: Mapping[str, Any]) -> Iterator[Fallback]:
    for place, entry in _listed(fleet, config, "fallbacks"):
        yield Fallback(
            package=get(entry, "package") or "",
            platforms=strings(entry, "platforms"),
            channel=get(entry, "channel", "stable"),
            hydra=get(entry, "hydra"),
            issue=get(entry, "issue"),
            reason=get(entry, "reason"),
            remove_when=get(entry, "remove_when"),
            added=_date(get(entry, "added")),
            until=_date(get(entry, "until")),
            place=place,
        )


def _listed(fleet: Fleet, config: Mapping[str, Any], name: str) -> Iterator[tuple[Place | None, Mapping[str, Any]]]:
    found = get(config, name, ())
    for n, entry in enumerate(found if isinstance(found, list) else ()):
        if isinstance(entry, Mapping):
            yield fleet.where("nixpkgs", name, str(n)) or fleet.where("nixpkgs", name), entry


def _date(value: Any) -> date | None:
    try:
        return date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def by_name(root: Path) -> dict[str, Path]:
    """The fleet's own packages: every folder below `pkgs/by-name` with a `package.nix`. Names of nested folders are joined by `-`."""
    base = root / BY_NAME
    if not base.is_dir():
        return {}
    found = {}
    for path in sorted(base.rglob(FILE)):
        parts = path.parent.relative_to(base).parts
        if parts and not any(part.startswith(("_", ".")) for part in parts):
            found["-".join(parts)] = path
    return found


# -------------------------------------------------------------------------------------------------------- checking


def _channels(fleet: Fleet, packages: Packages) -> Iterator[ClanpyError]:
    for channel in packages.channels.values():
        where = ("nixpkgs", "channels", channel.name)
        if channel.input is None and not channel.inputs:
            yield UnknownNameError(
                f"the channel '{channel.name}' names no flake input",
                place=channel.place,
                hint='write `input = "nixpkgs-…"`, or `inputs` where they differ by platform',
            )
        for platform in channel.inputs:
            if platform not in PLATFORMS:
                yield _unknown("platform", platform, PLATFORMS, fleet.where(*where, "inputs", platform))
        for patch in channel.patches:
            if not (fleet.root / patch).is_file():
                yield UnknownNameError(
                    f"the patch '{patch}' of the channel '{channel.name}' is not there",
                    place=fleet.where(*where, "patches"),
                )


def _unknown_names(packages: Packages, fallback: Fallback) -> Iterator[ClanpyError]:
    if fallback.channel not in packages.channels:
        yield _unknown("channel", fallback.channel, packages.channels, fallback.place)
    for platform in fallback.platforms:
        if platform not in PLATFORMS:
            yield _unknown("platform", platform, PLATFORMS, fallback.place)


def _incomplete(fallback: Fallback) -> Iterator[ClanpyError]:
    missing = [words for key, words in NEEDED.items() if getattr(fallback, key) is None]
    if missing:
        yield FallbackError(
            f"the fallback of '{fallback.package}' does not say {', '.join(missing)}",
            place=fallback.place,
            hint="a fallback nobody can judge is never taken away",
        )


def _nowhere(fleet: Fleet, packages: Packages, fallback: Fallback) -> Iterator[ClanpyError]:
    """A fallback on a system on which its channel is nothing."""
    channel = packages.channels.get(fallback.channel)
    for system in platforms(fleet) if channel is not None and (channel.input or channel.inputs) else ():
        if channel is not None and fallback.applies(system) and channel.input_on(system) is None:
            yield AbsentPackageError(
                f"the fallback of '{fallback.package}' takes it on {system} from the channel '{channel.name}', which has no input there",
                place=fallback.place,
                hint=f"name one in `inputs` of the channel, or leave {system} out of `platforms`",
            )


def _aged(packages: Packages, fallback: Fallback, today: date) -> Iterator[ClanpyError]:
    limit = timedelta(days=FALLBACK_LIMIT if packages.fallback_limit is None else packages.fallback_limit)
    if fallback.until is not None and today > fallback.until:
        days = (today - fallback.until).days
        yield PackageWarningError(
            f"the fallback of '{fallback.package}' was to be looked at {days} days ago ({fallback.until})",
            place=fallback.place,
            hint=fallback.remove_when and f"it can go when {fallback.remove_when}",
        )
    elif fallback.added is not None and today - fallback.added > limit:
        days = (today - fallback.added).days
        yield PackageWarningError(
            f"the fallback of '{fallback.package}' is {days} days old, and {limit.days} are allowed",
            place=fallback.place,
            hint=fallback.remove_when and f"it can go when {fallback.remove_when}",
        )


def _overlaps(packages: Packages) -> Iterator[ClanpyError]:
    """Fallbacks that a later layer, or a later record, makes pointless."""
    seen: dict[str, Fallback] = {}
    for fallback in packages.fallbacks:
        name = fallback.package
        layer = (
            "an override"
            if name in packages.overrides
            else "a package of the fleet"
            if name in packages.custom
            else None
        )
        if layer is not None:
            yield PackageWarningError(
                f"the fallback of '{name}' overlaps with {layer}, which comes after it", place=fallback.place
            )
        other = seen.get(name)
        if other is not None and _meet(other, fallback):
            yield PackageWarningError(
                f"the fallback of '{name}' overlaps with another one, which it hides ({other.place})",
                place=fallback.place,
            )
        seen[name] = fallback


def _meet(one: Fallback, other: Fallback) -> bool:
    systems = [platform for platform in PLATFORMS if platform.endswith(("-linux", "-darwin"))]
    return any(one.applies(system) and other.applies(system) for system in systems)


def _files(fleet: Fleet, packages: Packages) -> Iterator[ClanpyError]:
    for override in packages.overrides.values():
        if override.file and not (fleet.root / override.file).is_file():
            yield UnknownNameError(
                f"the override of '{override.package}' names the file '{override.file}', which is not there",
                place=override.place,
            )
    for name, path in packages.custom.items():
        if not PACKAGE_NAME.fits(name):
            yield UnknownNameError(
                f"'{name}' can't be {PACKAGE_NAME.what}",
                place=Place(str(path.relative_to(fleet.root))),
                hint=PACKAGE_NAME.hint,
            )


def _unnamed(fleet: Fleet, packages: Packages) -> Iterator[ClanpyError]:
    for name in sorted(packages.hidden - packages.custom.keys()):
        place = fleet.where("nixpkgs", "exclude_from_machines", name) or fleet.where("nixpkgs", "exclude_from_machines")
        yield _unknown("package of the fleet", name, packages.custom, place)


def _unknown(kind: str, name: str, known: Iterable[str], place: Place | None) -> ClanpyError:
    known = list(known)
    hint = nearest(name, known) or (f"known: {', '.join(known)}" if known else f"the fleet has no {kind}")
    return UnknownNameError(f"there is no {kind} '{name}'", place=place, hint=hint)


__all__ = ["BY_NAME", "FALLBACK_LIMIT", "PLATFORMS", "by_name", "check_packages", "matches", "packages_of"]
