"""The event log: what every run did, on disk, and what can be read back from it."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_state_path


def state_home() -> Path:
    """Where clanpy keeps its state: CLANPY_STATE, or `clanpy` in the user's state folder."""
    given = os.environ.get("CLANPY_STATE")
    return Path(given) if given else user_state_path("clanpy")
