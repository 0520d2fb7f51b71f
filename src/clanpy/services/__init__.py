"""Services: what can be declared, and finding what is declared.

For the author of a service: `Service`, `Role`, the contributions `Template`, `Static` and `Computed`; from
`clanpy.services.settings` the base `Settings` with `Field`; from `clanpy.services.exports` what can be told to others, and from
`clanpy.services.generator` how values are generated.
"""

from __future__ import annotations

from clanpy.services.declaration import (
    Account,
    Computed,
    MachineFacts,
    Member,
    Person,
    Role,
    Service,
    Share,
    Static,
    Template,
)
from clanpy.services.registry import built_in_names, find_service, own_names


__all__ = [
    "Account",
    "Computed",
    "MachineFacts",
    "Member",
    "Person",
    "Role",
    "Service",
    "Share",
    "Static",
    "Template",
    "built_in_names",
    "find_service",
    "own_names",
]
