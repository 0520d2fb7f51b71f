"""Deploying to eight hosts of a lab: when nothing has changed, and when one aspect has, beside the plain sequence for the same flake.

    python -m benchmarks.deploy [--write] [--pairs N] [--alone]

The fleet is the reference fleet without its people and services: eight machines, their tags and aspects. The plain side works on what
`clanpy generate` writes of it, with OpenSSH as people have it, for all hosts at once with `xargs -P8`. Each run changes the aspect
anew, and afterwards every host is looked at: it has to have the change.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import tomlkit

from benchmarks._measure import CLANPY, Cost, circumstances, come_first, measure, median, publish, spread, table
from clanpy.lab import Lab
from clanpy.lab.cgroup import lab_group
from clanpy.ssh.target import parse_target


REPOSITORY = Path(__file__).resolve().parent.parent
LAB = "benchmark"
ASPECT = Path("modules/system/base.nix")
KEPT = ("meta", "machines", "tags")
PAUSE = 3.0  # seconds before each run in which all else on the computer may go on

# How the aspect changes: `@now@` is new in every run.
CHANGES = {
    "a file of /etc": (
        'environment.etc."bench".text = "@now@";',
        "what nixpkgs makes of any file: one derivation more, the same for all machines of a system",
    ),
    "a file that names its machine": (
        'environment.etc."bench".text = "@now@ ${config.networking.hostName}";',
        "the other extreme: nothing is shared, each machine has derivations of its own only",
    ),
}

# What is done for one host without clanpy. From the environment: FLAKE SSH_CONFIG OUT.
PLAIN = """#!/bin/sh
set -e
host=$1 attribute=$2 switch=$3
export NIX_SSHOPTS="-F $SSH_CONFIG"
as=
[ "$4" = root ] || as=sudo
nix build --out-link "$OUT/$host" "path:$FLAKE#$attribute"
new=$(readlink "$OUT/$host")
nix copy --no-check-sigs --to "ssh-ng://$host" "$new"
ssh -F "$SSH_CONFIG" "$host" $as nix-env -p /nix/var/nix/profiles/system --set "$new"
ssh -F "$SSH_CONFIG" "$host" $as "$new/$switch"
"""
SSH_HOST = """Host {name}
  HostName {address}
  HostKeyAlias {name}
  User {user}
  IdentityFile {identity}
  IdentitiesOnly yes
  UserKnownHostsFile {known}
  LogLevel ERROR
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    name: str
    class_: str
    user: str


@dataclass
class Rig:
    """A lab, a fleet and its flake, and both ways to deploy them."""

    folder: Path
    lab: Lab
    hosts: tuple[Host, ...]
    environ: Mapping[str, str]
    pause: float = 0.0
    original: str = field(init=False)

    def __post_init__(self) -> None:
        self.original = (self.folder / "fleet" / ASPECT).read_text().replace("{ lib,", "{ config, lib,", 1)
        self._write_plain()

    def ours(self, change: str) -> Cost:
        """Deploy a change with clanpy."""
        return self._changed("fleet", change, lambda: self.clanpy("machines", "update", "-y"))

    def plain(self, change: str) -> Cost:
        """Deploy a change by hand."""
        words = ["xargs", "-a", str(self.folder / "hosts"), "-L1", "-P8", str(self.folder / "plain.sh")]
        return self._changed("flake", change, lambda: self._inside(words))

    def clanpy(self, *words: str) -> Cost:
        return measure([CLANPY, *words], self.environ)

    def generate(self) -> None:
        shutil.rmtree(self.folder / "flake", ignore_errors=True)
        self.clanpy("generate", str(self.folder / "flake"))

    def _changed(self, where: str, change: str, deploy: Callable[[], Cost]) -> Cost:
        now = str(time.time_ns())
        added = CHANGES[change][0].replace("@now@", now)
        text = re.sub(r"^\}$", f"  {added}\n}}", self.original, flags=re.MULTILINE)
        (self.folder / where / ASPECT).write_text(text)
        time.sleep(self.pause)
        before = self._cpu()
        cost = deploy()
        for host in self.hosts:
            if now not in self.lab.run_in(host.name, ["cat", "/etc/bench"]).stdout:
                sys.exit(f"{host.name} does not have the change after {where} was deployed")
        return Cost(cost.wall, cost.cpu + self._cpu() - before, cost.memory)

    def _cpu(self) -> float:
        """Seconds of processors that the lab's hosts have used."""
        group = lab_group(LAB)
        if group is None:
            return 0.0
        return int((group / "cpu.stat").read_text().split()[1]) / 1e6

    def _inside(self, words: Sequence[str]) -> Cost:
        with self.lab.inside():
            return measure(words, self.environ)

    def _write_plain(self) -> None:
        ways = self.lab.environment
        (self.folder / "out").mkdir()
        (self.folder / "plain.sh").write_text(PLAIN)
        (self.folder / "plain.sh").chmod(0o755)
        lines, config = [], []
        for host in self.hosts:
            attribute = f"{host.class_}Configurations.{host.name}.config.system.build.toplevel"
            switch = "activate" if host.class_ == "darwin" else "bin/switch-to-configuration switch"
            lines.append(f"{host.name} {attribute} {shlex.quote(switch)} {host.user}\n")
            config.append(
                SSH_HOST.format(
                    name=host.name,
                    address=ways.hosts[host.name].address,
                    user=host.user,
                    identity=ways.identity,
                    known=ways.known_hosts,
                )
            )
        (self.folder / "hosts").write_text("".join(lines))
        (self.folder / "ssh_config").write_text("".join(config))


def write_fleet(folder: Path) -> dict[str, str]:
    """The reference fleet without its people and services; gives the target of each machine."""
    for name in ("flake.nix", "machines", "modules"):
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, folder / name)
        else:
            shutil.copy(source, folder / name)
    inventory = tomlkit.parse((REPOSITORY / "inventory.toml").read_text())
    for name in [name for name in inventory if name not in KEPT]:
        del inventory[name]
    machines = inventory.unwrap()["machines"]
    for machine in machines:
        for name in ("primary_user", "admin_user"):
            inventory["machines"][machine].pop(name, None)
    (folder / "inventory.toml").write_text(tomlkit.dumps(inventory))
    return {name: machine["deploy"]["target_host"] for name, machine in machines.items()}


@contextmanager
def rig(*, pause: float = 0.0) -> Iterator[Rig]:
    """Everything up, deployed once by either way, and down again at the end."""
    with tempfile.TemporaryDirectory(prefix="clanpy-bench-") as name:
        folder = Path(name)
        (folder / "fleet").mkdir()
        targets = write_fleet(folder / "fleet")
        environ = {
            **os.environ,
            "CLANPY_FLEET": str(folder / "fleet"),
            "CLANPY_LAB": LAB,
            "CLANPY_STATE": str(folder / "state"),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "FLAKE": str(folder / "flake"),
            "SSH_CONFIG": str(folder / "ssh_config"),
            "OUT": str(folder / "out"),
        }
        try:
            measure([CLANPY, "lab", "up"], environ)
            lab = Lab.load(LAB)
            environ["NIX_CONFIG"] = "\n".join(lab.environment.nix_config)
            found = Rig(folder=folder, lab=lab, hosts=tuple(_hosts(lab, targets)), environ=environ, pause=pause)
            found.clanpy("machines", "update", "-y")
            found.generate()
            yield found
        finally:
            measure([CLANPY, "lab", "down", "--wipe"], environ)


def _hosts(lab: Lab, targets: Mapping[str, str]) -> Iterator[Host]:
    for name, host in lab.environment.hosts.items():
        user = parse_target(targets[name]).user or "root"
        yield Host(name=name, class_=str(host.class_), user=user if user in host.users else "root")


def nothing_changed(found: Rig, times: int) -> str:
    """How long a run takes that finds nothing to do."""
    found.clanpy("machines", "update", "-y")
    costs = []
    for _ in range(times):
        time.sleep(found.pause)
        cost = found.clanpy("machines", "update", "-y", "--json")
        result = json.loads(cost.output.splitlines()[-1])
        trips = set(result["round_trips"].values())
        if result["nix_processes"] or trips != {1}:
            sys.exit(f"{result['nix_processes']} processes of Nix and {trips} round trips where nothing had changed")
        costs.append(cost)
    return table(
        ["8 hosts, nothing changed", "", "limit"],
        [
            ["the whole process, from the shell and back", spread([cost.wall for cost in costs]), "2 s"],
            ["processor time here", f"{median(cost.cpu for cost in costs):.2f} s", ""],
            ["processes of Nix", "0", "0"],
            ["round trips to each host", "1", "1"],
            ["memory at most", _megabytes(costs), "200 MB"],
        ],
    )


def changed(found: Rig, change: str, pairs: int) -> str:
    """Both ways by turns, each first as often as the other."""
    sides = {"plain": found.plain, "clanpy": found.ours}
    costs: dict[str, list[Cost]] = {name: [] for name in sides}
    for turn in range(pairs):
        for name in sorted(sides, reverse=bool(turn % 2)):
            costs[name].append(sides[name](change))
            print(
                f"  {change}: {name} {costs[name][-1].wall:.2f} s, {costs[name][-1].cpu:.2f} s of processors",
                flush=True,
            )
    plain, ours = costs["plain"], costs["clanpy"]
    wall = median(c.wall for c in plain) / median(c.wall for c in ours)
    cpu = median(c.cpu for c in plain) / median(c.cpu for c in ours)
    each = median(p.wall / o.wall for p, o in zip(plain, ours, strict=True))
    return table(
        [f"one aspect changed, {change}", "plain, `xargs -P8`", "clanpy", "plain : clanpy"],
        [
            [
                f"seconds ({pairs} pairs)",
                spread([c.wall for c in plain]),
                spread([c.wall for c in ours]),
                f"**{wall:.2f}**",
            ],
            ["median of the pairs' ratios", "", "", f"{each:.2f}"],
            [
                "processor time, here and on the hosts",
                f"{median(c.cpu for c in plain):.2f} s",
                f"{median(c.cpu for c in ours):.2f} s",
                f"{cpu:.2f}",
            ],
            ["memory of clanpy at most", "", _megabytes(ours), ""],
        ],
    )


def _megabytes(costs: Sequence[Cost]) -> str:
    return f"{max(cost.memory for cost in costs) / 1e6:.0f} MB"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--write", action="store_true", help="put the results into docs/performance.md")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument(
        "--alone", action="store_true", help="run before all else on this computer (real-time priority)"
    )
    given = parser.parse_args(arguments)
    note = ""
    if given.alone:
        note = come_first()
    with rig(pause=PAUSE if given.alone else 0.0) as found:
        parts = [nothing_changed(found, given.pairs)]
        for change, (_, meaning) in CHANGES.items():
            found.generate()
            parts += [f"{change.capitalize()}: {meaning}.\n", changed(found, change, given.pairs)]
        publish("deploy", "\n".join([circumstances() + note, *parts]), write=given.write)


if __name__ == "__main__":
    main()
