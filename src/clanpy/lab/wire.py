"""A cable that is long, lossy or narrow: the process that carries a host's packets between its network card and the bridge.

It stands in for the kernel's `netem` where the kernel has none. The host's end of the cable is taken out of the bridge; this process
reads what arrives there, and hands it on to the bridge (by a TAP device) when it is due, and the other way round. It needs nothing but
Python, ends with the lab's keeper, and puts the cable back when it ends.
"""

from __future__ import annotations

import heapq
import os
import random
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from fcntl import ioctl
from itertools import count
from typing import Any

from clanpy.lab import kernel


FRAME = 65536
BATCH = 64  # frames that are read before any is written
QUEUE_SECONDS = 0.5  # what a narrow link keeps; what comes beyond that is dropped
HEADER = 14  # bytes of Ethernet's own, which count on no link

_ETH_P_ALL = 3
_PACKET_OUTGOING = 4
_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, _PACKET_MR_PROMISC = 263, 1, 1
_TUNSETIFF, _IFF_TAP_NO_PI = 0x400454CA, 0x1002
_SIOCETHTOOL, _STXCSUM, _STSO, _SGSO = 0x8946, 0x17, 0x1F, 0x24


@dataclass(slots=True)
class Way:
    """One direction of the cable: what is on it, and when it comes out at the other end.

    Attributes:
        deliver: hands a frame over at the far end.
        delay, jitter: seconds that a frame takes, and by how much that varies.
        loss: the share of frames that get lost.
        rate: bits a second; None: as many as come.
    """

    deliver: Callable[[bytes], Any]
    delay: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0
    rate: float | None = None
    chance: Callable[[], float] = random.random
    _queue: list[tuple[float, int, bytes]] = field(default_factory=list)
    _numbers: count[int] = field(default_factory=count)
    _free_at: float = 0.0

    def put(self, frame: bytes, now: float) -> None:
        """A frame goes in, if it is not lost."""
        if self.loss and self.chance() < self.loss:
            return
        due = now
        if self.rate is not None:
            begins = max(now, self._free_at)
            if begins - now > QUEUE_SECONDS:
                return
            due = self._free_at = begins + (len(frame) - HEADER) * 8 / self.rate
        due += self.delay + (self.jitter * (2 * self.chance() - 1) if self.jitter else 0.0)
        heapq.heappush(self._queue, (due, next(self._numbers), frame))

    def take(self, now: float) -> float | None:
        """Deliver what is due, and say when the next is."""
        queue = self._queue
        while queue and queue[0][0] <= now:
            with suppress(OSError):  # a cable that is unplugged at that end swallows it
                self.deliver(heapq.heappop(queue)[2])
        return queue[0][0] if queue else None


class Wire:
    """The process."""

    def __init__(self, link: str, bridge: str, tap: str, keeper: int, options: dict[str, Any]) -> None:
        self.link, self.bridge, self.tap = link, bridge, tap
        self.index = socket.if_nametoindex(link)
        self.keeper = os.pidfd_open(keeper)
        self.ending = False
        self.card = _open_card(link)
        self.plug = _open_tap(tap)
        self.out = Way(self.card.send, **options)
        self.back = Way(lambda frame: os.write(self.plug, frame), **options)

    def run(self, ready: Callable[[], None]) -> None:
        signal.signal(signal.SIGTERM, self._end)
        _ip(
            f"link set {self.link} nomaster",
            f"link set {self.link} arp off",  # or this end of the cable would answer for the bridge
            f"link set {self.tap} master {self.bridge} up",
        )
        ready()
        try:
            self._carry()
        finally:
            self._unplug()

    def _carry(self) -> None:
        poll = select.epoll()
        for handle in (self.card.fileno(), self.plug, self.keeper):
            poll.register(handle, select.EPOLLIN)
        due: float | None = None
        while not self.ending:
            pause = 0.5 if due is None else max(0.0, min(0.5, due - time.monotonic()))
            with suppress(InterruptedError):
                for handle, _ in poll.poll(pause):
                    self._read(handle)
            if due is None and not self._is_there():
                return
            now = time.monotonic()
            ways = [at for at in (self.out.take(now), self.back.take(now)) if at is not None]
            due = min(ways) if ways else None

    def _read(self, handle: int) -> None:
        if handle == self.keeper:
            self.ending = True
            return
        now = time.monotonic()
        with suppress(BlockingIOError, OSError):
            for _ in range(BATCH):
                if handle == self.plug:
                    self.out.put(os.read(self.plug, FRAME), now)
                else:
                    frame, address = self.card.recvfrom(FRAME)
                    if address[2] != _PACKET_OUTGOING:
                        self.back.put(frame, now)

    def _is_there(self) -> bool:
        """Whether the cable is still the one that we stand in for: a host that is made as new gets a new one."""
        with suppress(OSError):
            return socket.if_nametoindex(self.link) == self.index
        return False

    def _end(self, *_: object) -> None:
        self.ending = True

    def _unplug(self) -> None:
        if self._is_there():
            with suppress(subprocess.CalledProcessError):
                _ip(
                    f"link set {self.link} arp on", f"link del {self.tap}", f"link set {self.link} master {self.bridge}"
                )


def _open_card(link: str) -> socket.socket:
    """Everything that arrives at a network card, whoever it is for."""
    card = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
    card.setblocking(False)
    card.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 20)
    card.bind((link, _ETH_P_ALL))
    promiscuous = struct.pack("iHH8s", socket.if_nametoindex(link), _PACKET_MR_PROMISC, 0, b"")
    card.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, promiscuous)
    return card


def _open_tap(name: str) -> int:
    plug = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    ioctl(plug, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TAP_NO_PI))
    return plug


def finish_packets(interface: str, *, by_card: bool) -> None:
    """Whether packets of this network's card leave it with their sums to be filled in, and to be cut up, by the card.

    The cable between two namespaces never does either: who reads along gets packets that nobody would take.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for command in (_STXCSUM, _STSO, _SGSO):
            value = bytearray(struct.pack("II", command, int(by_card)))
            request = struct.pack("16sP", interface.encode(), _address(value))
            with suppress(OSError):  # one that is off already may refuse
                ioctl(sock, _SIOCETHTOOL, request)


def _address(value: bytearray) -> int:
    import ctypes  # noqa: PLC0415 - only needed here

    return ctypes.addressof(ctypes.c_char.from_buffer(value))


def _ip(*lines: str) -> None:
    subprocess.run(
        ["ip", "-batch", "-"],
        input="\n".join(lines).encode() + b"\n",
        check=True,
        stdout=subprocess.DEVNULL,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )


def main(lab: str, host: str, keeper: str, link: str, *options: str) -> None:
    """The entry point of the process.

    `lab` and `host` are open network namespaces, `keeper` a process, `link` the host's end of the cable. Options are the bridge, then
    delay, jitter, loss and rate: in seconds, as a share, and in bits a second (0: no limit).
    """
    bridge, *numbers = options
    delay, jitter, loss, rate = map(float, numbers)
    kernel.setns(int(host), kernel.Namespace.NET)
    finish_packets("eth0", by_card=False)
    kernel.setns(int(lab), kernel.Namespace.NET)
    how = {"delay": delay, "jitter": jitter, "loss": loss, "rate": rate or None}
    wire = Wire(link, bridge, f"wire-{link}", int(keeper), how)

    def ready() -> None:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        os.dup2(os.open(os.devnull, os.O_RDWR), 1)

    wire.run(ready)
