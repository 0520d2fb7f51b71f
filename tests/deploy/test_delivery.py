"""Secrets on their way to hosts of the lab: before the activation, only where they differ, and nowhere else."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from clanpy.deploy import RunResult, plan, upload
from clanpy.deployment.applying import check_plan
from clanpy.deployment.errors import PlanOutdatedError
from clanpy.deployment.live import Live
from clanpy.deployment.options import Options
from clanpy.deployment.plan import Change, Delta, Plan
from clanpy.events import Outcome, Stage
from clanpy.generators.fleet import read_fleet
from clanpy.generators.generate import How, generate
from clanpy.generators.plan import Wanted
from clanpy.generators.session import Session
from clanpy.generators.values import get, put
from clanpy.inventory import load
from clanpy.lab import LabHost
from clanpy.secrets import Secret
from deploy.rehearsal import FAILING, Rehearsal
from support.vault import Vault, sops_path


pytestmark = [pytest.mark.lab, pytest.mark.nix]

TOKEN = '[vars.generators.token]\nkind = "token"\nfiles.token = { owner = "nobody", mode = "0440" }\n'
# What a host does with it, at the time of its activation.
READS = """
{ clanpy, ... }: {
  system.activationScripts.reads.text = "cp ${clanpy.vars.token.token.path} /var/seen";
}
"""


class Delivering:
    """A rehearsal of a fleet with vars, and somebody with a key."""

    def __init__(self, rehearsal: Rehearsal, vault: Vault) -> None:
        self.on, self.vault = rehearsal, vault

    @property
    def session(self) -> Session:
        found = read_fleet(load(self.on.folder))
        return Session.open(found.context, environment=self.vault.person("alice").environment)

    async def generate(self, *names: str, regenerate: bool = False) -> None:
        await generate(self.session, Wanted(machines=names or tuple(self.on.names), regenerate=regenerate), How())

    def value(self, host: LabHost, name: str = "token") -> str:
        return get(self.session, host.name, name).text()

    async def set(self, host: LabHost, name: str, value: str) -> None:
        await put(self.session, host.name, name, Secret(value))

    async def upload(self, *names: str) -> RunResult:
        recorder = self.on.journal.begin()
        try:
            return await upload(self.on.surroundings(), names or self.on.names, Options(), recorder)
        finally:
            recorder.close()

    def read(self, host: LabHost, path: str) -> str:
        return self.on.lab.run_in(host, ["cat", path]).stdout

    def install(self, host: LabHost, name: str, program: Path) -> None:
        put_there = ["sh", "-c", f"cat >/var/{name} && chmod 755 /var/{name}"]
        done = self.on.lab.lab.run_in(host.name, put_there, stdin=program.read_bytes())
        assert done.returncode == 0, done

    def run(self, host: LabHost, text: str) -> str:
        return self.on.lab.run_in(host, ["sh", "-c", text]).stdout.strip()


@pytest.fixture
def deliver(
    rehearse: Callable[..., Rehearsal], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Delivering]:
    def make(extra: str = TOKEN, **hosts: int) -> Delivering:
        rehearsal = rehearse(**hosts)
        rehearsal.inventory(extra)
        vault = Vault(rehearsal.folder, tmp_path / "keys")
        vault.keys.mkdir()
        vault.register(vault.person("alice").user, vault.person("alice").public)
        for name, value in vault.person("alice").environment.items():
            monkeypatch.setenv(name, value)
        return Delivering(rehearsal, vault)

    return make


async def test_secrets_are_there_when_the_system_is_activated(deliver: Callable[..., Delivering]) -> None:
    fleet = deliver(nixos=1, darwin=1)
    for host in fleet.on.hosts:
        fleet.on.configure(host, READS)
    await fleet.generate()

    done = await fleet.on.update()

    assert done.exit_code == 0
    for host in fleet.on.hosts:
        assert Stage.SECRETS in fleet.on.stages(host)
        assert fleet.read(host, "/var/seen") == fleet.value(host)
        found = fleet.run(host, "stat -L -c '%U %a' /run/secrets/vars/token/token; stat -L -f -c %T /run/secrets/vars")
        assert found.split() == ["nobody", "440", "tmpfs"]
    values = {fleet.value(host) for host in fleet.on.hosts}
    assert len(values) == 2, "each has its own"

    again = await fleet.on.update()
    assert {host.outcome for host in again.state.hosts.values()} == {Outcome.UNCHANGED}
    assert set(again.round_trips.values()) == {1}
    assert again.nix_processes == 0


async def test_a_new_value_goes_to_its_machine_alone_and_activates_nothing(deliver: Callable[..., Delivering]) -> None:
    fleet = deliver(nixos=2)
    one, two = fleet.on.hosts
    await fleet.generate()
    await fleet.on.update()
    systems = [fleet.on.running(host) for host in (one, two)]

    await fleet.generate(one.name, regenerate=True)
    done = await fleet.on.update()

    assert [done.state.hosts[host.name].outcome for host in (one, two)] == [Outcome.CONFIRMED, Outcome.UNCHANGED]
    assert fleet.on.stages(one) == [Stage.CONNECT, Stage.SECRETS]
    assert fleet.read(one, "/run/secrets/vars/token/token") == fleet.value(one)
    assert [fleet.on.running(host) for host in (one, two)] == systems


async def test_upload_brings_them_again_after_memory_was_lost(deliver: Callable[..., Delivering]) -> None:
    fleet = deliver(nixos=1)
    (host,) = fleet.on.hosts
    await fleet.generate()
    assert (await fleet.upload()).state.hosts[host.name].outcome == Outcome.CONFIRMED
    assert (await fleet.upload()).state.hosts[host.name].outcome == Outcome.UNCHANGED

    fleet.run(host, "rm -rf /run/clanpy-secrets /run/secrets")  # as a reboot does
    done = await fleet.upload()

    assert done.state.hosts[host.name].outcome == Outcome.CONFIRMED
    assert fleet.read(host, "/run/secrets/vars/token/token") == fleet.value(host)
    assert fleet.on.running(host) == "" or "nixos" in fleet.on.running(host)


async def test_a_failed_activation_brings_the_old_secrets_back(deliver: Callable[..., Delivering]) -> None:
    fleet = deliver(nixos=1)
    (host,) = fleet.on.hosts
    await fleet.generate()
    await fleet.on.update()
    old = fleet.value(host)

    await fleet.generate(regenerate=True)
    fleet.on.configure(host, FAILING)
    done = await fleet.on.update()

    assert done.state.hosts[host.name].outcome == Outcome.ROLLED_BACK
    assert fleet.value(host) != old
    assert fleet.read(host, "/run/secrets/vars/token/token") == old


async def test_a_machine_whose_vars_are_not_ready_is_refused_and_others_go_on(
    deliver: Callable[..., Delivering],
) -> None:
    fleet = deliver(nixos=2)
    one, two = fleet.on.hosts
    await fleet.generate(two.name)

    done = await fleet.on.update()

    refused, good = done.state.hosts[one.name], done.state.hosts[two.name]
    assert refused.outcome == Outcome.FAILED
    assert good.outcome == Outcome.CONFIRMED
    assert refused.error is not None
    assert refused.error["code"] == "CP0630"
    assert refused.error["hint"] == f"`clanpy vars generate {one.name}`"
    assert fleet.on.stages(one) == [], "nothing was asked, built or copied"

    fleet.on.inventory(TOKEN.replace('kind = "token"', 'kind = "token"\nvalidation = 2'))
    later = await fleet.on.update(two.name)
    assert "token is outdated" in str(later.state.hosts[two.name].error)


async def test_secrets_that_are_not_declared_any_more_are_taken_away(deliver: Callable[..., Delivering]) -> None:
    fleet = deliver(nixos=1)
    (host,) = fleet.on.hosts
    await fleet.generate()
    await fleet.upload()

    fleet.on.inventory()
    assert (await fleet.upload()).state.hosts[host.name].outcome == Outcome.CONFIRMED
    assert fleet.run(host, "ls /run/secrets/vars/ 2>/dev/null") == ""


async def test_after_a_reboot_they_are_there_before_it_is_confirmed(deliver: Callable[..., Delivering]) -> None:
    fleet = deliver(nixos=1)
    (host,) = fleet.on.hosts
    await fleet.generate()

    done = await fleet.on.update(options=Options(confirm_within=30, live=Live(reboot=True)))

    assert done.exit_code == 0, fleet.on.log(host)
    assert fleet.on.stages(host).count(Stage.SECRETS) == 2
    assert fleet.read(host, "/run/secrets/vars/token/token") == fleet.value(host)
    assert (await fleet.on.update()).state.hosts[host.name].outcome == Outcome.UNCHANGED


# What sops-nix does when a system is activated, with the program that it is built on.
SOPS_NIX = """
{ config, lib, ... }: {
  system.activationScripts.setupSecrets.text = ''
    new=/run/secrets.d/$$
    mkdir -p $new
    ${lib.concatStringsSep "\\n" (lib.mapAttrsToList (name: found: ''
      mkdir -p "$new/$(dirname ${name})"
      SOPS_AGE_KEY_FILE=${config.sops.age.keyFile} %s decrypt --input-type ${found.format} --output-type ${found.format} ${found.sopsFile} >$new/${name}
      chown ${found.owner}:${found.group} $new/${name}
      chmod ${found.mode} $new/${name}
    '') config.sops.secrets)}
    ln -sfn $new /run/secrets
  '';
}
"""


async def test_where_sops_nix_decrypts_the_key_and_the_ciphertext_go(deliver: Callable[..., Delivering]) -> None:
    fleet = deliver(f'{TOKEN}[vars.settings]\ndelivery = "sops-nix"\n', nixos=1)
    (host,) = fleet.on.hosts
    fleet.on.configure(host, SOPS_NIX.replace("%s", "/var/sops"))
    fleet.install(host, "sops", Path(sops_path()))
    await fleet.generate()

    assert (await fleet.on.update()).exit_code == 0, fleet.on.log(host)
    assert fleet.read(host, "/run/secrets/vars/token/token") == fleet.value(host)
    assert fleet.run(host, "stat -L -c '%a %U' /var/lib/sops-nix/key.txt").split() == ["600", "root"]
    assert "AES256_GCM" in fleet.read(host, "/var/lib/sops-nix/vars/token/token")
    kept = fleet.run(host, f"grep -rlF '{fleet.value(host)}' /var/lib /run/clanpy-secrets 2>/dev/null")
    assert kept == "", "the plain value is where sops-nix puts it, and nowhere else"
    assert (await fleet.on.update()).round_trips == {host.name: 1}

    await fleet.generate(regenerate=True)
    assert (await fleet.upload()).state.hosts[host.name].outcome == Outcome.CONFIRMED
    assert fleet.read(host, "/run/secrets/vars/token/token") == fleet.value(host)


PLANTED = "planted-secret-0123456789"


@contextmanager
def watching(needle: str) -> Iterator[list[str]]:
    """Look at the arguments and environments of all processes of this computer, its labs included, as fast as one can."""
    found: list[str] = []
    ended = threading.Event()

    def look() -> None:
        while not ended.is_set():
            for entry in os.listdir("/proc"):  # noqa: PTH208 - quick
                if not entry.isdigit() or int(entry) == os.getpid():
                    continue
                for name in ("cmdline", "environ"):
                    try:
                        text = Path(f"/proc/{entry}/{name}").read_bytes()
                    except OSError:
                        continue
                    if needle.encode() in text:
                        found.append(f"{name} of {entry}: {text[:80]!r}")

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield found
    finally:
        ended.set()
        watcher.join()


def holding(folder: Path, needle: str) -> list[str]:
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return [str(path) for path in files if needle.encode() in path.read_bytes()]


async def test_a_planted_secret_is_nowhere_but_where_it_belongs(
    deliver: Callable[..., Delivering], tmp_path: Path
) -> None:
    fleet = deliver(nixos=1, darwin=1)
    machine, mac = fleet.on.hosts
    for host in fleet.on.hosts:
        await fleet.set(host, "token", f"{PLANTED}-{host.name}")
    told: list[str] = []

    with watching(PLANTED) as seen:
        told.append(str((await fleet.upload()).state))
        told += map(str, fleet.on.facts)
        fleet.on.configure(machine, FAILING)
        told.append(str((await fleet.on.update()).state))
        told += map(str, fleet.on.facts)
        fleet.run(
            mac,
            "rm -rf /run/clanpy-secrets; mkdir -p /run/secrets.d; rm -rf /run/secrets; ln -s secrets.d /run/secrets",
        )
        refused = await fleet.upload(mac.name)
        told.append(str(refused.state))
        program = await asyncio.to_thread(fleet.on.clanpy, "-vvv", "vars", "upload", machine.name, "--json")
        told += [program.stdout, program.stderr]
        broken = await asyncio.to_thread(fleet.on.clanpy, "--debug", "vars", "upload", mac.name)
        told += [broken.stdout, broken.stderr]

    assert refused.state.hosts[mac.name].outcome == Outcome.FAILED
    assert broken.returncode != 0
    assert seen == []
    assert PLANTED not in "\n".join(told)
    assert holding(fleet.on.state, PLANTED) == [], "the journal and the logs of hosts"
    assert holding(fleet.on.cache, PLANTED) == []
    assert holding(tmp_path, PLANTED) == []
    for host in fleet.on.hosts:
        kept = fleet.run(host, f"find / -xdev -newer /etc/hostname -type f -exec grep -lF {PLANTED} {{}} + 2>/dev/null")
        assert kept == "", "nothing of it is on a disk, the store included"
    assert fleet.read(machine, "/run/secrets/vars/token/token") == f"{PLANTED}-{machine.name}"


async def test_a_plan_names_the_secrets_that_change_and_is_outdated_once_they_are_others(
    deliver: Callable[..., Delivering],
) -> None:
    fleet = deliver()
    (host,) = fleet.on.hosts
    await fleet.generate()
    surroundings = fleet.on.surroundings()

    async def planned() -> Plan:
        recorder = fleet.on.journal.begin()
        try:
            return (await plan(surroundings, fleet.on.names, Options(), recorder))[1]
        finally:
            recorder.close()

    assert "services/token/token" in (await planned()).hosts[0].change.secrets.added
    await fleet.on.update()
    assert (await planned()).changing() == ()
    await fleet.set(host, "token/token", "another")
    made = await planned()
    assert made.hosts[0].change == Change(secrets=Delta(changed=("services/token/token",)))
    await check_plan(surroundings, made, Options())
    await fleet.set(host, "token/token", "yet another")
    with pytest.raises(PlanOutdatedError) as refused:
        await check_plan(surroundings, made, Options())
    assert refused.value.details == (f"{host.name}: the secrets that it is to have are others",)
    await fleet.upload()
    await fleet.set(host, "token/token", "another")
    with pytest.raises(PlanOutdatedError) as refused:
        await check_plan(surroundings, made, Options())
    assert refused.value.details == (f"{host.name}: its secrets are others",)
