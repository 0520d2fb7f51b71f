"""Why a setting of a member is in the end what it is: every level that says it, and the default of the service behind them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from clanpy.errors import ClanpyError, NothingMatchedError, nearest
from clanpy.inventory.explain import Explained, Line, as_data, counted, key_in, written_at
from clanpy.inventory.hosts import resolver_of
from clanpy.inventory.settings import at_levels, label_of, levels_of, place_of
from clanpy.inventory.spelling import dotted


if TYPE_CHECKING:
    from pydantic import BaseModel

    from clanpy.inventory.model import Fleet, Instance

Path_ = tuple[str, ...]
_DEPTH = 5  # instances, name, roles, role, machine


def explain_final(fleet: Fleet, path: Path_) -> Explained:
    """Explain the settings of a member, or one of them.

    Raises:
        NothingMatchedError: there is no such instance, role, member or setting.
        ClanpyError: the service can't be read.
    """
    instance, machine, inner = _found(fleet, path)
    roles = resolver_of(fleet).roles
    found = roles.service(instance)
    if isinstance(found, ClanpyError):
        raise found
    service, role = found[0], path[3]
    if role not in service.roles:
        raise NothingMatchedError(
            f"the service '{service.name}' has no role '{role}'", hint=nearest(role, service.roles)
        )
    errors: list[ClanpyError] = []
    values = next(
        part.final.values for part in roles.parts(fleet.machines[machine], errors, {instance.name}) if part.role == role
    )
    model = service.roles[role].settings
    others = [name for name, other in service.roles.items() if inner and inner[0] in other.settings.model_fields]
    value, known = _value(values, inner, path, others)
    told = tuple(_lines(fleet, instance, path, known))
    if not any(line.dropped is None for line in told) and _is_leaf(value):
        told = (Line(None, as_data(value), 1500, 1000, why=f"default of service {service.name}"), *told)
    kind, description = _about(model, known)
    problem = next((error.message for error in errors), None)
    return Explained(dotted((*path[:_DEPTH], "settings", *known)), as_data(value), kind, description, told, problem)


def _found(fleet: Fleet, path: Path_) -> tuple[Instance, str, Path_]:
    """The instance, the machine and the setting that a path is about."""
    _, name, _, role, machine, *rest = path
    instance = fleet.instances.get(name)
    if instance is None:
        raise NothingMatchedError(f"there is no instance '{name}'", hint=nearest(name, fleet.instances))
    if role not in instance.roles:
        hint = nearest(role, instance.roles) or f"it uses {', '.join(instance.roles) or 'none'}"
        raise NothingMatchedError(f"instance '{name}' uses no role '{role}'", hint=hint)
    members = resolver_of(fleet).roles.members_of(instance)[role]
    if machine not in members:
        hint = nearest(machine, members) or (f"members: {', '.join(members)}" if members else "it has no members")
        raise NothingMatchedError(f"'{machine}' is not in role '{role}' of instance '{name}'", hint=hint)
    return instance, machine, tuple(rest[1:] if rest[:1] == ["settings"] else rest)


def _value(values: Any, inner: Path_, path: Path_, others: Sequence[str]) -> tuple[Any, Path_]:
    """The value of a setting, and its path as the model has it. `others` are roles that have a setting of the name."""
    known: Path_ = ()
    for part in inner:
        key = key_in(values, part)
        if key is None:
            names = list(values) if isinstance(values, Mapping) else []
            where = dotted((*path[:_DEPTH], "settings", *known, part))
            hint = nearest(part, names) or (f"there are {', '.join(names)}" if names else None)
            if not known and others:
                hint = f"role '{others[0]}' of the service has it"
            raise NothingMatchedError(f"there is nothing at '{where}'", hint=hint)
        values, known = values[key], (*known, key)
    return values, known


def _lines(fleet: Fleet, instance: Instance, path: Path_, inner: Path_) -> Iterator[Line]:
    """Every definition, at whichever level it stands: those that count first."""
    levels = levels_of(instance, path[3], fleet.machines[path[4]])
    found = at_levels(levels, lambda part: written_at(part, inner))
    for definition, line in counted(found, inner):
        yield replace(line, place=place_of(fleet, definition, inner), why=f"settings of {label_of(definition)}")


def _is_leaf(value: Any) -> bool:
    return not (isinstance(value, Mapping) and value)


def _about(model: type[BaseModel], path: Path_) -> tuple[str | None, str | None]:
    """The type of a setting, and what it is for."""
    from clanpy.services.describe import type_text  # noqa: PLC0415 - the same
    from clanpy.services.settings import model_at  # noqa: PLC0415 - pydantic is needed only here

    if not path:
        return None, (model.__doc__ or "").strip() or None
    above = model_at(model, path[:-1])
    info = above.model_fields.get(path[-1]) if above is not None else None
    return (None, None) if info is None else (type_text(info.annotation), info.description)
