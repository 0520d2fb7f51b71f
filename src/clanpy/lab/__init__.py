"""Disposable real hosts on this computer: each with its own network, root, store, sshd and Nix.

The door of the room: `up`, `down`, `status`, `fault`, `run_in`, and `Lab` for a lab that is there. See docs/lab.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from clanpy.lab.handle import Lab as Lab
    from clanpy.lab.handle import down as down
    from clanpy.lab.handle import fault as fault
    from clanpy.lab.handle import run_in as run_in
    from clanpy.lab.handle import status as status
    from clanpy.lab.handle import up as up
    from clanpy.lab.model import HostSpec as HostSpec
    from clanpy.lab.model import HostState as HostState
    from clanpy.lab.model import HostStatus as HostStatus
    from clanpy.lab.model import LabEnvironment as LabEnvironment
    from clanpy.lab.model import LabHost as LabHost
    from clanpy.lab.model import LabSpec as LabSpec
    from clanpy.lab.model import LabStatus as LabStatus

# Where each name is: the keeper of a lab is an interpreter of its own, and should not load what it does not use.
_HOMES = {
    **dict.fromkeys(("Lab", "down", "fault", "run_in", "status", "up"), "clanpy.lab.handle"),
    **dict.fromkeys(
        ("HostSpec", "HostState", "HostStatus", "LabEnvironment", "LabHost", "LabSpec", "LabStatus"), "clanpy.lab.model"
    ),
}


def __getattr__(name: str) -> Any:
    from importlib import import_module  # noqa: PLC0415 - see above

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
