"""Where a lab is on disk, what is written there, and the lock that lets one command at a time change it.

    LABS/<lab>/lab.json            the hosts and their addresses
    LABS/<lab>/keeper.json         who runs now (written by the keeper)
    LABS/<lab>/ssh/                the client's key, known_hosts
    LABS/<lab>/shared/             what all hosts see: the names of all, and links
    LABS/<lab>/hosts/<host>/       keys/ (host keys), disk/ (all that the host writes), console.log
    /run/clanpy/labs/<lab>         the lock; holds the folder of the lab that has the name on this computer

LABS is $CLANPY_LAB_DIR, else /var/lib/clanpy/labs.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from clanpy.lab.errors import LabBusyError
from clanpy.lab.model import LabHost, check_lab_name, host_from_dict, host_to_dict
from clanpy.lab.process import Process


LOCKS = Path("/run/clanpy/labs")
DEFAULT_LABS = Path("/var/lib/clanpy/labs")
NETWORK_NAMES = Path("/run/netns")
_LOCK_PATIENCE = 60.0
_PAUSE = 0.02


def labs_folder() -> Path:
    """The folder that all labs are in."""
    return Path(os.environ.get("CLANPY_LAB_DIR") or DEFAULT_LABS).absolute()


@dataclass(frozen=True, slots=True)
class Paths:
    """Every path of one lab."""

    name: str
    folder: Path

    @classmethod
    def of(cls, name: str) -> Self:
        check_lab_name(name)
        return cls(name, labs_folder() / name)

    @property
    def state(self) -> Path:
        return self.folder / "lab.json"

    @property
    def keeper(self) -> Path:
        return self.folder / "keeper.json"

    @property
    def keeper_log(self) -> Path:
        return self.folder / "keeper.log"

    @property
    def keeper_socket(self) -> Path:
        return self.folder / "keeper.sock"

    @property
    def identity(self) -> Path:
        return self.folder / "ssh" / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "ssh" / "known_hosts"

    @property
    def shared(self) -> Path:
        """What all hosts of the lab see, and can't write."""
        return self.folder / "shared"

    @property
    def network(self) -> Path:
        """The name under which `ip netns` shows the lab's network."""
        return NETWORK_NAMES / f"clanpy-{self.name}"

    @property
    def lock(self) -> Path:
        return LOCKS / self.name

    def host(self, name: str) -> HostPaths:
        return HostPaths(self.folder / "hosts" / name)


@dataclass(frozen=True, slots=True)
class HostPaths:
    """Every path of one host."""

    folder: Path

    @property
    def key(self) -> Path:
        return self.folder / "keys" / "ssh_host_ed25519_key"

    @property
    def disk(self) -> Path:
        return self.folder / "disk"

    @property
    def root(self) -> Path:
        """Where the host's root is put together; seen only in the host's own mount namespace."""
        return self.folder / "root"

    @property
    def console(self) -> Path:
        return self.folder / "console.log"


@dataclass(frozen=True, slots=True)
class Saved:
    """What is kept of a lab between commands."""

    base: str
    hosts: Mapping[str, LabHost]

    @classmethod
    def load(cls, paths: Paths) -> Self | None:
        try:
            raw = json.loads(paths.state.read_text())
        except FileNotFoundError:
            return None
        hosts = (host_from_dict(entry) for entry in raw["hosts"])
        return cls(base=raw["base"], hosts={host.name: host for host in hosts})

    def save(self, paths: Paths) -> None:
        hosts = [host_to_dict(host) for host in self.hosts.values()]
        write_whole(paths.state, json.dumps({"version": 1, "base": self.base, "hosts": hosts}, indent=1))


@dataclass(frozen=True, slots=True)
class Running:
    """What the keeper last wrote about itself and its hosts."""

    keeper: Process
    hosts: Mapping[str, Mapping[str, Any]]

    @classmethod
    def load(cls, paths: Paths) -> Self | None:
        """None if no keeper is alive."""
        try:
            raw = json.loads(paths.keeper.read_text())
        except (FileNotFoundError, NotADirectoryError):
            return None
        keeper = Process.from_dict(raw["keeper"])
        return cls(keeper, raw["hosts"]) if keeper is not None and keeper.lives() else None

    def init(self, host: str) -> Process | None:
        """PID 1 of a host, or None if it is not running."""
        found = Process.from_dict(self.hosts.get(host, {}).get("init"))
        return found if found is not None and found.lives() else None


def write_whole(path: Path, text: str, mode: int = 0o600) -> None:
    """Replace a file so that every reader sees the old text or the new one."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as file:
            file.write(text)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


@contextmanager
def locked(paths: Paths) -> Iterator[None]:
    """Be the only command that changes the lab of this name on this computer. Raises LabBusyError after a minute."""
    LOCKS.mkdir(parents=True, exist_ok=True)
    handle = _take(paths)
    try:
        yield
    finally:
        if not paths.folder.exists() and claimed_by(paths) in (None, paths.folder):
            paths.lock.unlink(missing_ok=True)
        os.close(handle)


def _take(paths: Paths) -> int:
    deadline = time.monotonic() + _LOCK_PATIENCE
    while True:
        handle = os.open(paths.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(handle, paths.lock):
                return handle
        os.close(handle)
        if time.monotonic() > deadline:
            raise LabBusyError(
                f"another command is starting or stopping lab {paths.name!r}", hint="try again when it is done"
            )
        time.sleep(_PAUSE)


def _is_at(handle: int, path: Path) -> bool:
    """Whether the locked file still has its name: the last holder may have removed it."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def hold(folder: Path) -> int | None:
    """Take the mark that a lab has a keeper, which lasts as long as any process has it open. None if one has it already."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def claimed_by(paths: Paths) -> Path | None:
    """The folder of the lab that last had this name on this computer."""
    with suppress(FileNotFoundError):
        text = paths.lock.read_text()
        return Path(text) if text else None
    return None


def claim(paths: Paths) -> None:
    """Note that the name is this lab's (with the lock held)."""
    with paths.lock.open("r+") as file:
        file.truncate()
        file.write(str(paths.folder))


def known_labs() -> tuple[str, ...]:
    """The names of all labs in the folder of labs, in order."""
    folder = labs_folder()
    return tuple(sorted(entry.name for entry in folder.iterdir() if entry.is_dir())) if folder.is_dir() else ()
