"""The program from outside: what it costs, what it says when something is wrong, and with which code it ends."""

import json
import os
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
import typer.main

from clanpy import __version__
from clanpy.cli import complete
from clanpy.cli.program import COMMANDS, hoisted, lab_name, run
from clanpy.errors import ClanpyError, ExitCode


HEAVY = ("asyncssh", "cryptography", "jinja2", "pydantic", "rich", "tomlkit", "tree_sitter", "asyncio", "ssl")


def clanpy(*words: str, cwd: Path | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "clanpy", *words],
        cwd=cwd,
        env={**os.environ, "PYTHONWARNINGS": "default", **environ},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLANPY_STATE", str(tmp_path / "state"))


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    (tmp_path / "inventory.toml").write_text(
        '[machines.cinnabar]\ntags = ["cloud"]\n[machines.galena]\n[tags.peers]\nmachines = ["galena"]\n'
    )
    (tmp_path / "machines" / "stibnite").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize("words", [["--help"], ["--version"]])
def test_help_and_version_import_nothing_heavy(words: list[str]) -> None:
    script = f"import sys; from clanpy.cli.program import run; run({words!r}); print('\\n'.join(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    loaded = {line.split(".")[0] for line in shown.splitlines()}
    assert loaded.isdisjoint(HEAVY)
    assert "clanpy" in loaded


def test_help_names_every_command() -> None:
    shown = clanpy("--help")
    assert shown.returncode == 0
    assert all(name in shown.stdout for name in COMMANDS)


def test_the_version_is_told() -> None:
    assert clanpy("--version").stdout == f"clanpy {__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_is_there(name: str) -> None:
    module, _, attribute = COMMANDS[name].target.partition(":")
    if find_spec(module) is None:
        pytest.fail(f"{module} is named in the table of commands and does not exist")
    assert hasattr(import_module(module), attribute)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["machines", "update", "--lab"], ["--lab=1", "machines", "update"]),
        (["machines", "--lab=two", "update"], ["--lab=two", "machines", "update"]),
        (["check", "--fleet", "x", "-v"], ["--fleet", "x", "-v", "check"]),
        (["check", "--fleet=x"], ["--fleet=x", "check"]),
        (["machines", "exec", "--", "ls", "--lab", "-v"], ["machines", "exec", "--", "ls", "--lab", "-v"]),
        (["check", "--fleet"], ["--fleet", "check"]),
    ],
)
def test_global_options_may_stand_anywhere(words: list[str], expected: list[str]) -> None:
    assert hoisted(words) == expected


@pytest.mark.parametrize(
    ("value", "name"),
    [(None, None), ("", None), ("0", None), ("no", None), ("1", "lab"), ("TRUE", "lab"), ("two", "two")],
)
def test_the_lab_is_named_by_option_or_environment(value: str | None, name: str | None) -> None:
    assert lab_name(value) == name


def test_a_mistyped_command_is_met_with_the_nearest_one() -> None:
    shown = clanpy("machnes")
    assert shown.returncode == ExitCode.USAGE
    assert shown.stderr == "error: No such command 'machnes'\n\nhint: did you mean 'machines'?\n"


def test_a_wrong_option_is_a_usage_error_in_json_when_json_was_asked_for() -> None:
    shown = clanpy("explain", "--json", "--nonsense")
    assert shown.returncode == ExitCode.USAGE
    assert json.loads(shown.stderr)["code"] == "CP0010"


def test_an_error_code_is_explained() -> None:
    shown = clanpy("explain", "cp0011", "--json")
    assert json.loads(shown.stdout)[0] | {"meaning": ""} == {"code": "CP0011", "meaning": "", "exit_code": 64}


def test_an_unknown_error_code_is_met_with_the_nearest_one() -> None:
    shown = clanpy("explain", "CP00111")
    assert shown.returncode == ExitCode.NOTHING_MATCHED
    assert "'CP0011'" in shown.stderr


def raising(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_app: object) -> None:
        raise error

    monkeypatch.setattr(typer.main, "get_command", fail)


def test_an_error_gives_its_exit_code_and_its_hint(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(ClanpyError("galena is on fire", hint="call somebody"), monkeypatch)
    assert run(["check"]) == ExitCode.HOSTS_FAILED
    assert capsys.readouterr().err == "error: galena is on fire (CP0001)\n\nhint: call somebody\n"


def test_an_error_is_json_when_json_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(ClanpyError("galena is on fire"), monkeypatch)
    run(["check", "--json"])
    shown = json.loads(capsys.readouterr().err)
    assert (shown["schema"], shown["message"]) == ("clanpy.error/1", "galena is on fire")


def test_a_bug_is_one_line_and_a_report_without_values(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    raising(ZeroDivisionError("by zero"), monkeypatch)
    assert run(["machines", "exec", "--", "echo", "hunter2"]) == ExitCode.BUG
    shown = capsys.readouterr().err
    report = next((tmp_path / "state" / "crashes").iterdir())
    assert shown == f"error: clanpy has a bug: ZeroDivisionError: by zero; the report is in {report} (CP0070)\n"
    assert "Traceback" in report.read_text()
    assert "hunter2" not in report.read_text()


def test_a_traceback_is_shown_only_when_debugging(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(ClanpyError("galena is on fire"), monkeypatch)
    run(["check", "--debug"])
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    raising(KeyboardInterrupt(), monkeypatch)
    assert run(["check"]) == ExitCode.INTERRUPTED


def test_machines_complete_from_the_inventory_and_the_folders(fleet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(fleet / "machines")
    assert [m for m in complete.complete_machines("") if ":" not in m] == ["cinnabar", "galena", "stibnite"]
    assert complete.complete_machines("c") == ["cinnabar"]


def test_tags_complete_the_last_of_a_list(fleet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLANPY_FLEET", str(fleet))
    assert complete.complete_tags("cloud,p") == ["cloud,peers"]
    assert complete.complete_tags("") == ["all", "cloud", "darwin", "nixos", "peers"]


def test_completion_never_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert complete.complete_machines("") == []
    (tmp_path / "inventory.toml").write_text("[machines\n")
    assert complete.complete_machines("") == []
    assert complete.complete_runs("") == []


def test_runs_complete_newest_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLANPY_STATE", str(tmp_path))
    for run_id in ("260101-000000-aa", "260102-000000-aa"):
        (tmp_path / "home" / "runs" / run_id).mkdir(parents=True)
        (tmp_path / "home" / "runs" / run_id / "events.jsonl").touch()
    assert complete.complete_runs("26") == ["260102-000000-aa", "260101-000000-aa"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_script_for_each_shell(shell: str) -> None:
    assert "_CLANPY_COMPLETE" in clanpy("completion", shell).stdout


def completed(line: str, fleet: Path) -> list[str]:
    words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1), "_CLANPY_COMPLETE": "complete_bash"}
    return clanpy(cwd=fleet, **words).stdout.split()


def test_the_shell_completes_commands_and_machines(fleet: Path) -> None:
    assert completed("clanpy mach", fleet) == ["machines"]
    assert completed("clanpy --lab machines upd", fleet) == ["update"]
    assert completed("clanpy machines update c", fleet) == ["cinnabar"]
