"""A small fleet whose machines are hosts of the lab, and the deployer at work on it: in this process, or as the program."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import clanpy.nix
from clanpy.deploy import RunResult, deploy, roll_back
from clanpy.deployment.options import Options, Surroundings, dead_runs_of
from clanpy.events import Event, Fact, Sink, Stage, StageStarted
from clanpy.inventory import load
from clanpy.journal import Journal, RunState
from clanpy.lab import LabHost
from clanpy.nix.inputs import InputOverrides
from clanpy.rollout.engine import Control
from clanpy.rollout.interrupts import Interrupts
from clanpy.rollout.policy import Policy
from clanpy.ssh import HostKeyCheck, Target
from support.lab import LentLab


FLAKE = """
{
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";
  inputs.nix-darwin.url = "github:nix-darwin/nix-darwin";
  inputs.home-manager.url = "github:nix-community/home-manager";
  outputs = inputs: { };
}
"""
FAILING = '{ system.activationScripts.broken.text = "echo something is broken here; exit 3"; }\n'


class Rehearsal:
    """The fleet `folder`, of the hosts that were lent to the test, and its state and cache beside it."""

    def __init__(self, lab: LentLab, folder: Path, hosts: Sequence[LabHost]) -> None:
        self.lab, self.folder, self.hosts = lab, folder / "fleet", tuple(hosts)
        self.state, self.cache = folder / "state", folder / "cache"
        self.facts: list[Fact] = []
        self.write("flake.nix", FLAKE)
        self.write("modules/system/base.nix", '{ environment.etc."greeting".text = "hello"; }\n')
        self.inventory()

    @property
    def names(self) -> list[str]:
        return [host.name for host in self.hosts]

    def inventory(self, extra: str = "") -> None:
        """Write the inventory: the hosts, and whatever else."""
        lines = ['[meta]\nname = "rehearsal"\n', '[tags]\nall = { imports = ["base"] }\n']
        for host in self.hosts:
            system = "aarch64-darwin" if host.class_ == "darwin" else "x86_64-linux"
            user = host.users[0] if host.class_ == "darwin" else "root"
            lines.append(
                f'[machines.{host.name}]\nclass = "{host.class_}"\nsystem = "{system}"\n'
                f'deploy.target_host = "{user}@{host.name}"\n'
            )
        self.write("inventory.toml", "\n".join([*lines, textwrap.dedent(extra)]))

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def configure(self, host: LabHost, text: str) -> None:
        """What belongs to one machine alone."""
        self.write(f"machines/{host.name}/configuration.nix", text)

    def greet(self, text: str) -> None:
        """Change what all machines share."""
        self.write("modules/system/base.nix", f'{{ environment.etc."greeting".text = "{text}"; }}\n')

    def greeting(self, host: LabHost) -> str:
        """What a host says."""
        return self.lab.run_in(host, ["cat", "/etc/greeting"]).stdout

    def running(self, host: LabHost) -> str:
        return self.lab.run_in(host, ["readlink", "-e", "/run/current-system"]).stdout.strip()

    def profile(self, host: LabHost) -> str:
        return self.lab.run_in(host, ["readlink", "-e", "/nix/var/nix/profiles/system"]).stdout.strip()

    def log(self, host: LabHost) -> str:
        """The full log of a host in the last run."""
        path = self.journal.read("last").hosts[host.name].log
        assert path is not None
        return Path(path).read_text()

    @property
    def journal(self) -> Journal:
        return Journal(self.state / "own")

    def target(self, host: LabHost) -> Target:
        return Target(
            host=host.address,
            name=host.name,
            user=host.users[0] if host.class_ == "darwin" else "root",
            port=host.port,
            identity_files=(self.lab.identity,),
            known_hosts=(self.lab.known_hosts,),
            isolated=True,
        )

    def surroundings(self, **ways: Target) -> Surroundings:
        """The lab as the deployer sees it; `ways` lead elsewhere."""
        targets = {host.name: (self.target(host),) for host in self.hosts}
        targets |= {name: (way,) for name, way in ways.items()}
        return Surroundings(
            fleet=load(self.folder),
            targets=targets,
            builders=targets,
            overrides=InputOverrides(every=Path(clanpy.nix.__path__[0]) / "mini"),
            nix_config=self.lab.lab.environment.nix_config,
            cache=self.cache,
            owner="alice",
            controller="here",
            is_dead=dead_runs_of(self.journal, "here"),
        )

    async def update(
        self,
        *names: str,
        options: Options | None = None,
        ways: dict[str, Target] | None = None,
        sinks: Sequence[Sink] = (),
        interrupts: Interrupts | None = None,
        policy: Policy | None = None,
        control: Control | None = None,
        before: RunState | None = None,
    ) -> RunResult:
        """Update machines in this process; what happened is in `facts`. `before`: go on with that run."""
        self.facts.clear()
        recorder = self.journal.begin() if before is None else self.journal.reopen(before.run)
        try:
            return await deploy(
                self.surroundings(**(ways or {})),
                names or self.names,
                options or Options(confirm_within=20),
                recorder,
                sinks=(self._keep, *sinks),
                interrupts=interrupts,
                policy=policy,
                control=control,
                before=before,
            )
        finally:
            recorder.close()

    async def roll_back(self, host: LabHost, to: str | None = None) -> RunResult:
        recorder = self.journal.begin()
        try:
            return await roll_back(self.surroundings(), host.name, Options(), recorder, to=to)
        finally:
            recorder.close()

    def stages(self, host: LabHost) -> list[Stage]:
        """The stages that a host entered in the last update."""
        return [fact.stage for fact in self.facts if isinstance(fact, StageStarted) and fact.host == host.name]

    def wrongly_keyed(self, host: LabHost, folder: Path) -> Target:
        """The way to a host of which another key is on record."""
        record = folder / "wrong_known_hosts"
        other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE9CyMSZEYtRZkbLVIMo92kuniDPI1JH18xWbrf+Z2s3"
        record.write_text(f"{host.address} {other}\n")
        return replace(self.target(host), known_hosts=(record,), host_key_check=HostKeyCheck.STRICT)

    def _keep(self, event: Event) -> None:
        self.facts.append(event.fact)

    # ------------------------------------------------------------------------------------------ as the program

    @property
    def environ(self) -> dict[str, str]:
        return {
            **os.environ,
            "CLANPY_FLEET": str(self.folder),
            "CLANPY_STATE": str(self.state),
            "CLANPY_LAB": self.lab.name,
            "XDG_CACHE_HOME": str(self.cache),
            "PYTHONUNBUFFERED": "1",
        }

    def clanpy(self, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run the program to its end."""
        return subprocess.run(
            [sys.executable, "-m", "clanpy", *words],
            env=self.environ | environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
            stdin=subprocess.DEVNULL,
        )

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start the program."""
        return subprocess.Popen(
            [sys.executable, "-m", "clanpy", *words],
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
