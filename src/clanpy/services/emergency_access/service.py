"""A way in when a machine does not come up: the emergency console of the first stage of its boot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clanpy.services.declaration import Computed, Member, Role, Service
from clanpy.services.settings import Field, Settings


class Default(Settings):
    """How the emergency console is opened."""

    password_hash: str | None = Field(
        None,
        pattern=r"^\$[^:\s]+$",
        description="A password's hash as `mkpasswd` writes it; without one the console stays closed",
    )


def _nixos(member: Member) -> Mapping[str, Any]:
    settings: Default = member.settings
    access = settings.password_hash if settings.password_hash is not None else {"_default": False}
    return {"boot": {"initrd": {"systemd": {"enable": {"_default": True}, "emergencyAccess": access}}}}


SERVICE = Service(
    name="emergency-access",
    description="A password for the emergency console of the first stage of the boot",
    roles={
        "default": Role(
            description="Machines with an emergency console",
            settings=Default,
            nixos=(Computed(_nixos),),
            notes={"darwin": "macOS has a recovery system of its own"},
        )
    },
)
