"""Borg: clients that encrypt and send what is theirs, servers that keep a repository for each of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from clanpy.services.declaration import Computed, Member, Role, Service
from clanpy.services.exports import Endpoint, Export
from clanpy.services.generator import BorgKeys, Generator
from clanpy.services.needs import not_generated, public_line
from clanpy.services.settings import Field, Settings


GENERATOR, SSH_FILE, KEY_FILE = "borgbackup", "borgbackup.ssh", "borgbackup.repokey"


class Destination(Settings):
    """A repository outside the fleet."""

    repo: str = Field(description="The repository: `user@host:path`, or a path on the machine")
    rsh: str | None = Field(None, description="The ssh command to use; the one with the fleet's key when not set")


class Keep(Settings):
    """How many archives are kept when old ones are pruned."""

    within: str = Field("1d", pattern=r"^\d+[Hdwmy]$", description="Every archive of this time")
    daily: int = Field(7, ge=0, description="Days of which one is kept")
    weekly: int = Field(4, ge=0, description="Weeks of which one is kept")
    monthly: int = Field(0, ge=-1, description="Months of which one is kept; -1 for all")


class Client(Settings):
    """What is backed up, and when."""

    folders: list[str] = Field(
        default_factory=lambda: ["/home", "/root", "/var/lib"], description="The folders that are backed up"
    )
    exclude: list[str] = Field(
        default_factory=list, description="What is left out, as patterns of borg: `*.pyc`, `/home/*/.cache`"
    )
    start_at: str = Field("*-*-* 01:00:00", description="When, as a calendar event of systemd")
    destinations: dict[str, Destination] = Field(
        default_factory=dict, description="Further repositories, beside those on the servers of the instance"
    )
    keep: Keep = Field(default_factory=Keep, description="How many archives are kept")


class Server(Settings):
    """Where repositories are."""

    directory: str = Field("/var/lib/borgbackup", description="The folder with a repository for each client")
    address: str | None = Field(None, description="Where clients reach it; `<machine>.<domain>` when not set")
    port: int = Field(22, ge=1, le=65535, description="The port of its sshd")


def _client_generators(member: Member) -> Iterator[Generator]:
    if member.machine.class_ == "nixos":
        yield Generator(name=GENERATOR, kind=BorgKeys())


def _address(server: Member) -> str:
    return server.settings.address or f"{server.machine.name}.{server.domain}"


def _job(member: Member, repo: str, rsh: str) -> dict[str, Any]:
    settings: Client = member.settings
    return {
        "paths": list(settings.folders),
        "exclude": list(settings.exclude),
        "repo": repo,
        "environment": {"BORG_RSH": rsh},
        "compression": "auto,zstd",
        "startAt": settings.start_at,
        "persistentTimer": True,
        "encryption": {"mode": "repokey", "passCommand": f"cat {member.path(GENERATOR, KEY_FILE)}"},
        "prune": {"keep": settings.keep.model_dump(mode="json")},
    }


def _client(member: Member) -> Mapping[str, Any]:
    settings: Client = member.settings
    ssh = f"ssh -i {member.path(GENERATOR, SSH_FILE)} -o IdentitiesOnly=yes"
    jobs = {
        f"{member.instance}-{name}": _job(member, f"borg@{_address(server)}:.", f"{ssh} -p {server.settings.port}")
        for name, server in sorted(member.peers("server").items())
    }
    for name, destination in sorted(settings.destinations.items()):
        jobs[f"{member.instance}-{name}"] = _job(member, destination.repo, destination.rsh or ssh)
    return {"services": {"borgbackup": {"jobs": jobs}}}


def _server(member: Member) -> Mapping[str, Any]:
    settings: Server = member.settings
    repos = {}
    for name in member.members().get("client", ()):
        key = public_line(member, GENERATOR, f"{SSH_FILE}.pub", machine=name)
        if key is not None:
            repos[name] = {"path": f"{settings.directory}/{name}", "authorizedKeys": [key]}
    return {"services": {"borgbackup": {"repos": repos}, "openssh": {"enable": {"_default": True}}}}


def _server_exports(member: Member) -> Iterator[Export]:
    yield Endpoint(name="borg", host=_address(member), port=member.settings.port)


def _client_lacks(member: Member) -> Iterator[str]:
    wanted = (member.machine.name, GENERATOR, f"{SSH_FILE}.pub")
    return not_generated(member, [wanted] if member.machine.class_ == "nixos" else [])


def _server_lacks(member: Member) -> Iterator[str]:
    clients = member.members().get("client", ())
    return not_generated(member, [(name, GENERATOR, f"{SSH_FILE}.pub") for name in clients])


SERVICE = Service(
    name="borgbackup",
    description="Encrypted backups, from clients to servers of the fleet and elsewhere",
    roles={
        "client": Role(
            description="Machines that are backed up",
            settings=Client,
            nixos=(Computed(_client),),
            notes={"darwin": "nix-darwin has no module for it"},
            generators=_client_generators,
            lacks=_client_lacks,
        ),
        "server": Role(
            description="Machines that keep the repositories",
            settings=Server,
            nixos=(Computed(_server),),
            notes={"darwin": "a server runs on NixOS"},
            exports=_server_exports,
            lacks=_server_lacks,
        ),
    },
)
