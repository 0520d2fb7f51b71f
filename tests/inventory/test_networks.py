"""How a machine is reached: command line, inventory, networks by priority, the machine's own modules; and what was tried."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from clanpy.errors import UsageError
from clanpy.inventory.networks import network_errors, networks
from clanpy.inventory.ways import ways_to
from support.fleets import META, fleet


NET = '''
"""A network."""

from clanpy.services import Role, Service
from clanpy.services.exports import Address, Network
from clanpy.services.settings import Field, Settings


class Peer(Settings):
    """Settings."""

    priority: int = Field(1000, description="When it is tried")
    user: str | None = Field(None, description="The account")
    known: bool = Field(True, description="Whether there is an address already")
    proxy: str | None = Field(None, description="A proxy")
    jump: list[str] = Field(default_factory=list, description="What to go through")


def _exports(member):
    settings = member.settings
    yield Network(priority=settings.priority, technology="socks" if settings.proxy else "direct", proxy=settings.proxy)
    if settings.known:
        yield Address(host=f"{member.machine.name}.{member.instance}", user=settings.user, jump=tuple(settings.jump))


SERVICE = Service(name="net", description="A network", roles={"peer": Role(description="Peers", settings=Peer, exports=_exports)})
'''  # fmt: skip
FILES = {"services/net/service.py": NET}
ALPHA = META + '[machines.alpha]\nclass = "nixos"\nsystem = "x86_64-linux"\n'
INVENTORY = 'deploy.target_host = ["ops@one:23", "two"]\n'


def instance(name: str, settings: str = "", machines: str = '["alpha"]') -> str:
    return f"""
[instances.{name}]
module = {{ name = "net", input = "self" }}
roles.peer.machines = {machines}
roles.peer.settings = {{ {settings} }}
"""


def reached(
    root: Path, text: str, override: str | None = None, more: Mapping[str, str] | None = None
) -> list[tuple[str, str]]:
    found = fleet(root, ALPHA + text, {**FILES, **(more or {})})
    return [(way.source, way.target) for way in ways_to(found, found.machines["alpha"], override).found]


def test_the_inventory_comes_first_then_networks_by_priority(tmp_path: Path) -> None:
    text = INVENTORY + instance("slow", "priority = 10") + instance("fast", "priority = 2000") + instance("mid")

    assert reached(tmp_path, text) == [
        ("inventory", "ops@one:23"),
        ("inventory", "two"),
        ("network fast", "ops@alpha.fast"),
        ("network mid", "ops@alpha.mid"),
        ("network slow", "ops@alpha.slow"),
    ]


def test_the_command_line_stands_alone(tmp_path: Path) -> None:
    assert reached(tmp_path, INVENTORY + instance("net"), "me@here:22") == [("command line", "me@here:22")]
    with pytest.raises(UsageError, match="'no one' is no target"):
        reached(tmp_path, INVENTORY, "no one")


def test_an_address_may_have_an_account_and_hosts_to_go_through(tmp_path: Path) -> None:
    found = fleet(tmp_path, ALPHA + instance("net", 'user = "eve", jump = ["a", "b@c:2"]'), FILES)
    (way,) = ways_to(found, found.machines["alpha"]).found

    assert (way.target, way.jump, way.proxy) == ("eve@alpha.net", ("a", "b@c:2"), None)


def test_a_network_behind_a_proxy_is_dialled_by_it(tmp_path: Path) -> None:
    found = fleet(tmp_path, ALPHA + instance("net", 'proxy = "127.0.0.1:9050"'), FILES)

    assert ways_to(found, found.machines["alpha"]).found[0].proxy == "127.0.0.1:9050"


def test_an_address_that_is_none_is_no_way_and_takes_no_other_away(tmp_path: Path) -> None:
    text = INVENTORY + instance("net", 'jump = ["a b"]')
    without = fleet(tmp_path / "b", ALPHA + instance("net", 'jump = ["a b"]'), FILES)

    assert [source for source, _ in reached(tmp_path / "a", text)] == ["inventory", "inventory"]
    assert "network net: what it says of it is no target" in ways_to(without, without.machines["alpha"]).tried


def test_networks_are_listed_with_all_members_and_those_that_have_an_address(tmp_path: Path) -> None:
    text = instance("net", "known = false") + instance("other", "priority = 3")
    found = networks(fleet(tmp_path, ALPHA + text, FILES))

    assert [(n.name, n.service, n.priority, n.machines, tuple(n.addresses)) for n in found] == [
        ("net", "net", 1000, ("alpha",), ()),
        ("other", "net", 3, ("alpha",), ("alpha",)),
    ]
    assert found[0].to_dict()["machines"] == {"alpha": []}


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ('{ clan.core.networking.targetHost = "root@mod"; }', "root@mod"),
        ('{ clan.core.networking = {\n targetHost = lib.mkDefault "root@mod:22"; }; }', "root@mod:22"),
    ],
)
def test_without_any_other_way_the_machines_own_modules_are_looked_at(text: str, target: str, tmp_path: Path) -> None:
    files = {"machines/alpha/configuration.nix": text}

    assert reached(tmp_path, "", more=files) == [("machine module", target)]
    assert reached(tmp_path / "b", INVENTORY, more=files)[0][0] == "inventory"


@pytest.mark.parametrize(
    "text", ['# targetHost = "a";', '/* targetHost = "a"; */', "targetHost = name;", 'targetHost = "${x}";', ""]
)
def test_what_is_no_plain_target_in_a_module_is_none(text: str, tmp_path: Path) -> None:
    assert reached(tmp_path, "", more={"machines/alpha/configuration.nix": text}) == []


def test_all_that_was_tried_is_told_when_there_is_no_way(tmp_path: Path) -> None:
    text = instance("net", "known = false") + instance("far", machines="[]")
    found = fleet(tmp_path, ALPHA + text, FILES)

    assert ways_to(found, found.machines["alpha"]).tried == (
        "the command line: no --target-host",
        "the inventory: no deploy.target_host in [machines.alpha]",
        "network net: no address of it yet",
        "the machine's own modules: no clan.core.networking.targetHost",
    )


def test_a_service_that_cannot_say_its_addresses_takes_no_other_way_away_and_is_told(tmp_path: Path) -> None:
    broken = {**FILES, "services/net/service.py": NET.replace("yield Network", "1 / 0 #")}
    found = fleet(tmp_path, ALPHA + INVENTORY + instance("net"), broken)
    without = fleet(tmp_path / "b", ALPHA + instance("net"), broken)

    assert [way.target for way in ways_to(found, found.machines["alpha"]).found] == ["ops@one:23", "two"]
    (error,) = network_errors(found)
    assert "fails in what role 'peer' exports" in error.message
    assert any(
        "fails in what role 'peer' exports" in line for line in ways_to(without, without.machines["alpha"]).tried
    )
