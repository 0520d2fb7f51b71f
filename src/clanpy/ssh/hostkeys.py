"""Host keys: what is recorded, whether a key that a host shows is trusted, and writing down new ones."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from clanpy.errors import Place
from clanpy.ssh.errors import HostKeyError
from clanpy.ssh.library import asyncssh
from clanpy.ssh.target import HostKeyCheck


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DEFAULT_PORT = 22
USER_FILE = Path("~/.ssh/known_hosts")
GLOBAL_FILE = Path("/etc/ssh/ssh_known_hosts")

_Stamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Name:
    """Under which names a host's key is recorded: its name (or alias), the address that was dialled, the port.

    `also` are entries of the same host reached elsewhere (`name`, `[name]:port`): they count where none is recorded under the others.
    """

    host: str
    address: str = ""
    port: int = DEFAULT_PORT
    also: tuple[str, ...] = ()

    @property
    def entry(self) -> str:
        """The name as a new entry has it."""
        return self.host if self.port == DEFAULT_PORT else f"[{self.host}]:{self.port}"

    @property
    def exact(self) -> tuple[tuple[str, str], ...]:
        """The (host, address) pairs to look for: on another port than 22, names that carry the port."""
        if self.port == DEFAULT_PORT:
            return ((self.host, self.address),)
        return tuple((f"[{name}]:{self.port}", "") for name in (self.host, self.address) if name)

    @property
    def elsewhere(self) -> tuple[tuple[str, str], ...]:
        """The (host, address) pairs of the same host elsewhere."""
        return tuple((entry, "") for entry in self.also)


@dataclass(frozen=True, slots=True)
class Known:
    """What is recorded for one host. `without_port` are keys of entries that name it without its unusual port."""

    keys: tuple[asyncssh.SSHKey, ...] = ()
    authorities: tuple[asyncssh.SSHKey, ...] = ()
    revoked: tuple[asyncssh.SSHKey, ...] = ()
    without_port: tuple[asyncssh.SSHKey, ...] = ()

    @property
    def trusted(self) -> tuple[asyncssh.SSHKey, ...]:
        """Keys that may be shown. Those recorded without the port count only where none is recorded with it."""
        return self.keys or self.without_port


@dataclass(slots=True)
class KnownHosts:
    """Files of known hosts, read once for all connections and again only when one has changed.

    A line that can't be read is passed over, as OpenSSH does; a file that does not exist is empty.
    """

    _files: dict[Path, tuple[_Stamp, asyncssh.SSHKnownHosts]] = field(default_factory=dict)

    def lookup(self, files: Sequence[Path], name: Name) -> Known:
        """What `files` say about a host."""
        loaded = [hosts for file in files if (hosts := self._load(file)) is not None]
        found = _here(loaded, name)
        if not name.also:
            return found
        others = _match(loaded, name.elsewhere)
        revoked = (*found.revoked, *others.revoked)
        if found.trusted or found.authorities:
            return replace(found, revoked=revoked)
        return replace(others, revoked=revoked)

    def _load(self, file: Path) -> asyncssh.SSHKnownHosts | None:
        try:
            stat = file.stat()
            stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            kept = self._files.get(file)
            if kept is None or kept[0] != stamp:
                kept = self._files[file] = (stamp, _parse(line for _, line in _lines(file)))
        except OSError:
            return None
        return kept[1]


def _here(loaded: Sequence[asyncssh.SSHKnownHosts], name: Name) -> Known:
    """What is recorded under the names that are dialled."""
    found = _match(loaded, name.exact)
    if name.port == DEFAULT_PORT or found.authorities:
        return found
    plain = _match(loaded, ((name.host, name.address),))
    return Known(found.keys, plain.authorities, (*found.revoked, *plain.revoked), plain.keys)


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    yield from enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), 1)


def _parse(lines: Iterator[str]) -> asyncssh.SSHKnownHosts:
    hosts = asyncssh.SSHKnownHosts()
    for line in lines:
        try:
            hosts.load(line)
        except ValueError:
            continue
    return hosts


def _match(loaded: Sequence[asyncssh.SSHKnownHosts], names: Sequence[tuple[str, str]]) -> Known:
    parts = [asyncssh.match_known_hosts(hosts, host, address, None) for hosts in loaded for host, address in names]
    return Known(
        keys=tuple(key for part in parts for key in part[0]),
        authorities=tuple(key for part in parts for key in part[1]),
        revoked=tuple(key for part in parts for key in part[2]),
    )


def recorded_at(files: Sequence[Path], name: Name) -> Iterator[tuple[Place, asyncssh.SSHKey]]:
    """The keys recorded for a host, each with the line it stands in. Slow: for messages only."""
    for file in files:
        try:
            lines = tuple(_lines(file))
        except OSError:
            continue
        for number, line in lines:
            # a line that names the host and its address matches by both
            for key in dict.fromkeys(_match([_parse(iter([line]))], (*name.exact, *name.elsewhere)).keys):
                yield Place(str(file), number), key


@dataclass(slots=True)
class Verdict:
    """Decides about the key that one host shows, and keeps the reason of a refusal for the error message."""

    label: str
    name: Name
    files: tuple[Path, ...]
    check: HostKeyCheck
    known: Known
    refusal: HostKeyError | None = None

    def accepts(self, key: asyncssh.SSHKey) -> bool:
        """Whether a key that is not among the trusted ones will do. A new one is written down where that is wanted."""
        if self.check is HostKeyCheck.NONE:
            return True
        if self.known.keys:
            self.refusal = self._mismatch(key)
            return False
        if self.check is HostKeyCheck.ACCEPT_NEW:
            record(self.files[0] if self.files else USER_FILE.expanduser(), self.name, key)
            return True
        self.refusal = self._unknown(key)
        return False

    def _mismatch(self, key: asyncssh.SSHKey) -> HostKeyError:
        places = list(recorded_at(self.files, self.name))
        lines = [f"{place}: {_algorithm(old)} {old.get_fingerprint()} is recorded" for place, old in places]
        file = places[0][0].file if places else str(USER_FILE)
        return HostKeyError(
            f"{self.label} shows another host key than the one that is recorded: "
            f"{_algorithm(key)} {key.get_fingerprint()}",
            place=places[0][0] if places else None,
            hint="somebody may be listening in; if the host was installed anew and this is its key: "
            f"ssh-keygen -R '{self.name.entry}' -f '{file}'",
            details=lines,
        )

    def _unknown(self, key: asyncssh.SSHKey) -> HostKeyError:
        return HostKeyError(
            f"no host key is recorded for {self.label}; it shows {_algorithm(key)} {key.get_fingerprint()}",
            hint="compare the fingerprint, then run again with --host-key-check accept-new",
            details=[f"looked for {self.name.entry} in {file}" for file in self.files],
        )

    def revoked(self) -> HostKeyError:
        """The error for a host that shows a key marked as revoked."""
        return HostKeyError(
            f"{self.label} shows a host key that is marked as revoked",
            hint="somebody may be listening in with a stolen key",
            details=[f"looked for {self.name.entry} in {file}" for file in self.files],
        )


def record(file: Path, name: Name, key: asyncssh.SSHKey) -> None:
    """Append a host's key to a file, whole or not at all, unless it stands there already.

    Raises:
        OSError: the file can't be written.
    """
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    line = f"{name.entry} {key.export_public_key('openssh').decode().strip()}\n".encode()
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    with os.fdopen(descriptor, "rb+", buffering=0) as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        present = handle.readall()
        if line in present.splitlines(keepends=True):
            return
        # One write of one line: a reader without the lock sees all of it or nothing.
        handle.write(line if present.endswith(b"\n") or not present else b"\n" + line)


def _algorithm(key: asyncssh.SSHKey) -> str:
    return key.get_algorithm()
