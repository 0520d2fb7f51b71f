"""Roots against garbage collection on this machine: a link for each artifact, `<cache>/roots/<host>[.<account>]`.

A link is made known to Nix once; from then on it protects whatever it points to, so that pointing it elsewhere needs no Nix.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from clanpy.nix.nar import base32
from clanpy.nix.program import NixProgram
from clanpy.nix.release import Artifact, Release


@dataclass(frozen=True, slots=True)
class Roots:
    """The roots below `folder`."""

    folder: Path
    nix: NixProgram

    def point(self, release: Release) -> list[Path]:
        """Point the roots of a machine to this release, before it is built: what appears is protected at once."""
        return [self._point(release.host, artifact) for artifact in (release.system, *release.homes)]

    async def register(self, links: Iterable[Path]) -> None:
        """Make links known to Nix that are not yet. What they point to has to be there.

        Raises:
            NixCommandError: Nix refuses.
        """
        for link in links:
            if self._entry(link).is_symlink():
                continue
            if self._register_directly(link):
                continue
            target = str(link.readlink())
            done = await self.nix.run(["nix-store", "--realise", target, "--add-root", str(link), "--indirect"])
            done.check(f"protecting {target} against garbage collection")

    def _point(self, host: str, artifact: Artifact) -> Path:
        link = self.folder / (
            host if artifact.installable.account is None else f"{host}.{artifact.installable.account}"
        )
        if not (link.is_symlink() and str(link.readlink()) == artifact.out):
            self.folder.mkdir(parents=True, exist_ok=True)
            fresh = link.with_name(f".{link.name}.{os.getpid()}")
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(artifact.out)
            fresh.replace(link)
        return link

    def _entry(self, link: Path) -> Path:
        """Where Nix notes that `link` is a root: under the hash of the link's own path."""
        digest = hashlib.sha1(os.fsencode(link.absolute()), usedforsecurity=False).digest()
        return self.nix.state_dir / "gcroots" / "auto" / base32(digest)

    def _register_directly(self, link: Path) -> bool:
        entry = self._entry(link)
        if not os.access(entry.parent, os.W_OK):
            return False
        with contextlib.suppress(OSError):
            entry.symlink_to(link.absolute())
            return True
        return entry.is_symlink()
