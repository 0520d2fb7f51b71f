"""What the fleet itself declares about vars: its settings, and generators of the fleet, of tags, of aspects and of machines."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, cast

from clanpy.errors import ClanpyError, Place
from clanpy.inventory.kinds import Carried
from clanpy.inventory.loading import place_text
from clanpy.inventory.matching import role_members
from clanpy.inventory.model import Fleet, Machine
from clanpy.inventory.plain import merge
from clanpy.inventory.reading import get, inside, keys, strings
from clanpy.inventory.references import unknown
from clanpy.inventory.schema import GENERATOR_NAME
from clanpy.modules.sources import Def
from clanpy.services.errors import GeneratorInvalidError
from clanpy.services.generator import Generator
from clanpy.services.generator_data import parse


if TYPE_CHECKING:
    from clanpy.inventory.evaluation import Evaluated

Path_ = tuple[str, ...]
Delivery = Literal["direct", "sops-nix"]
_SELECTORS = ("machines", "tags", "aspects")
_CARRIED = frozenset(("kind", "validation"))
_TABLES = frozenset(("files", "prompts", "display"))


@dataclass(frozen=True, slots=True, kw_only=True)
class VarsSettings:
    """How a fleet keeps its vars. `default_groups` may read every secret."""

    backend: str
    default_groups: tuple[str, ...]


def vars_settings(fleet: Fleet) -> VarsSettings:
    """The settings of a fleet's vars."""
    settings = inside(_config(fleet), "vars", "settings")
    return VarsSettings(
        backend=get(settings, "backend", "sops"),
        default_groups=strings(settings, "default_groups"),
    )


def delivery(fleet: Fleet, machine: str) -> Delivery:
    """How a machine gets its secrets."""
    config = _config(fleet)
    own = get(inside(config, "machines", machine, "vars"), "delivery")
    return cast("Delivery", own or get(inside(config, "vars", "settings"), "delivery", "direct"))


def fleet_generators(fleet: Fleet, machine: Machine, errors: list[ClanpyError]) -> Iterator[Generator]:
    """The generators that the inventory declares for a machine: of the fleet and its aspects, of tags, of the machine itself."""
    declared: Declared | None = fleet.memo.get("generators")
    if declared is None:
        declared = fleet.memo["generators"] = Declared(fleet)
    errors.extend(declared.errors)
    for members, made in declared.of_fleet:
        if members is None or machine.name in members:
            yield made
    for tag in machine.tags:
        yield from declared.at(("tags", tag), errors)
    yield from declared.at(("machines", machine.name), errors)


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacyFile:
    """An older file of sops that a machine reads, under the name by which it is seen among the machine's vars.

    Attributes:
        file: from the fleet's folder.
        path: where a value is on the machine, with `{key}` for its place in the file.
    """

    name: str
    file: PurePosixPath
    path: str
    place: Place | None = None

    def path_of(self, key: str) -> str:
        """Where a value is on the machine."""
        return self.path.replace("{key}", key)


def legacy_files(fleet: Fleet, machine: Machine) -> tuple[LegacyFile, ...]:
    """The older files of sops that a machine reads, by name."""
    table = inside(_config(fleet), "secrets", "legacy")
    found = []
    for name in sorted(keys(table)):
        entry = inside(table, name)
        machines, tags = get(entry, "machines"), get(entry, "tags")
        everybody = machines is None and tags is None
        if everybody or machine.name in (machines or ()) or set(machine.tags) & set(tags or ()):
            file = PurePosixPath(str(get(entry, "file", "")).replace("{machine}", machine.name))
            place = fleet.where("secrets", "legacy", name)
            path = str(get(entry, "path", "/run/secrets/{key}"))
            found.append(LegacyFile(name=name, file=file, path=path, place=place))
    return tuple(found)


class Declared:
    """What the inventory declares, read once. `errors` are what is wrong with the fleet's own; those of others are told with them."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.config = _config(fleet)
        self.errors: list[ClanpyError] = []
        self._at: dict[Path_, tuple[tuple[Generator, ...], list[ClanpyError]]] = {}
        self.of_fleet = tuple(self._of_fleet())

    def at(self, path: Path_, errors: list[ClanpyError]) -> tuple[Generator, ...]:
        """The generators that a tag or a machine declares."""
        if path not in self._at:
            wrong: list[ClanpyError] = []
            self._at[path] = (tuple(self._made((*path, "vars", "generators"), wrong)), wrong)
        found, wrong = self._at[path]
        errors.extend(wrong)
        return found

    def _of_fleet(self) -> Iterator[tuple[frozenset[str] | None, Generator]]:
        base = ("vars", "generators")
        table = inside(self.config, *base)
        for made in self._made(base, self.errors):
            yield self._members(inside(table, made.name), (*base, made.name)), made

    def _made(self, path: Path_, errors: list[ClanpyError]) -> Iterator[Generator]:
        table = inside(self.config, *path)
        for name in sorted(keys(table)):
            place = self.fleet.where(*path, name)
            if not GENERATOR_NAME.fits(name):
                text = f"'{name}' can't be {GENERATOR_NAME.what}"
                errors.append(GeneratorInvalidError(text, place=place, hint=GENERATOR_NAME.hint))
                continue
            try:
                origin = f"{_owner(path)}{place_text(place)}"
                yield parse(name, _plain(inside(table, name)), place=place, origin=origin)
            except ClanpyError as error:
                errors.append(error)

    def _members(self, entry: Mapping[str, Any], path: Path_) -> frozenset[str] | None:
        """The machines that a generator of the fleet is for; None for all of them."""
        if all(get(entry, selector) is None for selector in _SELECTORS):
            return None
        found: set[str] = set()
        for selector in _SELECTORS:
            for name in strings(entry, selector):
                known = self._known[selector]
                if name not in known:
                    place = self.fleet.where(*path, selector, name)
                    where = f"generator '{path[-1]}'"
                    self.errors.append(unknown(selector.removesuffix("s"), name, known, place, where))
                else:
                    found.update(known[name])
        return frozenset(found)

    @cached_property
    def _known(self) -> Mapping[str, Mapping[str, Collection[str]]]:
        """The machines that each word of a selector means."""
        machines = {name: (name,) for name in self.fleet.machines}
        return {"machines": machines, "tags": self.fleet.tags, "aspects": aspect_members(self.fleet)}


def aspect_members(fleet: Fleet) -> Mapping[str, tuple[str, ...]]:
    """The machines that import each aspect of their class, by the aspect's name."""
    found: dict[str, set[str]] = {name: set() for class_, name in fleet.aspects if class_ != "home"}
    roles = [role for instance in fleet.instances.values() for role in instance.roles.values() if role.extra_modules]
    extra = [(frozenset(role_members(fleet, role)), role.extra_modules) for role in roles]
    for machine in fleet.machines.values():
        for name in _imported(fleet, machine, extra):
            found.setdefault(name, set()).add(machine.name)
    return {name: tuple(sorted(machines)) for name, machines in sorted(found.items())}


def _imported(fleet: Fleet, machine: Machine, extra: Iterable[tuple[frozenset[str], tuple[str, ...]]]) -> set[str]:
    """The names of all aspects of its class that a machine imports, however it comes to do so; `extra`: by roles."""
    pending = list(machine.imports)
    for tag in machine.tags:
        record = fleet.tag_records.get(tag)
        pending += record.imports if record is not None else ()
    for members, names in extra:
        pending += names if machine.name in members else ()
    found: set[str] = set()
    while pending:
        name = pending.pop()
        aspect = fleet.aspects.get((machine.class_, name))
        if aspect is not None and name not in found:
            found.add(name)
            pending += aspect.imports
    return found


def _config(fleet: Fleet) -> Mapping[str, Any]:
    evaluated: Evaluated | None = fleet.memo.get("evaluated")
    return evaluated.config if evaluated is not None else {}


def _owner(path: Path_) -> str:
    return "the fleet" if path[0] == "vars" else f"{path[0].removesuffix('s')} {path[1]}"


def _plain(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of the configuration as plain data: what is not said is left out."""
    found: dict[str, Any] = {}
    for key in keys(entry):
        value = get(entry, key)
        if key in _CARRIED:
            value = _carried(value)
        elif key in _TABLES:
            inner = inside(entry, key)
            value = _plain(inner) if key == "display" else {name: _plain(inside(inner, name)) for name in keys(inner)}
        if value is not None and key not in _SELECTORS:
            found[key] = value
    return found


def _carried(value: Any) -> Any:
    """What was carried as it is written; None where nothing is."""
    parts = value.parts if isinstance(value, Carried) else ()
    if not parts:
        return None
    if all(isinstance(part.value, Mapping) for part in parts):
        return merge(parts).value
    return merge([Def({"value": part.value}, part.source) for part in parts]).value.get("value")
