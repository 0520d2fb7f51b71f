"""All that can be wrong between an inventory and its services: each with its place and the nearest names, all in one report."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from clanpy.errors import ClanpyError
from clanpy.inventory import check, resolve
from support.fleets import CONFIGURATIONS, TWO, errors, fleet, line_of, write


RING = '''
"""A service with limits."""

from clanpy.services import Role, Service
from clanpy.services.settings import Field, Settings


class Node(Settings):
    """Settings."""

    speed: int = Field(1, description="How fast")
    label: str = Field(description="What it is called")


class Head(Settings):
    """Settings."""

    cadence: int = Field(1, description="How often")


SERVICE = Service(
    name="ring",
    description="A ring",
    max_instances=1,
    roles={
        "head": Role(description="The first", settings=Head, min_members=1, max_members=1, classes=("nixos",)),
        "node": Role(description="The others", settings=Node, notes={"darwin": "has no rings"}),
    },
)
'''
OWN = {"services/ring/service.py": RING, **CONFIGURATIONS}
MODULE = '[instances.ring]\nmodule.input = "self"\n'
HEAD = '[instances.ring.roles.head]\nmachines = ["alpha"]\n'


def found(tmp_path: Path, text: str) -> list[str]:
    """Code, line and message of each error, with its hint."""
    return [
        f"{e.code}:{e.place.line if e.place else '?'}: {e.message}" + (f" [{e.hint}]" if e.hint else "")
        for e in errors(tmp_path, TWO + text, OWN)
    ]


def test_everything_that_is_wrong_is_in_one_report(tmp_path: Path) -> None:
    text = """
[instances.ring]
module.input = "self"
roles.head.machines = ["alpha", "beta", "gamma"]
roles.head.settings.speed = 2
roles.node.tags.web.settings.speed = "fast"
roles.node.tags.wbe = {}
roles.noed = {}
[instances.other]
module = { name = "rnig", input = "self" }
[instances.third]
module = { name = "ring", input = "slef" }
[instances.sshd.roles.server]
machines.alpha.settings.emial = 1
settings.cadence = 3
"""
    said = [re.sub(r" \[it has [^]]*\]", "", line) for line in found(tmp_path, text)]
    lines = [int(line.split(":")[1]) for line in said]

    assert [line.split(":", 2)[0] + line.split(":", 2)[2] for line in said] == [
        "CP0806 Role 'head' of 'ring' allows at most 1 machine, 2 are assigned: alpha, beta",
        "CP0806 Role 'head' of 'ring' is for machines of class nixos, and beta is of class darwin [name the members, or take a tag that only such machines carry]",
        "CP0117 role 'head' of instance 'ring' names the machine 'gamma', which does not exist [known: alpha, beta]",
        "CP0803 role 'head' of service 'ring' has no setting 'speed' [role 'node' of the service has it]",
        "CP0804 role 'node' of instance 'ring' (tag web): 'speed': input should be a valid integer (it is 'fast')",
        "CP0804 role 'node' of instance 'ring' on 'alpha': the setting 'label' is required",
        "CP0117 role 'node' of instance 'ring' names the tag 'wbe', which does not exist [did you mean 'web'?]",
        "CP0802 instance 'ring' uses the role 'noed', which the service 'ring' does not have [did you mean 'node'?]",
        "CP0801 there is no service 'rnig' [did you mean 'ring'?]",
        "CP0801 the service 'ring' is to come from the input 'slef', which is not known [did you mean 'self'?]",
        "CP0803 role 'server' of service 'sshd' has no setting 'emial'",
        "CP0803 role 'server' of service 'sshd' has no setting 'cadence' [it is a setting of service 'ring']",
    ]
    first = line_of(TWO + text, "roles.head.machines")
    assert [line - first for line in lines] == [0, 0, 0, 1, 2, 2, 3, 4, 6, 8, 10, 11]


@pytest.mark.parametrize(
    ("roles", "says"),
    [
        ("", "Role 'head' of 'ring' requires at least 1 machine, 0 are assigned"),
        ('roles.head.machines = ["alpha"]\n[instances.two]\nmodule = { name = "ring", input = "self" }\nroles.head.machines = ["alpha"]\n',
         "Service 'ring' allows at most 1 instance, 2 are defined: ring, two"),
    ],
)  # fmt: skip
def test_too_few_members_and_too_many_instances_are_told(roles: str, says: str, tmp_path: Path) -> None:
    assert [e.message for e in errors(tmp_path, TWO + MODULE + roles, OWN)] == [says]


def test_limits_hold_whenever_a_member_is_resolved(tmp_path: Path) -> None:
    text = MODULE + 'roles.head.machines = ["alpha", "beta"]\n'
    with pytest.raises(ClanpyError) as caught:
        resolve(fleet(tmp_path, TWO + text, OWN), "alpha")

    assert "allows at most 1 machine" in "\n".join(str(e) for e in getattr(caught.value, "errors", [caught.value]))


def test_settings_are_checked_though_nobody_reads_them(tmp_path: Path) -> None:
    text = HEAD + MODULE + "roles.node.settings.speed = true\nroles.node.machines = []\n"

    assert [e.message for e in errors(tmp_path, TWO + text, OWN)] == [
        "role 'node' of instance 'ring': 'speed': input should be a valid integer (it is True)"
    ]


def test_a_wrong_value_of_a_role_is_told_once_and_not_for_each_member(tmp_path: Path) -> None:
    text = HEAD + MODULE + 'roles.node = { tags = ["all"], settings = { speed = "x", label = "l" } }\n'

    assert len(errors(tmp_path, TWO + text, OWN)) == 1


def test_a_wrong_value_is_told_also_where_another_level_overrides_it(tmp_path: Path) -> None:
    text = HEAD + MODULE + 'roles.node.settings = { speed = { _default = "x" }, label = "l" }\n'
    text += "roles.node.machines.alpha.settings.speed = 3\n"

    (error,) = errors(tmp_path, TWO + text, OWN)
    assert "role 'node' of instance 'ring': 'speed'" in error.message


def test_two_levels_that_differ_are_a_conflict_with_both_places(tmp_path: Path) -> None:
    text = HEAD + MODULE + 'roles.node.settings = { speed = 2, label = "l" }\n'
    text += "roles.node.machines.alpha.settings.speed = 3\n"
    (error,) = errors(tmp_path, TWO + text, OWN)

    assert error.code == "CP0805"
    assert error.message == "role 'node' of instance 'ring' on 'alpha' has conflicting values for 'speed'"
    first, second = error.details
    assert first.startswith(f"inventory.toml:{line_of(TWO + text, 'speed = 2')}:")
    assert second.startswith(f"inventory.toml:{line_of(TWO + text, 'speed = 3')}:")


def test_one_leaf_of_a_role_in_two_files_is_a_conflict_only_if_the_values_differ(tmp_path: Path) -> None:
    text = HEAD + MODULE + 'roles.node.settings = { speed = 2, label = "l" }\n'
    more = "[instances.ring.roles.node.settings]\nspeed = {}\n"
    same = errors(tmp_path, TWO + text, {**OWN, "inventory/more.toml": more.format(2)})
    other = errors(tmp_path, TWO + text, {**OWN, "inventory/more.toml": more.format(3)})

    assert [e.code for e in same] == []
    assert [(e.code, e.message) for e in other] == [
        ("CP0116", "'instances.ring.roles.node.settings.speed' has conflicting values")
    ]


def test_a_role_without_a_half_for_a_class_says_so(tmp_path: Path) -> None:
    text = HEAD + MODULE + 'roles.node = { machines = ["beta"], settings.label = "l" }\n'
    host = resolve(fleet(tmp_path, TWO + text, OWN), "beta")

    assert [m.note for m in host.memberships] == ["ring: no darwin half here (has no rings), only extra modules apply"]


def test_an_instance_without_members_is_a_warning(tmp_path: Path) -> None:
    (warning,) = check(write(tmp_path, {"inventory.toml": TWO + "[instances.sshd]\n", **CONFIGURATIONS})).warnings

    assert (warning.code, warning.message) == ("CP0812", "instance 'sshd' has no members")


def test_what_members_cannot_say_is_found_though_nobody_asks(tmp_path: Path) -> None:
    text = HEAD + MODULE + 'roles.node = { machines = ["alpha", "beta"], settings.label = "l" }\n'
    exporting = RING.replace('description="The others"', 'exports=_exports, description="The others"')
    code = """
from clanpy.services.exports import Address


def _exports(member):
    if member.machine.name == "alpha":
        raise LookupError("nowhere")
    yield Address(host="a b", jump=("c",))


SERVICE ="""
    files = {**OWN, "services/ring/service.py": exporting.replace("\nSERVICE =", code)}

    assert sorted((e.code, e.message) for e in errors(tmp_path, TWO + text, files)) == [
        ("CP0119", "instance 'ring' says that 'beta' is reached at 'a b', which is no target"),
        ("CP0807", "the service 'ring' fails in what role 'node' exports: LookupError: nowhere"),
    ]
