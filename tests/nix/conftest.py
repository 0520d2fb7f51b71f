"""Fixtures of the nix room: a store of its own for the whole run, and throwaway hosts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from nix.host import Host, make_host
from nix.world import World


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A Nix with an empty store, shared by all tests: what one has built, another need not."""
    if shutil.which("nix") is None and "CLANPY_NIX" not in os.environ:
        pytest.skip("there is no Nix here")
    return World(tmp_path_factory.mktemp("nix"))


@pytest.fixture
def new_host(tmp_path: Path, world: World) -> Callable[[str], Host]:
    """Makes a throwaway host of a class."""
    if shutil.which("bwrap") is None or os.geteuid() != 0:
        pytest.skip("throwaway hosts need bubblewrap, and root for their accounts")
    return lambda class_: make_host(tmp_path / f"root-{class_}", world.folder / "store", class_=class_)


@pytest.fixture
def server(new_host: Callable[[str], Host]) -> Host:
    """A NixOS host."""
    return new_host("nixos")


@pytest.fixture
def mac(new_host: Callable[[str], Host]) -> Host:
    """A host that says it is a Mac."""
    return new_host("darwin")
