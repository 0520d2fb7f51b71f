"""The lab's hosts, seen as a deployment sees them: over ssh."""

import os
import subprocess
from pathlib import Path

import pytest

from clanpy.lab import LabHost
from clanpy.lab.handle import NIX_CONFIG
from support.lab import LentLab, wait_for


pytestmark = pytest.mark.lab


def said(lab: LentLab, host: LabHost, command: str, user: str = "root") -> list[str]:
    done = lab.ssh(host, command, user=user)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_root_logs_in_and_finds_nix(lab: LentLab) -> None:
    host = lab.host()
    name, hostname, version = said(lab, host, "id -un; hostname; nix-store --version")
    assert (name, hostname) == ("root", host.name)
    assert version.startswith("nix-store (Nix)")


def test_an_account_becomes_root_without_a_password(lab: LentLab) -> None:
    host = lab.host(users=("cameron", "root"))
    assert said(lab, host, "id -un; pwd; sudo -n id -un", user="cameron") == ["cameron", "/home/cameron", "root"]


def test_a_stranger_is_not_let_in(lab: LentLab, tmp_path: Path) -> None:
    host = lab.host()
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    options = [str(key) if word == str(lab.identity) else word for word in lab.ssh_options]
    done = subprocess.run(
        ["ssh", *options, f"root@{host.address}", "true"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 255
    assert "Permission denied" in done.stderr


def test_a_nixos_host_has_the_marks_of_one(lab: LentLab) -> None:
    host = lab.host()
    assert said(
        lab, host, "uname -s; . /etc/os-release; echo $ID; test -e /etc/NIXOS && systemctl is-system-running"
    ) == [
        "Linux",
        "nixos",
        "running",
    ]


def test_a_darwin_host_has_the_marks_of_one(lab: LentLab) -> None:
    host = lab.host(class_="darwin", users=("crs58",))
    lines = said(
        lab,
        host,
        "uname; uname -m; uname -sm; uname -a; sw_vers -productName; scutil --get LocalHostName; pwd",
        "crs58",
    )
    assert lines[:3] == ["Darwin", "arm64", "Darwin arm64"]
    assert lines[3].startswith(f"Darwin {host.name} ")
    assert lines[3].endswith(" arm64")
    assert lines[4:] == ["macOS", host.name, "/Users/crs58"]
    assert said(lab, host, "dscl . -read /Users/crs58 NFSHomeDirectory UniqueID", "crs58") == [
        "NFSHomeDirectory: /Users/crs58",
        "UniqueID: 501",
    ]
    assert lab.ssh(host, "systemctl status").returncode == 127
    assert lab.ssh(host, "test -e /etc/NIXOS").returncode == 1


def test_a_darwin_host_builds_for_its_own_system(lab: LentLab) -> None:
    host = lab.host(class_="darwin", users=("crs58",))
    drv = 'derivation { name = "x"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo hi > $out" ]; }'
    command = f"nix eval --raw --impure --expr builtins.currentSystem; echo; cat $(nix-build --no-out-link -E '{drv}')"
    assert said(lab, host, command, "crs58") == ["aarch64-darwin", "hi"]


@pytest.mark.nix
def test_a_store_path_is_copied_to_a_host(lab: LentLab, tmp_path: Path) -> None:
    host = lab.host()
    (tmp_path / "file").write_text("from far away\n")
    environment = {
        **os.environ,
        "NIX_CONFIG": "\n".join(NIX_CONFIG),
        "NIX_SSHOPTS": " ".join(lab.ssh_options),
        "HOME": str(tmp_path),
    }
    store = f"local?root={tmp_path}/here"
    added = subprocess.run(
        ["nix", "--store", store, "store", "add-path", str(tmp_path / "file")],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    path = added.stdout.strip()
    subprocess.run(
        ["nix", "copy", "--from", store, "--to", f"ssh-ng://admin@{host.address}", path],
        env=environment, check=True, timeout=30,
    )  # fmt: skip
    assert said(lab, host, f"cat {path}; nix-store --check-validity {path}") == ["from far away"]


def test_booting_activates_the_system_of_the_profile(lab: LentLab) -> None:
    host = lab.host()
    system = "/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-nixos-system"
    activate = "#!/bin/sh\necho activated > /etc/activated\nln -sfn $(dirname $(readlink -f $0)) /run/current-system\n"
    script = f"""
        mkdir -p {system}; cat > {system}/activate; chmod +x {system}/activate
        ln -s {system} /nix/var/nix/profiles/system-1-link; ln -s system-1-link /nix/var/nix/profiles/system
    """
    assert lab.lab.run_in(host.name, ["sh", "-c", script], stdin=activate.encode()).returncode == 0
    assert lab.ssh(host, "readlink /run/current-system").returncode == 1
    lab.fault("reboot", host)
    lab.lab.wait(host.name)
    lines = said(lab, host, "cat /etc/activated; readlink /run/current-system /run/booted-system")
    assert lines == ["activated", system, system]


@pytest.mark.parametrize("how", ["ssh", "power"])
def test_a_reboot_gives_a_new_boot_id_and_keeps_the_disk(lab: LentLab, how: str) -> None:
    host = lab.host()
    (before,) = said(lab, host, "touch /etc/kept /run/lost; cat /proc/sys/kernel/random/boot_id")
    boots = lab.status(host).boots
    if how == "ssh":
        lab.ssh(host, "reboot")
    else:
        lab.fault("reboot", host)
    wait_for(lambda: lab.status(host).boots == boots + 1)
    lab.lab.wait(host.name)
    (after,) = said(lab, host, "test -e /etc/kept && ! test -e /run/lost && cat /proc/sys/kernel/random/boot_id")
    assert after != before


def test_a_host_sees_nothing_private_of_this_computer(lab: LentLab, tmp_path: Path) -> None:
    host = lab.host()
    (tmp_path / "secret").write_text("x")
    folders = [
        str(tmp_path),
        "/root/.bash_history",
        "/var/lib/dpkg",
        "/var/lib/clanpy",
        "/usr/local/bin",
        "/etc/clanpy",
    ]
    assert lab.ssh(host, f"ls -d {' '.join(folders)}").stdout == ""
    mine = {line.split(":")[0] for line in Path("/etc/passwd").read_text().splitlines()}
    theirs = {line.split(":")[0] for line in said(lab, host, "cat /etc/passwd")}
    assert theirs - mine <= {"admin", "nixbld1", "nixbld2", "sshd"}
    visible = [int(pid) for pid in said(lab, host, "ls /proc | grep -x '[0-9]*'")]
    assert os.getpid() not in visible
    assert max(visible) < 1000


def test_a_host_reaches_its_neighbours_and_nobody_else(lab: LentLab) -> None:
    one, other = lab.hosts(2)
    assert said(lab, one, f"bash -c 'head -c 4 < /dev/tcp/{other.name}/22'") == ["SSH-"]
    assert said(lab, one, "ip route | cut -d' ' -f1") == ["10.77.0.0/16"]
    assert "unreachable" in lab.ssh(one, "bash -c 'echo > /dev/tcp/192.0.2.1/53'").stderr


def test_a_hosts_root_cannot_change_the_kernel(lab: LentLab) -> None:
    host = lab.host()
    for forbidden in (
        "echo 0 > /proc/sys/kernel/pid_max",
        "echo 1 > /sys/kernel/profiling",
        "mknod /tmp/disk b 8 0",
        "date -s 2001-01-01",
    ):
        assert lab.ssh(host, forbidden).returncode != 0, forbidden


def test_a_lent_host_is_as_new(lab: LentLab) -> None:
    first = lab.host(users=("marker",))
    said(lab, first, "touch /etc/dirt /nix/store/dirt")
    lab.fault("newkey", first)
    lab.fault("linkdown", first)
    lab.lab.reset(first.name)
    assert said(lab, first, "ls -d /etc/dirt /nix/store/dirt 2>/dev/null; id -un", "marker") == ["marker"]
