"""What resolving costs, counted in calls and not in seconds: it grows with the memberships, and nothing is worked out twice."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType

import pytest

from clanpy.inventory import load, resolve
from clanpy.inventory.model import Fleet
from clanpy.inventory.networks import networks
from clanpy.inventory.ways import ways_to
from support.fleets import META, write


INSTANCES = 6
MESH = '''
"""Everything that a service can have."""

from clanpy.services import Computed, Role, Service
from clanpy.services.exports import Address, Network
from clanpy.services.generator import Generator, Token
from clanpy.services.settings import Field, Settings


class Peer(Settings):
    """Settings."""

    port: int = Field(1, description="A port")
    label: str = Field("", description="A label")


def _generators(member):
    yield Generator(name=f"key-{member.instance}", kind=Token())


def _exports(member):
    yield Network(priority=member.settings.port)
    yield Address(host=member.machine.name)


def _module(member):
    return {
        "peers": len(member.peers()),
        "members": len(member.members()["peer"]),
        "hosts": len(member.exported(Address, instance=member.instance)),
        "value": member.public(f"key-{member.instance}", "public") if member.settings.label == "read" else None,
    }


def _once(share):
    return {"instances": len(share.instances())}


SERVICE = Service(
    name="mesh",
    description="Meshes",
    per_instance=_once,
    per_machine=_once,
    roles={"peer": Role(description="Peers", settings=Peer, nixos=(Computed(_module),), generators=_generators, exports=_exports)},
)
'''  # fmt: skip


def made(root: Path, machines: int) -> Fleet:
    lines = [META]
    for n in range(machines):
        lines += [f"[machines.m{n}]", 'class = "nixos"', 'system = "x86_64-linux"', f'tags = ["rack-{n % 4}"]']
    for i in range(INSTANCES):
        lines += [f"[instances.mesh-{i}]", 'module = { name = "mesh", input = "self" }']
        lines += [f"[instances.mesh-{i}.roles.peer]", "settings.port = 2", "tags.all = {}"]
        lines += ['tags.rack-1.settings.label = "rack"', 'machines.m0.settings.label = "own"']
    return load(write(root, {"inventory.toml": "\n".join(lines), "services/mesh/service.py": MESH}))


def calls(fleet: Fleet) -> int:
    """How many functions are called to make every machine complete, to find the networks, and the ways to all."""
    count = 0

    def counting(_frame: FrameType, event: str, _arg: object) -> None:
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(counting)
    try:
        for name in fleet.machines:
            resolve(fleet, name)
        networks(fleet)
        for machine in fleet.machines.values():
            ways_to(fleet, machine)
    finally:
        sys.setprofile(before)
    return count


def test_twice_the_machines_are_twice_the_work(tmp_path: Path) -> None:
    calls(made(tmp_path / "warm", 2))  # imports
    once, twice = calls(made(tmp_path / "a", 40)), calls(made(tmp_path / "b", 80))

    assert twice / once < 2.1


def test_settings_that_members_share_are_merged_once(tmp_path: Path) -> None:
    few, many = made(tmp_path / "a", 8), made(tmp_path / "b", 64)
    for fleet in (few, many):
        for name in fleet.machines:
            resolve(fleet, name)

    assert 0 < few.memo["settings"].forced == many.memo["settings"].forced


def test_what_is_exported_is_asked_for_once_a_member(tmp_path: Path) -> None:
    fleet = made(tmp_path, 10)
    calls(fleet)
    calls(fleet)

    assert fleet.memo["resolver"].roles.exports.calls == 10 * INSTANCES


def test_the_way_to_one_machine_looks_at_that_machine_alone(tmp_path: Path) -> None:
    fleet = made(tmp_path, 10)

    assert len(ways_to(fleet, fleet.machines["m3"]).found) == INSTANCES
    assert fleet.memo["resolver"].roles.exports.calls == INSTANCES


def test_listing_works_nothing_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from clanpy.machines import rows, select  # noqa: PLC0415 - as the command does

    fleet = made(tmp_path, 4)
    monkeypatch.delitem(sys.modules, "clanpy.services.settings", raising=False)

    assert len(rows(select(fleet))) == 4
    assert "resolver" not in fleet.memo
    assert "clanpy.services.settings" not in sys.modules
