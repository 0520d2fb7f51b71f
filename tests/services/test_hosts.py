"""Every role of every built-in service on real hosts of the lab: generated, built, deployed, and what is then there to be seen.

One deployment for all of them: a NixOS host and a Mac are in every role that their class can be in.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

import pytest

from clanpy.deployment.options import Options
from clanpy.events import Outcome
from clanpy.generators.fleet import read_fleet
from clanpy.generators.values import get, put
from clanpy.inventory import load, resolve
from clanpy.inventory.model import Fleet, HostConfig
from clanpy.inventory.roles import Roles
from clanpy.lab import LabHost
from clanpy.modules.deferred import NixClass
from clanpy.secrets import Secret
from clanpy.services import built_in_names, find_service
from clanpy.services.exports import Address, Network
from clanpy.vars import How, Session, Wanted, generate
from deploy.rehearsal import Rehearsal
from services.everything import inventory
from support.generators import Scripted
from support.lab import LabPool, LentLab
from support.vault import Vault


pytestmark = [pytest.mark.lab, pytest.mark.nix]

HERE = "NIXOS"  # stands for the name of the NixOS host


@dataclass
class World:
    """The hosts after the deployment."""

    lab: LentLab
    fleet: Fleet
    session: Session
    nixos: LabHost
    darwin: LabHost

    def host(self, class_: str) -> LabHost:
        return self.nixos if class_ == "nixos" else self.darwin

    def read(self, class_: str, path: str) -> str:
        """The text of a file on a host, with names and public values that are the run's own replaced."""
        done = self.lab.run_in(self.host(class_), ["cat", path])
        assert done.returncode == 0, f"{path} on the {class_} host: {done.stderr}"
        return done.stdout

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What the systems that run were told, by class: mini keeps in a file what it has no use for."""
        return {c: json.loads(self.read(c, "/run/current-system/settings.json")) for c in ("nixos", "darwin")}

    @cached_property
    def configs(self) -> dict[str, HostConfig]:
        return {c: resolve(self.fleet, self.host(c).name) for c in ("nixos", "darwin")}

    def public(self, class_: str, generator: str, file: str) -> str:
        return get(self.session, self.host(class_).name, f"{generator}/{file}").text().strip()


@pytest.fixture(scope="module")
def world(lab_pool: LabPool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Both hosts, deployed once, with all values generated, and brought to them by the deployment."""
    lent = LentLab(lab_pool)
    folder = tmp_path_factory.mktemp("everything")
    vault = Vault.make(folder, "alice")
    nixos, darwin = lent.host(), lent.host(class_="darwin", users=("crs58",))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in vault.person("alice").environment.items():
            patch.setenv(name, value)
        try:
            yield asyncio.run(_deployed(lent, vault, folder, nixos, darwin))
        finally:
            lent.close()


async def _deployed(lent: LentLab, vault: Vault, folder: Path, nixos: LabHost, darwin: LabHost) -> World:
    rehearsal = Rehearsal(lent, folder, [nixos, darwin])
    rehearsal.inventory(inventory(nixos=nixos.name, darwin=darwin.name, address=nixos.address, port=nixos.port))
    rehearsal.write("modules/system/imported.nix", '{ environment.etc."imported".text = "yes"; }\n')
    for host in (nixos, darwin):
        vault.machine(host.name)
    session = await _generated(vault, rehearsal.folder)
    fleet = load(rehearsal.folder)
    result = await rehearsal.update(options=Options(confirm_within=30))
    assert [host.outcome for host in result.state.hosts.values()] == [Outcome.CONFIRMED] * 2, [
        host.error for host in result.state.hosts.values()
    ]
    return World(lent, fleet, session, nixos, darwin)


async def _generated(vault: Vault, folder: Path) -> Session:
    session = Session.open(read_fleet(load(folder)).context, environment=vault.person("alice").environment)
    for machine, identity in zip(session.context.select(()), IDENTITIES, strict=True):
        address, _, public, _ = identity.split(":")
        values = {"identity-secret": identity, "identity": f"{address}:0:{public}", "address": address}
        for name, value in values.items():
            await put(session, machine, f"zerotier/zerotier-{name}", Secret(value))
    session = session.fresh()
    answers = Scripted(lambda question: f'the answer to "{str(question).split()[-1]}" $x')
    await generate(session, Wanted(machines=session.context.select(())), How(prompter=answers))
    return session.fresh()


Where = tuple[str, ...] | str
"""A file on the host, or the path of a setting that its system was told."""


@dataclass(frozen=True)
class Seen:
    """What is to be seen of a role: `has` in a file or in a setting."""

    role: str
    class_: str
    where: Where
    has: str

    def __str__(self) -> str:
        place = self.where if isinstance(self.where, str) else ".".join(self.where)
        return f"{self.role} on {self.class_}: {place}"


# Identities of nobody: one takes seconds to make, which other tests do.
IDENTITIES = (
    "c7dc46ddad:0:f99eeea4f29a6a2ecea658960607a0856af123c577f1174fe96b32f715a9702715182599cf2af49a77e4bd118fbef8c7b49648829e6e9d93545593f34d776b70:10a46a3483f2bb3eb88a49c06ba5c76100822ba972d2180f6ec81d675e42304335c41ba33b496251a6ceec3f81986591a869fee7d84f7dd4ead6bc9ff5220f88",
    "bb3b19073a:0:c712ec7fc90ea7cfc8097935cbcfe01e856e617fc8197224f5bc2b766e69f70289ccd2987a1f375dfea1ddbb4babf9a6c6dd0b05d46ca1ad4b22ec88ec4aa8b1:d0599c9da01b412f7d0b27144333940c38469bf05bfc656663d9628b02fd3379afac1724587d21f4c9d51de352243be4bb67c6cdbc87e902ccf6ee22f71af041",
)
BOTH: tuple[NixClass, ...] = ("nixos", "darwin")
ZEROTIER_DARWIN = "/Library/Application Support/ZeroTier/One"
UNITS = "/etc/systemd/system"
KEY = "/run/secrets/vars"

TABLE = [
    *(Seen("users/default", c, "/etc/passwd", "\nalice:") for c in BOTH),
    *(Seen("users/default", c, "/etc/nix/mini.conf", "trusted-users = alice") for c in BOTH),
    Seen("users/default", "nixos", "/run/secrets-for-users/vars/user-password-alice/user-password-hash", "$"),
    Seen("users/default", "nixos", "/etc/group", "\nvideo:x:"),
    Seen("users/default", "nixos", "/run/current-system/accounts", "user\talice\t"),
    Seen("sshd/server", "nixos", "/etc/ssh/sshd_config.d/10-mini.conf", "HostCertificate /etc/ssh/ssh_host_ed25519_key-cert.pub"),
    Seen("sshd/server", "nixos", ("services", "openssh", "hostKeys"), f"{KEY}/openssh/ssh.id_ed25519"),
    Seen("sshd/server", "nixos", ("services", "openssh", "hostKeys"), f"{KEY}/openssh-rsa/ssh.id_rsa"),
    *(Seen("sshd/server", c, "/etc/ssh/ssh_host_ed25519_key-cert.pub", "ssh-ed25519-cert-v01@openssh.com ") for c in BOTH),
    Seen("sshd/server", "nixos", "/etc/ssh/authorized_keys.d/root", "ssh-ed25519 AAAA root"),
    Seen("sshd/server", "darwin", "/etc/ssh/nix_authorized_keys.d/root", "ssh-ed25519 AAAA root"),
    Seen("sshd/server", "darwin", "/etc/ssh/sshd_config.d/050-clanpy.conf", f"HostKey {KEY}/openssh/ssh.id_ed25519"),
    *(Seen("sshd/client", c, "/etc/ssh/ssh_known_hosts", "@cert-authority *.clan,*.example.org ssh-ed25519 ") for c in BOTH),
    *(Seen("sshd/client", c, "/etc/ssh/ssh_known_hosts", "\ngit.example.org ssh-ed25519 AAAA git") for c in BOTH),
    Seen("emergency-access/default", "nixos", ("boot", "initrd", "systemd", "emergencyAccess"), "$"),
    Seen("admin/default", "nixos", "/etc/ssh/authorized_keys.d/root", "ssh-ed25519 AAAA carol"),
    Seen("zerotier/controller", "nixos", "/etc/clanpy/zerotier/zerotier.json", '"0123456789"'),
    Seen("zerotier/controller", "nixos", f"{UNITS}/zerotier-members-zerotier.service", "ExecStart="),
    Seen("zerotier/moon", "nixos", "/etc/clanpy/zerotier/moon-zerotier.json", '["192.0.2.1/9993"]'),
    Seen("zerotier/moon", "nixos", f"{UNITS}/zerotierone.service", "ExecStartPre="),
    Seen("zerotier/peer", "nixos", ("services", "zerotierone", "joinNetworks"), "fedcba9876543210"),
    Seen("zerotier/peer", "darwin", f"{ZEROTIER_DARWIN}/local.conf", '"primaryPort":9993'),
    Seen("zerotier/peer", "darwin", f"{ZEROTIER_DARWIN}/identity.public", ":0:"),
    Seen("zerotier/peer", "darwin", f"{ZEROTIER_DARWIN}/identity.secret", ":0:"),
    Seen("zerotier/peer", "darwin", "/run/current-system/Brewfile", 'cask "zerotier-one"'),
    Seen("wireguard/controller", "nixos", ("networking", "wireguard", "interfaces", "wireguard", "ips"), "::1/64"),
    Seen("wireguard/controller", "nixos", ("boot", "kernel", "sysctl"), "net.ipv6.conf.all.forwarding"),
    Seen("wireguard/peer", "nixos", ("networking", "wireguard", "interfaces", "wg-two", "privateKeyFile"), f"{KEY}/wireguard-keys-wg-two/privatekey"),
    Seen("wireguard/peer", "darwin", ("networking", "wg-quick", "interfaces", "wireguard", "peers"), "vpn.example.org:51820"),
    Seen("tor/server", "nixos", ("services", "tor", "relay", "onionServices", "tor"), f"{KEY}/tor_tor/hs_ed25519_secret_key"),
    Seen("tor/server", "darwin", "/etc/tor/torrc", "HiddenServicePort 80 127.0.0.1:8080"),
    Seen("tor/server", "darwin", "/Library/LaunchDaemons/org.nixos.tor.plist", "/etc/tor/torrc"),
    Seen("tor/client", "nixos", ("services", "tor", "client", "enable"), "true"),
    Seen("tor/client", "darwin", "/etc/tor/torrc", "SocksPort 127.0.0.1:9050"),
    Seen("wifi/default", "nixos", ("networking", "networkmanager", "ensureProfiles", "profiles", "home"), "$wifi_1_psk"),
    Seen("wifi/default", "nixos", "/run/clanpy-wifi/networks", r'''wifi_1_psk="the answer to \"shared/wifi.home/password\" \$x"'''),
    Seen("wifi/default", "nixos", f"{UNITS}/clanpy-wifi.service", "Before=NetworkManager-ensure-profiles.service"),
    Seen("yggdrasil/default", "nixos", ("services", "yggdrasil", "settings"), "tls://peer.example.org:443"),
    Seen("yggdrasil/default", "nixos", ("services", "yggdrasil", "settings", "PrivateKeyPath"), f"{KEY}/yggdrasil/privateKey"),
    Seen("mycelium/peer", "nixos", ("services", "mycelium"), f"{KEY}/mycelium/key"),
    Seen("borgbackup/client", "nixos", ("services", "borgbackup", "jobs"), f"borg@{HERE}.clan:."),
    Seen("borgbackup/client", "nixos", ("services", "borgbackup", "jobs", "borgbackup-far", "paths"), "/srv"),
    Seen("borgbackup/server", "nixos", ("services", "borgbackup", "repos", HERE), f"/backup/{HERE}"),
    Seen("localbackup/default", "nixos", "/etc/clanpy/localbackup/localbackup-disk.conf", "snapshot_root\t/mnt/disk/\n"),
    Seen("localbackup/default", "nixos", f"{UNITS}/localbackup-disk.timer", "OnCalendar=*-*-* 01:00:00"),
    Seen("localbackup/default", "nixos", f"{UNITS}/localbackup-disk.service", "ExecStart="),
    Seen("syncthing/peer", "nixos", ("services", "syncthing", "settings", "folders", "notes"), "phone"),
    Seen("syncthing/peer", "nixos", ("services", "syncthing", "cert"), f"{KEY}/syncthing/cert"),
    Seen("monitoring/client", "nixos", "/etc/alloy/config.alloy", f'url = "http://{HERE}.clan/loki/api/v1/push"'),
    Seen("monitoring/client", "nixos", f"{UNITS}/alloy.service", f"LoadCredential=loki:{KEY}/loki-auth/password"),
    Seen("monitoring/server", "nixos", ("services", "prometheus"), f"{HERE}.clan:9100"),
    Seen("monitoring/server", "nixos", f"{UNITS}/grafana.service", f"LoadCredential=admin:{KEY}/grafana-admin/password"),
    *(Seen("pki/default", c, "/etc/mini/ssl/certs/ca-certificates.crt", "-----BEGIN CERTIFICATE-----") for c in BOTH),
    Seen("pki/default", "nixos", ("services", "nginx", "virtualHosts", "www.example.org"), f"{KEY}/cert-www.example.org/tls.key"),
    Seen("dyndns/default", "nixos", "/etc/clanpy/dyndns.json", '"domain":"home.example.org"'),
    Seen("dyndns/default", "nixos", f"{UNITS}/ddns-updater.service", f"LoadCredential=token-0:{KEY}/dyndns-hetzner-home.example.org/token"),
    *(Seen("packages/default", c, "/run/current-system/sw/bin/rg", "rg 14") for c in BOTH),
    *(Seen("trusted-nix-caches/default", c, "/etc/nix/mini.conf", "extra-substituters = https://cache.example.org") for c in BOTH),
    *(Seen("importer/default", c, "/etc/imported", "yes") for c in BOTH),
    *(Seen("hello-world/morning", c, "/etc/clanpy/hello/hello-world-morning", "Good morning from ") for c in BOTH),
    *(Seen("hello-world/evening", c, "/etc/clanpy/hello/hello-world-evening", "Good night from ") for c in BOTH),
]  # fmt: skip
ELSEWHERE = {("internet/default", "nixos"), ("internet/default", "darwin")}


@pytest.mark.parametrize("seen", TABLE, ids=str)
def test_a_role_is_seen_on_its_hosts(world: World, seen: Seen) -> None:
    def here(text: str) -> str:
        return text.replace(HERE, world.nixos.name)

    if isinstance(seen.where, str):
        assert here(seen.has) in f"\n{world.read(seen.class_, here(seen.where))}"
        return
    found: Any = world.settings[seen.class_]
    for key in seen.where:
        found = found[here(key)]
    assert here(seen.has) in json.dumps(found)


def test_no_role_is_forgotten_here() -> None:
    """Every role with a half for a class is in the table above; one without any is seen in another way."""
    told = {(seen.role, seen.class_) for seen in TABLE} | ELSEWHERE
    for name in built_in_names():
        service, _ = find_service(name, None, Path())
        for role, declared in service.roles.items():
            for class_ in BOTH:
                if declared.half(class_):
                    assert (f"{name}/{role}", class_) in told
            assert any((f"{name}/{role}", class_) in told for class_ in BOTH)


def test_nothing_is_left_to_do_without(world: World) -> None:
    notes = [m.note for config in world.configs.values() for m in config.memberships if m.note]

    assert not [note for note in notes if "not generated" in note]


def test_a_certificate_is_good_for_all_names_of_its_host(world: World, tmp_path: Path) -> None:
    certificate = tmp_path / "cert.pub"
    certificate.write_text(world.read("nixos", "/etc/ssh/ssh_host_ed25519_key-cert.pub"))
    told = world.lab.run_in(world.nixos, ["sh", "-c", "ssh-keygen -L -f /etc/ssh/ssh_host_ed25519_key-cert.pub"]).stdout
    name = world.nixos.name

    assert f"{name}\n" in told
    assert f"{name}.clan\n" in told
    assert f"{name}.example.org\n" in told
    assert world.public("nixos", "openssh-ca", "id_ed25519.pub").split()[1] in world.read(
        "nixos", "/etc/ssh/ssh_known_hosts"
    )


def test_both_ends_of_a_tunnel_know_each_other(world: World) -> None:
    controller = world.settings["nixos"]["networking"]["wireguard"]["interfaces"]["wireguard"]
    peer = world.settings["darwin"]["networking"]["wg-quick"]["interfaces"]["wireguard"]

    assert [p["publicKey"] for p in controller["peers"]] == [
        world.public("darwin", "wireguard-keys-wireguard", "publickey")
    ]
    assert [p["publicKey"] for p in peer["peers"]] == [world.public("nixos", "wireguard-keys-wireguard", "publickey")]
    assert controller["peers"][0]["allowedIPs"] == [peer["address"][0].replace("/64", "/128")]


def test_machines_are_in_the_network_of_their_controller(world: World) -> None:
    network = world.public("nixos", "zerotier-network-zerotier", "zerotier-network-id")
    told = json.loads(world.read("nixos", "/etc/clanpy/zerotier/zerotier.json"))
    nodes = {world.public(c, "zerotier", "zerotier-address") for c in BOTH}

    assert network.startswith(world.public("nixos", "zerotier", "zerotier-address"))
    assert told["network"] == network
    assert set(told["nodes"]) == {*nodes, "0123456789"}
    world.read("darwin", f"{ZEROTIER_DARWIN}/networks.d/{network}.conf")


def test_networks_say_where_machines_are_reached(world: World) -> None:
    """By the networks' priorities: what feeds the choice of the way to a machine."""
    exports = Roles(world.fleet).exports
    priority = {record.instance: record.value.priority for record in exports.records(Network)}  # type: ignore[attr-defined] # a Network
    addresses = {
        record.service: record.value
        for record in exports.records(Address)
        if record.machine == world.nixos.name and record.instance == record.service
    }

    assert priority == {
        "internet": 2000, "yggdrasil": 2000, "wireguard": 1000, "wg-two": 1000,
        "zerotier": 900, "zerotier-too": 900, "mycelium": 800, "tor": 10,
    }  # fmt: skip
    internet = addresses["internet"]
    assert isinstance(internet, Address)
    assert (internet.host, internet.port, internet.user) == (world.nixos.address, world.nixos.port, "root")
    assert internet.jump == ("jump@gate.example.org:2222",)
    hosts = {service: address.host for service, address in addresses.items() if isinstance(address, Address)}
    assert hosts["tor"] == world.public("nixos", "tor_tor", "hostname")
    assert hosts["yggdrasil"] == world.public("nixos", "yggdrasil", "address")
    assert hosts["mycelium"] == world.public("nixos", "mycelium", "ip")
    network = world.public("nixos", "zerotier-network-zerotier", "zerotier-network-id")
    node = world.public("nixos", "zerotier", "zerotier-address")
    assert IPv6Address(hosts["zerotier"]).exploded.replace(":", "") == f"fd{network}9993{node}"


@pytest.mark.parametrize("class_", BOTH)
def test_who_believes_the_authority_knows_a_host_by_its_certificate(world: World, tmp_path: Path, class_: str) -> None:
    """With nothing on record but what the client role wrote; and the key that was on record before still counts."""
    host, user = world.host(class_), "root" if class_ == "nixos" else "crs58"
    record = tmp_path / "known_hosts"
    authority = world.read(class_, "/etc/ssh/ssh_known_hosts")
    record.write_text("".join(line for line in authority.splitlines(keepends=True) if line.startswith("@cert")))

    def logs_in(*options: str) -> bool:
        argv = ["ssh", *options, *world.lab.ssh_options, f"{user}@{host.address}", "true"]
        return subprocess.run(argv, check=False, capture_output=True, timeout=30).returncode == 0

    strict = ("-o", f"UserKnownHostsFile={record}", "-o", "StrictHostKeyChecking=yes")
    assert logs_in(*strict, "-o", f"HostKeyAlias={host.name}.clan")
    assert logs_in(*strict, "-o", f"HostKeyAlias={host.name}.example.org")
    assert not logs_in(*strict, "-o", "HostKeyAlias=another.clan")
    assert logs_in("-o", "StrictHostKeyChecking=yes", "-o", "HostKeyAlgorithms=ssh-ed25519")
