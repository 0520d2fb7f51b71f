"""Every command that takes machines takes selections of them."""

from __future__ import annotations

import pytest

from clanpy.cli.program import run
from support.fleets import REFERENCE


SEVERAL = (
    "machines list",
    "machines build",
    "machines update --yes",
    "machines status",
    "machines exec",
    "vars generate --plan",
    "vars rotate --plan",
    "vars check",
    "vars fix",
    "inventory graph",
    "generate {tmp}/out",
    "doctor",
    "networks ping",
)
ONE = (
    "machines show",
    "machines rollback",
    "inventory show",
    "vars list",
    "vars get",
    "vars set",
)
BEHIND = {"machines exec": ["--", "true"], "vars get": ["a/b"], "vars set": ["a/b"]}


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    for name in ("CLANPY_JSON", "CLANPY_LAB", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLANPY_STATE", f"{tmp_path}/state")
    monkeypatch.setenv("XDG_CACHE_HOME", f"{tmp_path}/cache")
    monkeypatch.setenv("CLANPY_FLEET", str(REFERENCE))


def told(command: str, selection: str, capsys: pytest.CaptureFixture[str], tmp_path: object) -> tuple[int, str]:
    more = [word.format(tmp=tmp_path) for word in BEHIND.get(command, ())]
    code = run([*command.format(tmp=tmp_path).split(), selection, *more])
    return int(code), capsys.readouterr().err


@pytest.mark.parametrize("command", [*SEVERAL, *ONE])
def test_what_a_selection_names_wrongly_is_told_before_anything_is_done(
    command: str, capsys: pytest.CaptureFixture[str], tmp_path: object
) -> None:
    code, said = told(command, "tag:gup and not type:laptop", capsys, tmp_path)

    assert "error: there is no tag 'gup' (CP0011)" in said
    assert "did you mean 'gpu'" in said
    assert code == 64


@pytest.mark.parametrize("command", [*SEVERAL, *ONE])
def test_a_selection_that_can_not_be_read_is_told_with_a_mark(
    command: str, capsys: pytest.CaptureFixture[str], tmp_path: object
) -> None:
    code, said = told(command, "tag:gpu and", capsys, tmp_path)

    assert "error: a selection is missing behind 'and' (CP0127)\n    tag:gpu and\n               ^\n" in said
    assert code == 2


@pytest.mark.parametrize("command", ONE)
def test_where_one_machine_is_needed_several_are_refused(
    command: str, capsys: pytest.CaptureFixture[str], tmp_path: object
) -> None:
    code, said = told(command, "class:nixos", capsys, tmp_path)

    assert "'class:nixos' selects 4 machines, and one is needed" in said
    assert code == 2
