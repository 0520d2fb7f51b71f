"""Declaring a service: its roles, their settings, and what each contributes to a member, by class.

A service is a folder with a `service.py` that assigns a `Service` to `SERVICE`, and the files that it names:

    class Morning(Settings):
        greeting: str = Field("Good morning", description="What is said")

    SERVICE = Service(
        name="hello-world",
        description="Greets",
        roles={"morning": Role(description="…", settings=Morning, nixos=(Template("hello.nix.j2"),))},
    )

Built-in services and those of a fleet (`services/<name>/`) have the same shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from clanpy.modules.deferred import NixClass, NixData, NixFile, NixTemplate
from clanpy.services.exports import BLIND, Export, T, View
from clanpy.services.generator import Generator


if TYPE_CHECKING:
    from pydantic import BaseModel

Content = NixFile | NixData | NixTemplate


class PersonThere(Protocol):
    """What differs for a user of the fleet on one machine."""

    @property
    def account(self) -> str | None: ...
    @property
    def admin(self) -> bool | None: ...
    @property
    def groups(self) -> tuple[str, ...]: ...
    @property
    def shell(self) -> str | None: ...
    @property
    def uid(self) -> int | None: ...
    @property
    def imports(self) -> tuple[str, ...]: ...


class Person(Protocol):
    """What a service may know of a user of the fleet."""

    @property
    def name(self) -> str: ...
    @property
    def full_name(self) -> str | None: ...
    @property
    def ssh_keys(self) -> tuple[str, ...]: ...
    @property
    def imports(self) -> tuple[str, ...]: ...
    @property
    def groups(self) -> tuple[str, ...]: ...
    @property
    def shell(self) -> str | None: ...
    @property
    def uid(self) -> Mapping[str, int]: ...
    @property
    def machines(self) -> Mapping[str, PersonThere]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineFacts:
    """What a service may know of a machine."""

    name: str
    class_: NixClass
    system: str
    type: str | None = None
    primary_user: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "class": self.class_,
            "system": self.system,
            "type": self.type,
            "primary_user": self.primary_user,
        }


class _Looking:
    """What a member and a share have in common: what they may ask of the rest of the fleet."""

    __slots__ = ()
    machine: MachineFacts
    view: View

    def exported(
        self, kind: type[T], *, service: str | None = None, instance: str | None = None, role: str | None = None
    ) -> Mapping[str, tuple[T, ...]]:
        """What is exported of a kind (`clanpy.services.exports`), by the machine that it is about, sorted.

        `service`, `instance` and `role` (of whoever exports) narrow it down. Nothing is worked out before it is looked into.

        Raises (when looked into):
            ExportCycleError: what is exported depends on itself.
        """
        return self.view.exported(kind, service=service, instance=instance, role=role)

    def path(self, generator: str, file: str) -> str:
        """Where a file of a generator of this machine is, on this machine."""
        return self.view.path(self.machine.name, generator, file)

    def public(self, generator: str, file: str, *, machine: str | None = None) -> str | None:
        """A public value as it is stored with the fleet, of this machine or of another; None while it is not generated.

        Raises:
            SecretValueError: the file is secret.
        """
        return self.view.public(machine or self.machine.name, generator, file)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member(_Looking):
    """One machine in one role of one instance, as a contribution sees it.

    Attributes:
        settings: the final settings, an instance of the role's model.
        people: the users of the fleet, by every name that they go by.
        members: gives the machines of every role of this instance, by role, sorted. A function: most never ask.
        view: the rest of the fleet; ask with the methods.
    """

    instance: str
    role: str
    machine: MachineFacts
    domain: str
    settings: Any
    people: Mapping[str, Person]
    members: Callable[[], Mapping[str, tuple[str, ...]]]
    view: View = field(default=BLIND, repr=False, compare=False)

    def peers(self, role: str | None = None) -> Mapping[str, Member]:
        """The members of a role of this instance (of the own one without `role`), by machine, with their final settings.

        Members whose settings are wrong are left out: they are errors of their own.
        """
        return self.view.members(self.instance, role or self.role)

    def to_dict(self) -> dict[str, Any]:
        """The member as JSON data: what a template or a static Nix file is given."""
        return {
            "instance": self.instance,
            "role": self.role,
            "machine": self.machine.to_dict(),
            "domain": self.domain,
            "settings": self.settings.model_dump(mode="json"),
        }


@lru_cache(maxsize=1024)
def _inside(folder: Path, file: str) -> Path:
    """A file in a service's folder. Every member has it, so the same path is given again."""
    return folder / file


@dataclass(frozen=True, slots=True)
class Template:
    """A Jinja2 template in the service's folder, rendered to a `.nix` file with the member as context.

    `more` adds to the context (`people`, other members): only what is asked for can change a machine.
    """

    file: str
    more: Callable[[Member], Mapping[str, Any]] | None = None

    def content(self, folder: Path, member: Member) -> Content:
        return NixTemplate(_inside(folder, self.file), {**member.to_dict(), **(self.more(member) if self.more else {})})


@dataclass(frozen=True, slots=True)
class Static:
    """A `.nix` file in the service's folder: a function of the member (an attribute set) that gives a module."""

    file: str
    more: Callable[[Member], Mapping[str, Any]] | None = None

    def content(self, folder: Path, member: Member) -> Content:
        arguments = {**member.to_dict(), **(self.more(member) if self.more else {})}
        return NixFile(_inside(folder, self.file), settings=arguments)


@dataclass(frozen=True, slots=True)
class Computed:
    """Plain data made in Python; priority and order are written as in TOML (`{"_default": v}`)."""

    make: Callable[[Member], Mapping[str, Any]]

    def content(self, folder: Path, member: Member) -> Content:
        return NixData(self.make(member))


Contribution = Template | Static | Computed


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account that a service gives a person on a machine. `imports` are further aspects of class home."""

    user: str
    account: str
    home: str
    admin: bool = False
    ssh_keys: tuple[str, ...] = ()
    home_manager: str | None = None
    managed: bool = True
    imports: tuple[str, ...] = ()
    uid: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Share(_Looking):
    """What one machine has of a service: its part in every instance and role, in order.

    `instance` is set where it is the part in one instance only (`per_instance`).
    """

    machine: MachineFacts
    domain: str
    members: tuple[Member, ...]
    instance: str | None = None
    service: str = ""
    view: View = field(default=BLIND, repr=False, compare=False)

    def instances(self) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
        """Every instance of the service, also those that this machine has no part in: the machines of each role, sorted."""
        return self.view.instances(self.service)


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """One role of a service.

    Attributes:
        settings: a model made with `clanpy.services.settings.Settings`.
        nixos, darwin, home: what each member contributes to systems (or to the homes on them) of that class.
        accounts: the accounts that a member has because of this role.
        generators: the values that a member needs generated. The same declaration by two roles counts once.
        exports: what a member tells others, values of `clanpy.services.exports`.
        min_members, max_members: how many machines may be in the role of one instance.
        classes: the only classes that members may be of; None for any.
        notes: for a class without a half of its own: why, in a few words.
        lacks: what a member has to do without for now (values that are not generated yet), for people.
    """

    description: str
    settings: type[BaseModel]
    nixos: tuple[Contribution, ...] = ()
    darwin: tuple[Contribution, ...] = ()
    home: tuple[Contribution, ...] = ()
    accounts: Callable[[Member], Iterable[Account]] | None = None
    generators: Callable[[Member], Iterable[Generator]] | None = None
    exports: Callable[[Member], Iterable[Export]] | None = None
    min_members: int = 0
    max_members: int | None = None
    classes: tuple[NixClass, ...] | None = None
    notes: Mapping[NixClass, str] = field(default_factory=dict)
    lacks: Callable[[Member], Iterable[str]] | None = None

    def half(self, class_: NixClass) -> tuple[Contribution, ...]:
        """What it contributes to a class."""
        halves: Mapping[NixClass, tuple[Contribution, ...]] = {
            "nixos": self.nixos,
            "darwin": self.darwin,
            "home": self.home,
        }
        return halves[class_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service.

    Attributes:
        per_instance: contributes once to a machine for each instance that it is in, whatever roles it has there; None for nothing.
        per_machine: contributes once to a machine, whatever number of instances it is in; None for nothing.
        generators: the values that a machine needs generated once, whatever number of instances it is in.
        max_instances: how many instances of it a fleet may have.
        readme: how it is used, in Markdown: what `clanpy services show` prints beside the roles and settings.
    """

    name: str
    description: str
    roles: Mapping[str, Role]
    per_instance: Callable[[Share], Mapping[str, Any] | None] | None = None
    per_machine: Callable[[Share], Mapping[str, Any] | None] | None = None
    generators: Callable[[Share], Iterable[Generator]] | None = None
    max_instances: int | None = None
    readme: str = ""
