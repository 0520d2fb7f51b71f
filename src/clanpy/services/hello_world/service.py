"""The smallest service that does something: two roles, a setting each, one template for all classes."""

from __future__ import annotations

from clanpy.services.declaration import Role, Service, Template
from clanpy.services.settings import Field, Settings


class Morning(Settings):
    """What is said in the morning."""

    greeting: str = Field("Good morning", description="What is said to the world")


class Evening(Settings):
    """What is said in the evening."""

    greeting: str = Field("Good evening", description="What is said to the world")


_HELLO = (Template("hello.nix.j2"),)

SERVICE = Service(
    name="hello-world",
    description="Greets: a service to begin with, and to copy from",
    roles={
        "morning": Role(
            description="Machines that greet in the morning", settings=Morning, nixos=_HELLO, darwin=_HELLO
        ),
        "evening": Role(
            description="Machines that greet in the evening", settings=Evening, nixos=_HELLO, darwin=_HELLO
        ),
    },
)
