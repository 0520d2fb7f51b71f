"""What members tell each other, which values they need generated, and what they see of values that are there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clanpy.errors import ClanpyError
from clanpy.inventory import forget, generators_of, load, resolve
from support.fleets import TWO, fleet, raised, write


MESH = '''
"""A mesh: peers tell their keys, a hub reads them."""

from clanpy.services import Computed, Role, Service
from clanpy.services.exports import Address, Fact, Network, PublicKey
from clanpy.services.generator import Generator, WireGuardKey
from clanpy.services.settings import Field, Settings


class Peer(Settings):
    """Settings."""

    port: int = Field(1, description="A port")


def _generators(member):
    yield Generator(name="key", kind=WireGuardKey())


def _exports(member):
    yield Network(priority=5)
    yield Address(host=f"{member.machine.name}.mesh", port=member.settings.port)
    key = member.public("key", "publickey")
    if key is not None:
        yield PublicKey(purpose="mesh", value=key)


def _peer(member):
    return {"seen": {name: [key.value for key in keys] for name, keys in member.exported(PublicKey).items()},
            "own": member.path("key", "privatekey"),
            "ports": {name: peer.settings.port for name, peer in member.peers().items()}}


def _hub(member):
    addresses = member.exported(Address, role="peer")
    return {"addresses": {name: [a.host for a in found] for name, found in addresses.items()},
            "networks": sorted(member.exported(Network))}


def _hub_exports(member):
    for name, keys in sorted(member.exported(PublicKey, instance=member.instance, role="peer").items()):
        yield Fact(name=f"key of {name}", value=[k.value for k in keys], scope="instance")


def _whole(share):
    return {"part": share.instance, "roles": [m.role for m in share.members], "all": {k: dict(v) for k, v in share.instances().items()}}


SERVICE = Service(
    name="mesh",
    description="A mesh",
    per_instance=_whole,
    roles={
        "peer": Role(description="Peers", settings=Peer, nixos=(Computed(_peer),), darwin=(Computed(_peer),), generators=_generators, exports=_exports),
        "hub": Role(description="Hubs", settings=Peer, nixos=(Computed(_hub),), generators=_generators, exports=_hub_exports),
    },
)
'''  # fmt: skip
INSTANCES = """
[instances.mesh]
module.input = "self"
roles.peer.tags = ["all"]
roles.peer.machines.beta.settings.port = 7
roles.hub.machines = ["alpha"]
[instances.second]
module = { name = "mesh", input = "self" }
roles.hub.machines = ["alpha"]
"""
FILES = {"services/mesh/service.py": MESH}


def data(root: Path, machine: str, key: str) -> Any:
    host = resolve(load(root), machine)
    content: Any = next(module.content for module in host.modules if module.key == key)
    return content.value


def changed(old: str, new: str) -> dict[str, str]:
    assert old in MESH
    return {"services/mesh/service.py": MESH.replace(old, new)}


def test_members_see_what_others_export_by_machine(tmp_path: Path) -> None:
    root = fleet(tmp_path, TWO + INSTANCES, FILES).root

    assert data(root, "alpha", "nixos/mesh/mesh/hub") == {
        "addresses": {"alpha": ["alpha.mesh"], "beta": ["beta.mesh"]},
        "networks": ["alpha", "beta"],
    }
    assert data(root, "alpha", "nixos/mesh/mesh/peer")["ports"] == {"alpha": 1, "beta": 7}


def test_public_values_are_seen_when_they_are_there(tmp_path: Path) -> None:
    found = fleet(tmp_path, TWO + INSTANCES, FILES)
    before = data(found.root, "alpha", "nixos/mesh/mesh/peer")
    write(tmp_path, {"vars/per-machine/beta/key/publickey/value": "BETA"})
    after = data(found.root, "alpha", "nixos/mesh/mesh/peer")

    assert (before["seen"], after["seen"]) == ({}, {"beta": ["BETA"]})
    assert before["own"] == "/run/secrets/vars/key/privatekey"


def test_values_that_were_generated_since_are_seen_after_forgetting(tmp_path: Path) -> None:
    found = fleet(tmp_path, TWO + INSTANCES, FILES)
    resolve(found, "alpha")
    write(tmp_path, {"vars/shared/key/publickey/value": "SHARED"})
    forget(found)
    content: Any = next(m.content for m in resolve(found, "alpha").modules if m.key == "nixos/mesh/mesh/peer")

    assert content.value["seen"] == {"alpha": ["SHARED"], "beta": ["SHARED"]}


def test_a_service_sees_all_its_instances_and_contributes_once_to_each(tmp_path: Path) -> None:
    root = fleet(tmp_path, TWO + INSTANCES, FILES).root
    everything = {"mesh": {"peer": ["alpha", "beta"], "hub": ["alpha"]}, "second": {"hub": ["alpha"]}}

    assert data(root, "alpha", "nixos/mesh/mesh") == {"part": "mesh", "roles": ["hub", "peer"], "all": everything}
    assert data(root, "alpha", "nixos/mesh/second") == {"part": "second", "roles": ["hub"], "all": everything}


def test_equal_generators_of_several_roles_count_once(tmp_path: Path) -> None:
    found = fleet(tmp_path, TWO + INSTANCES, FILES)
    (generator,) = generators_of(found, "alpha")

    assert generator.name == "key"
    assert generator.origin == "service mesh, instance mesh, role hub"
    assert resolve(found, "alpha").generators == (generator,)


def test_generators_of_one_name_that_differ_are_an_error_with_both_origins(tmp_path: Path) -> None:
    files = changed('name="key", kind', 'name="key", share=member.role == "hub", kind')
    with pytest.raises(ClanpyError) as caught:
        generators_of(fleet(tmp_path, TWO + INSTANCES, files), "alpha")
    error = raised(caught.value)[0]

    assert error.code == "CP0810"
    assert error.details == (
        "once by service mesh, instance mesh, role hub",
        "and by service mesh, instance mesh, role peer",
    )


def test_a_secret_is_not_given_away(tmp_path: Path) -> None:
    files = changed('member.path("key"', 'member.public("key"')
    with pytest.raises(ClanpyError) as caught:
        resolve(fleet(tmp_path, TWO + INSTANCES, files), "beta")
    error = raised(caught.value)[0]

    assert error.code == "CP0809"
    assert error.message == "the value of 'key/privatekey' on 'beta' is secret, and a service asks for it"


def test_a_file_that_its_generator_does_not_make_is_an_error(tmp_path: Path) -> None:
    files = changed('member.path("key", "privatekey")', 'member.path("key", "privat")')
    with pytest.raises(ClanpyError) as caught:
        resolve(fleet(tmp_path, TWO + INSTANCES, files), "beta")

    assert "makes no file 'privat'" in raised(caught.value)[0].message


def test_exports_that_depend_on_themselves_are_an_error_that_names_the_circle(tmp_path: Path) -> None:
    files = changed("yield Network(priority=5)", "yield Network(priority=len(member.exported(Fact)))")
    with pytest.raises(ClanpyError) as caught:
        resolve(fleet(tmp_path, TWO + INSTANCES, files), "alpha")
    (error,) = raised(caught.value)

    assert error.code == "CP0808"
    assert error.message == "what is exported depends on itself: mesh/peer/alpha → mesh/hub/alpha → mesh/peer/alpha"


def test_a_value_that_is_no_export_is_an_error_of_the_service(tmp_path: Path) -> None:
    with pytest.raises(ClanpyError) as caught:
        resolve(fleet(tmp_path, TWO + INSTANCES, changed("yield Network(priority=5)", "yield 5")), "alpha")

    assert "the service 'mesh' exports 5 in role 'peer', which is no Export" in raised(caught.value)[0].message


def test_what_nobody_asks_for_is_not_worked_out(tmp_path: Path) -> None:
    files = changed("    yield Network(priority=5)", "    raise SystemError('looked at')")
    found = fleet(tmp_path, TWO + INSTANCES, files)

    assert [g.name for g in generators_of(found, "beta")] == ["key"]
    assert [machine.name for machine in found.machines.values()] == ["alpha", "beta"]


def test_what_a_role_exports_is_worked_out_once(tmp_path: Path) -> None:
    found = fleet(tmp_path, TWO + INSTANCES, FILES)
    for _ in range(2):
        for name in found.machines:
            resolve(found, name)

    assert found.memo["resolver"].roles.exports.calls == 4  # two peers and a hub of the first, a hub of the second
