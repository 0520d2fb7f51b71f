"""Processes that can't be mistaken: a number alone may have been given to somebody else since."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self


PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Process:
    """A process of this computer, for good: its number, when it started (clock ticks since boot), and in which boot."""

    pid: int
    started: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """The process that has this number now, or None."""
        started = start_time(pid)
        return None if started is None else cls(pid=pid, started=started, boot=kernel_boot())

    @classmethod
    def from_dict(cls, raw: Any) -> Self | None:
        return None if raw is None else cls(pid=raw["pid"], started=raw["started"], boot=raw["boot"])

    def to_dict(self) -> dict[str, Any]:
        return {"pid": self.pid, "started": self.started, "boot": self.boot}

    def lives(self) -> bool:
        return self.boot == kernel_boot() and start_time(self.pid) == self.started

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to this process and to no other; nothing if it has gone."""
        handle = self._open()
        if handle is None:
            return
        try:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, number)
        finally:
            os.close(handle)

    def wait(self, seconds: float) -> bool:
        """Wait until the process has ended, for so long at most. Gives whether it has."""
        handle = self._open()
        if handle is None:
            return True
        try:
            poll = select.poll()
            poll.register(handle, select.POLLIN)
            return bool(poll.poll(seconds * 1000))
        finally:
            os.close(handle)

    def _open(self) -> int | None:
        """A handle that stays with this process. Opened first and checked then: so it is the right one."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return None
        if self.lives():
            return handle
        os.close(handle)
        return None


def kernel_boot() -> str:
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def start_time(pid: int) -> int | None:
    """When a living process started, in clock ticks since boot; None if there is none, or only its remains."""
    fields = _stat(pid)
    return None if fields is None or fields[0] in "ZX" else int(fields[19])


def parent(pid: int) -> int | None:
    fields = _stat(pid)
    return None if fields is None else int(fields[1])


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the state on: the name before may hold anything."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def command_line(pid: int) -> tuple[str, ...]:
    try:
        raw = (PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return ()
    return tuple(os.fsdecode(word) for word in raw.rstrip(b"\0").split(b"\0"))


def namespace(pid: int | str, kind: str) -> str | None:
    """The identity of a process's namespace of a kind (`net`, `pid`, `mnt`, …)."""
    try:
        return str((PROC / str(pid) / "ns" / kind).readlink())
    except OSError:
        return None


def all_pids() -> Iterator[int]:
    for entry in os.scandir(PROC):
        if entry.name.isdecimal():
            yield int(entry.name)


def inside(init: int) -> tuple[int, ...]:
    """Every process of the host whose PID 1 this is."""
    wanted = namespace(init, "pid")
    if wanted is None:
        return ()
    return tuple(pid for pid in all_pids() if namespace(pid, "pid") == wanted)


def kill_all(processes: Iterable[Process], *, seconds: float) -> tuple[Process, ...]:
    """Kill processes and wait until they have ended. Gives those that have not."""
    listed = tuple(processes)
    for process in listed:
        process.kill()
    return tuple(process for process in listed if not process.wait(seconds))
