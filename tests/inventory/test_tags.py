"""Tags: static ones, those that machines carry, and those that are computed from what else is known."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clanpy.cli.program import run
from clanpy.errors import ClanpyError
from clanpy.inventory import check, load, resolve
from clanpy.inventory.explain import explain
from clanpy.inventory.model import Fleet, Instance, Machine, Meta, Role, Tag
from clanpy.inventory.selection import And, Not, Or, Selection, Term, parse
from clanpy.inventory.tags import with_computed_tags
from support.fleets import META, REFERENCE, TWO, errors, fleet, line_of, raised, write


FLEET = (
    META
    + """
[machines.alpha]
class = "nixos"
system = "x86_64-linux"
type = "vm"
primary_user = "ann"
tags = ["web"]

[machines.beta]
class = "darwin"
system = "aarch64-darwin"
type = "laptop"
tags = ["fleet"]

[machines.gamma]
class = "nixos"
system = "aarch64-linux"
type = "vm"

[users.ann]
aliases = ["annie"]

[instances.sshd.roles.server]
tags = ["web"]
machines = ["gamma"]
"""
)


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLANPY_FLEET", "CLANPY_JSON", "CLANPY_LAB", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("select", "expected"),
    [
        ("class:nixos", "alpha gamma"),
        ("type:vm and not system:aarch64-*", "alpha"),
        ("user:annie", "alpha"),
        ("tag:web or tag:fleet", "alpha beta"),
        ("not tag:web", "beta gamma"),
        ("role:sshd/server", "alpha gamma"),
        ("instance:sshd and not gamma", "alpha"),
        ("beta, gam*", "beta gamma"),
        ("class:nixos and class:darwin", ""),
        ("type:desktop*", ""),
    ],
)
def test_a_tag_can_be_carried_by_what_a_selection_selects(select: str, expected: str, tmp_path: Path) -> None:
    found = fleet(tmp_path, FLEET + f"[tags.computed]\nselect = '{select}'\n")

    assert found.tags["computed"] == tuple(expected.split())
    for name, machine in found.machines.items():
        assert ("computed" in machine.tags) is (name in expected.split())
        assert list(machine.tags) == sorted(machine.tags)


def test_static_carried_and_computed_members_of_one_tag_add_up(tmp_path: Path) -> None:
    more = {"machines/alpha/machine.toml": 'tags = ["mixed"]\n'}
    found = fleet(tmp_path, FLEET + '[tags.mixed]\nmachines = ["beta"]\nselect = "gamma"\n', more)

    assert found.tags["mixed"] == ("alpha", "beta", "gamma")
    assert found.machines["alpha"].tags == ("all", "mixed", "nixos", "web")


def test_tags_are_computed_from_computed_tags_in_whatever_order_they_are_written(tmp_path: Path) -> None:
    tags = """
    [tags]
    a = { select = "tag:b and tag:c" }
    b = { select = "tag:z or beta" }
    c = { select = "not tag:fleet" }
    z = { select = "class:nixos" }
    """
    found = fleet(tmp_path, FLEET + tags)

    assert (found.tags["a"], found.tags["b"]) == (("alpha", "gamma"), ("alpha", "beta", "gamma"))


def test_a_tag_can_be_computed_from_a_role_that_is_given_by_a_computed_tag(tmp_path: Path) -> None:
    tags = """
    [instances.tor.roles.server]
    tags = ["vms"]
    [tags]
    all-tor = { select = "role:tor/server" }
    vms = { select = "type:vm" }
    """
    found = fleet(tmp_path, FLEET + tags)

    assert found.tags["all-tor"] == ("alpha", "gamma")


def test_what_a_computed_tag_imports_its_machines_import(tmp_path: Path) -> None:
    files = {"modules/nixos/small.nix": "{ ... }: { }\n"}
    found = fleet(tmp_path, FLEET + '[tags.vms]\nselect = "type:vm"\nimports = ["small"]\n', files)

    assert [m.key for m in resolve(found, "gamma").modules if "small" in m.key] == ["nixos/small.nix"] or any(
        "small" in module.key for module in resolve(found, "gamma").modules
    )
    assert not any("small" in module.key for module in resolve(found, "beta").modules)


def test_a_role_has_the_machines_of_a_computed_tag(tmp_path: Path) -> None:
    inventory = FLEET + '[tags.vms]\nselect = "type:vm"\n[instances.tor.roles.server]\ntags = ["vms"]\n'
    host = resolve(fleet(tmp_path, inventory), "gamma")

    assert ("tor", "server") in {(part.instance, part.role) for part in host.memberships}


def test_modules_in_python_can_give_the_selection(tmp_path: Path) -> None:
    module = "module = {'tags': {'t': {'select': ' or '.join(['beta', 'type:vm'])}}}\n"

    assert fleet(tmp_path, FLEET, {"modules/t.py": module}).tags["t"] == ("alpha", "beta", "gamma")


# --- circles ---


@pytest.mark.parametrize(
    ("tags", "circle"),
    [
        ('a = { select = "tag:a" }', "tags.a.select ({a}) → tags.a.select"),
        ('a = { select = "not tag:a" }', "tags.a.select ({a}) → tags.a.select"),
        ('a-b = { select = "tag:a-*" }', "tags.a-b.select ({a-b}) → tags.a-b.select"),
        (
            'b = { select = "tag:a" }\na = { select = "beta or tag:b" }',
            "tags.a.select ({a}) → tags.b.select ({b}) → tags.a.select",
        ),
        (
            'c = { select = "tag:a" }\nb = { select = "tag:c" }\na = { select = "tag:b" }',
            "tags.a.select ({a}) → tags.b.select ({b}) → tags.c.select ({c}) → tags.a.select",
        ),
        (
            'web = { select = "role:server" }',
            "tags.web.select ({web}) → instances.sshd.roles.server ({sshd}) → tags.web.select",
        ),
        (
            'web = { select = "tag:x" }\nx = { select = "not instance:sshd" }',
            "tags.web.select ({web}) → tags.x.select ({x}) → instances.sshd.roles.server ({sshd}) → tags.web.select",
        ),
    ],
)
def test_a_tag_that_depends_on_itself_is_an_error_that_shows_the_circle(tags: str, circle: str, tmp_path: Path) -> None:
    text = FLEET + "[tags]\n" + tags + "\n"
    with pytest.raises(ClanpyError) as caught:
        fleet(tmp_path, text)

    (error,) = raised(caught.value)
    lines = {
        name: line_of(text, f"{name} = {{") for name in ("a", "b", "c", "x", "web", "a-b") if f"{name} = {{" in text
    }
    places = {name: f"inventory.toml:{n}" for name, n in {**lines, "sshd": line_of(text, "[instances.sshd")}.items()}
    for name, place in places.items():
        circle = circle.replace(f"{{{name}}}", place)
    assert error.code == "CP0125"
    assert error.message == f"tags are selected in a circle: {circle}"
    assert error.place is not None
    assert str(error.place).startswith(circle.partition("(")[2].partition(")")[0])


def test_every_circle_is_told_at_once_and_tags_outside_of_it_are_computed(tmp_path: Path) -> None:
    tags = '[tags]\na = { select = "tag:a" }\nb = { select = "tag:c" }\nc = { select = "tag:b" }\nd = { select = "tag:web" }\n'
    found = check(write(tmp_path, {"inventory.toml": FLEET + tags}))

    assert sum(error.code == "CP0125" for error in found.errors) == 2
    assert found.fleet.tags["d"] == ("alpha",)


def test_a_role_given_by_a_tag_is_no_circle_when_the_tag_asks_for_another_role(tmp_path: Path) -> None:
    inventory = FLEET + '[instances.sshd.roles.client]\ntags = ["t"]\n[tags.t]\nselect = "role:sshd/server"\n'

    assert fleet(tmp_path, inventory).tags["t"] == ("alpha", "gamma")


NAMES = ("alpha", "beta", "gamma", "delta")
TAGS = ("ta", "tb", "tc", "u")
ROLES = ("x", "y")
_WORDS = [
    "tag:ta",
    "tag:tb",
    "tag:tc",
    "tag:u",
    "tag:t*",
    "tag:all",
    "role:i/x",
    "role:y",
    "instance:i",
    "alpha",
    "*a",
    "class:nixos",
]
SELECTIONS = st.recursive(
    st.sampled_from(_WORDS).map(parse),
    lambda inner: (
        st.builds(Not, inner)
        | st.lists(inner, min_size=2, max_size=3).map(tuple).flatmap(lambda o: st.sampled_from([And(o), Or(o)]))
    ),
    max_leaves=4,
)
FEW = st.lists(st.sampled_from(NAMES), max_size=2, unique=True)


class _Circle(Exception):  # noqa: N818 - no error, an answer
    pass


def by_hand(fleet: Fleet, tag: str, below: tuple[str, ...] = ()) -> set[str]:
    """The machines of a tag, found by looking everything up that its selection names."""
    if tag in below:
        raise _Circle
    record = fleet.tag_records.get(tag)
    found = set(fleet.tags.get(tag, ()))
    if record is not None and record.select is not None:
        found |= _meant(fleet, parse(record.select), (*below, tag))
    return found


def _meant(fleet: Fleet, selection: Selection, below: tuple[str, ...]) -> set[str]:
    match selection:
        case Not(operand=operand):
            return set(fleet.machines) - _meant(fleet, operand, below)
        case And(operands=operands):
            return set.intersection(*[_meant(fleet, operand, below) for operand in operands])
        case Or(operands=operands):
            return set().union(*[_meant(fleet, operand, below) for operand in operands])
        case Term(kind=None | "class" as kind, pattern=pattern):
            return {name for name in fleet.machines if kind or pattern.fits(name)}  # all are of one class
        case Term(kind="tag", pattern=pattern):
            return set().union(*[by_hand(fleet, tag, below) for tag in fleet.tags if pattern.fits(tag)])
        case leaf:
            roles = fleet.instances["i"].roles
            asked = roles if "instance" in str(leaf) else [str(leaf)[-1]]
            return set().union(
                *[
                    {*roles[name].machines, *(m for tag in roles[name].tags for m in by_hand(fleet, tag, below))}
                    for name in asked
                ]
            )


@given(
    st.fixed_dictionaries({tag: st.none() | SELECTIONS for tag in TAGS}),
    st.fixed_dictionaries(dict.fromkeys(TAGS, FEW)),
    st.fixed_dictionaries(
        {role: st.tuples(FEW, st.lists(st.sampled_from(TAGS), max_size=2, unique=True)) for role in ROLES}
    ),
)
def test_computed_tags_are_what_one_finds_by_hand_or_a_circle(
    selections: dict[str, Selection | None], static: dict[str, list[str]], roles: dict[str, tuple[list[str], list[str]]]
) -> None:
    fleet = Fleet(
        root=Path("/nowhere"),
        meta=Meta(name="test"),
        machines={name: Machine(name=name, class_="nixos", system="x86_64-linux") for name in sorted(NAMES)},
        tags={"all": tuple(sorted(NAMES)), **{tag: tuple(sorted(static[tag])) for tag in TAGS}},
        tag_records={
            tag: Tag(name=tag, select=None if chosen is None else str(chosen)) for tag, chosen in selections.items()
        },
        instances={
            "i": Instance(
                name="i",
                service="s",
                roles={
                    name: Role(machines={key: {} for key in m}, tags={key: {} for key in t})
                    for name, (m, t) in roles.items()
                },
            )
        },
    )
    found = with_computed_tags(fleet)
    circular = False
    for tag in TAGS:
        try:
            expected = by_hand(fleet, tag)
        except _Circle:
            circular = True
            continue
        assert set(found.fleet.tags[tag]) == expected
        assert {name for name, machine in found.fleet.machines.items() if tag in machine.tags} == found.machines.get(
            tag, set()
        )
    assert {error.code for error in found.errors} == ({"CP0125"} if circular else set())


# --- mistakes ---


def test_what_can_not_be_read_is_told_with_its_place_and_a_mark(tmp_path: Path) -> None:
    text = FLEET + '[tags.t]\nselect = "type:vm and"\n'
    with pytest.raises(ClanpyError) as caught:
        fleet(tmp_path, text)

    (error,) = raised(caught.value)
    assert str(error) == (
        f"inventory.toml:{line_of(text, 'select =')}:1: the selection of tag 't' can't be read: a selection is missing behind 'and'"
    )
    assert (error.code, int(error.exit_code)) == ("CP0128", 65)
    assert error.details == ("type:vm and", " " * 11 + "^")


def test_every_name_that_does_not_exist_is_told_with_its_place(tmp_path: Path) -> None:
    text = FLEET + '[tags.t]\nselect = "tag:wep and not bta"\n[tags.u]\nselect = "class:nixso"\n'
    with pytest.raises(ClanpyError) as caught:
        fleet(tmp_path, text)

    assert [(e.message, e.hint) for e in raised(caught.value)] == [
        ("there is no machine 'bta', which the selection of tag 't' names", "did you mean 'beta'?"),
        ("there is no tag 'wep', which the selection of tag 't' names", "did you mean 'web'?"),
        ("there is no class 'nixso', which the selection of tag 'u' names", "did you mean 'nixos'?"),
    ]


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        ('t = { select = "-" }', "there is no standard input"),
        ('t = { select = "is:stale" }', "can't be selected by 'is:'"),
        ('all = { select = "alpha" }', "the tag 'all' is computed"),
        ("t = { select = 1 }", "'tags.t.select'"),
    ],
)
def test_what_a_tag_can_not_be_computed_from_is_refused(tag: str, said: str, tmp_path: Path) -> None:
    found = errors(tmp_path, FLEET + f"[tags]\n{tag}\n")

    assert any(said in error.message for error in found), [error.message for error in found]


def test_a_selection_of_nobody_is_worth_a_warning(tmp_path: Path) -> None:
    text = FLEET + '[tags.t]\nselect = "type:desktop*"\n'
    found = check(
        write(
            tmp_path,
            {"inventory.toml": text, **{f"machines/{m}/configuration.nix": "" for m in ("alpha", "beta", "gamma")}},
        )
    )

    assert found.errors == ()
    assert [str(warning) for warning in found.warnings] == [
        f"inventory.toml:{line_of(text, 'select =')}:1: no machine is in the selection of tag 't'"
    ]


# --- where tags come from ---


def test_it_is_explained_where_each_tag_of_a_machine_comes_from(tmp_path: Path) -> None:
    text = FLEET + '[tags]\nnamed = ["alpha"]\nvms = { select = "type:vm" }\n'
    found = explain(fleet(tmp_path, text), "machines.alpha.tags")

    assert found.value == ["all", "named", "nixos", "vms", "web"]
    assert [(d.place.line if d.place else 0, d.value, d.why) for d in found.definitions] == [
        (line_of(text, 'tags = ["web"]'), ["web"], None),
        (line_of(text, "named ="), ["named"], "tags.named.machines names it"),
        (line_of(text, "vms ="), ["vms"], "tags.vms.select selects it: type:vm"),
    ]


def test_the_command_tells_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, {"inventory.toml": FLEET + '[tags]\nvms = { select = "type:vm" }\n'})

    assert run(["inventory", "explain", "machines.gamma.tags", "--fleet", str(tmp_path)]) == 0
    assert '["vms"]  (tags.vms.select selects it: type:vm)' in capsys.readouterr().out


def test_a_fleet_without_selections_computes_none() -> None:
    assert "selected tags" not in load(REFERENCE).memo


# --- folders and entries ---


def test_folders_without_an_entry_and_entries_without_files_are_all_reported(tmp_path: Path) -> None:
    found = errors(tmp_path, TWO, {"machines/alhpa/configuration.nix": "", "machines/old/configuration.nix": ""})

    assert [(str(error.place), error.message, error.code) for error in found] == [
        ("inventory.toml:6:2", "there are no files in machines/alpha", "CP0120"),
        ("inventory.toml:11:2", "there are no files in machines/beta", "CP0120"),
        ("machines/alhpa", "the folder machines/alhpa belongs to no machine of the inventory", "CP0120"),
        ("machines/old", "the folder machines/old belongs to no machine of the inventory", "CP0120"),
    ]
    assert "'alpha'" in (found[2].hint or "")
