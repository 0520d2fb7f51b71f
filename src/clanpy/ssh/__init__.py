"""The way to a host: one authenticated connection for everything that is done there.

    target = parse_target("root@cinnabar.example.org")
    async with connect(target) as connection:
        done = await connection.run(["nixos-version"])
        async with connection.bridge("nix-daemon --stdio", elevate=True) as socket:
            ...  # nix copy --to unix://SOCKET

A run that speaks to many hosts makes a `Dialer` and uses its `connect`: dials are limited and jump hosts shared.
Importing this package is cheap; asyncssh is loaded with the first use of a name that needs it.
"""

from __future__ import annotations

import importlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from clanpy.ssh.elevation import Elevation
from clanpy.ssh.target import HostKeyCheck, Target, parse_target


if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from clanpy.ssh.bridge import BULK_BYTES, Bridge
    from clanpy.ssh.connection import AskPassword, Completed, Connection
    from clanpy.ssh.dial import Dialer
    from clanpy.ssh.errors import (
        AuthenticationError,
        ChannelRefusedError,
        ConnectionLostError,
        ElevationError,
        HostKeyError,
        RemoteCommandError,
        RemoteTimeoutError,
        SshError,
        SshSetupError,
        TargetError,
        UnreachableError,
    )
    from clanpy.ssh.options import Timeouts

__all__ = [
    "BULK_BYTES",
    "AskPassword",
    "AuthenticationError",
    "Bridge",
    "ChannelRefusedError",
    "Completed",
    "Connection",
    "ConnectionLostError",
    "Dialer",
    "Elevation",
    "ElevationError",
    "HostKeyCheck",
    "HostKeyError",
    "RemoteCommandError",
    "RemoteTimeoutError",
    "SshError",
    "SshSetupError",
    "Target",
    "TargetError",
    "Timeouts",
    "UnreachableError",
    "connect",
    "parse_target",
]

_HOMES = {
    "AskPassword": "connection",
    "BULK_BYTES": "bridge",
    "Bridge": "bridge",
    "Completed": "connection",
    "Connection": "connection",
    "Dialer": "dial",
    "Timeouts": "options",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES.get(name, 'errors')}"), name)


@asynccontextmanager
async def connect(target: Target | Sequence[Target], *, timeouts: Timeouts | None = None) -> AsyncIterator[Connection]:
    """One connection by itself: `Dialer.connect` with a dialer of its own."""
    from clanpy.ssh.dial import Dialer  # noqa: PLC0415  (see the module's docstring)

    async with Dialer(timeouts=timeouts) as dialer, dialer.connect(target) as connection:
        yield connection
