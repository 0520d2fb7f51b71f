"""An inventory with every role of every built-in service, on a NixOS machine and a Mac."""

from __future__ import annotations


INVENTORY = """
[users.alice]
full_name = "Alice"
ssh_keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE9CyMSZEYtRZkbLVIMo92kuniDPI1JH18xWbrf+Z2s3 alice"]

[instances.users.roles.default]
tags.all.settings = { user = "alice", admin = true, groups = ["video"] }

[instances.sshd.roles]
server.tags.all.settings = { authorized_keys = ["ssh-ed25519 AAAA root"], generate_root_key.enable = true }
server.tags.nixos.settings.host_keys.rsa.enable = true
server.settings.certificate.search_domains = ["example.org"]
client.tags = ["all"]
client.settings.certificate.search_domains = ["example.org"]
client.settings.known_hosts = { "git.example.org" = "ssh-ed25519 AAAA git" }

[instances.emergency-access.roles.default]
tags = ["nixos"]

[instances.admin.roles.default]
tags.nixos.settings = { allowed_keys.carol = "ssh-ed25519 AAAA carol", certificate_search_domains = ["example.org"] }

[instances.zerotier.roles]
controller.machines.NIXOS.settings.allowed_ids = ["0123456789"]
peer.machines = ["DARWIN"]
moon.machines.NIXOS.settings.stable_endpoints = ["192.0.2.1"]
[instances.zerotier-too]
module.name = "zerotier"
roles.peer.machines.NIXOS.settings.network_id = "fedcba9876543210"

[instances.wireguard.roles]
controller.machines.NIXOS.settings.endpoint = "vpn.example.org"
peer.machines = ["DARWIN"]
[instances.wg-two]
module.name = "wireguard"
roles.controller.machines.NIXOS.settings = { endpoint = "2001:db8::1", port = 51821 }
roles.peer.machines.NIXOS = { settings.port = 51821 }

[instances.tor.roles]
server.tags.all.settings.ports = { "22" = 22, "80" = 8080 }
client.tags = ["all"]

[instances.wifi.roles.default]
tags = ["nixos"]
settings.networks = { home = { }, cafe = { key_mgmt = "none", auto_connect = false } }

[instances.internet.roles.default.machines]
NIXOS.settings = { host = "ADDRESS", port = PORT, user = "root", jumphosts = ["jump@gate.example.org:2222"] }

[instances.yggdrasil.roles.default]
tags.nixos.settings = { listen = "mesh.example.org", extra_peers = ["tls://peer.example.org:443"] }

[instances.mycelium.roles.peer]
tags.nixos.settings.peers = ["tcp://peer.example.org:9651"]

[instances.borgbackup.roles]
client.tags.nixos.settings = { folders = ["/srv"], destinations.far = { repo = "u1@far.example.org:all" } }
server.tags.nixos.settings.directory = "/backup"

[instances.localbackup.roles.default]
tags.nixos.settings = { targets.disk = { directory = "/mnt/disk", mountpoint = "/mnt" }, folders = ["/srv"] }

[instances.syncthing.roles.peer]
tags.nixos.settings = { folders.notes.path = "/srv/notes", extra_devices.phone.id = "P56IOI7-MZJNU2Y-IQGDREY-DM2MGTI-MGL3BXN-PQ6W5BM-TBBZ4TJ-XZWICQ2" }

[instances.monitoring.roles]
client.tags = ["nixos"]
server.tags.nixos.settings.retention = "90d"

[instances.pki.roles.default]
tags = ["all"]
settings.endpoints = ["www.example.org"]
settings.nginx = true

[instances.dyndns.roles.default]
tags.nixos.settings.settings.home = { provider = "hetzner", domain = "home.example.org", secret_field_name = "token", extra_settings = { ttl = 300 } }

[instances.packages.roles.default]
tags.all.settings.packages = ["hello", "ripgrep"]

[instances.trusted-nix-caches.roles.default]
tags.all.settings.caches = { "https://cache.example.org" = "cache.example.org-1:AAAA" }

[instances.importer.roles.default]
tags = ["all"]
extra_modules = ["imported"]

[instances.hello-world.roles]
morning.tags = ["all"]
evening.tags.all.settings.greeting = "Good night"
"""


def inventory(*, nixos: str, darwin: str, address: str, port: int) -> str:
    """The instances and people; the machines of these names are to be declared beside them."""
    text = INVENTORY
    for word, value in {"NIXOS": nixos, "DARWIN": darwin, "ADDRESS": address, "PORT": str(port)}.items():
        text = text.replace(word, value)
    return text
