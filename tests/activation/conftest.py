"""Hosts that are folders: see folder.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from activation.folder import SHELLS, Machine, make_machine


@pytest.fixture(params=list(SHELLS))
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    """A host under each of the shells."""
    return make_machine(tmp_path, request.param)


@pytest.fixture
def one(tmp_path: Path) -> Machine:
    """A host under dash."""
    return make_machine(tmp_path)
