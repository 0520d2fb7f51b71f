"""Which way store paths go to a host, and that each way leads there."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import uuid4

import pytest

from clanpy.deploy import build
from clanpy.deployment import lanes
from clanpy.deployment.lanes import Lane, choose
from clanpy.deployment.options import Options
from clanpy.events import LaneChosen, Outcome, Stage, StageFinished
from clanpy.nix.program import NixProgram
from clanpy.ssh.link import Link, read_link
from deploy.rehearsal import Rehearsal


Rehearse = Callable[..., Rehearsal]

MIB = 1 << 20
NEAR, FAR, SLOW = Link(0.0002), Link(0.1), Link(0.1, 200_000.0)
FAT = """
{ pkgs, ... }: { environment.etc."fat".source = derivation {
    name = "fat"; system = pkgs.system; builder = "/bin/sh"; PATH = "/usr/bin:/bin"; salt = "%s";
    args = [ "-c" "head -c %d /dev/urandom > $out" ]; }; }
"""


@pytest.mark.parametrize(
    ("link", "total", "substitute", "peer", "lane"),
    [
        (NEAR, 12_000, None, None, Lane.CONVERSATION),
        (SLOW, 12_000, True, "hub", Lane.CONVERSATION),
        (NEAR, 50 * MIB, None, None, Lane.NIX_COPY),
        (Link(), 50 * MIB, None, None, Lane.NIX_COPY),
        (FAR, 50 * MIB, None, None, Lane.STREAM),
        (NEAR, 300 * MIB, None, None, Lane.PROCESS),
        (FAR, 300 * MIB, None, None, Lane.PROCESS),
        (NEAR, 50 * MIB, True, None, Lane.SUBSTITUTE),
        (SLOW, 50 * MIB, None, None, Lane.SUBSTITUTE),
        (SLOW, 50 * MIB, False, None, Lane.STREAM),
        (NEAR, MIB, None, "hub", Lane.PEER),
        (NEAR, 50 * MIB, True, "hub", Lane.PEER),
    ],
)
def test_the_lane_is_chosen_by_the_link_and_by_how_much_there_is(
    link: Link, total: int, substitute: bool | None, peer: str | None, lane: Lane
) -> None:
    choice = choose(link, total, substitute=substitute, peer=peer)
    assert choice.lane is lane
    assert choice.reason


def tcp_info(smoothed: int, shortest: int, rate: int, flags: int = 0) -> bytes:
    info = bytearray(168)
    info[7] = flags
    struct.pack_into("=I", info, 68, smoothed)
    struct.pack_into("=I", info, 148, shortest)
    struct.pack_into("=Q", info, 160, rate)
    return bytes(info)


def test_what_the_kernel_measured_is_read() -> None:
    assert read_link(tcp_info(120_000, 100_000, 5_000_000)) == Link(0.1, 5_000_000.0)


def test_a_rate_of_too_little_to_tell_is_none() -> None:
    assert read_link(tcp_info(120_000, 100_000, 5_000_000, flags=1)) == Link(0.1, None)


def test_an_old_kernel_tells_the_round_trip_alone() -> None:
    assert read_link(tcp_info(120_000, 0, 0)[:104]) == Link(0.12, None)
    assert read_link(b"") == Link()


@pytest.fixture
def served() -> Iterator[Callable[[Path], str]]:
    """Serve a folder in the lab's network, and give its address."""
    servers: list[ThreadingHTTPServer] = []

    def serve(folder: Path) -> str:
        handler = partial(Quiet, directory=str(folder))
        servers.append(ThreadingHTTPServer(("", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://{controller_address()}:{servers[-1].server_port}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def controller_address() -> str:
    """Our own address in the lab's network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("10.77.0.2", 9))  # sends nothing
        return str(probe.getsockname()[0])


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def chosen(fleet: Rehearsal) -> list[str]:
    return [fact.lane for fact in fleet.facts if isinstance(fact, LaneChosen)]


@pytest.mark.lab
@pytest.mark.nix
async def test_a_near_host_is_copied_to_by_nix_and_the_reason_is_told(rehearse: Rehearse) -> None:
    fleet = rehearse()
    (host,) = fleet.hosts
    fleet.configure(host, FAT % (uuid4(), 5 * MIB))
    result = await fleet.update()
    assert result.state.hosts[host.name].outcome is Outcome.CONFIRMED
    (fact,) = [fact for fact in fleet.facts if isinstance(fact, LaneChosen)]
    assert (fact.lane, fact.paths > 1, fact.bytes > 5 * MIB) == ("nix-copy", True, True)
    assert fact.round_trip is not None
    assert 0 < fact.round_trip < lanes.FAR_SECONDS
    assert f"by nix-copy: {fact.reason}" in fleet.log(host)


@pytest.mark.lab
@pytest.mark.nix
async def test_a_far_host_gets_one_stream(rehearse: Rehearse) -> None:
    fleet = rehearse()
    (host,) = fleet.hosts
    fleet.lab.fault("link", host, "delay=30ms")
    fleet.configure(host, FAT % (uuid4(), 5 * MIB))
    result = await fleet.update()
    assert result.state.hosts[host.name].outcome is Outcome.CONFIRMED
    assert chosen(fleet) == ["stream"]
    assert len(fleet.lab.run_in(host, ["cat", "/etc/fat"]).stdout.encode(errors="replace")) > 0


@pytest.mark.lab
@pytest.mark.nix
async def test_a_full_disk_ends_a_stream_under_its_name(rehearse: Rehearse) -> None:
    fleet = rehearse(disk="40m")
    (host,) = fleet.hosts
    fleet.lab.fault("link", host, "delay=30ms")
    fleet.configure(host, FAT % (uuid4(), 60 * MIB))
    state = (await fleet.update()).state.hosts[host.name]
    assert state.outcome is Outcome.FAILED
    assert state.error is not None
    assert "free in its Nix store" in state.error["message"] or "no space left" in state.error["message"]


@pytest.mark.lab
@pytest.mark.nix
async def test_a_host_fetches_what_its_cache_has_and_is_sent_the_rest(
    rehearse: Rehearse, tmp_path: Path, served: Callable[[Path], str]
) -> None:
    fleet = rehearse()
    (host,) = fleet.hosts
    fleet.write("inventory/more.toml", f"[machines.{host.name}]\ndeploy.substitute = true\n")
    fleet.configure(host, FAT % (uuid4(), 5 * MIB))
    recorder = fleet.journal.begin()
    built = await build(fleet.surroundings(), fleet.names, Options(), recorder)
    recorder.close()
    system = built.state.hosts[host.name].system
    assert system is not None
    nix = NixProgram.find(config=fleet.lab.lab.environment.nix_config)
    listed = await nix.run(["nix-store", "--query", "--requisites", system])
    fat = next(path for path in listed.stdout.split() if path.endswith("-fat"))
    cache = tmp_path / "cache"
    (await nix.run(["nix", "copy", "--to", f"file://{cache}?compression=none", fat])).check("filling the cache")
    fleet.lab.run_in(
        host,
        [
            "sh",
            "-c",
            f"echo 'substituters = {served(cache)}' >> /etc/nix/nix.conf; echo 'require-sigs = false' >> /etc/nix/nix.conf",
        ],
    )

    result = await fleet.update()
    state = result.state.hosts[host.name]
    assert (state.outcome, chosen(fleet)) == (Outcome.CONFIRMED, ["substitute", "conversation"])
    (note,) = [f.note for f in fleet.facts if isinstance(f, StageFinished) and f.stage is Stage.COPY]
    assert note is not None
    assert note.endswith("1 of them fetched by the machine itself")


@pytest.mark.lab
@pytest.mark.nix
async def test_a_host_whose_cache_has_nothing_is_sent_everything(rehearse: Rehearse) -> None:
    fleet = rehearse()
    (host,) = fleet.hosts
    fleet.write("inventory/more.toml", f"[machines.{host.name}]\ndeploy.substitute = true\n")
    fleet.configure(host, FAT % (uuid4(), 5 * MIB))
    result = await fleet.update()
    assert result.state.hosts[host.name].outcome is Outcome.CONFIRMED
    assert chosen(fleet) == ["substitute", "nix-copy"]
