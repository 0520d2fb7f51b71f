"""The aspects of a fleet as a catalogue: which files write each, and who imports it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from clanpy.errors import NothingMatchedError, Place, nearest
from clanpy.inventory.matching import role_members
from clanpy.inventory.model import Aspect, Fleet
from clanpy.inventory.show import shown_path
from clanpy.modules.deferred import NixClass


@dataclass(frozen=True, slots=True)
class Import:
    """One place that imports an aspect. `machines` are those that have it because of this; a person's are not known here."""

    why: str
    place: Place | None
    machines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """An aspect and who imports it."""

    aspect: Aspect
    imports: tuple[Import, ...]

    @property
    def machines(self) -> tuple[str, ...]:
        return tuple(sorted({machine for found in self.imports for machine in found.machines}))

    def to_dict(self, fleet: Fleet) -> dict[str, Any]:
        """As JSON: `class, name, files, keys, machines, imports`."""
        return {
            "class": self.aspect.class_,
            "name": self.aspect.name,
            "files": [shown_path(file, fleet.root) for file in self.aspect.files],
            "keys": [module.key for module in self.aspect.modules],
            "machines": list(self.machines),
            "imports": [
                {
                    "why": found.why,
                    "place": None if found.place is None else str(found.place),
                    "machines": list(found.machines),
                }
                for found in self.imports
            ],
        }


def catalogue(fleet: Fleet, name: str | None = None, class_: str | None = None) -> tuple[Entry, ...]:
    """Every aspect, or those of a name or of a class, by class and name.

    Raises:
        NothingMatchedError: there is none of that name or class.
    """
    chosen = [
        fleet.aspects[key]
        for key in sorted(fleet.aspects)
        if (class_ is None or key[0] == class_) and (name is None or key[1] == name)
    ]
    if not chosen and (name is not None or class_ is not None):
        known = sorted({aspect for kind, aspect in fleet.aspects if class_ in {None, kind}})
        what = f"aspect '{name}'" if name is not None else "aspect"
        where = f" of class {class_}" if class_ is not None else ""
        raise NothingMatchedError(f"there is no {what}{where}", hint=None if name is None else nearest(name, known))
    return tuple(Entry(aspect, tuple(_imports(fleet, aspect.class_, aspect.name))) for aspect in chosen)


def _imports(fleet: Fleet, class_: NixClass, name: str, below: tuple[str, ...] = ()) -> Iterator[Import]:
    """Who imports an aspect, directly or through others (`below`: the ones on the way)."""
    for key, aspect in fleet.aspects.items():
        if key[0] == class_ and name in aspect.imports and aspect.name not in {*below, name}:
            machines = {m for found in _imports(fleet, class_, aspect.name, (*below, name)) for m in found.machines}
            yield Import(
                f"aspect {class_}.{aspect.name}",
                fleet.where("aspects", class_, aspect.name, "imports", name),
                tuple(sorted(machines)),
            )
    if class_ == "home":
        for user in fleet.users.values():
            if name in user.imports:
                yield Import(f"user {user.name}", fleet.where("users", user.name, "imports", name), ())
        return
    for tag, record in fleet.tag_records.items():
        if name in record.imports:
            carriers = _of_class(fleet, class_, fleet.tags[tag])
            yield Import(f"tag {tag}", fleet.where("tags", tag, "imports", name), carriers)
    for machine in fleet.machines.values():
        if machine.class_ == class_ and name in machine.imports:
            place = fleet.where("machines", machine.name, "imports", name)
            yield Import(f"machine {machine.name}", place, (machine.name,))
    yield from _by_roles(fleet, class_, name)


def _by_roles(fleet: Fleet, class_: NixClass, name: str) -> Iterator[Import]:
    for instance in fleet.instances.values():
        for role_name, role in instance.roles.items():
            if name in role.extra_modules:
                place = fleet.where("instances", instance.name, "roles", role_name, "extra_modules", name)
                members = _of_class(fleet, class_, role_members(fleet, role))
                yield Import(f"instance {instance.name}, role {role_name}", place, members)


def _of_class(fleet: Fleet, class_: NixClass, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if fleet.machines[name].class_ == class_)
