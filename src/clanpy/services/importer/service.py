"""The importer: a role that has nothing of its own, for the aspects that an inventory gives it as extra modules."""

from __future__ import annotations

from clanpy.services.declaration import Role, Service
from clanpy.services.settings import Nothing


_NOTHING = "it carries extra modules, and nothing else"

SERVICE = Service(
    name="importer",
    description="Gives its members the aspects that its role names as `extra_modules`",
    roles={
        "default": Role(
            description="Machines that get the extra modules",
            settings=Nothing,
            notes={"nixos": _NOTHING, "darwin": _NOTHING},
        )
    },
)
