"""A link as it is to a host far away: `--delay 100ms --loss 1% --rate 10mbit`.

By the kernel's own `netem` where it has that; elsewhere a process carries the packets (`clanpy.lab.wire`).
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import clanpy
from clanpy.lab import cgroup
from clanpy.lab.access import Access
from clanpy.lab.errors import FaultError, LabError
from clanpy.lab.process import Process
from clanpy.lab.state import Running, write_whole


BRIDGE = "lab0"
PATIENCE = 10.0
QUEUE = 10000  # packets that netem keeps
_PACKAGES = Path(clanpy.__file__).resolve().parent.parent
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
_RATES = {"kbit": 1e3, "mbit": 1e6, "gbit": 1e9}


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What is wrong with a link.

    Attributes:
        delay: seconds that are added to a round trip, half of them each way.
        jitter: by how many seconds each way's time varies.
        loss: the share of packets that get lost, each way.
        rate: bits a second, each way; None: no limit.
    """

    delay: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0
    rate: float | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `delay=100ms jitter=5ms loss=1% rate=10mbit`, each of which may be missing.

        Raises:
            FaultError: it is not like that.
        """
        given = {}
        for word in text.replace(",", " ").split():
            name, _, value = word.partition("=")
            given[name] = value
        unknown = sorted(given.keys() - {"delay", "jitter", "loss", "rate"})
        if unknown or not given:
            raise FaultError(
                f"{text!r} is nothing that a link can be" if given else "what shall be wrong with the link?",
                hint="--delay 100ms (a round trip), --jitter 5ms, --loss 1%, --rate 10mbit",
            )
        return cls(
            delay=_amount(given.get("delay", "0ms"), _UNITS, "a time such as 100ms"),
            jitter=_amount(given.get("jitter", "0ms"), _UNITS, "a time such as 5ms"),
            loss=_amount(given.get("loss", "0%"), {"%": 0.01}, "a percentage such as 1%"),
            rate=_amount(given["rate"], _RATES, "a rate such as 10mbit") if "rate" in given else None,
        )


def set_link(access: Access, link: Link) -> None:
    """Have a host's link be like that, instead of whatever it was."""
    clear_link(access)
    if not _by_kernel(access, link):
        _by_process(access, link)


def clear_link(access: Access) -> None:
    """Have the cable to a host be an ideal one again."""
    mark = _mark(access)
    with suppress(FileNotFoundError):
        process = Process.from_dict(json.loads(mark.read_text()))
        if process is not None:
            process.kill(signal.SIGTERM)
            if not process.wait(PATIENCE):
                raise FaultError(f"the link of host {access.host.name} can't be put back")
        mark.unlink()
    for run, card in ((access.check_at_bridge, access.host.link), (access.check_in_network, "eth0")):
        with suppress(LabError):  # there is none, or the host is off
            if "netem" in run(["tc", "qdisc", "show", "dev", card]):
                run(["tc", "qdisc", "del", "dev", card, "root"])


def _by_kernel(access: Access, link: Link) -> bool:
    """Whether the kernel does it."""
    shape = ["root", "netem", "limit", str(QUEUE), "delay", f"{link.delay / 2 * 1000:.3f}ms"]
    if link.jitter:
        shape.append(f"{link.jitter * 1000:.3f}ms")
    if link.loss:
        shape += ["loss", f"{link.loss * 100:.3f}%"]
    if link.rate is not None:
        shape += ["rate", f"{link.rate:.0f}bit"]
    try:
        access.check_at_bridge(["tc", "qdisc", "replace", "dev", access.host.link, *shape])
    except LabError:  # a kernel without netem
        return False
    access.check_in_network(["tc", "qdisc", "replace", "dev", "eth0", *shape])
    return True


def _by_process(access: Access, link: Link) -> None:
    running = Running.load(access.paths)
    if running is None:
        raise LabError(f"lab {access.paths.name!r} is not running")
    keeper, init = running.keeper.pid, access.init().pid
    namespaces = [os.open(f"/proc/{pid}/ns/net", os.O_RDONLY) for pid in (keeper, init)]
    try:
        words = [str(handle) for handle in namespaces]
        words += [str(keeper), access.host.link, BRIDGE]
        words += [str(link.delay / 2), str(link.jitter), str(link.loss), str(link.rate or 0)]
        process = _spawn(access, words, namespaces)
    finally:
        for handle in namespaces:
            os.close(handle)
    write_whole(_mark(access), json.dumps(process.to_dict()))


def _spawn(access: Access, words: list[str], handles: list[int]) -> Process:
    program = (
        f"import sys; sys.path.insert(0, {str(_PACKAGES)!r}); from clanpy.lab.wire import main; main(*sys.argv[1:])"
    )
    log = _mark(access).with_suffix(".log")
    with log.open("wb") as errors:
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", program, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
            pass_fds=handles,
            cwd="/",
            env={},
        )
    group = cgroup.keeper_group(access.paths.name)
    if group is not None and group.is_dir():
        (group / "cgroup.procs").write_text(str(child.pid))
    process = Process.of(child.pid)
    assert child.stdout is not None
    with child.stdout as said:
        if said.readline() != b"ready\n" or process is None:
            child.wait()
            raise FaultError(
                f"the link of host {access.host.name} can't be changed", details=log.read_text().splitlines()[-10:]
            )
    child.returncode = 0  # it is left to itself: nobody waits for it, and nobody is to be warned of that
    return process


def _mark(access: Access) -> Path:
    """Where it is written down which process carries a host's packets."""
    return access.paths.host(access.host.name).folder / "wire.json"


def _amount(text: str, units: dict[str, float], what: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([a-z%]+)", text.strip())
    if found is None or found[2] not in units:
        raise FaultError(f"{text!r} is not {what}")
    return float(found[1]) * units[found[2]]
