"""docs/json.md names the fields that the commands print: exactly these, and no others."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from clanpy.deployment.status import SCHEMA, HostStatus
from clanpy.errors import ClanpyError
from clanpy.events import Event, Fact, HostFinished, LogLine, Outcome, RunStarted, Stage
from clanpy.inventory import load
from clanpy.journal import Journal, RunState
from support.clan import write_clan
from support.fleets import META, write
from support.lab import LentLab


ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
Tree = dict[str, "Tree"]


def section(heading: str) -> str:
    """What stands below a heading, up to the next."""
    found = re.search(rf"^##+ {re.escape(heading)}\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"docs/json.md has no section '{heading}'"
    return found[1]


def documented(heading: str, after: str = "\n") -> Tree:
    """The fields that a table of a section names (the first, or the one after some words), as a tree: `[].a`, `b.*.c`."""
    tree: Tree = {}
    table = re.search(r"^\| Field \|.*?(?=\n\n|\Z)", section(heading).partition(after)[2], re.MULTILINE | re.DOTALL)
    assert table
    for line in table[0].splitlines():
        cell = re.match(r"\| `([^`]+)` \|", line)
        if cell:
            here = tree
            for part in cell[1].replace("[]", ".[]").strip(".").split("."):
                here = here.setdefault(part, {})
    return tree


def differences(tree: Tree, value: Any, path: str = "") -> Iterator[str]:
    """Fields that are printed and not documented, or documented and not printed."""
    if not tree or value is None:
        return
    if isinstance(value, list):
        assert set(tree) == {"[]"}, f"{path} is a list"
        for item in value:
            yield from differences(tree["[]"], item, f"{path}[]")
        return
    assert isinstance(value, Mapping), f"{path} is {value!r}, and fields of it are documented"
    if set(tree) == {"*"}:
        for name, item in value.items():
            yield from differences(tree["*"], item, f"{path}.{name}")
        return
    yield from (f"{path}.{name} is not documented" for name in value.keys() - tree.keys())
    yield from (f"{path}.{name} is not there" for name in tree.keys() - value.keys())
    for name in value.keys() & tree.keys():
        yield from differences(tree[name], value[name], f"{path}.{name}")


def printed(*arguments: str, stream: str = "stdout") -> Any:
    """The document that a command prints about the fleet of this repository."""
    words = [sys.executable, "-m", "clanpy", "--fleet", str(ROOT), *arguments, "--json"]
    result = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    return json.loads(getattr(result, stream))


@pytest.mark.parametrize(
    ("heading", "arguments"),
    [
        ("machines list", ("machines", "list")),
        ("inventory show", ("inventory", "show")),
        ("inventory explain", ("inventory", "explain", "machines.cinnabar.tags")),
        ("inventory options", ("inventory", "options")),
        ("inventory set", ("inventory", "set", "meta.name", "other", "--dry-run")),
        ("inventory members", ("inventory", "members")),
        ("inventory of", ("inventory", "of", "cinnabar")),
        ("services list", ("services", "list")),
        ("services show", ("services", "show", "sshd")),
        ("networks list", ("networks", "list")),
        ("networks ping", ("networks", "ping", "cinnabar", "--target-host", "root@127.0.0.1:1")),
        ("users list", ("users", "list")),
        ("users keys", ("users", "keys")),
        ("home list", ("home", "list")),
        ("modules list", ("modules", "list")),
        ("check", ("check",)),
        ("explain", ("explain",)),
        ("lab fault", ("lab", "fault")),
    ],
)
def test_what_a_command_prints_is_documented(heading: str, arguments: Sequence[str]) -> None:
    assert list(differences(documented(heading), printed(*arguments))) == []


@pytest.mark.parametrize("machine", ["galena", "blackphos"])
def test_what_is_printed_of_one_machine_is_documented(machine: str) -> None:
    document = printed("machines", "show", machine)
    tree = documented("machines show")
    kinds = {"path", "arguments", "data"}  # which of them a module has depends on its kind
    modules = [*document["modules"], *(module for home in document["homes"].values() for module in home)]
    for module in modules:
        has = kinds & module.keys()
        assert has == ({"data"} if module["kind"] == "data" else {"path", "arguments"})
        module.update(dict.fromkeys(kinds))
    tree["homes"]["*"] = tree["modules"]

    assert list(differences(tree, document)) == []


def test_what_init_prints_is_documented(tmp_path: Path) -> None:
    assert list(differences(documented("init"), printed("init", str(tmp_path / "new"), "--no-vars"))) == []


def test_what_is_said_of_a_clan_is_documented(tmp_path: Path) -> None:
    clan = str(write_clan(tmp_path / "clan"))

    assert list(differences(documented("init from a clan"), printed("init", "--from-clan", clan))) == []


def test_an_error_is_documented() -> None:
    assert list(differences(documented("Errors"), printed("machines", "list", "nobody", stream="stderr"))) == []


def test_several_errors_at_once_are_documented() -> None:
    document = printed("machines", "list", "nobody", "noone", stream="stderr")

    assert document["code"] == "CP0014"
    assert {"errors"} == document.keys() - documented("Errors").keys()
    assert [set(error) | {"schema"} for error in document["errors"]] == [set(documented("Errors"))] * 2


def test_events_and_their_fields_are_documented() -> None:
    table = dict(re.findall(r"^\| `(\w+)` \|(.*)\|$", section("Events").split("| `event` | Further")[1], re.MULTILINE))

    for fact in Fact.__subclasses__():
        own = {field.name for field in fields(fact)} - {"host"}
        assert own <= set(re.findall(r"`(\w+)`", table[fact.name])), fact.name
    event = Event(seq=1, ts=datetime.now(UTC), run="r", fact=LogLine(host="a", stage=Stage.COPY, line="x")).to_dict()
    assert list(documented("Events")) == [key for key in event if key not in {"stage", "line"}]


def test_stages_and_outcomes_are_documented() -> None:
    text = section("Events")

    assert all(f"`{stage}`" in text for stage in Stage)
    outcomes = text.split("| Outcome |")[1]
    assert re.findall(r"^\| `(\w+)` \|", outcomes, re.MULTILINE) == [str(outcome) for outcome in Outcome]


def test_the_state_of_a_run_is_documented(tmp_path: Path) -> None:
    state = run_of_one_failure(tmp_path)
    tree = documented("Result of a run")

    assert list(differences(documented("runs show"), state.to_dict())) == []
    assert state.to_dict()["hosts"]["cinnabar"]["error"] is not None
    assert list(differences(tree, {**state.to_dict(), "dry_run": False, "round_trips": {}, "nix_processes": 0})) == []


def test_the_status_of_a_machine_is_documented() -> None:
    unreachable = HostStatus(machine=load(ROOT).machines["galena"], error=ClanpyError("it is off")).to_dict()

    assert list(differences(documented("machines status"), {"schema": SCHEMA, "machines": [unreachable]})) == []


@pytest.mark.lab
@pytest.mark.nix
def test_what_is_printed_of_real_hosts_is_documented(lab: LentLab, tmp_path: Path) -> None:
    name = lab.host().name
    inventory = f'{META}[machines.{name}]\nclass = "nixos"\nsystem = "x86_64-linux"\n'
    flake = (ROOT / "flake.nix").read_text(encoding="utf-8")
    files = {"inventory.toml": inventory, "flake.nix": flake, f"machines/{name}/configuration.nix": "{ }"}
    fleet = write(tmp_path, files)

    def told(heading: str, *arguments: str) -> list[str]:
        words = ("--fleet", str(fleet), f"--lab={lab.name}", *arguments)
        return list(differences(documented(heading), last_document(words, tmp_path)))

    assert told("machines diff", "machines", "diff") == []
    assert told("Result of a run", "machines", "update") == []
    assert told("machines status", "machines", "status") == []
    assert told("doctor", "doctor") == []
    assert told("machines exec", "machines", "exec", "--", "true") == []
    assert told("lab status", "lab", "status") == []
    assert told("runs show", "runs", "show") == []
    run_quietly(fleet, tmp_path, f"--lab={lab.name}", "runs", "show")  # for people: another way through the program


def test_what_is_printed_of_vars_and_secrets_is_documented(tmp_path: Path) -> None:
    machine = '[machines.alpha]\nclass = "nixos"\nsystem = "x86_64-linux"\n'
    files = {"inventory.toml": f"{META}{machine}", "vars.toml": VARS, "machines/alpha/configuration.nix": "{ }"}
    fleet = write(tmp_path / "fleet", files)

    def run(*arguments: str) -> Any:
        return last_document(("--fleet", str(fleet), *arguments), tmp_path)

    def told(heading: str, *arguments: str, after: str = "\n") -> list[str]:
        return list(differences(documented(heading, after), run(*arguments)))

    run_quietly(fleet, tmp_path, "vars", "keygen", "--user", "ada")
    assert told("vars generate", "vars", "generate", "--plan") == []
    made = run("vars", "generate")
    assert made["steps"]
    assert made.keys() - documented("vars generate") == set(documented("vars generate", "one more:"))
    assert told("vars list", "vars", "list", "alpha") == []
    run_quietly(fleet, tmp_path, "secrets", "users", "add", "ben", "--age-key", BEN)
    run_quietly(fleet, tmp_path, "secrets", "groups", "add", "admins", "--user", "ada", "--user", "ben")
    assert told("vars fix", "vars", "fix") == []
    assert told("vars check", "vars", "check") == []
    assert told("secrets audit", "secrets", "audit") == []
    assert told("secrets key show", "secrets", "key", "show") == []
    assert told("secrets users list", "secrets", "users", "list") == []
    assert told("secrets users list", "secrets", "groups", "list") == []
    commit(fleet)
    assert told("secrets audit", "secrets", "audit", "--history", after="a list instead:") == []


BEN = "age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg"
VARS = """
[settings]
default_groups = ["admins"]
[generators.token]
kind = "token"
[generators.key]
kind = "ssh-key"
share = true
"""


def run_quietly(fleet: Path, folder: Path, *arguments: str) -> None:
    words = [sys.executable, "-m", "clanpy", "--fleet", str(fleet), *arguments]
    result = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60, env=environment(folder))
    assert result.returncode == 0, result.stderr


def commit(folder: Path) -> None:
    author = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    for words in (("init", "-q"), ("add", "-A"), (*author, "commit", "-q", "-m", "All of it")):
        subprocess.run(["git", *words], cwd=folder, check=True, timeout=30)


def environment(folder: Path) -> dict[str, str]:
    """An environment of somebody's own: with the keys, the state and the cache that are in a folder."""
    own = {"HOME": str(folder), "CLANPY_STATE": str(folder / "state"), "XDG_CACHE_HOME": str(folder / "cache")}
    rest = {name: value for name, value in os.environ.items() if not name.startswith(("SOPS_", "XDG_"))}
    return {**rest, **own}


def last_document(words: Sequence[str], folder: Path) -> Any:
    """What a command prints: one document, or the last of JSON Lines."""
    result = subprocess.run(
        [sys.executable, "-m", "clanpy", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**environment(folder), "CLANPY_JSON": "1"},
    )
    assert result.returncode == 0, result.stdout + result.stderr
    try:
        return json.loads(result.stdout)
    except ValueError:
        return json.loads(result.stdout.splitlines()[-1])


def run_of_one_failure(folder: Path) -> RunState:
    recorder = Journal(folder).begin()
    error = ClanpyError("it failed").to_dict()
    ended = HostFinished(host="cinnabar", outcome=Outcome.FAILED, seconds=1.0, error=error)
    for n, fact in enumerate([RunStarted(command="update", fleet="f", hosts=["cinnabar"]), ended], start=1):
        recorder(Event(seq=n, ts=datetime.now(UTC), run=recorder.run, fact=fact))
    recorder.close()
    return Journal(folder).read("last")
