"""The registry of machines: choosing some of them, saying how they are reached, and listing them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from clanpy.errors import ClanpyError, NothingMatchedError, UsageError, nearest, raise_all
from clanpy.inventory.model import Fleet, Machine
from clanpy.inventory.schema import is_target
from clanpy.inventory.show import machine_row


_GLOB = frozenset("*?[")
_TARGET_HINT = "a target is [ssh://][user@]host[:port], an IPv6 address in brackets"


def select(fleet: Fleet, names: Sequence[str] | None = None, tags: Sequence[str] | None = None) -> tuple[Machine, ...]:
    """The machines with one of the names (which may be globs) that carry all of the tags, sorted by name.

    No names means all machines; no tags means whatever they carry.

    Raises:
        NothingMatchedError: a name or a tag does not exist, or no machine is left; several of them as a CombinedError.
    """
    errors = [*_unknown_names(fleet, names or ()), *_unknown_tags(fleet, tags or ())]
    raise_all(errors)
    chosen = tuple(machine for machine in _named(fleet, names or ()) if set(tags or ()) <= set(machine.tags))
    if not chosen:
        raise NothingMatchedError(_nothing(names or (), tags or ()), hint="`clanpy machines list` shows what there is")
    return chosen


def _named(fleet: Fleet, names: Sequence[str]) -> Iterator[Machine]:
    for name, machine in fleet.machines.items():
        if not names or any(_matches(name, pattern) for pattern in names):
            yield machine


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) if _GLOB & set(pattern) else name == pattern


def _unknown_names(fleet: Fleet, names: Iterable[str]) -> Iterator[ClanpyError]:
    for pattern in dict.fromkeys(names):
        if any(_matches(name, pattern) for name in fleet.machines):
            continue
        if _GLOB & set(pattern):
            yield NothingMatchedError(f"no machine has a name like '{pattern}'", hint=_listed(fleet.machines))
        else:
            hint = nearest(pattern, fleet.machines) or _listed(fleet.machines)
            if pattern in fleet.tags:
                hint = f"'{pattern}' is a tag: --tags {pattern}"
            yield NothingMatchedError(f"there is no machine '{pattern}'", hint=hint)


def _unknown_tags(fleet: Fleet, tags: Iterable[str]) -> Iterator[ClanpyError]:
    for tag in dict.fromkeys(tags):
        if tag not in fleet.tags:
            yield NothingMatchedError(f"there is no tag '{tag}'", hint=nearest(tag, fleet.tags) or _listed(fleet.tags))


def _listed(names: Iterable[str]) -> str | None:
    """The names there are, when they fit on a line."""
    found = sorted(names)
    return f"known: {', '.join(found)}" if 0 < len(found) <= 12 else None  # noqa: PLR2004 - as many as fit on a line


def _nothing(names: Sequence[str], tags: Sequence[str]) -> str:
    if not tags:
        return "the fleet has no machines"
    carried = " and ".join(f"'{tag}'" for tag in tags)
    among = f" of {', '.join(names)}" if names else ""
    return f"no machine{among} carries {'the tag' if len(tags) == 1 else 'all of the tags'} {carried}"


def targets(machine: Machine, override: str | None = None) -> tuple[str, ...]:
    """Where a machine is reached, to be tried in order: what the command line says, else what the inventory says.

    Raises:
        UsageError: the override is no target, or nobody says where the machine is.
    """
    if override is not None:
        if not is_target(override):
            raise UsageError(f"'{override}' is no target", hint=_TARGET_HINT)
        return (override,)
    deploy = machine.deploy
    found = tuple(target for target in (deploy.target_host, *deploy.alternatives) if target is not None)
    if not found:
        raise UsageError(
            f"nothing says where machine '{machine.name}' is reached: not the command line, not the inventory",
            place=machine.place,
            hint=f'write deploy.target_host = "…" in [machines.{machine.name}], or use --target-host',
        )
    return found


def rows(machines: Iterable[Machine]) -> list[Mapping[str, Any]]:
    """The machines as `machines list --json` prints them."""
    return [machine_row(machine) for machine in machines]
