"""A fleet of hosts of a lab in several variants, all of them built before anything is measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks._measure import CLANPY
from clanpy.lab import HostSpec, Lab, LabSpec, down, up


LAB = "bench-rivals"
HERE = Path(__file__).resolve().parent
RESET = (HERE / "reset.sh").read_text()
AT_ONCE = 8  # hosts that are looked at, or put back, at once, while nothing is measured
PATIENCE = 120.0

FLAKE = """{
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";
  inputs.nix-darwin.url = "github:nix-darwin/nix-darwin";
  inputs.home-manager.url = "github:nix-community/home-manager";
  outputs = inputs: { };
}
"""
# What all machines share. Pieces are random bytes, which nothing compresses, and refer to each other twelve deep.
MODULE = """{{ pkgs, lib, ... }}:
let
  piece = n: pkgs.runCommand "piece-${{toString n}}-{salt}" {{
    before = if n < 8 then "" else "${{builtins.elemAt pieces (n - 8)}}";
  }} ''
    echo "$before" > "$out"
    head -c {size} /dev/urandom >> "$out"
  '';
  pieces = builtins.genList piece {count};
in
{{
  environment.etc."greeting".text = "{greeting} {salt}";
  environment.etc."pieces" = lib.mkIf ({count} > 0) {{ text = lib.concatMapStrings (one: "${{one}}\\n") pieces; }};
}}
"""
SSH_HOST = """Host {name}
  HostName {address}
  HostKeyAlias {name}
  User root
  IdentityFile {identity}
  IdentitiesOnly yes
  UserKnownHostsFile {known}
  LogLevel ERROR
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """What all machines have: a text under /etc, and so many pieces of so many bytes."""

    greeting: str
    pieces: int = 0
    size: int = 0


BASE = "base"
VARIANTS = {
    BASE: Variant(greeting="hello"),
    "one": Variant(greeting="goodbye"),
    "large": Variant(greeting="hello", pieces=100, size=512 << 10),
    "small": Variant(greeting="hello", pieces=100, size=20 << 10),
}


@dataclass
class Fleet:
    """The lab, the fleet's folder, and the system of each machine in each variant."""

    folder: Path
    lab: Lab
    environ: Mapping[str, str]
    salt: str
    systems: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.lab.environment.hosts)

    def choose(self, variant: str) -> None:
        """Have the fleet's files say this."""
        chosen = VARIANTS[variant]
        text = MODULE.format(salt=self.salt, size=chosen.size, count=chosen.pieces, greeting=chosen.greeting)
        path = self.folder / "fleet/modules/nixos/base.nix"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def build(self, variant: str) -> None:
        """Evaluate and build all machines, as clanpy does it: it knows them from then on, and the others are told."""
        if variant in self.systems:
            return
        self.choose(variant)
        done = subprocess.run(
            [CLANPY, "machines", "build", "--json"], env=self.environ, capture_output=True, text=True, check=False
        )
        if done.returncode:
            sys.exit(f"building {variant} ended with {done.returncode}: {done.stdout[-2000:]}\n{done.stderr[-2000:]}")
        hosts = json.loads(done.stdout.splitlines()[-1])["hosts"]
        self.systems[variant] = {name: host["system"] for name, host in hosts.items()}

    def reset(self) -> None:
        """Every host back to the base, with nothing of any other variant."""
        base = self.systems[BASE]
        self._everywhere(lambda name: ["sh", "-c", RESET, "reset", base[name]])

    def check(self, variant: str, who: str) -> None:
        """See that every host runs a variant, and would boot it. Raises SystemExit."""
        look = "readlink -f /run/current-system /nix/var/nix/profiles/system"
        found = self._everywhere(lambda _: ["sh", "-c", look])
        for name, wanted in self.systems[variant].items():
            if found[name].split() != [wanted, wanted]:
                sys.exit(f"after {who}, {name} has {found[name].split()} and not {wanted}")

    def first(self) -> None:
        """Bring the base to all hosts."""
        self.build(BASE)
        self.choose(BASE)
        subprocess.run([CLANPY, "machines", "update", "-y"], env=self.environ, capture_output=True, check=True)

    def link(self, delay: int) -> None:
        """Have a round trip to each host take so many milliseconds more."""
        for name in self.names:
            self.lab.fault("link", name, f"delay={delay}ms") if delay else self.lab.fault("nolink", name)

    def paths_of(self, variant: str) -> tuple[int, int]:
        """How many paths a host lacks that has the base, and how many bytes they have."""
        name = self.names[0]
        there, wanted = (self._closure(self.systems[which][name]) for which in (BASE, variant))
        return len(wanted.keys() - there.keys()), sum(size for path, size in wanted.items() if path not in there)

    def _closure(self, path: str) -> dict[str, int]:
        paths = subprocess.run(["nix-store", "-qR", path], capture_output=True, text=True, check=True).stdout.split()
        sizes = subprocess.run(["nix-store", "-q", "--size", *paths], capture_output=True, text=True, check=True)
        return dict(zip(paths, map(int, sizes.stdout.split()), strict=True))

    def _everywhere(self, words: object) -> dict[str, str]:
        assert callable(words)

        def one(name: str) -> tuple[str, str]:
            done = self.lab.run_in(name, words(name), timeout=PATIENCE)
            if done.returncode:
                sys.exit(f"{name}: {done.stdout}{done.stderr}")
            return name, done.stdout

        with ThreadPoolExecutor(AT_ONCE) as pool:
            return dict(pool.map(one, self.names))


def _write(folder: Path, lab: Lab) -> None:
    fleet = folder / "fleet"
    fleet.mkdir()
    (folder / "out").mkdir()
    (fleet / "flake.nix").write_text(FLAKE)
    machines, config = [], []
    for name, host in lab.environment.hosts.items():
        machines.append(
            f'[machines.{name}]\nclass = "nixos"\nsystem = "x86_64-linux"\ndeploy.target_host = "root@{name}"\n'
        )
        ways = lab.environment
        config.append(SSH_HOST.format(name=name, address=host.address, identity=ways.identity, known=ways.known_hosts))
    (fleet / "inventory.toml").write_text(
        '[meta]\nname = "rivals"\n\n[tags]\nall = { imports = ["base"] }\n\n' + "".join(machines)
    )
    (folder / "ssh_config").write_text("".join(config))


def _environ(folder: Path, lab: Lab, *, compress: bool) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("CLANPY_", "NIX_SSHOPTS"))}
    return {
        **plain,
        "CLANPY_FLEET": str(folder / "fleet"),
        "CLANPY_LAB": lab.name,
        "CLANPY_STATE": str(folder / "state"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "NIX_CONFIG": "\n".join(lab.environment.nix_config),
        "SSH_CONFIG": str(folder / "ssh_config"),
        "OUT": str(folder / "out"),
        "COMPRESS": "1" if compress else "",
    }


@contextmanager
def fleet_of(hosts: int, *, compress: bool = False) -> Iterator[Fleet]:
    """So many hosts that run the base; gone again at the end, with all that was built."""
    names = tuple(f"h{n:03}" for n in range(1, hosts + 1))
    down(LAB, wipe=True)
    made: list[str] = []
    try:
        with tempfile.TemporaryDirectory(prefix="clanpy-bench-") as name:
            folder = Path(name)
            lab = up(LabSpec(name=LAB, hosts=tuple(HostSpec(name=name) for name in names)))
            _write(folder, lab)
            found = Fleet(folder, lab, _environ(folder, lab, compress=compress), salt=str(time.time_ns()))
            try:
                found.first()
                yield found
            finally:
                made = _made(found)
    finally:
        down(LAB, wipe=True)
        if made:  # what kept it was in the folder
            subprocess.run(["nix-store", "--delete", *made], capture_output=True, check=False)


def _made(found: Fleet) -> list[str]:
    """What was built for this, and for nothing else, in this computer's store."""
    paths = sorted({path for systems in found.systems.values() for path in systems.values()})
    if not paths:
        return []
    closure = _lines("nix-store", "-qR", *paths)
    ours = [path for path in closure if found.salt in path or path.partition("-")[2] in {"etc-greeting", "etc-pieces"}]
    return _lines("nix-store", "-q", "--referrers-closure", *ours)  # Nix deletes nothing that another path refers to


def _lines(*words: str) -> list[str]:
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.split()


def through(fleet: Fleet, words: Sequence[str]) -> list[str]:
    """The command that runs a script for every host, for all of them at once."""
    return ["xargs", "-a", str(fleet.folder / "hosts"), "-L1", f"-P{len(fleet.names)}", *words]
