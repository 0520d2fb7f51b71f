"""Machines selected by what is so now, and by what has changed since a revision of git: without any host."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import clanpy.nix
from clanpy.deployment.options import Surroundings
from clanpy.deployment.selecting import RevisionError, changed_since, live_kind
from clanpy.errors import NothingMatchedError
from clanpy.events import Bus, HostFinished, Outcome, RunFinished, RunStarted, Stage, StageStarted
from clanpy.inventory import load
from clanpy.journal import Journal
from clanpy.machines import select
from clanpy.nix.inputs import InputOverrides
from clanpy.ssh import Target


FLAKE = '{ inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable"; outputs = inputs: { }; }\n'
INVENTORY = '[meta]\nname = "test"\n' + "".join(
    f'[machines.{name}]\nclass = "nixos"\nsystem = "x86_64-linux"\n' for name in ("alpha", "beta", "gamma")
)
NAMES = ("alpha", "beta", "gamma")


def _git(root: Path, *words: str) -> None:
    who = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org"]
    subprocess.run(["git", "-C", str(root), *who, *words], check=True, capture_output=True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A fleet of three machines that share an aspect, in the first commit of a repository in a folder of it."""
    fleet = tmp_path / "repository" / "fleet"
    files = {"flake.nix": FLAKE, "inventory.toml": INVENTORY + '[tags]\nall = { imports = ["base"] }\n'}
    files |= {f"machines/{name}/configuration.nix": "{ }\n" for name in NAMES}
    files["modules/nixos/base.nix"] = "{ }\n"
    for name, text in files.items():
        (fleet / name).parent.mkdir(parents=True, exist_ok=True)
        (fleet / name).write_text(text)
    _git(fleet.parent, "init", "-q")
    _git(fleet.parent, "add", "-A")
    _git(fleet.parent, "commit", "-q", "-m", "first")
    return fleet


def _surroundings(root: Path) -> Surroundings:
    return Surroundings(
        fleet=load(root),
        targets=dict[str, tuple[Target, ...]](),
        overrides=InputOverrides(every=Path(clanpy.nix.__path__[0]) / "mini"),
        cache=root.parent.parent / "cache",
    )


def _changed(root: Path, revision: str = "HEAD") -> list[str]:
    return sorted(changed_since(_surroundings(root), revision, NAMES))


def test_nothing_has_changed_while_nothing_has(root: Path) -> None:
    assert _changed(root) == []
    (root / "README.md").write_text("for people\n")
    (root / "modules/nixos/unused.nix").write_text("{ }\n")
    assert _changed(root) == []


def test_a_machine_has_changed_when_a_file_of_its_own_has(root: Path) -> None:
    (root / "machines/beta/configuration.nix").write_text('{ networking.domain = "x"; }\n')
    assert _changed(root) == ["beta"]


def test_all_machines_have_changed_when_what_they_share_has(root: Path) -> None:
    (root / "modules/nixos/base.nix").write_text('{ networking.domain = "x"; }\n')
    assert _changed(root) == list(NAMES)
    _git(root, "commit", "-q", "-am", "second")
    assert _changed(root) == []
    assert _changed(root, "HEAD~1") == list(NAMES)


def test_a_machine_that_was_not_there_has_changed(root: Path) -> None:
    (root / "inventory.toml").write_text(INVENTORY.replace("gamma", "delta") + '[tags]\nall = { imports = ["base"] }\n')
    (root / "machines/gamma").rename(root / "machines/delta")
    assert sorted(changed_since(_surroundings(root), "HEAD", ("alpha", "beta", "delta"))) == ["delta"]


def test_a_revision_that_is_not_there_is_said(root: Path) -> None:
    with pytest.raises(RevisionError, match="the fleet of revision 'nowhere' can't be had"):
        _changed(root, "nowhere")


def _record(journal: Journal, outcomes: dict[str, Outcome]) -> None:
    recorder = journal.begin()
    bus = Bus(recorder.run, (recorder,))
    bus.emit(RunStarted(command="update", fleet="test", hosts=list(outcomes)))
    for name, outcome in outcomes.items():
        bus.emit(StageStarted(host=name, stage=Stage.ACTIVATE))
        bus.emit(HostFinished(host=name, outcome=outcome, seconds=1.0))
    bus.emit(RunFinished(exit_code=0, outcomes={}, seconds=1.0))
    recorder.close()


def test_machines_are_selected_by_how_they_were_last_deployed(root: Path, tmp_path: Path) -> None:
    surroundings, journal = _surroundings(root), Journal(tmp_path / "state")
    kinds = [live_kind(surroundings, journal)]
    with pytest.raises(NothingMatchedError):
        select(surroundings.fleet, ["is:failed"], more=kinds)
    _record(journal, {"alpha": Outcome.FAILED, "beta": Outcome.CONFIRMED, "gamma": Outcome.ROLLED_BACK})
    assert [machine.name for machine in select(surroundings.fleet, ["is:failed"], more=kinds)] == ["alpha", "gamma"]
    _record(journal, {"alpha": Outcome.CONFIRMED})
    assert [m.name for m in select(surroundings.fleet, ["is:failed and not beta"], more=kinds)] == ["gamma"]
    assert [m.name for m in select(surroundings.fleet, ["is:changed"], more=kinds)] == list(NAMES)


def test_a_state_that_there_is_not_names_those_that_there_are(root: Path, tmp_path: Path) -> None:
    surroundings = _surroundings(root)
    with pytest.raises(NothingMatchedError) as caught:
        select(surroundings.fleet, ["is:faild"], more=[live_kind(surroundings, Journal(tmp_path / "state"))])
    assert caught.value.hint == "did you mean 'failed'?"
