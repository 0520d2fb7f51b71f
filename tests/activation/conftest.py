"""Hosts that are folders: see folder.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from activation.folder import SHELLS, Machine, make_machine


# Of those that real hosts have for /bin/sh, busybox is the rarest.
@pytest.fixture(params=[pytest.param(s, marks=pytest.mark.slow) if s == "busybox" else s for s in SHELLS])
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machine]:
    """A host under each of the shells."""
    made = make_machine(tmp_path, request.param)
    yield made
    made.end()


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Machine]:
    """A host under dash."""
    made = make_machine(tmp_path)
    yield made
    made.end()
