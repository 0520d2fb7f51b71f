"""A way in when a machine does not come up: the emergency console of the first stage of its boot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from clanpy.services.declaration import Computed, Member, Role, Service
from clanpy.services.generator import PUBLIC, Generator, Password
from clanpy.services.needs import not_generated, public_line
from clanpy.services.settings import Field, Settings


GENERATOR, HASH_FILE = "emergency-access", "password-hash"


class Default(Settings):
    """How the emergency console is opened."""

    password_hash: str | None = Field(
        None,
        pattern=r"^\$[^:\s]+$",
        description="A password's hash as `mkpasswd` writes it; that of the generated password when not set. "
        "Without either the console stays closed",
    )


def _generators(member: Member) -> Iterator[Generator]:
    """The password is for people; its hash has to be in the image that boots, and so is public."""
    if member.settings.password_hash is None and member.machine.class_ == "nixos":
        yield Generator(name=GENERATOR, kind=Password(hash_file=HASH_FILE), files={HASH_FILE: PUBLIC})


def _nixos(member: Member) -> Mapping[str, Any]:
    settings: Default = member.settings
    found = settings.password_hash or public_line(member, GENERATOR, HASH_FILE)
    access = found if found is not None else {"_default": False}
    return {"boot": {"initrd": {"systemd": {"enable": {"_default": True}, "emergencyAccess": access}}}}


def _lacks(member: Member) -> Iterator[str]:
    needed = member.settings.password_hash is None and member.machine.class_ == "nixos"
    return not_generated(member, [(member.machine.name, GENERATOR, HASH_FILE)] if needed else [])


SERVICE = Service(
    name="emergency-access",
    description="A password for the emergency console of the first stage of the boot",
    roles={
        "default": Role(
            description="Machines with an emergency console",
            settings=Default,
            nixos=(Computed(_nixos),),
            notes={"darwin": "macOS has a recovery system of its own"},
            generators=_generators,
            lacks=_lacks,
        )
    },
)
