"""Machines created, renamed and deleted by command: everywhere they are named, and nowhere else."""

from __future__ import annotations

import json
import re
import signal
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clanpy.cli.program import run
from clanpy.errors import NothingMatchedError
from clanpy.inventory import check, load
from clanpy.inventory.editing import Editor, NewMachine, Plan, create, delete, rename
from clanpy.inventory.editing.errors import (
    BrokenEditError,
    DefinedElsewhereError,
    NameTakenError,
    NotEditableError,
)
from clanpy.inventory.editing.references import deleted, renamed
from clanpy.inventory.errors import BadNameError
from support.fleets import META, write
from support.vault import CountingDisk, DyingDisk, in_child


INVENTORY = (
    META
    + """
# the web server
[machines.web] # first
class = "nixos"
system = "x86_64-linux"
name = "web"
tags = ["web", "front"]
deploy.target_host = "root@web.lan"

[machines.web.vars]

[machines.web-1]
class = "nixos"
system = "x86_64-linux"
tags = ["web"]

[machines.web2]
class = "nixos"
system = "x86_64-linux"

[tags]
some = ["web-1", "web", "web2"] # a list
long = { machines = [
  "web", # the web server
  "web-1", # its brother
] }
forced = { machines = { _force = ["web", 'web2'] } }
chosen.select = "web or (web-1 and not web) or tag:web or web*"

[instances.sshd.roles.server]
machines = ["web", "web-1", "web2"]

[instances.sshd.roles.client.machines]
web = {}
web-1.settings.certificate.search_domains = ["web.lan"]

[instances.inline]
module.name = "sshd"
roles = { server = { machines = { _default = { web = { settings = {} }, web2 = {} } } } }

[vars.generators.g]
machines = ["web", "web2"]
files.f = { secret = false }
script = "echo x > $out/f"
"""
)
NAMES = ("web", "web-1", "web2")


def links(folder: str, depth: int, *names: str) -> dict[str, str]:
    """Links that give machines access to a secret."""
    return {f"{folder}/machines/{name}": "../" * depth + f"sops/machines/{name}" for name in names}


LINKS = {
    **links("vars/per-machine/web/g/s", 6, "web"),
    **links("vars/per-machine/web-1/g/s", 6, "web-1"),
    **links("vars/shared/ca/key", 5, "web", "web-1"),
    **links("sops/secrets/token", 4, "web", "web-1"),
    **links("sops/groups/servers", 4, "web", "web2"),
    "sops/secrets/web-age.key/users/ann": "../../../users/ann",
}
FILES = {
    **{f"machines/{name}/configuration.nix": f"{{ ... }}: {{ }} # {name}\n" for name in NAMES},
    "machines/web/machine.toml": 'description = "the web"\n',
    **{f"vars/per-machine/{name}/g/s/secret": f"secret of {name}" for name in NAMES},
    **{f"vars/per-machine/{name}/g/f/value": f"value of {name}" for name in NAMES},
    "vars/per-export/sshd:sshd:server:web/g/f/value": "exported",
    "vars/per-export/sshd:sshd:server:web-1/g/f/value": "exported by the other",
    "vars/shared/ca/key/secret": "shared",
    **{f"sops/machines/{name}/key.json": f'{{"publickey": "{name}", "type": "age"}}' for name in NAMES},
    **{f"sops/secrets/{name}-age.key/secret": f"private {name}" for name in NAMES},
    "sops/secrets/web-token/secret": "made by hand",
    "sops/users/ann/key.json": "{}",
    "secrets/clan-vars/per-machine/web/g/s/s.age": "age",
    "secrets/age-keys/machines/web/pub": "age1",
    "secrets/age-keys/machines/web-1/pub": "age1",
}


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    """A fleet of `web`, `web-1` and `web2`, with values and keys."""
    return make(tmp_path / "fleet")


def make(root: Path) -> Path:
    write(root, {"inventory.toml": INVENTORY, **FILES})
    for name, target in LINKS.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
    (root / "machines/web/hook.sh").write_text("#!/bin/sh\n")
    (root / "machines/web/hook.sh").chmod(0o755)
    return root


def snapshot(root: Path) -> dict[str, str]:
    found = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        elif path.is_file():
            found[name] = f"{path.stat().st_mode & 0o777:o} {path.read_bytes()!r}"
    return found


def done(root: Path, make_plan: Any, **more: Any) -> Plan:
    return Editor(root).run(make_plan, **more)


def data(root: Path) -> dict[str, Any]:
    return tomllib.loads((root / "inventory.toml").read_text())


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = run(words)
    captured = capsys.readouterr()
    return int(code), captured.out, captured.err


def test_the_fleet_of_these_tests_is_right(fleet: Path) -> None:
    assert [str(error) for error in check(fleet).errors] == []


# Renaming


def test_a_machine_is_renamed_everywhere_in_the_inventory(fleet: Path) -> None:
    done(fleet, lambda: rename(fleet, "web", "shop"))
    expected = INVENTORY.replace("[machines.web]", "[machines.shop]").replace(
        "[machines.web.vars]", "[machines.shop.vars]"
    )
    expected = expected.replace('name = "web"', 'name = "shop"').replace(
        '"web-1", "web", "web2"', '"web-1", "shop", "web2"'
    )
    expected = expected.replace('  "web", # the', '  "shop", # the').replace("[\"web\", 'web2']", "[\"shop\", 'web2']")
    expected = expected.replace("web or (web-1 and not web)", "shop or (web-1 and not shop)")
    expected = expected.replace('["web", "web-1", "web2"]', '["shop", "web-1", "web2"]').replace(
        "\nweb = {}", "\nshop = {}"
    )
    expected = expected.replace("{ web = {", "{ shop = {").replace('["web", "web2"]', '["shop", "web2"]')
    assert (fleet / "inventory.toml").read_text() == expected
    assert set(load(fleet).machines) == {"shop", "web-1", "web2"}


def test_the_folder_the_values_the_keys_and_the_links_come_along(fleet: Path) -> None:
    before = snapshot(fleet)
    done(fleet, lambda: rename(fleet, "web", "shop"))
    after = snapshot(fleet)
    del before["inventory.toml"], after["inventory.toml"]

    def moved(text: str) -> str:
        text = re.sub(r"(?<=/)web(?=/|$)", "shop", text)
        return re.sub(r":web(?=/)", ":shop", text.replace("secrets/web-age.key/", "secrets/shop-age.key/"))

    assert after == {moved(name): moved(said) if said.startswith("->") else said for name, said in before.items()}
    for path in fleet.rglob("*"):
        assert path.exists(), f"{path} points to nothing"


def test_renaming_there_and_back_gives_the_same_bytes(fleet: Path) -> None:
    before = snapshot(fleet)
    done(fleet, lambda: rename(fleet, "web", "shop"))
    done(fleet, lambda: rename(fleet, "shop", "web"))
    assert snapshot(fleet) == before


def test_a_rename_is_whole_or_nothing_wherever_it_is_interrupted(tmp_path: Path) -> None:
    root = make(tmp_path / "counted")
    old = snapshot(root)
    counting = CountingDisk()
    Editor(root, counting).run(lambda: rename(root, "web", "shop"), force=True)
    new = snapshot(root)
    seen = set()
    points = sorted({*range(1, len(counting.steps), 7), *range(len(counting.steps) // 2, len(counting.steps) + 1, 3)})
    for point in points:
        here = make(tmp_path / str(point))
        editor = Editor(here, DyingDisk(point))
        assert in_child(lambda: editor.run(lambda: rename(here, "web", "shop"), force=True)) == -signal.SIGKILL  # noqa: B023 - run at once
        names = set(load(here).machines)  # whoever looks first completes it
        state = snapshot(here)
        assert state == (new if "shop" in names else old), counting.steps[point - 1]
        seen.add("shop" in names)
    assert seen == {True, False}


def test_what_still_says_the_old_name_is_told(fleet: Path) -> None:
    write(fleet, {"modules/nixos/x.nix": '{ ... }: { a = "web"; b = "web-1"; }\n'})
    plan = rename(fleet, "web", "shop")
    (note,) = plan.notes
    assert "modules/nixos/x.nix:1" in note
    assert "inventory.toml:12" in note  # its address, which may well stay


@pytest.mark.parametrize("name", ["-x", "a_b", "", "x" * 64, "a.b", "ä"])
def test_a_name_that_no_machine_can_have_is_refused(fleet: Path, name: str) -> None:
    with pytest.raises(BadNameError):
        rename(fleet, "web", name)
    with pytest.raises(BadNameError):
        create(fleet, NewMachine(name=name, fields={}))


def test_a_name_that_is_taken_is_refused_with_its_place(fleet: Path) -> None:
    with pytest.raises(NameTakenError, match=r"inventory\.toml:16:2: there is a machine 'web-1' already"):
        rename(fleet, "web", "web-1")
    write(fleet, {"sops/machines/old/key.json": "{}"})
    with pytest.raises(NameTakenError, match=r"'sops/machines/old/key\.json' is there already"):
        rename(fleet, "web", "old")


def test_a_machine_that_does_not_exist_is_answered_with_the_nearest(fleet: Path) -> None:
    with pytest.raises(NothingMatchedError, match="there is no machine 'wed'") as caught:
        rename(fleet, "wed", "x")
    assert "'web'" in (caught.value.hint or "")


def test_a_machine_that_code_defines_is_refused_with_its_place(fleet: Path) -> None:
    write(fleet, {"modules/m.py": 'module = {"machines": {"web": {"type": "vm"}}}\n'})
    said = r"modules/m\.py:1:\d+: machine 'web' is defined by code"
    with pytest.raises(DefinedElsewhereError, match=said):
        rename(fleet, "web", "shop")
    with pytest.raises(DefinedElsewhereError, match=said):
        delete(fleet, "web")


def test_code_that_names_a_machine_stops_its_renaming_with_its_place(fleet: Path) -> None:
    write(fleet, {"modules/t.py": 'module = {"tags": {"coded": {"machines": ["web"]}}}\n'})
    before = snapshot(fleet)
    with pytest.raises(BrokenEditError) as caught:
        done(fleet, lambda: rename(fleet, "web", "shop"))
    assert "tag 'coded' names the machine 'web', which does not exist" in caught.value.details[0]
    assert "modules/t.py:1" in caught.value.details[0]
    assert snapshot(fleet) == before


def test_a_machines_own_code_comes_along(fleet: Path) -> None:
    write(fleet, {"machines/web/machine.py": 'module = {"type": "vm"}\n'})
    done(fleet, lambda: rename(fleet, "web", "shop"))
    assert load(fleet).machines["shop"].type == "vm"


def test_errors_that_a_fleet_has_already_do_not_stop_a_rename(fleet: Path) -> None:
    write(fleet, {"inventory.toml": INVENTORY + '\n[tags.broken]\nmachines = ["nobody"]\n'})
    done(fleet, lambda: rename(fleet, "web", "shop"))
    assert "shop" in data(fleet)["machines"]


def test_a_folder_that_is_a_link_is_renamed_as_a_link(fleet: Path) -> None:
    (fleet / "machines/web2").rename(fleet / "common")
    (fleet / "machines/web2").symlink_to("../common")
    done(fleet, lambda: rename(fleet, "web2", "other"))
    assert (fleet / "machines/other").readlink() == Path("../common")
    assert not (fleet / "machines/web2").is_symlink()


# Deleting


def test_a_deleted_machine_is_gone_and_others_are_as_they_were(fleet: Path) -> None:
    before = snapshot(fleet)
    done(fleet, lambda: delete(fleet, "web"))
    after = snapshot(fleet)
    found = data(fleet)

    assert set(found["machines"]) == {"web-1", "web2"}
    assert found["tags"]["some"] == ["web-1", "web2"]
    assert found["tags"]["long"]["machines"] == ["web-1"]
    assert found["tags"]["forced"]["machines"] == {"_force": ["web2"]}
    assert found["tags"]["chosen"]["select"] == "web-1 or tag:web or web*"
    assert found["instances"]["sshd"]["roles"]["server"]["machines"] == ["web-1", "web2"]
    assert list(found["instances"]["sshd"]["roles"]["client"]["machines"]) == ["web-1"]
    assert found["instances"]["inline"]["roles"]["server"]["machines"] == {"_default": {"web2": {}}}
    assert found["vars"]["generators"]["g"]["machines"] == ["web2"]
    gone = before.keys() - after.keys()
    assert {name for name in before if re.search(r"(/|:)web(/|$)|/web-age\.key/", name)} == gone
    assert {n: s for n, s in after.items() if n != "inventory.toml"} == {
        n: s for n, s in before.items() if n not in gone and n != "inventory.toml"
    }
    assert "# a list" in (fleet / "inventory.toml").read_text()


def test_a_machine_whose_name_begins_the_same_is_never_touched(fleet: Path) -> None:
    before = snapshot(fleet)
    done(fleet, lambda: delete(fleet, "web"))
    after = snapshot(fleet)
    for name, content in before.items():
        if "web-1" in name or "web2" in name or "web-token" in name:
            assert after[name] == content


@pytest.mark.parametrize("name", NAMES)
def test_each_machine_can_be_deleted_alone(fleet: Path, name: str) -> None:
    done(fleet, lambda: delete(fleet, name))
    assert set(load(fleet).machines) == set(NAMES) - {name}
    assert check(fleet).errors == ()


@pytest.mark.parametrize(
    ("selection", "left"),
    [
        ("web", None),
        ("web or a", "a"),
        ("web and a", None),
        ("a and not web", "a"),
        ("not web", "*"),
        ("(web or a) and b", "a and b"),
        ("a or b and (web or not web)", "a or b"),
        ("tag:web, web*", "tag:web or web*"),
    ],
)
def test_a_selection_says_the_same_of_the_other_machines(selection: str, left: str | None) -> None:
    raw = f'[tags.t]\nselect = "{selection}"\ndescription = "x"\n'.encode()
    found = tomllib.loads(deleted(raw, (), "web").decode())["tags"]["t"]
    if selection == "tag:web, web*":
        assert found["select"] == selection
    else:
        assert found == {"description": "x", **({"select": left} if left else {})}


ROLLOUTS = """
[secrets.legacy.old]
file = "old.yaml"
machines = ["web", "web2"]

[machines.web2.deploy]
after = ["web", "tag:web and not web", "web-1"]

[rollout.default]
canary = { hosts = 1, select = "web or web-1" }
domains = ["web", "web2 or web"]

[[rollout.default.waves]]
upto = 1

[[rollout.default.waves]]
select = "web2 or web" # the second

[rollout.other]
waves = [1, { select = 'web-1 or web' }]
"""


def test_selections_and_lists_of_other_parts_follow_a_machine(fleet: Path) -> None:
    raw = (INVENTORY.replace("[machines.web2]\nclass", "[machines.web2]\nclass") + ROLLOUTS).encode()
    other = tomllib.loads(renamed(raw, (), "web", "shop").decode())
    assert other["secrets"]["legacy"]["old"]["machines"] == ["shop", "web2"]
    assert other["machines"]["web2"]["deploy"]["after"] == ["shop", "tag:web and not shop", "web-1"]
    assert other["rollout"]["default"]["canary"]["select"] == "shop or web-1"
    assert other["rollout"]["default"]["domains"] == ["shop", "web2 or shop"]
    assert other["rollout"]["default"]["waves"] == [{"upto": 1}, {"select": "web2 or shop"}]
    assert other["rollout"]["other"]["waves"] == [1, {"select": "web-1 or shop"}]

    after = tomllib.loads(deleted(raw, (), "web").decode())
    assert after["secrets"]["legacy"]["old"]["machines"] == ["web2"]
    assert after["machines"]["web2"]["deploy"]["after"] == ["tag:web", "web-1"]
    assert after["rollout"]["default"]["canary"] == {"hosts": 1, "select": "web-1"}
    assert after["rollout"]["default"]["domains"] == ["web2"]
    assert after["rollout"]["default"]["waves"] == [{"upto": 1}, {"select": "web2"}]
    assert b"# the second" in deleted(raw, (), "web")


def test_a_machines_own_file_follows_another_machine(fleet: Path) -> None:
    raw = b'deploy.after = ["web", "web-1"]\n'
    assert renamed(raw, ("machines", "web2"), "web", "shop") == b'deploy.after = ["shop", "web-1"]\n'
    assert deleted(raw, ("machines", "web2"), "web") == b'deploy.after = ["web-1"]\n'


def test_a_wave_of_one_machine_stops_its_deletion(fleet: Path) -> None:
    write(fleet, {"inventory.toml": INVENTORY + '\n[rollout.default.canary]\nselect = "web"\n'})
    with pytest.raises(NotEditableError, match=r"'rollout\.default\.canary\.select' selects only 'web'") as caught:
        done(fleet, lambda: delete(fleet, "web"))
    assert str(caught.value.place) == "inventory.toml:40"


NEEDY = """
from pydantic import BaseModel
from clanpy.services import Role, Service

class Nothing(BaseModel):
    pass

SERVICE = Service(name="needy", description="Needs somebody", roles={"head": Role(description="", settings=Nothing, min_members=1)})
"""


def test_a_role_that_needs_the_machine_stops_its_deletion(fleet: Path) -> None:
    needy = '\n[instances.needy]\nmodule.input = "self"\nroles.head.machines = ["web"]\n'
    write(fleet, {"inventory.toml": INVENTORY + needy, "services/needy/service.py": NEEDY})
    assert check(fleet).errors == ()
    with pytest.raises(BrokenEditError) as caught:
        done(fleet, lambda: delete(fleet, "web"))
    assert "'head' of 'needy' requires at least 1 machine" in caught.value.details[0]
    done(fleet, lambda: delete(fleet, "web"), force=True)
    assert "web" not in data(fleet)["machines"]


NAME = st.sampled_from(["web", "web-1", "web2", "w"])
LISTS = st.lists(NAME, unique=True, max_size=4)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.dictionaries(st.sampled_from("abc"), LISTS, max_size=3),
    st.dictionaries(
        st.sampled_from("xyz"), st.one_of(LISTS, st.dictionaries(NAME, st.just({}), max_size=3)), max_size=3
    ),
    NAME,
)
def test_lists_and_tables_of_members_lose_or_change_one_name_only(
    tags: dict[str, list[str]], roles: dict[str, Any], name: str
) -> None:
    lines = ["[tags]", *(f"{tag} = {json.dumps(names)} # {tag}" for tag, names in tags.items()), ""]
    for role, members in roles.items():
        lines.append(f"[instances.i.roles.{role}]")
        if isinstance(members, list):
            lines.append(f"machines = {json.dumps(members)}")
        else:
            lines += [f"machines.{member} = {{}}" for member in members]
    raw = "\n".join(lines).encode()
    after = tomllib.loads(deleted(raw, (), name).decode())
    other = tomllib.loads(renamed(raw, (), name, "fresh").decode())
    for tag, names in tags.items():
        assert after["tags"][tag] == [n for n in names if n != name]
        assert other["tags"][tag] == [("fresh" if n == name else n) for n in names]
    for role, members in roles.items():
        assert [*after["instances"]["i"]["roles"][role].get("machines", [])] == [n for n in members if n != name]
        assert [*other["instances"]["i"]["roles"][role].get("machines", [])] == [
            ("fresh" if n == name else n) for n in members
        ]


# Creating


def test_a_new_machine_stands_behind_the_others_and_has_a_first_file(fleet: Path) -> None:
    fields = {"class": "nixos", "system": "x86_64-linux", "tags": ["web"], "deploy": {"target_host": "root@n"}}
    done(fleet, lambda: create(fleet, NewMachine(name="new", fields=fields)))
    text = '\n[machines.new]\nclass = "nixos"\nsystem = "x86_64-linux"\ntags = ["web"]\ndeploy.target_host = "root@n"\n\n[tags]\n'
    assert text in (fleet / "inventory.toml").read_text()
    assert "What only new has" in (fleet / "machines/new/configuration.nix").read_text()
    assert check(fleet).errors == ()


def test_files_that_are_there_are_left_alone(fleet: Path) -> None:
    write(fleet, {"machines/new/hardware-configuration.nix": "{ }\n"})
    done(fleet, lambda: create(fleet, NewMachine(name="new", fields={"class": "nixos", "system": "x86_64-linux"})))
    assert [path.name for path in (fleet / "machines/new").iterdir()] == ["hardware-configuration.nix"]


def test_a_machine_that_is_there_is_not_created_again(fleet: Path) -> None:
    with pytest.raises(NameTakenError, match="there is a machine 'web' already"):
        create(fleet, NewMachine(name="web", fields={}))


def test_a_new_machine_that_would_break_the_fleet_is_refused(fleet: Path) -> None:
    fields = {"class": "nixos", "system": "aarch64-darwin"}
    with pytest.raises(BrokenEditError):
        done(fleet, lambda: create(fleet, NewMachine(name="new", fields=fields)))
    assert not (fleet / "machines/new").exists()


# The commands


def test_the_commands_create_rename_and_delete(fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ("--fleet", str(fleet))
    code, out, err = said(capsys, "machines", "create", "lap", "--class", "darwin", "--tags", "web", *where)
    assert (code, out, err) == (0, "changed inventory.toml\nwrote machines/lap/configuration.nix\n", "")
    assert load(fleet).machines["lap"].system == "aarch64-darwin"
    code, out, _ = said(capsys, "machines", "rename", "lap", "top", *where)
    assert (code, out.splitlines()[0]) == (0, "changed inventory.toml")
    assert "moved machines/lap/configuration.nix → machines/top/configuration.nix" in out
    code, out, _ = said(capsys, "machines", "delete", "top", "--yes", *where)
    assert (code, out) == (0, "changed inventory.toml\nremoved machines/top\n")
    assert "top" not in load(fleet).machines


def test_deleting_asks_and_where_nobody_can_be_asked_it_wants_a_yes(
    fleet: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = snapshot(fleet)
    code, _, err = said(capsys, "machines", "delete", "web", "--fleet", str(fleet))
    assert (code, snapshot(fleet)) == (2, before)
    assert "say --yes" in err
    for answer, codes in ((False, 64), (True, 0)):
        monkeypatch.setattr("sys.stdin.isatty", lambda: True)
        monkeypatch.setattr("sys.stderr.isatty", lambda: True)
        monkeypatch.setattr("typer.confirm", lambda question, err, answer=answer: answer)
        assert said(capsys, "machines", "delete", "web", "--fleet", str(fleet))[0] == codes
        assert (snapshot(fleet) == before) is not answer


def test_a_dry_run_shows_the_difference_and_changes_nothing(fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = snapshot(fleet)
    code, out, err = said(capsys, "machines", "delete", "web", "--dry-run", "--fleet", str(fleet))
    assert (code, snapshot(fleet)) == (0, before)
    assert "-[machines.web] # first\n" in out
    assert "remove machines/web\n" in out
    assert "shared values are still encrypted to its key" in err
    code, out, _ = said(capsys, "machines", "rename", "web", "shop", "--dry-run", "--json", "--fleet", str(fleet))
    document = json.loads(out)
    assert (code, document["done"], snapshot(fleet)) == (0, False, before)
    assert {"from": "vars/per-machine/web/g/f/value", "to": "vars/per-machine/shop/g/f/value"} in document["moved"]
