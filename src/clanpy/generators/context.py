"""What vars need to know of a fleet: its machines, and which generators each of them declares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from clanpy.errors import NothingMatchedError, nearest
from clanpy.modules.deferred import NixClass
from clanpy.services.generator import Generator


if TYPE_CHECKING:
    from clanpy.inventory.model import Fleet
    from clanpy.inventory.vars import LegacyFile


@dataclass(frozen=True, slots=True, kw_only=True)
class VarsMachine:
    """A machine and its generators by name; and older files of sops that it reads."""

    name: str
    class_: NixClass = "nixos"
    generators: Mapping[str, Generator] = field(default_factory=dict)
    legacy: tuple[LegacyFile, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VarsContext:
    """The part of a fleet that vars are about.

    Attributes:
        root: the fleet's folder.
        machines: all of them, by name.
        users: the people that the fleet knows, sorted; those who read secrets have keys in `sops/users`.
        default_groups: groups of `sops/groups` that may read every secret.
        broken: machines whose generators can't be told: nothing of theirs is taken away, or made.
    """

    root: Path
    machines: Mapping[str, VarsMachine]
    users: tuple[str, ...] = ()
    default_groups: tuple[str, ...] = ()
    broken: frozenset[str] = frozenset()

    def select(self, names: Iterable[str]) -> tuple[str, ...]:
        """Machine names, checked and sorted; all of them when none is given.

        Raises:
            NothingMatchedError: one is not a machine of the fleet.
        """
        wanted = sorted(set(names))
        for name in wanted:
            if name not in self.machines:
                raise NothingMatchedError(f"there is no machine {name!r}", hint=nearest(name, self.machines))
        return tuple(wanted or sorted(self.machines))


def from_fleet(
    fleet: Fleet,
    generators: Mapping[str, Iterable[Generator]],
    *,
    default_groups: Iterable[str] = (),
    legacy: Mapping[str, tuple[LegacyFile, ...]] | None = None,
    broken: Iterable[str] = (),
) -> VarsContext:
    """The context of a fleet, with the generators of each machine (by its name)."""
    return VarsContext(
        root=fleet.root,
        machines={
            name: VarsMachine(
                name=name,
                class_=machine.class_,
                generators={g.name: g for g in generators.get(name, ())},
                legacy=(legacy or {}).get(name, ()),
            )
            for name, machine in fleet.machines.items()
        },
        users=tuple(sorted(fleet.users)),
        default_groups=tuple(default_groups),
        broken=frozenset(broken),
    )
