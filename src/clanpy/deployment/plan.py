"""What an update would change, as a value: compared, shown, saved, and held against the world again before it is done."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from clanpy.deployment.errors import PlanFileError
from clanpy.nix.names import in_order, packages_of


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SCHEMA = "clanpy.plan/1"
SYSTEM = "system"
UNITS = ("systemd/system", "systemd/user")  # links to folders of which the files are told as well
LINKS = (".wants/", ".requires/", ".upholds/")  # folders of links to units: their content is that of the units


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package of which there are other versions afterwards. None before: it is added; none after: it is removed."""

    name: str
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """`added`, `removed` or `changed`."""
        return "changed" if self.before and self.after else "added" if self.after else "removed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """Names of what comes, goes, and is another one afterwards."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)

    @classmethod
    def of(cls, before: Mapping[str, str], after: Mapping[str, str]) -> Delta:
        """What is between two tables of names and whatever tells one from another."""
        return cls(
            added=tuple(sorted(after.keys() - before.keys())),
            changed=tuple(sorted(name for name in after.keys() & before.keys() if after[name] != before[name])),
            removed=tuple(sorted(before.keys() - after.keys())),
        )

    def to_dict(self) -> dict[str, list[str]]:
        """As JSON."""
        return {"added": list(self.added), "changed": list(self.changed), "removed": list(self.removed)}

    @classmethod
    def from_dict(cls, said: Mapping[str, Any]) -> Delta:
        """Back from JSON."""
        return cls(added=_texts(said["added"]), changed=_texts(said["changed"]), removed=_texts(said["removed"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """What becomes of units.

    `source`: `dry-activate` when the new system itself said so on the machine, `files` when it is concluded from the files of units.
    """

    source: str
    stop: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()
    reload: tuple[str, ...] = ()
    start: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "source": self.source,
            "stop": list(self.stop),
            "restart": list(self.restart),
            "reload": list(self.reload),
            "start": list(self.start),
        }

    @classmethod
    def from_dict(cls, said: Mapping[str, Any]) -> Units:
        """Back from JSON."""
        return cls(
            source=_text(said["source"]),
            stop=_texts(said["stop"]),
            restart=_texts(said["restart"]),
            reload=_texts(said["reload"]),
            start=_texts(said["start"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What changes on a machine, without whose it is: machines with equal changes are shown once.

    Attributes:
        slots: what is activated: `system`, `home.<account>`.
        first: whether there was nothing before that Nix made.
        packages: those of which there are other versions afterwards.
        rebuilt: those of the same versions, built anew.
        files: configuration: below /etc, and of homes as `home.<account>:<file>`.
        units: None where nothing is known of them.
        reboot: why only a reboot makes all of it effective; none: there is no reason.
        secrets: what is delivered.
    """

    slots: tuple[str, ...] = ()
    first: bool = False
    packages: tuple[Package, ...] = ()
    rebuilt: tuple[str, ...] = ()
    files: Delta = field(default_factory=Delta)
    units: Units | None = None
    reboot: tuple[str, ...] = ()
    secrets: Delta = field(default_factory=Delta)

    def __bool__(self) -> bool:
        return bool(self.slots or self.secrets)

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "slots": list(self.slots),
            "first": self.first,
            "packages": [
                {"name": one.name, "change": one.kind, "before": list(one.before), "after": list(one.after)}
                for one in self.packages
            ],
            "rebuilt": list(self.rebuilt),
            "files": self.files.to_dict(),
            "units": self.units.to_dict() if self.units else None,
            "reboot": list(self.reboot),
            "secrets": self.secrets.to_dict(),
        }

    @classmethod
    def from_dict(cls, said: Mapping[str, Any]) -> Change:
        """Back from JSON."""
        return cls(
            slots=_texts(said["slots"]),
            first=bool(said["first"]),
            packages=tuple(
                Package(name=_text(one["name"]), before=_texts(one["before"]), after=_texts(one["after"]))
                for one in said["packages"]
            ),
            rebuilt=_texts(said["rebuilt"]),
            files=Delta.from_dict(said["files"]),
            units=None if said["units"] is None else Units.from_dict(said["units"]),
            reboot=_texts(said["reboot"]),
            secrets=Delta.from_dict(said["secrets"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HostChange:
    """One machine in a plan.

    Attributes:
        key: the content key of its sources, from which all that it is to become follows.
        previous: the store path that is live now, by slot; None where there is none.
        wanted: the store path that is to be live, by slot.
        secrets: the digest of the secrets that it has, and of those that it is to have.
        missing: how many store paths are to be sent to it, and how many bytes they are.
    """

    name: str
    key: str
    change: Change
    previous: Mapping[str, str | None]
    wanted: Mapping[str, str]
    secrets: tuple[str | None, str]
    missing: tuple[int, int] = (0, 0)

    def to_dict(self) -> dict[str, Any]:
        """As JSON, without what changes: that is its group's."""
        return {
            "key": self.key,
            "previous": dict(self.previous),
            "wanted": dict(self.wanted),
            "secrets": {"before": self.secrets[0], "after": self.secrets[1]},
            "paths": self.missing[0],
            "bytes": self.missing[1],
        }

    @classmethod
    def from_dict(cls, name: str, change: Change, said: Mapping[str, Any]) -> HostChange:
        """Back from JSON."""
        secrets = said["secrets"]
        return cls(
            name=name,
            key=_text(said["key"]),
            change=change,
            previous={slot: None if path is None else _text(path) for slot, path in said["previous"].items()},
            wanted={slot: _text(path) for slot, path in said["wanted"].items()},
            secrets=(None if secrets["before"] is None else _text(secrets["before"]), _text(secrets["after"])),
            missing=(int(said["paths"]), int(said["bytes"])),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What an update of some machines would change.

    Attributes:
        revision: the fleet's commit, and whether there were changes beside it; None where it is not under git.
        errors: the machines of which nothing is known, with why (an error as JSON).
    """

    fleet: str
    made: datetime
    revision: str | None = None
    modified: bool = False
    hosts: tuple[HostChange, ...] = ()
    errors: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def groups(self) -> tuple[tuple[Change, tuple[HostChange, ...]], ...]:
        """The machines with the same change together: the larger groups first, those without a change last."""
        found: defaultdict[Change, list[HostChange]] = defaultdict(list)
        for host in sorted(self.hosts, key=lambda host: host.name):
            found[host.change].append(host)
        order = sorted(found.items(), key=lambda item: (not item[0], -len(item[1]), item[1][0].name))
        return tuple((change, tuple(hosts)) for change, hosts in order)

    def changing(self) -> tuple[HostChange, ...]:
        """The machines on which something changes."""
        return tuple(host for host in self.hosts if host.change)

    def to_dict(self) -> dict[str, Any]:
        """As JSON: `groups` say what changes, `hosts` what each machine has to be and to become for that."""
        return {
            "schema": SCHEMA,
            "fleet": self.fleet,
            "made": self.made.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            "revision": self.revision,
            "modified": self.modified,
            "groups": [
                {"hosts": [host.name for host in hosts], "unchanged": not change, **change.to_dict()}
                for change, hosts in self.groups()
            ],
            "hosts": {host.name: host.to_dict() for host in sorted(self.hosts, key=lambda host: host.name)},
            "errors": {name: dict(error) for name, error in sorted(self.errors.items())},
        }

    @classmethod
    def from_dict(cls, said: Mapping[str, Any]) -> Plan:
        """Back from JSON.

        Raises:
            PlanFileError: it is no plan, or one of another clanpy.
        """
        if not isinstance(said, dict) or said.get("schema") != SCHEMA:
            raise PlanFileError("this is no plan", hint=f"a plan has the schema {SCHEMA}: `clanpy plan save FILE`")
        try:
            changes = {name: Change.from_dict(group) for group in said["groups"] for name in group["hosts"]}
            return cls(
                fleet=_text(said["fleet"]),
                made=datetime.fromisoformat(_text(said["made"])).astimezone(UTC),
                revision=None if said["revision"] is None else _text(said["revision"]),
                modified=bool(said["modified"]),
                hosts=tuple(
                    HostChange.from_dict(name, changes[name], host) for name, host in sorted(said["hosts"].items())
                ),
                errors=dict(said["errors"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise PlanFileError(
                f"this plan is not whole: {error}", hint="make it anew: `clanpy plan save FILE`"
            ) from None


def read_plan(text: str) -> Plan:
    """A plan that was saved.

    Raises:
        PlanFileError: it is none.
    """
    try:
        return Plan.from_dict(json.loads(text))
    except ValueError:
        raise PlanFileError("this is no plan: it is not JSON") from None


def changed_packages(before: Iterable[str], after: Iterable[str]) -> tuple[tuple[Package, ...], tuple[str, ...]]:
    """The packages of which one closure has other versions than another, and those that have the same ones built anew."""
    old, new = packages_of(before), packages_of(after)
    packages, rebuilt = [], []
    for name in sorted(old.keys() | new.keys()):
        versions = old.get(name, {}), new.get(name, {})
        if versions[0].keys() != versions[1].keys():
            packages.append(Package(name=name, before=in_order(versions[0]), after=in_order(versions[1])))
        elif versions[0] != versions[1]:
            rebuilt.append(name)
    return tuple(packages), tuple(rebuilt)


def changed_files(before: Mapping[str, str], after: Mapping[str, str]) -> Delta:
    """What is between two trees of configuration. Of units only they themselves are told, not again what leads to them."""
    old, new = ({name: what for name, what in side.items() if name not in UNITS} for side in (before, after))
    delta = Delta.of(old, new)
    changed = tuple(name for name in delta.changed if not any(folder in name for folder in LINKS))
    return Delta(added=delta.added, changed=changed, removed=delta.removed)


def reboot_reasons(booted: Mapping[str, str], new: Mapping[str, str]) -> tuple[str, ...]:
    """Why what was booted is not what a boot would bring; none where what was booted is not known."""
    if not booted:
        return ()
    reasons = []
    if _differs(booted, new, "kernel") or _differs(booted, new, "kernel-modules"):
        reasons.append(_versions("kernel", booted.get("kernel", ""), new.get("kernel", "")))
    if _differs(booted, new, "initrd"):
        reasons.append("initrd")
    if _differs(booted, new, "kernel-params"):
        reasons.append("kernel parameters")
    if _differs(booted, new, "systemd"):
        reasons.append(_versions("systemd", booted.get("systemd", ""), new.get("systemd", "")))
    return tuple(reasons)


def _differs(booted: Mapping[str, str], new: Mapping[str, str], part: str) -> bool:
    return part in booted and part in new and booted[part] != new[part]


def _versions(what: str, before: str, after: str) -> str:
    """`kernel 6.6.1 → 6.6.2`, where the store paths tell."""
    old, new = _version_in(before), _version_in(after)
    return f"{what} {old} → {new}" if old and new and old != new else what


def _version_in(path: str) -> str:
    parts = path.split("/")
    if len(parts) < 4:  # noqa: PLR2004 - /nix/store/NAME
        return ""
    return next((version for versions in packages_of([parts[3]]).values() for version in versions), "")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        msg = f"{value!r} is no text"
        raise TypeError(msg)
    return value


def _texts(values: Any) -> tuple[str, ...]:
    return tuple(_text(value) for value in values)
