"""Services that make networks: addresses, who knows whom, and what they do while a value is not there."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clanpy.inventory import load, resolve
from clanpy.inventory.model import Fleet, HostConfig
from clanpy.inventory.roles import Roles
from clanpy.modules.deferred import NixData, NixFile
from clanpy.services.exports import Address, Endpoint
from clanpy.services.wireguard.service import prefix_of
from clanpy.services.zerotier.service import address_in
from support.fleets import META, write


MACHINES = "".join(
    f'[machines.{name}]\nclass = "{"darwin" if name == "mac" else "nixos"}"\n'
    f'system = "{"aarch64-darwin" if name == "mac" else "x86_64-linux"}"\n'
    for name in ("hub", "other", "leaf", "mac")
)


def fleet(root: Path, instances: str, values: dict[str, str] | None = None) -> Fleet:
    """A fleet of hub, other, leaf and mac, with public values (`machine/generator/file`)."""
    files = {"inventory.toml": META + MACHINES + instances}
    for name, value in (values or {}).items():
        place, generator, file = name.split("/")
        folder = "shared" if place == "shared" else f"per-machine/{place}"
        files[f"vars/{folder}/{generator}/{file}/value"] = value
    return load(write(root, files))


def data(host: HostConfig, key: str) -> Any:
    """What a service contributes to a host as data."""
    content = next(module.content for module in host.modules if module.key == key)
    if isinstance(content, NixData):
        return content.value
    assert isinstance(content, NixFile)
    return content.settings


def notes(host: HostConfig) -> list[str]:
    return [membership.note for membership in host.memberships if membership.note]


WIREGUARD = """
[instances.wg]
module.name = "wireguard"
roles.controller.machines.hub.settings = { endpoint = "hub.example.org", port = 1234 }
roles.controller.machines.other.settings.endpoint = "2001:db8::2"
roles.peer.machines.leaf.settings.controller = "other"
roles.peer.machines.mac = {}
"""
KEYS = {f"{name}/wireguard-keys-wg/publickey": f"{name}=" for name in ("hub", "other", "leaf", "mac")}


class TestWireGuard:
    def test_peers_have_an_address_with_every_controller_and_controllers_one(self, tmp_path: Path) -> None:
        found = fleet(tmp_path, WIREGUARD, KEYS)
        hub = data(resolve(found, "hub"), "nixos/wireguard/wg/controller")["networking"]["wireguard"]["interfaces"][
            "wg"
        ]
        leaf = data(resolve(found, "leaf"), "nixos/wireguard/wg/peer")["networking"]["wireguard"]["interfaces"]["wg"]
        mac = data(resolve(found, "mac"), "darwin/wireguard/wg/peer")["networking"]["wg-quick"]["interfaces"]["wg"]

        assert len(hub["ips"]) == 1
        assert len(leaf["ips"]) == len(mac["address"]) == 2
        networks = [IPv6Network(text, strict=False) for text in leaf["ips"]]
        assert IPv6Network(hub["ips"][0], strict=False) in networks
        assert all(network.subnet_of(prefix_of("wg", "lan")) for network in networks)
        assert {IPv6Network(text, strict=False) for text in mac["address"]} == set(networks)
        assert not set(mac["address"]) & set(leaf["ips"])

    def test_each_end_names_the_other(self, tmp_path: Path) -> None:
        found = fleet(tmp_path, WIREGUARD, KEYS)
        hub = data(resolve(found, "hub"), "nixos/wireguard/wg/controller")["networking"]
        leaf = data(resolve(found, "leaf"), "nixos/wireguard/wg/peer")["networking"]["wireguard"]["interfaces"]["wg"]
        to = {peer["publicKey"]: peer for peer in leaf["peers"]}
        from_ = {peer["publicKey"]: peer for peer in hub["wireguard"]["interfaces"]["wg"]["peers"]}

        assert to["hub="]["endpoint"] == "hub.example.org:1234"
        assert to["other="]["endpoint"] == "[2001:db8::2]:51820"
        assert sorted(from_) == ["leaf=", "mac=", "other="]
        assert from_["leaf="]["allowedIPs"][0].removesuffix("/128") in {ip.removesuffix("/64") for ip in leaf["ips"]}
        assert hub["firewall"]["allowedUDPPorts"] == [1234]

    def test_others_reach_a_peer_in_the_network_of_its_controller(self, tmp_path: Path) -> None:
        found = fleet(tmp_path, WIREGUARD, KEYS)
        exports = Roles(found).exports
        address = exports.exported(Address, service="wireguard", instance="wg", role=None)
        ends = exports.exported(Endpoint, service="wireguard", instance=None, role="controller")
        leaf = data(resolve(found, "leaf"), "nixos/wireguard/wg/peer")["networking"]["wireguard"]["interfaces"]["wg"]
        other = next(peer for peer in leaf["peers"] if peer["publicKey"] == "other=")

        assert IPv6Address(address["leaf"][0].host) in IPv6Network(other["allowedIPs"][0])
        assert [(end.host, end.port) for end in ends["hub"]] == [("hub.example.org", 1234)]

    def test_a_machine_without_a_key_has_no_interface_and_says_so(self, tmp_path: Path) -> None:
        found = fleet(tmp_path, WIREGUARD, {name: key for name, key in KEYS.items() if not name.startswith("leaf")})
        leaf, hub = resolve(found, "leaf"), resolve(found, "hub")

        assert not [module for module in leaf.modules if "wireguard" in module.key]
        assert notes(leaf) == ["wireguard: does without 'wireguard-keys-wg/publickey', which is not generated yet"]
        assert notes(hub) == [
            "wireguard: does without 'wireguard-keys-wg/publickey' of leaf, which is not generated yet"
        ]
        interface = data(hub, "nixos/wireguard/wg/controller")["networking"]["wireguard"]["interfaces"]["wg"]
        assert [peer["publicKey"] for peer in interface["peers"]] == ["other=", "mac="]

    @given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20))
    def test_its_networks_are_unique_local_ones(self, instance: str, domain: str) -> None:
        prefix = prefix_of(instance, domain)

        assert prefix.prefixlen == 48
        assert prefix.subnet_of(IPv6Network("fd00::/8"))
        assert prefix == prefix_of(instance, domain)


ZEROTIER = """
[instances.zt]
module.name = "zerotier"
roles.controller.machines.hub.settings = { allowed_ids = ["00000000aa"], allowed_ips = ["fd00::9993:1122:3344:5566"] }
roles.moon.machines.other.settings.stable_endpoints = ["192.0.2.1", "2001:db8::1/9994"]
roles.peer.machines = ["leaf", "mac"]
"""
NODES = {f"{name}/zerotier/zerotier-address": f"0{n}abcdef01" for n, name in enumerate(("hub", "other", "leaf", "mac"))}
IDENTITIES = {f"{name}/zerotier/zerotier-identity": f"{name}:0:aa" for name in ("hub", "other", "leaf", "mac")}
NETWORK = {"hub/zerotier-network-zt/zerotier-network-id": "00abcdef01123456"}


class TestZeroTier:
    def test_everybody_joins_the_network_of_the_controller_and_asks_the_moon(self, tmp_path: Path) -> None:
        found = fleet(tmp_path, ZEROTIER, NODES | IDENTITIES | NETWORK)
        leaf = data(resolve(found, "leaf"), "nixos/zerotier/zt/peer")
        mac = data(resolve(found, "mac"), "darwin/zerotier/zt/peer")
        other = data(resolve(found, "other"), "nixos/zerotier/zt/moon")

        assert leaf["network"] == mac["network"] == other["network"] == "00abcdef01123456"
        assert leaf["moons"] == mac["moons"] == [NODES["other/zerotier/zerotier-address"]]
        assert other["moons"] == []
        assert leaf["secret"] == "/run/secrets/vars/zerotier/zerotier-identity-secret"
        assert data(resolve(found, "other"), "nixos/zerotier/zt/moon/1")["endpoints"] == [
            "192.0.2.1/9993",
            "2001:db8::1/9994",
        ]

    def test_the_controller_admits_the_machines_of_the_fleet_and_whom_it_is_told(self, tmp_path: Path) -> None:
        found = fleet(tmp_path, ZEROTIER, NODES | IDENTITIES | NETWORK)
        hub = data(resolve(found, "hub"), "nixos/zerotier/zt/controller/1")

        assert hub["machines"] == ["hub", "leaf", "mac", "other"]
        assert hub["nodes"] == sorted([*NODES.values(), "00000000aa", "2233445566"])

    def test_a_peer_of_a_public_network_is_not_on_the_list_of_the_controller(self, tmp_path: Path) -> None:
        text = ZEROTIER.replace(
            'roles.peer.machines = ["leaf", "mac"]', "roles.peer.machines = { leaf = {}, mac.settings.public = true }"
        )
        hub = data(resolve(fleet(tmp_path, text, NODES | NETWORK), "hub"), "nixos/zerotier/zt/controller/1")

        assert hub["machines"] == ["hub", "leaf", "other"]
        assert NODES["mac/zerotier/zerotier-address"] not in hub["nodes"]

    def test_machines_are_reached_at_the_address_of_their_node(self, tmp_path: Path) -> None:
        found = fleet(tmp_path, ZEROTIER, NODES | NETWORK)
        address = Roles(found).exports.exported(Address, service="zerotier", instance=None, role=None)

        assert address["leaf"][0].host == "fd00:abcd:ef01:1234:5699:9302:abcd:ef01"
        assert str(address_in("8056c2e21c000001", "0123456789")) == "fd80:56c2:e21c:0:199:9301:2345:6789"

    def test_a_network_from_elsewhere_needs_no_controller(self, tmp_path: Path) -> None:
        text = '[instances.zt]\nmodule.name = "zerotier"\nroles.peer.machines.leaf.settings.network_id = "8056c2e21c000001"\n'
        host = resolve(fleet(tmp_path, text, IDENTITIES), "leaf")

        assert data(host, "nixos/zerotier/zt/peer")["network"] == "8056c2e21c000001"
        assert notes(host) == []

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            (ZEROTIER, "'zerotier-network-zt/zerotier-network-id' of hub, which is not generated yet"),
            ('[instances.zt]\nmodule.name = "zerotier"\nroles.peer.machines = ["leaf"]\n', "knows no network"),
        ],
    )
    def test_without_a_number_no_network_is_joined_and_that_is_said(self, text: str, says: str, tmp_path: Path) -> None:
        host = resolve(fleet(tmp_path, text, IDENTITIES), "leaf")

        assert data(host, "nixos/zerotier/zt/peer")["network"] is None
        assert says in notes(host)[0]

    def test_there_is_one_controller_and_there_are_few_moons(self, tmp_path: Path) -> None:
        found = fleet(tmp_path, ZEROTIER.replace('"leaf", "mac"', '"leaf"'), NODES)

        assert [g.name for g in resolve(found, "hub").generators] == ["zerotier", "zerotier-network-zt"]
        assert [g.name for g in resolve(found, "leaf").generators] == ["zerotier"]


def test_members_of_a_mesh_connect_to_those_that_listen(tmp_path: Path) -> None:
    text = """
    [instances.yggdrasil.roles.default]
    machines.hub.settings.listen = "2001:db8::1"
    machines.leaf.settings.extra_peers = ["tls://far.example.org:1"]
    """
    found = fleet(tmp_path, text, {"leaf/yggdrasil/address": "200::1"})
    hub = data(resolve(found, "hub"), "nixos/yggdrasil/yggdrasil/default")
    leaf = data(resolve(found, "leaf"), "nixos/yggdrasil/yggdrasil/default")["services"]["yggdrasil"]["settings"]

    assert leaf["Peers"] == ["tls://far.example.org:1", "tls://[2001:db8::1]:6443"]
    assert leaf["PrivateKeyPath"] == "/run/secrets/vars/yggdrasil/privateKey"
    assert hub["services"]["yggdrasil"]["settings"]["Listen"] == ["tls://[::]:6443"]
    assert hub["services"]["yggdrasil"]["settings"]["Peers"] == []
    assert "PrivateKeyPath" not in hub["services"]["yggdrasil"]["settings"]


def test_an_onion_service_is_reached_through_the_proxy_at_the_port_of_ssh(tmp_path: Path) -> None:
    text = '[instances.tor.roles]\nserver.machines.leaf.settings.ports = { "2222" = 22, "80" = 80 }\nserver.machines.mac.settings.ports = { "80" = 80 }\n'
    values = {f"{name}/tor_tor/hostname": f"{name}.onion\n" for name in ("leaf", "mac")}
    exports = Roles(fleet(tmp_path, text, values)).exports
    address = exports.exported(Address, service="tor", instance=None, role=None)

    assert [(a.host, a.port) for a in address["leaf"]] == [("leaf.onion", 2222)]
    assert "mac" not in address
