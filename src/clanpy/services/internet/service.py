"""The internet as a network: where machines are reached that have an address of their own, and through whom."""

from __future__ import annotations

from collections.abc import Iterator

from clanpy.services.declaration import Member, Role, Service
from clanpy.services.exports import Address, Export, Network
from clanpy.services.settings import Field, Settings


PRIORITY = 2000
_NOTHING = "it says how a machine is reached, and changes nothing on it"


class Default(Settings):
    """Where a machine is reached."""

    host: str = Field(min_length=1, description="The machine's name or address, without brackets")
    port: int | None = Field(None, ge=1, le=65535, description="The port of its sshd; the usual one when not set")
    user: str | None = Field(None, description="Who logs in; as everywhere else when not set")
    jumphosts: list[str] = Field(
        default_factory=list,
        description="Hosts to go through, in the order in which they are passed: `[user@]host[:port]`",
    )


def _exports(member: Member) -> Iterator[Export]:
    settings: Default = member.settings
    yield Network(priority=PRIORITY)
    yield Address(
        host=settings.host.strip("[]"), port=settings.port, user=settings.user, jump=tuple(settings.jumphosts)
    )


SERVICE = Service(
    name="internet",
    description="Machines that are reached at an address of their own, straight or through jump hosts",
    roles={
        "default": Role(
            description="Machines with an address",
            settings=Default,
            notes={"nixos": _NOTHING, "darwin": _NOTHING},
            exports=_exports,
        )
    },
)
