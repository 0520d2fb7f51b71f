"""A lab that is there, as a value to work with."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self

from clanpy.errors import nearest
from clanpy.lab import kernel, lifecycle
from clanpy.lab.errors import HostNotRunningError, LabNotRunningError, UnknownHostError
from clanpy.lab.kernel import Namespace
from clanpy.lab.model import LabEnvironment, LabHost, LabSpec, LabStatus
from clanpy.lab.process import Process
from clanpy.lab.ready import wait_until_ready
from clanpy.lab.state import Paths, Running, Saved


# What the controller's Nix is told: no network, no build users, and building for Apple hardware as if it were that.
NIX_CONFIG = (
    "experimental-features = nix-command flakes",
    "sandbox = false",
    "build-users-group =",
    "substituters =",
    "flake-registry =",
    "extra-platforms = aarch64-darwin",
)
_PATIENCE = 30.0


def up(spec: LabSpec) -> Lab:
    """Have these hosts running and answering. What runs already stays as it is.

    Raises:
        NotLinuxError, NotRootError, ProgramMissingError: this computer can't have a lab.
        LabSpecError: contradicts what the lab already is.
        LabNameTakenError, LabBusyError: another lab of this name, or another command.
        BootError: a host did not start, or does not answer.
    """
    lifecycle.bring_up(spec)
    return Lab.load(spec.name)


def down(name: str, *, wipe: bool = False) -> bool:
    """Stop a lab, whatever state it is in; `wipe` also deletes its disks and keys. Gives whether there was anything."""
    return lifecycle.take_down(name, wipe=wipe)


def status(name: str) -> LabStatus:
    """How a lab is. Raises LabNotRunningError if there is none of this name."""
    return lifecycle.status(name)


@dataclass(frozen=True, slots=True)
class Lab:
    """A lab of this computer: its hosts, the way in, and what can be done to them."""

    name: str
    environment: LabEnvironment

    @classmethod
    def load(cls, name: str) -> Self:
        """The running lab of this name. Raises LabNotRunningError."""
        lifecycle.check_platform()
        paths = Paths.of(name)
        saved = Saved.load(paths)
        if saved is None:
            raise lifecycle.unknown(name)
        if Running.load(paths) is None:
            raise LabNotRunningError(f"lab {name} is not running", hint="start it with `clanpy lab up`")
        environment = LabEnvironment(
            hosts=MappingProxyType(dict(saved.hosts)),
            identity=paths.identity,
            known_hosts=paths.known_hosts,
            nix_config=NIX_CONFIG,
        )
        return cls(name=name, environment=environment)

    def enter(self) -> None:
        """Move this thread, and all that it starts, into the lab's network, for good. Call it before starting threads.

        From then on nothing but the lab's hosts can be reached.
        """
        network = self._network()
        try:
            kernel.setns(network, Namespace.NET)
        finally:
            os.close(network)

    @contextmanager
    def inside(self) -> Iterator[None]:
        """This thread is in the lab's network meanwhile."""
        network = self._network()
        try:
            with kernel.in_network(network):
                yield
        finally:
            os.close(network)

    def status(self) -> LabStatus:
        return lifecycle.status(self.name)

    def reset(self, *hosts: str) -> None:
        """Make hosts as new (nothing deployed, no fault), with the same address and keys; they answer afterwards."""
        lifecycle.reset_hosts(self._paths, [self.host(name).name for name in hosts])

    def wait(self, *hosts: str, seconds: float = _PATIENCE) -> None:
        """Wait until the sshd of these hosts answers. Raises BootError."""
        wait_until_ready(self._paths, [self.host(name) for name in hosts], seconds)

    def host(self, name: str) -> LabHost:
        """Raises UnknownHostError."""
        found = self.environment.hosts.get(name)
        if found is None:
            raise UnknownHostError(f"lab {self.name} has no host {name}", hint=nearest(name, self.environment.hosts))
        return found

    def init(self, host: str) -> Process:
        """PID 1 of a host, as this computer sees it. Raises UnknownHostError, HostNotRunningError."""
        running = Running.load(self._paths)
        found = None if running is None else running.init(self.host(host).name)
        if found is None:
            raise HostNotRunningError(f"host {host} of lab {self.name} is not running")
        return found

    def run_in(
        self, host: str, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = _PATIENCE
    ) -> subprocess.CompletedProcess[str]:
        """Run a program on a host as its root, not over ssh."""
        init = self.init(host)
        raw = subprocess.run(
            ["nsenter", f"--target={init.pid}", "--mount", "--net", "--pid", "--uts", "--ipc", "--cgroup", "--", *argv],
            input=stdin,
            capture_output=True,
            timeout=timeout,
            check=False,
            cwd="/",
            env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"},
        )
        return subprocess.CompletedProcess(
            list(argv), raw.returncode, raw.stdout.decode(errors="replace"), raw.stderr.decode(errors="replace")
        )

    @property
    def _paths(self) -> Paths:
        return Paths.of(self.name)

    def _network(self) -> int:
        running = Running.load(self._paths)
        if running is None:
            raise LabNotRunningError(f"lab {self.name} is not running", hint="start it with `clanpy lab up`")
        return os.open(f"/proc/{running.keeper.pid}/ns/net", os.O_RDONLY)
