"""All that the keeper has to know to start a host, as one value that goes over its socket."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from clanpy.lab.base import Base
from clanpy.lab.model import LabHost, host_from_dict, host_to_dict
from clanpy.lab.state import HostPaths


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPlan:
    """A host, the base it is made from, and the key that its accounts accept. `shared` is the folder all hosts see."""

    host: LabHost
    base: Base
    paths: HostPaths
    shared: Path
    client_key: str

    def to_dict(self) -> dict[str, Any]:
        return {
            "host": host_to_dict(self.host),
            "base": self.base.to_dict(),
            "folder": str(self.paths.folder),
            "shared": str(self.shared),
            "client_key": self.client_key,
        }

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Self:
        return cls(
            host=host_from_dict(raw["host"]),
            base=Base.from_dict(raw["base"]),
            paths=HostPaths(Path(raw["folder"])),
            shared=Path(raw["shared"]),
            client_key=raw["client_key"],
        )

    @property
    def stamp(self) -> str:
        """Changes when the host has to be furnished anew."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()
