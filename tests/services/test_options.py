"""The modules of built-in services, whole: they are Nix, and the names of their options are those of NixOS."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from clanpy.inventory import load, resolve
from clanpy.inventory.model import HostConfig
from clanpy.modules.deferred import DeferredModule, NixData, NixTemplate
from clanpy.nix.literals import to_nix
from clanpy.nix.render import render_template
from services.everything import inventory
from support.fleets import META, write
from support.nixeval import HAS_NIX, MINI, module_expression, nix_json


pytestmark = [pytest.mark.nix, pytest.mark.skipif(not HAS_NIX, reason="needs nix-instantiate")]

MACHINES = """
[machines.one]
class = "nixos"
system = "x86_64-linux"

[machines.two]
class = "darwin"
system = "aarch64-darwin"
"""
RECORDED = Path(__file__).parent / "nixos_options.json"
WITH_A_RECORD = ("admin", "borgbackup", "dyndns", "mycelium", "sshd", "tor", "users", "wifi", "wireguard", "yggdrasil", "zerotier")  # fmt: skip
NOT_RECORDED = ("boot.", "networking.firewall.allowed", "nix.settings.", "services.borgbackup.repos.", "services.tor.torsocks.enable")  # fmt: skip
PUBLIC = {
    "per-machine/one": {
        "openssh": {"ssh.id_ed25519.pub": "ssh-ed25519 AAAA one"},
        "openssh-rsa": {"ssh.id_rsa.pub": "ssh-rsa AAAA one"},
        "openssh-cert": {"ssh.id_ed25519-cert.pub": "ssh-ed25519-cert-v01@openssh.com AAAA"},
        "zerotier": {"zerotier-identity": "0011223344:0:aa", "zerotier-address": "0011223344"},
        "zerotier-network-zerotier": {"zerotier-network-id": "0011223344556677"},
        "wireguard-keys-wireguard": {"publickey": "one="},
        "wireguard-keys-wg-two": {"publickey": "one2="},
        "tor_tor": {"hostname": "abc.onion"},
        "yggdrasil": {"address": "200::1"},
        "mycelium": {"ip": "400::1"},
        "borgbackup": {"borgbackup.ssh.pub": "ssh-ed25519 AAAA borg"},
        "syncthing": {"id": "P56IOI7-MZJNU2Y"},
        "emergency-access": {"password-hash": "$6$x"},
    },
    "per-machine/two": {
        "zerotier": {"zerotier-identity": "5566778899:0:aa", "zerotier-address": "5566778899"},
        "wireguard-keys-wireguard": {"publickey": "two="},
        "tor_tor": {"hostname": "abd.onion"},
    },
    "shared": {"openssh-ca": {"id_ed25519.pub": "ssh-ed25519 AAAA ca"}, "pki-root-ca": {"ca.crt": "-----BEGIN"}},
}


def hosts(folder: Path, *, generated: bool) -> dict[str, HostConfig]:
    """Two machines in every role of every service, with or without generated values."""
    text = META + MACHINES + inventory(nixos="one", darwin="two", address="192.0.2.7", port=22)
    write(folder, {"inventory.toml": text, "modules/system/imported.nix": "{ }"})
    for place, generators in (PUBLIC if generated else {}).items():
        for generator, files in generators.items():
            write(folder, {f"vars/{place}/{generator}/{name}/value": value for name, value in files.items()})
    fleet = load(folder)
    return {name: resolve(fleet, name) for name in fleet.machines}


@pytest.mark.parametrize("generated", [True, False])
def test_every_rendered_module_parses(tmp_path: Path, generated: bool) -> None:
    files = []
    for name, host in hosts(tmp_path / "fleet", generated=generated).items():
        for n, module in enumerate(host.modules):
            path = tmp_path / f"{name}-{n}.nix"
            path.write_text(text_of(module))
            files.append(str(path))
    done = subprocess.run(["nix-instantiate", "--parse", *files], check=False, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert len(files) > 40


def text_of(module: DeferredModule) -> str:
    """A module as the text that Nix reads."""
    content = module.content
    if isinstance(content, NixTemplate):
        return render_template(content.path, content.context)
    if isinstance(content, NixData):
        return to_nix(content.value)
    return content.path.read_text() if content.settings is None else f"({content.path.read_text()}) ({to_nix(content.settings)})"  # fmt: skip


PATHS = """
  paths = path: value:
    if builtins.isAttrs value && value ? _type then
      (if value._type == "merge" then builtins.concatMap (paths path) value.contents
       else if value._type == "if" && !value.condition then [ ] else paths path value.content)
    else if builtins.isAttrs value && value != { } && !(value ? outPath) then
      builtins.concatMap (name: paths (path ++ [ name ]) value.${name}) (builtins.attrNames value)
    else if builtins.isList value && builtins.any builtins.isAttrs value then
      builtins.concatMap (item: paths (path ++ [ "*" ]) item) (builtins.filter (item: !(item ? outPath)) value)
    else [ path ];
"""


@pytest.fixture(scope="module")
def set_options(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[tuple[str, ...]]]:
    """The options that each service sets on NixOS, by service: names on the way to them."""
    folder = tmp_path_factory.mktemp("options")
    host = hosts(folder / "fleet", generated=True)["one"]
    modules = [module for module in host.modules if module.key.split("/")[0] == "nixos" and "/" in module.key]
    entries = " ".join(
        f"[ {json.dumps(module.key)} (paths [ ] (call {module_expression(module, folder, f'm{n}')})) ]"
        for n, module in enumerate(modules)
    )
    found: list[Any] = nix_json(f"""
        let
          mini = (import {MINI}/flake.nix).outputs {{ self = {{ }}; }};
          call = module: if builtins.isFunction module
            then module {{ inherit (mini) lib; pkgs = mini.legacyPackages.x86_64-linux; config = {{ }}; }} else module;
          {PATHS}
        in [ {entries} ]
    """)
    by_service: dict[str, set[tuple[str, ...]]] = {}
    for key, paths in found:
        by_service.setdefault(key.split("/")[1], set()).update(tuple(path) for path in paths)
    return by_service


@pytest.mark.parametrize("service", WITH_A_RECORD)
def test_the_options_of_a_service_are_those_of_nixos(
    service: str, set_options: dict[str, set[tuple[str, ...]]]
) -> None:
    paths = set_options[service]

    assert paths
    assert not [".".join(path) for path in sorted(paths) if not is_known(path)]


@cache
def recorded() -> list[list[str]]:
    modules: dict[str, list[str]] = json.loads(RECORDED.read_text())["modules"]
    return [name.split(".") for names in modules.values() for name in names]


def is_known(path: tuple[str, ...]) -> bool:
    if ".".join(path).startswith(NOT_RECORDED):
        return True
    return any(_matches(path, pattern) for pattern in recorded())


def _matches(path: tuple[str, ...], pattern: list[str]) -> bool:
    """`**` stands for the rest; the elements of a list are declared one by one, or the list as a whole."""
    if pattern[-1] == "**":
        pattern = pattern[:-1]
        path = path[: len(pattern)]
    elif pattern[len(path) :][:1] == ["*"]:  # a list without elements
        pattern = pattern[: len(path)]
    elif path[len(pattern) :][:1] == ("*",):  # a list of anything
        path = path[: len(pattern)]
    return len(path) == len(pattern) and all(want in {"<name>", have} for have, want in zip(path, pattern, strict=True))


def test_a_name_that_nixos_does_not_have_would_be_noticed() -> None:
    assert is_known(("services", "openssh", "enable"))
    assert is_known(("services", "openssh", "settings", "AnyThing"))
    assert is_known(("users", "users", "ann", "hashedPasswordFile"))
    assert not is_known(("services", "openssh", "permitRootLogin"))
    assert not is_known(("users", "users", "ann", "passwordHash"))
    assert not is_known(("networking", "networkmanager", "ensureProfile"))


def test_the_record_says_when_it_was_made() -> None:
    record = json.loads(RECORDED.read_text())

    assert record["date"] == "2026-11-24"
    assert "26.05" in record["nixpkgs"]
