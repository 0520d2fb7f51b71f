"""A host that is a folder: its root, fake systems made of shell scripts, and a connection that runs the scripts here."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from clanpy.activation import Activation, LockOwner
from clanpy.ssh import Completed


SHELLS = {"dash": "dash", "bash": "bash", "busybox": "busybox"}

SYSTEM = """#!/bin/sh
# A toplevel: bin/switch-to-configuration, and activate as darwin has it. `behaviour` says what it does, once it is asked.
top={top}
action=${{1:-activate}}
echo "$action $(basename "$top")" >>"{root}/calls"
do=$(cat "$top/behaviour" 2>/dev/null)
live() {{ ln -sfn "$top" "{root}/run/next" && mv -T "{root}/run/next" "{root}/run/current-system"; }}
case $action in
  test | activate)
    echo "activating $(basename "$top")"
    case $do in
      fail2) echo "half way through"; exit 2 ;;
      fail4) live; exit 4 ;;
      refuse) exit 11 ;;
      reboot) exit 100 ;;
      hang) live; sleep 60 & wait ;;
      stubborn) live; trap '' TERM; while :; do sleep 0.2; done ;;
      liar) exit 0 ;;
      slow) sleep 0.5; live ;;
      *confirms) live; for run in "{root}"/var/lib/clanpy/runs/* "{root}"/home/.local/state/clanpy/runs/*; do
          [ ! -d "$run" ] || : >"$run/confirm"
        done ;;
      *) live ;;
    esac ;;
  boot)
    case $do in noboot*) exit 1 ;; esac
    ln -sfn "$top" "{root}/boot-entry" ;;
  dry-activate) echo "would restart nginx.service" ;;
esac
"""

HOME = """#!/bin/sh
top={top}
do=$(cat "$top/behaviour" 2>/dev/null)
echo "Activating checkLinkTargets"
[ "$do" != collides ] || [ -n "$HOME_MANAGER_BACKUP_EXT" ] || {{ echo "Existing file '$HOME/x' would be clobbered" >&2; exit 1; }}
echo "Activating writeBoundary"
[ -z "$DRY_RUN" ] || [ "$do" = fail ] || exit 0
[ -n "$DRY_RUN" ] ||
  echo "home $(basename "$top") $* as $(id -un) in $HOME${{HOME_MANAGER_BACKUP_EXT:+ backup $HOME_MANAGER_BACKUP_EXT}}" >>"{root}/calls"
[ "$do" != fail ] || exit 1
mkdir -p "$HOME/.local/state/home-manager/gcroots"
ln -sfn "$top" "$HOME/.local/state/home-manager/gcroots/current-home"
"""

# Becoming somebody else, as far as it is seen that it was done.
SUDO = """#!/bin/sh
echo "sudo $*" >>"{root}/calls"
while [ "$1" != -- ]; do shift; done
shift
exec "$@"
"""

# What nixpkgs has as `apply`: profile and boot entry at once, and 1 for whatever goes wrong.
APPLY = """#!/bin/sh
echo "apply $*" >>"{root}/calls"
[ "$2" != --profile ] || nix-env -p "$3" --set {top} || exit 1
{top}/bin/switch-to-configuration "$1" || exit 1
"""

# A reboot: nothing goes on, what is not on a disk is gone, and what the boot entry names runs. Then what the next boot starts.
REBOOT = """#!/bin/sh
cd "{root}" || exit
echo reboot >>calls
[ ! -e can-not-reboot ] || exit 1
echo "$(($(cat boots 2>/dev/null || echo 0) + 1))" >boots
rm -rf var/run/*
ln -sfn "$(cat boots-into 2>/dev/null || readlink boot-entry)" run/current-system
for state in var/lib/clanpy/runs/*/state; do sed -i 's,^boot=.*,boot=before,' "$state"; done
for said in var/lib/clanpy/runs/*/confirm; do [ ! -e "$said" ] || echo before >"$said"; done
set -- etc/systemd/system.control/multi-user.target.wants/*
[ ! -e "$1" ] || setsid $(sed -n 's/^ExecStart=//p' "$1") </dev/null >/dev/null 2>&1 &
kill -KILL $PPID
"""

# What nix-env does with a profile, as far as it matters: a path that the profile has already makes no generation.
NIX_ENV = """#!/bin/sh
[ ! -e "$CLANPY_ROOT/nix-env-fails" ] || { echo "error: No space left on device" >&2; exit 1; }
profile=$2
base=${profile##*/}
case $3 in
  --set)
    [ "$(readlink -f "$profile")" != "$4" ] || exit 0
    n=$(ls "${profile%/*}" | sed -n "s/^$base-\\\\([0-9]*\\\\)-link\\$/\\\\1/p" | sort -n | tail -n 1)
    n=$((${n:-0} + 1))
    ln -s "$4" "$profile-$n-link"
    ;;
  --switch-generation)
    n=$4
    [ -L "$profile-$n-link" ] || exit 1
    ;;
esac
ln -sfn "$base-$n-link" "$profile.tmp" && mv -T "$profile.tmp" "$profile"
"""


@dataclass
class LocalHost:
    """Runs what is meant for a host here, in a folder, under one of the shells. What it follows ends like a connection does."""

    root: Path
    shell: str
    host: str = "folder"
    round_trips: int = 0
    env: dict[str, str] = field(default_factory=dict)
    sessions: list[int] = field(default_factory=list)

    def _words(self, command: str | Sequence[str]) -> list[str]:
        if isinstance(command, str):
            return [self.shell, "-c", command]
        assert command[0] == "/bin/sh"
        return [self.shell, *command[1:]]

    async def _spawn(self, command: str | Sequence[str]) -> asyncio.subprocess.Process:
        self.round_trips += 1
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *self._words(command), stdin=pipe, stdout=pipe, stderr=pipe, env=self.env, start_new_session=True
        )
        self.sessions.append(process.pid)
        return process

    def kill_sessions(self) -> None:
        """What sshd's sessions come to when the connections are lost, at the worst."""
        while self.sessions:
            self.kill_first()

    def kill_first(self) -> None:
        """The same for the one that was opened first."""
        self._kill(self.sessions.pop(0))

    def _kill(self, session: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(session, signal.SIGKILL)

    async def run(
        self,
        command: str | Sequence[str],
        *,
        input: bytes = b"",  # noqa: A002  (the connection's own word)
        timeout: float = 20,  # noqa: ASYNC109  (the connection's own word)
        elevate: bool = False,
    ) -> Completed:
        process = await self._spawn(command)
        async with asyncio.timeout(timeout):
            out, err = await process.communicate(input)
        status = process.returncode if process.returncode is not None else -1
        return Completed(host=self.host, command="", status=status, stdout=out.decode(), stderr=err.decode())

    async def follow(self, command: str | Sequence[str], *, elevate: bool = False) -> AsyncGenerator[str, None]:
        process = await self._spawn(command)
        assert process.stdout
        assert process.stderr
        try:
            while line := await process.stdout.readline():
                yield line.decode().rstrip("\n")
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            # The life line of a real connection does the same.
            asyncio.get_running_loop().call_later(2, self._kill, process.pid)
            await process.stdout.read()
            errors = (await process.stderr.read()).decode().splitlines()
            await process.wait()
            assert not [line for line in errors if line != "Terminated"], errors


@dataclass
class Machine:
    """The folder: what is in it, and what was done to it."""

    root: Path
    conn: LocalHost

    def add(self, name: str, behaviour: str = "") -> str:
        """A system in the store."""
        top = self.root / "nix/store" / name
        (top / "bin").mkdir(parents=True)
        (top / "nixos-version").write_text("26.05\n")
        for path in (top / "bin/switch-to-configuration", top / "activate"):
            path.write_text(SYSTEM.format(top=top, root=self.root))
            path.chmod(0o755)
        self.behave(name, behaviour)
        return str(top)

    def add_home(self, name: str, behaviour: str = "") -> str:
        top = self.root / "nix/store" / name
        top.mkdir(parents=True)
        (top / "activate").write_text(HOME.format(top=top, root=self.root))
        (top / "activate").chmod(0o755)
        self.behave(name, behaviour)
        return str(top)

    def add_apply(self, name: str) -> None:
        """Have a system bring `apply`."""
        top = self.root / "nix/store" / name
        (top / "bin/apply").write_text(APPLY.format(top=top, root=self.root))
        (top / "bin/apply").chmod(0o755)

    def have_systemd(self) -> None:
        """Have systemd run there, as far as the guard looks (it is still started without)."""
        (self.root / "run/systemd/system").mkdir(parents=True)
        (self.root / "etc/systemd").mkdir(parents=True)

    def behave(self, name: str, behaviour: str) -> None:
        (self.root / "nix/store" / name / "behaviour").write_text(behaviour)

    def install(self, path: str) -> None:
        """Make a system the one that runs, and the profile's first generation."""
        profiles = self.root / "nix/var/nix/profiles"
        (self.root / "run/current-system").symlink_to(path)
        (self.root / "boot-entry").symlink_to(path)
        (profiles / "system-1-link").symlink_to(path)
        (profiles / "system").symlink_to("system-1-link")

    @property
    def running(self) -> str:
        return os.path.realpath(self.root / "run/current-system")

    @property
    def profile(self) -> str:
        return os.path.realpath(self.root / "nix/var/nix/profiles/system")

    @property
    def boot_entry(self) -> str:
        return os.path.realpath(self.root / "boot-entry")

    @property
    def generation_links(self) -> dict[str, str]:
        links = (self.root / "nix/var/nix/profiles").glob("system-*-link")
        return {link.name: link.readlink().name for link in sorted(links)}

    @property
    def calls(self) -> list[str]:
        path = self.root / "calls"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def vault(self) -> Path:
        return self.root / ("var/lib/clanpy" if os.getuid() == 0 else "home/.local/state/clanpy")

    @property
    def locks(self) -> Path:
        return self.root / "var/run/clanpy" if os.getuid() == 0 else self.vault / "lock"

    @property
    def roots(self) -> Path:
        return self.root / "nix/var/nix/gcroots/clanpy" if os.getuid() == 0 else self.vault / "roots"

    def processes(self, *, but: str = "sleep") -> list[int]:
        """What still runs of all that was started here (a `sleep` may wake up a moment later)."""
        mark = f"CLANPY_ROOT={self.root}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if entry.name.isdigit() and mark in (entry / "environ").read_bytes():
                    name = (entry / "comm").read_text().strip()
                    if name != but:
                        found.append(int(entry.name))
        return found

    def end(self) -> None:
        """End everything that was started here."""
        while left := self.processes(but=""):
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def run_dir(self, id_: str) -> Path:
        return self.vault / "runs" / id_

    def state(self, id_: str) -> dict[str, str]:
        lines = (self.run_dir(id_) / "state").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)


def owner(run: str = "run-1", name: str = "ann") -> LockOwner:
    return LockOwner(owner=name, host="laptop", run=run, reason="machines update")


def activation(new: str, run: str = "run-1", **changes: object) -> Activation:
    values: dict[str, object] = {
        "run": run,
        "class_": "nixos",
        "new": new,
        "owner": owner(run),
        "confirm_within": 5.0,
        "activate_within": 5.0,
        **changes,
    }
    return Activation(**values)  # type: ignore[arg-type]  # the tests' own keywords


def make_machine(folder: Path, shell: str = "dash") -> Machine:
    program = shutil.which(SHELLS[shell])
    if program is None:
        pytest.skip(f"there is no {shell} here")
    root = folder / "root"
    for part in ("run", "nix/store", "nix/var/nix/profiles", "var/lib", "var/run", "home", "root"):
        (root / part).mkdir(parents=True)
    tools = folder / "tools"
    tools.mkdir()
    (tools / "nix-env").write_text(NIX_ENV)
    (tools / "nix-env").chmod(0o755)
    (tools / "systemd-run").write_text("#!/bin/sh\nexit 1\n")
    (tools / "sudo").write_text(SUDO.format(root=root))
    (root / "reboot").write_text(REBOOT.format(root=root))
    for program_ in (tools / "systemd-run", tools / "sudo", root / "reboot"):
        program_.chmod(0o755)
    # busybox is whichever program it is called as.
    (folder / "sh").symlink_to(program)
    env = {
        "PATH": f"{tools}:/usr/bin:/bin:/usr/sbin:/sbin",
        "CLANPY_ROOT": str(root),
        "CLANPY_SH": str(folder / "sh"),
        "HOME": str(root / "home"),
        "LC_ALL": "C",
    }
    return Machine(root, LocalHost(root, str(folder / "sh"), env=env))
