"""A link that is made worse: by how much, and that it can be put back."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from clanpy.lab import LabHost
from clanpy.lab.errors import FaultError
from clanpy.lab.link import Link
from clanpy.lab.wire import Way
from support.lab import LentLab, wait_for


def test_a_link_is_told_in_words() -> None:
    assert Link.parse("delay=100ms loss=1% rate=10mbit") == Link(delay=0.1, loss=0.01, rate=10e6)
    assert Link.parse("delay=1.5s,jitter=500us") == Link(delay=1.5, jitter=0.0005)


@pytest.mark.parametrize("text", ["", "delay=100", "delay=-1ms", "loss=1", "speed=10mbit", "rate=fast"])
def test_what_a_link_can_not_be_is_refused(text: str) -> None:
    with pytest.raises(FaultError):
        Link.parse(text)


def test_a_frame_comes_out_when_its_time_has_come_and_in_order() -> None:
    out: list[bytes] = []
    way = Way(out.append, delay=0.05)
    way.put(b"one", 1.0)
    way.put(b"two", 1.0)
    way.put(b"three", 1.02)
    assert way.take(1.04) == 1.05
    assert out == []
    assert way.take(1.051) == pytest.approx(1.07)
    assert out == [b"one", b"two"]
    assert way.take(2.0) is None
    assert out == [b"one", b"two", b"three"]


def test_a_narrow_way_lets_through_so_many_bits_a_second_and_keeps_half_a_second_of_them() -> None:
    out: list[bytes] = []
    way = Way(out.append, rate=8000.0)
    for _ in range(20):
        way.put(bytes(100 + 14), 0.0)  # a tenth of a second each, without the frame's own header
    way.take(0.35)
    assert len(out) == 3
    way.take(10.0)
    assert len(out) == 6


def test_a_lossy_way_loses_as_many_as_it_is_told() -> None:
    out: list[bytes] = []
    chances: Iterator[float] = iter([0.005, 0.5, 0.011])
    way = Way(out.append, loss=0.01, chance=lambda: next(chances))
    for frame in (b"one", b"two", b"three"):
        way.put(frame, 0.0)
    way.take(0.0)
    assert out == [b"two", b"three"]


def round_trip(host: LabHost) -> float:
    """The shortest of a few, in seconds: other work may make one take longer, and none shorter."""
    taken = []
    for _ in range(4):
        began = time.monotonic()
        with closing(socket.create_connection((host.address, host.port), 5)):
            taken.append(time.monotonic() - began)
    return min(taken)


@pytest.mark.lab
def test_a_host_is_far_away_until_it_is_put_back(lab: LentLab) -> None:
    host, other = lab.hosts(2)
    lab.fault("link", host, "delay=80ms")
    assert 0.08 <= round_trip(host) < 0.2
    assert round_trip(other) < 0.08
    assert lab.ssh(host, "head -c 300000 /dev/zero | wc -c").stdout.strip() == "300000"
    lab.fault("link", host, "delay=40ms loss=1%")
    assert 0.04 <= round_trip(host) < 0.08
    lab.fault("nolink", host)
    assert round_trip(host) < 0.04


@pytest.mark.lab
def test_a_link_stays_as_it_is_when_the_host_is_booted_or_its_cable_pulled(lab: LentLab) -> None:
    host = lab.host()
    lab.fault("link", host, "delay=60ms")
    lab.fault("reboot", host)
    lab.lab.wait(host.name)
    lab.fault("linkdown", host)
    lab.fault("linkup", host)
    wait_for(lambda: 0.06 <= round_trip(host) < 0.2)
    lab.fault("heal", host)
    assert round_trip(host) < 0.06
