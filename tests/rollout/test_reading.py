"""Policies as they are written in the inventory."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from clanpy.errors import NothingMatchedError, UsageError
from clanpy.inventory.loading import load, load_all
from clanpy.inventory.rollouts import after_of
from clanpy.rollout.policy import Budget, Canary, OnStop, Policy, Promote, WaveSpec
from clanpy.rollout.reading import check_rollouts, parse_duration, policy_from, policy_named
from clanpy.rollout.share import Share


HEAD = '[meta]\nname = "test"\n\n[machines.web]\nclass = "nixos"\nsystem = "x86_64-linux"\n\n'
CAREFUL = """\
[rollout.careful]
canary = { hosts = 1, select = "tag:canary", bake = "10m", promote = "manual" }
waves = ["10%", 5, { select = "tag:web", bake = "1h30m" }]
max_unavailable = "20%"
bake = "5m"
budget = { failed = "2%", consecutive = 3 }
on_stop = "revert-wave"
freeze = ["fri 16:00-mon 08:00"]
"""


def _fleet(root: Path, text: str) -> Path:
    (root / "machines/web").mkdir(parents=True)
    (root / "machines/web/configuration.nix").write_text("{ }")
    (root / "inventory.toml").write_text(HEAD + text)
    return root


def test_a_policy_is_what_the_inventory_says(tmp_path: Path) -> None:
    policy = policy_named(load(_fleet(tmp_path, CAREFUL)), "careful")
    assert policy is not None
    assert policy.canary == Canary(
        hosts=Share(count=1), select="tag:canary", bake=timedelta(minutes=10), promote=Promote.MANUAL
    )
    assert policy.waves == (
        WaveSpec(upto=Share.parse("10%")),
        WaveSpec(upto=Share(count=5)),
        WaveSpec(select="tag:web", bake=timedelta(minutes=90)),
    )
    assert policy.budget == Budget(failed=Share.parse("2%"), consecutive=3)
    assert (policy.bake, policy.on_stop) == (timedelta(minutes=5), OnStop.REVERT_WAVE)
    assert [str(window) for window in policy.freeze] == ["fri 16:00-mon 08:00"]


def test_a_policy_that_says_nothing_is_the_plain_one(tmp_path: Path) -> None:
    assert policy_from({}) == Policy()
    assert policy_named(load(_fleet(tmp_path, "")), None) is None


def test_the_policy_called_default_is_taken_where_none_is_named(tmp_path: Path) -> None:
    policy = policy_named(load(_fleet(tmp_path, '[rollout.default]\nbake = "1m"\n')), None)
    assert policy == Policy(bake=timedelta(minutes=1))


def test_a_rollout_that_is_not_there_names_what_is_near(tmp_path: Path) -> None:
    with pytest.raises(NothingMatchedError) as caught:
        policy_named(load(_fleet(tmp_path, CAREFUL)), "carefull")
    assert caught.value.hint == "did you mean 'careful'?"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('waves = ["x"]', "'rollout.bad.waves.0' should be a number of machines or a share of the machines"),
        ("bake = 5", "'rollout.bad.bake' should be a duration and is a number (5)"),
        ('on_stop = "rewert"', "'rollout.bad.on_stop' should be 'hold' or 'revert-wave' or 'revert-all'"),
        ('waves = [{ selct = "a" }]', "unknown key 'selct' in 'rollout.bad.waves.0'"),
        ("straggler.factor = -1", "'rollout.bad.straggler.factor' should be"),
    ],
)
def test_a_mistake_in_a_policy_is_told_at_its_line(tmp_path: Path, text: str, said: str) -> None:
    found = [str(error) for error in load_all(_fleet(tmp_path, f"[rollout.bad]\n{text}\n")).errors]
    assert len(found) == 1
    assert found[0].startswith("inventory.toml:9:")
    assert said in found[0]


@pytest.mark.parametrize("text", ['freeze = ["sometimes"]', 'waves = ["250%"]'])
def test_what_types_do_not_see_is_found_by_a_check_with_its_place(tmp_path: Path, text: str) -> None:
    (error,) = check_rollouts(load(_fleet(tmp_path, f"[rollout.bad]\n{text}\n")))
    assert str(error).startswith("inventory.toml:8:2: ")


def test_a_machine_may_come_after_others(tmp_path: Path) -> None:
    fleet = load(_fleet(tmp_path, '[machines.web.deploy]\nafter = ["tag:behind"]\n'))
    assert after_of(fleet) == {"web": ("tag:behind",)}


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("10m", 600), ("1h30m", 5400), ("2d", 172800), ("5ms", 0.005)]
)
def test_a_duration_has_units(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "10", "m", "10 m", "1h x", "-5m"])
def test_what_is_no_duration_is_said(text: str) -> None:
    with pytest.raises(UsageError, match="is no duration"):
        parse_duration(text)
