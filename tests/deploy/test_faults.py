"""Whatever goes wrong, and whenever: the machine ends on the old system or the new one, answers, and the table tells the truth."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from clanpy.lab import HostSpec
from clanpy.lab.base import is_made
from deploy.matrix import CASES, Case, OwnLab, healed, observe, verdict
from deploy.rehearsal import Rehearsal


BASE = "sid-systemd"
pytestmark = [pytest.mark.lab, pytest.mark.nix]
PLAIN = [case for case in CASES if not case.systemd]
WITH_SYSTEMD = [case for case in CASES if case.systemd]


def params(cases: list[Case]) -> list[object]:
    return [pytest.param(case, id=case.name, marks=pytest.mark.slow if case.slow else ()) for case in cases]


@pytest.mark.parametrize("case", params(PLAIN))
def test_the_machine_ends_whole(rehearse: Callable[..., Rehearsal], case: Case) -> None:
    fleet = rehearse(nixos=int(not case.darwin), darwin=int(case.darwin), disk=case.disk)
    with healed(fleet):
        seen = observe(fleet, case)
    assert verdict(case, seen) == "", seen


@pytest.mark.skipif(not is_made(BASE), reason=f"the base {BASE} has not been made here")
@pytest.mark.parametrize("case", params(WITH_SYSTEMD))
def test_a_machine_with_systemd_ends_whole(own_lab_name: Callable[[str], str], tmp_path: Path, case: Case) -> None:
    lab = OwnLab(own_lab_name("faults"), BASE, [HostSpec(name="s1", users=("admin",))])
    fleet = Rehearsal(lab, tmp_path, [lab.lab.host("s1")])  # type: ignore[arg-type]  # as much of a lent lab as it needs
    with healed(fleet):
        seen = observe(fleet, case)
    assert verdict(case, seen) == "", seen


def test_every_case_has_a_name_of_its_own() -> None:
    names = [(case.name, case.systemd) for case in CASES]
    assert len(set(names)) == len(names)


def test_the_page_tells_every_case_as_it_is_held_here() -> None:
    page = (Path(__file__).parents[2] / "docs/reliability.md").read_text(encoding="utf-8")
    told = [tuple(cell.strip() for cell in line.split("|")[1:6]) for line in page.splitlines() if line.startswith("| ")]
    held = [
        (
            case.fault,
            case.when,
            "-" if case.expect[0] is None else f"`{case.expect[0]}`",
            "-" if case.expect[1] is None else str(case.expect[1]),
            case.expect[2],
        )
        for case in CASES
    ]
    assert told[1:] == held
