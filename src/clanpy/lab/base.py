"""What hosts are made from.

"host" is this computer's own programs (`/usr`, read only below an overlay) and nothing else of it: no home, no `/etc` of its
own but for a few files that programs need, no `/var`. It needs no download.

The others are small Debian systems (`RECIPES`), made once from Debian's packages in a folder that all labs share: for another
Nix than this computer's, and for a real systemd.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, cast

from clanpy.errors import nearest
from clanpy.lab.errors import LabBaseError, ProgramMissingError


Init = Literal["busybox", "systemd"]
SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_BASES = Path("/var/cache/clanpy/bases")

# Program → Debian package, of what makes the lab itself and of what its hosts run.
CONTROLLER_PROGRAMS = {"ip": "iproute2", "nsenter": "util-linux", "ssh-keygen": "openssh-client"}
HOST_PROGRAMS = {
    "busybox": "busybox-static",
    "sshd": "openssh-server",
    "nix": "nix-bin",
    "nix-daemon": "nix-bin",
    "sudo": "sudo",
}
_PACKAGES = ("openssh-server", "nix-bin", "sudo", "iproute2", "procps", "ca-certificates", "git", "busybox-static")
_SYSTEMD_PACKAGES = ("systemd-sysv", "dbus", "nix-setup-systemd", "mount")
_MIRROR = "http://deb.debian.org/debian"
_SOURCES = (Path("/etc/apt/sources.list.d/debian.sources"), Path("/etc/apt/sources.list"))


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to make a base: a release of Debian, and what is PID 1."""

    suite: str
    init: Init

    @property
    def packages(self) -> tuple[str, ...]:
        return (*_PACKAGES, *(_SYSTEMD_PACKAGES if self.init == "systemd" else ()))


_SUITES = ("bookworm", "trixie", "sid")
RECIPES: Mapping[str, Recipe] = {
    **{suite: Recipe(suite, "busybox") for suite in _SUITES},
    **{f"{suite}-systemd": Recipe(suite, "systemd") for suite in _SUITES},
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
    """The base of this name, ready to be used; made first if need be. Raises LabBaseError or ProgramMissingError."""
    need(CONTROLLER_PROGRAMS)
    if name == "host":
        need(HOST_PROGRAMS)
        if not os.access("/usr/sbin/sshd", os.X_OK):
            raise LabBaseError(
                "this computer keeps its programs elsewhere than in /usr, so it can't be the base of hosts"
            )
        return Base(name="host", tree=None, init="busybox")
    recipe = RECIPES.get(name)
    if recipe is None:
        hint = nearest(name, ["host", *RECIPES]) or f"there are: host, {', '.join(RECIPES)}"
        raise LabBaseError(f"there is no base {name!r}", hint=hint)
    tree = tree_of(name)
    if not tree.is_dir():
        _make(recipe, tree)
    return Base(name=name, tree=tree, init=recipe.init)


def tree_of(name: str) -> Path:
    """Where the system of a base is, or will be: below CLANPY_LAB_BASES, else /var/cache/clanpy/bases."""
    return Path(os.environ.get("CLANPY_LAB_BASES") or DEFAULT_BASES).absolute() / name


def is_made(name: str) -> bool:
    """Whether a base can be used at once. Making one takes about half a minute and 350 MB."""
    return name not in RECIPES or tree_of(name).is_dir()


def _make(recipe: Recipe, tree: Path) -> None:
    """Make a base beside its place, and move it there when it is complete."""
    need({"mmdebstrap": "mmdebstrap"})
    tree.parent.mkdir(parents=True, exist_ok=True)
    with tree.with_name(f".{tree.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if tree.is_dir():
            return
        draft = tree.with_name(f".{tree.name}.new")
        with suppress(FileNotFoundError):
            shutil.rmtree(draft)
        try:
            _install(recipe, draft)
            draft.rename(tree)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def _install(recipe: Recipe, folder: Path) -> None:
    done = subprocess.run(
        [
            "mmdebstrap", "--quiet", "--variant=essential", f"--include={','.join(recipe.packages)}",
            '--aptopt=Acquire::Check-Valid-Until "false"', recipe.suite, str(folder), mirror(),
        ],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise LabBaseError(
            f"the base of {recipe.suite} can't be made: mmdebstrap ended with {done.returncode}",
            details=done.stderr.splitlines()[-10:],
        )


def mirror() -> str:
    """The mirror of Debian that this computer uses itself."""
    for source in _SOURCES:
        with suppress(OSError):
            found = re.search(r"^(?:URIs:|deb\b.*?)\s+(https?://\S+)", source.read_text(), re.MULTILINE)
            if found:
                return found[1]
    return _MIRROR


def need(programs: Mapping[str, str]) -> None:
    """Raises ProgramMissingError naming the Debian packages of whatever is not installed."""
    missing = {name: package for name, package in programs.items() if shutil.which(name, path=SYSTEM_PATH) is None}
    if missing:
        packages = " ".join(dict.fromkeys(missing.values()))
        raise ProgramMissingError(
            f"the lab needs {', '.join(missing)}", hint=f"on Debian: apt-get install --no-install-recommends {packages}"
        )
