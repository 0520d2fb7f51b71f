"""The one setting of this computer that a lab may have to change: how many watchers of files root may have.

Each systemd has about eight; Linux allows 128 for all of them together. It is put back when no lab needs it any more.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from clanpy.lab.state import LOCKS


_LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")
_BEFORE = LOCKS.parent / "inotify-instances"
_USERS = LOCKS.parent / "inotify-users"
_FOR_EACH_HOST = 16
_FOR_OTHERS = 128


def allow_watchers(lab: str, hosts: int) -> None:
    """Allow as many watchers as the systemds of so many hosts need."""
    now = int(_LIMIT.read_text())
    wanted = _FOR_OTHERS + _FOR_EACH_HOST * hosts
    _USERS.mkdir(parents=True, exist_ok=True)
    (_USERS / lab).touch()
    if now < wanted:
        if not _BEFORE.exists():
            _BEFORE.write_text(str(now))
        _LIMIT.write_text(str(wanted))


def release_watchers(lab: str) -> None:
    """Put the limit back if this was the last lab that needed another."""
    (_USERS / lab).unlink(missing_ok=True)
    if _BEFORE.exists() and not any(_USERS.iterdir()):
        _LIMIT.write_text(_BEFORE.read_text())
        _BEFORE.unlink()
    with suppress(OSError):  # others are there, or it never was
        _USERS.rmdir()
