"""Dynamic DNS: a machine whose address changes keeps its names up to date."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from clanpy.services.declaration import Member, Role, Service, Static
from clanpy.services.generator import SECRET, Generator, Prompt
from clanpy.services.settings import Field, Settings


TOKEN_FILE = "token"  # noqa: S105 - what a file is called


class Name(Settings):
    """One name, and who keeps it."""

    provider: str = Field(
        description="Who keeps the name, as ddns-updater calls them: `hetzner`, `cloudflare`, `namecheap`, …"
    )
    domain: str = Field(description="The name to keep up to date: `home.example.org`")
    secret_field_name: str = Field(
        "password", description="What the provider calls its secret: `token`, `password`, `key`"
    )
    extra_settings: dict[str, Any] = Field(
        default_factory=dict,
        description='What the provider wants to know beside that: `{ zone_identifier = "…", ttl = 300 }`',
    )


class Server(Settings):
    """The page of the updater."""

    enable: bool = Field(False, description="Serve a page with the state of all names")
    port: int = Field(54805, ge=1, le=65535, description="Its port, on this machine only")


class Default(Settings):
    """The names that a machine keeps."""

    settings: dict[str, Name] = Field(default_factory=dict, description="The names, by what the fleet calls them")
    period: int = Field(5, ge=1, description="How often the machine's address is looked up, in minutes")
    server: Server = Field(default_factory=Server, description="The page of the updater")


def token_generator(name: Name) -> str:
    """The generator of a name's secret."""
    return f"dyndns-{name.provider}-{name.domain}"


def _generators(member: Member) -> Iterator[Generator]:
    if member.machine.class_ != "nixos":
        return
    names = {token_generator(name): name for name in member.settings.settings.values()}
    for generator, name in sorted(names.items()):
        asked = f"The {name.secret_field_name} of {name.provider} for {name.domain}"
        prompts = {TOKEN_FILE: Prompt(type="hidden", description=asked, persist=True)}
        files = {TOKEN_FILE: replace(SECRET, restart_units=("ddns-updater.service",))}
        yield Generator(name=generator, share=True, prompts=prompts, files=files)


def _more(member: Member) -> Mapping[str, Any]:
    names = [name for _, name in sorted(member.settings.settings.items())]
    return {
        "names": [
            {
                "credential": f"token-{n}",
                "file": member.path(token_generator(name), TOKEN_FILE),
                "field": name.secret_field_name,
                "entry": {"provider": name.provider, "domain": name.domain, **name.extra_settings},
            }
            for n, name in enumerate(names)
        ]
    }


SERVICE = Service(
    name="dyndns",
    description="Names that follow machines whose addresses change, at some fifty providers",
    roles={
        "default": Role(
            description="Machines that keep names up to date",
            settings=Default,
            nixos=(Static("dyndns.nix", more=_more),),
            notes={"darwin": "nix-darwin has no module for it"},
            generators=_generators,
        )
    },
)
