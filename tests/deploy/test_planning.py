"""Plans as values: names and versions, what is between two closures, groups, files, and what scripts say."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clanpy.activation.contents import Look, contents_here, understood
from clanpy.activation.errors import FactsError
from clanpy.deployment.applying import check_age, planned_systems
from clanpy.deployment.errors import PlanFileError, PlanTooOldError
from clanpy.deployment.plan import (
    Change,
    Delta,
    HostChange,
    Package,
    Plan,
    Units,
    changed_files,
    changed_packages,
    read_plan,
    reboot_reasons,
)
from clanpy.deployment.units import units_by_files, units_said
from clanpy.nix.names import in_order, package_of, parse_name
from clanpy.ui.plan import plan_lines, plan_page, plan_summary


NOW = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)
A, B = "a" * 32, "b" * 32

words = st.text("abcdef-.<&'🙂", min_size=1, max_size=8)
texts = st.lists(words, max_size=3, unique=True).map(lambda found: tuple(sorted(found)))
deltas = st.builds(Delta, added=texts, changed=texts, removed=texts)
units = st.builds(
    Units, source=st.sampled_from(["files", "dry-activate"]), stop=texts, restart=texts, reload=texts, start=texts
)
changes = st.builds(
    Change,
    slots=texts,
    first=st.booleans(),
    packages=st.lists(st.builds(Package, name=words, before=texts, after=texts), max_size=3).map(tuple),
    rebuilt=texts,
    files=deltas,
    units=st.none() | units,
    reboot=texts,
    secrets=deltas,
)


def host(name: str, change: Change, **more: object) -> HostChange:
    plain = HostChange(
        name=name,
        key="k",
        change=change,
        previous={"system": f"/nix/store/{A}-before"},
        wanted={"system": f"/nix/store/{B}-after"},
        secrets=(None, "nothing"),
    )
    return dataclasses.replace(plain, **more)  # type: ignore[arg-type]  # the tests' own keywords


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    known = draw(st.lists(changes, min_size=1, max_size=3))
    names = draw(st.lists(st.from_regex(r"[a-z]{1,6}", fullmatch=True), unique=True, max_size=6))
    hosts = [
        host(name, draw(st.sampled_from(known)), missing=(draw(st.integers(0, 9)), draw(st.integers(0, 1 << 40))))
        for name in sorted(names)
    ]
    return Plan(
        fleet=draw(words),
        made=NOW,
        revision=draw(st.none() | words),
        modified=draw(st.booleans()),
        hosts=tuple(hosts),
        errors={"lost": {"code": "CP0302", "message": "it is off"}} if draw(st.booleans()) else {},
    )


@given(plans())
def test_a_plan_that_was_saved_is_read_as_it_was(plan: Plan) -> None:
    assert read_plan(json.dumps(plan.to_dict())) == plan


@given(plans())
def test_every_machine_is_in_one_group_with_all_that_change_alike(plan: Plan) -> None:
    groups = plan.groups()
    told = [one.name for _, hosts in groups for one in hosts]
    assert sorted(told) == [one.name for one in plan.hosts]
    assert len({change for change, _ in groups}) == len(groups)
    assert all(one.change == change for change, hosts in groups for one in hosts)
    changing = [bool(change) for change, _ in groups]
    assert changing == sorted(changing, reverse=True)


@settings(deadline=None)  # the first one loads templates
@given(plans())
def test_every_plan_can_be_shown_to_people(plan: Plan) -> None:
    document = plan.to_dict()
    text, page = "\n".join(plan_lines(document)), plan_page(document)
    assert all(one.name in text and one.name in page for one in plan.hosts)
    assert "<&" not in page
    assert plan_summary(document).startswith(str(len(plan.hosts) + len(plan.errors)))


def test_why_nothing_is_known_of_a_machine_is_told_with_its_last_lines() -> None:
    error = {"code": "CP0204", "message": "it could not be built", "details": [*"abcdefg"], "hint": "look"}
    told = list(plan_lines(Plan(fleet="f", made=NOW, errors={"a": error}).to_dict()))
    assert told == ["a: it could not be built (CP0204)", *(f"    {line}" for line in "cdefg"), "  hint: look"]


@given(st.dictionaries(words, words), st.dictionaries(words, words))
def test_a_delta_is_all_that_tells_two_sides_apart(before: dict[str, str], after: dict[str, str]) -> None:
    delta = Delta.of(before, after)
    assert bool(delta) == (before != after)
    again = {name: what for name, what in before.items() if name not in delta.removed}
    again |= {name: after[name] for name in (*delta.added, *delta.changed)}
    assert again == after


@pytest.mark.parametrize(
    ("name", "parsed"),
    [
        ("hello-2.12", ("hello", "2.12")),
        ("nix", ("nix", "")),
        ("gtk+-3.24.1-dev", ("gtk+", "3.24.1-dev")),
        ("libfoo-bar-1.0-2", ("libfoo-bar", "1.0-2")),
        ("unit-a-.service", ("unit-a", ".service")),
        ("foo-", ("foo-", "")),
    ],
)
def test_names_are_parsed_as_nix_does(name: str, parsed: tuple[str, str]) -> None:
    assert parse_name(name) == parsed


@pytest.mark.nix
@settings(max_examples=5, deadline=None)  # a process each
@given(st.lists(st.text("ab1.-+_", min_size=1, max_size=10), min_size=1, max_size=40))
def test_nix_itself_parses_names_so(names: list[str]) -> None:
    if not shutil.which("nix-instantiate"):
        pytest.skip("there is no Nix here")
    said = subprocess.run(
        ["nix-instantiate", "--eval", "--strict", "--json", "--expr", f"map builtins.parseDrvName {_nix(names)}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert [(one["name"], one["version"]) for one in json.loads(said.stdout)] == [parse_name(name) for name in names]


def _nix(names: list[str]) -> str:
    return f"[ {' '.join(json.dumps(name) for name in names)} ]"


def test_the_outputs_of_a_package_are_one_package() -> None:
    assert package_of(f"/nix/store/{A}-glibc-2.38-44-bin") == ("glibc", "2.38-44")
    assert package_of(f"/nix/store/{A}-jq-1.7-lib") == package_of(f"/nix/store/{B}-jq-1.7") == ("jq", "1.7")


def test_versions_come_in_the_order_of_their_numbers() -> None:
    assert in_order({"1.10", "1.9", "1.9-pre"}) == ("1.9", "1.9-pre", "1.10")


def test_packages_come_go_change_and_are_built_anew() -> None:
    before = [f"/nix/store/{A}-{name}" for name in ("kept-1", "old-1.0", "moved-1.9", "same-2.0", "etc")]
    after = [
        f"/nix/store/{A}-kept-1",
        *(f"/nix/store/{B}-{name}" for name in ("new-3", "moved-1.10", "same-2.0", "etc")),
    ]
    packages, rebuilt = changed_packages(before, after)
    assert [(one.name, one.kind, one.before, one.after) for one in packages] == [
        ("moved", "changed", ("1.9",), ("1.10",)),
        ("new", "added", (), ("3",)),
        ("old", "removed", ("1.0",), ()),
    ]
    assert rebuilt == ("same",)


def test_a_changed_unit_is_told_once_and_not_again_for_each_link_to_it() -> None:
    unit, link = "systemd/system/a.service", "systemd/system/multi-user.target.wants/a.service"
    assert changed_files({unit: "1", link: "1"}, {unit: "2", link: "2"}).changed == (unit,)
    assert changed_files({}, {unit: "2", link: "2"}).added == (unit, link)


def test_a_reboot_is_needed_for_what_only_a_boot_exchanges() -> None:
    kernel = {n: {"kernel": f"/nix/store/{A}-linux-6.6.{n}/bzImage", "kernel-params": "quiet"} for n in (1, 2)}
    assert reboot_reasons(kernel[1], kernel[2]) == ("kernel 6.6.1 → 6.6.2",)
    assert reboot_reasons(kernel[1], {**kernel[1], "kernel-params": "loud"}) == ("kernel parameters",)
    assert reboot_reasons(kernel[1], kernel[1]) == reboot_reasons({}, kernel[1]) == ()


def test_what_becomes_of_units_is_read_from_what_a_system_says() -> None:
    said = [
        "would stop the following units: old.service",
        "would NOT stop the following changed units: dbus.service",
        "would activate the configuration...",
        "would restart systemd",
        "would restart the following units: b.service, a.service",
        "would reload the following units: dbus.service",
        "would start the following units: new.timer",
    ]
    assert units_said(said) == Units(
        source="dry-activate",
        stop=("old.service",),
        restart=("a.service", "b.service", "systemd"),
        reload=("dbus.service",),
        start=("new.timer",),
    )


def test_without_the_system_there_units_are_expected_by_their_files() -> None:
    folder = "systemd/system"
    files = Delta(
        added=(f"{folder}/a.service", f"{folder}/b@.service", f"{folder}/x.wants/a.service", "hosts"),
        changed=(f"{folder}/c@1.service",),
        removed=(f"{folder}/d.timer",),
    )
    assert units_by_files(files) == Units(
        source="files", start=("a.service",), restart=("c@1.service",), stop=("d.timer",)
    )


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "clanpy.plan/2"}', '{"schema": "clanpy.plan/1"}', '"x"'])
def test_what_is_no_plan_is_told_as_that(text: str) -> None:
    with pytest.raises(PlanFileError):
        read_plan(text)


def test_a_plan_may_be_as_old_as_is_said() -> None:
    plan = Plan(fleet="f", made=NOW)
    check_age(plan, timedelta(hours=1), NOW + timedelta(hours=1))
    check_age(plan, None, NOW + timedelta(days=400))
    with pytest.raises(PlanTooOldError, match="1h01m old, and may be 1h00m"):
        check_age(plan, timedelta(hours=1), NOW + timedelta(minutes=61))


def test_only_machines_that_change_are_updated_by_a_plan() -> None:
    plan = Plan(fleet="f", made=NOW, hosts=(host("a", Change()), host("b", Change(slots=("system",)))))
    assert planned_systems(plan) == {"b": (f"/nix/store/{A}-before", f"/nix/store/{B}-after")}


async def test_files_are_told_by_what_they_hold_wherever_links_lead(tmp_path: Path) -> None:
    for side, text in (("old", "one"), ("new", "two")):
        etc = tmp_path / side / "etc"
        (etc / "deep").mkdir(parents=True)
        (tmp_path / f"{side}-units").mkdir()
        (tmp_path / f"{side}-units" / "a.service").write_text("same")
        (etc / "systemd").mkdir()
        (etc / "systemd" / "system").symlink_to(tmp_path / f"{side}-units")
        (etc / "deep" / "with space").write_text(text)
        (tmp_path / f"{side}-same").write_text("same")
        (etc / "same").symlink_to(tmp_path / f"{side}-same")
        (etc / "folder").symlink_to(tmp_path)
        (etc / "dangling").symlink_to("/nowhere")
    old, new = str(tmp_path / "old" / "etc"), str(tmp_path / "new" / "etc")

    found = await contents_here(Look(trees=(old, new, str(tmp_path / "missing"))))

    assert set(found.trees[new]) == {
        "deep/with space",
        "same",
        "folder",
        "dangling",
        "systemd/system",
        "systemd/system/a.service",
    }
    assert changed_files(found.trees[old], found.trees[new]).changed == ("deep/with space",)
    assert found.trees[str(tmp_path / "missing")] == {}


async def test_what_only_a_boot_exchanges_is_told_of_a_system(tmp_path: Path) -> None:
    (tmp_path / "linux").write_text("")
    (tmp_path / "system").mkdir()
    (tmp_path / "system" / "kernel").symlink_to(tmp_path / "linux")
    (tmp_path / "system" / "kernel-params").write_text("quiet loglevel=4")
    found = await contents_here(Look(boots=(str(tmp_path / "system"),)))
    assert found.boots[str(tmp_path / "system")] == {
        "kernel": str(tmp_path / "linux"),
        "kernel-params": "quiet loglevel=4",
    }


def test_what_breaks_off_or_misses_a_path_is_no_answer() -> None:
    look = Look(closure=("/nix/store/x",))
    for lines in ([], ["@end=contents"], ["|path /nix/store/x", "|path all"]):
        with pytest.raises(FactsError):
            understood("host", look, lines)
    assert understood("host", look, ["|path /nix/store/x", "|path all", "@end=contents"]).closure == {"/nix/store/x"}
