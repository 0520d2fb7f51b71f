"""Gates: who may declare them, which of several declarations counts, and what is wrong with one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from clanpy.errors import ClanpyError, CombinedError
from clanpy.inventory import load, resolve
from clanpy.inventory.gates import Gate
from clanpy.inventory.show import host_document


MACHINES = """
[meta]
name = "gated"
[machines.web]
class = "nixos"
system = "x86_64-linux"
tags = ["front", "public"]
[machines.db]
class = "nixos"
system = "x86_64-linux"
[instances.hello]
module.name = "hello-world"
[instances.hello.roles.morning.machines.web]
"""

Gates = Callable[..., dict[str, Gate]]


@pytest.fixture
def gates(tmp_path: Path) -> Gates:
    """The gates of a machine of a fleet with this in its inventory besides."""

    def found(text: str, machine: str = "web") -> dict[str, Gate]:
        (tmp_path / "inventory.toml").write_text(MACHINES + text)
        return {gate.name: gate for gate in resolve(load(tmp_path), machine).gates}

    return found


def errors_of(gates: Gates, text: str) -> list[ClanpyError]:
    with pytest.raises(ClanpyError) as found:
        gates(text)
    error = found.value
    return list(error.errors) if isinstance(error, CombinedError) else [error]


def test_a_machine_has_the_gates_of_the_fleet_its_tags_its_instances_and_its_own(gates: Gates) -> None:
    text = """
    [gates.units]
    type = "units"
    [tags.front.gates.site]
    type = "http"
    url = "http://{address}/"
    [instances.hello.gates.hello]
    type = "command"
    command = "hello"
    [machines.web.gates.port]
    type = "tcp"
    port = 443
    [machines.db.gates.postgres]
    type = "tcp"
    port = 5432
    """
    assert list(gates(text)) == ["hello", "port", "site", "units"]
    assert list(gates(text, "db")) == ["postgres", "units"]
    assert gates(text)["hello"] == Gate(
        name="hello", type="command", command="hello", origin=("instances.hello.gates.hello",)
    )


def test_what_is_nearer_says_what_it_says_and_the_others_the_rest(gates: Gates) -> None:
    found = gates(
        """
        [gates.site]
        type = "http"
        url = "http://{address}/"
        timeout = 30
        successes = 2
        [tags.front.gates.site]
        timeout = 10
        [machines.web.gates.site]
        successes = 5
        """
    )["site"]
    assert (found.timeout, found.successes, found.interval) == (10, 5, 2.0)
    assert found.origin == ("machines.web.gates.site", "tags.front.gates.site", "gates.site")


def test_a_machine_can_take_a_gate_back(gates: Gates) -> None:
    assert gates('[gates.units]\ntype = "units"\n[machines.web.gates.units]\nenable = false\n') == {}


def test_tags_that_say_different_things_of_one_gate_are_told_with_both(gates: Gates) -> None:
    text = """
    [tags.front.gates.site]
    type = "http"
    url = "http://a/"
    [tags.public.gates.site]
    type = "http"
    url = "http://b/"
    """
    (error,) = errors_of(gates, text)
    assert "tags.front says url = 'http://a/', and tags.public says 'http://b/'" in str(error)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("port = 22", "does not say its type"),
        ('type = "tcp"', "is of type tcp and has no `port`"),
        ('type = "units"\nport = 22', "is of type units, which knows no `port`"),
        ('type = "icmp"', "'http' or 'tcp' or 'command' or 'units'"),
        ('type = "units"\ntimeout = 0', "timeout"),
        ('type = "tcp"\nport = 70000', "port"),
    ],
)
def test_a_gate_that_makes_no_sense_is_an_error_at_its_line(gates: Gates, text: str, said: str) -> None:
    (error,) = errors_of(gates, f"[machines.web.gates.bad]\n{text}\n")
    assert said in str(error)
    assert error.place is not None
    assert error.place.line is not None


def test_what_a_machine_has_to_pass_is_shown_as_data(tmp_path: Path, gates: Gates) -> None:
    gates('[gates.ssh]\ntype = "tcp"\nport = 22\n')
    shown = host_document(resolve(load(tmp_path), "web"), tmp_path)["gates"]
    assert shown == [
        {
            "name": "ssh",
            "type": "tcp",
            "host": None,
            "port": 22,
            "interval": 2.0,
            "timeout": 60.0,
            "successes": 1,
            "origin": ["gates.ssh"],
        }
    ]
