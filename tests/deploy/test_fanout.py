"""Store paths by way of a host beside the machines: over our own link once, however many there are."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from clanpy.deployment.making import peer_of
from clanpy.deployment.options import Options
from clanpy.events import LaneChosen, Note, Outcome, Stage, StageFinished
from clanpy.inventory.model import Deploy, Machine
from clanpy.nix.passing import Giving, read_ready
from deploy.rehearsal import Rehearsal
from deploy.test_lanes import FAT, MIB
from support.lab import wait_for


Rehearse = Callable[..., Rehearsal]


def sent() -> int:
    """Bytes that this computer itself has sent into the lab's network: what hosts say to each other is not among them."""
    lines = Path("/proc/thread-self/net/netstat").read_text().splitlines()
    names, numbers = (line.split() for line in lines if line.startswith("IpExt:"))
    return int(numbers[names.index("OutOctets")])


def machine(via: str | None) -> Machine:
    return Machine(
        name="web", class_="nixos", system="x86_64-linux", deploy=Deploy(target_host="root@web.lan", via=via)
    )


def test_the_peer_of_a_machine_is_what_the_run_says_else_what_the_machine_says() -> None:
    assert peer_of(machine(None)) is None
    assert peer_of(machine("hub")) == "hub"
    assert peer_of(machine("hub"), "other") == "other"
    assert peer_of(machine("web")) is None
    assert peer_of(machine(None), "root@web.lan") is None


def test_where_a_peer_was_reached_by_us_is_tried_first() -> None:
    line = "@clanpy ready 22022 root ssh-ed25519,AAAA /dev/shm/x 10.0.0.1 5555 192.168.7.2 22"
    assert read_ready(line, ["hub.example", "192.168.7.2"]) == Giving(
        22022, "root", "ssh-ed25519 AAAA", ("192.168.7.2", "hub.example"), "/dev/shm/x"
    )
    assert read_ready("anything else", []) is None


@pytest.mark.lab
@pytest.mark.nix
async def test_what_three_machines_need_crosses_our_link_once(rehearse: Rehearse) -> None:
    fleet = rehearse(nixos=4)
    *machines, hub = fleet.hosts
    await fleet.update()
    fleet.write("modules/system/base.nix", FAT % (uuid4(), 12 * MIB))
    look = "ls -d /dev/shm/clanpy-* /tmp/tmp.* 2>/dev/null; pgrep -x ssh-agent; pgrep -f 'ss[h]d.*-p 22022'"
    hosts = (*machines, hub)
    there = {host.name: fleet.lab.run_in(host, ["sh", "-c", look]).stdout for host in hosts}
    before = sent()
    result = await fleet.update(*(host.name for host in machines), options=Options(via=hub.name, confirm_within=20))
    crossed = sent() - before
    assert [host.outcome for host in result.state.hosts.values()] == [Outcome.CONFIRMED] * 3
    assert 12 * MIB < crossed < 18 * MIB
    notes = [f.note or "" for f in fleet.facts if isinstance(f, StageFinished) and f.stage is Stage.COPY]
    assert [note.endswith(f", from {hub.name}") for note in notes] == [True] * 3
    lanes = [f.lane for f in fleet.facts if isinstance(f, LaneChosen)]
    assert (lanes.count("peer"), lanes.count("nix-copy")) == (3, 1)
    wait_for(lambda: all(fleet.lab.run_in(host, ["sh", "-c", look]).stdout == there[host.name] for host in hosts))


@pytest.mark.lab
@pytest.mark.nix
async def test_a_machine_is_sent_everything_from_here_where_its_peer_is_not_reached(rehearse: Rehearse) -> None:
    fleet = rehearse(nixos=2)
    host, hub = fleet.hosts
    fleet.configure(host, FAT % (uuid4(), 5 * MIB))
    ways = {hub.name: replace(fleet.target(hub), port=9)}
    result = await fleet.update(host.name, options=Options(via=hub.name, confirm_within=20), ways=ways)
    assert result.state.hosts[host.name].outcome is Outcome.CONFIRMED
    told = [fact.text for fact in fleet.facts if isinstance(fact, Note) and fact.level == "warning"]
    assert any("they are sent from here" in text for text in told)
    assert [f.lane for f in fleet.facts if isinstance(f, LaneChosen)] == ["peer", "nix-copy"]
