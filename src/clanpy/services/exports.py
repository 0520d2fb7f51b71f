"""What a role tells others: typed values that every service can read, and that say how machines are reached.

A role yields them for each of its members (`Role.exports`); readers ask a `Member` or a `Share` with `exported(kind)`. A service
may declare kinds of its own: frozen dataclasses that inherit from `Export`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar


if TYPE_CHECKING:
    from clanpy.services.declaration import Member

Scope = Literal["service", "instance", "role", "machine"]
Technology = Literal["direct", "socks"]
SCOPES: tuple[Scope, ...] = ("service", "instance", "role", "machine")


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """Base of everything that is exported.

    `scope` says whom it is about: the machine that exports it, all members of the role in this instance, all of the instance, or all
    members of all instances of the service. Readers find it at every machine that it is about.
    """

    scope: Scope = "machine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Network(Export):
    """The instance is a network over which its members are reached, at the `Address`es that they export in it.

    Attributes:
        priority: networks with a higher one are tried first; clan's default is 1000.
        technology: how an address of it is dialled: straight, or through a SOCKS proxy on the controller.
        proxy: `host:port` of that proxy.
    """

    scope: Scope = "instance"
    priority: int = 1000
    technology: Technology = "direct"
    proxy: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Address(Export):
    """Where a machine is reached in a network: a name or an address without brackets.

    `user`, `port` and `jump` (targets to go through, the nearest first) are those of ssh; None: as everywhere else.
    """

    host: str
    port: int | None = None
    user: str | None = None
    jump: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey(Export):
    """A public key; `purpose` says what for (`wireguard`, `ssh-host-ca`, …)."""

    purpose: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint(Export):
    """Something that listens: `name` is what it is (`prometheus`, `wireguard`, `borg`), `url` where people would look."""

    name: str
    host: str
    port: int
    url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact(Export):
    """Any other plain value, under a name."""

    name: str
    value: Any


T = TypeVar("T", bound=Export)


class View(Protocol):
    """What services may look at beside themselves; whoever resolves the fleet provides it. Nothing is worked out before it is asked for."""

    def exported(
        self, kind: type[T], *, service: str | None, instance: str | None, role: str | None
    ) -> Mapping[str, tuple[T, ...]]:
        """What is exported, by machine."""
        ...

    def members(self, instance: str, role: str) -> Mapping[str, Member]:
        """The members of a role, by machine."""
        ...

    def instances(self, service: str) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
        """The machines in each role of each instance of a service (by its id)."""
        ...

    def public(self, machine: str, generator: str, file: str) -> str | None:
        """The public value of a generator on a machine."""
        ...

    def path(self, machine: str, generator: str, file: str) -> str:
        """Where a generator's file is on a machine."""
        ...


class Blind:
    """A view of nothing: for members that stand for themselves, as in tests."""

    def exported(
        self, kind: type[T], *, service: str | None, instance: str | None, role: str | None
    ) -> Mapping[str, tuple[T, ...]]:
        return {}

    def members(self, instance: str, role: str) -> Mapping[str, Member]:
        return {}

    def instances(self, service: str) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
        return {}

    def public(self, machine: str, generator: str, file: str) -> str | None:
        return None

    def path(self, machine: str, generator: str, file: str) -> str:
        return f"/run/secrets/vars/{generator}/{file}"


BLIND = Blind()
