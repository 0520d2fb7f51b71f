"""Root access to machines, all in one role. `sshd` and `users` do the same with more choice; this is for inventories that have it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from clanpy.services.declaration import Member, Role, Service, Static
from clanpy.services.generator import Generator, Password, Prompt, SshKey
from clanpy.services.needs import not_generated
from clanpy.services.people import PersonName, keys_of
from clanpy.services.settings import Field, Settings
from clanpy.services.sshd.service import (
    CERTIFICATE,
    CERTIFICATE_FILE,
    HOST_KEY,
    KEY_FILE,
    RSA_FILE,
    RSA_KEY,
    authority,
    host_certificate,
    host_key,
)


PASSWORD, PASSWORD_FILE, HASH_FILE = "root-password", "password", "password-hash"


class RsaHostKey(Settings):
    """An RSA host key."""

    enable: bool = Field(False, description="Whether the host has an RSA key too")


class Default(Settings):
    """Who may become root, and how the host is known."""

    allowed_keys: dict[str, str] = Field(
        default_factory=dict, description="Public keys that may log in as root, by what they are called"
    )
    authorized_people: list[PersonName] = Field(
        default_factory=list, description="People whose keys may log in as root: names, aliases, or `@group`"
    )
    rsa_host_key: RsaHostKey = Field(default_factory=RsaHostKey, description="For clients that know nothing newer")
    certificate_search_domains: list[str] = Field(
        default_factory=list, description="Domains for which the host gets a certificate, beside the fleet's own"
    )
    prompt: bool = Field(False, description="Ask for root's password; an empty answer means that one is made up")


def _generators(member: Member) -> Iterator[Generator]:
    settings: Default = member.settings
    if member.machine.class_ != "nixos":
        return
    asked = Prompt(type="hidden", description="The password of root; empty: make one up")
    yield Generator(
        name=PASSWORD,
        kind=Password(prompt=PASSWORD_FILE if settings.prompt else None),
        prompts={PASSWORD_FILE: asked} if settings.prompt else {},
    )
    yield host_key()
    yield authority()
    yield host_certificate(member, settings.certificate_search_domains, None)
    if settings.rsa_host_key.enable:
        yield Generator(name=RSA_KEY, kind=SshKey(algorithm="rsa", file=RSA_FILE))


def _more(member: Member) -> Mapping[str, Any]:
    def private(generator: str, file: str) -> str | None:
        there = member.public(generator, f"{file}.pub") is not None
        return member.path(generator, file) if there else None

    allowed = [key for _, key in sorted(member.settings.allowed_keys.items())]
    theirs = [key for key in keys_of(member.people, member.settings.authorized_people) if key not in allowed]
    return {
        "keys": [*allowed, *theirs],
        "password_file": member.path(PASSWORD, HASH_FILE),
        "host_key": private(HOST_KEY, KEY_FILE),
        "rsa_key": private(RSA_KEY, RSA_FILE) if member.settings.rsa_host_key.enable else None,
        "certificate": member.public(CERTIFICATE, CERTIFICATE_FILE),
    }


def _lacks(member: Member) -> Iterator[str]:
    me = member.machine.name
    if member.machine.class_ != "nixos":
        return iter(())
    return not_generated(member, [(me, HOST_KEY, f"{KEY_FILE}.pub"), (me, CERTIFICATE, CERTIFICATE_FILE)])


SERVICE = Service(
    name="admin",
    description="Root access over ssh, root's password and the host's certificate, in one role (`sshd` and `users` offer more)",
    roles={
        "default": Role(
            description="Machines that administrators log in to as root",
            settings=Default,
            nixos=(Static("admin.nix", more=_more),),
            notes={"darwin": "nobody logs in as root on macOS; use sshd and users"},
            generators=_generators,
            lacks=_lacks,
        )
    },
)
