"""The system calls that Python 3.11 has no names for: namespaces, mounts, capabilities, addresses. Linux only."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntFlag
from fcntl import ioctl
from pathlib import Path
from typing import Any


class Namespace(IntFlag):
    """The kinds of namespaces, as unshare(2) and setns(2) know them."""

    MOUNT = 0x00020000
    CGROUP = 0x02000000
    UTS = 0x04000000
    IPC = 0x08000000
    PID = 0x20000000
    NET = 0x40000000


class Mount(IntFlag):
    """Flags of mount(2)."""

    NONE = 0
    READ_ONLY = 0x1
    NO_SUID = 0x2
    NO_DEV = 0x4
    NO_EXEC = 0x8
    REMOUNT = 0x20
    BIND = 0x1000
    RECURSIVE = 0x4000
    PRIVATE = 0x40000
    SLAVE = 0x80000


_DETACH = 2
_SET_PARENT_DEATH_SIGNAL = 1
_DROP_FROM_BOUNDING_SET = 24

# What a host of the lab must not be able to do to the kernel that it shares with this computer.
_FORBIDDEN = {"sys_module": 16, "sys_rawio": 17, "sys_time": 25, "mknod": 27, "syslog": 34, "wake_alarm": 35}

_SET_FLAGS, _SET_ADDRESS, _SET_NETMASK, _IS_UP = 0x8914, 0x8916, 0x891C, 0x1


def _call(name: str, *arguments: Any) -> None:
    """Call a function of the C library. Raises OSError with the first text argument as its file name."""
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        texts = [os.fsdecode(a) for a in arguments if isinstance(a, bytes)]
        raise OSError(number, f"{name}: {os.strerror(number)}", *texts[-1:])


def unshare(kinds: Namespace) -> None:
    """Give this process new namespaces of these kinds (PID: its future children)."""
    _call("unshare", int(kinds))


def setns(fd: int, kind: Namespace) -> None:
    """Move this thread (PID: its future children) into the namespace that the open file stands for."""
    _call("setns", fd, int(kind))


def mount(source: str | Path, target: str | Path, kind: str = "", flags: Mount = Mount.NONE, options: str = "") -> None:
    _call(
        "mount",
        os.fsencode(source),
        os.fsencode(target),
        os.fsencode(kind) or None,
        ctypes.c_ulong(int(flags)),
        os.fsencode(options) or None,
    )


def unmount(target: str | Path) -> None:
    """Take a mount away, now for new users and for good once the last user has gone."""
    _call("umount2", os.fsencode(target), _DETACH)


def pivot_root(new: str | Path, old: str | Path) -> None:
    _call("pivot_root", os.fsencode(new), os.fsencode(old))


def set_hostname(name: str) -> None:
    text = os.fsencode(name)
    _call("sethostname", text, ctypes.c_size_t(len(text)))


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent dies, however that comes."""
    _call("prctl", _SET_PARENT_DEATH_SIGNAL, ctypes.c_ulong(signal.SIGKILL))


def forbid_kernel_changes() -> None:
    """Take from this process, and all that come of it, the rights by which root changes the kernel itself."""
    for number in _FORBIDDEN.values():
        _call("prctl", _DROP_FROM_BOUNDING_SET, ctypes.c_ulong(number), 0, 0, 0)


@contextmanager
def in_network(fd: int) -> Iterator[None]:
    """This thread is in another network namespace meanwhile. Sockets made inside stay there for good."""
    with Path("/proc/thread-self/ns/net").open("rb") as before:
        setns(fd, Namespace.NET)
        try:
            yield
        finally:
            setns(before.fileno(), Namespace.NET)


def bring_up(interface: str, address: str | None = None, prefix: int = 16) -> None:
    """Give an interface of this network namespace an IPv4 address, if told, and switch it on."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        if address is not None:
            ioctl(sock, _SET_ADDRESS, _interface_address(interface, address))
            mask = socket.inet_ntoa(struct.pack(">I", (0xFFFFFFFF << (32 - prefix)) & 0xFFFFFFFF))
            ioctl(sock, _SET_NETMASK, _interface_address(interface, mask))
        ioctl(sock, _SET_FLAGS, struct.pack("16sh22x", interface.encode(), _IS_UP))


def _interface_address(interface: str, address: str) -> bytes:
    return struct.pack("16sHH4s16x", interface.encode(), socket.AF_INET, 0, socket.inet_aton(address))
