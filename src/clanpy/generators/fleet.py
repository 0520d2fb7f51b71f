"""A fleet's vars: the generators of all its machines, whoever declares them, and how their values are kept."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from clanpy.errors import ClanpyError, raise_all
from clanpy.generators.context import VarsContext, from_fleet
from clanpy.generators.session import Backend
from clanpy.inventory.hosts import host_generators
from clanpy.inventory.vars import legacy_files, vars_settings


if TYPE_CHECKING:
    from clanpy.inventory.model import Fleet
    from clanpy.services.generator import Generator


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetVars:
    """What is needed to open a fleet's vars."""

    context: VarsContext
    backend: Backend


def read_fleet(fleet: Fleet, names: Collection[str] | None = None) -> FleetVars:
    """The generators of a fleet's machines and the settings of its vars.

    What is wrong with other machines than those named stops nobody: they count as broken. Without names all of them have to be right.

    Raises:
        ClanpyError: a declaration makes no sense; a CombinedError with all that is wrong.
    """
    found: dict[str, tuple[Generator, ...]] = {}
    broken: dict[str, ClanpyError] = {}
    for name in fleet.machines:
        try:
            found[name] = host_generators(fleet, name)
        except ClanpyError as error:
            broken[name] = error
    wrong = {str(error): error for name, error in broken.items() if names is None or name in names}
    raise_all(list(wrong.values()))
    settings = vars_settings(fleet)
    context = from_fleet(
        fleet,
        found,
        default_groups=settings.default_groups,
        legacy={name: legacy_files(fleet, machine) for name, machine in fleet.machines.items()},
        broken=broken,
    )
    return FleetVars(context=context, backend=cast("Backend", settings.backend))
