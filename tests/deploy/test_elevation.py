"""Becoming root on hosts: as the inventory says, with the real sudo, which may want a password."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from clanpy.lab import LabHost
from deploy.rehearsal import Rehearsal


Rehearse = Callable[..., Rehearsal]

PASSWORD = "open sesame"
PAM = "auth required pam_unix.so\naccount required pam_permit.so\nsession required pam_permit.so\n"
PATIENCE = 100
pytestmark = [pytest.mark.lab, pytest.mark.nix]


@dataclass
class Person:
    """Somebody at a terminal at which the program runs, and all that shows on it."""

    process: subprocess.Popen[bytes]
    terminal: int
    shown: bytes = b""

    def sees(self, text: bytes) -> None:
        """Wait until this shows."""
        while text not in self.shown:
            self.shown += self._more()

    def types(self, text: str) -> None:
        os.write(self.terminal, text.encode())

    def end(self) -> int:
        """The exit code, when all has been shown."""
        while more := self._more():
            self.shown += more
        return self.process.wait(PATIENCE)

    def _more(self) -> bytes:
        try:
            return os.read(self.terminal, 4096)
        except OSError:  # Linux's way of telling that nobody has the other end any more
            return b""


@contextmanager
def person(fleet: Rehearsal, *words: str) -> Iterator[Person]:
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "clanpy", *words],
        env={name: value for name, value in fleet.environ.items() if name != "CI"} | {"TERM": "dumb"},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    try:
        yield Person(process, master)
    finally:
        process.kill()
        process.wait()
        os.close(master)


def log_in_as_admin(fleet: Rehearsal, elevation: str = "") -> None:
    """Have the inventory name the account that may become root, and how."""
    text = (fleet.folder / "inventory.toml").read_text().replace("root@", "admin@")
    added = f'"\ndeploy.elevation = "{elevation}"\n' if elevation else '"\n'
    lines = [line + added[1:].rstrip("\n") if "target_host" in line else line for line in text.splitlines()]
    fleet.write("inventory.toml", "\n".join(lines) + "\n")


def write(fleet: Rehearsal, host: LabHost, path: str, text: str, mode: int = 0o644) -> None:
    """Write a file on a host."""
    done = fleet.lab.run_in(
        host,
        [
            "sh",
            "-c",
            'mkdir -p "${1%/*}" && printf %s "$2" > "$1" && chmod "$3" "$1"',
            "write",
            path,
            text,
            f"{mode:o}",
        ],
    )
    assert done.returncode == 0, done.stderr


def want_a_password(fleet: Rehearsal, host: LabHost) -> None:
    """Have sudo on a host want the password of the account."""
    write(fleet, host, "/etc/sudoers", "root ALL=(ALL:ALL) ALL\nadmin ALL=(ALL:ALL) ALL\n", 0o440)
    write(fleet, host, "/etc/pam.d/sudo", PAM)
    done = fleet.lab.run_in(host, ["sh", "-c", f"echo 'admin:{PASSWORD}' | chpasswd -c SHA512"])
    assert done.returncode == 0, done.stderr


def test_a_password_is_asked_for_once_for_all_hosts_and_does_not_show(rehearse: Rehearse) -> None:
    fleet = rehearse(nixos=2)
    log_in_as_admin(fleet)
    for host in fleet.hosts:
        want_a_password(fleet, host)
    with person(fleet, "machines", "update", "-y") as somebody:
        somebody.sees(b"sudo wants a password")
        somebody.types(f"{PASSWORD}\n")
        code = somebody.end()
    assert (code, somebody.shown.count(b"sudo wants a password")) == (0, 1), somebody.shown
    assert PASSWORD.encode() not in somebody.shown
    assert [fleet.greeting(host) for host in fleet.hosts] == ["hello", "hello"]
    for file in (file for file in fleet.folder.parent.rglob("*") if file.is_file()):
        assert PASSWORD.encode() not in file.read_bytes(), file


def test_where_nobody_can_be_asked_a_host_that_wants_a_password_is_told_with_the_remedy(rehearse: Rehearse) -> None:
    fleet = rehearse(nixos=1)
    log_in_as_admin(fleet)
    want_a_password(fleet, fleet.hosts[0])
    done = fleet.clanpy("machines", "update")
    assert done.returncode != 0
    assert "does not let us run commands as another account" in done.stdout + done.stderr
    asked = fleet.clanpy("doctor")
    assert "becomes root with a password (sudo)" in asked.stdout + asked.stderr


@pytest.mark.skipif(not shutil.which("doas"), reason="there is no doas here")
def test_another_way_to_become_root_than_sudo_is_the_one_that_is_declared(rehearse: Rehearse) -> None:
    fleet = rehearse(nixos=1)
    (host,) = fleet.hosts
    write(fleet, host, "/etc/sudoers", "root ALL=(ALL:ALL) ALL\n", 0o440)
    write(fleet, host, "/etc/doas.conf", "permit nopass admin as root\n", 0o400)
    write(fleet, host, "/etc/pam.d/doas", PAM.replace("pam_unix", "pam_permit"))
    log_in_as_admin(fleet)
    assert "CP0525" in fleet.clanpy("machines", "update").stderr
    assert 'might by doas: write deploy.elevation = "doas"' in fleet.clanpy("doctor").stderr
    log_in_as_admin(fleet, "doas")
    done = fleet.clanpy("machines", "update")
    assert (done.returncode, fleet.greeting(host)) == (0, "hello"), done.stderr
    assert fleet.clanpy("doctor").returncode == 0
