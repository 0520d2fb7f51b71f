"""Binary caches that machines fetch from, and the keys that they trust."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clanpy.services.declaration import Computed, Member, Role, Service
from clanpy.services.settings import Field, Settings


class Default(Settings):
    """Caches beside cache.nixos.org."""

    caches: dict[str, str] = Field(
        default_factory=lambda: {
            "https://nix-community.cachix.org": "nix-community.cachix.org-1:mB9FSh9qf2dCimDSUo8Zy7bkq5CX+/rkCWyvRCYg3Fs=",
        },
        description="The key of each cache, by its address",
    )


def _caches(member: Member) -> Mapping[str, Any]:
    settings: Default = member.settings
    found = sorted(settings.caches.items())
    return {
        "nix": {
            "settings": {
                "extra-substituters": [address for address, _ in found],
                "extra-trusted-public-keys": [key for _, key in found],
            }
        }
    }


SERVICE = Service(
    name="trusted-nix-caches",
    description="Binary caches to fetch from, with the keys that sign what they hold",
    roles={
        "default": Role(
            description="Machines that fetch from the caches",
            settings=Default,
            nixos=(Computed(_caches),),
            darwin=(Computed(_caches),),
        )
    },
)
