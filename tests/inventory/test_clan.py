"""A clan's own files: loaded as they are, taken over by `clanpy init --from-clan`, with what needs a hand."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from clanpy.cli.program import run
from clanpy.errors import ClanpyError
from clanpy.inventory import check, load, resolve
from clanpy.inventory.adopt import adopt
from clanpy.inventory.memberships import members, settings
from clanpy.inventory.sources import find_root
from support.clan import INVENTORY, SSH, write_clan
from support.fleets import raised, write


@pytest.fixture
def clan(tmp_path: Path) -> Path:
    return write_clan(tmp_path / "clan")


def changed(path: str, value: Any) -> dict[str, Any]:
    """The inventory with another value at a path."""
    data = deepcopy(INVENTORY)
    *above, last = path.split("/")
    here: Any = data
    for key in above:
        here = here[key]
    here[last] = value
    return data


def test_its_inventory_loads_unchanged(clan: Path) -> None:
    fleet = load(find_root(clan / "machines"))

    assert (fleet.meta.name, fleet.meta.domain) == ("harbour", "hb")
    assert {m.name: (m.class_, m.system) for m in fleet.machines.values()} == {
        "book": ("darwin", "aarch64-darwin"),
        "desk": ("nixos", "aarch64-linux"),
        "gate": ("nixos", "x86_64-linux"),
        "spare": ("nixos", "x86_64-linux"),
    }
    assert fleet.machines["gate"].deploy.target_host == "root@gate.example.net"
    assert fleet.machines["gate"].installed_at == 1760000000
    assert fleet.tags["workstation"] == ("book", "desk")
    assert set(fleet.users) == {"alice"}
    assert {name: (i.service, i.input) for name, i in fleet.instances.items()}["hello"] == ("hello-world", None)
    assert fleet.instances["zerotier"].input is None


def test_nothing_is_wrong_with_it(clan: Path) -> None:
    assert [str(error) for error in check(clan).errors] == []


def test_members_and_settings_are_those_that_clan_gives(clan: Path) -> None:
    fleet = load(clan)

    assert members(fleet, "zerotier") == {
        "zerotier": {"controller": ["gate"], "peer": ["book", "desk", "gate", "spare"]}
    }
    assert settings(fleet)["hello/morning/gate"] == {"greeting": "ahoy"}
    assert settings(fleet)["sshd/server/gate"]["certificate"]["search_domains"] == ["hb"]
    assert settings(fleet)["user-alice/default/desk"]["prompt"] is True


def test_its_values_are_seen_by_services(clan: Path) -> None:
    host = resolve(load(clan), "gate")
    known = json.dumps(
        [getattr(m.content, "settings", None) or getattr(m.content, "value", None) for m in host.modules]
    )

    assert SSH.split()[1] in known


@pytest.mark.parametrize(
    ("path", "value", "says", "line"),
    [
        ("machines/gate/tgas", [], "unknown key", '"tgas"'),
        ("instances/sshd/roles/server/machines", {"gaet": {}}, "the machine 'gaet'", '"gaet"'),
        ("instances/sshd/roles/server/settings", {"certificate": {"searchDomain": []}}, "no setting 'certificate.searchDomain'", '"searchDomain"'),
        ("instances/sshd/module/name", "shsd", "there is no service 'shsd'", '"module"'),
        ("instances/hello/module/input", "clan-coer", "the input 'clan-coer', which is not known", '"module"'),
    ],
)  # fmt: skip
def test_what_is_wrong_in_it_is_told_at_its_line(path: str, value: Any, says: str, line: str, tmp_path: Path) -> None:
    root = write_clan(tmp_path, changed(path, value))
    text = (root / "inventory.json").read_text().splitlines()
    error = next(error for error in check(root).errors if says in error.message)

    assert error.place is not None
    assert error.place.file == "inventory.json"
    assert error.place.line is not None
    near = "\n".join(text[error.place.line - 1 : error.place.line + 2])
    assert line in near


@pytest.mark.parametrize(
    ("text", "says", "place"),
    [
        ('{"meta": }', "is no JSON: Expecting value", "inventory.json:1:10"),
        ("[]", "is no JSON object", "inventory.json"),
        ('{"a": 1, "a": 2}', "has the key 'a' twice in one object", "inventory.json"),
        ("[" * 100_000, "is nested too deeply", "inventory.json"),
        ('{"a": ' * 100 + "1" + "}" * 100, "is nested too deeply", "inventory.json"),
    ],
    ids=["broken", "no object", "a key twice", "deep beyond the parser", "deep"],
)
def test_a_file_that_cannot_be_read_is_told(text: str, says: str, place: str, tmp_path: Path) -> None:
    write(tmp_path, {"inventory.json": text})
    with pytest.raises(ClanpyError) as caught:
        load(tmp_path)
    error = next(e for e in raised(caught.value) if says in e.message)

    assert str(error.place) == place


def test_an_inventory_beside_it_adds_and_outdoes_what_was_guessed(clan: Path) -> None:
    write(clan, {"inventory.toml": '[machines.gate]\nsystem = "aarch64-linux"\ntags = ["more"]\n[machines.spare]\n'})
    found = load(write(clan, {"machines/spare/machine.toml": 'class = "nixos"\nsystem = "x86_64-linux"\n'}))

    assert found.machines["gate"].system == "aarch64-linux"
    assert {"more", "server"} <= set(found.machines["gate"].tags)


def test_it_is_taken_over_where_it_is(clan: Path) -> None:
    before = {path: path.read_bytes() for path in clan.rglob("*") if path.is_file()}
    done = adopt(clan)

    assert done.written == ("inventory.toml",)
    assert all(path.read_bytes() == content for path, content in before.items())
    assert done.counts == {
        "machines": 4,
        "instances": 6,
        "public_values": 2,
        "secrets": 1,
        "keys_of_users": 2,
        "keys_of_machines": 1,
        "keys_of_groups": 0,
    }
    assert check(clan).errors == ()


def test_it_is_told_what_needs_a_hand(clan: Path) -> None:
    told = [(str(hand.place) if hand.place else None, hand.message) for hand in adopt(clan).hands]

    assert told[:8] == [
        ("flake.nix:3", "a part of the inventory is written in Nix, which is not read"),
        ("machines/desk/configuration.nix:5", "reads a value by clan's option"),
        ("machines/desk/configuration.nix:4", "sets an option that only clan's modules declare"),
        ("flake.nix", "flake.nix names no input 'nixpkgs', from which systems of class nixos are made"),
        ("flake.nix", "flake.nix names no input 'nix-darwin', from which systems of class darwin are made"),
        ("inventory.toml", "nothing says which system these machines have: book, spare"),
        ("sops/machines", "these machines have no key, so that no secret is encrypted to them: book, desk, spare"),
        ("sops/users/old/key.json", "'old' has a PGP key: those secrets are read and written by the program sops"),
    ]


def test_what_has_no_counterpart_is_told_with_its_place(tmp_path: Path) -> None:
    data = changed("instances/matrix", {"module": {"name": "matrix-synapse", "input": "clan-core"}, "roles": {}})
    told = [hand for hand in adopt(write_clan(tmp_path, data)).hands if "matrix-synapse" in hand.message]

    assert [hand.message for hand in told] == ["there is no service 'matrix-synapse'"]
    assert str(told[0].place).startswith("inventory.json:")


def test_it_is_taken_over_as_a_copy_in_which_links_are_links(clan: Path, tmp_path: Path) -> None:
    root = adopt(clan, tmp_path / "fleet").root
    link = root / "vars/per-machine/gate/openssh/ssh.id_ed25519/machines/gate"

    assert root == tmp_path / "fleet"
    assert not (clan / "inventory.toml").exists()
    assert link.is_symlink()
    assert (link / "key.json").is_file()
    assert check(root).errors == ()


def test_a_clan_whose_inventory_is_in_nix_gets_its_machines(tmp_path: Path) -> None:
    root = write_clan(tmp_path)
    (root / "inventory.json").unlink()
    adopt(root)
    found = load(root)

    assert set(found.machines) == {"gate", "desk", "spare"}
    assert found.machines["desk"].system == "aarch64-linux"
    assert found.meta.name


def test_the_command_tells_it_all(clan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = run(("init", "--from-clan", str(clan), str(tmp_path / "fleet")))
    out, err = capsys.readouterr()

    assert (code, out) == (0, f"{tmp_path}/fleet/inventory.toml\n")
    assert "machines/desk/configuration.nix:5: reads a value by clan's option" in err
    assert "need a hand; next: cd " in err

    assert run(("init", "--from-clan", str(clan), "--json")) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["schema"], document["files"]) == ("clanpy.adopted/1", ["inventory.toml"])
    assert document["found"]["machines"] == 4


def test_what_is_no_clan_or_a_fleet_already_is_refused(
    clan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert run(("init", "--from-clan", str(tmp_path / "empty"))) == 2
    assert "is no clan" in capsys.readouterr().err
    adopt(clan)
    assert run(("init", "--from-clan", str(clan))) == 2
    assert "is a fleet already" in capsys.readouterr().err
    assert run(("init",)) == 2
    assert "where to?" in capsys.readouterr().err
