"""A real sshd on the loopback interface, with keys of its own, for one test session."""

from __future__ import annotations

import contextlib
import getpass
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from clanpy.ssh import Target


SSHD = "/usr/sbin/sshd"


@dataclass(frozen=True, kw_only=True)
class Sshd:
    """Where the server listens and what is needed to log in. `pid` is the listener's."""

    directory: Path
    port: int
    pid: int
    user: str
    log: list[str]

    @property
    def identity(self) -> Path:
        return self.directory / "user_key"

    @property
    def host_key(self) -> Path:
        return self.directory / "host_key"

    @property
    def known_hosts(self) -> Path:
        return self.directory / "known_hosts"

    @property
    def public_host_key(self) -> str:
        return " ".join((self.directory / "host_key.pub").read_text().split()[:2])

    def target(self, **changes: Any) -> Target:
        base = Target(
            host="127.0.0.1",
            port=self.port,
            user=self.user,
            identity_files=(self.identity,),
            known_hosts=(self.known_hosts,),
            isolated=True,
        )
        return replace(base, **changes)

    def children(self) -> list[int]:
        """The processes that serve sessions."""
        return _children(self.pid)

    def logins(self) -> int:
        """How many logins have succeeded so far."""
        return sum("Accepted publickey" in line for line in self.log)


def make_key(path: Path, kind: str = "ed25519", *, passphrase: str = "") -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", path.name, "-f", str(path)], check=True)
    return path


@contextlib.contextmanager
def running_sshd(directory: Path, *, extra: str = "", port: int | None = None) -> Iterator[Sshd]:
    """Start sshd in the foreground on a free port and end it, with its sessions, by process id."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in ("host_key", "user_key"):
        if not (directory / name).exists():
            make_key(directory / name)
    (directory / "authorized_keys").write_text((directory / "user_key.pub").read_text())
    port = port or free_port()
    public = " ".join((directory / "host_key.pub").read_text().split()[:2])
    (directory / "known_hosts").write_text(f"[127.0.0.1]:{port} {public}\n")
    (directory / "sshd_config").write_text(_CONFIG.format(directory=directory, port=port, extra=extra))
    Path("/run/sshd").mkdir(exist_ok=True)
    process = subprocess.Popen(
        [SSHD, "-D", "-e", "-f", str(directory / "sshd_config")],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    log: list[str] = []
    try:
        with _reading(process, log):
            yield Sshd(directory=directory, port=port, pid=process.pid, user=getpass.getuser(), log=log)
    finally:
        process.wait(timeout=10)


@contextlib.contextmanager
def _reading(process: subprocess.Popen[str], log: list[str]) -> Iterator[None]:
    """Wait until the server listens, keep its log flowing, and end it with its sessions."""
    assert process.stderr is not None
    for line in process.stderr:
        log.append(line)
        if "Server listening" in line:
            break
    reader = threading.Thread(target=lambda: log.extend(iter(process.stderr.readline, "")), daemon=True)  # type: ignore[union-attr] # set above
    reader.start()
    try:
        assert process.poll() is None, "".join(log)
        yield
    finally:
        for pid in (process.pid, *_children(process.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
                os.kill(pid, signal.SIGCONT)
        reader.join(timeout=10)
        process.stderr.close()


def _children(pid: int) -> list[int]:
    """The processes that serve sessions: children of the listener."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


# Extra settings come first: of several values for one setting, sshd takes the first.
_CONFIG = """\
{extra}
Port {port}
ListenAddress 127.0.0.1
HostKey {directory}/host_key
AuthorizedKeysFile {directory}/authorized_keys
PidFile none
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
MaxStartups 500
MaxSessions 50
SetEnv SHLVL=9
"""


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
