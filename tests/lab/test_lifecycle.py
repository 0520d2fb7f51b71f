"""Labs come and go without a trace, whatever happens in between."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from clanpy.lab import HostSpec, HostState, Lab, LabSpec, down, status, up
from clanpy.lab import cgroup as groups
from clanpy.lab.errors import LabNameTakenError, LabNotRunningError, LabSpecError, NoSpaceError, ProgramMissingError
from clanpy.lab.process import Process, inside
from clanpy.lab.state import Paths
from support.lab import LentLab, wait_for


pytestmark = pytest.mark.lab

Name = Callable[[str], str]
A, B = HostSpec(name="a"), HostSpec(name="b", class_="darwin", users=("crs58",))


def processes_of(name: str) -> set[Process]:
    """Every process of a running lab."""
    found = status(name)
    pids = {pid for host in found.hosts if host.pid is not None for pid in inside(host.pid)}
    return {process for pid in {found.keeper or 0, *pids} if (process := Process.of(pid)) is not None}


def traces_of(name: str) -> list[str]:
    """What there is of a lab in the kernel and in /run, apart from processes."""
    found = [path for path in (Path("/run/netns", f"clanpy-{name}"), Paths.of(name).keeper_socket) if path.exists()]
    group = groups.lab_group(name)
    if group is not None and group.exists():
        found.append(group)
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if name in line]
    return [*map(str, found), *mounts]


def starting(name: str, *hosts: str) -> "subprocess.Popen[bytes]":
    """A process of its own that brings a lab up."""
    program = (
        "import sys; from clanpy.lab import HostSpec, LabSpec, up;"
        "up(LabSpec(name=sys.argv[1], hosts=tuple(HostSpec(name=n) for n in sys.argv[2:])))"
    )
    return subprocess.Popen([sys.executable, "-c", program, name, *hosts], stderr=subprocess.PIPE)


def test_down_leaves_nothing_behind(own_lab_name: Name) -> None:
    name = own_lab_name("gone")
    interfaces = {entry.name for entry in Path("/sys/class/net").iterdir()}
    up(LabSpec(name=name, hosts=(A, B, HostSpec(name="c", disk="50m"))))
    assert {entry.name for entry in Path("/sys/class/net").iterdir()} == interfaces
    processes = processes_of(name)
    assert len(processes) >= 1 + 3 * 3  # the keeper; init, sshd and the Nix daemon of each
    assert down(name, wipe=True)
    assert not any(process.lives() for process in processes)
    assert traces_of(name) == []
    assert not Paths.of(name).folder.exists()
    assert not Paths.of(name).lock.exists()
    assert not down(name, wipe=True)


def test_up_keeps_what_runs_and_adds_what_is_missing(own_lab_name: Name) -> None:
    name = own_lab_name("more")
    up(LabSpec(name=name, hosts=(A,)))
    before = {host.host.name: host.pid for host in status(name).hosts}
    lab = up(LabSpec(name=name, hosts=(A, B)))
    after = {host.host.name: host for host in status(name).hosts}
    assert after["a"].pid == before["a"]
    assert after["b"].state is HostState.RUNNING
    assert {host.address for host in lab.environment.hosts.values()} == {"10.77.1.1", "10.77.1.2"}


def test_a_new_account_comes_to_a_host_that_runs(own_lab_name: Name) -> None:
    name = own_lab_name("account")
    up(LabSpec(name=name, hosts=(HostSpec(name="a", users=("one",)),)))
    lab = up(LabSpec(name=name, hosts=(HostSpec(name="a", users=("two",)),)))
    assert lab.environment.hosts["a"].users == ("one", "two")
    assert lab.run_in("a", ["id", "-un", "two"]).stdout == "two\n"


def test_a_link_on_a_host_does_not_lead_into_this_computer(own_lab_name: Name, tmp_path: Path) -> None:
    name = own_lab_name("link")
    lab = up(LabSpec(name=name, hosts=(A,)))
    lab.run_in("a", ["sh", "-c", f"rm -r /etc/nix; ln -s {tmp_path} /etc/nix"])
    lab = up(LabSpec(name=name, hosts=(HostSpec(name="a", users=("new",)),)))  # which writes nix.conf anew
    assert "new" in lab.run_in("a", ["cat", "/etc/nix/nix.conf"]).stdout
    assert list(tmp_path.iterdir()) == []


def test_disks_keys_and_addresses_outlive_down_but_not_wipe(own_lab_name: Name) -> None:
    name = own_lab_name("kept")
    lab = up(LabSpec(name=name, hosts=(A,)))
    lab.run_in("a", ["touch", "/etc/deployed"])
    keys = [lab.environment.known_hosts.read_text(), lab.environment.identity.read_text()]
    down(name)
    assert [host.state for host in status(name).hosts] == [HostState.OFF]
    with pytest.raises(LabNotRunningError, match="not running"):
        Lab.load(name)
    lab = up(LabSpec(name=name, hosts=(A,)))
    assert [lab.environment.known_hosts.read_text(), lab.environment.identity.read_text()] == keys
    assert lab.run_in("a", ["ls", "/etc/deployed"]).returncode == 0
    down(name, wipe=True)
    with pytest.raises(LabNotRunningError, match="there is no lab"):
        status(name)


def test_labs_do_not_disturb_each_other(own_lab_name: Name) -> None:
    one, other = own_lab_name("one"), own_lab_name("other")
    up(LabSpec(name=one, hosts=(A,)))
    lab = up(LabSpec(name=other, hosts=(A,)))
    lab.run_in("a", ["touch", "/etc/other"])
    assert Lab.load(one).run_in("a", ["ls", "/etc/other"]).returncode != 0
    down(one, wipe=True)
    assert status(other).running
    lab.wait("a")


@pytest.mark.parametrize("moment", ["lab.json", "keeper.log", "keeper.json", "hosts/a/console.log"])
def test_down_cleans_up_after_an_up_that_was_killed(own_lab_name: Name, moment: str) -> None:
    name = own_lab_name("killed")
    folder = Paths.of(name).folder
    process = starting(name, "a", "b")
    wait_for((folder / moment).exists)
    process.kill()
    process.communicate()
    members = [Process.of(pid) for pid in groups.members(groups.lab_group(name))]
    down(name, wipe=True)
    assert not any(member is not None and member.lives() for member in members)
    assert traces_of(name) == []
    assert not folder.exists()


@pytest.mark.parametrize("moment", ["keeper.log", "hosts/a/console.log"])
def test_up_repairs_what_a_killed_up_left(own_lab_name: Name, moment: str) -> None:
    name = own_lab_name("repaired")
    process = starting(name, "a")
    wait_for((Paths.of(name).folder / moment).exists)
    process.kill()
    process.communicate()
    assert up(LabSpec(name=name, hosts=(A,))).run_in("a", ["true"]).returncode == 0


def test_up_repairs_a_lab_whose_keeper_was_killed(own_lab_name: Name) -> None:
    name = own_lab_name("orphan")
    up(LabSpec(name=name, hosts=(A,)))
    processes, keeper = processes_of(name), status(name).keeper
    assert keeper is not None
    os.kill(keeper, signal.SIGKILL)
    wait_for(lambda: not any(process.lives() for process in processes))  # its hosts died with it
    assert not status(name).running
    lab = up(LabSpec(name=name, hosts=(A,)))
    with lab.inside():
        assert lab.run_in("a", ["true"]).returncode == 0


def test_down_copes_with_half_of_the_parts_gone(own_lab_name: Name) -> None:
    name = own_lab_name("half")
    up(LabSpec(name=name, hosts=(A,)))
    processes, paths = processes_of(name), Paths.of(name)
    subprocess.run(["umount", paths.network], check=True)
    for path in (paths.network, paths.keeper_socket, paths.keeper, paths.state):
        path.unlink()
    paths.host("a").console.unlink()
    down(name, wipe=True)
    assert not any(process.lives() for process in processes)
    assert traces_of(name) == []


def test_interrupting_up_leaves_nothing_running(own_lab_name: Name) -> None:
    name = own_lab_name("interrupted")
    process = starting(name, "a", "b", "c")
    wait_for((Paths.of(name).folder / "keeper.log").exists)
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode != 0
    assert traces_of(name) == []
    assert status(name).keeper is None


def test_two_at_once_bring_up_one_lab(own_lab_name: Name) -> None:
    name = own_lab_name("twice")
    both = [starting(name, "a"), starting(name, "a", "b")]
    assert [(process.communicate(), process.returncode)[1] for process in both] == [0, 0]
    assert status(name).running
    assert len(status(name).hosts) == 2


@pytest.mark.parametrize("request_", [b"", b"nonsense\n", b'{"do": "start", "plans": [{}]}\n'])
def test_a_lab_outlives_whoever_talks_nonsense_to_it(own_lab_name: Name, request_: bytes) -> None:
    name = own_lab_name("nonsense")
    lab = up(LabSpec(name=name, hosts=(A,)))
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(Paths.of(name).keeper_socket))
        sock.sendall(request_)
    lab.fault("reboot", "a")  # answered, and after the other
    assert status(name).running


def test_a_name_is_taken_by_one_folder(own_lab_name: Name, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    name = own_lab_name("taken")
    up(LabSpec(name=name, hosts=(A,)))
    with monkeypatch.context() as patch:
        patch.setenv("CLANPY_LAB_DIR", str(tmp_path))
        for action in (lambda: up(LabSpec(name=name, hosts=(A,))), lambda: down(name)):
            with pytest.raises(LabNameTakenError, match="is running from"):
                action()
    assert status(name).running


def test_a_host_does_not_change_its_class(own_lab_name: Name) -> None:
    name = own_lab_name("class")
    up(LabSpec(name=name, hosts=(A,)))
    with pytest.raises(LabSpecError, match="another class"):
        up(LabSpec(name=name, hosts=(HostSpec(name="a", class_="darwin"),)))
    assert status(name).running


def test_a_full_disk_is_told_as_that(own_lab_name: Name) -> None:
    with pytest.raises(NoSpaceError, match="no space left"):
        up(LabSpec(name=own_lab_name("full"), hosts=(HostSpec(name="a", disk="4k"),)))
    assert traces_of(own_lab_name("full")) == []


def test_a_missing_program_is_told_with_its_package(
    own_lab_name: Name, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("clanpy.lab.base.SYSTEM_PATH", str(tmp_path))
    with pytest.raises(ProgramMissingError, match="the lab needs ip") as caught:
        up(LabSpec(name=own_lab_name("bare"), hosts=(A,)))
    assert "iproute2" in str(caught.value.hint)


def test_entering_is_for_good_and_being_inside_is_not(own_lab_name: Name) -> None:
    name = own_lab_name("enter")
    up(LabSpec(name=name, hosts=(A,)))
    program = """
import os, socket, sys
from clanpy.lab import Lab
lab = Lab.load(sys.argv[1])
home = os.readlink("/proc/self/ns/net")
with lab.inside():
    assert os.readlink("/proc/self/ns/net") != home
assert os.readlink("/proc/self/ns/net") == home
lab.enter()
print(socket.create_connection((lab.host("a").address, 22), 5).recv(4).decode())
"""
    done = subprocess.run([sys.executable, "-c", program, name], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("SSH-\n", "")


def test_status_is_data(lab: LentLab) -> None:
    host = lab.host(disk="60m")
    found = json.loads(json.dumps(lab.lab.status().to_dict()))
    assert found["namespace"] == f"clanpy-{lab.name}"
    (entry,) = [entry for entry in found["hosts"] if entry["name"] == host.name]
    assert entry["state"] == "running"
    assert (entry["class"], entry["address"], entry["port"], entry["disk"]) == ("nixos", host.address, 22, "60m")
