"""Fleets of hosts of the lab."""

from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.rehearsal import Rehearsal
from support.lab import LentLab


@pytest.fixture
def rehearse(lab: LentLab, tmp_path: Path) -> Callable[..., Rehearsal]:
    """Make a fleet of so many NixOS hosts and so many Macs."""

    def make(nixos: int = 1, darwin: int = 0, disk: str | None = None) -> Rehearsal:
        hosts = [
            *(lab.hosts(nixos, disk=disk) if nixos else ()),
            *(lab.hosts(darwin, class_="darwin", users=("crs58",)) if darwin else ()),
        ]
        return Rehearsal(lab, tmp_path, hosts)

    return make
