"""Monitoring: clients that tell how they are, servers that keep it and show it (Prometheus, Loki, Grafana)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from clanpy.services.declaration import Member, Role, Service, Static
from clanpy.services.exports import Endpoint, Export
from clanpy.services.generator import BasicAuth, Generator, Passphrase, Token
from clanpy.services.settings import Field, Settings


LOKI, LOKI_PASSWORD, LOKI_USERS = "loki-auth", "password", "htpasswd"
ADMIN, ADMIN_FILE = "grafana-admin", "password"
SECRET_KEY, SECRET_KEY_FILE = "grafana-secret", "token"
_USER = "loki"


class Client(Settings):
    """What a machine tells."""

    address: str | None = Field(None, description="Where servers reach it; `<machine>.<domain>` when not set")
    port: int = Field(9100, ge=1, le=65535, description="The port of the node exporter")
    collectors: list[str] = Field(
        default_factory=lambda: ["systemd"], description="Collectors of the node exporter, beside its usual ones"
    )
    logs: bool = Field(True, description="Send the journal to the servers")
    open_firewall: bool = Field(False, description="Let the port of the node exporter through the host's firewall")


class Grafana(Settings):
    """The pages."""

    enable: bool = Field(True, description="Run Grafana")
    port: int = Field(3000, ge=1, le=65535, description="Its port, on this machine; nginx serves it under `host`")


class Server(Settings):
    """What is kept, and where it is shown."""

    host: str | None = Field(None, description="Where clients and people reach it; `<machine>.<domain>` when not set")
    retention: str = Field("30d", pattern=r"^\d+[hdwy]$", description="How long numbers are kept")
    scrape_interval: str = Field("30s", pattern=r"^\d+[sm]$", description="How often clients are asked")
    logs: bool = Field(True, description="Keep journals")
    use_ssl: bool = Field(False, description="Serve with TLS; the certificate is that of nginx for `host` (see pki)")
    grafana: Grafana = Field(default_factory=Grafana, description="The pages")


def host_of(server: Member) -> str:
    """Where a server is reached."""
    return server.settings.host or f"{server.machine.name}.{server.domain}"


def _loki() -> Generator:
    return Generator(name=LOKI, share=True, kind=BasicAuth(user=_USER))


def _url(server: Member) -> str:
    return f"{'https' if server.settings.use_ssl else 'http'}://{host_of(server)}"


def _client_generators(member: Member) -> Iterator[Generator]:
    if member.settings.logs and member.machine.class_ == "nixos":
        yield _loki()


def _server_generators(member: Member) -> Iterator[Generator]:
    if member.machine.class_ != "nixos":
        return
    if member.settings.logs:
        yield _loki()
    if member.settings.grafana.enable:
        yield Generator(name=ADMIN, kind=Passphrase(file=ADMIN_FILE))
        yield Generator(name=SECRET_KEY, kind=Token(file=SECRET_KEY_FILE))


def _client(member: Member) -> Mapping[str, Any]:
    servers = [s for _, s in sorted(member.peers("server").items()) if s.settings.logs]
    urls = [f"{_url(server)}/loki/api/v1/push" for server in servers] if member.settings.logs else []
    return {"pushTo": urls, "user": _USER, "passwordFile": member.path(LOKI, LOKI_PASSWORD) if urls else None}


def _address(client: Member) -> str:
    host = client.settings.address or f"{client.machine.name}.{client.domain}"
    return f"[{host}]" if ":" in host else host


def _server(member: Member) -> Mapping[str, Any]:
    settings: Server = member.settings
    clients = member.peers("client")
    targets = [
        {"targets": [f"{_address(client)}:{client.settings.port}"], "labels": {"machine": name}}
        for name, client in sorted(clients.items())
    ]
    has_pages = settings.grafana.enable
    return {
        "host": host_of(member),
        "targets": targets,
        "usersFile": member.path(LOKI, LOKI_USERS) if settings.logs else None,
        "adminFile": member.path(ADMIN, ADMIN_FILE) if has_pages else None,
        "secretFile": member.path(SECRET_KEY, SECRET_KEY_FILE) if has_pages else None,
    }


def _server_exports(member: Member) -> Iterator[Export]:
    port = 443 if member.settings.use_ssl else 80
    yield Endpoint(name="monitoring", host=host_of(member), port=port, url=_url(member))


SERVICE = Service(
    name="monitoring",
    description="Numbers and journals of all machines, kept on servers and shown there",
    roles={
        "client": Role(
            description="Machines that are watched",
            settings=Client,
            nixos=(Static("client.nix", more=_client),),
            notes={"darwin": "journals and units are of systemd"},
            generators=_client_generators,
        ),
        "server": Role(
            description="Machines that keep what clients tell, and show it",
            settings=Server,
            nixos=(Static("server.nix", more=_server),),
            notes={"darwin": "a server runs on NixOS"},
            generators=_server_generators,
            exports=_server_exports,
        ),
    },
)
