"""What a fleet says about its vars in `vars.toml`: settings, and generators of its own.

    [settings]
    backend = "sops"                     # or "age"
    default_groups = ["admins"]          # groups of sops/groups that may read every secret

    [generators.wifi]                    # as `clanpy.vars.parse` reads it, and with whom it is for
    tags = ["laptop"]                    # and machines = [...]; every machine when neither is said
    share = true
    prompts.password = { type = "hidden", persist = true }

`machines/<name>/vars.toml` holds `[generators.…]` of that machine alone.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clanpy.errors import ClanpyError, Place, nearest, raise_all
from clanpy.generators.context import VarsContext, from_fleet
from clanpy.generators.errors import GeneratorInvalidError
from clanpy.generators.session import Backend
from clanpy.services.generator import Generator
from clanpy.services.generator_data import parse


if TYPE_CHECKING:
    from clanpy.inventory.model import Fleet

FILE = "vars.toml"
_BACKENDS: tuple[Backend, ...] = ("sops", "age", "plain")


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetVars:
    """What is needed to open a fleet's vars."""

    context: VarsContext
    backend: Backend


def read_fleet(fleet: Fleet, more: Mapping[str, Iterable[Generator]] | None = None) -> FleetVars:
    """The generators and settings of a fleet; `more` are those that services and aspects declare, by machine.

    Raises:
        GeneratorInvalidError: a file makes no sense; several of them as a CombinedError.
    """
    errors: list[ClanpyError] = []
    document = _document(fleet.root / FILE, {"settings", "generators"}, errors)
    settings = _settings(document.get("settings", {}), fleet, errors)
    found: dict[str, list[Generator]] = {name: list((more or {}).get(name, ())) for name in fleet.machines}
    for name, data in document.get("generators", {}).items():
        _add_to_members(fleet, name, data, found, errors)
    for machine in fleet.machines:
        path = fleet.root / "machines" / machine / FILE
        for name, data in _document(path, {"generators"}, errors).get("generators", {}).items():
            found[machine] += _parsed(name, data, path.relative_to(fleet.root), errors)
    raise_all([*errors, *_twice(found)])
    groups = tuple(settings.get("default_groups", ()))
    return FleetVars(
        context=from_fleet(fleet, found, default_groups=groups),
        backend=settings.get("backend", "sops"),
    )


def _document(path: Path, known: set[str], errors: list[ClanpyError]) -> Mapping[str, Any]:
    if not path.is_file():
        return {}
    try:
        document = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        errors.append(GeneratorInvalidError(f"{path.name} is no TOML: {error}", place=Place(str(path))))
        return {}
    for key, value in document.items():
        if key not in known or not isinstance(value, Mapping):
            hint = nearest(key, known) or f"it holds {' and '.join(sorted(known))}"
            errors.append(GeneratorInvalidError(f"{key!r} is not known", place=Place(str(path)), hint=hint))
    return {key: value for key, value in document.items() if key in known and isinstance(value, Mapping)}


def _settings(data: Mapping[str, Any], fleet: Fleet, errors: list[ClanpyError]) -> Mapping[str, Any]:
    place = Place(str(fleet.root / FILE))
    for key in data.keys() - {"backend", "default_groups"}:
        hint = nearest(key, ("backend", "default_groups"))
        errors.append(GeneratorInvalidError(f"setting {key!r} is not known", place=place, hint=hint))
    if data.get("backend", "sops") not in _BACKENDS:
        text = f"backend = {data['backend']!r} is none of {', '.join(_BACKENDS)}"
        errors.append(GeneratorInvalidError(text, place=place))
    groups = data.get("default_groups", [])
    if not isinstance(groups, list) or not all(isinstance(group, str) for group in groups):
        errors.append(GeneratorInvalidError("default_groups is no list of names", place=place))
        return {}
    return data


def _add_to_members(
    fleet: Fleet, name: str, data: Any, found: dict[str, list[Generator]], errors: list[ClanpyError]
) -> None:
    body = dict(data) if isinstance(data, Mapping) else {}
    machines, tags = body.pop("machines", None), body.pop("tags", None)
    for kind, names, known in (("machine", machines, fleet.machines), ("tag", tags, fleet.tags)):
        for missing in sorted(set(names or ()) - set(known)):
            text = f"generator {name!r} is for {kind} {missing!r}, which does not exist"
            place = Place(str(fleet.root / FILE))
            errors.append(GeneratorInvalidError(text, place=place, hint=nearest(missing, known)))
    read = _parsed(name, body if isinstance(data, Mapping) else data, Path(FILE), errors)
    for machine in _members(fleet, machines, tags):
        found[machine] += read


def _members(fleet: Fleet, machines: list[str] | None, tags: list[str] | None) -> Iterator[str]:
    for name, machine in fleet.machines.items():
        everybody = machines is None and tags is None
        if everybody or name in (machines or ()) or set(machine.tags) & set(tags or ()):
            yield name


def _parsed(name: str, data: Any, path: Path, errors: list[ClanpyError]) -> list[Generator]:
    try:
        return [parse(name, data, place=Place(str(path)), origin=f"declared in {path}")]
    except ClanpyError as error:
        errors.append(error)
        return []


def _twice(found: Mapping[str, list[Generator]]) -> Iterator[ClanpyError]:
    for machine, generators in found.items():
        seen: dict[str, Generator] = {}
        for generator in generators:
            if generator.name in seen:
                origins = [g.origin for g in (seen[generator.name], generator) if g.origin]
                text = f"machine {machine} has two generators {generator.name!r}"
                yield GeneratorInvalidError(text, place=generator.place, details=origins)
            seen[generator.name] = generator
