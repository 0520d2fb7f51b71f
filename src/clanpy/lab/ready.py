"""Waiting until hosts answer: a host is ready when its sshd says who it is."""

from __future__ import annotations

import errno
import os
import select
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

from clanpy.lab import kernel
from clanpy.lab.control import last_lines, no_space
from clanpy.lab.errors import BootError, LabError
from clanpy.lab.model import SSH_PORT, HostState, LabHost
from clanpy.lab.state import Paths, Running


_PAUSE = 0.01


class _Waiter:
    """Knocks at hosts until each has greeted. Works inside the lab's network, so it has a thread of its own."""

    def __init__(self, paths: Paths, hosts: Sequence[LabHost], seconds: float) -> None:
        self.paths = paths
        self.missing = {host.name: host for host in hosts}
        self.deadline = time.monotonic() + seconds
        self.failed: str | None = None
        self.stopped = False

    def run(self, network: int) -> None:
        with kernel.in_network(network):
            while self.missing and not self.stopped and time.monotonic() < self.deadline and self.failed is None:
                self._knock()
                self.failed = self._dead()

    def _knock(self) -> None:
        sockets = {}
        for host in self.missing.values():
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            sock.connect_ex((host.address, host.port))
            sockets[sock] = host
        pending = set(sockets)
        until = time.monotonic() + 0.5
        while pending and time.monotonic() < until:
            ready, _, _ = select.select(list(pending), [], [], 0.05)
            for sock in ready:
                pending.discard(sock)
                with suppress(OSError):
                    if sock.recv(64).startswith(b"SSH-"):
                        self.missing.pop(sockets[sock].name)
        for sock in sockets:
            sock.close()
        time.sleep(_PAUSE)

    def _dead(self) -> str | None:
        """A host that will never answer, because its PID 1 is gone for good."""
        running = Running.load(self.paths)
        if running is None:
            return next(iter(self.missing), None)
        for name in self.missing:
            if running.hosts.get(name, {}).get("state") == HostState.FAILED:
                return name
        return None


def wait_until_ready(paths: Paths, hosts: Sequence[LabHost], seconds: float) -> None:
    """Wait until every host's sshd greets. Raises BootError naming the first that does not, with its console."""
    running = Running.load(paths)
    if running is None or not hosts:
        return
    waiter = _Waiter(paths, hosts, seconds)
    network = os.open(f"/proc/{running.keeper.pid}/ns/net", os.O_RDONLY)
    try:
        thread = threading.Thread(target=waiter.run, args=(network,), name="lab-ready")
        thread.start()
        try:
            thread.join()
        finally:
            waiter.stopped = True
            thread.join()
    finally:
        os.close(network)
    late = waiter.failed or next(iter(waiter.missing), None)
    if late is not None:
        what = "did not start" if waiter.failed else f"does not answer on port {SSH_PORT} after {seconds:.0f} s"
        raise _told(paths, late, what)


def _told(paths: Paths, host: str, what: str) -> LabError:
    """Why a host did not start, as far as its console tells."""
    console = last_lines(paths.host(host).console)
    last = console[-1] if console else ""
    if f"[Errno {errno.ENOSPC}]" in last:
        return no_space(paths)
    hint = f"`clanpy lab fault heal {host}` undoes faults; its console: {paths.host(host).console}"
    if f"[Errno {errno.EINVAL}] mount" in last:
        hint = f"{paths.folder} can't hold an overlay: choose another place with CLANPY_LAB_DIR, or use --disk 1g"
    return BootError(f"host {host} of lab {paths.name!r} {what}", hint=hint, details=console)
