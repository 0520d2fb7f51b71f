"""A fleet's vars: the generators of all its machines, whoever declares them, and how their values are kept."""

from __future__ import annotations

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


def read_fleet(fleet: Fleet) -> FleetVars:
    """The generators of a fleet's machines and the settings of its vars.

    Raises:
        ClanpyError: a declaration makes no sense; a CombinedError with all that is wrong.
    """
    errors: dict[str, ClanpyError] = {}
    found: dict[str, tuple[Generator, ...]] = {}
    for name in fleet.machines:
        try:
            found[name] = host_generators(fleet, name)
        except ClanpyError as error:
            errors.setdefault(str(error), error)
    raise_all(list(errors.values()))
    settings = vars_settings(fleet)
    return FleetVars(
        context=from_fleet(
            fleet,
            found,
            default_groups=settings.default_groups,
            legacy={name: legacy_files(fleet, machine) for name, machine in fleet.machines.items()},
        ),
        backend=cast("Backend", settings.backend),
    )
