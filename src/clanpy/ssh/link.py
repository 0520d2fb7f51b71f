"""What is known of the link below a connection, without sending anything over it: the kernel measures it anyway."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from dataclasses import dataclass


# `struct tcp_info` of Linux: flags in the eighth byte, then round trips in microseconds and a rate in bytes a second
_SIZE = 168
_FLAGS, _ROUND_TRIP, _SHORTEST, _RATE = 7, 68, 148, 160
_LITTLE_WAS_SENT = 1


@dataclass(frozen=True, slots=True)
class Link:
    """The link as it was seen so far.

    Attributes:
        round_trip: seconds there and back at best; None: not known (behind a jump host, or not on Linux).
        rate: bytes a second that arrived; None: too little was sent by now to tell.
    """

    round_trip: float | None = None
    rate: float | None = None


def link_below(sock: socket.socket | None) -> Link:
    """What the kernel has measured on a TCP connection."""
    if sock is None or not hasattr(socket, "TCP_INFO") or sock.family not in {socket.AF_INET, socket.AF_INET6}:
        return Link()
    with suppress(OSError):  # closed in the meantime
        return read_link(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SIZE))
    return Link()


def read_link(info: bytes) -> Link:
    """Read `struct tcp_info`; an older kernel gives less of it."""
    if len(info) < _ROUND_TRIP + 4:
        return Link()
    (smoothed,) = struct.unpack_from("=I", info, _ROUND_TRIP)
    if len(info) < _SIZE:
        return Link(smoothed / 1e6 if smoothed else None)
    (shortest,) = struct.unpack_from("=I", info, _SHORTEST)
    (rate,) = struct.unpack_from("=Q", info, _RATE)
    best = min(shortest, smoothed) if 0 < shortest < 1 << 31 else smoothed
    is_meaningful = rate and not info[_FLAGS] & _LITTLE_WAS_SENT
    return Link(best / 1e6 if best else None, float(rate) if is_meaningful else None)
