"""Up and down: from whatever is there to what is asked for."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from clanpy.lab import base, cgroup, control
from clanpy.lab.errors import LabError, LabNameTakenError, LabNotRunningError, LabSpecError, NotLinuxError, NotRootError
from clanpy.lab.limits import allow_watchers, release_watchers
from clanpy.lab.model import (
    CONTROLLER_ADDRESS,
    HostState,
    HostStatus,
    LabHost,
    LabSpec,
    LabStatus,
    address_of,
)
from clanpy.lab.plan import HostPlan
from clanpy.lab.process import kill_all
from clanpy.lab.provision import share_alternatives
from clanpy.lab.ready import wait_until_ready
from clanpy.lab.state import Paths, Running, Saved, claim, claimed_by, hold, known_labs, locked, write_whole


_PATIENCE = 10.0
_PAUSE = 0.005
_READY_IN = 30.0


def bring_up(spec: LabSpec) -> Paths:
    """Have the hosts of `spec` running and answering. Those that run already are left alone, others of the lab too."""
    check_platform()
    made_from = base.prepare(spec.base)
    paths = Paths.of(spec.name)
    with _told(paths), locked(paths):
        _refuse_foreign(paths)
        known = Saved.load(paths)
        saved = _merge(paths, known, spec)
        before = Running.load(paths)
        if before is None:
            _clear(paths)
        try:
            _furnish(paths, saved)
            if before is None:
                share_alternatives(paths.shared)
            if made_from.init == "systemd":
                allow_watchers(paths.name, len(saved.hosts))
            running = before or control.start_keeper(paths)
            plans = _plans(paths, saved, made_from, [host.name for host in spec.hosts])
            changed = [name for name, host in (known.hosts if known else {}).items() if host != saved.hosts[name]]
            control.stop_hosts(paths, changed)
            missing = [plan for plan in plans if plan.host.name in changed or running.init(plan.host.name) is None]
            control.start_hosts(paths, missing)
            wait_until_ready(paths, [plan.host for plan in plans], _READY_IN)
        except BaseException:
            _undo(paths, before, spec)
            raise
    return paths


def take_down(name: str, *, wipe: bool = False) -> bool:
    """Stop a lab and remove all that it is in the kernel; with `wipe` its folder too. Gives whether there was anything."""
    check_platform()
    paths = Paths.of(name)
    with _told(paths), locked(paths):
        _refuse_foreign(paths)
        there = _clear(paths)
        if wipe and paths.folder.exists():
            shutil.rmtree(paths.folder)
            there = True
        if not wipe and paths.lock.exists():
            paths.lock.write_text("")
    return there


def status(name: str) -> LabStatus:
    """How the lab is. Raises LabNotRunningError if there is none of this name."""
    check_platform()
    paths = Paths.of(name)
    saved = Saved.load(paths)
    if saved is None:
        raise unknown(name)
    running = Running.load(paths)
    hosts = tuple(_status(host, running) for host in saved.hosts.values())
    keeper = None if running is None else running.keeper.pid
    return LabStatus(name=name, base=saved.base, folder=paths.folder, keeper=keeper, hosts=hosts)


def unknown(name: str) -> LabNotRunningError:
    others = known_labs()
    hint = f"there are: {', '.join(others)}" if others else "start one with `clanpy lab up`"
    return LabNotRunningError(f"there is no lab {name}", hint=hint)


def reset_hosts(paths: Paths, names: Sequence[str]) -> None:
    """Make hosts as new: nothing deployed, an empty store, the same address and keys. They run and answer afterwards."""
    with _told(paths), locked(paths):
        saved = Saved.load(paths)
        if saved is None or Running.load(paths) is None:
            raise unknown(paths.name)
        control.stop_hosts(paths, names, forget=True)
        for name in names:
            shutil.rmtree(paths.host(name).disk, ignore_errors=True)
            paths.host(name).disk.mkdir()
        plans = _plans(paths, saved, base.prepare(saved.base), names)
        control.start_hosts(paths, plans)
        wait_until_ready(paths, [plan.host for plan in plans], _READY_IN)


def check_platform() -> None:
    if sys.platform != "linux":
        raise NotLinuxError("the lab needs Linux", hint="run it in a Linux virtual machine")
    if os.geteuid() != 0:
        raise NotRootError("the lab needs root", hint="run it with sudo, or in a container as root")


@contextmanager
def _told(paths: Paths) -> Iterator[None]:
    """Errors of the system, as errors of the lab."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise control.no_space(paths) from error
        raise LabError(f"lab {paths.name!r}: {error}") from error
    except subprocess.CalledProcessError as error:
        raise LabError(f"lab {paths.name!r}: {error}") from error


def _status(host: LabHost, running: Running | None) -> HostStatus:
    noted = {} if running is None else running.hosts.get(host.name, {})
    init = None if running is None else running.init(host.name)
    state = HostState(noted.get("state", HostState.OFF))
    if init is None and state is HostState.RUNNING:
        state = HostState.FAILED
    return HostStatus(host=host, state=state, pid=None if init is None else init.pid, boots=noted.get("boots", 0))


def _refuse_foreign(paths: Paths) -> None:
    """Raises LabNameTakenError if a lab of another folder runs under this name."""
    owner = claimed_by(paths)
    if owner not in (None, paths.folder) and Running.load(Paths(paths.name, owner)) is not None:
        raise LabNameTakenError(
            f"a lab {paths.name!r} is running from {owner}", hint="choose another name with --name, or stop that one"
        )
    claim(paths)


def _merge(paths: Paths, saved: Saved | None, spec: LabSpec) -> Saved:
    """The lab with what is asked for added to it, every host with an address of its own."""
    hosts = dict(saved.hosts) if saved else {}
    if saved is not None and saved.base != spec.base and hosts:
        raise LabSpecError(
            f"lab {spec.name!r} is made from {saved.base}, not from {spec.base}",
            hint=f"`clanpy lab down --name {spec.name} --wipe` first",
        )
    free = (n for n in range(1, sys.maxsize) if n not in {host.index for host in hosts.values()})
    for wanted in spec.hosts:
        known = hosts.get(wanted.name)
        if known is not None and (known.class_, known.disk) != (wanted.class_, wanted.disk):
            raise LabSpecError(
                f"host {wanted.name} of lab {spec.name!r} is already there with another class or disk",
                hint=f"`clanpy lab down --name {spec.name} --wipe` first",
            )
        users = tuple(dict.fromkeys((*(known.users if known else ()), *wanted.accounts)))
        address = known.address if known else address_of(next(free))
        hosts[wanted.name] = LabHost(
            name=wanted.name, class_=wanted.class_, address=address, users=users, disk=wanted.disk
        )
    return Saved(base=spec.base, hosts=hosts)


def _furnish(paths: Paths, saved: Saved) -> None:
    """The lab's folder: keys of the client and of every host, known_hosts, the hosts file that all hosts read."""
    paths.folder.mkdir(parents=True, exist_ok=True)
    paths.folder.chmod(0o700)
    saved.save(paths)
    paths.shared.mkdir(mode=0o755, exist_ok=True)
    for host in saved.hosts.values():
        own = paths.host(host.name)
        for folder in (own.disk, own.root, own.key.parent):
            folder.mkdir(parents=True, exist_ok=True)
    paths.identity.parent.mkdir(exist_ok=True)
    _make_keys({paths.identity: "clanpy-lab", **{paths.host(name).key: name for name in saved.hosts}})
    lines = [f"{host.name},{host.address} {_public(paths.host(host.name).key)}" for host in saved.hosts.values()]
    write_whole(paths.known_hosts, "".join(f"{line}\n" for line in lines), 0o644)
    names = [("127.0.0.1", "localhost"), (CONTROLLER_ADDRESS, "controller")]
    names += [(host.address, host.name) for host in saved.hosts.values()]
    write_whole(paths.shared / "hosts", "".join(f"{address} {name}\n" for address, name in names), 0o644)


def _make_keys(wanted: Mapping[Path, str]) -> None:
    missing = {path: comment for path, comment in wanted.items() if not path.with_suffix(".pub").exists()}
    running = []
    for path, comment in missing.items():
        path.unlink(missing_ok=True)
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)]
        running.append(subprocess.Popen(command, stdin=subprocess.DEVNULL))
    for process in running:
        if process.wait() != 0:
            raise subprocess.CalledProcessError(process.returncode, process.args)


def _public(key: Path) -> str:
    """The public half of a key: kind and text, without the comment."""
    return " ".join(key.with_suffix(".pub").read_text().split()[:2])


def _plans(paths: Paths, saved: Saved, made_from: base.Base, names: Iterable[str]) -> list[HostPlan]:
    client_key = _public(paths.identity)
    return [
        HostPlan(
            host=saved.hosts[name],
            base=made_from,
            paths=paths.host(name),
            shared=paths.shared,
            client_key=client_key,
        )
        for name in names
    ]


def _undo(paths: Paths, before: Running | None, spec: LabSpec) -> None:
    """Leave nothing running that was not running before."""
    if before is None or not before.keeper.lives():
        _clear(paths)
        return
    started = [host.name for host in spec.hosts if before.init(host.name) is None]
    control.stop_hosts(paths, started, forget=True)


def _clear(paths: Paths) -> bool:
    """End every process of the lab and remove its traces in the kernel, whatever is left of it. Gives whether any was."""
    there = paths.network.exists()
    deadline = time.monotonic() + _PATIENCE
    while True:
        there |= _kill(paths)
        if not _has_keeper(paths):
            break
        if time.monotonic() > deadline:
            raise LabError(f"the keeper of lab {paths.name!r} can't be ended")
        time.sleep(_PAUSE)  # one that is only starting shows itself soon
    control.unname_network(paths)
    release_watchers(paths.name)
    for leftover in (paths.keeper, paths.keeper_socket):
        leftover.unlink(missing_ok=True)
    return there


def _kill(paths: Paths) -> bool:
    """Kill the keeper and all that is in the lab's control group. Gives whether there was anything."""
    running = Running.load(paths)
    group = cgroup.lab_group(paths.name)
    there = running is not None or any(True for _ in cgroup.members(group))
    if running is not None:
        running.keeper.kill()  # its hosts die with it; asking nicely first would gain nothing
        inits = [init for name in running.hosts if (init := running.init(name)) is not None]
        kill_all([running.keeper, *inits], seconds=_PATIENCE)
    cgroup.destroy(group)
    return there


def _has_keeper(paths: Paths) -> bool:
    held = hold(paths.folder) if paths.folder.is_dir() else None
    if held is not None:
        os.close(held)
    return held is None and paths.folder.is_dir()
