"""Furnish a host's root: accounts, keys, sshd, Nix, and the marks by which its class is known.

Done at a host's first start, and again only when its plan has changed: what was deployed to it since stays.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clanpy.lab.plan import HostPlan
from clanpy.lab.shims import DARWIN_SHIMS, LINUX_SHIMS


OLD = Path("/.old")  # this computer's root, while a host is put together
OWN = Path("/usr/lib/clanpy-lab")
SHARED = OWN / "shared"
_ALTERNATIVES = Path("/etc/alternatives")
INIT_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}

# The files of this computer's /etc that programs need and that say nothing about its owner.
_PLAIN_ETC = (
    "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "nsswitch.conf", "protocols", "services", "pam.d",
    "pam.conf", "security", "login.defs", "bash.bashrc", "profile", "terminfo", "sudo.conf", "debian_version",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Account:
    """A line of /etc/passwd."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str

    @property
    def line(self) -> str:
        return f"{self.name}:x:{self.uid}:{self.gid}::{self.home}:{self.shell}"


def in_old(path: Path) -> Path:
    """A path of this computer, as it is called while a host is put together."""
    return OLD / path.relative_to("/")


def provision(plan: HostPlan, root: Path) -> None:
    """Furnish the root of a host. The current folder is the host's folder on this computer."""
    mark = Path("disk", "provisioned")
    if mark.is_file() and mark.read_text() == plan.stamp:
        return
    is_darwin = plan.host.class_ == "darwin"
    accounts = _accounts(plan)
    _folders(root)
    if plan.base.tree is None:
        _copy_etc(root)
    members = ",".join(plan.host.users)
    _write_accounts(root, accounts, ("staff:x:20:" if is_darwin else "users:x:100:", f"nix-users:x:30001:{members}"))
    for account in accounts:
        if account.name == "root" or account.name in plan.host.users:
            _authorize(root, account, plan.client_key)
    _write_sudo(root, plan)
    _write_ssh(root, plan)
    _write_nix(root, plan)
    _write_identity(root, plan)
    _write_init(root, plan)
    mark.write_text(plan.stamp)


def put(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file anew: never through a link that is there, and never into a file of the layer below."""
    have_folder(path.parent)
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)
        os.fchmod(file.fileno(), mode)


def have_folder(path: Path) -> None:
    """Have a folder there, also where a link leads nowhere (to a store path that has gone, say)."""
    if path.is_symlink() and not path.exists():
        path.unlink()
    path.mkdir(parents=True, exist_ok=True)


def _folders(root: Path) -> None:
    for name in ("etc", "var/log", "var/lib", "var/empty", "var/tmp", "var/cache", "var/db", "opt", "boot"):
        have_folder(root / name)
    (root / "var/tmp").chmod(0o1777)
    for name, target in {"var/run": "/run", "var/lock": "/run/lock"}.items():
        if not (root / name).is_symlink() and not (root / name).exists():
            (root / name).symlink_to(target)


def share_alternatives(shared: Path) -> None:
    """Which of several programs a name stands for, once for all hosts: there are hundreds of such links."""
    target = shared / _ALTERNATIVES.name
    if target.exists():
        shutil.rmtree(target)
    if _ALTERNATIVES.is_dir():
        shutil.copytree(_ALTERNATIVES, target, symlinks=True)


def _copy_etc(root: Path) -> None:
    alternatives = root / "etc" / _ALTERNATIVES.name
    if not alternatives.is_symlink():
        alternatives.symlink_to(SHARED / _ALTERNATIVES.name)
    for name in _PLAIN_ETC:
        source, target = OLD / "etc" / name, root / "etc" / name
        draft = target.with_name(f".{name}.new")
        if target.exists() or target.is_symlink():
            continue  # as it was deployed since
        if source.is_dir():
            shutil.rmtree(draft, ignore_errors=True)
            shutil.copytree(source, draft, symlinks=True)
            draft.rename(target)
        elif source.is_file():
            shutil.copy2(source, target)


def _accounts(plan: HostPlan) -> tuple[Account, ...]:
    is_darwin = plan.host.class_ == "darwin"
    homes, first, group = ("/Users", 501, 20) if is_darwin else ("/home", 1000, 100)
    root_home = "/var/root" if is_darwin else "/root"
    nobody = "/usr/sbin/nologin"
    return (
        Account("root", 0, 0, root_home, "/bin/bash"),
        Account("daemon", 1, 1, "/var/empty", nobody),
        Account("sshd", 110, 65534, "/run/sshd", nobody),
        Account("nobody", 65534, 65534, "/var/empty", nobody),
        *(Account(f"nixbld{n}", 30000 + n, 30000, "/var/empty", nobody) for n in (1, 2)),
        *(Account(name, first + n, group, f"{homes}/{name}", "/bin/bash") for n, name in enumerate(plan.host.users)),
    )


def _write_accounts(root: Path, accounts: tuple[Account, ...], own_groups: Sequence[str]) -> None:
    # nix-users: Debian's Nix daemon serves nobody else
    groups = ["root:x:0:", "daemon:x:1:", "tty:x:5:", "nixbld:x:30000:nixbld1,nixbld2", "nogroup:x:65534:", *own_groups]
    shadows = [f"{account.name}:*:19000:0:99999:7:::" for account in accounts]
    _merge_lines(root / "etc/passwd", [account.line for account in accounts])
    _merge_lines(root / "etc/group", groups)
    _merge_lines(root / "etc/shadow", shadows, 0o640)


def _merge_lines(path: Path, lines: Sequence[str], mode: int = 0o644) -> None:
    """Have these entries (by the name that they begin with) in an account file, and leave the others in it alone."""
    names = {line.split(":")[0] for line in lines}
    before = path.read_text().splitlines() if path.exists() else []
    kept = [line for line in before if line.split(":")[0] not in names]
    put(path, "".join(f"{line}\n" for line in (*lines, *kept)), mode)


def _authorize(root: Path, account: Account, key: str) -> None:
    home = root / account.home.lstrip("/")
    have_folder(home / ".ssh")
    put(home / ".ssh/authorized_keys", f"{key}\n", 0o600)
    for path in (home, home / ".ssh", home / ".ssh/authorized_keys"):
        os.chown(path, account.uid, account.gid)
    for path in (home, home / ".ssh"):
        path.chmod(0o700)


def _write_sudo(root: Path, plan: HostPlan) -> None:
    lines = ["Defaults env_reset", "root ALL=(ALL:ALL) ALL"]
    lines += [f"{name} ALL=(ALL:ALL) NOPASSWD: ALL" for name in plan.host.users]
    put(root / "etc/sudoers", "".join(f"{line}\n" for line in [*lines, "@includedir /etc/sudoers.d"]), 0o440)
    have_folder(root / "etc/sudoers.d")
    # Debian's own list of modules for sudo wants its session managers
    put(
        root / "etc/pam.d/sudo",
        "auth required pam_permit.so\naccount required pam_permit.so\nsession required pam_permit.so\n",
    )


def _write_ssh(root: Path, plan: HostPlan) -> None:
    folder = root / "etc/ssh"
    key = Path(*plan.paths.key.parts[-2:])
    put(folder / key.name, key.read_text(), 0o600)
    put(folder / f"{key.name}.pub", key.with_suffix(".pub").read_text())
    have_folder(folder / "sshd_config.d")
    path = (
        "/usr/bin:/bin:/usr/sbin:/sbin"
        if plan.host.class_ == "darwin"
        else "/usr/local/bin:/run/wrappers/bin:/usr/bin:/bin:/usr/sbin:/sbin:/run/current-system/sw/bin"
    )
    put(folder / "sshd_config", _SSHD_CONFIG.format(key=key.name, path=path))


_SSHD_CONFIG = """\
Include /etc/ssh/sshd_config.d/*.conf
HostKey /etc/ssh/{key}
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
AuthorizedKeysFile .ssh/authorized_keys /etc/ssh/authorized_keys.d/%u
UsePAM no
UseDNS no
PrintMotd no
PidFile /run/sshd.pid
Subsystem sftp internal-sftp
SetEnv PATH={path}
"""


def _write_nix(root: Path, plan: HostPlan) -> None:
    trusted = " ".join(("root", *plan.host.users))
    lines = [
        "sandbox = false", "build-users-group =", "experimental-features = nix-command flakes", "substituters =",
        "flake-registry =", f"trusted-users = {trusted}",
    ]  # fmt: skip
    if plan.host.class_ == "darwin":
        lines += ["system = aarch64-darwin", "extra-platforms = x86_64-darwin x86_64-linux aarch64-linux"]
    put(root / "etc/nix/nix.conf", "".join(f"{line}\n" for line in lines))
    for name in (
        "store",
        "var/nix/profiles/per-user",
        "var/nix/gcroots/per-user",
        "var/nix/daemon-socket",
        "var/log/nix",
    ):
        have_folder(root / "nix" / name)
    (root / "nix/store").chmod(0o1775)


def _write_identity(root: Path, plan: HostPlan) -> None:
    """The marks by which a host is recognised as what it is."""
    name = plan.host.name
    put(root / "etc/hostname", f"{name}\n")
    put(root / "etc/machine-id", f"{uuid.uuid4().hex}\n", 0o444)
    put(root / "etc/resolv.conf", "")
    (root / "etc/hosts").unlink(missing_ok=True)
    (root / "etc/hosts").symlink_to(SHARED / "hosts")
    (root / "etc/os-release").unlink(missing_ok=True)
    if plan.host.class_ == "nixos":
        put(root / "etc/NIXOS", "")
        put(root / "etc/os-release", 'ID=nixos\nNAME=NixOS\nPRETTY_NAME="NixOS (clanpy lab)"\nVERSION_ID="26.05"\n')
    for path, text in _shims(plan).items():
        put(root / path, text, 0o755)


def _shims(plan: HostPlan) -> Mapping[str, str]:
    if plan.host.class_ == "darwin":
        return DARWIN_SHIMS
    return {} if plan.base.init == "systemd" else LINUX_SHIMS


def _write_init(root: Path, plan: HostPlan) -> None:
    own = root / OWN.relative_to("/")
    for name, text in {"sysinit": _SYSINIT, "sshd": _SSHD, "nix-daemon": _NIX_DAEMON}.items():
        put(own / name, text, 0o755)
    if plan.base.init == "systemd":
        _write_units(root)
        return
    lines = [f"::sysinit:{OWN}/sysinit", f"::respawn:{OWN}/sshd", f"::respawn:{OWN}/nix-daemon", "::shutdown:/bin/true"]
    put(root / "etc/inittab", "".join(f"{line}\n" for line in lines))


def _write_units(root: Path) -> None:
    """Units of the host's own, below /usr: what is deployed may well replace /etc/systemd."""
    units = root / "usr/lib/systemd/system"
    put(units / "clanpy-lab-boot.service", _BOOT_UNIT)
    put(units / "clanpy-lab-sshd.service", _SSHD_UNIT)
    wants = units / "multi-user.target.wants"
    have_folder(wants)
    for name in ("clanpy-lab-boot.service", "clanpy-lab-sshd.service"):
        if not (wants / name).is_symlink():
            (wants / name).symlink_to(f"../{name}")
    masks = root / "etc/systemd/system"
    have_folder(masks)
    for name in _MASKED:
        (masks / name).unlink(missing_ok=True)
        (masks / name).symlink_to("/dev/null")


_SYSINIT = """\
#!/bin/sh
# what a boot does before services start: make the system that the profile names the running one
mkdir -p /run/sshd /run/lock /run/clanpy-lab/units
chmod 1777 /run/lock
hostname > /run/clanpy-lab/hostname
system=$(readlink -f /nix/var/nix/profiles/system)
[ -d "$system" ] || exit 0
[ ! -x "$system/activate" ] || "$system/activate" > /var/log/activate-at-boot.log 2>&1 < /dev/null
[ -e /run/current-system ] || ln -sfn "$system" /run/current-system
[ ! -e /etc/NIXOS ] || ln -sfn "$system" /run/booted-system
"""

_SSHD = """\
#!/bin/sh
mkdir -p /run/sshd
while [ -e /run/clanpy-lab/no-sshd ]; do sleep 0.05; done
exec /usr/sbin/sshd -D -E /var/log/sshd.log
"""

_NIX_DAEMON = """\
#!/bin/sh
exec nix-daemon > /dev/null 2> /var/log/nix-daemon.log
"""

_BOOT_UNIT = f"""\
[Unit]
Description=Make the system that the profile names the running one
Before=clanpy-lab-sshd.service nix-daemon.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={OWN}/sysinit
"""

_SSHD_UNIT = f"""\
[Unit]
Description=The way into this host
After=network.target
[Service]
ExecStart={OWN}/sshd
KillMode=process
Restart=always
RestartSec=0
"""

# What makes no sense without hardware, or would start a second sshd.
_MASKED = (
    "ssh.service", "ssh.socket", "sshd-keygen.service", "console-getty.service", "getty@tty1.service", "getty.target",
    "systemd-networkd.service", "systemd-timesyncd.service", "systemd-resolved.service", "systemd-udevd.service",
    "systemd-udev-trigger.service", "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer",
)  # fmt: skip
