"""What is done to a machine while it is updated, and where that must leave it: the matrix of docs/reliability.md.

Each case updates a host of the lab from an old system to a new one with the real program, does one bad thing at one point, and looks at
what is left: which system runs (in all places the same), whether the host answers, what the table said and the exit code.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from clanpy.lab import HostSpec, Lab, LabHost, LabSpec, up
from clanpy.lab.errors import LabError
from deploy.rehearsal import Rehearsal
from support.lab import wait_for


SECONDS = 90.0  # that a run may take
CONFIRM = 4  # seconds for the confirmation, in most cases

# What the old system does when it is made live: put right what new ones break.
MEND = """
  ip link set eth0 up
  rm -f /run/clanpy-lab/no-sshd /var/filler /nix/filler-of-activation
  if [ -e /etc/ssh/kept ]; then cat /etc/ssh/kept >/etc/ssh/ssh_host_ed25519_key; rm /etc/ssh/kept; kill -HUP $(cat /run/sshd.pid); fi
"""
HOLD = "touch /tmp/begun; n=0; while [ ! -e /tmp/go-on ] && [ $n -lt 600 ]; do sleep 0.05; n=$((n + 1)); done\n"
GATE_HOLDS = (
    "touch /tmp/gated; n=0; while [ ! -e /tmp/go-on ] && [ $n -lt 160 ]; do sleep 0.05; n=$((n + 1)); done; true"
)
CUT = "ip link set eth0 down"
NO_SSHD = (
    "touch /run/clanpy-lab/no-sshd; kill $(cat /run/sshd.pid); for s in $(pidof sshd-session sshd); do kill $s; done"
)
NEW_KEY = """
  cp /etc/ssh/ssh_host_ed25519_key /etc/ssh/kept
  rm /etc/ssh/ssh_host_ed25519_key
  ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key
  kill -HUP $(cat /run/sshd.pid)
"""
FILL = "cat /dev/zero >/nix/filler-of-activation; echo no room >/nix/var/one-more"
FAT = """
  environment.etc."fat".source = derivation {
    name = "bulky"; system = pkgs.system; builder = "/bin/sh"; PATH = "/usr/bin:/bin";
    args = [ "-c" "head -c 6000000 /dev/urandom > $out" ];
  };
"""
FAILING_UNIT = """
  systemd.services.broken = {
    wantedBy = [ "multi-user.target" ];
    serviceConfig = { Type = "oneshot"; ExecStart = "/bin/sh -c 'exit 1'"; };
  };
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is left.

    Attributes:
        outcome: what the table says; None where the program did not live to say it.
        exit_code: of the program; None as above.
        system: `old` or `new`: what runs, when the profile and the boot entry name the same; else what is where.
        answers: whether the host can be logged in to, once what is done to it from outside is over.
        ended: whether no activation is left in the middle.
        error: code of the error that was told.
    """

    outcome: str | None
    exit_code: int | None
    system: str
    answers: bool
    ended: bool
    error: str | None = None


class Trouble:
    """A run of the program on one host, and what can be done to both of them meanwhile."""

    def __init__(self, fleet: Rehearsal, words: Sequence[str]) -> None:
        self.fleet = fleet
        (self.host,) = fleet.hosts
        self.words = words
        self.events: list[dict[str, Any]] = []
        self.process = fleet.start("machines", "update", "--json", *words)
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with suppress(ValueError):
            for line in self.process.stdout:
                self.events.append(json.loads(line))

    # ---- waiting ----

    def until(self, condition: Callable[[], object]) -> None:
        """Wait for something, or for the end of the run."""
        wait_for(lambda: condition() or self.process.poll() is not None, SECONDS)

    def on_stage(self, stage: str) -> None:
        self.until(lambda: any(e.get("event") == "stage_started" and e["stage"] == stage for e in list(self.events)))

    def on_bytes(self) -> None:
        self.until(lambda: any(e.get("event") == "progress" and e["done"] > 0 for e in list(self.events)))

    def on_words(self, words: str) -> None:
        self.until(lambda: any(words in e.get("text", "") for e in list(self.events)))

    def on_file(self, path: str) -> None:
        self.until(lambda: self.run_in("test", "-e", path).returncode == 0)

    # ---- doing ----

    def fault(self, kind: str, argument: str | None = None) -> None:
        self.fleet.lab.fault(kind, self.host, argument)

    def run_in(self, *argv: str) -> subprocess.CompletedProcess[str]:
        try:
            return self.fleet.lab.run_in(self.host, argv)
        except LabError:  # it is off at this moment
            return subprocess.CompletedProcess(list(argv), 255, "", "")

    def go_on(self) -> None:
        self.run_in("touch", "/tmp/go-on")

    def kill(self) -> None:
        self.process.kill()

    def end(self) -> tuple[int | None, dict[str, Any]]:
        """The exit code, and what the last line of JSON says of the host; nothing where it was killed."""
        try:
            self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return None, {"outcome": "did not end", "error": None}
        self._reading.join(5)
        if self.process.returncode < 0:
            return None, {}
        return self.process.returncode, self.events[-1]["hosts"][self.host.name]


Act = Callable[[Trouble], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One bad thing at one point, and where it must leave the machine.

    Attributes:
        fault, at: what, and at which stage, in words for the page.
        expect: outcome, exit code (None: the program was killed), and the system.
        new: what the new system does when it is made live.
        nix: more of the new system, in Nix.
        inventory: more of the inventory.
        words: options of the program.
        before: done before the run.
        act: done during the run.
        after: done after the run: what was done from outside is over.
        again: whether the program is called once more, and how that ends counts.
        systemd: whether the host has to have a real systemd.
        slow: whether it is left out of the short test.
        disk: of so much, where it has to be a small one.
        darwin: whether the host is a Mac.
    """

    fault: str
    at: str
    expect: tuple[str | None, int | None, str]
    new: str = ""
    nix: str = ""
    inventory: str = ""
    words: tuple[str, ...] = ()
    confirm: float = CONFIRM
    before: Act | None = None
    act: Act | None = None
    after: Act | None = None
    again: bool = False
    systemd: bool = False
    slow: bool = True
    disk: str | None = None
    darwin: bool = False
    remark: str = ""

    @property
    def name(self) -> str:
        return f"{self.fault}, {self.at}{', darwin' if self.darwin else ''}".replace(" ", "-")

    @property
    def when(self) -> str:
        """The stage, as the page has it."""
        kind = " (systemd)" if self.systemd else " (macOS)" if self.darwin else ""
        return self.at + kind


def observe(fleet: Rehearsal, case: Case) -> Seen:
    """Let it happen, and look."""
    (host,) = fleet.hosts
    old = install_old(fleet)
    fleet.inventory(case.inventory)
    body = step(host, case.new) if case.new else ""
    fleet.configure(host, f'{{ pkgs, ... }}: {{ environment.etc."greeting2".text = "new"; {body} {case.nix} }}\n')
    words = ("--confirm-timeout", str(case.confirm), "--no-wait-lock", *case.words)
    if case.before:
        case.before(_Idle(fleet))
    trouble = Trouble(fleet, words)
    try:
        if case.act:
            case.act(trouble)
        code, state = trouble.end()
    finally:
        trouble.process.kill()
        trouble.process.communicate()
    if case.after:
        case.after(trouble)
    if case.again:
        again = Trouble(fleet, ("--confirm-timeout", str(case.confirm)))
        try:
            again.go_on()
            code, state = again.end()
        finally:
            again.process.kill()
            again.process.communicate()
    answers = reached(fleet, host)
    ended = settled(fleet, host)
    return Seen(
        outcome=state.get("outcome"),
        exit_code=code,
        system=system_of(fleet, host, old),
        answers=answers,
        ended=ended,
        error=(state.get("error") or {}).get("code"),
    )


class _Idle(Trouble):
    """The same before the run has begun."""

    def __init__(self, fleet: Rehearsal) -> None:
        self.fleet = fleet
        (self.host,) = fleet.hosts


def install_old(fleet: Rehearsal) -> str:
    """Have the old system on the host, by clanpy itself."""
    (host,) = fleet.hosts
    fleet.configure(host, f"{{ {step(host, MEND)} }}\n")
    done = fleet.clanpy("machines", "update", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return str(json.loads(done.stdout.splitlines()[-1])["hosts"][host.name]["system"])


def step(host: LabHost, script: str) -> str:
    """A step of the activation, in Nix."""
    name = "postActivation" if host.class_ == "darwin" else "trouble"
    return f"system.activationScripts.{name}.text = ''\n{script}\n'';"


def reached(fleet: Rehearsal, host: LabHost, seconds: float = 40) -> bool:
    """Whether the host can be logged in to, within a while."""
    lab: Lab = fleet.lab.lab
    command = [
        *lab.ssh_command(host.name, "root")[:-1],
        *("-o", "BatchMode=yes", "-o", "ConnectTimeout=2", f"root@{host.address}", "true"),
    ]
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with lab.inside():
            done = subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL, env=os.environ)
        if done.returncode == 0:
            return True
    return False


def settled(fleet: Rehearsal, host: LabHost, seconds: float = 40) -> bool:
    """Whether no activation is under way or left in the middle, within a while."""
    left = "for d in /var/lib/clanpy/runs/*/; do [ -e $d/result ] || echo $d; done"
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(LabError):
            found = fleet.lab.run_in(host, ["sh", "-c", left])
            if found.returncode == 0 and found.stdout.strip() == "":
                return True
    return False


def system_of(fleet: Rehearsal, host: LabHost, old: str) -> str:
    """`old` or `new`, when running system, profile and boot entry (of NixOS: macOS boots the profile) are the same."""
    running, profile = fleet.running(host), fleet.profile(host)
    if host.class_ == "darwin" and running == profile:
        return "old" if running == old else "new"
    entry = (
        "f=/boot/loader/entries/$(sed -n 's/^default //p' /boot/loader/loader.conf); sed -n 's/^options init=//p' $f"
    )
    boots = fleet.lab.run_in(host, ["sh", "-c", entry]).stdout.strip().removesuffix("/init")
    if len({running, profile, boots}) > 1:
        return f"running {running}, profile {profile}, boot entry {boots}"
    return "old" if running == old else "new"


# ---------------------------------------------------------------------------------------------------- what is done


def in_activation(kind: str, argument: str | None = None) -> Act:
    """A fault while the new system is being activated, which then goes on."""

    def act(trouble: Trouble) -> None:
        trouble.on_file("/tmp/begun")
        trouble.fault(kind, argument)
        trouble.go_on()

    return act


def in_confirmation(kind: str, argument: str | None = None) -> Act:
    """The same while a gate is tried."""

    def act(trouble: Trouble) -> None:
        trouble.on_file("/tmp/gated")
        trouble.fault(kind, argument)
        trouble.go_on()

    return act


def in_copy(kind: str, argument: str | None = None) -> Act:
    def act(trouble: Trouble) -> None:
        trouble.on_bytes()
        trouble.fault(kind, argument)

    return act


def killed_at(stage: str) -> Act:
    def act(trouble: Trouble) -> None:
        trouble.on_stage(stage)
        trouble.kill()

    return act


def killed_at_once(trouble: Trouble) -> None:
    """It evaluates and connects at the same time, first of all."""
    trouble.until(lambda: any(e.get("event") == "run_started" for e in list(trouble.events)))
    trouble.kill()


def killed_in_activation(trouble: Trouble) -> None:
    trouble.on_file("/tmp/begun")
    trouble.kill()
    trouble.process.wait()
    trouble.go_on()


def killed_going_back(trouble: Trouble) -> None:
    trouble.on_words("going back")
    trouble.kill()


def frozen_in_activation(trouble: Trouble) -> None:
    trouble.on_file("/tmp/begun")
    trouble.go_on()
    trouble.fault("freeze")
    trouble.on_words("looking for the host again")
    trouble.fault("thaw")


def slow_network(trouble: Trouble) -> None:
    trouble.fault("rate", "4mbit")


def fault(kind: str, argument: str | None = None) -> Act:
    return lambda trouble: trouble.fault(kind, argument)


def until_it_went_back(kind: str, remedy: str, since: str = "/tmp/begun") -> Act:
    """A fault in the activation, or while a gate is tried, that lasts until the machine has gone back."""

    def act(trouble: Trouble) -> None:
        trouble.on_file(since)
        trouble.fault(kind)
        trouble.go_on()
        old = trouble.run_in("readlink", "-e", "/nix/var/nix/profiles/system").stdout
        trouble.until(lambda: trouble.run_in("readlink", "-e", "/run/current-system").stdout != old)
        trouble.until(lambda: trouble.run_in("readlink", "-e", "/run/current-system").stdout == old)
        trouble.fault(remedy)

    return act


GATE = '[gates.holds]\ntype = "command"\ncommand = "{command}"\ntimeout = 20\n'
HOLDING_GATE = GATE.format(command=GATE_HOLDS.replace('"', '\\"'))
ROLLED_BACK, CONFIRMED, FAILED = ("rolled_back", 5, "old"), ("confirmed", 0, "new"), ("failed", 1, "old")
UNREACHABLE = ("unreachable", 4, "old")
KILLED = (None, None, "old")
FAT_AND_SLOW: dict[str, Any] = {"nix": FAT, "before": slow_network}

CASES: tuple[Case, ...] = (
    # what the change itself does
    Case(fault="the change cuts the network", at="activation", new=CUT, expect=ROLLED_BACK, slow=False),
    Case(fault="the change ends sshd", at="activation", new=NO_SSHD, expect=ROLLED_BACK),
    Case(fault="the change brings another host key", at="activation", new=NEW_KEY, expect=ROLLED_BACK),
    Case(
        fault="the activation hangs",
        at="activation",
        new="sleep 600",
        words=("--activation-timeout", "2"),
        expect=ROLLED_BACK,
    ),
    Case(
        fault="the activation fails half way", at="activation", new="echo half; exit 3", expect=ROLLED_BACK, slow=False
    ),
    Case(fault="a unit fails to start", at="activation", nix=FAILING_UNIT, expect=ROLLED_BACK, systemd=True),
    Case(
        fault="the disk is full",
        at="activation",
        new=FILL,
        disk="120m",
        expect=ROLLED_BACK,
        remark="the activation fills it",
    ),
    Case(
        fault="a gate fails",
        at="confirmation",
        inventory='[gates.no]\ntype = "command"\ncommand = "false"\ntimeout = 1\ninterval = 0.2\n',
        expect=ROLLED_BACK,
        slow=False,
    ),
    Case(
        fault="a gate can't be tried",
        at="confirmation",
        inventory='[gates.no]\ntype = "command"\ncommand = "no-such-program"\ntimeout = 1\ninterval = 0.2\n',
        expect=ROLLED_BACK,
        remark="nobody can be asked",
    ),
    # the network
    Case(
        fault="sshd refuses connections", at="connect", before=fault("no-sshd"), after=fault("sshd"), expect=UNREACHABLE
    ),
    Case(
        fault="the cable is pulled", at="connect", before=fault("linkdown"), after=fault("linkup"), expect=UNREACHABLE
    ),
    Case(fault="another host key", at="connect", before=fault("newkey"), after=fault("oldkey"), expect=UNREACHABLE),
    Case(
        fault="a link of 100 ms and 1 % loss",
        at="all the time",
        before=fault("link", "delay=100ms loss=1%"),
        after=fault("nolink"),
        confirm=30,
        expect=CONFIRMED,
    ),
    Case(fault="all connections are cut", at="copy", **FAT_AND_SLOW, act=in_copy("kill-sessions"), expect=FAILED),
    Case(
        fault="all connections are cut", at="activation", new=HOLD, act=in_activation("kill-sessions"), expect=CONFIRMED
    ),
    Case(
        fault="all connections are cut",
        at="confirmation",
        inventory=HOLDING_GATE,
        act=in_confirmation("kill-sessions"),
        expect=CONFIRMED,
    ),
    Case(
        fault="the cable is pulled",
        at="activation",
        new=HOLD,
        act=until_it_went_back("linkdown", "linkup"),
        confirm=2,
        expect=ROLLED_BACK,
        remark="until the machine has gone back",
    ),
    Case(
        fault="sshd refuses connections",
        at="activation",
        new=HOLD,
        act=until_it_went_back("reject", "unblock"),
        confirm=2,
        expect=ROLLED_BACK,
        remark="until the machine has gone back",
    ),
    Case(
        fault="the cable is pulled",
        at="copy",
        **FAT_AND_SLOW,
        act=in_copy("linkdown"),
        after=fault("linkup"),
        expect=FAILED,
        remark="until the run has ended",
    ),
    Case(
        fault="the cable is pulled",
        at="confirmation",
        inventory=HOLDING_GATE,
        act=until_it_went_back("linkdown", "linkup", since="/tmp/gated"),
        confirm=2,
        expect=ROLLED_BACK,
        remark="until the machine has gone back",
    ),
    # the host
    Case(fault="the host is frozen", at="connect", before=fault("freeze"), after=fault("thaw"), expect=UNREACHABLE),
    Case(fault="the host is frozen", at="activation", new=HOLD, act=frozen_in_activation, confirm=30, expect=CONFIRMED),
    Case(
        fault="the host is frozen",
        at="copy",
        **FAT_AND_SLOW,
        act=in_copy("freeze"),
        after=fault("thaw"),
        expect=FAILED,
        remark="until the run has ended",
    ),
    Case(fault="the host is rebooted", at="copy", **FAT_AND_SLOW, act=in_copy("reboot"), expect=FAILED),
    Case(fault="the host is rebooted", at="activation", new=HOLD, act=in_activation("reboot"), expect=ROLLED_BACK),
    Case(
        fault="the host is rebooted",
        at="activation",
        new=HOLD,
        act=in_activation("reboot"),
        expect=ROLLED_BACK,
        systemd=True,
        remark="by the host itself",
    ),
    Case(
        fault="the host is rebooted",
        at="confirmation",
        inventory=HOLDING_GATE,
        act=in_confirmation("reboot"),
        expect=ROLLED_BACK,
    ),
    Case(
        fault="the disk is full",
        at="copy",
        nix=FAT,
        disk="120m",
        before=fault("fill", "3M"),
        after=fault("nofill"),
        expect=FAILED,
    ),
    Case(
        fault="the disk is full",
        at="confirmation",
        inventory=HOLDING_GATE,
        disk="120m",
        act=in_confirmation("fill"),
        after=fault("nofill"),
        expect=ROLLED_BACK,
        remark="the profile can't be set",
    ),
    # the controller
    *(
        Case(fault="the controller is killed", at=stage, act=killed_at(stage), expect=KILLED)
        for stage in ("connect", "build")
    ),
    Case(fault="the controller is killed", at="evaluation", act=killed_at_once, expect=KILLED),
    Case(fault="the controller is killed", at="copy", **FAT_AND_SLOW, act=killed_at("copy"), expect=KILLED),
    Case(
        fault="the controller is killed", at="activation", new=HOLD, act=killed_in_activation, confirm=2, expect=KILLED
    ),
    Case(
        fault="the controller is killed",
        at="confirmation",
        inventory=HOLDING_GATE,
        act=killed_at("confirm"),
        confirm=2,
        expect=KILLED,
    ),
    Case(
        fault="the controller is killed", at="going back", new="echo half; exit 3", act=killed_going_back, expect=KILLED
    ),
    Case(
        fault="the controller is killed",
        at="reboot",
        words=("--reboot",),
        act=killed_at("reboot"),
        confirm=4,
        expect=KILLED,
        systemd=True,
        remark="nobody confirms the new boot",
    ),
    Case(
        fault="the controller is killed and started again",
        at="activation",
        new=HOLD,
        act=killed_in_activation,
        confirm=60,
        again=True,
        expect=CONFIRMED,
        remark="it goes on with what waits",
    ),
    # Macs
    Case(fault="the change cuts the network", at="activation", new=CUT, expect=ROLLED_BACK, darwin=True),
    Case(
        fault="the activation fails half way", at="activation", new="echo half; exit 3", expect=ROLLED_BACK, darwin=True
    ),
    Case(
        fault="the activation hangs",
        at="activation",
        new="sleep 600",
        words=("--activation-timeout", "2"),
        expect=ROLLED_BACK,
        darwin=True,
    ),
    Case(
        fault="the host is rebooted",
        at="activation",
        new=HOLD,
        act=in_activation("reboot"),
        expect=ROLLED_BACK,
        darwin=True,
    ),
    Case(
        fault="the controller is killed",
        at="activation",
        new=HOLD,
        act=killed_in_activation,
        confirm=2,
        expect=KILLED,
        darwin=True,
    ),
    # a reboot that belongs to the way
    Case(fault="none, with --reboot", at="reboot", words=("--reboot",), confirm=20, expect=CONFIRMED, systemd=True),
    Case(
        fault="none, with --goal boot --reboot",
        at="reboot",
        words=("--goal", "boot", "--reboot"),
        confirm=20,
        expect=CONFIRMED,
        systemd=True,
    ),
    Case(
        fault="the new system has no network after --reboot",
        at="reboot",
        new="[ ! -e /var/lib/booted-once ] || ip link set eth0 down; touch /var/lib/booted-once",
        words=("--reboot", "--reboot-timeout", "60"),
        confirm=4,
        expect=ROLLED_BACK,
        systemd=True,
        remark="back by a second reboot",
    ),
)


# ---------------------------------------------------------------------------------------------------- where it is done


class OwnLab:
    """A lab of systemd hosts, as `Rehearsal` wants one."""

    def __init__(self, name: str, base: str, hosts: Sequence[HostSpec]) -> None:
        self.name = name
        up(LabSpec(name=name, base=base, hosts=tuple(hosts)))

    @property
    def lab(self) -> Lab:
        return Lab.load(self.name)

    def fault(self, kind: str, host: LabHost, argument: str | None = None) -> None:
        self.lab.fault(kind, host.name, argument)

    def run_in(self, host: LabHost, argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return self.lab.run_in(host.name, argv)


def verdict(case: Case, seen: Seen) -> str:
    """What is wrong; empty when all is as it must be."""
    wrong = []
    found = (seen.outcome, seen.exit_code, seen.system)
    if found != case.expect:
        wrong.append(f"{found} instead of {case.expect}")
    if not seen.answers:
        wrong.append("does not answer")
    if not seen.ended:
        wrong.append("an activation is left in the middle")
    return "; ".join(wrong)


@contextmanager
def healed(fleet: Rehearsal) -> Iterator[None]:
    """Whatever was done to the host is undone at the end."""
    try:
        yield
    finally:
        (host,) = fleet.hosts
        with suppress(LabError):
            fleet.lab.fault("heal", host)
