"""What the built-in services contribute, and that Nix understands it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clanpy import services
from clanpy.inventory import load, resolve
from clanpy.modules.deferred import NixData
from clanpy.services import built_in_names, find_service
from support.fleets import META, REFERENCE, fleet
from support.nixeval import HAS_NIX, evaluated, home_outputs


needs_nix = pytest.mark.skipif(not HAS_NIX, reason="needs nix-instantiate")

MACHINES = (
    META
    + """
    [machines.one]
    class = "nixos"
    system = "x86_64-linux"

    [machines.two]
    class = "darwin"
    system = "aarch64-darwin"

    [users.ann]
    full_name = "Ann"
    aliases = ["annie"]
    ssh_keys = ["ssh-ed25519 AAAA ann"]
    """
)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What both machines are when they are in every role of every service, with settings that say something."""
    folder = tmp_path_factory.mktemp("fleet")
    inventory = (
        MACHINES
        + """
        [instances.users.roles.default.tags.all]
        settings = { user = "annie", admin = true, groups = ["video"], shell = "zsh" }

        [instances.sshd.roles]
        server.tags.all.settings = { authorized_keys = ["ssh-ed25519 AAAA root"], permit_root_login = "no" }
        client.tags.all.settings.known_hosts = { "one,one.lan" = "ssh-ed25519 AAAA one" }
        client.settings.certificate = { authority = "ssh-ed25519 AAAA ca", search_domains = ["lan", "example.org"] }

        [instances.emergency-access.roles.default]
        tags.nixos.settings.password_hash = "$6$x$y"

        [instances.tor.roles]
        server.tags.all.settings.ports = { "80" = 8080 }
        [instances.tor-client]
        module.name = "tor"
        roles.client.tags.nixos.settings.transparent = true

        [instances.zerotier.roles]
        controller.machines.one.settings = { network_id = "0123456789abcdef", public = true }
        peer.machines.two.settings.network_id = "0123456789abcdef"

        [instances.hello-world.roles]
        morning.tags = ["all"]
        evening.tags.all.settings.greeting = "Quote \\" and ${x} and \\n line"
        """
    )
    found = fleet(folder, inventory)
    hosts = [resolve(found, name) for name in found.machines]
    wanted = """{
      etc = builtins.mapAttrs (_: entry: entry.text or null) config.environment.etc;
      users = builtins.mapAttrs (_: u: {
        inherit (u) home description; shell = toString u.shell;
        groups = u.extraGroups or [ ]; keys = u.openssh.authorizedKeys.keys;
      }) config.users.users;
      services = config.services;
      knownHosts = config.programs.ssh.knownHosts;
      zsh = config.programs.zsh.enable;
      trusted = config.nix.settings.trusted-users;
      emergency = config.boot.initrd.systemd.emergencyAccess or null;
      ports = config.networking.firewall.allowedUDPPorts or null;
      daemons = builtins.attrNames (config.launchd.daemons or { });
      casks = config.homebrew.casks or [ ];
    }"""
    return evaluated(hosts, folder, wanted)


@needs_nix
@pytest.mark.nix
class TestOnHosts:
    def test_people_can_log_in(self, config: Any) -> None:
        one, two = config["one"]["users"]["annie"], config["two"]["users"]["annie"]

        assert (one["home"], two["home"]) == ("/home/annie", "/Users/annie")
        assert one["keys"] == two["keys"] == ["ssh-ed25519 AAAA ann"]
        assert one["description"] == "Ann"
        assert set(one["groups"]) >= {"wheel", "video"}
        assert one["shell"] == two["shell"] == "/run/current-system/sw/bin/zsh"
        assert config["one"]["zsh"] is config["two"]["zsh"] is True
        assert "annie" in config["one"]["trusted"]
        assert "annie" in config["two"]["trusted"]

    def test_sshd_runs_as_it_is_set(self, config: Any) -> None:
        one, two = config["one"], config["two"]

        assert one["services"]["openssh"]["enable"] is two["services"]["openssh"]["enable"] is True
        assert one["services"]["openssh"]["settings"]["PermitRootLogin"] == "no"
        assert one["services"]["openssh"]["settings"]["PasswordAuthentication"] is False
        assert one["users"]["root"]["keys"] == ["ssh-ed25519 AAAA root"]
        text = two["etc"]["ssh/sshd_config.d/050-clanpy.conf"]
        assert "PermitRootLogin no\n" in text
        assert "PasswordAuthentication no\n" in text

    def test_clients_know_hosts_and_their_authority(self, config: Any) -> None:
        for host in ("one", "two"):
            known = config[host]["knownHosts"]
            assert known["one,one.lan"]["hostNames"] == ["one", "one.lan"]
            assert known["clanpy-authority"]["hostNames"] == ["*.lan", "*.example.org"]
            assert known["clanpy-authority"]["certAuthority"] is True

    def test_the_emergency_console_has_its_password(self, config: Any) -> None:
        assert config["one"]["emergency"] == "$6$x$y"

    def test_tor_offers_what_is_set(self, config: Any) -> None:
        tor = config["one"]["services"]["tor"]

        assert tor["enable"] is True
        assert tor["relay"]["onionServices"]["tor"]["map"] == [
            {"port": 80, "target": {"addr": "127.0.0.1", "port": 8080}}
        ]
        assert tor["client"]["enable"] is tor["torsocks"]["enable"] is True
        assert "HiddenServicePort 80 127.0.0.1:8080" in config["two"]["etc"]["tor/torrc"]
        assert "tor" in config["two"]["daemons"]

    def test_zerotier_joins_its_network(self, config: Any) -> None:
        node = config["one"]["services"]["zerotierone"]

        assert (node["enable"], node["joinNetworks"]) == (True, ["0123456789abcdef"])
        assert 9993 in config["one"]["ports"]
        assert '"machines":["one","two"]' in config["one"]["etc"]["clanpy/zerotier/zerotier.json"]
        assert config["two"]["casks"] == ["zerotier-one"]
        assert config["two"]["etc"]["clanpy/zerotier/networks"] == "0123456789abcdef\n"

    def test_greetings_arrive_as_they_were_written(self, config: Any) -> None:
        for host in ("one", "two"):
            etc = config[host]["etc"]
            assert etc["clanpy/hello/hello-world-morning"] == f"Good morning from {host}.lan\n"
            assert etc["clanpy/hello/hello-world-evening"] == f'Quote " and ${{x}} and \n line from {host}.lan\n'


@needs_nix
@pytest.mark.nix
def test_the_reference_fleet_evaluates_whole(tmp_path: Path) -> None:
    found = load(REFERENCE)
    hosts = [resolve(found, name) for name in found.machines]
    systems = evaluated(
        hosts, tmp_path, "{ name = config.networking.hostName; drv = config.system.build.toplevel.drvPath; }"
    )
    homes = home_outputs(hosts, tmp_path)

    assert {name: system["name"] for name, system in systems.items()} == {name: name for name in found.machines}
    assert len({system["drv"] for system in systems.values()}) == 8
    assert {name.partition("@")[0] for name in homes} == {
        *("cameron", "crs58", "raquel", "janettesmith", "christophersmith", "tara")
    }


def nix_files() -> Iterator[Path]:
    for folder in (Path(services.__file__).parent, REFERENCE / "modules", REFERENCE / "machines"):
        yield from sorted(folder.rglob("*.nix"))
    yield REFERENCE / "flake.nix"


@needs_nix
@pytest.mark.nix
def test_every_nix_file_parses() -> None:
    files = [str(path) for path in nix_files()]
    done = subprocess.run(["nix-instantiate", "--parse", *files], check=False, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert len(files) > 30


@pytest.mark.parametrize("name", built_in_names())
def test_a_service_documents_itself_and_every_setting(name: str) -> None:
    service, _ = find_service(name, None, Path("/nowhere"))

    assert service.description
    for role in service.roles.values():
        assert role.description
        assert role.settings.__doc__
        for field, info in role.settings.model_fields.items():
            assert info.description, f"{name}: {field}"
        for class_ in ("nixos", "darwin"):
            assert role.half(class_) or role.notes[class_], f"{name}: a class without a half says why"


def test_the_built_in_services_are_these() -> None:
    assert built_in_names() == (
        *("admin", "borgbackup", "dyndns", "emergency-access", "hello-world", "importer", "internet", "localbackup"),
        *("monitoring", "mycelium", "packages", "pki", "sshd", "syncthing", "tor", "trusted-nix-caches", "users"),
        *("wifi", "wireguard", "yggdrasil", "zerotier"),
    )


def test_an_unmanaged_or_modest_account_asks_for_nothing_more(tmp_path: Path) -> None:
    found = fleet(
        tmp_path,
        MACHINES + '[instances.users.roles.default.machines]\none.settings = { user = "ann", password = false }\n',
    )
    content = resolve(found, "one").modules[-1].content

    assert content == NixData(
        {
            "users": {
                "users": {
                    "ann": {
                        "home": "/home/ann",
                        "description": "Ann",
                        "openssh": {"authorizedKeys": {"keys": ["ssh-ed25519 AAAA ann"]}},
                        "isNormalUser": True,
                        "extraGroups": [],
                    }
                }
            }
        }
    )


def test_an_emergency_console_without_a_password_stays_closed(tmp_path: Path) -> None:
    found = fleet(tmp_path, MACHINES + '[instances.emergency-access.roles.default]\nmachines = ["one"]\n')
    content = resolve(found, "one").modules[-1].content

    assert isinstance(content, NixData)
    assert content.value["boot"]["initrd"]["systemd"]["emergencyAccess"] == {
        "_type": "override",
        "priority": 1000,
        "content": False,
    }
