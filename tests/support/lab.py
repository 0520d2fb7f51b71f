"""Real hosts for tests.

`lab` (for one test) lends hosts that are as new, and has the test inside their network meanwhile:

    @pytest.mark.lab
    async def test_something(lab: LentLab) -> None:
        host = lab.host()                                # NixOS-like, with an account `admin`
        mac = lab.host(class_="darwin", users=("crs58",))
        small = lab.host(disk="120m")
        first, second = lab.hosts(2)
        ... connect to host.address with lab.identity and lab.known_hosts; lab.fault("reboot", host); lab.run_in(host, ["id"])

All tests of a run share one lab named after the process. It is wiped at the end, and those of dead runs at the start.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from clanpy.lab import HostSpec, HostStatus, Lab, LabHost, LabSpec, down, up
from clanpy.lab.model import HostClass
from clanpy.lab.process import Process
from clanpy.lab.state import known_labs


MEMORY, DISK = Path("/dev/shm"), Path("/var/tmp")
ENOUGH = 4 << 30
DEFAULT_USERS = ("admin",)


class LabPool:
    """The lab of this run. Hosts that were lent before are made as new when they are lent again."""

    def __init__(self) -> None:
        self.name = f"pytest-{os.getpid()}"
        self._idle: list[HostSpec] = []
        self._made = 0

    def lend(self, wanted: Sequence[HostSpec]) -> tuple[HostSpec, ...]:
        """Hosts like these (their names are chosen here), running and as new."""
        reused, new = [], []
        for spec in wanted:
            found = next((idle for idle in self._idle if _same_kind(idle, spec)), None)
            if found is None:
                new.append(self._named(spec))
            else:
                self._idle.remove(found)
                reused.append(found)
        if new:
            up(LabSpec(name=self.name, hosts=tuple(new)))
        if reused:
            Lab.load(self.name).reset(*(spec.name for spec in reused))
        return (*reused, *new)

    def take_back(self, specs: Sequence[HostSpec]) -> None:
        self._idle.extend(specs)

    def _named(self, spec: HostSpec) -> HostSpec:
        self._made += 1
        name = f"{spec.class_[0]}{self._made}"
        return HostSpec(name=name, class_=spec.class_, users=spec.users, disk=spec.disk)


class LentLab:
    """What a test gets: hosts on demand. All of them are of this test alone until it ends."""

    def __init__(self, pool: LabPool) -> None:
        self._pool = pool
        self._lent: list[HostSpec] = []
        self._context = ExitStack()

    def host(
        self, *, class_: HostClass = "nixos", users: tuple[str, ...] = DEFAULT_USERS, disk: str | None = None
    ) -> LabHost:
        """A host as new. From the first one on, the test is inside the lab's network."""
        return self.hosts(1, class_=class_, users=users, disk=disk)[0]

    def hosts(
        self,
        count: int,
        *,
        class_: HostClass = "nixos",
        users: tuple[str, ...] = DEFAULT_USERS,
        disk: str | None = None,
    ) -> tuple[LabHost, ...]:
        """Several hosts of one kind, started at once."""
        wanted = [HostSpec(name="any", class_=class_, users=users, disk=disk)] * count
        specs = self._pool.lend(wanted)
        if not self._lent:
            self._context.enter_context(self.lab.inside())
        self._lent.extend(specs)
        lab = self.lab
        return tuple(lab.host(spec.name) for spec in specs)

    @property
    def lab(self) -> Lab:
        """The lab itself: faults, status, environment."""
        return Lab.load(self._pool.name)

    @property
    def name(self) -> str:
        """The lab's name, for `--lab=NAME`."""
        return self._pool.name

    @property
    def identity(self) -> Path:
        return self.lab.environment.identity

    @property
    def known_hosts(self) -> Path:
        return self.lab.environment.known_hosts

    def fault(self, kind: str, host: LabHost, argument: str | None = None) -> None:
        """Do a fault to a host (see clanpy.lab.faults)."""
        self.lab.fault(kind, host.name, argument)

    def run_in(self, host: LabHost, argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run a program on a host as its root, not over ssh."""
        return self.lab.run_in(host.name, argv)

    def status(self, host: LabHost) -> HostStatus:
        """How a host is now."""
        return next(found for found in self.lab.status().hosts if found.host.name == host.name)

    def ssh(self, host: LabHost, command: str, *, user: str = "root") -> subprocess.CompletedProcess[str]:
        """Run a command over OpenSSH, as a user would."""
        return subprocess.run(
            ["ssh", *self.ssh_options, f"{user}@{host.address}", command],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )

    @property
    def ssh_options(self) -> tuple[str, ...]:
        """Options for an OpenSSH client that is inside the lab's network."""
        return (
            "-F", "none", "-i", str(self.identity), "-o", f"UserKnownHostsFile={self.known_hosts}",
            "-o", "GlobalKnownHostsFile=none", "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
            "-o", "ConnectTimeout=5", "-o", "KexAlgorithms=curve25519-sha256",
        )  # fmt: skip

    def close(self) -> None:
        self._context.close()
        self._pool.take_back(self._lent)


def _same_kind(one: HostSpec, other: HostSpec) -> bool:
    return (one.class_, one.users, one.disk) == (other.class_, other.users, other.disk)


def wait_for(condition: Callable[[], object], seconds: float = 20) -> None:
    """Wait for something that happens by itself."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.002)


def reap_dead_runs() -> None:
    """Wipe the labs of test runs that were killed."""
    for name in known_labs():
        run = re.fullmatch(r"pytest-(\d+)(-.*)?", name)
        if run and Process.of(int(run[1])) is None:
            down(name, wipe=True)


def roomy_folder() -> Path:
    """Where test labs live: in memory where there is enough of it, for they are made and wiped all the time."""
    has_memory = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ENOUGH
    return (MEMORY if has_memory else DISK) / "clanpy-test-labs"


@pytest.fixture(scope="session")
def labs_folder() -> Iterator[Path]:
    """The folder of this run's labs: never that of the labs a user has. Skips where there can be no lab."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("a lab needs Linux and root")
    with pytest.MonkeyPatch.context() as patch:
        for folder in (DISK / "clanpy-test-labs", roomy_folder()):
            patch.setenv("CLANPY_LAB_DIR", str(folder))
            reap_dead_runs()
        yield folder


@pytest.fixture(scope="session")
def lab_pool(labs_folder: Path) -> Iterator[LabPool]:
    """The lab that all tests of this run share."""
    pool = LabPool()
    try:
        yield pool
    finally:
        down(pool.name, wipe=True)


@pytest.fixture
def lab(lab_pool: LabPool) -> Iterator[LentLab]:
    """Hosts for one test."""
    lent = LentLab(lab_pool)
    try:
        yield lent
    finally:
        lent.close()


@pytest.fixture
def own_lab_name(labs_folder: Path) -> Iterator[Callable[[str], str]]:
    """Names for labs of the test's own, which are wiped at its end."""
    given: list[str] = []

    def name(suffix: str) -> str:
        given.append(f"pytest-{os.getpid()}-{suffix}")
        return given[-1]

    try:
        yield name
    finally:
        for each in given:
            down(each, wipe=True)
