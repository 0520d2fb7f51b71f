"""The process that holds a running lab together: it owns the lab's network and is the parent of every host.

All that a lab is in the kernel hangs on this one process: the bridge lives in its network namespace, small disks in its mount
namespace, and the hosts die with it. So nothing is left when it goes, however it goes.

It is started as a fresh, small interpreter by `clanpy.lab.control`, listens on a socket in the lab's folder for one JSON
document a connection, and restarts a host that reboots.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from clanpy.lab import cgroup, kernel
from clanpy.lab.boot import boot
from clanpy.lab.kernel import Mount, Namespace
from clanpy.lab.model import CONTROLLER_ADDRESS, PREFIX, HostState
from clanpy.lab.plan import HostPlan
from clanpy.lab.process import Process
from clanpy.lab.state import NETWORK_NAMES, Paths, write_whole


BRIDGE = "lab0"
_PATIENCE = 10.0


class Host:
    """A host as the keeper has it."""

    def __init__(self, plan: HostPlan, network: int) -> None:
        self.plan = plan
        self.network = network
        self.pid: int | None = None  # set until we have waited for it
        self.state = HostState.OFF
        self.boots = 0
        self.wanted = True
        self.due: float | None = None  # when to start it again, on the monotonic clock

    def to_dict(self) -> dict[str, Any]:
        init = None if self.pid is None else Process.of(self.pid)
        return {"state": self.state.value, "boots": self.boots, "init": None if init is None else init.to_dict()}


class Keeper:
    """Starts hosts, buries them, and answers questions."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self.hosts: dict[str, Host] = {}
        self.selector = selectors.DefaultSelector()
        self.listener = socket.socket(socket.AF_UNIX)
        self.ending = False

    def run(self) -> None:
        """Be the keeper until told to end."""
        os.chdir(self.paths.folder)
        cgroup.join(cgroup.keeper_group(self.paths.name))
        _own_world()
        self.own_network = os.open("/proc/self/ns/net", os.O_RDONLY)
        self.own_children = os.open("/proc/self/ns/pid", os.O_RDONLY)
        _bridge()
        wakeup = self._watch_signals()
        self._listen()
        self._note()
        while not self.ending:
            for key, _ in self.selector.select(self._next_due()):
                if key.fileobj is self.listener:
                    self._serve()
                else:
                    wakeup.recv(4096)
            self._bury()
            self._restart_due()
        self._end()

    def _watch_signals(self) -> socket.socket:
        reader, writer = socket.socketpair()
        for end in (reader, writer):
            end.setblocking(False)
        signal.set_wakeup_fd(writer.detach(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._terminate)
        self.selector.register(reader, selectors.EVENT_READ)
        return reader

    def _terminate(self, *_: object) -> None:
        self.ending = True

    def _listen(self) -> None:
        path = self.paths.keeper_socket
        path.unlink(missing_ok=True)
        self.listener.bind(path.name)  # relative: the whole path may be longer than a socket's address can be
        self.listener.listen(64)
        self.selector.register(self.listener, selectors.EVENT_READ)

    def _note(self) -> None:
        """Write down who runs, for everybody who wants to know."""
        hosts = {name: host.to_dict() for name, host in self.hosts.items()}
        myself = Process.of(os.getpid())
        assert myself is not None
        try:
            write_whole(self.paths.keeper, json.dumps({"keeper": myself.to_dict(), "hosts": hosts}))
        except OSError as error:  # the disk may be full: that is no reason to take the hosts along
            sys.stderr.write(f"{error}\n")

    def _serve(self) -> None:
        connection, _ = self.listener.accept()
        with connection, suppress(OSError, ValueError):  # whoever asked may be killed at any moment
            connection.settimeout(_PATIENCE)
            with connection.makefile("rwb") as stream:
                answer = self._answer(json.loads(stream.readline()))
                stream.write(json.dumps(answer).encode() + b"\n")

    def _answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Do what is asked. Whatever goes wrong is an answer too: the hosts must outlive it."""
        try:
            if request["do"] == "start":
                self._start([HostPlan.from_dict(raw) for raw in request["plans"]])
            elif request["do"] == "stop":
                self._stop(request["hosts"], forget=request["forget"])
            elif request["do"] == "reboot":
                self._cut_power(self.hosts[request["host"]], request["seconds"])
            elif request["do"] == "resume":
                self._resume(self.hosts[request["host"]])
        except Exception as error:
            sys.stderr.write(f"{request}: {error!r}\n")
            return {"ok": False, "errno": getattr(error, "errno", None), "message": str(error)}
        else:
            return {"ok": True}
        finally:
            self._note()

    def _start(self, plans: Sequence[HostPlan]) -> None:
        self._bury()
        new = [Host(plan, self._new_network()) for plan in plans if plan.host.name not in self.hosts]
        try:
            _cable(new)
            for host in new:
                _address(host)
        except BaseException:
            for host in new:
                self._unplug_for_good(host)
            raise
        asleep = []
        for plan in plans:
            if plan.host.name in self.hosts:
                self.hosts[plan.host.name].plan = plan  # it may have got accounts since
                asleep.append(self.hosts[plan.host.name])
        self.hosts.update({host.plan.host.name: host for host in new})
        for host in asleep:
            self._resume(host)
        for host in new:
            self._boot(host)

    def _resume(self, host: Host) -> None:
        """Switch on what is off."""
        if host.pid is None:
            _ip(f"link set {host.plan.host.link} up")
            self._boot(host)

    def _boot_again(self, host: Host) -> None:
        """Boot a host that nobody waits for: if it fails, that is how the host is."""
        host.due = None
        try:
            self._resume(host)
        except (OSError, subprocess.CalledProcessError) as error:
            host.state = HostState.FAILED
            sys.stderr.write(f"{host.plan.host.name}: {error}\n")

    def _cut_power(self, host: Host, seconds: float) -> None:
        """Switch off now, and on again after so long."""
        self._stop([host.plan.host.name], forget=False)
        host.due = time.monotonic() + seconds
        self._restart_due()

    def _next_due(self) -> float | None:
        """How long until a host has to be started, in seconds."""
        due = [host.due for host in self.hosts.values() if host.due is not None]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _restart_due(self) -> None:
        ready = [host for host in self.hosts.values() if host.due is not None and host.due <= time.monotonic()]
        for host in ready:
            self._boot_again(host)
        if ready:
            self._note()

    def _new_network(self) -> int:
        kernel.unshare(Namespace.NET)
        try:
            return os.open("/proc/self/ns/net", os.O_RDONLY)
        finally:
            kernel.setns(self.own_network, Namespace.NET)

    def _boot(self, host: Host) -> None:
        _own_disk(host.plan)
        kernel.unshare(Namespace.PID)
        try:
            pid = os.fork()
            if pid == 0:
                boot(host.plan, host.network, cgroup.host_group(self.paths.name, host.plan.host.name))
        finally:
            kernel.setns(self.own_children, Namespace.PID)
        host.pid = pid
        host.state, host.boots, host.wanted, host.due = HostState.RUNNING, host.boots + 1, True, None

    def _bury(self) -> None:
        """Take note of hosts that have ended, and start those again that reboot."""
        changed = False
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            for host in self.hosts.values():
                if host.pid == pid:
                    self._ended(host, status)
                    changed = True
        if changed and not self.ending:
            self._note()

    def _ended(self, host: Host, status: int) -> None:
        host.pid = None
        signalled = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
        if signalled == signal.SIGHUP and host.wanted:  # how the kernel says that the init of a PID namespace rebooted
            self._boot_again(host)
        elif signalled == signal.SIGINT or not host.wanted:  # powered off, from inside or by us
            host.state = HostState.OFF
            self._unplug(host)
        else:
            host.state = HostState.FAILED
            sys.stderr.write(f"{host.plan.host.name}: PID 1 ended with status {status}\n")

    def _unplug(self, host: Host) -> None:
        """A host that is off answers nothing, not even with a refusal."""
        with suppress(subprocess.CalledProcessError):
            _ip(f"link set {host.plan.host.link} down")

    def _stop(self, names: Sequence[str], *, forget: bool) -> None:
        chosen = [self.hosts[name] for name in names if name in self.hosts]
        for host in chosen:
            host.wanted, host.due = False, None
            if host.pid is not None:
                os.kill(host.pid, signal.SIGKILL)  # our child, not yet waited for: the number is its own
        deadline = time.monotonic() + _PATIENCE
        while any(host.pid for host in chosen) and time.monotonic() < deadline:
            self._bury()
            time.sleep(0.002)
        if forget:
            for host in chosen:
                self._forget(host)

    def _unplug_for_good(self, host: Host) -> None:
        with suppress(subprocess.CalledProcessError):
            _ip(f"link del {host.plan.host.link}")
        os.close(host.network)

    def _forget(self, host: Host) -> None:
        self._unplug_for_good(host)
        with suppress(OSError):
            kernel.unmount(host.plan.paths.disk)
        cgroup.destroy(cgroup.host_group(self.paths.name, host.plan.host.name))
        del self.hosts[host.plan.host.name]

    def _end(self) -> None:
        self._stop(list(self.hosts), forget=False)
        for path in (self.paths.keeper_socket, self.paths.keeper):
            path.unlink(missing_ok=True)


def _own_world() -> None:
    """Namespaces of the keeper's own. Mounts of this computer still go away in here when they go away outside."""
    kernel.unshare(Namespace.MOUNT | Namespace.NET)
    kernel.mount("none", "/", flags=Mount.SLAVE | Mount.RECURSIVE)
    if NETWORK_NAMES.is_dir():
        for name in NETWORK_NAMES.iterdir():  # other networks must not live on because we look at them
            with suppress(OSError):
                kernel.unmount(name)


def _bridge() -> None:
    _ip(
        "link set lo up",
        f"link add {BRIDGE} type bridge",
        f"addr add {CONTROLLER_ADDRESS}/{PREFIX} dev {BRIDGE}",
        f"link set {BRIDGE} up",
    )
    # A host that comes back is found at once, not after a second; who is away is still given three seconds.
    for name, value in {"retrans_time_ms": 50, "mcast_solicit": 60}.items():
        Path("/proc/sys/net/ipv4/neigh", BRIDGE, name).write_text(str(value))


def _cable(hosts: Sequence[Host]) -> None:
    """Plug hosts into the bridge, each with a hardware address that is always its own: neighbours remember it."""
    me = os.getpid()
    lines = []
    for host in hosts:
        link, address = host.plan.host.link, host.plan.host.hardware_address
        end = f"name eth0 address {address} netns /proc/{me}/fd/{host.network}"
        lines += [f"link add {link} type veth peer {end}", f"link set {link} master {BRIDGE} up"]
    if lines:
        _ip(*lines)


def _address(host: Host) -> None:
    """Give a host its address, now that it is plugged in: who asks for it before is asked to wait a second."""
    with kernel.in_network(host.network):
        kernel.bring_up("lo")
        kernel.bring_up("eth0", host.plan.host.address, PREFIX)


def _ip(*lines: str) -> None:
    subprocess.run(
        ["ip", "-batch", "-"],
        input="\n".join(lines).encode() + b"\n",
        check=True,
        stdout=subprocess.DEVNULL,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )


def _own_disk(plan: HostPlan) -> None:
    """A disk of the host's own size, in memory; it is there until the host is forgotten."""
    disk = plan.paths.disk
    if plan.host.disk is not None and not disk.is_mount():
        kernel.mount(f"disk-{plan.host.name}", disk, "tmpfs", options=f"mode=755,size={plan.host.disk}")


def main(name: str, folder: str, held: str) -> None:
    """The entry point of the keeper's process. `held` is the open mark that this lab has a keeper (see `state.hold`)."""
    if os.fork() != 0:
        os._exit(0)  # an orphan has no parent that would have to wait for it
    os.set_inheritable(int(held), False)
    Keeper(Paths(name, Path(folder))).run()
