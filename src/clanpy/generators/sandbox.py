"""Where scripts run: without network, home or environment, and with nothing to write to but their own output.

bubblewrap where it is installed, namespaces of our own otherwise (`jail.py`), `sandbox-exec` on macOS. A sandbox is a way of
writing a command line; no argument ever holds a value.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from clanpy.generators import jail
from clanpy.generators.errors import SandboxMissingError


_READABLE = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64"),
    *("/nix/store", "/run/current-system/sw", "/etc/alternatives", "/etc/ld.so.cache", "/etc/ssl/openssl.cnf"),
)
_PROBE_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Job:
    """A script to be run. `folder` is in memory and holds `in`, `prompts`, `out`, `etc` and the file `script`.

    Attributes:
        shell: the bash to run it with.
        path: folders of programs.
    """

    folder: Path
    shell: str
    path: tuple[str, ...]

    def environment(self, folder: str) -> dict[str, str]:
        """All that the script gets to see; `folder` is how it calls its folder."""
        return {
            "PATH": ":".join(self.path),
            "HOME": "/homeless",
            "TMPDIR": "/tmp",  # noqa: S108 - inside the sandbox, where it is empty and its own
            "LC_ALL": "C.UTF-8",
            "in": f"{folder}/in",
            "out": f"{folder}/out",
            "prompts": f"{folder}/prompts",
        }


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A way of running jobs. `gives_up` says what is not kept from a script, in a sentence; None when all is."""

    name: str
    command: Callable[[Job], Sequence[str]]
    environment: Callable[[Job], Mapping[str, str]]
    gives_up: str | None = None


def find_sandbox(*, wanted: bool = True) -> Sandbox:
    """The best sandbox of this computer, or none when none is wanted.

    Raises:
        SandboxMissingError: there is none that works.
    """
    if not wanted:
        return NO_SANDBOX
    if sys.platform == "darwin":
        return SEATBELT
    tried = []
    for sandbox in (BUBBLEWRAP, NAMESPACES):
        reason = _why_not(sandbox)
        if reason is None:
            return sandbox
        tried.append(f"{sandbox.name}: {reason}")
    raise SandboxMissingError(
        "generator scripts can't be run safely on this computer",
        hint="install bubblewrap, or say `--no-sandbox`: scripts then see the network and your files",
        details=tried,
    )


def _why_not(sandbox: Sandbox) -> str | None:
    """Why a sandbox does not work here, found out by running `true` in it."""
    if sandbox is BUBBLEWRAP and shutil.which("bwrap") is None:
        return "it is not installed"
    wrap = _bubblewrap if sandbox is BUBBLEWRAP else _namespaces
    command = [*wrap(Path("/nonexistent")), "sh", "-c", "true"]
    try:
        done = subprocess.run(
            command, env={"PATH": os.defpath}, capture_output=True, timeout=_PROBE_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return type(error).__name__
    return None if done.returncode == 0 else (done.stderr.decode(errors="replace").strip() or f"exit {done.returncode}")


_INSIDE = "/generator"


def _bubblewrap(folder: Path) -> list[str]:
    """The options are those of a room without windows; the mounts are read-only but for the output."""
    mounts = [word for path in _READABLE for word in ("--ro-bind-try", path, path)]
    etc = folder / "etc"
    if etc.is_dir():
        mounts += [word for file in sorted(etc.iterdir()) for word in ("--ro-bind", str(file), f"/etc/{file.name}")]
        mounts += ["--ro-bind", str(folder), _INSIDE, "--bind", str(folder / "out"), f"{_INSIDE}/out"]
    return [
        *(shutil.which("bwrap") or "bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--clearenv"),
        *("--uid", "1000", "--gid", "1000", "--hostname", "generator", "--proc", "/proc", "--dev", "/dev"),
        *("--tmpfs", "/tmp", "--chdir", "/tmp", *mounts, "--remount-ro", "/"),  # noqa: S108 - inside the sandbox
    ]


def _namespaces(folder: Path) -> list[str]:
    return [sys.executable, "-I", "-S", jail.__file__, str(folder), _INSIDE, ":".join(_READABLE)]


def _boxed(wrap: Callable[[Path], list[str]], job: Job) -> list[str]:
    settings = [f"{key}={value}" for key, value in job.environment(_INSIDE).items()]
    return [*wrap(job.folder), *("/usr/bin/env", "-i"), *settings, *_shell(job, _INSIDE)]


def _shell(job: Job, folder: str) -> list[str]:
    """Bash, reading the script from its file. What `set -x` prints would hold values: it goes nowhere."""
    opening = 'exec 19>/dev/null; BASH_XTRACEFD=19; set -euo pipefail; . "$1"'
    return [job.shell, "--norc", "--noprofile", "-c", opening, "generator", f"{folder}/script"]


def _seatbelt(job: Job) -> list[str]:
    profile = "\n".join(
        [
            "(version 1)",
            "(deny default)",
            "(allow process-exec process-fork signal sysctl-read mach-lookup)",
            "(allow file-read-metadata)",
            '(allow file-read* (subpath "/usr") (subpath "/bin") (subpath "/sbin") (subpath "/System") (subpath "/Library")',
            '  (subpath "/nix/store") (subpath "/private/var/db/dyld") (subpath "/dev") (subpath "/private/etc/ssl"))',
            f'(allow file-read* (subpath "{job.folder}"))',
            f'(allow file-write* (subpath "{job.folder}/out") (literal "/dev/null") (literal "/dev/tty"))',
        ]
    )
    return ["/usr/bin/sandbox-exec", "-p", profile, *_shell(job, str(job.folder))]


def _in_the_open(job: Job) -> list[str]:
    return _shell(job, str(job.folder))


def _clean(job: Job) -> dict[str, str]:
    return job.environment(str(job.folder)) | {"HOME": str(job.folder / "out"), "TMPDIR": str(job.folder)}


def _nothing(job: Job) -> dict[str, str]:
    return {"PATH": os.defpath}


BUBBLEWRAP = Sandbox("bubblewrap", partial(_boxed, _bubblewrap), _nothing)
NAMESPACES = Sandbox("namespaces", partial(_boxed, _namespaces), _nothing)
SEATBELT = Sandbox("sandbox-exec", _seatbelt, _clean)
NO_SANDBOX = Sandbox(
    "none",
    _in_the_open,
    _clean,
    gives_up="scripts run without a sandbox: they can use the network and read and write all your files",
)
