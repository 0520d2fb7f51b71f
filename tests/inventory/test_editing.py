"""Values of the inventory set and unset: in which file, of which type, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clanpy.cli.program import run
from clanpy.errors import ClanpyError, NothingMatchedError, UsageError
from clanpy.inventory import load
from clanpy.inventory.editing import Editor, Plan, path_of, set_value, unset_value, value_of
from clanpy.inventory.editing.errors import (
    BrokenEditError,
    ChangedMeanwhileError,
    DefinedElsewhereError,
    NotEditableError,
)
from clanpy.inventory.errors import BadNameError, UnknownKeyError, WrongTypeError
from clanpy.inventory.explain import explain
from support.fleets import CONFIGURATIONS, META, REFERENCE, TWO, write
from support.vault import CountingDisk, DyingDisk, in_child


ALPHA = "machines.alpha"
PYTHON = 'module = {"machines": {"alpha": {"description": "by code"}}}\n'


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLANPY_FLEET", "CLANPY_JSON", "CLANPY_YES", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A fleet of two machines."""
    return write(tmp_path / "fleet", {"inventory.toml": TWO, **CONFIGURATIONS})


def put(root: Path, path: str, value: str, **more: Any) -> Plan:
    force = more.pop("force", False)
    return Editor(root).run(lambda: set_value(root, path_of(path), value_of(value), **more), force=force)


def drop(root: Path, path: str, **more: Any) -> Plan:
    return Editor(root).run(lambda: unset_value(root, path_of(path), **more))


def text(root: Path, file: str = "inventory.toml") -> str:
    return (root / file).read_bytes().decode()


def data(root: Path, file: str = "inventory.toml") -> dict[str, Any]:
    return tomllib.loads(text(root, file))


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = run(words)
    captured = capsys.readouterr()
    return int(code), captured.out, captured.err


# Values


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("true", True),
        ("[1,2]", [1, 2]),
        ('"x"', "x"),
        ("'x y'", "x y"),
        ("web", "web"),
        ("root@web.lan", "root@web.lan"),
        ("two words", "two words"),
        ("-1", -1),
        ("1.5", 1.5),
        ('{ a = ["b"] }', {"a": ["b"]}),
        ("2026-01-01", "2026-01-01"),
        ("", ""),
    ],
)
def test_a_value_is_toml_and_a_bare_word_is_a_string(typed: str, meant: Any) -> None:
    assert value_of(typed) == meant


@pytest.mark.parametrize(
    "typed", ['"x', "[1,", "{", '{ a = "b"', "nan", "[1979-05-27]", "1\ny = 2", "[" * 200 + "]" * 200]
)
def test_what_begins_as_toml_has_to_be_toml_that_json_has(typed: str) -> None:
    with pytest.raises(UsageError):
        value_of(typed)


@pytest.mark.parametrize("path", ["", ".", "a..b", 'a."b', "a.", ".a"])
def test_a_path_that_is_none_is_refused(path: str) -> None:
    with pytest.raises(UsageError):
        path_of(path)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (f"{ALPHA}.tags", "5", "'machines.alpha.tags' takes a list of strings, and 5 is a number"),
        (
            f"{ALPHA}.tags",
            "[5]",
            "'machines.alpha.tags' takes a list of strings, and [5] is a list with a number in it",
        ),
        (f"{ALPHA}.class", "windows", "'machines.alpha.class' takes 'nixos' or 'darwin', and \"windows\" is a string"),
        (f"{ALPHA}.description", "true", "'machines.alpha.description' takes a string, and true is a boolean"),
        (f"{ALPHA}.deploy", "true", "'machines.alpha.deploy' takes a table, and true is a boolean"),
        (f"{ALPHA}.deploy.forward_agent", '"yes"', 'takes true or false, and "yes" is a string'),
        (ALPHA, "x", "'machines.alpha' takes a table, and \"x\" is a string"),
        (f"{ALPHA}.description.more", "x", "'machines.alpha.description' is a string, and has no 'more' in it"),
        ("machines", "[1]", "takes a table of machines, and [1] is a list with a number in it"),
        ("instances.sshd.roles.server.settings", "1", "takes a table, and 1 is a number"),
    ],
)
def test_a_value_of_another_type_is_refused_with_the_type_that_is_wanted(
    two: Path, path: str, value: str, message: str
) -> None:
    before = text(two)
    with pytest.raises(WrongTypeError, match=r".") as caught:
        put(two, path, value, force=True)
    assert message in caught.value.message
    assert text(two) == before


def test_a_word_that_is_nearly_one_of_those_allowed_is_answered_with_it(two: Path) -> None:
    with pytest.raises(WrongTypeError) as caught:
        put(two, f"{ALPHA}.class", "nixs")
    assert caught.value.hint == "did you mean 'nixos'?"


def test_an_option_that_does_not_exist_is_answered_with_the_nearest(two: Path) -> None:
    with pytest.raises(UnknownKeyError, match=r"there is no option 'descripton' in 'machines\.alpha'") as caught:
        put(two, f"{ALPHA}.descripton", "x")
    assert caught.value.hint == "did you mean 'description'?"


def test_a_name_that_can_not_be_one_is_refused(two: Path) -> None:
    with pytest.raises(BadNameError, match=r"'al_pha' in 'machines\.al_pha' can't be the name of a machine"):
        put(two, "machines.al_pha.class", "nixos")


def test_a_misused_sigil_is_refused(two: Path) -> None:
    with pytest.raises(ClanpyError, match="'_force' has to be the only key of its table"):
        put(two, f"{ALPHA}.tags", "{ _force = [], x = 1 }")


# Where it is written


def test_a_value_is_changed_where_it_is_and_only_that(two: Path) -> None:
    before = text(two)
    put(two, f"{ALPHA}.tags", '["web", "big"]')
    assert text(two) == before.replace('["web"]', '["web", "big"]')
    assert load(two).machines["alpha"].tags == ("all", "big", "nixos", "web")


def test_a_value_goes_to_the_file_that_says_it_already(two: Path) -> None:
    write(
        two,
        {
            "inventory/more.toml": '[machines.alpha]\ndescription = "old" # kept\n',
            "machines/beta/machine.toml": 'type = "x"\n',
        },
    )
    before = text(two)
    put(two, f"{ALPHA}.description", "new")
    put(two, "machines.beta.type", "y")
    assert text(two) == before
    assert text(two, "inventory/more.toml") == '[machines.alpha]\ndescription = "new" # kept\n'
    assert text(two, "machines/beta/machine.toml") == 'type = "y"\n'


def test_a_new_value_goes_to_inventory_toml_below_its_table(two: Path) -> None:
    put(two, f"{ALPHA}.deploy.target_host", "root@alpha.lan")
    assert 'tags = ["web"]\ndeploy.target_host = "root@alpha.lan"\n\n[machines.beta]' in text(two)


def test_a_file_can_be_chosen(two: Path) -> None:
    write(two, {"inventory/more.toml": "# more\n"})
    put(two, "tags.web.description", "Serves", file="inventory/more.toml")
    assert data(two, "inventory/more.toml") == {"tags": {"web": {"description": "Serves"}}}
    with pytest.raises(UsageError, match=r"'inventory/mor.toml' is no TOML file of this fleet") as caught:
        put(two, "tags.web.description", "x", file="inventory/mor.toml")
    assert "did you mean 'inventory/more.toml'" in (caught.value.hint or "")


def test_clans_spelling_is_found_and_kept(two: Path) -> None:
    write(
        two,
        {
            "inventory.toml": TWO
            + 'deploy.targetHost = "root@old"\nmachineClass = "darwin"\n'.replace("machineClass", "# no")
        },
    )
    put(two, "machines.beta.deploy.target_host", "root@new")
    assert 'deploy.targetHost = "root@new"' in text(two)
    put(two, "machines.beta.deploy.targetHost", "root@newer")
    assert 'deploy.targetHost = "root@newer"' in text(two)


def test_short_forms_become_long_ones_when_there_is_more_to_say(two: Path) -> None:
    write(
        two,
        {
            "inventory.toml": TWO
            + '\n[tags]\nx = ["alpha"] # them\n\n[instances.sshd.roles.server]\nmachines = ["alpha", "beta"]\n'
        },
    )
    put(two, "tags.x.description", "X")
    put(two, "instances.sshd.roles.server.machines.alpha.settings.certificate.search_domains", '["lan"]')
    assert data(two)["tags"] == {"x": {"machines": ["alpha"], "description": "X"}}
    members = data(two)["instances"]["sshd"]["roles"]["server"]["machines"]
    assert members == {"alpha": {"settings": {"certificate": {"search_domains": ["lan"]}}}, "beta": {}}
    assert "# them" in text(two)


def test_line_ends_of_windows_stay(two: Path) -> None:
    raw = TWO.replace("\n", "\r\n").encode()
    write(two, {"inventory.toml": raw})
    put(two, f"{ALPHA}.description", "x")
    after = (two / "inventory.toml").read_bytes()
    assert after == raw.replace(b'tags = ["web"]\r\n', b'tags = ["web"]\r\ndescription = "x"\r\n')


def test_a_link_stays_a_link_and_its_target_is_written(two: Path, tmp_path: Path) -> None:
    for target in (two / "real.toml", tmp_path / "outside.toml"):
        inventory = two / "inventory.toml"
        target.write_bytes(inventory.read_bytes())
        inventory.unlink()
        inventory.symlink_to(target)
        put(two, f"{ALPHA}.description", target.stem)
        assert inventory.is_symlink()
        assert f'description = "{target.stem}"' in target.read_text()
        assert list(target.parent.glob(".*clanpy*")) == []


def test_the_mode_of_a_file_stays(two: Path) -> None:
    (two / "inventory.toml").chmod(0o640)
    put(two, f"{ALPHA}.description", "x")
    assert (two / "inventory.toml").stat().st_mode & 0o777 == 0o640


def test_a_read_only_file_is_not_replaced(two: Path) -> None:
    (two / "inventory.toml").chmod(0o444)
    before = text(two)
    with pytest.raises(NotEditableError, match=r"inventory\.toml is read-only"):
        put(two, f"{ALPHA}.description", "x")
    assert text(two) == before
    assert not (two / ".clanpy-pending").exists()


# What is refused


def test_what_code_defines_is_refused_with_its_place(two: Path) -> None:
    write(two, {"modules/facts.py": PYTHON})
    before = text(two)
    with pytest.raises(DefinedElsewhereError) as caught:
        put(two, f"{ALPHA}.description", "x")
    assert str(caught.value) == "modules/facts.py:1:34: 'machines.alpha.description' is defined by code"
    assert text(two) == before


def test_what_a_machines_own_code_defines_is_refused_with_its_place(two: Path) -> None:
    write(two, {"machines/alpha/machine.py": 'def module(config):\n    return {\n        "tags": ["code"],\n    }\n'})
    with pytest.raises(DefinedElsewhereError) as caught:
        put(two, f"{ALPHA}.tags", '["x"]')
    assert str(caught.value.place) == "machines/alpha/machine.py:3:9"


def test_what_code_gives_only_as_a_default_can_be_set(two: Path) -> None:
    write(
        two,
        {
            "modules/facts.py": "from clanpy.modules import mk_default\n"
            + PYTHON.replace('"by code"', 'mk_default("by code")')
        },
    )
    put(two, f"{ALPHA}.description", "x")
    assert load(two).machines["alpha"].description == "x"


def test_what_wins_over_code_can_be_set(two: Path) -> None:
    write(two, {"modules/facts.py": PYTHON})
    put(two, f"{ALPHA}.description", '{ _force = "x" }')
    assert load(two).machines["alpha"].description == "x"


def test_settings_that_code_defines_are_refused_with_their_place(two: Path) -> None:
    code = 'module = {"instances": {"sshd": {"roles": {"server": {"settings": {"certificate": {"search_domains": ["a"]}}}}}}}\n'
    write(
        two, {"inventory.toml": TWO + '\n[instances.sshd.roles.server]\nmachines = ["alpha"]\n', "modules/ssh.py": code}
    )
    with pytest.raises(DefinedElsewhereError) as caught:
        put(two, "instances.sshd.roles.server.settings.certificate.search_domains", '["b"]')
    assert caught.value.place is not None
    assert (caught.value.place.file, caught.value.place.line) == ("modules/ssh.py", 1)


def test_what_several_files_define_is_refused_until_one_is_chosen(two: Path) -> None:
    write(two, {"inventory/more.toml": f'[{ALPHA}]\ntags = ["more"]\n'})
    with pytest.raises(DefinedElsewhereError) as caught:
        put(two, f"{ALPHA}.tags", '["x"]')
    assert str(caught.value) == "inventory.toml:9:1: 'machines.alpha.tags' is defined in several files"
    assert caught.value.details == ("also in inventory/more.toml:2:1",)
    assert "--file" in (caught.value.hint or "")
    put(two, f"{ALPHA}.tags", '["x"]', file="inventory/more.toml")
    assert load(two).machines["alpha"].tags == ("all", "nixos", "web", "x")


def test_an_edit_that_would_break_the_fleet_is_refused_with_what_would_be_wrong(two: Path) -> None:
    before = text(two)
    with pytest.raises(BrokenEditError) as caught:
        put(two, "tags.web.imports", '["nope"]')
    assert "tag 'web' names the nixos aspect 'nope', which does not exist" in "\n".join(caught.value.details)
    assert text(two) == before
    put(two, "tags.web.imports", '["nope"]', force=True)
    assert data(two)["tags"]["web"]["imports"] == ["nope"]


def test_settings_are_checked_by_their_service_before_anything_is_written(two: Path) -> None:
    write(two, {"inventory.toml": TWO + '\n[instances.sshd.roles.server]\nmachines = ["alpha"]\n'})
    with pytest.raises(BrokenEditError) as caught:
        put(two, "instances.sshd.roles.server.settings.certificate.search_domain", '["b"]')
    assert "has no setting 'certificate.search_domain'" in caught.value.details[0]


def test_a_fleet_with_errors_can_be_mended(two: Path) -> None:
    write(two, {"inventory.toml": TWO + '\n[tags]\nx = ["alhpa"]\ny = ["bta"]\n'})
    put(two, "tags.x", '["alpha"]')
    assert data(two)["tags"]["x"] == ["alpha"]
    with pytest.raises(BrokenEditError) as caught:
        put(two, "tags.z", '["gamma"]')
    assert len(caught.value.details) == 1 or "gamma" in caught.value.details[0]


def test_a_path_into_something_that_is_no_table_is_refused_with_its_line(two: Path) -> None:
    role = '\n[instances.sshd.roles.server]\nmachines = ["alpha"]\nsettings.certificate = 5\n'
    write(two, {"inventory.toml": TWO + role})
    with pytest.raises(NotEditableError, match="certificate' is no table") as caught:
        put(two, "instances.sshd.roles.server.settings.certificate.search_domains", "[]", force=True)
    assert str(caught.value.place) == "inventory.toml:17"


# Taking out


def test_a_value_is_taken_out_with_its_line_and_nothing_else(two: Path) -> None:
    before = text(two)
    drop(two, f"{ALPHA}.tags")
    assert text(two) == before.replace('tags = ["web"]\n', "")


def test_a_machine_stays_a_member_when_its_last_setting_goes(two: Path) -> None:
    role = '\n[instances.sshd.roles.server]\nmachines.alpha.settings.certificate.search_domains = ["a"]\n'
    write(two, {"inventory.toml": TWO + role})
    drop(two, "instances.sshd.roles.server.machines.alpha.settings.certificate.search_domains")
    assert data(two)["instances"]["sshd"]["roles"]["server"]["machines"] == {"alpha": {}}


def test_what_nobody_says_can_not_be_taken_out(two: Path) -> None:
    with pytest.raises(NothingMatchedError, match=r"no file says anything at 'machines\.alpha\.tag'") as caught:
        drop(two, f"{ALPHA}.tag")
    assert caught.value.hint == "did you mean 'tags'?"


def test_what_only_code_says_is_refused_with_its_place(two: Path) -> None:
    write(two, {"modules/facts.py": PYTHON})
    with pytest.raises(DefinedElsewhereError, match=r"modules/facts\.py:1:34"):
        drop(two, f"{ALPHA}.description")


def test_taking_out_what_has_to_be_there_is_refused(two: Path) -> None:
    with pytest.raises(BrokenEditError) as caught:
        drop(two, f"{ALPHA}.class")
    assert "machine 'alpha' has no class" in caught.value.details[0]


# Together


def test_an_edit_is_made_as_a_whole_wherever_it_is_interrupted(two: Path) -> None:
    old = text(two)
    counting = CountingDisk()

    def edit(disk: Any) -> Plan:
        return Editor(two, disk).run(lambda: set_value(two, (*ALPHA.split("."), "description"), "x"), force=True)

    edit(counting)
    new = text(two)
    seen = set()
    for point in range(1, len(counting.steps) + 1):
        (two / "inventory.toml").write_text(old)
        assert in_child(lambda: edit(DyingDisk(point))) == -signal.SIGKILL  # noqa: B023 - run at once
        assert load(two).machines["alpha"].description in {None, "x"}
        assert text(two) in (old, new)
        seen.add(text(two))
    assert seen == {old, new}


def test_two_writers_at_once_lose_nothing(two: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from clanpy.inventory.editing import *\n"
        "root = Path(sys.argv[1])\n"
        "for n in range(5):\n"
        "    path = ('tags', f'{sys.argv[2]}{n}', 'description')\n"
        "    Editor(root).run(lambda: set_value(root, path, sys.argv[2]), force=True)\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", script, str(two), name]) for name in "ab"]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0]
    assert sorted(data(two)["tags"]) == sorted(f"{name}{n}" for name in "ab" for n in range(5))


def test_a_file_that_somebody_else_changed_meanwhile_is_not_overwritten(two: Path) -> None:
    def make() -> Plan:
        plan = set_value(two, (*ALPHA.split("."), "description"), "x")
        with (two / "inventory.toml").open("a") as file:
            file.write("# by an editor\n")
        return plan

    with pytest.raises(ChangedMeanwhileError, match=r"inventory\.toml was changed by somebody else just now"):
        Editor(two).run(make)
    assert text(two).endswith("# by an editor\n")


WORDS = st.text(st.characters(codec="utf-8"), max_size=8)
SETTINGS = {
    "machines.cinnabar.description": WORDS,
    "machines.argentum.tags": st.lists(st.sampled_from(["a", "workstation", "x.y"]), max_size=3, unique=True),
    "tags.gpu.description": WORDS,
    "tags.fresh.machines": st.lists(st.sampled_from(["cinnabar", "galena"]), max_size=2, unique=True),
    "users.tara.ssh_keys": st.lists(WORDS, max_size=3),
    "machines.galena.deploy.forward_agent": st.booleans(),
    "machines.galena.installed_at": st.integers(0, 2**40),
    'users."raquel".email': WORDS,
}


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.sampled_from(sorted(SETTINGS)), min_size=1, max_size=4), st.data())
def test_what_was_set_in_the_reference_fleet_is_loaded_and_all_else_stays(
    tmp_path_factory: pytest.TempPathFactory, paths: list[str], drawn: st.DataObject
) -> None:
    root = tmp_path_factory.mktemp("fleet")
    shutil.copy(REFERENCE / "inventory.toml", root)
    (root / "modules").symlink_to(REFERENCE / "modules")
    (root / "machines").symlink_to(REFERENCE / "machines")
    for path in paths:
        value = drawn.draw(SETTINGS[path])
        before = text(root).splitlines()
        plan = set_value(root, path_of(path), value)
        Editor(root).run(lambda: plan, force=True)  # noqa: B023 - run at once
        found = explain(load(root), path)
        assert value in (found.value, next(line.value for line in found.definitions))
        gone = [line for line in before if line not in text(root).splitlines()]
        assert len(gone) <= 1
    shutil.rmtree(root)


# The command


def test_the_command_writes_and_says_so(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("inventory", "set", f"{ALPHA}.description", "a web server", "--fleet", str(two))
    assert said(capsys, *words) == (0, "changed inventory.toml\n", "")
    assert said(capsys, *words) == (0, "", "nothing changes\n")
    assert load(two).machines["alpha"].description == "a web server"


def test_a_dry_run_prints_the_difference_and_writes_nothing(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = text(two)
    code, out, err = said(capsys, "inventory", "set", f"{ALPHA}.tags", '["x"]', "--dry-run", "--fleet", str(two))
    assert (code, err, text(two)) == (0, "", before)
    assert out.startswith("--- a/inventory.toml\n+++ b/inventory.toml\n@@ ")
    assert '-tags = ["web"]\n+tags = ["x"]\n' in out


def test_a_dry_run_refuses_what_the_edit_would_refuse(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("inventory", "set", "tags.web.imports", '["nope"]', "--dry-run", "--fleet", str(two))
    code, out, err = said(capsys, *words)
    assert (code, out) == (65, "")
    assert "CP0132" in err


def test_the_edit_is_given_as_data(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, "inventory", "unset", f"{ALPHA}.tags", "--json", "--fleet", str(two))
    document = json.loads(out)
    assert (code, document["schema"], document["done"], document["files"]) == (
        0,
        "clanpy.edit/1",
        True,
        ["inventory.toml"],
    )
    assert '-tags = ["web"]' in document["diff"]


def test_an_inventory_with_a_syntax_error_is_told_as_such(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(two, {"inventory.toml": META + "[machines.alpha\n"})
    code, _, err = said(capsys, "inventory", "set", "meta.name", "x", "--fleet", str(two))
    assert code == 6
    assert "inventory.toml can't be read" in err


def test_a_fleet_on_a_read_only_file_system_is_refused_and_not_touched(two: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    two.chmod(0o555)
    with pytest.raises(ClanpyError, match="could not write"):
        put(two, f"{ALPHA}.description", "x")
    two.chmod(0o755)
