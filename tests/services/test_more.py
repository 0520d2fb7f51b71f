"""Backups, shared folders, certificates, names: what the services make of their settings."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from clanpy.inventory import resolve
from clanpy.inventory.model import HostConfig
from clanpy.services.generator import PUBLIC, SECRET, path_on_host
from services.test_networks import data, fleet, notes
from support.nixeval import HAS_NIX, evaluated


needs_nix = pytest.mark.skipif(not HAS_NIX, reason="needs nix-instantiate")


def generators(host: HostConfig) -> list[str]:
    return [generator.name for generator in host.generators]


BORG = """
[instances.backup]
module.name = "borgbackup"
roles.client.machines.leaf.settings = { folders = ["/srv"], destinations.far = { repo = "u@far:x", rsh = "ssh -p 23" } }
roles.client.machines.other = {}
roles.server.machines.hub.settings = { directory = "/big", address = "backup.example.org", port = 2222 }
"""


class TestBorg:
    def test_a_client_sends_to_every_server_and_elsewhere(self, tmp_path: Path) -> None:
        jobs = data(resolve(fleet(tmp_path, BORG), "leaf"), "nixos/borgbackup/backup/client")["services"]["borgbackup"][
            "jobs"
        ]

        assert sorted(jobs) == ["backup-far", "backup-hub"]
        assert jobs["backup-hub"]["repo"] == "borg@backup.example.org:."
        assert jobs["backup-hub"]["environment"]["BORG_RSH"].endswith("-p 2222")
        assert jobs["backup-far"]["environment"]["BORG_RSH"] == "ssh -p 23"
        assert jobs["backup-far"]["paths"] == ["/srv"]

    def test_a_server_has_a_repository_for_each_client_whose_key_it_knows(self, tmp_path: Path) -> None:
        host = resolve(fleet(tmp_path, BORG, {"leaf/borgbackup/borgbackup.ssh.pub": "ssh-ed25519 AAAA leaf\n"}), "hub")
        repos = data(host, "nixos/borgbackup/backup/server")["services"]["borgbackup"]["repos"]

        assert repos == {"leaf": {"path": "/big/leaf", "authorizedKeys": ["ssh-ed25519 AAAA leaf"]}}
        assert notes(host) == [
            "borgbackup: does without 'borgbackup/borgbackup.ssh.pub' of other, which is not generated yet"
        ]


def test_folders_are_shared_with_all_or_with_whom_is_named(tmp_path: Path) -> None:
    one, two = "-".join(["ABCDEFG"] * 8), "-".join(["HIJKLMN"] * 8)
    text = f"""
    [instances.syncthing.roles.peer]
    machines.hub = {{}}
    machines.leaf.settings = {{ folders.all.path = "/a", folders.some = {{ path = "/b", devices = ["phone"] }}, extra_devices.phone.id = "{two}" }}
    """
    host = resolve(fleet(tmp_path, text, {"hub/syncthing/id": one}), "leaf")
    found = data(host, "nixos/syncthing/syncthing/peer")["services"]["syncthing"]

    assert found["settings"]["devices"]["hub"] == {"id": one, "addresses": ["dynamic", "tcp://hub.lan:22000"]}
    assert found["settings"]["folders"]["all"]["devices"] == ["hub", "phone"]
    assert found["settings"]["folders"]["some"]["devices"] == ["phone"]
    assert "key" not in found
    assert notes(host) == ["syncthing: does without 'syncthing/id', which is not generated yet"]


class TestCertificates:
    def test_a_machine_has_certificates_for_its_endpoints_and_those_of_its_services(self, tmp_path: Path) -> None:
        text = """
        [instances.pki.roles.default]
        tags = ["all"]
        machines.hub.settings = { endpoints = ["www.lan"], nginx = true }
        [instances.monitoring.roles.server]
        machines = ["hub"]
        [instances.wireguard.roles.controller.machines.hub.settings]
        endpoint = "vpn.lan"
        """
        values = {
            "shared/pki-root-ca/ca.crt": "PEM\n",
            "hub/cert-www.lan/tls.crt": "PEM",
            "hub/wireguard-keys-wireguard/publickey": "k=",
        }
        found = fleet(tmp_path, text, values)
        hub, mac = resolve(found, "hub"), resolve(found, "mac")

        assert [name for name in generators(hub) if name.startswith(("cert-", "pki"))] == [
            *("cert-hub.lan", "cert-vpn.lan", "cert-www.lan"),
            "pki-root-ca",
        ]
        assert data(hub, "nixos/pki/pki/default")["services"]["nginx"]["virtualHosts"] == {
            "www.lan": {
                "forceSSL": {"_type": "override", "priority": 1000, "content": True},
                "sslCertificate": path_on_host("cert-www.lan", "tls.crt", PUBLIC),
                "sslCertificateKey": path_on_host("cert-www.lan", "tls.key", SECRET),
            }
        }
        assert data(mac, "darwin/pki/pki/default") == {"security": {"pki": {"certificates": ["PEM\n"]}}}
        assert generators(mac) == ["pki-root-ca"]

    def test_nothing_is_trusted_before_there_is_something(self, tmp_path: Path) -> None:
        host = resolve(fleet(tmp_path, '[instances.pki.roles.default]\ntags = ["all"]\n'), "mac")

        assert not [module for module in host.modules if "pki" in module.key]
        assert notes(host) == ["pki: does without 'pki-root-ca/ca.crt', which is not generated yet"]


def test_a_certificate_is_found_whoever_is_looked_at_first(tmp_path: Path) -> None:
    """What one machine exports is asked for while another's generators are declared, and the other way round."""
    text = """
    [instances.pki.roles.default]
    tags = ["all"]
    settings.nginx = true
    [instances.wireguard.roles.controller.machines]
    hub.settings.endpoint = "vpn.lan"
    other.settings.endpoint = "vpn2.lan"
    """
    keys = {f"{name}/wireguard-keys-wireguard/publickey": "k=" for name in ("hub", "other")}
    found = fleet(tmp_path, text, {**keys, "other/cert-vpn2.lan/tls.crt": "PEM", "shared/pki-root-ca/ca.crt": "PEM"})
    hosts = {name: resolve(found, name) for name in ("leaf", "hub", "other")}
    shown = data(hosts["other"], "nixos/pki/pki/default")["services"]["nginx"]["virtualHosts"]["vpn2.lan"]

    assert "cert-vpn.lan" in generators(hosts["hub"])
    assert "cert-vpn2.lan" in generators(hosts["other"])
    assert shown["sslCertificate"] == path_on_host("cert-vpn2.lan", "tls.crt", PUBLIC)


class TestSshd:
    TEXT = """
    [instances.sshd.roles]
    server.machines = ["hub", "mac"]
    server.settings.certificate = { search_domains = ["example.org"], days = 90 }
    client.machines = ["leaf"]
    """

    def test_a_host_is_signed_for_under_all_of_its_names(self, tmp_path: Path) -> None:
        host = resolve(fleet(tmp_path, self.TEXT), "hub")
        certificate = next(g for g in host.generators if g.name == "openssh-cert")

        assert certificate.kind.principals == ("hub", "hub.lan", "hub.example.org")  # type: ignore[union-attr] # an SshCertificate
        assert certificate.needs() == ("openssh", "openssh-ca")
        assert generators(host) == ["openssh", "openssh-ca", "openssh-cert"]
        assert not next(g for g in host.generators if g.name == "openssh-ca").outputs()["id_ed25519"].deploy

    def test_until_then_it_keeps_the_keys_that_it_has_and_says_so(self, tmp_path: Path) -> None:
        found = fleet(tmp_path, self.TEXT)
        server = data(resolve(found, "hub"), "nixos/sshd/sshd/server")
        client = data(resolve(found, "leaf"), "nixos/sshd/sshd/client")

        assert (server["key"], server["certificate"], client["authority"]) == (None, None, None)
        assert "'openssh-cert/ssh.id_ed25519-cert.pub', which is not generated yet" in notes(resolve(found, "hub"))[0]
        assert "'openssh-ca/id_ed25519.pub', which is not generated yet" in notes(resolve(found, "leaf"))[0]

    @needs_nix
    @pytest.mark.nix
    @pytest.mark.parametrize(("replace", "first"), [(False, "/etc/ssh/ssh_host_ed25519_key"), (True, "/run/secrets/vars/openssh/ssh.id_ed25519")])  # fmt: skip
    def test_who_knows_the_old_key_of_a_host_is_not_turned_away_unless_that_is_wanted(
        self, tmp_path: Path, replace: bool, first: str
    ) -> None:
        text = self.TEXT + f"server.machines.hub.settings.host_keys.replace = {str(replace).lower()}\n"
        text = text.replace('server.machines = ["hub", "mac"]', "server.machines.mac = {}")
        values = {
            "hub/openssh/ssh.id_ed25519.pub": "ssh-ed25519 AAAA hub",
            "hub/openssh-cert/ssh.id_ed25519-cert.pub": "cert",
        }
        host = resolve(fleet(tmp_path, text, values), "hub")
        keys = evaluated([host], tmp_path, "config.services.openssh.hostKeys")["hub"]

        assert keys[0]["path"] == first
        assert keys[-1]["path"] == "/run/secrets/vars/openssh/ssh.id_ed25519"


DYNDNS = """
[instances.dyndns.roles.default.machines.leaf.settings.settings]
a = { provider = "hetzner", domain = "a.example.org", secret_field_name = "token", extra_settings = { ttl = 300 } }
b = { provider = "namecheap", domain = "b.example.org" }
"""


@needs_nix
@pytest.mark.nix
@pytest.mark.skipif(shutil.which("jq") is None, reason="needs jq")
def test_the_secrets_of_names_take_their_places_when_the_updater_starts(tmp_path: Path) -> None:
    host = resolve(fleet(tmp_path / "fleet", DYNDNS), "leaf")
    (tmp_path / "work").mkdir()
    wanted = """{
      script = config.systemd.services.ddns-updater.preStart; template = config.environment.etc."clanpy/dyndns.json".text;
    }"""
    found = evaluated([host], tmp_path / "work", wanted)["leaf"]
    for name, secret in (("token-0", 'quo"te\n'), ("token-1", "plain")):
        (tmp_path / name).write_text(secret)
    (tmp_path / "template").write_text(found["template"])
    script = found["script"].replace("/etc/clanpy/dyndns.json", str(tmp_path / "template"))
    script = script.replace("/run/ddns-updater/config.json", str(tmp_path / "config.json"))
    environment = {**os.environ, "CREDENTIALS_DIRECTORY": str(tmp_path)}
    subprocess.run(["sh", "-ec", script], check=True, env=environment)

    config: Any = json.loads((tmp_path / "config.json").read_text())
    assert config == {
        "settings": [
            {"provider": "hetzner", "domain": "a.example.org", "ttl": 300, "token": 'quo"te'},
            {"provider": "namecheap", "domain": "b.example.org", "password": "plain"},
        ]
    }
    assert generators(host) == ["dyndns-hetzner-a.example.org", "dyndns-namecheap-b.example.org"]


def test_passwords_of_people_are_asked_for_shared_and_left_out_as_is_set(tmp_path: Path) -> None:
    text = """
    [users.ann]
    [users.bob]
    [instances.a]
    module.name = "users"
    roles.default.tags.all.settings = { user = "ann", prompt = true, share = true }
    [instances.b]
    module.name = "users"
    roles.default.tags.all.settings = { user = "bob", password = false }
    """
    found = fleet(tmp_path, text)
    (password,) = resolve(found, "hub").generators

    assert (password.name, password.share, sorted(password.prompts)) == ("user-password-ann", True, ["user-password"])
    assert not password.outputs()["user-password"].deploy
    assert password.outputs()["user-password-hash"].needed_for == "users"
    assert resolve(found, "mac").generators == ()


def test_a_package_that_is_not_there_is_called_by_its_name(tmp_path: Path) -> None:
    text = '[instances.tools]\nmodule.name = "packages"\nroles.default.machines.leaf.settings.packages = ["nope.nothing"]\n'
    host = resolve(fleet(tmp_path / "fleet", text), "leaf")

    with pytest.raises(AssertionError, match=r"instance 'tools' names 'nope\.nothing'"):
        evaluated([host], tmp_path, "map (p: p.name) config.environment.systemPackages")
