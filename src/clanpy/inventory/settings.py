"""The final settings of a member: the levels at which they are written, merged at one priority and checked by the service.

Levels, in the order of modules in clan: the role, the machine, then every tag of the role that the machine carries, by name. The
defaults of the service's model stand behind all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clanpy.errors import ClanpyError, Place, nearest
from clanpy.inventory.errors import SigilError
from clanpy.inventory.loading import place_text, shown
from clanpy.inventory.merge import Definition, Merged, merge
from clanpy.inventory.model import Fleet, Instance, Machine
from clanpy.inventory.references import people, role_members, unknown
from clanpy.services.errors import SettingConflictError, SettingError, UnknownSettingError


if TYPE_CHECKING:
    from pydantic import BaseModel

    from clanpy.services.declaration import Service
    from clanpy.services.settings import Problem

Path_ = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Level:
    """One place where settings of a role are written. `path` is where in the inventory, `label` what people call it."""

    label: str
    path: Path_
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Final:
    """A member's settings as they count. `model` is None when something is wrong with them."""

    model: BaseModel | None
    values: Mapping[str, Any]
    leaves: Mapping[Path_, tuple[Definition, ...]]
    errors: tuple[ClanpyError, ...]


def all_levels(instance: Instance, role_name: str) -> Iterator[Level]:
    """Every level at which settings of a role are written, whoever it is for."""
    role = instance.roles[role_name]
    base = ("instances", instance.name, "roles", role_name)
    yield Level(f"role {role_name}", (*base, "settings"), role.settings)
    for name, written in role.machines.items():
        yield Level(f"machine {name}", (*base, "machines", name, "settings"), written)
    for tag, written in role.tags.items():
        yield Level(f"tag {tag}", (*base, "tags", tag, "settings"), written)


def levels_of(instance: Instance, role_name: str, machine: Machine) -> list[Level]:
    """The levels that count for one machine. A tag's counts for every member that carries it, however it joined."""
    wanted = {f"role {role_name}", f"machine {machine.name}", *(f"tag {tag}" for tag in machine.tags)}
    return [level for level in all_levels(instance, role_name) if level.label in wanted and level.settings]


def final_settings(fleet: Fleet, instance: Instance, role_name: str, machine: Machine, service: Service) -> Final:
    """Merge and check the settings of one member."""
    from clanpy.services.settings import canonical, check  # noqa: PLC0415 - pydantic costs more than listing machines

    model = service.roles[role_name].settings
    levels = levels_of(instance, role_name, machine)
    merged = merge(Definition(canonical(model, level.settings), level) for level in levels)
    who = f"role '{role_name}' of instance '{instance.name}' on '{machine.name}'"
    base = ("instances", instance.name, "roles", role_name)
    errors = list(_merge_errors(fleet, merged, who))
    found, problems = check(model, merged.value)
    # an unknown setting is said once for the level where it is written, by `unknown_settings`
    wrong = [problem for problem in problems if problem.kind != "unknown"]
    errors.extend(SettingError(f"{who}: {p.message}", place=_problem_place(fleet, p, merged, base)) for p in wrong)
    values = merged.value
    if found is not None:
        values = found.model_dump(mode="json")
        errors.extend(_wrong_names(fleet, model, values, merged, who))
    return Final(model=None if errors else found, values=values, leaves=merged.leaves, errors=tuple(errors))


def unknown_settings(fleet: Fleet, instance: Instance, role_name: str, service: Service) -> Iterator[ClanpyError]:
    """Settings that the role does not have, at whatever level they are written, even if nobody reads them."""
    from clanpy.services.settings import canonical, check  # noqa: PLC0415 - see above

    model = service.roles[role_name].settings
    for level in all_levels(instance, role_name):
        data = merge([Definition(canonical(model, level.settings), level)]).value
        for problem in check(model, data)[1]:
            if problem.kind == "unknown":
                yield UnknownSettingError(
                    f"role '{role_name}' of service '{service.name}' has no setting '{'.'.join(problem.path)}'",
                    place=fleet.where(*level.path, *problem.path),
                    hint=nearest(problem.path[-1], problem.candidates) or _known(problem.candidates),
                )


def _known(names: tuple[str, ...]) -> str:
    return f"it has {', '.join(names)}" if names else "it has no settings"


def _merge_errors(fleet: Fleet, merged: Merged, who: str) -> Iterator[ClanpyError]:
    for conflict in merged.conflicts:
        found = [(d, _place(fleet, d, conflict.path)) for d in conflict.definitions]
        yield SettingConflictError(
            f"{who} has conflicting values for '{'.'.join(conflict.path)}'",
            place=found[-1][1],
            details=tuple(f"{place}: {shown(d.value)} ({d.origin.label})" for d, place in found),
            hint="all levels have one priority: write { _force = … } or { _default = … } around one of them",
        )
    for misuse in merged.misuses:
        yield SigilError(
            f"{misuse.reason} (in the settings of {who})", place=_place(fleet, misuse.definition, misuse.path)
        )


def _place(fleet: Fleet, definition: Definition, path: Path_) -> Place | None:
    return fleet.where(*definition.origin.path, *path)


def _problem_place(fleet: Fleet, problem: Problem, merged: Merged, base: Path_) -> Place | None:
    written = _definitions(merged.leaves, problem.path)
    return _place(fleet, written[0], problem.path) if written else fleet.where(*base)


def _definitions(leaves: Mapping[Path_, tuple[Definition, ...]], path: Path_) -> tuple[Definition, ...]:
    """The definitions that made the value at a path: of the leaf it is in, or of the first leaf below it."""
    for length in range(len(path), 0, -1):
        if path[:length] in leaves:
            return leaves[path[:length]]
    below = (definitions for leaf, definitions in leaves.items() if leaf[: len(path)] == path)
    return next(below, ())


def _wrong_names(
    fleet: Fleet, model: type[BaseModel], values: Mapping[str, Any], merged: Merged, who: str
) -> Iterator[ClanpyError]:
    from clanpy.services.settings import references  # noqa: PLC0415 - see above

    for kind, path, name in references(model, values):
        known = _NAMES[kind](fleet)
        if name not in known:
            written = _definitions(merged.leaves, path)
            place = _place(fleet, written[0], (*path[:1], name) if len(path) > 1 else path) if written else None
            yield unknown(kind, name, known, place, who)


_NAMES: Mapping[str, Callable[[Fleet], set[str]]] = {
    "user": lambda fleet: set(people(fleet)),
    "machine": lambda fleet: set(fleet.machines),
    "tag": lambda fleet: set(fleet.tags),
    "home aspect": lambda fleet: {name for class_, name in fleet.aspects if class_ == "home"},
}


def origins(fleet: Fleet, final: Final, service: str) -> dict[str, str]:
    """For each leaf of final settings, by its dotted path, where its value came from."""
    return {".".join(path): _origin(fleet, final, path, service) for path in _leaf_paths(final.values, ())}


def _origin(fleet: Fleet, final: Final, path: Path_, service: str) -> str:
    for length in range(len(path), 0, -1):
        if path[:length] in final.leaves:
            found = final.leaves[path[:length]]
            return " and ".join(
                f"{d.origin.label}{_places_text(fleet, (*d.origin.path, *path[:length]))}" for d in found
            )
    return f"default of service {service}"


def _places_text(fleet: Fleet, path: Path_) -> str:
    """Every file that writes a value at one level: which of them counts is a question of priority."""
    found = fleet.places.find_all(path)
    if len(found) < 2:  # noqa: PLR2004 - one place, or none
        return place_text(fleet.where(*path))
    return f" ({', '.join(f'{place.file}:{place.line}' for place in found)})"


def _leaf_paths(value: Any, path: Path_) -> Iterator[Path_]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaf_paths(item, (*path, key))
    elif path:
        yield path


def role_index(fleet: Fleet) -> Mapping[str, tuple[tuple[Instance, str], ...]]:
    """For each machine the roles that it is in, in the order of instances and roles."""
    found: dict[str, list[tuple[Instance, str]]] = {name: [] for name in fleet.machines}
    for instance in fleet.instances.values():
        for role_name, role in instance.roles.items():
            for name in role_members(fleet, role):
                found[name].append((instance, role_name))
    return {name: tuple(roles) for name, roles in found.items()}
