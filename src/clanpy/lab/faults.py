"""What can go wrong with a host, done on purpose. Each fault is in effect when the function returns."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from clanpy.errors import nearest
from clanpy.lab import cgroup, control
from clanpy.lab.access import Access, is_listener, is_nix_daemon, is_session, is_sshd
from clanpy.lab.errors import FaultError, LabError
from clanpy.lab.link import Link, clear_link, set_link
from clanpy.lab.process import kill_all
from clanpy.lab.ready import wait_until_ready


_PATIENCE = 20.0
_PAUSE = 0.01
_CHAIN = "CLANPY-LAB"
_FLAGS = "/run/clanpy-lab"
_FILLER = "/nix/filler"
_HOST_KEY = "/etc/ssh/ssh_host_ed25519_key"


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of fault. `argument` says what ARG means; None if there is none. `is_remedy`: it undoes others."""

    apply: Callable[[Access, str | None], None]
    help: str
    argument: str | None = None
    is_remedy: bool = False


def inject(access: Access, kind: str, argument: str | None = None) -> None:
    """Do a fault to a host. Raises FaultError if there is none of this kind, or it can't be done."""
    fault = FAULTS.get(kind)
    if fault is None:
        hint = nearest(kind, FAULTS) or f"there are: {', '.join(FAULTS)}"
        raise FaultError(f"there is no fault {kind!r}", hint=hint)
    if argument is not None and fault.argument is None:
        raise FaultError(f"fault {kind} takes no argument, but was given {argument!r}")
    fault.apply(access, argument)


def _kill_sessions(access: Access, _: str | None) -> None:
    _gone(access, kill_all(access.processes(is_session), seconds=_PATIENCE))


def _kill_daemon(access: Access, _: str | None) -> None:
    _gone(access, kill_all(access.processes(is_nix_daemon), seconds=_PATIENCE))


def _gone(access: Access, left: tuple[object, ...]) -> None:
    if left:
        raise FaultError(f"{len(left)} processes of host {access.host.name} can't be killed")


def _no_sshd(access: Access, _: str | None) -> None:
    access.check(["touch", f"{_FLAGS}/no-sshd"])
    _gone(access, kill_all(access.processes(is_listener), seconds=_PATIENCE))


def _sshd(access: Access, _: str | None) -> None:
    access.check(["rm", "-f", f"{_FLAGS}/no-sshd"])
    wait_until_ready(access.paths, [access.host], _PATIENCE)


def _freeze(access: Access, _: str | None) -> None:
    access.freeze(frozen=True)
    group = cgroup.host_group(access.paths.name, access.host.name)
    if group is not None and group.is_dir():
        _until(access, "frozen", lambda: "frozen 1" in (group / "cgroup.events").read_text())


def _link(access: Access, state: str) -> None:
    access.check_at_bridge(["ip", "link", "set", access.host.link, state])


def _block(access: Access, *rule: str) -> None:
    """Have the host's end of the network treat what arrives as `rule` says, before any rule of its own."""
    with suppress(LabError):  # it may be there already
        access.check_in_network(["iptables", "-w", "-N", _CHAIN])
        for way in ("INPUT", "OUTPUT"):
            access.check_in_network(["iptables", "-w", "-I", way, "-j", _CHAIN])
    access.check_in_network(["iptables", "-w", "-A", _CHAIN, *rule])


def _loss(access: Access, argument: str | None) -> None:
    share = _number(argument or "10", "a percentage") / 100
    _block(access, "-m", "statistic", "--mode", "random", "--probability", f"{share:.4f}", "-j", "DROP")


def _unblock(access: Access, _: str | None) -> None:
    with suppress(LabError):  # there is no such chain: nothing was blocked
        access.check_in_network(["iptables", "-w", "-F", _CHAIN])


def _rate(access: Access, argument: str | None) -> None:
    shape = ["root", "tbf", "rate", argument or "10mbit", "burst", "32kbit", "latency", "200ms"]
    access.check_at_bridge(["tc", "qdisc", "replace", "dev", access.host.link, *shape])
    access.check_in_network(["tc", "qdisc", "replace", "dev", "eth0", *shape])


def _norate(access: Access, _: str | None) -> None:
    with suppress(LabError):  # there was no limit
        access.check_at_bridge(["tc", "qdisc", "del", "dev", access.host.link, "root"])
        access.check_in_network(["tc", "qdisc", "del", "dev", "eth0", "root"])


def _fill(access: Access, argument: str | None) -> None:
    if access.host.disk is None:
        raise FaultError(
            f"host {access.host.name} has no disk of its own to fill: it would be this computer's",
            hint="start it with a small disk: `clanpy lab up --disk 120m`",
        )
    access.run(["sh", "-c", f"cat /dev/zero > {_FILLER}"])
    if argument is not None:
        access.check(["truncate", "-s", f"-{argument}", _FILLER])


def _nofill(access: Access, _: str | None) -> None:
    access.check(["rm", "-f", _FILLER])


def _store(access: Access, mode: str) -> None:
    access.check(["busybox", "mount", "-o", f"remount,{mode},bind", "/nix"])


def _newkey(access: Access, _: str | None) -> None:
    make = f'rm -f {_HOST_KEY} {_HOST_KEY}.pub && ssh-keygen -q -t ed25519 -N "" -f {_HOST_KEY}'
    access.check(["sh", "-c", make])
    _reload_key(access)


def _oldkey(access: Access, _: str | None) -> None:
    key = access.paths.host(access.host.name).key
    access.check(["sh", "-c", f"cat > {_HOST_KEY}"], stdin=key.read_bytes())
    access.check(["sh", "-c", f"cat > {_HOST_KEY}.pub"], stdin=key.with_suffix(".pub").read_bytes())
    _reload_key(access)


def _reload_key(access: Access) -> None:
    """Have sshd read its key again, and wait until it shows it."""
    wanted = access.check(["cat", f"{_HOST_KEY}.pub"]).split()[1]
    access.signal(signal.SIGHUP, is_listener)

    def shows() -> bool:
        with suppress(LabError):
            return wanted in access.check_at_bridge(["ssh-keyscan", "-T", "2", "-t", "ed25519", access.host.address])
        return False

    _until(access, "showing its new key", shows)


def _reboot(access: Access, argument: str | None) -> None:
    access.init()
    control.reboot_host(access.paths, access.host.name, _number(argument or "0", "a number of seconds"))


def _off(access: Access, _: str | None) -> None:
    control.stop_hosts(access.paths, [access.host.name])


def _on(access: Access, _: str | None) -> None:
    control.resume_host(access.paths, access.host.name)
    wait_until_ready(access.paths, [access.host], _PATIENCE)


def _fail_unit(access: Access, argument: str | None) -> None:
    if argument is None:
        raise FaultError("fault fail-unit needs the name of a unit")
    unit = argument if "." in argument else f"{argument}.service"
    if access.run(["test", "-d", "/run/systemd/system"]).returncode == 0:
        access.check(["systemctl", "kill", "--signal=SEGV", unit])
    else:
        access.check(["tee", f"{_FLAGS}/units/{unit}"], stdin=b"failed\n")


def _heal(access: Access, _: str | None) -> None:
    """Undo everything that can be undone, whatever was done."""
    with suppress(LabError):
        access.freeze(frozen=False)
    _link(access, "up")
    control.resume_host(access.paths, access.host.name)
    access.signal(signal.SIGCONT)
    _store(access, "rw")
    clear_link(access)
    for remedy in (_unblock, _norate, _nofill, _sshd):
        remedy(access, None)
    key = access.paths.host(access.host.name).key
    if access.check(["cat", _HOST_KEY]) != key.read_text():
        _oldkey(access, None)


def _number(text: str, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if value < 0:
        raise FaultError(f"{text!r} is not {what}")
    return value


def _until(access: Access, what: str, is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not is_so():
        if time.monotonic() > deadline:
            raise FaultError(f"host {access.host.name} is not {what} after {_PATIENCE:.0f} s")
        time.sleep(_PAUSE)


FAULTS: Mapping[str, Fault] = {
    "kill-sessions": Fault(_kill_sessions, "Kill every ssh session"),
    "stop-sshd": Fault(lambda a, _: a.signal(signal.SIGSTOP, is_sshd), "Stop sshd and its sessions: they hang"),
    "cont-sshd": Fault(lambda a, _: a.signal(signal.SIGCONT, is_sshd), "Continue sshd", is_remedy=True),
    "no-sshd": Fault(_no_sshd, "End sshd's listener: connections are refused"),
    "sshd": Fault(_sshd, "Start sshd again", is_remedy=True),
    "kill-daemon": Fault(_kill_daemon, "Kill the Nix daemon and whatever it does (it is started again)"),
    "freeze": Fault(_freeze, "Stop the whole host"),
    "thaw": Fault(lambda a, _: a.freeze(frozen=False), "Continue the host", is_remedy=True),
    "linkdown": Fault(lambda a, _: _link(a, "down"), "Pull the network cable"),
    "linkup": Fault(lambda a, _: _link(a, "up"), "Plug the network cable in", is_remedy=True),
    "blackhole": Fault(lambda a, _: _block(a, "-j", "DROP"), "Drop every packet"),
    "reject": Fault(
        lambda a, _: _block(a, "-p", "tcp", "--dport", "22", "-j", "REJECT", "--reject-with", "tcp-reset"),
        "Refuse and reset connections to ssh",
    ),
    "loss": Fault(_loss, "Lose packets at random", "percentage, 10 by default"),
    "unblock": Fault(_unblock, "End blackhole, reject and loss", is_remedy=True),
    "rate": Fault(_rate, "Limit the speed of the network", "such as 10mbit, which is the default"),
    "norate": Fault(_norate, "End the limit of speed", is_remedy=True),
    "link": Fault(
        lambda a, argument: set_link(a, Link.parse(argument or "")),
        "Make the network that of a host far away",
        "such as delay=100ms,loss=1%,rate=10mbit (or by --delay and so on)",
    ),
    "nolink": Fault(lambda a, _: clear_link(a), "Make the network an ideal one again", is_remedy=True),
    "fill": Fault(_fill, "Fill the disk (of hosts started with --disk)", "how much to leave free, such as 5M"),
    "nofill": Fault(_nofill, "Remove what filled the disk", is_remedy=True),
    "ro-store": Fault(lambda a, _: _store(a, "ro"), "Make /nix read-only"),
    "rw-store": Fault(lambda a, _: _store(a, "rw"), "Make /nix writable", is_remedy=True),
    "newkey": Fault(_newkey, "Give the host another host key"),
    "oldkey": Fault(_oldkey, "Give the host its own key back", is_remedy=True),
    "reboot": Fault(_reboot, "Cut the power and switch it on again", "seconds to stay off, 0 by default"),
    "off": Fault(_off, "Cut the power"),
    "on": Fault(_on, "Switch the host on", is_remedy=True),
    "fail-unit": Fault(_fail_unit, "Have systemctl call a unit failed", "name of the unit"),
    "heal": Fault(_heal, "Undo all of the above", is_remedy=True),
}
