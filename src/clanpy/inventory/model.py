"""The fleet as values: what loading and resolving produce. Frozen, typed, printable as JSON (`to_dict` of `clanpy.inventory.show`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clanpy.errors import Place
from clanpy.inventory.gates import Declared, Gate
from clanpy.inventory.layers import Layers
from clanpy.inventory.places import Places
from clanpy.modules.deferred import DeferredModule, NixClass


if TYPE_CHECKING:
    from clanpy.services.generator import Generator


COMPUTED_TAGS = ("all", "nixos", "darwin")  # that every machine carries, without anybody saying so


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """What the fleet is called. `domain` is the name under which its machines know each other."""

    name: str
    description: str | None = None
    domain: str = "clan"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deploy:
    """How a machine is reached and built. Hosts are `[ssh://][user@]host[:port]`; None means not set.

    `alternatives` are tried in order when `target_host` does not answer. `elevation` is how the account becomes root: `sudo`, `doas`,
    `run0` or `none`. `via` is the host from which it gets its store paths; `substitute`: whether it fetches by itself what it can.
    """

    target_host: str | None = None
    build_host: str | None = None
    alternatives: tuple[str, ...] = ()
    forward_agent: bool | None = None
    elevation: str | None = None
    via: str | None = None
    substitute: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One machine of the registry. `tags` are final (computed ones included) and sorted.

    `place` is the file of its inventory entry; the line costs a second parse and is found by `Fleet.where`.
    """

    name: str
    class_: NixClass
    system: str
    type: str | None = None
    primary_user: str | None = None
    admin_user: str | None = None
    description: str | None = None
    tags: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    deploy: Deploy = field(default_factory=Deploy)
    installed_at: int | None = None
    place: Place | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UserThere:
    """What differs for a person on one machine. None: as elsewhere; groups and aspects come on top.

    `primary`: the machine is theirs; it is the `primary_user` of a machine whose own entry names nobody.
    """

    account: str | None = None
    admin: bool | None = None
    primary: bool = False
    groups: tuple[str, ...] = ()
    shell: str | None = None
    uid: int | None = None
    imports: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeElsewhere:
    """A person's home on a host that is no machine of the fleet. `imports` come on top; None: as the person's name says.

    `target_host` is where it is reached; None: under its own name.
    """

    system: str
    account: str | None = None
    home: str | None = None
    target_host: str | None = None
    imports: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person: one identity, whatever the account is called on a machine. `imports` are aspects of class home.

    `uid` is by class of machine, `machines` what differs on one of them, `homes` are those on hosts that are no machines.
    """

    name: str
    full_name: str | None = None
    email: str | None = None
    ssh_keys: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    github: str | None = None
    groups: tuple[str, ...] = ()
    shell: str | None = None
    uid: Mapping[str, int] = field(default_factory=dict)
    machines: Mapping[str, UserThere] = field(default_factory=dict)
    homes: Mapping[str, HomeElsewhere] = field(default_factory=dict)
    place: Place | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """What the fleet says about a tag itself. `imports` are aspects for every machine that carries it.

    `machines` are those that it names, `select` is a selection of others.
    """

    name: str
    description: str | None = None
    imports: tuple[str, ...] = ()
    machines: tuple[str, ...] = ()
    select: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """Who is in a role of an instance, and with which settings at each level, as written."""

    machines: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    tags: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    extra_modules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One use of a service. `input` None means built in, "self" the fleet's own `services/`."""

    name: str
    service: str
    input: str | None = None
    roles: Mapping[str, Role] = field(default_factory=dict)
    place: Place | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Aspect:
    """A named piece of configuration of one class, in however many files it is written. `imports` are other aspects of the class."""

    name: str
    class_: NixClass
    modules: tuple[DeferredModule, ...]
    files: tuple[Path, ...]
    imports: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """The whole inventory, checked. Mappings are keyed by name and sorted by it.

    `tags` are the machines of every tag, sorted, however they came to carry it; `tag_records` what is said about a tag itself.
    """

    root: Path
    meta: Meta
    machines: Mapping[str, Machine]
    users: Mapping[str, User] = field(default_factory=dict)
    instances: Mapping[str, Instance] = field(default_factory=dict)
    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    aspects: Mapping[tuple[NixClass, str], Aspect] = field(default_factory=dict)
    tag_records: Mapping[str, Tag] = field(default_factory=dict)
    gates: Mapping[tuple[str, ...], Declared] = field(default_factory=dict)
    places: Places = field(default_factory=lambda: Places(()), repr=False, compare=False)
    memo: dict[str, Any] = field(
        default_factory=dict, repr=False, compare=False
    )  # what is worked out once for all machines

    def where(self, *path: str) -> Place | None:
        """File, line and column of anything in the inventory: `where("machines", "cinnabar", "deploy")`."""
        return self.places.find(path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """A machine's part in one role: its final settings and, for each leaf (dotted path), where that value came from."""

    instance: str
    service: str
    role: str
    settings: Mapping[str, Any]
    origins: Mapping[str, str]
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostUser:
    """A person on one machine: under which account, and where the home is.

    `home_manager` is "module" (part of the system), "standalone" (activated as that user) or None (no home configuration).
    `managed` is False for an account that was there before and is not made by the configuration.
    """

    user: str
    account: str
    home: str
    admin: bool = False
    ssh_keys: tuple[str, ...] = ()
    home_manager: str | None = None
    managed: bool = True
    uid: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostConfig:
    """One machine, complete: everything that is needed to build and reach it.

    `modules` are the deferred modules of the system's class in import order; `homes` those of each account with a home
    configuration (class home), in import order, by account name. `targets` are tried in order. `generators` are the values that it
    needs generated, by name.
    """

    machine: Machine
    domain: str
    targets: tuple[str, ...]
    memberships: tuple[Membership, ...]
    users: tuple[HostUser, ...]
    modules: tuple[DeferredModule, ...]
    homes: Mapping[str, tuple[DeferredModule, ...]]
    packages: Layers = field(default_factory=Layers)
    generators: tuple[Generator, ...] = ()
    gates: tuple[Gate, ...] = ()

    @property
    def name(self) -> str:
        return self.machine.name
