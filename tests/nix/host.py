"""A throwaway host: a root of its own around this computer's programs and a store, in which activations run for real."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path


_PASSWD = """\
root:x:0:0::/root:/bin/sh
ada:x:1000:100::/home/ada:/bin/sh
nobody:x:65534:65534::/var/empty:/usr/sbin/nologin
"""
_GROUP = "root:x:0:\nusers:x:100:\nnogroup:x:65534:\n"
_PAM = "auth sufficient pam_permit.so\naccount sufficient pam_permit.so\nsession sufficient pam_permit.so\n"
_LOADERS = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives")


@dataclass(frozen=True, slots=True)
class Host:
    """A host whose root is `root`; the store is that of the tests, read only."""

    root: Path
    store: Path
    class_: str

    def run(self, *argv: str | Path, user: str | None = None, env: dict[str, str] | None = None) -> Done:
        """Run a program as root, or as an account of the host."""
        command = [str(part) for part in argv]
        if user is not None:
            command = ["setpriv", "--reuid", user, "--regid", "users", "--clear-groups", *command]
        settings = [part for name, value in (env or {}).items() for part in ("--setenv", name, value)]
        done = subprocess.run(
            [*self._enclosure(), *settings, "--", *command], capture_output=True, text=True, check=False, timeout=30
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def read(self, path: str) -> str:
        """The content of a file of the host, whichever way it lies."""
        return self.resolve(path).read_text()

    def exists(self, path: str) -> bool:
        return self.resolve(path).exists()

    def resolve(self, path: str) -> Path:
        """Where a path of the host lies on this computer: links are followed as the host would."""
        pending = [part for part in path.split("/") if part]
        place = self.root
        while pending:
            place = place / pending.pop(0)
            if place.is_symlink() and not place.is_relative_to(self.store):
                target = str(place.readlink())
                pending = [*(part for part in target.split("/") if part), *pending]
                place = self.root if target.startswith("/") else place.parent
            if self.root / self.store.relative_to("/") == place:
                place = self.store
        return place

    def link(self, path: str) -> str | None:
        """Where a link of the host points to, or None for what is no link."""
        place = self.root / path.lstrip("/")
        return str(place.readlink()) if place.is_symlink() else None

    def write(self, path: str, text: str, *, mode: int = 0o644, owner: int = 0) -> None:
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        place.chmod(mode)
        os.chown(place, owner, 100 if owner else 0)

    def _shims(self) -> list[str]:
        if self.class_ != "darwin":
            return []
        shim = self.root / "uname"
        shim.write_text("#!/bin/sh\necho Darwin\n")
        shim.chmod(0o755)
        return ["--ro-bind", str(shim), "/usr/bin/uname"]

    def _enclosure(self) -> list[str]:
        masked = [p for name in ("nix-store", "nix-env") for p in ("--ro-bind", "/dev/null", f"/usr/bin/{name}")]
        masked = masked if Path("/usr/bin/nix-store").exists() else []
        return [
            "bwrap", "--bind", str(self.root), "/", "--ro-bind", "/usr", "/usr", *masked, *self._shims(),
            "--ro-bind", str(self.store), str(self.store), "--proc", "/proc", "--dev", "/dev",
            "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--cap-add", "ALL", "--die-with-parent",
            "--clearenv", "--setenv", "PATH", "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "--chdir", "/",
        ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Done:
    """How a program on a host ended."""

    status: int
    out: str
    err: str


def make_host(root: Path, store: Path, *, class_: str = "nixos") -> Host:
    """A fresh host with the accounts root and ada."""
    for name in ("usr", "etc/sudoers.d", "root", "home/ada", "run", "tmp", "var/lib", "boot", "nix/var/nix"):
        (root / name).mkdir(parents=True)
    (root / store.relative_to("/")).mkdir(parents=True)  # with the usual modes, for accounts to pass through
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    for name in _LOADERS:
        original = Path("/etc", name)
        if original.is_dir():
            shutil.copytree(original, root / "etc" / name, symlinks=True)
        elif original.exists():
            shutil.copy(original, root / "etc" / name)
    host = Host(root, store, class_)
    os.chown(root / "home/ada", 1000, 100)
    host.write("/etc/passwd", _PASSWD)
    host.write("/etc/group", _GROUP)
    host.write("/etc/shadow", "root:*:19000:0:99999:7:::\n", mode=0o640)
    for name in ("su", "sudo", "other"):
        host.write(f"/etc/pam.d/{name}", _PAM)
    host.write("/etc/sudoers", "root ALL=(ALL:ALL) NOPASSWD: ALL\n", mode=0o440)
    if class_ == "nixos":
        host.write("/etc/NIXOS", "")
    return host
