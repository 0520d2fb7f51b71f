"""OpenSSH: hosts that let people in, hosts with certificates, and clients that believe the fleet's authority."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from clanpy.services.declaration import Member, Role, Service, Static
from clanpy.services.generator import PUBLIC, UNDEPLOYED, Generator, SshCertificate, SshKey
from clanpy.services.needs import Value, names_of, not_generated, public_line
from clanpy.services.people import PersonName, keys_of
from clanpy.services.settings import Field, Settings


HOST_KEY, RSA_KEY, AUTHORITY, CERTIFICATE, ROOT_KEY = (
    "openssh",
    "openssh-rsa",
    "openssh-ca",
    "openssh-cert",
    "sshd-root-key",
)
KEY_FILE, RSA_FILE, AUTHORITY_FILE, ROOT_FILE = "ssh.id_ed25519", "ssh.id_rsa", "id_ed25519", "id_ed25519"
CERTIFICATE_FILE = f"{KEY_FILE}-cert.pub"


class HostKey(Settings):
    """One kind of host key."""

    enable: bool = Field(False, description="Whether the host has such a key")


class HostKeys(Settings):
    """Host keys beside ed25519, which every host has."""

    rsa: HostKey = Field(default_factory=HostKey, description="For clients that know nothing newer")
    replace: bool = Field(
        False,
        description="Offer the generated key in place of the one that the host had. Otherwise both are there: the old one for those "
        "who have it on record, the generated one with its certificate (NixOS)",
    )


class Certificate(Settings):
    """Certificates of hosts, signed by an authority of the fleet."""

    search_domains: list[str] = Field(
        default_factory=list, description="Domains under which hosts are known, beside the fleet's own"
    )
    days: int | None = Field(
        None, ge=1, description="How long the certificate of a host is good for; for ever when not set"
    )


class Trust(Settings):
    """Whose certificates are believed."""

    search_domains: list[str] = Field(
        default_factory=list, description="Domains whose hosts may show a certificate, beside the fleet's own"
    )
    authority: str | None = Field(
        None, description="The authority's public key (one line); the one that the fleet generated when not set"
    )


class RootKey(Settings):
    """A key of the fleet for root."""

    enable: bool = Field(
        False, description="Generate a key pair whose public half may log in as root; only people can read the other"
    )


class Server(Settings):
    """Who may come in, and how."""

    password_authentication: bool = Field(False, description="Let people in by password")
    permit_root_login: Literal["no", "prohibit-password", "yes"] = Field(
        "prohibit-password", description="Whether root may log in"
    )
    open_firewall: bool = Field(True, description="Let the port through the host's firewall (NixOS)")
    port: int = Field(22, ge=1, le=65535, description="The port that sshd listens on (NixOS)")
    authorized_keys: list[str] | dict[str, str] = Field(
        default_factory=list,
        description="Public keys that may log in as root: a list, or a table by what they are called",
    )
    authorized_people: list[PersonName] = Field(
        default_factory=list, description="People whose keys may log in as root: names, aliases, or `@group`"
    )
    host_keys: HostKeys = Field(default_factory=HostKeys, description="Host keys beside the ed25519 one")
    certificate: Certificate = Field(default_factory=Certificate, description="The host's certificate")
    generate_root_key: RootKey = Field(default_factory=RootKey, description="A key of the fleet for root")


class Client(Settings):
    """Whom to trust."""

    certificate: Trust = Field(default_factory=Trust, description="Whose certificates are believed")
    known_hosts: dict[str, str] = Field(
        default_factory=dict, description='Public keys of hosts, by name: `"host,alias" = "ssh-ed25519 …"`'
    )


def host_key() -> Generator:
    """The key pair by which a host is known."""
    return Generator(name=HOST_KEY, kind=SshKey(file=KEY_FILE))


def authority() -> Generator:
    """The authority that signs the keys of hosts: one for the fleet, and for people only."""
    return Generator(name=AUTHORITY, share=True, kind=SshKey(file=AUTHORITY_FILE), files={AUTHORITY_FILE: UNDEPLOYED})


def host_certificate(member: Member, domains: Iterable[str], days: int | None) -> Generator:
    """The certificate for a host's key under all of its names. When the names change it is made again."""
    names = names_of(member.machine.name, member.domain, domains)
    kind = SshCertificate(authority=AUTHORITY, key=HOST_KEY, principals=names, days=days, authority_file=AUTHORITY_FILE)
    return Generator(name=CERTIFICATE, kind=kind, validation={"principals": " ".join(names), "days": days or 0})


def _server_generators(member: Member) -> Iterator[Generator]:
    settings: Server = member.settings
    yield host_key()
    yield authority()
    yield host_certificate(member, settings.certificate.search_domains, settings.certificate.days)
    if settings.host_keys.rsa.enable:
        yield Generator(name=RSA_KEY, kind=SshKey(algorithm="rsa", file=RSA_FILE))
    if settings.generate_root_key.enable:
        undeployed = {ROOT_FILE: UNDEPLOYED, f"{ROOT_FILE}.pub": PUBLIC}
        yield Generator(name=ROOT_KEY, share=True, kind=SshKey(file=ROOT_FILE), files=undeployed)


def _client_generators(member: Member) -> Iterator[Generator]:
    settings: Client = member.settings
    if settings.certificate.authority is None:
        yield authority()


def host_identity(member: Member) -> Mapping[str, Any]:
    """What a server's module needs to know of the generated keys: paths of private ones, contents of public ones."""
    names = names_of(member.machine.name, member.domain)
    return {
        "key": _path_if_there(member, HOST_KEY, KEY_FILE),
        "rsa_key": _path_if_there(member, RSA_KEY, RSA_FILE),
        "public_key": public_line(member, HOST_KEY, f"{KEY_FILE}.pub"),
        "certificate": member.public(CERTIFICATE, CERTIFICATE_FILE),
        "names": list(names),
    }


def _path_if_there(member: Member, generator: str, private: str) -> str | None:
    """Where a private key is on the host; None while it is not generated."""
    declared = generator != RSA_KEY or member.settings.host_keys.rsa.enable
    there = declared and member.public(generator, f"{private}.pub") is not None
    return member.path(generator, private) if there else None


def _server(member: Member) -> Mapping[str, Any]:
    settings: Server = member.settings
    given = settings.authorized_keys
    keys = list(given.values() if isinstance(given, dict) else given)
    keys += [key for key in keys_of(member.people, settings.authorized_people) if key not in keys]
    root = public_line(member, ROOT_KEY, f"{ROOT_FILE}.pub") if settings.generate_root_key.enable else None
    return {**host_identity(member), "root_keys": [*keys, *([root] if root else [])]}


def _client(member: Member) -> Mapping[str, Any]:
    settings: Client = member.settings
    return {"authority": settings.certificate.authority or public_line(member, AUTHORITY, f"{AUTHORITY_FILE}.pub")}


def _server_lacks(member: Member) -> Iterator[str]:
    me = member.machine.name
    wanted: list[Value] = [(me, HOST_KEY, f"{KEY_FILE}.pub"), (me, CERTIFICATE, CERTIFICATE_FILE)]
    if member.settings.host_keys.rsa.enable:
        wanted.append((me, RSA_KEY, f"{RSA_FILE}.pub"))
    if member.settings.generate_root_key.enable:
        wanted.append((me, ROOT_KEY, f"{ROOT_FILE}.pub"))
    return not_generated(member, wanted)


def _client_lacks(member: Member) -> Iterator[str]:
    wanted = (member.machine.name, AUTHORITY, f"{AUTHORITY_FILE}.pub")
    return not_generated(member, [] if member.settings.certificate.authority else [wanted])


SERVICE = Service(
    name="sshd",
    description="OpenSSH servers with certificates, and clients that know whom to believe",
    roles={
        "server": Role(
            description="Hosts that people and clanpy log in to",
            settings=Server,
            nixos=(Static("server-nixos.nix", more=_server),),
            darwin=(Static("server-darwin.nix", more=_server),),
            generators=_server_generators,
            lacks=_server_lacks,
        ),
        "client": Role(
            description="Hosts from which people go on to others",
            settings=Client,
            nixos=(Static("client.nix", more=_client),),
            darwin=(Static("client.nix", more=_client),),
            generators=_client_generators,
            lacks=_client_lacks,
        ),
    },
)
