"""Namespaces of our own, where bubblewrap is not installed. Run as a program: `jail.py FOLDER INSIDE READABLE COMMAND…`.

It makes a new user, mount, process, network, IPC and host name namespace, builds a root of a tmpfs with read-only mounts in
it, moves into it and runs the command. It imports nothing of clanpy, so that it starts quickly and can be read on its own.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
from pathlib import Path


_NEWNS, _NEWCGROUP, _NEWUTS, _NEWIPC = 0x00020000, 0x02000000, 0x04000000, 0x08000000
_NEWUSER, _NEWPID, _NEWNET = 0x10000000, 0x20000000, 0x40000000
_RDONLY, _NOSUID, _NODEV, _NOEXEC = 1, 2, 4, 8
_REMOUNT, _BIND, _REC, _PRIVATE = 32, 4096, 16384, 1 << 18
_DETACH = 2
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_INSIDE_ID = 1000
_BASE = "/tmp"  # noqa: S108 - a folder that is always there, to mount on in a namespace of our own

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def _mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    _check(_libc.mount(source.encode(), target.encode(), kind.encode(), flags, data.encode()), f"mount {target}")


def _bind(source: Path, root: Path, target: str, *, writable: bool = False) -> None:
    """Mount a file or folder at the same place in the new root, or make the same link."""
    there = root / target.lstrip("/")
    there.parent.mkdir(parents=True, exist_ok=True)
    if source.is_symlink():
        there.symlink_to(source.readlink())
        return
    if source.is_dir():
        there.mkdir(exist_ok=True)
    else:
        there.touch()
    _mount(str(source), str(there), "", _BIND | _REC)
    if not writable:
        kept = _flags_of(there)
        _mount("", str(there), "", _REMOUNT | _BIND | _RDONLY | _NOSUID | kept)


def _flags_of(path: Path) -> int:
    """The flags of a mount that may not be dropped by whoever did not set them."""
    flags = os.statvfs(path).f_flag
    return flags & (_NODEV | _NOEXEC)


def _step_aside() -> Path:
    """Make an empty tmpfs the root and return where the old root is, so that nothing new can hide anything old."""
    _mount("none", "/", "", _REC | _PRIVATE)
    _mount("tmpfs", _BASE, "tmpfs", _NOSUID | _NODEV, "mode=0755")
    os.chdir(_BASE)
    Path("new").mkdir()
    Path("old").mkdir()
    _pivot(b".", b"old")
    os.chdir("/")
    return Path("/old")


def _build(old: Path, root: Path, folder: Path, inside: str, readable: list[str]) -> None:
    _mount(str(root), str(root), "", _BIND)
    for path in readable:
        source = old / path.lstrip("/")
        if os.path.lexists(source):
            _bind(source, root, path)
    for device in ("null", "zero", "full", "random", "urandom"):
        _bind(old / "dev" / device, root, f"/dev/{device}", writable=True)
    for name, link in (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        (root / "dev" / name).symlink_to(link)
    for name in ("proc", "tmp"):
        (root / name).mkdir(exist_ok=True)
    _mount("proc", str(root / "proc"), "proc", _NOSUID | _NODEV | _NOEXEC)
    outside = old / str(folder).lstrip("/")
    if (outside / "etc").is_dir():
        for file in sorted((outside / "etc").iterdir()):
            _bind(file, root, f"/etc/{file.name}")
        _bind(outside, root, inside)
        _bind(outside / "out", root, f"{inside}/out", writable=True)


def _enter(root: Path) -> None:
    os.chdir(root)
    _pivot(b".", b".")
    _check(_libc.umount2(b".", _DETACH), "umount the old root")
    os.chdir("/")
    _mount("", "/", "", _REMOUNT | _BIND | _RDONLY | _NOSUID | _NODEV)
    _mount("tmpfs", "/tmp", "tmpfs", _NOSUID | _NODEV)  # noqa: S108 - the new root's own
    os.chdir("/tmp")  # noqa: S108 - the new root's own


def _pivot(new: bytes, old: bytes) -> None:
    number = _PIVOT_ROOT.get(os.uname().machine)
    if number is None:
        raise OSError(0, f"no way to change the root on {os.uname().machine}")
    _check(_libc.syscall(number, new, old), "pivot_root")


def _isolate() -> None:
    uid, gid = os.getuid(), os.getgid()
    everything = _NEWUSER | _NEWNS | _NEWPID | _NEWNET | _NEWIPC | _NEWUTS | _NEWCGROUP
    _check(_libc.unshare(everything), "unshare")
    socket.sethostname("generator")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{_INSIDE_ID} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{_INSIDE_ID} {gid} 1")


def main(arguments: list[str]) -> int:
    """Run a command in a jail and return how it ended (in the process that watches; the other one becomes the command)."""
    folder, inside, readable, *command = arguments
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    _isolate()
    child = os.fork()  # the first process of the new process namespace: its end ends all others
    if child:
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        return code if code >= 0 else 128 - code
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    root = Path("/new")
    _build(_step_aside(), root, Path(folder), inside, readable.split(":"))
    _enter(root)
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    os.setsid()
    return os.execvp(command[0], command)  # noqa: S606 - that is what this is for


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except OSError as error:
        sys.exit(f"jail: {error.strerror or error}")
