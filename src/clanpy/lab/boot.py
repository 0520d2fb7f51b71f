"""What becomes PID 1 of a host: put its root together, close the door behind, and run its init. Never returns.

Runs in a child of the keeper that is alone in a new PID namespace. Until the door is closed this computer's files can be
seen, so nothing of the host's own runs before.
"""

from __future__ import annotations

import os
import signal
import traceback
import uuid
from pathlib import Path
from typing import NoReturn

from clanpy.lab import cgroup, kernel
from clanpy.lab.kernel import Mount, Namespace
from clanpy.lab.plan import HostPlan
from clanpy.lab.provision import INIT_ENVIRONMENT, OLD, SHARED, have_folder, in_old, provision


BOOT_FAILED = 70
_NODES = ("null", "zero", "full", "random", "urandom", "tty")
_INITS = {
    "busybox": ("/usr/bin/busybox", ("init",)),
    "systemd": ("/usr/lib/systemd/systemd", ("--log-target=console", "--show-status=no")),
}
_TOPS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")


def boot(plan: HostPlan, network: int, group: Path | None) -> NoReturn:
    """Become the host's PID 1. `network` is its network namespace, open; `group` its control group."""
    try:
        _redirect(plan.paths.console)
        kernel.die_with_parent()
        os.setsid()
        cgroup.join(group)
        kernel.setns(network, Namespace.NET)
        kernel.unshare(Namespace.MOUNT | Namespace.UTS | Namespace.IPC | Namespace.CGROUP)
        kernel.set_hostname(plan.host.name)
        _enter(plan)
        _assemble(plan)
        provision(plan, Path("/"))
        _close_the_door()
        kernel.forbid_kernel_changes()
        _run_init(plan)
    except BaseException:  # whatever it was: the child of a fork must not go on with its parent's work
        traceback.print_exc()
    os._exit(BOOT_FAILED)


def _redirect(console: Path) -> None:
    """Everything that is printed from here on goes to the host's console."""
    output = os.open(console, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)


def _enter(plan: HostPlan) -> None:
    """Make the host's root the root, with this computer's below it for as long as the host is put together.

    First of all: a link that was deployed to the host then leads where it would on the host, and not into this computer.
    The current folder is the host's folder from here on, and paths in it are relative.
    """
    kernel.mount("none", "/", flags=Mount.PRIVATE | Mount.RECURSIVE)
    os.chdir(plan.paths.folder)
    if plan.base.tree is None:
        Path("disk/root").mkdir(exist_ok=True)
        kernel.mount("disk/root", "root", flags=Mount.BIND)
    else:
        _overlay(str(plan.base.tree), "all", Path("root"))
    os.chdir("root")
    Path(OLD.name).mkdir(exist_ok=True)
    kernel.pivot_root(".", OLD.name)
    os.chroot(".")
    os.chdir(in_old(plan.paths.folder))


def _close_the_door() -> None:
    """Nothing of this computer can be named from here on."""
    os.chdir("/")
    kernel.unmount(OLD)
    OLD.rmdir()


def _assemble(plan: HostPlan) -> None:
    """Mount everything else that the host has."""
    root = Path("/")
    if plan.base.tree is None:
        _programs_of_this_computer(root)
    _own(root)
    have_folder(SHARED)
    kernel.mount(in_old(plan.shared), SHARED, flags=Mount.BIND)
    kernel.mount("none", SHARED, flags=Mount.BIND | Mount.REMOUNT | Mount.READ_ONLY)
    if plan.base.init == "systemd":
        kernel.mount("cgroup2", root / "sys/fs/cgroup", "cgroup2", Mount.NO_SUID | Mount.NO_DEV | Mount.NO_EXEC)
    _devices(root / "dev")
    _pretend_boot(root / "proc")


def _programs_of_this_computer(root: Path) -> None:
    """This computer's `/usr` below an overlay, without `/usr/local`."""
    for top in ("usr", *_TOPS):
        original = OLD / top
        if original.is_symlink():
            if not (root / top).is_symlink():
                (root / top).symlink_to(original.readlink())
        elif original.is_dir():
            have_folder(root / top)
            _overlay(str(original), top, root / top)
    Path("disk/local").mkdir(exist_ok=True)
    have_folder(root / "usr/local")
    kernel.mount("disk/local", root / "usr/local", flags=Mount.BIND)


def _overlay(lower: str, name: str, target: Path) -> None:
    upper, work = Path("disk", f"upper-{name}"), Path("disk", f"work-{name}")
    for folder in (upper, work):
        folder.mkdir(exist_ok=True)
    kernel.mount("overlay", target, "overlay", options=f"lowerdir={lower},upperdir={upper},workdir={work}")


def _own(root: Path) -> None:
    """What every host has for itself: the store, and the file systems that live in memory or in the kernel."""
    for name in ("nix", "proc", "sys", "run", "tmp", "dev"):
        have_folder(root / name)
    Path("disk/nix").mkdir(exist_ok=True)
    kernel.mount("disk/nix", root / "nix", flags=Mount.BIND)
    quiet = Mount.NO_SUID | Mount.NO_DEV | Mount.NO_EXEC
    kernel.mount("proc", root / "proc", "proc", quiet)
    kernel.mount("sysfs", root / "sys", "sysfs", quiet | Mount.READ_ONLY)
    kernel.mount("run", root / "run", "tmpfs", Mount.NO_SUID | Mount.NO_DEV, "mode=755,size=64m")
    kernel.mount("tmp", root / "tmp", "tmpfs", Mount.NO_SUID | Mount.NO_DEV, "mode=1777,size=512m")
    kernel.mount("dev", root / "dev", "tmpfs", Mount.NO_SUID, "mode=755,size=1m")


def _devices(dev: Path) -> None:
    for name in ("pts", "shm"):
        (dev / name).mkdir()
    for name in _NODES:
        (dev / name).touch()
        kernel.mount(OLD / "dev" / name, dev / name, flags=Mount.BIND)
    (dev / "console").touch()
    kernel.mount("console.log", dev / "console", flags=Mount.BIND)
    kernel.mount("devpts", dev / "pts", "devpts", Mount.NO_SUID, "newinstance,ptmxmode=0666,mode=620,gid=5")
    kernel.mount("shm", dev / "shm", "tmpfs", Mount.NO_SUID | Mount.NO_DEV, "mode=1777,size=64m")
    links = {"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1"}
    for name, target in {**links, "stderr": "/proc/self/fd/2"}.items():
        (dev / name).symlink_to(target)


def _pretend_boot(proc: Path) -> None:
    """A boot id of the host's own, new at each boot, and the kernel's settings out of reach."""
    boot_id = Path("boot_id")
    boot_id.write_text(f"{uuid.uuid4()}\n")
    settings = proc / "sys"
    kernel.mount(settings, settings, flags=Mount.BIND)
    kernel.mount("none", settings, flags=Mount.BIND | Mount.REMOUNT | Mount.READ_ONLY)
    kernel.mount(boot_id, settings / "kernel/random/boot_id", flags=Mount.BIND)


def _run_init(plan: HostPlan) -> NoReturn:
    for number in (signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    program, arguments = _INITS[plan.base.init]
    environment = {**INIT_ENVIRONMENT, "container": "clanpy-lab"}
    os.execve(program, [program, *arguments], environment)  # noqa: S606 - to become the program is the point
