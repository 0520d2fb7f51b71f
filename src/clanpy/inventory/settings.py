"""The final settings of a member: the levels at which they are written, merged at one priority and checked by the service.

Levels, in the order of modules in clan: the role, the machine, then every tag of the role that the machine carries, by name. The
defaults of the service's model stand behind all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clanpy.errors import ClanpyError, Place, nearest
from clanpy.inventory.errors import ConflictError
from clanpy.inventory.loading import place_text, shown
from clanpy.inventory.matching import role_members
from clanpy.inventory.model import Fleet, Instance, Machine
from clanpy.inventory.model import Role as Assigned
from clanpy.inventory.plain import Merged, merge
from clanpy.inventory.references import people, unknown
from clanpy.inventory.spelling import dotted
from clanpy.inventory.translate import Translator
from clanpy.inventory.varrefs import Reference, Resolving, has_references, replaced
from clanpy.inventory.written import parts_of
from clanpy.modules.context import Context
from clanpy.modules.sources import Def, Source
from clanpy.services.errors import SettingConflictError, SettingError, UnknownSettingError


if TYPE_CHECKING:
    from pydantic import BaseModel

    from clanpy.services.declaration import Role, Service
    from clanpy.services.settings import Problem

Path_ = tuple[str, ...]
Told = tuple[Path_, Path_]  # where a level stands, and the setting there


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
    """A member's settings as they count. `model` is None when something is wrong with them; `pending` are values to wait for."""

    model: BaseModel | None
    values: Mapping[str, Any]
    leaves: Mapping[Path_, tuple[Def, ...]]
    errors: tuple[ClanpyError, ...]
    pending: tuple[ClanpyError, ...] = ()


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


def labels_of(role: Assigned, machine: Machine, tagged: Sequence[str]) -> tuple[str, ...]:
    """What tells the levels that count for a machine from those of other members. `tagged` are the tags with settings."""
    own = (machine.name,) if role.machines.get(machine.name) else ()
    return (*own, "", *(tag for tag in tagged if tag in machine.tags))


def final_settings(
    fleet: Fleet, instance: Instance, role_name: str, machine: Machine, service: Service, *, told: Collection[Told] = ()
) -> Final:
    """Merge and check the settings of one member. Of what was `told` of the levels by themselves nothing is said again."""
    from clanpy.services.settings import check  # noqa: PLC0415 - pydantic costs more than listing machines

    model = service.roles[role_name].settings
    levels = levels_of(instance, role_name, machine)
    who = f"role '{role_name}' of instance '{instance.name}' on '{machine.name}'"
    refs = Resolving(fleet=fleet, machine=machine, who=who, errors=[], pending=[])
    merged = _merged(levels, model, fleet, refs)
    base = ("instances", instance.name, "roles", role_name)
    errors = [*refs.errors, *_merge_errors(fleet, merged, who)]
    found, problems = check(model, merged.value)
    # what is wrong at one level was said once, for that level
    known = {path for level, path in told if any(level == here.path for here in levels)}
    wrong = [problem for problem in problems if problem.kind != "unknown" and problem.path not in known]
    errors.extend(SettingError(f"{who}: {p.message}", place=_problem_place(fleet, p, merged, base)) for p in wrong)
    values = merged.value
    if found is not None:
        values = found.model_dump(mode="json")
        errors.extend(_wrong_names(fleet, model, values, merged, who))
    return Final(
        model=None if errors or problems else found,
        values=values,
        leaves=merged.leaves,
        errors=tuple(errors),
        pending=tuple(refs.pending),
    )


def reads_vars(levels: Sequence[Level]) -> bool:
    """Whether settings at these levels have references to vars: then each member has settings of its own."""
    return any(has_references(part.value) for level in levels for part in parts_of(level.settings))


def _merged(
    levels: Sequence[Level],
    model: type[BaseModel],
    fleet: Fleet | None = None,
    refs: Callable[[Reference], Any] = lambda _: None,
) -> Merged:
    """Settings of several levels as one. Later levels are later modules, whose lists come first. Without `refs`, no references."""
    from clanpy.services.settings import canonical  # noqa: PLC0415 - see above

    parts = [(part, level) for level in reversed(levels) for part in parts_of(level.settings)]
    counter = None if fleet is None else fleet.memo.setdefault("settings", Context())
    written = [(replaced(part.value, refs), part, level) for part, level in parts]
    return merge([Def(canonical(model, value), _Origin(part.source, level)) for value, part, level in written], counter)


def level_problems(
    fleet: Fleet, instance: Instance, role_name: str, service: Service
) -> Iterator[tuple[Told | None, ClanpyError]]:
    """What is wrong with the levels of a role by themselves, whether anybody reads them or not.

    That is: settings that the role does not have, values of a wrong type, and contradictions between files. Each comes with the level
    and setting that it is about, as far as it is about one.
    """
    from clanpy.services.settings import check  # noqa: PLC0415 - see above

    model = service.roles[role_name].settings
    for level in all_levels(instance, role_name):
        merged = _merged([level], model)
        yield from ((None, error) for error in _level_errors(fleet, merged, level))
        for problem in check(model, merged.value)[1] if merged.value else ():
            if problem.kind == "unknown":
                yield (level.path, problem.path), _unknown_setting(fleet, level, problem, service, role_name)
            elif problem.kind == "wrong" and _is_written(merged, problem.path):
                whose = "" if level.path[-3] == "roles" else f" ({level.label})"
                message = f"role '{role_name}' of instance '{instance.name}'{whose}: {problem.message}"
                place = _problem_place(fleet, problem, merged, level.path)
                yield (level.path, problem.path), SettingError(message, place=place)


def _is_written(merged: Merged, path: Path_) -> bool:
    """Whether a level itself says what is wrong, and not only together with others."""
    return bool(path) and any(path[: len(leaf)] == leaf for leaf in merged.leaves)


def _unknown_setting(
    fleet: Fleet, level: Level, problem: Problem, service: Service, role_name: str
) -> UnknownSettingError:
    here = nearest(problem.path[-1], problem.candidates)
    elsewhere = _elsewhere(fleet, problem.path, service, role_name)
    return UnknownSettingError(
        f"role '{role_name}' of service '{service.name}' has no setting '{'.'.join(problem.path)}'",
        place=fleet.where(*level.path, *problem.path),
        hint="; ".join(hint for hint in (here, elsewhere) if hint) or _known(problem.candidates),
    )


def _elsewhere(fleet: Fleet, path: Path_, service: Service, role_name: str) -> str | None:
    """Which other role, or which other services, have a setting of this name."""
    from clanpy.services.registry import OWN, available, find_service  # noqa: PLC0415 - only when something is wrong
    from clanpy.services.settings import canonical  # noqa: PLC0415 - see above

    def has(candidate: Role) -> bool:
        return next(iter(canonical(candidate.settings, {path[0]: None}))) in candidate.settings.model_fields

    others = [name for name, role in service.roles.items() if name != role_name and has(role)]
    if others:
        return f"role '{others[0]}' of the service has it"
    found: list[str] = []
    for offered in available(fleet.root):
        if offered.input not in {None, OWN} or offered.name == service.name:
            continue
        try:
            other, _ = find_service(offered.name, offered.input, fleet.root)
        except ClanpyError:
            continue  # an error of its own
        if any(has(role) for role in other.roles.values()):
            found.append(f"'{offered.name}'")
    return f"it is a setting of service {' and '.join(found[:3])}" if found else None


def _known(names: tuple[str, ...]) -> str:
    return f"it has {', '.join(names)}" if names else "it has no settings"


def at_levels(levels: Sequence[Level], find: Callable[[Def], Def | None]) -> list[Def]:
    """What every file says at every level of what `find` gives of it."""
    found = [(find(part), part, level) for level in levels for part in parts_of(level.settings)]
    return [Def(here.value, _Origin(part.source, level)) for here, part, level in found if here is not None]


def label_of(definition: Def) -> str:
    """The level at which a definition of `at_levels` stands."""
    return _level(definition).label


def _merge_errors(fleet: Fleet, merged: Merged, who: str) -> Iterator[ClanpyError]:
    for path, definitions in merged.conflicts:
        if len({_level(d).label for d in definitions}) == 1:
            continue  # several files at one level: said once for that level, by `level_problems`
        found = [(place_of(fleet, d, path), d) for d in reversed(definitions)]
        yield SettingConflictError(
            f"{who} has conflicting values for '{'.'.join(path)}'",
            place=found[-1][0],
            details=tuple(f"{place}: {shown(d.value)} ({_level(d).label})" for place, d in found),
            hint="all levels have one priority: write { _force = … } or { _default = … } around one of them",
        )


def _level_errors(fleet: Fleet, merged: Merged, level: Level) -> Iterator[ClanpyError]:
    """What is wrong with one level by itself: files that contradict each other, wrappers in a wrong order."""
    for path, definitions in merged.conflicts:
        found = [(place_of(fleet, d, path), d) for d in fleet.places.in_order(definitions)]
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


def place_of(fleet: Fleet, definition: Def, path: Path_) -> Place | None:
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
    return place_of(fleet, written[-1], problem.path) if written else fleet.where(*base)


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
            place = place_of(fleet, written[-1], (*path[:1], name) if len(path) > 1 else path) if written else None
            yield unknown(kind, name, known, place, who)


_NAMES: Mapping[str, Callable[[Fleet], set[str]]] = {
    "user": lambda fleet: set(people(fleet)),
    "machine": lambda fleet: set(fleet.machines),
    "tag": lambda fleet: set(fleet.tags),
    "person or group": lambda fleet: {
        *people(fleet),
        *(f"@{group}" for user in fleet.users.values() for group in user.groups),
    },
    "home aspect": lambda fleet: {name for class_, name in fleet.aspects if class_ == "home"},
}


def origins(fleet: Fleet, final: Final, service: str) -> dict[str, str]:
    """For each leaf of final settings, by its dotted path, where its value came from."""
    return {".".join(path): _origin(fleet, final, path, service) for path in _leaf_paths(final.values, ())}


def _origin(fleet: Fleet, final: Final, path: Path_, service: str) -> str:
    for length in range(len(path), 0, -1):
        if path[:length] in final.leaves:
            found = [(_level(d), place_of(fleet, d, path[:length])) for d in reversed(final.leaves[path[:length]])]
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
