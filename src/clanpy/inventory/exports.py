"""What services may look at beside themselves: other members, what is exported, generators and their public values.

Everything is worked out when it is first asked for, and once. What a role exports may be made from what others export; a circle is
an error that names it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from clanpy.errors import ClanpyError
from clanpy.inventory.generators import Declared, declared_on, public_value
from clanpy.inventory.model import Instance
from clanpy.services.errors import ExportCycleError, SecretValueError, ServiceDeclarationError
from clanpy.services.exports import Export, Scope
from clanpy.services.generator import VarFile, path_on_host


if TYPE_CHECKING:
    from clanpy.inventory.networks import FleetNetwork
    from clanpy.inventory.roles import Roles
    from clanpy.services import Member

T = TypeVar("T", bound=Export)
Node = tuple[str, str, str]  # instance, role, machine


@dataclass(frozen=True, slots=True)
class Record:
    """One exported value, and who exports it."""

    service: str
    instance: str
    role: str
    machine: str
    value: Export


class Lookup(Mapping[str, tuple[T, ...]]):
    """A mapping that is made when somebody looks into it."""

    __slots__ = ("_found", "_make")

    def __init__(self, make: Callable[[], Mapping[str, tuple[T, ...]]]) -> None:
        self._make = make
        self._found: Mapping[str, tuple[T, ...]] | None = None

    def _all(self) -> Mapping[str, tuple[T, ...]]:
        if self._found is None:
            self._found = self._make()
        return self._found

    def __getitem__(self, key: str) -> tuple[T, ...]:
        return self._all()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def __repr__(self) -> str:
        return repr(self._all())


@dataclass
class Exports:
    """The view (`clanpy.services.exports.View`) of one fleet. `calls` counts how often code of services was asked."""

    roles: Roles
    calls: int = 0
    networks: tuple[FleetNetwork, ...] | None = None
    unsaid: tuple[ClanpyError, ...] = ()
    _said: dict[Node, tuple[Export, ...] | ClanpyError] = field(default_factory=dict)
    _open: list[Node] = field(default_factory=list)
    _found: dict[tuple[Any, ...], Mapping[str, tuple[Any, ...]]] = field(default_factory=dict)
    _members: dict[tuple[str, str], Mapping[str, Member]] = field(default_factory=dict)
    _declared: dict[str, Declared | None] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def exported(
        self, kind: type[T], *, service: str | None, instance: str | None, role: str | None
    ) -> Mapping[str, tuple[T, ...]]:
        """What is exported of a kind, by machine; worked out when it is looked into."""
        return Lookup(lambda: self._exported(kind, service, instance, role))

    def _exported(
        self, kind: type[T], service: str | None, instance: str | None, role: str | None
    ) -> Mapping[str, tuple[T, ...]]:
        key = (kind, service, instance, role)
        with self._lock:
            if key not in self._found:
                self._found[key] = self._by_machine(
                    [r for r in self._records(service, instance, role) if isinstance(r.value, kind)]
                )
            return self._found[key]

    def sayable(self) -> tuple[tuple[Record, ...], tuple[ClanpyError, ...]]:
        """Everything that is exported, and why some members can't say what they export."""
        found: list[Record] = []
        errors: dict[str, ClanpyError] = {}
        for instance, role, machine in self.nodes():
            service = self.roles.fleet.instances[instance].service
            try:
                values = self.of((instance, role, machine))
            except ClanpyError as error:
                errors.setdefault(str(error), error)
            else:
                found += [Record(service, instance, role, machine, value) for value in values]
        return tuple(found), tuple(errors.values())

    def records(self, kind: type[Export] = Export) -> tuple[Record, ...]:
        """Everything that is exported of a kind, and by whom, in the order of instances, roles and machines."""
        with self._lock:
            return tuple(record for record in self._records(None, None, None) if isinstance(record.value, kind))

    def nodes(self) -> Iterator[Node]:
        """Every member in a role that exports something."""
        for found, role in self._exporting(None, None, None):
            yield from ((found.name, role, machine) for machine in self.roles.members_of(found)[role])

    def of(self, node: Node) -> tuple[Export, ...]:
        """What one member exports in one role.

        Raises:
            ClanpyError: it can't be worked out; the same error every time.
        """
        with self._lock:
            return self._of(node)

    def _records(self, service: str | None, instance: str | None, role: str | None) -> Iterator[Record]:
        for found, role_name in self._exporting(service, instance, role):
            for machine in self.roles.members_of(found)[role_name]:
                for value in self._of((found.name, role_name, machine)):
                    yield Record(found.service, found.name, role_name, machine, value)

    def has(self, instance: Instance, role: str) -> bool:
        """Whether a role exports anything."""
        declared = self.roles.service(instance)
        known = None if isinstance(declared, ClanpyError) else declared[0].roles.get(role)
        return known is not None and known.exports is not None

    def _exporting(self, service: str | None, instance: str | None, role: str | None) -> Iterator[tuple[Instance, str]]:
        """The roles that export something, of those that are asked for."""
        for found in self.roles.fleet.instances.values():
            if service not in {None, found.service} or instance not in {None, found.name}:
                continue
            for name in found.roles:
                if role in {None, name} and self.has(found, name):
                    yield found, name

    def _of(self, node: Node) -> tuple[Export, ...]:
        """What one member exports in one role.

        Raises:
            ClanpyError: it can't be worked out; the same error every time.
        """
        if node not in self._said:
            if node in self._open:
                raise _cycle([*self._open[self._open.index(node) :], node])
            self._open.append(node)
            try:
                self._said[node] = self._asked(node)
            except ClanpyError as error:
                self._said[node] = error
            finally:
                self._open.pop()
        said = self._said[node]
        if isinstance(said, ClanpyError):
            raise said
        return said

    def _asked(self, node: Node) -> tuple[Export, ...]:
        instance, role, machine = node
        member = self.roles.member(self.roles.fleet.instances[instance], role, machine)
        found = self.roles.service(self.roles.fleet.instances[instance])
        assert not isinstance(found, ClanpyError)
        make = found[0].roles[role].exports
        if member is None or make is None:
            return ()
        self.calls += 1
        try:
            said = tuple(make(member))
        except ClanpyError:
            raise
        except Exception as error:  # whatever a service's code raises is a fact about that service
            message = (
                f"the service '{found[0].name}' fails in what role '{role}' exports: {type(error).__name__}: {error}"
            )
            raise ServiceDeclarationError(message) from error
        for value in said:
            if not isinstance(value, Export):
                message = f"the service '{found[0].name}' exports {value!r} in role '{role}', which is no Export"
                raise ServiceDeclarationError(message, hint="see clanpy.services.exports for what can be exported")
        return said

    def _by_machine(self, records: list[Record]) -> Mapping[str, tuple[Any, ...]]:
        """The values by the machines that they are about, each once; machines sorted."""
        own: dict[str, list[Export]] = {}
        wide: dict[tuple[Any, ...], dict[str, Export]] = {}
        for record in records:
            if record.value.scope == "machine":
                own.setdefault(record.machine, []).append(record.value)
            else:
                wide.setdefault(_about(record), {})[repr(record.value)] = record.value  # a value need not be hashable
        for key, values in wide.items():
            for machine in self._machines_of(key):
                own.setdefault(machine, []).extend(values.values())
        return {machine: _each_once(own[machine]) for machine in sorted(own)}

    def _machines_of(self, key: tuple[Any, ...]) -> tuple[str, ...]:
        scope, service, instance, role = key
        found: set[str] = set()
        for each in self.roles.fleet.instances.values():
            if each.service != service or (scope != "service" and each.name != instance):
                continue
            for name, members in self.roles.members_of(each).items():
                if scope != "role" or name == role:
                    found.update(members)
        return tuple(sorted(found))

    def members(self, instance: str, role: str) -> Mapping[str, Member]:
        """The members of a role, by machine; without those whose settings are wrong."""
        key = (instance, role)
        with self._lock:
            if key not in self._members:
                found = self.roles.fleet.instances[instance]
                names = self.roles.members_of(found).get(role, ())
                members = {name: self.roles.member(found, role, name) for name in names}
                self._members[key] = {name: member for name, member in members.items() if member is not None}
            return self._members[key]

    def instances(self, service: str) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
        """The machines in each role of each instance of a service."""
        fleet = self.roles.fleet
        return {
            each.name: self.roles.members_of(each)
            for each in fleet.instances.values()
            if self.roles.service_id(each) == service
        }

    def public(self, machine: str, generator: str, file: str) -> str | None:
        """A public value as it is stored, of the machine or shared.

        Raises:
            SecretValueError: the file is secret, or the generator makes no such file.
        """
        declared = self._declaration(machine, generator, file)
        if declared is not None and declared.secret:
            raise _is_secret(machine, generator, file)
        return public_value(self.roles.fleet, machine, generator, file)

    def path(self, machine: str, generator: str, file: str) -> str:
        """Where a generator's file is on a machine."""
        return path_on_host(generator, file, self._declaration(machine, generator, file) or VarFile())

    def _declaration(self, machine: str, generator: str, file: str) -> VarFile | None:
        """How a file is declared; None where that is not known: while the generators themselves are being declared."""
        with self._lock:
            known = self._declared[machine] if machine in self._declared else self._declare(machine)
        if known is None or generator not in known:
            return None
        files = known[generator].outputs()
        if file not in files:
            message = f"the generator '{generator}' on '{machine}' makes no file '{file}'"
            raise SecretValueError(message, hint=f"it makes {', '.join(files)}")
        return files[file]

    def _declare(self, machine: str) -> Declared:
        """The generators of a machine. Asked for in the middle of what others export they may be less than all: then they are not kept."""
        errors: list[ClanpyError] = []
        self._declared[machine] = None
        found = self._declared[machine] = declared_on(self.roles, machine, errors)
        if errors and self._open:
            del self._declared[machine]
        return found


def _each_once(values: list[Export]) -> tuple[Export, ...]:
    return tuple({repr(value): value for value in values}.values()) if len(values) > 1 else tuple(values)


def _about(record: Record) -> tuple[Scope, str, str, str]:
    """What a value with a wide scope is about."""
    scope = record.value.scope
    instance = "" if scope == "service" else record.instance
    return scope, record.service, instance, record.role if scope == "role" else ""


def _cycle(nodes: list[Node]) -> ExportCycleError:
    circle = " → ".join(f"{instance}/{role}/{machine}" for instance, role, machine in nodes)
    return ExportCycleError(
        f"what is exported depends on itself: {circle}",
        hint="ask for what another role or instance exports: `exported(kind, role=…)`",
    )


def _is_secret(machine: str, generator: str, file: str) -> SecretValueError:
    return SecretValueError(
        f"the value of '{generator}/{file}' on '{machine}' is secret, and a service asks for it",
        hint="hand the machine its path (`member.path(…)`); only public values can stand in a configuration",
    )
