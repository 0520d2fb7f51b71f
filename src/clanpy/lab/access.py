"""Reaching into a running host from outside, without its ssh: its processes, its network, its root."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from clanpy.lab import cgroup
from clanpy.lab.base import SYSTEM_PATH
from clanpy.lab.errors import HostNotRunningError, LabError
from clanpy.lab.model import LabHost
from clanpy.lab.process import Process, command_line, inside
from clanpy.lab.state import Paths, Running


Done = subprocess.CompletedProcess[str]
PATIENCE = 30.0
_EVERYTHING = ("--mount", "--net", "--pid", "--uts", "--ipc", "--cgroup")


@dataclass(frozen=True, slots=True)
class Access:
    """The way into one host of a lab."""

    paths: Paths
    host: LabHost

    def init(self) -> Process:
        """PID 1 of the host, as this computer sees it. Raises HostNotRunningError."""
        running = Running.load(self.paths)
        found = None if running is None else running.init(self.host.name)
        if found is None:
            raise HostNotRunningError(
                f"host {self.host.name} of lab {self.paths.name!r} is not running",
                hint=f"`clanpy lab up --name {self.paths.name}` starts it",
            )
        return found

    def entering(self, argv: Sequence[str]) -> list[str]:
        """The command that runs `argv` on the host as its root."""
        return ["nsenter", f"--target={self.init().pid}", *_EVERYTHING, "--", *argv]

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = PATIENCE) -> Done:
        """Run a program on the host as its root. Raises LabError if it is not done in time."""
        return run(self.entering(argv), stdin=stdin, timeout=timeout)

    def check(self, argv: Sequence[str], *, stdin: bytes = b"") -> str:
        """Run a program on the host as its root. Raises LabError if it fails."""
        return checked(self.run(argv, stdin=stdin))

    def check_in_network(self, argv: Sequence[str]) -> str:
        """Run a program of this computer in the host's network."""
        return checked(run(["nsenter", f"--target={self.init().pid}", "--net", "--", *argv]))

    def check_at_bridge(self, argv: Sequence[str]) -> str:
        """Run a program of this computer in the network that all hosts are plugged into."""
        running = Running.load(self.paths)
        if running is None:
            raise HostNotRunningError(f"lab {self.paths.name!r} is not running")
        return checked(run(["nsenter", f"--target={running.keeper.pid}", "--net", "--", *argv]))

    def processes(self, which: Callable[[tuple[str, ...]], bool] = lambda _: True) -> list[Process]:
        """The host's processes whose command line is like that."""
        found = [Process.of(pid) for pid in inside(self.init().pid) if which(command_line(pid))]
        return [process for process in found if process is not None]

    def signal(self, number: signal.Signals, which: Callable[[tuple[str, ...]], bool] = lambda _: True) -> None:
        for process in self.processes(which):
            process.kill(number)

    def freeze(self, *, frozen: bool) -> None:
        """Stop or continue the whole host at once."""
        group = cgroup.host_group(self.paths.name, self.host.name)
        if group is not None and group.is_dir():
            cgroup.freeze(group, frozen=frozen)
        else:
            self.signal(signal.SIGSTOP if frozen else signal.SIGCONT)


def run(command: Sequence[str], *, stdin: bytes = b"", timeout: float = PATIENCE) -> Done:
    """Run a program with nothing of this process's environment."""
    environment = {"PATH": f"/usr/local/sbin:/usr/local/bin:{SYSTEM_PATH}", "HOME": "/root"}
    try:
        raw = subprocess.run(
            command, input=stdin, capture_output=True, timeout=timeout, check=False, cwd="/", env=environment
        )
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{' '.join(command)} did not end within {timeout:.0f} s") from error
    texts = [text.decode(errors="replace") for text in (raw.stdout, raw.stderr)]
    return subprocess.CompletedProcess(list(command), raw.returncode, *texts)


def checked(done: Done) -> str:
    """The output of a program. Raises LabError with what it said if it failed."""
    if done.returncode != 0:
        said = (done.stderr or done.stdout).splitlines()
        raise LabError(f"{' '.join(done.args)} ended with {done.returncode}", details=said[-10:])
    return done.stdout


def is_sshd(words: tuple[str, ...]) -> bool:
    """Whether a command line is that of sshd or of one of its sessions."""
    first = words[0] if words else ""
    return first.startswith("sshd") or os.path.basename(first) == "sshd"  # noqa: PTH119 - it is a title, not a path


def is_listener(words: tuple[str, ...]) -> bool:
    return is_sshd(words) and ("[listener]" in words[0] or words[0].startswith("/"))


def is_session(words: tuple[str, ...]) -> bool:
    return is_sshd(words) and not is_listener(words)


def is_nix_daemon(words: tuple[str, ...]) -> bool:
    return bool(words) and Path(words[0]).name == "nix-daemon"
