"""A certificate authority of the fleet: machines trust it, and have certificates of it for their names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from clanpy.services.declaration import Computed, Member, Role, Service
from clanpy.services.exports import Endpoint
from clanpy.services.generator import SECRET, Generator, X509Authority, X509Certificate
from clanpy.services.needs import Value, not_generated
from clanpy.services.settings import Field, Settings


ROOT, ROOT_FILE = "pki-root-ca", "ca.crt"
KEY_FILE, CERTIFICATE_FILE = "tls.key", "tls.crt"


class Default(Settings):
    """What a machine has certificates for."""

    endpoints: list[str] = Field(
        default_factory=list,
        description="Names or addresses to have certificates for, beside those that services of the machine export",
    )
    days: int = Field(
        365, ge=1, description="How long a certificate is good for; `clanpy vars generate` renews it before it ends"
    )
    key_group: str = Field("root", description="The group that may read the keys (NixOS)")
    nginx: bool = Field(False, description="Let nginx show the certificate for each endpoint (NixOS)")


def certificate_generator(endpoint: str) -> str:
    """The generator of an endpoint's certificate; addresses have colons, which names of generators don't."""
    return f"cert-{endpoint.replace(':', '-')}"


def endpoints_of(member: Member) -> tuple[str, ...]:
    """The names that a machine has certificates for: those that are set, and where its services are looked for."""
    exported = member.exported(Endpoint).get(member.machine.name, ())
    ours = (end.host for end in exported if end.host.endswith(f".{member.domain}"))
    return tuple(dict.fromkeys((*member.settings.endpoints, *ours)))


def _generators(member: Member) -> Iterator[Generator]:
    settings: Default = member.settings
    yield Generator(name=ROOT, share=True, kind=X509Authority(common_name=f"{member.domain} root"))
    mode = "0440" if settings.key_group != "root" else SECRET.mode
    group = settings.key_group if member.machine.class_ == "nixos" else None
    units = ("nginx.service",) if settings.nginx and member.machine.class_ == "nixos" else ()
    for endpoint in endpoints_of(member):
        kind = X509Certificate(authority=ROOT, names=(endpoint,), days=settings.days)
        files = {KEY_FILE: replace(SECRET, mode=mode, group=group, restart_units=units)}
        yield Generator(name=certificate_generator(endpoint), kind=kind, files=files)


def _root(member: Member) -> str | None:
    return member.public(ROOT, ROOT_FILE)


def _darwin(member: Member) -> Mapping[str, Any]:
    root = _root(member)
    return {} if root is None else {"security": {"pki": {"certificates": [root]}}}


def _nixos(member: Member) -> Mapping[str, Any]:
    settings: Default = member.settings
    module = dict(_darwin(member))
    if settings.nginx:
        hosts = {endpoint: _host(member, endpoint) for endpoint in endpoints_of(member) if _is_there(member, endpoint)}
        module["services"] = {"nginx": {"virtualHosts": hosts}}
    return module


def _host(member: Member, endpoint: str) -> dict[str, Any]:
    name = certificate_generator(endpoint)
    return {
        "forceSSL": {"_default": True},
        "sslCertificate": member.path(name, CERTIFICATE_FILE),
        "sslCertificateKey": member.path(name, KEY_FILE),
    }


def _is_there(member: Member, endpoint: str) -> bool:
    return member.public(certificate_generator(endpoint), CERTIFICATE_FILE) is not None


def _lacks(member: Member) -> Iterator[str]:
    me = member.machine.name
    wanted: list[Value] = [(me, ROOT, ROOT_FILE)]
    wanted += [(me, certificate_generator(endpoint), CERTIFICATE_FILE) for endpoint in endpoints_of(member)]
    return not_generated(member, wanted)


SERVICE = Service(
    name="pki",
    description="A certificate authority of the fleet, trusted by its machines, and certificates for their names",
    roles={
        "default": Role(
            description="Machines that trust the authority, and have certificates of it",
            settings=Default,
            nixos=(Computed(_nixos),),
            darwin=(Computed(_darwin),),
            generators=_generators,
            lacks=_lacks,
        )
    },
)
