"""The final settings of a member: the levels at which they are written, merged at one priority and checked by the service.

Levels, in the order of modules in clan: the role, the machine, then every tag of the role that the machine carries, by name. The
defaults of the service's model stand behind all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clanpy.errors import ClanpyError, Place, nearest
from clanpy.inventory.errors import ConflictError
from clanpy.inventory.loading import place_text, shown
from clanpy.inventory.model import Fleet, Instance, Machine, Role
from clanpy.inventory.plain import Merged, merge
from clanpy.inventory.references import people, role_members, unknown
from clanpy.inventory.spelling import dotted
from clanpy.inventory.translate import Translator
from clanpy.inventory.written import parts_of
from clanpy.modules.context import Context
from clanpy.modules.sources import Def, Source
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


class _Origin(Source):
    """Where a definition of settings comes from: its file as `given`, and the level at which it stands there."""

    __slots__ = ("given", "level")

    def __init__(self, given: Source, level: Level) -> None:
        super().__init__(given.file, scope=given.scope, base=given.base, origin=given.origin, fixed=given.fixed)
        self.given = given
        self.level = level


@dataclass(frozen=True, slots=True, kw_only=True)
class Final:
    """A member's settings as they count. `model` is None when something is wrong with them."""

    model: BaseModel | None
    values: Mapping[str, Any]
    leaves: Mapping[Path_, tuple[Def, ...]]
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
    role = instance.roles[role_name]
    base = ("instances", instance.name, "roles", role_name)
    found: list[Level] = []
    if role.settings:
        found.append(Level(f"role {role_name}", (*base, "settings"), role.settings))
    own = role.machines.get(machine.name)
    if own:
        found.append(Level(f"machine {machine.name}", (*base, "machines", machine.name, "settings"), own))
    for tag, written in role.tags.items():
        if written and tag in machine.tags:
            found.append(Level(f"tag {tag}", (*base, "tags", tag, "settings"), written))
    return found


def labels_of(role: Role, machine: Machine, tagged: Sequence[str]) -> tuple[str, ...]:
    """What tells the levels that count for a machine from those of other members. `tagged` are the tags with settings."""
    own = (machine.name,) if role.machines.get(machine.name) else ()
    return (*own, "", *(tag for tag in tagged if tag in machine.tags))


def final_settings(fleet: Fleet, instance: Instance, role_name: str, machine: Machine, service: Service) -> Final:
    """Merge and check the settings of one member."""
    from clanpy.services.settings import check  # noqa: PLC0415 - pydantic costs more than listing machines

    model = service.roles[role_name].settings
    merged = _merged(levels_of(instance, role_name, machine), model, fleet)
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


def _merged(levels: Sequence[Level], model: type[BaseModel], fleet: Fleet | None = None) -> Merged:
    """Settings of several levels as one. Later levels are later modules, whose lists come first."""
    from clanpy.services.settings import canonical  # noqa: PLC0415 - see above

    parts = [(part, level) for level in reversed(levels) for part in parts_of(level.settings)]
    counter = None if fleet is None else fleet.memo.setdefault("settings", Context())
    return merge([Def(canonical(model, part.value), _Origin(part.source, level)) for part, level in parts], counter)


def unknown_settings(fleet: Fleet, instance: Instance, role_name: str, service: Service) -> Iterator[ClanpyError]:
    """Settings that the role does not have, at whatever level they are written, even if nobody reads them."""
    from clanpy.services.settings import check  # noqa: PLC0415 - see above

    model = service.roles[role_name].settings
    for level in all_levels(instance, role_name):
        merged = _merged([level], model)
        yield from _level_errors(fleet, merged, level)
        for problem in check(model, merged.value)[1]:
            if problem.kind == "unknown":
                yield UnknownSettingError(
                    f"role '{role_name}' of service '{service.name}' has no setting '{'.'.join(problem.path)}'",
                    place=fleet.where(*level.path, *problem.path),
                    hint=nearest(problem.path[-1], problem.candidates) or _known(problem.candidates),
                )


def _known(names: tuple[str, ...]) -> str:
    return f"it has {', '.join(names)}" if names else "it has no settings"


def _merge_errors(fleet: Fleet, merged: Merged, who: str) -> Iterator[ClanpyError]:
    for path, definitions in merged.conflicts:
        if len({_level(d).label for d in definitions}) == 1:
            continue  # several files at one level: said once for that level, by `unknown_settings`
        found = [(_place(fleet, d, path), d) for d in reversed(definitions)]
        yield SettingConflictError(
            f"{who} has conflicting values for '{'.'.join(path)}'",
            place=found[-1][0],
            details=tuple(f"{place}: {shown(d.value)} ({_level(d).label})" for place, d in found),
            hint="all levels have one priority: write { _force = … } or { _default = … } around one of them",
        )


def _level_errors(fleet: Fleet, merged: Merged, level: Level) -> Iterator[ClanpyError]:
    """What is wrong with one level by itself: files that contradict each other, wrappers in a wrong order."""
    for path, definitions in merged.conflicts:
        found = [(_place(fleet, d, path), d) for d in fleet.places.in_order(definitions)]
        yield ConflictError(
            f"'{dotted((*level.path, *path))}' has conflicting values",
            place=found[-1][0],
            details=tuple(f"{place}: {shown(d.value)}" for place, d in found),
            hint="remove one of them, or write { _force = … } around the one that counts",
        )
    translator = Translator(fleet.root, fleet.places)
    for path, error in merged.misuses:
        error.path = (*level.path, *(error.path or path))
        yield from translator.all([error], None)


def _level(definition: Def) -> Level:
    assert isinstance(definition.source, _Origin)
    return definition.source.level


def _place(fleet: Fleet, definition: Def, path: Path_) -> Place | None:
    """Where a setting stands, in the very file that this definition is from."""
    full = (*_level(definition).path, *path)
    source = definition.source
    assert isinstance(source, _Origin)
    if source.given.origin is not None:
        return Translator(fleet.root, fleet.places).of(Def(definition.value, source.given), full)
    place = fleet.places.in_file(source.file, full)
    return place if place.line is not None else fleet.where(*full)


def _problem_place(fleet: Fleet, problem: Problem, merged: Merged, base: Path_) -> Place | None:
    written = _definitions(merged.leaves, problem.path)
    return _place(fleet, written[-1], problem.path) if written else fleet.where(*base)


def _definitions(leaves: Mapping[Path_, tuple[Def, ...]], path: Path_) -> tuple[Def, ...]:
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
            place = _place(fleet, written[-1], (*path[:1], name) if len(path) > 1 else path) if written else None
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
            found = [(_level(d), _place(fleet, d, path[:length])) for d in reversed(final.leaves[path[:length]])]
            levels = dict.fromkeys(level.label for level, _ in found)
            return " and ".join(
                f"{label}{_places_text([p for lv, p in found if lv.label == label])}" for label in levels
            )
    return f"default of service {service}"


def _places_text(places: Sequence[Place | None]) -> str:
    """Every place at one level that makes a value."""
    found = [place for place in places if place is not None]
    if len(found) < 2:  # noqa: PLR2004 - one place, or none
        return place_text(found[0] if found else None)
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
