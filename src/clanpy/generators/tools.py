"""The programs that scripts use: a name of a package, and the folder where its programs are."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from clanpy.errors import ToolMissingError


ToolFinder = Callable[[Sequence[str]], tuple[str, ...]]
"""Folders of programs for the names of packages."""

# Packages whose name is not that of a program in them.
_A_PROGRAM_OF = {
    "bash": "bash",
    "coreutils": "ls",
    "diffutils": "diff",
    "findutils": "find",
    "gawk": "awk",
    "gnugrep": "grep",
    "gnused": "sed",
    "gnutar": "tar",
    "gnupg": "gpg",
    "libxcrypt": "mkpasswd",
    "mosquitto": "mosquitto_passwd",
    "openssh": "ssh-keygen",
    "step-cli": "step",
    "util-linux": "uuidgen",
    "wireguard-tools": "wg",
    "zerotierone": "zerotier-idtool",
}
_ALWAYS = ("bash", "coreutils")


def tools_on_path(environment: Mapping[str, str] | None = None, build: ToolFinder | None = None) -> ToolFinder:
    """Find programs on the PATH, and have those built that are not there. A package counts as there when a program of it is.

    What the finder returns are the folders that hold them; its errors are `ToolMissingError`. It may take long.
    """
    search = (os.environ if environment is None else environment).get("PATH", os.defpath)

    def find(packages: Sequence[str]) -> tuple[str, ...]:
        found, missing = _look_up([*packages, *_ALWAYS], search)
        if missing and build is not None:
            return (*build(missing), *found)
        if missing:
            raise ToolMissingError(
                f"a generator needs {', '.join(missing)}, and no such program is on the PATH",
                hint="install it, or Nix, which brings it from the fleet's nixpkgs",
            )
        return found

    return find


def _look_up(packages: Iterable[str], search: str) -> tuple[tuple[str, ...], list[str]]:
    folders: dict[str, None] = {}
    missing = []
    for package in packages:
        program = _A_PROGRAM_OF.get(package, package.rpartition(".")[2])
        path = shutil.which(program, path=search)
        if path is None:
            missing.append(package)
        else:
            folders[str(Path(path).parent)] = None
    return tuple(folders), missing
