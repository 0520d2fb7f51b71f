"""A lab that is there, as a value to work with."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self

from clanpy.errors import nearest
from clanpy.lab import kernel, lifecycle
from clanpy.lab.access import PATIENCE, Access, Done
from clanpy.lab.errors import LabNotRunningError, UnknownHostError
from clanpy.lab.faults import inject
from clanpy.lab.kernel import Namespace
from clanpy.lab.model import DEFAULT_NAME, LabEnvironment, LabHost, LabSpec, LabStatus
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


def fault(kind: str, host: str, argument: str | None = None, *, lab: str = DEFAULT_NAME) -> None:
    """`Lab.fault` for the lab of this name."""
    Lab.load(lab).fault(kind, host, argument)


def run_in(host: str, argv: Sequence[str], *, lab: str = DEFAULT_NAME) -> Done:
    """`Lab.run_in` for the lab of this name."""
    return Lab.load(lab).run_in(host, argv)


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

    def wait(self, *hosts: str, seconds: float = PATIENCE) -> None:
        """Wait until the sshd of these hosts answers. Raises BootError."""
        wait_until_ready(self._paths, [self.host(name) for name in hosts], seconds)

    def host(self, name: str) -> LabHost:
        """Raises UnknownHostError."""
        found = self.environment.hosts.get(name)
        if found is None:
            raise UnknownHostError(f"lab {self.name!r} has no host {name}", hint=nearest(name, self.environment.hosts))
        return found

    def access(self, host: str) -> Access:
        """The way into a host that does not go over its ssh. Raises UnknownHostError."""
        return Access(self._paths, self.host(host))

    def run_in(self, host: str, argv: Sequence[str], *, stdin: bytes = b"", timeout: float = PATIENCE) -> Done:
        """Run a program on a host as its root, not over ssh. Raises UnknownHostError, HostNotRunningError."""
        return self.access(host).run(argv, stdin=stdin, timeout=timeout)

    def ssh_command(self, host: str, user: str = "root", command: Sequence[str] = ()) -> list[str]:
        """The OpenSSH command line that logs in to a host, for a process inside the lab's network."""
        options = {
            "IdentityFile": str(self.environment.identity),
            "IdentitiesOnly": "yes",
            "UserKnownHostsFile": str(self.environment.known_hosts),
            "GlobalKnownHostsFile": "none",
            "HostKeyAlias": host,
            "HostKeyAlgorithms": "ssh-ed25519",  # what is on record, whatever certificates the host has by now
            "ConnectTimeout": "10",
        }
        settings = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
        return ["ssh", "-F", "none", *settings, f"{user}@{self.host(host).address}", *command]

    def fault(self, kind: str, host: str, argument: str | None = None) -> None:
        """Do a fault to a host: see `clanpy.lab.faults.FAULTS`. Raises FaultError, UnknownHostError, HostNotRunningError."""
        inject(self.access(host), kind, argument)

    @property
    def _paths(self) -> Paths:
        return Paths.of(self.name)

    def _network(self) -> int:
        running = Running.load(self._paths)
        if running is None:
            raise LabNotRunningError(f"lab {self.name!r} is not running", hint="start it with `clanpy lab up`")
        return os.open(f"/proc/{running.keeper.pid}/ns/net", os.O_RDONLY)
