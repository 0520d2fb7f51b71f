"""A clan as its own tools leave it on disk: `inventory.json` in camelCase, machines, values, secrets with links for who may read them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from support.fleets import write


KEY = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
SSH = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE9CyMSZEYtRZkbLVIMo92kuniDPI1JH18xWbrf+Z2s3"


def instance(module: str | None, roles: dict[str, Any], input_: str | None = "clan-core") -> dict[str, Any]:
    return {"module": {"name": module, "input": input_}, "roles": roles}


INVENTORY: dict[str, Any] = {
    "meta": {"name": "harbour", "description": None, "icon": None, "domain": "hb"},
    "machines": {
        "gate": {
            "name": "gate",
            "description": "lets people in",
            "icon": None,
            "machineClass": "nixos",
            "installedAt": 1760000000,
            "tags": ["server"],
            "deploy": {"targetHost": "root@gate.example.net", "buildHost": None, "forwardAgent": None},
        },
        "desk": {"tags": ["workstation"]},
        "book": {"machineClass": "darwin", "tags": ["workstation"], "deploy": {"targetHost": None}},
    },
    "instances": {
        "zerotier": instance(
            "zerotier",
            {
                "controller": {"machines": {"gate": {}}, "tags": {}, "settings": {}, "extraModules": []},
                "peer": {"machines": {}, "tags": {"all": {}}, "settings": {}, "extraModules": []},
            },
        ),
        "sshd": instance(
            "sshd",
            {
                "server": {"tags": ["nixos"], "settings": {"certificate": {"searchDomains": ["hb"]}}},
                "client": {"tags": {"all": {}}, "settings": {"certificate": {"searchDomains": ["hb"]}}},
            },
        ),
        "admin": instance("admin", {"default": {"tags": {"nixos": {}}, "settings": {"allowedKeys": {"me": SSH}}}}),
        "user-alice": instance(
            "users",
            {"default": {"tags": {"workstation": {}}, "settings": {"user": "alice", "prompt": True, "groups": ["wheel"]}}},
        ),
        "hello": instance("hello-world", {"morning": {"machines": {"gate": {"settings": {"greeting": "ahoy"}}}}}, None),
        "emergency-access": {"roles": {"default": {"tags": {"nixos": {}}}}},
    },
    "modules": {},
}  # fmt: skip
CONFIGURATION = """\
{ config, ... }:
{
  # clan.core.deployment.requireExplicitUpdate = true;
  clan.core.networking.targetHost = "root@desk.local";
  environment.etc.token.source = config.clan.core.vars.generators.token.files.secret.path;
}
"""


def write_clan(root: Path, inventory: Any = INVENTORY) -> Path:
    """Write the clan into a folder. Gives the folder."""
    write(
        root,
        {
            "inventory.json": json.dumps(inventory, indent=2),
            "flake.nix": "{\n  outputs = { clan-core, self, ... }:\n    clan-core.lib.clan { inherit self; inventory.tags = { }; };\n}\n",
            "machines/gate/configuration.nix": "{ ... }: { }\n",
            "machines/gate/hardware-configuration.nix": '{ nixpkgs.hostPlatform = lib.mkDefault "x86_64-linux"; }\n',
            "machines/desk/configuration.nix": CONFIGURATION,
            "machines/desk/facter.json": '{"version": 1, "system": "aarch64-linux"}\n',
            "machines/spare/configuration.nix": "{ ... }: { }\n",
            "vars/per-machine/gate/openssh/ssh.id_ed25519.pub/value": f"{SSH}\n",
            "vars/per-machine/gate/openssh/ssh.id_ed25519/secret": '{"data": "ENC[…]", "sops": {"age": []}}\n',
            "vars/shared/openssh-ca/id_ed25519.pub/value": f"{SSH}\n",
            "sops/users/me/key.json": json.dumps([{"publickey": KEY, "type": "age"}]),
            "sops/users/old/key.json": json.dumps({"publickey": "A" * 40, "type": "pgp"}),
            "sops/machines/gate/key.json": json.dumps([{"publickey": KEY, "type": "age"}]),
            "sops/secrets/gate-age.key/secret": '{"data": "ENC[…]", "sops": {"age": []}}\n',
        },
    )
    secret = root / "vars/per-machine/gate/openssh/ssh.id_ed25519"
    for kind, name in (("machines", "gate"), ("users", "me")):
        (secret / kind).mkdir()
        (secret / kind / name).symlink_to(f"../../../../../../sops/{kind}/{name}")
    return root
