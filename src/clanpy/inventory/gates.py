"""Gates: what has to be so on a machine after an activation for it to stay.

Declared for the fleet, for tags, for instances of services and for machines, by name. The same name at several of those is one gate, of
which the nearer one (machine before instance, instance before tag, tag before fleet) says what it says, and the others the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

from clanpy.errors import ClanpyError
from clanpy.inventory.errors import ConflictError, MissingFieldError, UnknownKeyError
from clanpy.inventory.kinds import Name, Table, boolean, maybe, strings, table, text, whole, words
from clanpy.inventory.reading import entries, get, inside
from clanpy.modules import option, types


if TYPE_CHECKING:
    from clanpy.inventory.model import Fleet, Machine, Membership

GateType = Literal["http", "tcp", "command", "units"]
GATE_TYPES: tuple[GateType, ...] = ("http", "tcp", "command", "units")
GATE_NAME = Name(
    "the name of a gate",
    r"[A-Za-z0-9_][A-Za-z0-9_.-]*",
    "letters, digits, '-', '_' and '.'; it begins with a letter, a digit or '_'",
)
INTERVAL, TIMEOUT = 2.0, 60.0

# What each type asks for, and what it knows beside that and what all know.
_NEEDS: Mapping[str, str | None] = {"http": "url", "tcp": "port", "command": "command", "units": None}
_KNOWS: Mapping[str, frozenset[str]] = {
    "http": frozenset({"url", "status", "contains"}),
    "tcp": frozenset({"port", "host"}),
    "command": frozenset({"command", "on"}),
    "units": frozenset({"units"}),
}

Path = tuple[str, ...]
Declared = Mapping[str, Mapping[str, Any]]  # what is said of each gate at one level, by its name


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """A gate of one machine, complete.

    Attributes:
        url: what an `http` gate asks for; `{address}`, `{name}` and `{domain}` in it are filled in.
        status: what it must be answered; None: 200 to 399.
        contains: what must be in the answer.
        host: where a `tcp` gate connects to; None: the address at which the machine was reached.
        command: a line for a shell, run on the machine (as root) or here; 0 is a pass, 126 and 127 that it could not be run.
        units: patterns of units of systemd of which none may have failed; empty: none at all.
        interval: seconds between two attempts.
        timeout: seconds until it must have been passed.
        successes: how many attempts in a row must succeed.
        origin: where it is declared: the path of each declaration, the nearest first.
    """

    name: str
    type: GateType
    url: str = ""
    status: int | None = None
    contains: str | None = None
    host: str | None = None
    port: int = 0
    command: str = ""
    on: str = "target"
    units: tuple[str, ...] = ()
    interval: float = INTERVAL
    timeout: float = TIMEOUT
    successes: int = 1
    origin: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON: `name`, `type`, what the type knows, `interval`, `timeout`, `successes`, `origin`."""
        shown = {"name", "type", "interval", "timeout", "successes", "origin", *_KNOWS[self.type]}
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name in shown}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


_SECONDS = types.numbers.positive
GATE = {
    "type": option(
        maybe(words(*GATE_TYPES)),
        default=None,
        description="What is tried: an `http` request, a `tcp` connection, a `command`, or that no `units` have failed.",
    ),
    "enable": option(
        maybe(boolean), default=None, description="Whether it counts. `false` takes back a gate of a tag, say."
    ),
    "url": option(
        maybe(text),
        default=None,
        description="Of `http`: what is asked for. `{address}`, `{name}` and `{domain}` are the machine's.",
        example="http://{address}/health",
    ),
    "status": option(
        maybe(whole("a status of HTTP")),
        default=None,
        description="Of `http`: the status to be answered. Without it 200 to 399.",
    ),
    "contains": option(maybe(text), default=None, description="Of `http`: what must be in the answer."),
    "host": option(
        maybe(text),
        default=None,
        description="Of `tcp`: what is connected to. Without it the address at which the machine was reached.",
    ),
    "port": option(maybe(types.port), default=None, description="Of `tcp`: the port that must be open."),
    "command": option(
        maybe(text),
        default=None,
        description="Of `command`: a line for a shell that ends with 0.",
        example="systemctl is-active nginx",
    ),
    "on": option(
        maybe(words("target", "here")),
        default=None,
        description="Of `command`: where it is run: on the machine as root (`target`, unless told), or by who deploys (`here`).",
    ),
    "units": option(
        maybe(strings),
        default=None,
        description="Of `units`: patterns of units of which none may have failed. Without it none at all.",
        example=["nginx.service"],
    ),
    "interval": option(
        maybe(_SECONDS), default=None, description=f"Seconds between two attempts. Without it {INTERVAL:g}."
    ),
    "timeout": option(
        maybe(_SECONDS), default=None, description=f"Seconds in which it must have been passed. Without it {TIMEOUT:g}."
    ),
    "successes": option(
        maybe(types.ints.positive), default=None, description="How many attempts in a row must succeed. Without it 1."
    ),
}
_FIELDS = tuple(GATE)


def gates_option(about: str) -> Any:
    """The option `gates` of a fleet, tag, instance or machine."""
    return option(
        Table(table(GATE), GATE_NAME, "a table of gates", placeholder="gate"),
        default={},
        description=f"What has to be so after an activation of {about}, or it goes back. By name.",
    )


def declared_gates(config: Mapping[str, Any]) -> dict[Path, Declared]:
    """What is said of gates anywhere, by the path of who says it: `()`, `("tags", "web")`, and so on."""
    found: dict[Path, Declared] = {}
    owners: list[tuple[Path, Mapping[str, Any]]] = [((), config)]
    for kind in ("tags", "instances", "machines"):
        table_ = inside(config, kind)
        owners += [((kind, name), inside(table_, name)) for name in sorted(table_)]
    for path, owner in owners:
        said = {name: _said(entry) for name, entry in entries(owner, "gates", GATE_NAME)}
        if said:
            found[path] = said
    return found


def _said(entry: Mapping[str, Any]) -> dict[str, Any]:
    values = {name: get(entry, name) for name in _FIELDS}
    return {name: value for name, value in values.items() if value is not None}


def gates_of(
    fleet: Fleet, machine: Machine, memberships: Sequence[Membership], errors: list[ClanpyError]
) -> tuple[Gate, ...]:
    """The gates of one machine, by name. What is wrong with one is an error, and it is left out."""
    if not fleet.gates:
        return ()
    instances = sorted({part.instance for part in memberships})
    levels: list[list[Path]] = [
        [("machines", machine.name)],
        [("instances", name) for name in instances],
        [("tags", tag) for tag in machine.tags],
        [()],
    ]
    names = sorted({name for level in levels for path in level for name in fleet.gates.get(path, {})})
    found = (_gate(fleet, name, levels, errors) for name in names)
    return tuple(gate for gate in found if gate is not None)


def _gate(fleet: Fleet, name: str, levels: Sequence[Sequence[Path]], errors: list[ClanpyError]) -> Gate | None:
    values: dict[str, Any] = {}
    origin: list[str] = []
    for level in levels:
        said = [(path, fleet.gates[path][name]) for path in level if name in fleet.gates.get(path, {})]
        errors.extend(_contradictions(fleet, name, said))
        for path, entry in said:
            origin.append(".".join((*path, "gates", name)))
            values = {**entry, **values}
    if values.pop("enable", True) is False:
        return None
    wrong = list(_wrong(fleet, name, values, origin[0].split(".")))
    errors.extend(wrong)
    if wrong:
        return None
    units = tuple(values.pop("units", ()))
    return Gate(name=name, units=units, origin=tuple(origin), **values)


def _contradictions(fleet: Fleet, name: str, said: Sequence[tuple[Path, Mapping[str, Any]]]) -> Iterator[ClanpyError]:
    """Two tags (or two instances) that say different things of one gate: neither is nearer."""
    first: dict[str, Path] = {}
    for path, entry in said:
        for key, value in entry.items():
            before = first.setdefault(key, path)
            other = fleet.gates[before][name][key]
            if other != value:
                yield ConflictError(
                    f"gate '{name}': {'.'.join(before)} says {key} = {other!r}, and {'.'.join(path)} says {value!r}",
                    place=fleet.where(*path, "gates", name, key),
                    hint="say it at the machine, which is nearer than both, or call one of the gates differently",
                )


def _wrong(fleet: Fleet, name: str, values: Mapping[str, Any], path: Sequence[str]) -> Iterator[ClanpyError]:
    place = fleet.where(*path)
    type_ = values.get("type")
    if type_ is None:
        yield MissingFieldError(
            f"gate '{name}' does not say its type",
            place=place,
            hint=f"one of {', '.join(GATE_TYPES)}",
        )
        return
    needed = _NEEDS[type_]
    if needed is not None and needed not in values:
        yield MissingFieldError(f"gate '{name}' is of type {type_} and has no `{needed}`", place=place)
    foreign = sorted(values.keys() & frozenset().union(*_KNOWS.values()) - _KNOWS[type_])
    for key in foreign:
        yield UnknownKeyError(
            f"gate '{name}' is of type {type_}, which knows no `{key}`",
            place=fleet.where(*path, key) or place,
            hint=f"it knows {', '.join(sorted(_KNOWS[type_]))}",
        )
