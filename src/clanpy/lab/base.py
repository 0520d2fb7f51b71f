"""What hosts are made from.

"host" is this computer's own programs (`/usr`, read only below an overlay) and nothing else of it: no home, no `/etc` of its
own but for a few files that programs need, no `/var`. It needs no download.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, cast

from clanpy.errors import nearest
from clanpy.lab.errors import LabBaseError, ProgramMissingError


Init = Literal["busybox", "systemd"]
SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"

# Program → Debian package, of what makes the lab itself and of what its hosts run.
CONTROLLER_PROGRAMS = {"ip": "iproute2", "nsenter": "util-linux", "ssh-keygen": "openssh-client"}
HOST_PROGRAMS = {
    "busybox": "busybox-static",
    "sshd": "openssh-server",
    "nix": "nix-bin",
    "nix-daemon": "nix-bin",
    "sudo": "sudo",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A system to make hosts from. `tree` is its root folder; None means this computer's own programs."""

    name: str
    tree: Path | None
    init: Init

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "tree": None if self.tree is None else str(self.tree), "init": self.init}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Self:
        tree = raw["tree"]
        return cls(name=raw["name"], tree=None if tree is None else Path(tree), init=cast("Init", raw["init"]))


def prepare(name: str) -> Base:
    """The base of this name, ready to be used. Raises LabBaseError or ProgramMissingError."""
    need(CONTROLLER_PROGRAMS)
    if name != "host":
        raise LabBaseError(f"there is no base {name!r}", hint=nearest(name, ["host"]) or "the only base is 'host'")
    need(HOST_PROGRAMS)
    if not Path("/usr/bin/env").exists() or not os.access("/usr/sbin/sshd", os.X_OK):
        raise LabBaseError("this computer keeps its programs elsewhere than /usr, so it can't be the base of hosts")
    return Base(name="host", tree=None, init="busybox")


def need(programs: Mapping[str, str]) -> None:
    """Raises ProgramMissingError naming the Debian packages of whatever is not installed."""
    missing = {
        program: package for program, package in programs.items() if shutil.which(program, path=SYSTEM_PATH) is None
    }
    if missing:
        packages = " ".join(dict.fromkeys(missing.values()))
        raise ProgramMissingError(
            f"the lab needs {', '.join(missing)}", hint=f"on Debian: apt-get install --no-install-recommends {packages}"
        )
