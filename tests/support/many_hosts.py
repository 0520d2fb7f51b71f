"""A fleet of many hosts of a lab, some of which go wrong, and the program that rolls out to it: watched from outside while it runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

from clanpy.lab import HostSpec, Lab, LabSpec, up


FLAKE = """{
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";
  inputs.nix-darwin.url = "github:nix-darwin/nix-darwin";
  inputs.home-manager.url = "github:nix-community/home-manager";
  outputs = inputs: { };
}
"""
ROLLOUT = """
[rollout.default]
canary = {{ hosts = 1, select = "{canary}" }}
waves = ["10%"]
max_unavailable = "50%"
budget = {{ failed = "{failed}" }}
"""
BROKEN = '{ system.activationScripts.broken.text = "echo something is broken here; exit 3"; }\n'
BEFORE = frozenset({"off"})  # what is so before the run; all else happens when the activation of a host begins
KINDS = ("broken", "linkdown", "off", "kill-sessions", "broken", "reboot")
FAILED = frozenset({"failed", "rolled_back"})
NOT_WELL = FAILED | {"unreachable", "locked"}
CONFIRM_WITHIN = 20
LOOK_EVERY = 0.05
PATIENCE = 900.0


def faults_of(names: Sequence[str], kinds: Sequence[str] = KINDS) -> dict[str, str]:
    """What goes wrong on every tenth host (on the last one where there are fewer), by turns. Never on the first: it is the canary."""
    chosen = names[9::10] or names[-1:]
    return {name: kinds[n % len(kinds)] for n, name in enumerate(chosen)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A run of the program: seconds, seconds of processors (its own, and of all that it started), bytes and files at most."""

    exit_code: int
    wall: float
    own_cpu: float
    cpu: float
    memory: int
    files: int
    events: Sequence[Mapping[str, Any]]
    result: Mapping[str, Any]
    complaints: str

    @property
    def outcomes(self) -> Counter[str]:
        return Counter(str(host["outcome"]) for host in self.result["hosts"].values())

    def of_kind(self, *kinds: str) -> list[Mapping[str, Any]]:
        """The events of some kinds, in order."""
        return [event for event in self.events if event["event"] in kinds]


@dataclass(slots=True)
class Watch:
    """Looks at a process from outside, as often as it does no harm."""

    pid: int
    memory: int = 0
    files: int = 0
    cpu: float = 0.0

    def look(self) -> None:
        root = Path("/proc") / str(self.pid)
        try:
            self.files = max(self.files, sum(1 for _ in (root / "fd").iterdir()))
            status = dict(line.split(":", 1) for line in (root / "status").read_text().splitlines())
            self.memory = max(self.memory, int(status["VmHWM"].split()[0]) * 1024)
            fields = (root / "stat").read_text().rpartition(")")[2].split()
            self.cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except (OSError, KeyError):
            return  # it has ended

    def until(self, end: threading.Event) -> None:
        while not end.wait(LOOK_EVERY):
            self.look()


@dataclass(slots=True)
class ManyHosts:
    """The lab, the fleet in `folder`, and where its state and cache are."""

    folder: Path
    lab: Lab
    names: tuple[str, ...]
    faults: dict[str, str] = field(default_factory=dict)

    @classmethod
    def up(cls, folder: Path, lab: str, count: int) -> Self:
        """So many hosts, running; the fleet that they are the machines of."""
        names = tuple(f"h{n:03}" for n in range(1, count + 1))
        running = up(LabSpec(name=lab, hosts=tuple(HostSpec(name=name) for name in names)))
        found = cls(folder, running, names)
        found.write("flake.nix", FLAKE)
        found.greet("hello")
        found.inventory("")
        return found

    def write(self, name: str, text: str) -> None:
        path = self.folder / "fleet" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def greet(self, text: str) -> None:
        """Change what all machines share, to something that no store has yet."""
        unique = f"{text} {uuid.uuid4()}"
        self.write("modules/system/base.nix", f'{{ environment.etc."greeting".text = "{unique}"; }}\n')

    def inventory(self, rollout: str) -> None:
        """Write the inventory, with a rollout or without one."""
        machines = "".join(
            f'[machines.{name}]\nclass = "nixos"\nsystem = "x86_64-linux"\ndeploy.target_host = "root@{name}"\n'
            for name in self.names
        )
        self.write(
            "inventory.toml", f'[meta]\nname = "many"\n\n[tags]\nall = {{ imports = ["base"] }}\n\n{machines}{rollout}'
        )

    def go_wrong(self, faults: Mapping[str, str]) -> None:
        """Have these hosts go wrong from the next run on."""
        self.faults = dict(faults)
        for name, kind in faults.items():
            if kind == "broken":
                self.write(f"machines/{name}/configuration.nix", BROKEN)
            elif kind in BEFORE:
                self.lab.fault(kind, name)

    def roll_out(self, text: str, faults: Mapping[str, str], failed: str) -> Ran:
        """Change what all machines share, and roll that out in waves of one, a tenth and the rest; so many may fail."""
        self.greet(text)
        self.inventory(ROLLOUT.format(canary=self.names[0], failed=failed))
        self.go_wrong(faults)
        return self.clanpy("machines", "update", "-y", f"--confirm-timeout={CONFIRM_WITHIN}")

    def heal(self) -> None:
        """Mend everything that went wrong."""
        for name, kind in self.faults.items():
            if kind == "broken":
                self.write(f"machines/{name}/configuration.nix", "{ }\n")
            elif kind == "off":
                self.lab.fault("on", name)
            else:
                self.lab.fault("heal", name)
        if self.faults:
            self.lab.wait(*self.faults)
        self.faults = {}

    def clanpy(self, *words: str) -> Ran:
        """Run the program on the fleet, with events as JSON; do to hosts what is to happen to them meanwhile."""
        environ = {
            **{name: value for name, value in os.environ.items() if name != "CI"},
            "CLANPY_FLEET": str(self.folder / "fleet"),
            "CLANPY_LAB": self.lab.name,
            "CLANPY_STATE": str(self.folder / "state"),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
        }
        began = time.perf_counter()
        with (self.folder / "complaints").open("w+") as complaints:
            process = subprocess.Popen(
                [sys.executable, "-m", "clanpy", *words, "--json"],
                env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=complaints, text=True,
            )  # fmt: skip
            watch, end = Watch(process.pid), threading.Event()
            watcher = threading.Thread(target=watch.until, args=(end,))
            watcher.start()
            try:
                printed = self._follow(process)
            except BaseException:
                process.kill()
                raise
            finally:
                end.set()
                watcher.join()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            complaints.seek(0)
            said = complaints.read()
        return Ran(
            exit_code=process.returncode,
            wall=time.perf_counter() - began,
            own_cpu=watch.cpu,
            cpu=usage.ru_utime + usage.ru_stime,
            memory=watch.memory,
            files=watch.files,
            events=printed[:-1],
            result=printed[-1] if printed else {},
            complaints=said,
        )

    def _follow(self, process: subprocess.Popen[str]) -> list[dict[str, Any]]:
        assert process.stdout is not None
        with process.stdout:
            return [self._meet(line) for line in process.stdout]

    def _meet(self, line: str) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(line)
        kind = self.faults.get(event.get("host") or "")
        begins = event.get("event") == "stage_started" and event["stage"] == "activate"
        if begins and kind is not None and kind not in BEFORE and kind != "broken":
            self.lab.fault(kind, event["host"])
        return event

    def status(self) -> dict[str, dict[str, Any]]:
        """What the program says of every machine, when all guards have come to their end."""
        deadline = time.monotonic() + PATIENCE
        while True:
            found = self._status()
            busy = [name for name, host in found.items() if host["locked_by"] is not None]
            if not busy or time.monotonic() > deadline:
                return found

    def _status(self) -> dict[str, dict[str, Any]]:
        environ = {
            **os.environ,
            "CLANPY_FLEET": str(self.folder / "fleet"),
            "CLANPY_LAB": self.lab.name,
            "CLANPY_STATE": str(self.folder / "state"),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
        }
        words = [sys.executable, "-m", "clanpy", "machines", "status", "--json"]
        done = subprocess.run(words, env=environ, capture_output=True, text=True, check=True, timeout=PATIENCE)
        return {host["name"]: host for host in json.loads(done.stdout)["machines"]}


def what_is_wrong_with(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Machines that can't be asked, are locked, or are between two systems."""
    wrong = []
    for name, host in found.items():
        if not host["reachable"]:
            wrong.append(f"{name} is not reached: {host['error']}")
        elif host["locked_by"]:
            wrong.append(f"{name} is locked by {host['locked_by']}")
        elif host["running"] is None or host["running"] != host["profile"]:
            wrong.append(f"{name} runs {host['running']}, and its profile is {host['profile']}")
    return wrong


def where_it_has_to_stop(ran: Ran, failed: Fraction) -> int | None:
    """The number of the event after which a rollout has to stop, by the arithmetic of the budget alone; None: it never has to.

    `failed`: the share of a wave, and of all machines that change, that may fail at most. In the canary nothing may.
    """
    waves: list[Mapping[str, Any]] = []
    wave_of: dict[str, int] = {}
    at, in_run, in_wave, total = -1, 0, Counter[int](), 0
    lost: list[str] = []
    for event in ran.events:
        if event["event"] == "rollout_planned":
            waves = event["waves"]["waves"]
            wave_of = {name: n for n, one in enumerate(waves) for name in one["hosts"]}
            total = len(wave_of) + len(lost)
        elif event["event"] == "wave_started":
            at = event["wave"]
        elif event["event"] == "host_finished" and event["outcome"] in NOT_WELL and not waves:
            lost.append(event["host"])
            in_run += event["outcome"] in FAILED
        elif event["event"] == "host_finished" and event["outcome"] in FAILED:
            in_run += 1
            in_wave[wave_of[event["host"]]] += 1
        if at < 0:
            continue
        here = 0 if waves[at]["canary"] else failed * len(waves[at]["hosts"])
        if in_wave[at] > here or in_run > failed * total:
            return int(event["seq"])
    return None


def how_it_went_on(ran: Ran, stop: int | None) -> Iterable[str]:
    """What contradicts that it stopped exactly there: a stop elsewhere or none, a host begun afterwards."""
    stops = [event["seq"] for event in ran.of_kind("rollout_stopped")]
    if (stop is None) != (not stops):
        yield f"it had to stop at {stop}, and stopped at {stops}"
    if stop is None or not stops:
        return
    begun = [event["seq"] for event in ran.of_kind("host_admitted")]
    yield from (f"a host was begun at {seq}, after it had to stop at {stop}" for seq in begun if seq > stop)
    between = [event for event in ran.events if stop < event["seq"] < stops[0] and event["event"] == "wave_started"]
    yield from (f"a wave was begun at {event['seq']}, after it had to stop at {stop}" for event in between)
