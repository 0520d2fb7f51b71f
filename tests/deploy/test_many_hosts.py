"""Rollouts to many hosts of which some go wrong: the budget decides, nobody is left behind, and it costs what it should."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path

import pytest

from clanpy.errors import ExitCode
from support.many_hosts import ManyHosts, faults_of, how_it_went_on, what_is_wrong_with, where_it_has_to_stop


pytestmark = [pytest.mark.lab, pytest.mark.nix]
MOST_MEMORY = 400_000_000
FILES_A_HOST_AT_WORK = 6
HOSTS_AT_WORK = 64
OTHER_FILES = 64


def _roll_out_twice(many: ManyHosts, faults: Mapping[str, str]) -> None:
    """Once with a budget that allows what goes wrong, once with one that does not; mended in between and afterwards."""
    many.clanpy("machines", "update", "-y", "--at-once")
    for text, share in (("one", "100%"), ("two", "2%")):
        failed = Fraction(share.rstrip("%")) / 100
        ran = many.roll_out(text, faults, share)
        stop = where_it_has_to_stop(ran, failed)
        assert (stop is None) == (text == "one")
        assert list(how_it_went_on(ran, stop)) == []
        assert ran.exit_code in {ExitCode.ROLLED_BACK, ExitCode.BUDGET_SPENT}
        assert set(ran.result["hosts"]) == set(many.names)
        assert ran.memory < MOST_MEMORY
        assert ran.files < OTHER_FILES + FILES_A_HOST_AT_WORK * min(HOSTS_AT_WORK, len(many.names))
        assert not any(word in ran.complaints for word in ("Traceback", "CP0070"))
        many.heal()
        assert what_is_wrong_with(many.status()) == []
    ran = many.clanpy("machines", "update", "-y", "--at-once")
    assert ran.exit_code is ExitCode.DONE.value
    states = many.status()
    assert what_is_wrong_with(states) == []
    assert {host["state"] for host in states.values()} == {"current"}


def test_a_rollout_stops_or_goes_on_as_its_budget_says_and_leaves_no_host_between_two_systems(
    own_lab_name: Callable[[str], str], tmp_path: Path
) -> None:
    many = ManyHosts.up(tmp_path, own_lab_name("some"), 11)
    _roll_out_twice(many, {many.names[-1]: "broken", many.names[-2]: "kill-sessions"})


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_so_does_one_to_two_hundred_hosts_of_which_a_tenth_goes_wrong_in_all_kinds_of_ways(
    own_lab_name: Callable[[str], str], tmp_path: Path
) -> None:
    many = ManyHosts.up(tmp_path, own_lab_name("many"), 200)
    _roll_out_twice(many, faults_of(many.names))
