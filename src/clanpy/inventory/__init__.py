"""The fleet: its schema, loading it, and resolving one machine of it.

`find_root(start, explicit)` finds the folder, `load(root)` gives the checked `Fleet`, `resolve(fleet, name)` one machine complete,
`check(root)` everything that is wrong without raising, `show` the whole as JSON. What needs the services is imported when it is used,
so that listing machines stays cheap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clanpy.inventory.loading import load
from clanpy.inventory.sources import find_root


if TYPE_CHECKING:
    from pathlib import Path

    from clanpy.inventory.findings import Findings
    from clanpy.inventory.model import Fleet, HostConfig
    from clanpy.services.generator import Generator

__all__ = ["check", "find_root", "forget", "generators_of", "load", "resolve", "show_fleet", "show_host"]


def resolve(fleet: Fleet, name: str) -> HostConfig:
    """One machine, complete. Looks at nothing that belongs to other machines only.

    Raises:
        ClanpyError: what is wrong with this machine; a CombinedError when it is more than one thing.
    """
    from clanpy.inventory.hosts import resolve_host  # noqa: PLC0415 - services are read only for this

    return resolve_host(fleet, name)


def generators_of(fleet: Fleet, name: str) -> tuple[Generator, ...]:
    """The generators of one machine, sorted by name: all that services, the machine, its tags and aspects declare.

    Raises:
        ClanpyError: what is wrong with them; a CombinedError when it is more than one thing.
    """
    from clanpy.inventory.hosts import host_generators  # noqa: PLC0415 - services are read only for this

    return host_generators(fleet, name)


def forget(fleet: Fleet) -> None:
    """Let go of what was worked out from public values: call it when values were generated since the fleet was loaded."""
    from clanpy.inventory.hosts import forget as let_go  # noqa: PLC0415 - services are read only for this

    let_go(fleet)


def check(root: Path) -> Findings:
    """Everything that is wrong with a fleet, and everything worth a warning, as far as it can be known without Nix."""
    from clanpy.inventory.findings import check_fleet  # noqa: PLC0415 - services are read only for this

    return check_fleet(root)


def show_fleet(fleet: Fleet) -> dict[str, Any]:
    """The whole inventory as JSON data."""
    from clanpy.inventory.show import fleet_document  # noqa: PLC0415 - only for showing

    return fleet_document(fleet)


def show_host(host: HostConfig, root: Path) -> dict[str, Any]:
    """One machine as JSON data; `root` is the fleet's folder."""
    from clanpy.inventory.show import host_document  # noqa: PLC0415 - only for showing

    return host_document(host, root)
