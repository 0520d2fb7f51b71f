"""The one setting of this computer that a lab may have to change: how many watchers of files root may have.

Each systemd has about eight; Linux allows 128 for all of them together. It is put back when no lab needs it any more.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clanpy.lab.state import LOCKS


_LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")
_BEFORE = LOCKS.parent / "inotify-instances"
_USERS = LOCKS.parent / "inotify-users"
_FOR_EACH_HOST = 16
_FOR_OTHERS = 128


def allow_watchers(lab: str, hosts: int) -> None:
    """Allow as many watchers as the systemds of so many hosts need."""
    with _alone():
        (_USERS / lab).touch()
        now, wanted = int(_LIMIT.read_text()), _FOR_OTHERS + _FOR_EACH_HOST * hosts
        if now < wanted:
            if not _BEFORE.exists():
                _BEFORE.write_text(str(now))
            _LIMIT.write_text(str(wanted))


def release_watchers(lab: str) -> None:
    """Put the limit back if this was the last lab that needed another."""
    with _alone():
        (_USERS / lab).unlink(missing_ok=True)
        if _BEFORE.exists() and not any(_USERS.iterdir()):
            _LIMIT.write_text(_BEFORE.read_text())
            _BEFORE.unlink()


@contextmanager
def _alone() -> Iterator[None]:
    """Labs come and go at the same time: one of them looks at the limit at a time."""
    _USERS.mkdir(parents=True, exist_ok=True)
    handle = os.open(_USERS, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
