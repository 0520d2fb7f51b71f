"""Checking a fleet as far as it can be without Nix: every error at once, and what is worth a warning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from clanpy.errors import ClanpyError, CombinedError, Place
from clanpy.inventory.aspects import Aspects
from clanpy.inventory.errors import BadTargetError, MachineFolderError, ModuleNoticeError, TagSelectionError
from clanpy.inventory.evaluation import Evaluated
from clanpy.inventory.hosts import Resolver
from clanpy.inventory.loading import load_all
from clanpy.inventory.model import Fleet, HostConfig
from clanpy.inventory.packages import check_packages
from clanpy.inventory.roles import Roles, unknown_role
from clanpy.inventory.schema import is_target
from clanpy.inventory.sources import INVENTORY
from clanpy.inventory.ways import target_of
from clanpy.services.errors import NoMembersError
from clanpy.services.exports import Address


@dataclass(frozen=True, slots=True)
class Findings:
    """What a check found. Errors and warnings have the same shape, and are sorted by place."""

    fleet: Fleet
    errors: tuple[ClanpyError, ...]
    warnings: tuple[ClanpyError, ...]

    def to_dict(self) -> dict[str, Any]:
        """The findings as JSON: `schema, fleet, machines, errors, warnings`."""
        return {
            "schema": "clanpy.check/1",
            "fleet": str(self.fleet.root),
            "machines": len(self.fleet.machines),
            "errors": [error.to_dict() for error in self.errors],
            "warnings": [warning.to_dict() for warning in self.warnings],
        }


def check_fleet(root: Path, today: date | None = None) -> Findings:
    """Load a fleet, read its services and resolve every machine; gather all that is wrong.

    `today` is what records with a date are compared with.
    """
    loaded = load_all(root)
    fleet, errors = loaded.fleet, list(loaded.errors)
    warnings: list[ClanpyError] = [*_notices(fleet), *_idle(fleet)]
    resolver = Resolver(fleet)
    spoiled = {path[:2] for path in fleet.memo["evaluated"].spoiled}
    errors.extend(_instances(resolver.roles))
    errors.extend(_aspects(fleet))
    errors.extend(_exports(resolver.roles))
    warnings.extend(_unused(resolver.roles))
    wrong, old = check_packages(fleet, today or datetime.now(UTC).date())
    errors.extend(wrong)
    warnings.extend(old)
    for name in fleet.machines:
        host, found = resolver.host(name)
        errors.extend(found)
        if not found and _is_whole(fleet) and ("machines", name) not in spoiled:
            warnings.extend(_bare(fleet, host, errors))
    return Findings(fleet, _sorted(errors), _sorted(warnings))


def _notices(fleet: Fleet) -> Iterator[ClanpyError]:
    """What modules have to say: options that were renamed, and the like."""
    evaluated: Evaluated = fleet.memo["evaluated"]
    if not _is_whole(fleet):
        return
    for said in evaluated.result.warnings:
        yield ModuleNoticeError(evaluated.translator.own_words(said), place=Place(INVENTORY))


def _idle(fleet: Fleet) -> Iterator[ClanpyError]:
    """Computed tags whose selection selects nobody: right, but perhaps not what was meant."""
    selected = fleet.memo.get("selected tags")
    for tag, machines in selected.machines.items() if selected is not None else ():
        if not machines:
            yield TagSelectionError(
                f"no machine is in the selection of tag '{tag}'", place=fleet.where("tags", tag, "select")
            )


def _is_whole(fleet: Fleet) -> bool:
    """Whether every file could be read: else what seems to be missing may stand in one that could not."""
    evaluated: Evaluated = fleet.memo["evaluated"]
    return evaluated.is_whole


def _aspects(fleet: Fleet) -> Iterator[ClanpyError]:
    """What is wrong with aspects, whether somebody imports them or not."""
    if isinstance(fleet.aspects, Aspects):
        for key in fleet.aspects:
            fleet.aspects[key]  # makes it
            yield from fleet.aspects.errors.get(key, ())


def _instances(roles: Roles) -> Iterator[ClanpyError]:
    for instance in roles.fleet.instances.values():
        found = roles.service(instance)
        if isinstance(found, ClanpyError):
            yield found
            continue
        for role in instance.roles:
            if role not in found[0].roles:
                yield unknown_role(roles.fleet, instance, role, found[0])
            else:
                yield from roles.written_wrong(instance, role, found[0])
        yield from roles.beyond_limits(instance, found[0])


def _exports(roles: Roles) -> Iterator[ClanpyError]:
    """What members can't say of themselves, whether somebody asks for it or not; addresses that are none."""
    records, errors = roles.exports.sayable()
    yield from errors
    for record in records:
        if isinstance(record.value, Address):
            for text in (target_of(record.value), *record.value.jump):
                if not is_target(text):
                    place = roles.fleet.where("instances", record.instance, "roles", record.role)
                    said = f"instance '{record.instance}' says that '{record.machine}' is reached at '{text}'"
                    yield BadTargetError(f"{said}, which is no target", place=place)


def _unused(roles: Roles) -> Iterator[ClanpyError]:
    for instance in roles.fleet.instances.values():
        if not any(roles.members_of(instance).values()):
            yield NoMembersError(
                f"instance '{instance.name}' has no members",
                place=roles.fleet.where("instances", instance.name),
                hint=f"clanpy inventory add {instance.name} ROLE --machine NAME, or leave it out",
            )


def _bare(fleet: Fleet, host: HostConfig, errors: list[ClanpyError]) -> Iterator[ClanpyError]:
    """A machine without a folder: fine when something else configures it, an error when nothing does."""
    if any((fleet.root / "machines" / host.name).glob("*")):
        return
    finding = MachineFolderError(
        f"there are no files in machines/{host.name}",
        place=fleet.where("machines", host.name),
        hint=f"write machines/{host.name}/configuration.nix, or let a tag or the machine import an aspect",
    )
    records = [fleet.tag_records.get(tag) for tag in host.machine.tags]
    if len(host.modules) > 1:
        yield finding
    elif not host.machine.imports and not any(record and record.imports for record in records):  # else those are wrong
        errors.append(finding)


def _sorted(findings: list[ClanpyError]) -> tuple[ClanpyError, ...]:
    """In the order of files and lines, each said once."""
    unique = {(str(error), error.hint): error for error in findings}
    return CombinedError(unique.values()).errors
