"""Why something of the fleet is what it is: its value, every definition with its place, and those that were dropped with the reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from clanpy.errors import NothingMatchedError, Place, UsageError, nearest
from clanpy.inventory.aspects import FEEDS
from clanpy.inventory.kinds import Carried
from clanpy.inventory.places import snake
from clanpy.inventory.plain import merge
from clanpy.inventory.sigils import encode
from clanpy.inventory.spelling import dotted
from clanpy.modules import MISSING, parse_path, to_data
from clanpy.modules import errors as module_errors
from clanpy.modules.merge import discharged, priority_of
from clanpy.modules.priority import MIDDLE, Order, Override, Wrapper
from clanpy.modules.sources import Def
from clanpy.modules.types.deferred import Deferred


if TYPE_CHECKING:
    from clanpy.inventory.evaluation import Evaluated
    from clanpy.inventory.model import Fleet

Path_ = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One definition. `dropped` says why it does not count; None when it does. `why` says what gives the value, when that is another option."""

    place: Place | None
    value: Any
    priority: int
    order: int
    dropped: str | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Explained:
    """What is known about one path of the fleet. Definitions that count come first, in the order in which they are merged."""

    path: str
    value: Any
    type: str | None
    description: str | None
    definitions: tuple[Line, ...]
    problem: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON: `path, value, type, description, definitions, problem`."""
        return {
            "schema": "clanpy.explain/1",
            "path": self.path,
            "value": self.value,
            "type": self.type,
            "description": self.description,
            "problem": self.problem,
            "definitions": [
                {
                    "place": None if line.place is None else str(line.place),
                    "value": line.value,
                    "priority": line.priority,
                    "order": line.order,
                    "counts": line.dropped is None,
                    "dropped": line.dropped,
                    "why": line.why,
                }
                for line in self.definitions
            ],
        }


def explain(fleet: Fleet, path: str) -> Explained:
    """Explain a dotted path: `machines.cinnabar.tags`, `instances.sshd.roles.server.settings.port`, `meta`.

    Raises:
        NothingMatchedError: there is nothing at this path.
        UsageError: it is no path.
    """
    evaluated: Evaluated = fleet.memo["evaluated"]
    try:
        parts = parse_path(path)
    except ValueError as error:
        raise UsageError(str(error), hint='a path is written as in TOML: machines."a.b".tags') from None
    if not parts or "" in parts:
        raise UsageError(f"'{path}' is no path", hint="a path is written as in TOML: machines.web.tags")
    if is_final(parts):
        from clanpy.inventory.final import explain_final  # noqa: PLC0415 - services are read only for this

        return explain_final(fleet, parts)
    if parts[0] == "machines" and parts[2:] == ("tags",) and parts[1] in fleet.machines:
        return _tags(fleet, evaluated, parts)
    if parts[0] == "aspects" and len(parts) == 3:  # noqa: PLR2004 - aspects, class, name
        return _aspect(fleet, evaluated, parts)
    depth = next((n for n, part in enumerate(parts) if part == "settings"), None)
    if parts[0] == "instances" and depth is not None and parts[depth + 1 :]:
        return _setting(evaluated, parts[: depth + 1], parts[depth + 1 :])
    return _option(evaluated, parts)


_OF_A_ROLE = frozenset({"machines", "tags", "settings", "extra_modules", "extraModules"})


def is_final(path: Path_) -> bool:
    """Whether a path is about a member as it is in the end: `instances.INSTANCE.roles.ROLE.MACHINE.settings…`."""
    return path[0] == "instances" and path[2:3] == ("roles",) and path[4:5] != () and path[4] not in _OF_A_ROLE


def definitions(fleet: Fleet, path: Path_) -> tuple[Line, ...]:
    """Every definition of a path that is written as the options are; none when nothing says it."""
    evaluated: Evaluated = fleet.memo["evaluated"]
    depth = next((n for n, part in enumerate(path) if part == "settings"), None)
    try:
        if path[0] == "instances" and depth is not None and path[depth + 1 :]:
            return _setting(evaluated, path[: depth + 1], path[depth + 1 :]).definitions
        return _option(evaluated, path).definitions
    except NothingMatchedError:
        return ()


def _option(evaluated: Evaluated, path: Path_) -> Explained:
    found = _found(evaluated, path)
    translator = evaluated.translator
    lines = tuple(
        Line(translator.place(c.place, path), as_data(c.value), c.priority, c.order, c.dropped)
        for c in found.contributions
        if not c.place.file.startswith(_LIBRARY)
    )
    value = None if found.value is MISSING else as_data(found.value)
    problem = None if found.error is None else found.error.message.replace("`", "'").rstrip(":")
    kind = None if found.type is None else found.type.removeprefix("null or ")
    return Explained(dotted(path), value, kind, found.description, lines, problem)


_LIBRARY = __file__.rpartition("/")[0]


def _found(evaluated: Evaluated, path: Path_) -> Any:
    try:
        return evaluated.result.explain(path)
    except module_errors.MissingAttributeError as error:
        other = tuple(snake(part) for part in path)
        if other != path:
            return _found(evaluated, other)
        hint = nearest(path[-1], _names(evaluated, path[:-1]))
        raise NothingMatchedError(
            f"there is nothing at '{dotted(path)}'", hint=hint or (error.hint or "").replace("`", "'") or None
        ) from None


def _names(evaluated: Evaluated, path: Path_) -> list[str]:
    found: Any = evaluated.config
    for part in path:
        try:
            found = found[part]
        except (KeyError, TypeError, module_errors.ModuleError):
            return []
    return list(found) if isinstance(found, Mapping) else []


def _aspect(fleet: Fleet, evaluated: Evaluated, path: Path_) -> Explained:
    """An aspect: every file that writes it, in the order of import."""
    classes = FEEDS.get(path[1], ())
    found = [fleet.aspects[class_, path[2]] for class_ in classes if (class_, path[2]) in fleet.aspects]
    if not found:
        return _option(evaluated, path)
    origins = dict.fromkeys(module.origin for aspect in found for module in aspect.modules)
    lines = tuple(Line(fleet.places.in_file(origin, path), origin, 100, MIDDLE) for origin in origins)
    description = f"An aspect of class {' and '.join(aspect.class_ for aspect in found)}."
    return Explained(dotted(path), list(origins), "module", description, lines)


def _tags(fleet: Fleet, evaluated: Evaluated, path: Path_) -> Explained:
    """A machine's tags, and for each that it does not carry by itself where it comes from."""
    written = _option(evaluated, path)
    machine = fleet.machines[path[1]]
    more = tuple(line for tag in machine.tags for line in _given(fleet, machine.name, tag))
    return Explained(
        written.path,
        list(machine.tags),
        written.type,
        written.description,
        (*written.definitions, *more),
        written.problem,
    )


def _given(fleet: Fleet, machine: str, tag: str) -> Iterator[Line]:
    """Where a tag names a machine, or selects it."""
    record = fleet.tag_records.get(tag)
    if record is None:
        return
    if machine in record.machines:
        path = ("tags", tag, "machines")
        yield Line(fleet.where(*path, machine), [tag], 100, MIDDLE, why=f"{dotted(path)} names it")
    if record.select is not None and machine in fleet.memo["selected tags"].machines.get(tag, ()):
        path = ("tags", tag, "select")
        yield Line(fleet.where(*path), [tag], 100, MIDDLE, why=f"{dotted(path)} selects it: {record.select}")


def _setting(evaluated: Evaluated, base: Path_, inner: Path_) -> Explained:
    """A setting as one level of a role has it. What a member has in the end is told by `inventory show MACHINE`."""
    carried = _found(evaluated, base).value
    parts = carried.parts if isinstance(carried, Carried) else ()
    here: list[Def] = [d for d in (written_at(part, inner) for part in parts) if d is not None]
    full = (*base, *inner)
    if not here:
        names = [str(key) for part in parts for key in part.value]
        raise NothingMatchedError(f"there is nothing at '{dotted(full)}'", hint=nearest(inner[0], names))
    value: Any = merge(parts).value
    for name in inner:
        key = key_in(value, name)
        value = None if key is None else value[key]
    return Explained(dotted(full), value, None, None, tuple(_lines(evaluated, here, full)), None)


def written_at(part: Def, path: Path_) -> Def | None:
    """What a definition says at a path below it."""
    value = part.value
    for name in path:
        while isinstance(value, Override | Order):
            value = value.content
        key = key_in(value, name)
        if key is None:
            return None
        value = value[key]
    return Def(value, part.source)


def key_in(value: Any, name: str) -> str | None:
    """A key of a table by any of its spellings."""
    if not isinstance(value, Mapping):
        return None
    return name if name in value else next((key for key in value if snake(key) == snake(name)), None)


def _lines(evaluated: Evaluated, definitions: Sequence[Def], path: Path_) -> Iterator[Line]:
    for d, line in counted(definitions, path):
        yield replace(line, place=evaluated.translator.of(d, path))


def counted(definitions: Sequence[Def], path: Path_) -> Iterator[tuple[Def, Line]]:
    """Definitions of one value with what becomes of each, those that count first; without their places."""
    found = discharged(definitions, path)
    best = min((priority_of(d) for d in found), default=0)
    for d in sorted(found, key=priority_of):
        priority = priority_of(d)
        dropped = None if priority == best else f"its priority {priority} is outdone by {best}"
        inner = d.value.content if isinstance(d.value, Override) else d.value
        order = inner.priority if isinstance(inner, Order) else MIDDLE
        content = inner.content if isinstance(inner, Order) else inner
        yield d, Line(None, as_data(content), priority, order, dropped)


def as_data(value: Any) -> Any:
    """A value as JSON data, for showing."""
    if isinstance(value, Carried):
        return encode(merge(value.parts).value)
    if isinstance(value, Deferred):
        return [part.source.file for part in value.parts]
    try:
        plain = to_data(value)
    except module_errors.ModuleError:
        return "…"
    return _shown(plain)


def _shown(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shown(item) for key, item in value.items()}
    if isinstance(value, Carried | Deferred):
        return as_data(value)
    if isinstance(value, list | tuple):
        return [_shown(item) for item in value]
    if value is None or isinstance(value, str | int | float):
        return value
    return encode(value) if isinstance(value, Wrapper) else str(value)
