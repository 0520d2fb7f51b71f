"""What selections mean: the machines of a fleet that one selects, and what is wrong with it.

What can be asked of machines is a table of `Kind`s. A kind is an index: its values, and for each the machines that have it. Whoever
knows more about machines than the inventory does (what runs on them, say) gives further kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from clanpy.errors import nearest
from clanpy.inventory.model import Instance, Machine, Role, User
from clanpy.inventory.selection import And, Not, Or, Pattern, Selection, Term


Members = Collection[str]
Index = Mapping[str, Members]
_AS_MANY_AS_FIT_ON_A_LINE = 12


class World(Protocol):
    """What selections look at. A `Fleet` is one."""

    @property
    def machines(self) -> Mapping[str, Machine]: ...
    @property
    def users(self) -> Mapping[str, User]: ...
    @property
    def instances(self) -> Mapping[str, Instance]: ...
    @property
    def tags(self) -> Mapping[str, Members]: ...


class LazyIndex(Mapping[str, Members]):
    """An index whose values are known, and whose machines are found when they are asked for, every time anew."""

    def __init__(self, values: Iterable[str], find: Callable[[str], Members]) -> None:
        self._values = dict.fromkeys(values)
        self._find = find

    def __getitem__(self, value: str) -> Members:
        if value not in self._values:
            raise KeyError(value)
        return self._find(value)

    def __contains__(self, value: object) -> bool:
        return value in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Something by which machines are selected: `name:VALUE`.

    Attributes:
        name: what stands before the colon.
        index: the machines of each value, in a fleet. Asked for once in a selection.
        what: the noun in error messages, where the name is none.
        is_split: values are written PART/VALUE, and VALUE alone means that of any part.
    """

    name: str
    index: Callable[[World], Index]
    what: str | None = None
    is_split: bool = False

    def values(self, index: Index, pattern: Pattern) -> list[str]:
        """The values that a pattern means."""
        is_short = self.is_split and "/" not in pattern.text
        if not pattern.is_glob and not is_short:
            return [pattern.text] if pattern.text in index else []
        return [value for value in index if pattern.fits(value.rpartition("/")[2] if is_short else value)]

    def known(self, index: Index) -> set[str]:
        """Everything that could have been meant, for finding what is near."""
        return {*index, *(value.rpartition("/")[2] for value in index if self.is_split)}


class Problem(NamedTuple):
    """What is wrong with a part of a selection that can be read."""

    message: str
    at: tuple[int, int]
    hint: str | None = None


def role_members(world: World, role: Role) -> tuple[str, ...]:
    """The machines in a role: those that are named and those that carry one of its tags, each once, sorted."""
    tagged = (name for tag in role.tags for name in world.tags.get(tag, ()))
    return tuple(sorted({*role.machines, *tagged} & world.machines.keys()))


def split_role(value: str) -> tuple[str, str]:
    """Instance and role of a value of the kind `role`."""
    instance, _, role = value.partition("/")
    return instance, role


def _machines(world: World) -> Index:
    return LazyIndex(world.machines, lambda name: (name,))


def _classes(world: World) -> Index:
    return {"darwin": [], "nixos": []} | _by(world, lambda machine: machine.class_)


def _by(world: World, value_of: Callable[[Machine], str | None]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for machine in world.machines.values():
        value = value_of(machine)
        if value:
            found.setdefault(value, []).append(machine.name)
    return found


def _users(world: World) -> Index:
    """Machines by the people who use them or look after them, under every name that these go by."""
    person = {alias: user.name for user in world.users.values() for alias in user.aliases} | {n: n for n in world.users}
    found: dict[str, list[str]] = {name: [] for name in world.users}
    for machine in world.machines.values():
        people = {person.get(name or "") for name in (machine.primary_user, machine.admin_user)}
        for name in people - {None}:
            found[name or ""].append(machine.name)
    return {name: found[called] for name, called in person.items()}


def _instances(world: World) -> Index:
    def members(name: str) -> set[str]:
        return {machine for role in world.instances[name].roles.values() for machine in role_members(world, role)}

    return LazyIndex(world.instances, members)


def _roles(world: World) -> Index:
    def members(value: str) -> tuple[str, ...]:
        instance, role = split_role(value)
        return role_members(world, world.instances[instance].roles[role])

    return LazyIndex((f"{i.name}/{role}" for i in world.instances.values() for role in i.roles), members)


MACHINE = Kind(name="machine", index=_machines)
KINDS = (
    Kind(name="tag", index=lambda world: world.tags),
    Kind(name="class", index=_classes),
    Kind(name="system", index=lambda world: _by(world, lambda machine: machine.system)),
    Kind(name="type", index=lambda world: _by(world, lambda machine: machine.type)),
    Kind(name="user", index=_users),
    Kind(name="instance", index=_instances),
    Kind(name="role", index=_roles, is_split=True),
)


class Matcher:
    """Finds the machines that selections select, and gathers in `problems` the names in them that do not exist.

    `on_stdin` gives the names that `-` stands for. A glob that nothing fits is a problem, but not below a `not`, nor when `strict`
    is False.
    """

    def __init__(
        self,
        world: World,
        more: Iterable[Kind] = (),
        *,
        on_stdin: Callable[[], Iterable[str]] = tuple,
        strict: bool = True,
    ) -> None:
        self.world = world
        self.problems: list[Problem] = []
        self._kinds: dict[str | None, Kind] = {None: MACHINE, **{kind.name: kind for kind in (*KINDS, *more)}}
        self._indexes: dict[str | None, Index] = {}
        self._on_stdin = on_stdin
        self._strict = strict

    @property
    def kinds(self) -> tuple[str, ...]:
        """What can stand before a colon."""
        return tuple(kind for kind in self._kinds if kind is not None)

    def members(self, selection: Selection, *, is_negated: bool = False) -> frozenset[str]:
        """The names of the machines in a selection."""
        match selection:
            case Term():
                return self._term(selection, is_negated=is_negated)
            case Not(operand=operand):
                return frozenset(self.world.machines.keys() - self.members(operand, is_negated=True))
            case And(operands=operands):
                return frozenset.intersection(*(self.members(o, is_negated=is_negated) for o in operands))
            case Or(operands=operands):
                return frozenset().union(*(self.members(o, is_negated=is_negated) for o in operands))
            case stdin:
                return self._named(stdin.at)

    def values(self, term: Term) -> list[str]:
        """The tags, roles or whatever it is that a term names."""
        return self._kinds[term.kind].values(self._index(term.kind), term.pattern)

    def _term(self, term: Term, *, is_negated: bool) -> frozenset[str]:
        index, values = self._index(term.kind), self.values(term)
        if not values and not (term.pattern.is_glob and (is_negated or not self._strict)):
            self.problems.append(self._unknown(term, index))
        return frozenset(name for value in values for name in index[value])

    def _named(self, at: tuple[int, int]) -> frozenset[str]:
        names = frozenset(self._on_stdin())
        for name in sorted(names - self.world.machines.keys()):
            hint = nearest(name, self.world.machines)
            self.problems.append(Problem(f"there is no machine '{name}', which standard input names", at, hint))
        if not names:
            self.problems.append(Problem("standard input names no machine", at))
        return frozenset(names & self.world.machines.keys())

    def _index(self, kind: str | None) -> Index:
        if kind not in self._indexes:
            self._indexes[kind] = self._kinds[kind].index(self.world)
        return self._indexes[kind]

    # --- near misses ---

    def _unknown(self, term: Term, index: Index) -> Problem:
        kind, text = self._kinds[term.kind], term.pattern.text
        what = kind.what or kind.name
        if term.pattern.is_glob:
            return Problem(f"no {what} has a name like '{text}'", term.at, _listed(index))
        hint = self._elsewhere(term) or nearest(text, kind.known(index)) or _listed(index)
        return Problem(f"there is no {what} '{text}'", term.at, hint)

    def _elsewhere(self, term: Term) -> str | None:
        """What else has this name: `web` may be a tag."""
        if term.pattern.text[:1] in {"@", "!"} and term.kind is None:
            rest = term.pattern.text[1:]
            return f"a tag is `tag:{rest}`" if term.pattern.text[0] == "@" else f"all others are `not {rest}`"
        for name, kind in self._kinds.items():
            found = kind.values(self._index(name), term.pattern) if name != term.kind else ()
            if found:
                what = kind.what or kind.name
                article = "an" if what[0] in "aeio" else "a"
                return f"'{term.pattern.text}' is {article} {what}: {Term(name, term.pattern)}"
        return None


def _listed(names: Collection[str]) -> str | None:
    """The names there are, when they fit on a line."""
    return f"known: {', '.join(sorted(names))}" if 0 < len(names) <= _AS_MANY_AS_FIT_ON_A_LINE else None
