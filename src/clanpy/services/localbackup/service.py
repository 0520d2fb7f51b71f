"""Backups to a disk of the machine itself: snapshots in which what did not change takes no room."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clanpy.services.declaration import Member, Role, Service, Static
from clanpy.services.settings import Field, Settings


class Target(Settings):
    """One place for snapshots."""

    directory: str = Field(pattern=r"^/", description="The folder for the snapshots")
    mountpoint: str | None = Field(
        None,
        pattern=r"^/",
        description="What is mounted for the backup, and unmounted after it, when it is not mounted anyway",
    )
    pre_hook: str = Field("", description="Shell commands to run first")
    post_hook: str = Field("", description="Shell commands to run last")


class Default(Settings):
    """What is backed up, where and when."""

    targets: dict[str, Target] = Field(description="The places, by name")
    folders: list[str] = Field(
        default_factory=lambda: ["/home", "/root", "/var/lib"], description="The folders that are backed up"
    )
    exclude: list[str] = Field(default_factory=list, description="What is left out, as patterns of rsync")
    snapshots: int = Field(20, ge=1, description="How many snapshots are kept")
    start_at: str = Field("*-*-* 01:00:00", description="When, as a calendar event of systemd")


def _more(member: Member) -> Mapping[str, Any]:
    settings: Default = member.settings
    return {"configs": {name: _rsnapshot(settings, target) for name, target in settings.targets.items()}}


def _rsnapshot(settings: Default, target: Target) -> str:
    """A configuration of rsnapshot, whose words are parted by tabs."""
    words = [
        ("config_version", "1.2"),
        ("snapshot_root", target.directory.rstrip("/") + "/"),
        ("sync_first", "1"),
        ("link_dest", "1"),
        ("one_fs", "1"),
        ("retain", "snapshot", str(settings.snapshots)),
        *(("exclude", pattern) for pattern in settings.exclude),
        *(("backup", folder.rstrip("/") + "/", "") for folder in settings.folders),
    ]
    return "".join("\t".join(line) + "\n" for line in words)


SERVICE = Service(
    name="localbackup",
    description="Snapshots of folders on a disk of the machine itself",
    roles={
        "default": Role(
            description="Machines with a disk for backups",
            settings=Default,
            nixos=(Static("localbackup.nix", more=_more),),
            notes={"darwin": "macOS has Time Machine"},
        )
    },
)
