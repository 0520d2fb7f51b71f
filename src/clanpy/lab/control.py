"""Starting the keeper, and telling it what to do."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import clanpy
from clanpy.lab import kernel
from clanpy.lab.errors import LabError, LabNotRunningError, NoSpaceError
from clanpy.lab.kernel import Mount
from clanpy.lab.plan import HostPlan
from clanpy.lab.state import Paths, Running, hold


_PATIENCE = 30.0
_PAUSE = 0.005
_PACKAGES = Path(clanpy.__file__).resolve().parent.parent


def start_keeper(paths: Paths) -> Running:
    """Start the lab's keeper and wait until it listens. Raises LabError with its last words if it does not."""
    held = hold(paths.folder)
    if held is None:
        raise LabError(f"lab {paths.name!r} has a keeper that does not answer", hint="`clanpy lab down` ends it")
    try:
        _spawn(paths, held)
    finally:
        os.close(held)
    running = _wait_for(paths)
    _name_network(paths, running.keeper.pid)
    return running


def _spawn(paths: Paths, held: int) -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(_PACKAGES)!r}); from clanpy.lab.keeper import main; main(*sys.argv[1:])"
    )
    with paths.keeper_log.open("wb") as log:
        subprocess.run(
            [sys.executable, "-I", "-S", "-c", program, paths.name, str(paths.folder), str(held)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=(held,),
            check=False,
            cwd="/",
            env={},
        )


def _wait_for(paths: Paths) -> Running:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        running = Running.load(paths)
        if running is not None:
            return running
        held = hold(paths.folder)
        if held is not None:  # nobody has it any more: the keeper is dead
            os.close(held)
            break
        time.sleep(_PAUSE)
    last = last_lines(paths.keeper_log)
    forbidden = any("Operation not permitted" in line for line in last)
    hint = "it needs all rights of root: a container has to be started with --privileged" if forbidden else None
    raise LabError(f"the keeper of lab {paths.name!r} did not start", hint=hint, details=last)


def _name_network(paths: Paths, pid: int) -> None:
    """Show the lab's network to `ip netns`, as people look for it there."""
    unname_network(paths)
    paths.network.parent.mkdir(parents=True, exist_ok=True)
    paths.network.touch(mode=0o444)
    kernel.mount(f"/proc/{pid}/ns/net", paths.network, flags=Mount.BIND)


def unname_network(paths: Paths) -> None:
    if paths.network.exists():
        with suppress(OSError):
            kernel.unmount(paths.network)
        paths.network.unlink(missing_ok=True)


def start_hosts(paths: Paths, plans: Sequence[HostPlan]) -> None:
    _request(paths, {"do": "start", "plans": [plan.to_dict() for plan in plans]})


def stop_hosts(paths: Paths, names: Sequence[str], *, forget: bool = False) -> None:
    """Switch hosts off. With `forget`, their network and the disks that live in memory go too."""
    _request(paths, {"do": "stop", "hosts": list(names), "forget": forget})


def reboot_host(paths: Paths, name: str, seconds: float) -> None:
    """Cut a host's power, and have it on again after so long."""
    _request(paths, {"do": "reboot", "host": name, "seconds": seconds})


def resume_host(paths: Paths, name: str) -> None:
    """Switch a host on that was switched off."""
    _request(paths, {"do": "resume", "host": name})


def _request(paths: Paths, request: Mapping[str, Any]) -> None:
    folder = os.open(paths.folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(_PATIENCE)
            sock.connect(f"/proc/self/fd/{folder}/{paths.keeper_socket.name}")  # short, however long the path is
            with sock.makefile("rwb") as stream:
                stream.write(json.dumps(request).encode() + b"\n")
                stream.flush()
                answer = json.loads(stream.readline() or b"{}")
    except (FileNotFoundError, ConnectionError, json.JSONDecodeError) as error:
        raise LabNotRunningError(f"lab {paths.name!r} is not running", hint="start it with `clanpy lab up`") from error
    except TimeoutError as error:
        raise LabError(f"the keeper of lab {paths.name!r} does not answer") from error
    finally:
        os.close(folder)
    if not answer.get("ok"):
        message = answer.get("message", "its keeper ended in the middle")
        if answer.get("errno") == errno.ENOSPC:
            raise no_space(paths)
        raise LabError(f"lab {paths.name!r}: {message}", details=last_lines(paths.keeper_log))


def last_lines(path: Path, count: int = 15) -> tuple[str, ...]:
    with suppress(OSError):
        return tuple(path.read_text(errors="replace").splitlines()[-count:])
    return ()


def no_space(paths: Paths) -> NoSpaceError:
    return NoSpaceError(
        f"there is no space left for lab {paths.name!r}",
        hint=f"make room below {paths.folder}, choose another place with CLANPY_LAB_DIR, or a larger --disk",
    )
