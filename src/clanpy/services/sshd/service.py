"""OpenSSH: hosts that let people in, and hosts that know each other's keys."""

from __future__ import annotations

from typing import Literal

from clanpy.services.declaration import Role, Service, Static
from clanpy.services.settings import Field, Settings


class HostKey(Settings):
    """One kind of host key."""

    enable: bool = Field(False, description="Whether the host has such a key")


class HostKeys(Settings):
    """Host keys beside ed25519, which every host has."""

    rsa: HostKey = Field(default_factory=HostKey, description="For clients that know nothing newer")


class Certificate(Settings):
    """Certificates of hosts, signed by an authority of the fleet."""

    search_domains: list[str] = Field(
        default_factory=list, description="Domains under which hosts are known, beside the fleet's own"
    )
    authority: str | None = Field(None, description="The authority's public key (one line), once there is one")


class Server(Settings):
    """Who may come in, and how."""

    password_authentication: bool = Field(False, description="Let people in by password")
    permit_root_login: Literal["no", "prohibit-password", "yes"] = Field(
        "prohibit-password", description="Whether root may log in"
    )
    open_firewall: bool = Field(True, description="Let the port through the host's firewall (NixOS)")
    port: int = Field(22, ge=1, le=65535, description="The port that sshd listens on (NixOS)")
    authorized_keys: list[str] = Field(default_factory=list, description="Public keys that may log in as root")
    host_keys: HostKeys = Field(default_factory=HostKeys, description="Further kinds of host keys")
    certificate: Certificate = Field(default_factory=Certificate, description="The host's certificate")


class Client(Settings):
    """Whom to trust."""

    certificate: Certificate = Field(default_factory=Certificate, description="Whose certificates are believed")
    known_hosts: dict[str, str] = Field(
        default_factory=dict, description='Public keys of hosts, by name: `"host,alias" = "ssh-ed25519 …"`'
    )


SERVICE = Service(
    name="sshd",
    description="OpenSSH servers, and clients that know their keys",
    roles={
        "server": Role(
            description="Hosts that people and clanpy log in to",
            settings=Server,
            nixos=(Static("server-nixos.nix"),),
            darwin=(Static("server-darwin.nix"),),
        ),
        "client": Role(
            description="Hosts from which people go on to others",
            settings=Client,
            nixos=(Static("client.nix"),),
            darwin=(Static("client.nix"),),
        ),
    },
)
