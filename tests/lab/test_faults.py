"""Every fault is seen by who talks to the host, and every remedy undoes it."""

import socket
import subprocess
from contextlib import closing

import pytest

from clanpy.lab import HostState, LabHost
from clanpy.lab.errors import FaultError, HostNotRunningError, UnknownHostError
from clanpy.lab.faults import FAULTS
from support.lab import LentLab, wait_for


pytestmark = pytest.mark.lab


def greeting(host: LabHost, seconds: float = 0.5) -> str:
    """What a client sees: `greets`, `silent` (connected, but nothing comes), `refused`, `reset`, `lost` or `unreachable`."""
    try:
        with closing(socket.create_connection((host.address, host.port), seconds)) as sock:
            try:
                return "greets" if sock.recv(4) == b"SSH-" else "reset"
            except TimeoutError:
                return "silent"
    except ConnectionRefusedError:
        return "refused"
    except ConnectionResetError:
        return "reset"
    except TimeoutError:
        return "lost"
    except OSError:
        return "unreachable"


def session(lab: LentLab, host: LabHost, command: str) -> "subprocess.Popen[str]":
    """A command that runs over ssh, and has said its first line."""
    process = subprocess.Popen(
        ["ssh", *lab.ssh_options, f"root@{host.address}", f"echo started; {command}"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    return process


@pytest.fixture
def host(lab: LentLab) -> LabHost:
    lent = lab.host()
    assert greeting(lent) == "greets"
    return lent


@pytest.mark.parametrize(
    ("kind", "seen", "remedy"),
    [
        ("stop-sshd", "silent", "cont-sshd"),
        ("no-sshd", "refused", "sshd"),
        ("freeze", "silent", "thaw"),
        ("linkdown", "lost", "linkup"),
        ("blackhole", "lost", "unblock"),
        ("reject", "refused", "unblock"),
        ("off", "lost", "on"),
        ("loss", "lost", "heal"),
    ],
)
def test_a_fault_is_seen_and_undone(lab: LentLab, host: LabHost, kind: str, seen: str, remedy: str) -> None:
    lab.fault(kind, host, "100" if kind == "loss" else None)
    assert greeting(host) == seen
    lab.fault(remedy, host)
    lab.lab.wait(host.name)
    assert greeting(host) == "greets"


def test_a_host_is_frozen_without_control_groups_too(
    lab: LentLab, host: LabHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clanpy.lab.cgroup.host_group", lambda *_: None)
    lab.fault("freeze", host)
    assert greeting(host) == "silent"
    lab.fault("thaw", host)
    assert greeting(host, 2) == "greets"


def test_killed_sessions_end_at_once_and_new_ones_work(lab: LentLab, host: LabHost) -> None:
    process = session(lab, host, "sleep 100")
    lab.fault("kill-sessions", host)
    assert process.wait(5) == 255
    assert lab.ssh(host, "true").returncode == 0
    process.communicate()


def test_an_open_session_does_not_end_when_the_link_goes(lab: LentLab, host: LabHost) -> None:
    process = session(lab, host, "cat > /run/done")
    lab.fault("linkdown", host)
    assert lab.run_in(host, ["sh", "-c", "ls /run/done"]).returncode == 0  # it goes on there
    lab.fault("linkup", host)
    process.communicate("end", timeout=10)
    assert process.returncode == 0
    assert lab.run_in(host, ["cat", "/run/done"]).stdout == "end"


def test_a_full_disk_takes_nothing_more(lab: LentLab) -> None:
    host = lab.host(disk="60m")
    lab.fault("fill", host)
    assert "No space left" in lab.ssh(host, "echo much > /nix/store/x && cat /nix/store/x").stderr
    lab.fault("nofill", host)
    assert lab.ssh(host, "echo much > /nix/store/x").returncode == 0
    lab.fault("fill", host, "5M")
    assert lab.ssh(host, "head -c 4M /dev/zero > /nix/store/y").returncode == 0


def test_the_disk_of_this_computer_is_not_filled(lab: LentLab, host: LabHost) -> None:
    with pytest.raises(FaultError, match="no disk of its own"):
        lab.fault("fill", host)


def test_a_read_only_store_is_not_written(lab: LentLab, host: LabHost) -> None:
    lab.fault("ro-store", host)
    assert "Read-only file system" in lab.ssh(host, "touch /nix/var/nix/profiles/x").stderr
    lab.fault("rw-store", host)
    assert lab.ssh(host, "touch /nix/var/nix/profiles/x").returncode == 0


def test_a_new_host_key_is_not_the_known_one(lab: LentLab, host: LabHost) -> None:
    lab.fault("newkey", host)
    assert "Host key verification failed" in lab.ssh(host, "true").stderr
    lab.fault("oldkey", host)
    assert lab.ssh(host, "true").returncode == 0


def test_a_killed_daemon_is_started_again(lab: LentLab, host: LabHost) -> None:
    ask = "for i in 1 2 3 4 5 6 7 8 9; do nix store ping --store daemon 2>/dev/null && exit; sleep 0.3; done; exit 1"
    assert lab.ssh(host, ask).returncode == 0
    lab.fault("kill-daemon", host)
    assert lab.ssh(host, ask).returncode == 0


def test_a_reboot_may_take_its_time(lab: LentLab, host: LabHost) -> None:
    before = lab.run_in(host, ["cat", "/proc/sys/kernel/random/boot_id"]).stdout
    lab.fault("reboot", host, "0.7")
    assert greeting(host, 0.2) == "lost"
    lab.lab.wait(host.name)
    assert lab.run_in(host, ["cat", "/proc/sys/kernel/random/boot_id"]).stdout != before


def test_a_host_that_is_off_stays_off(lab: LentLab, host: LabHost) -> None:
    lab.ssh(host, "poweroff")  # it may or may not come to say that it was done
    wait_for(lambda: lab.status(host).state is HostState.OFF)
    with pytest.raises(HostNotRunningError, match="is not running"):
        lab.run_in(host, ["true"])


def test_a_limit_of_speed_slows_down_what_is_sent(lab: LentLab, host: LabHost) -> None:
    lab.fault("rate", host, "20mbit")
    limits = lab.run_in(host, ["tc", "qdisc", "show", "dev", "eth0"]).stdout
    assert "tbf" in limits
    assert "20Mbit" in limits
    lab.fault("norate", host)
    assert "tbf" not in lab.run_in(host, ["tc", "qdisc", "show", "dev", "eth0"]).stdout


def test_a_failed_unit_is_seen_by_systemctl(lab: LentLab, host: LabHost) -> None:
    lab.fault("fail-unit", host, "nginx")
    done = lab.ssh(host, "systemctl is-active nginx.service; systemctl --failed; systemctl is-system-running")
    assert done.stdout.splitlines() == ["failed", "nginx.service loaded failed", "degraded"]
    assert lab.ssh(host, "systemctl restart nginx; systemctl is-active -q nginx").returncode == 0


def test_healing_undoes_everything_at_once(lab: LentLab) -> None:
    host = lab.host(disk="60m")
    for kind in ("newkey", "fill", "ro-store", "rate", "blackhole", "no-sshd", "linkdown", "freeze"):
        lab.fault(kind, host)
    lab.fault("heal", host)
    assert lab.ssh(host, "touch /nix/store/x").returncode == 0


def test_what_makes_no_sense_is_told(lab: LentLab, host: LabHost) -> None:
    with pytest.raises(FaultError, match="no fault 'frieze'") as caught:
        lab.fault("frieze", host)
    assert caught.value.hint == "did you mean 'freeze'?"
    with pytest.raises(FaultError, match="takes no argument"):
        lab.fault("freeze", host, "1")
    with pytest.raises(FaultError, match="'soon' is not a number of seconds"):
        lab.fault("reboot", host, "soon")
    with pytest.raises(UnknownHostError, match="has no host nobody"):
        lab.lab.fault("freeze", "nobody")


def test_every_fault_says_what_it_is() -> None:
    assert all(fault.help for fault in FAULTS.values())
    assert {kind for kind, fault in FAULTS.items() if fault.is_remedy} >= {"heal", "thaw", "linkup", "unblock", "on"}
