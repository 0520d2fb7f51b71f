"""Which files are read, which are not, and what can't be."""

from __future__ import annotations

from pathlib import Path

import pytest

from clanpy.errors import FleetNotFoundError
from clanpy.inventory import check, find_root, load
from clanpy.inventory.errors import TomlSyntaxError
from clanpy.inventory.sources import parse_toml
from support.fleets import CONFIGURATIONS, TWO, errors, fleet, write


def test_the_fleet_is_the_nearest_folder_above_with_an_inventory(tmp_path: Path) -> None:
    inner = tmp_path / "fleet" / "machines" / "alpha"
    inner.mkdir(parents=True)
    write(tmp_path / "fleet", {"inventory.toml": TWO})

    assert find_root(inner) == tmp_path / "fleet"
    assert find_root(tmp_path, tmp_path / "fleet") == tmp_path / "fleet"


def test_without_an_inventory_it_says_where_it_looked_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FleetNotFoundError, match=str(tmp_path)) as caught:
        find_root(tmp_path)
    assert "--fleet" in (caught.value.hint or "")
    with pytest.raises(FleetNotFoundError) as caught:
        find_root(tmp_path, tmp_path / "elsewhere")
    assert "clanpy init" in (caught.value.hint or "")


def test_every_file_adds_to_the_fleet(tmp_path: Path) -> None:
    found = fleet(
        tmp_path,
        TWO,
        {
            "inventory/deeper/tags.toml": '[tags]\ndb = ["alpha"]\n',
            "machines/alpha/machine.toml": 'tags = ["toml"]\n',
            "machines/alpha/machine.py": 'fleet = {"tags": ["python"]}\n',
            "modules/web/tags.toml": '[machines.alpha]\ntags = ["module"]\n',
            "modules/x.py": 'def fleet(ctx):\n    return {"machines": {"alpha": {"tags": [ctx.file.stem]}}}\n',
        },
    )

    assert found.machines["alpha"].tags == ("all", "db", "module", "nixos", "python", "toml", "web", "x")


def test_a_machine_may_be_written_in_its_own_folder_alone(tmp_path: Path) -> None:
    found = fleet(tmp_path, TWO, {"machines/gamma/machine.toml": 'class = "nixos"\nsystem = "aarch64-linux"\n'})

    assert found.machines["gamma"].system == "aarch64-linux"


@pytest.mark.parametrize(
    "name",
    [
        "inventory/_off.toml",
        "inventory/_old/x.toml",
        "modules/_x.toml",
        "modules/_lib/x.py",
        "modules/a/_b/c/x.toml",
        "modules/.#x.toml",
        "machines/_template/machine.toml",
        "inventory/notes.md",
        "other/x.toml",
    ],
)
def test_what_is_private_is_never_loaded(name: str, tmp_path: Path) -> None:
    assert errors(tmp_path, TWO, {name: "this is = no [ TOML", **CONFIGURATIONS}) == ()


def test_private_files_of_an_aspect_are_no_modules_of_it(tmp_path: Path) -> None:
    nix = "{ ... }: { }\n"
    found = fleet(tmp_path, TWO, {f"modules/nixos/a/{name}.nix": nix for name in ("x", "_y", "_z/w", "v/u")})

    assert [module.key for module in found.aspects["nixos", "a"].modules] == [
        "nixos.a@modules/nixos/a/v/u.nix",
        "nixos.a@modules/nixos/a/x.nix",
    ]


def test_a_link_back_to_a_folder_above_is_one_clear_error(tmp_path: Path) -> None:
    write(tmp_path, {"inventory.toml": TWO, "modules/nixos/a.nix": "", **CONFIGURATIONS})
    (tmp_path / "modules" / "nixos" / "again").symlink_to(tmp_path / "modules")
    (error,) = check(tmp_path).errors

    assert (error.code, str(error.place)) == ("CP0111", "modules/nixos/again")
    assert error.message == "a symbolic link leads back to a folder above it"


def test_a_file_that_is_too_big_is_not_parsed(tmp_path: Path) -> None:
    (error,) = errors(tmp_path, TWO, {"inventory/dump.toml": "# filler\n" * 1_000_000, **CONFIGURATIONS})

    assert str(error) == "inventory/dump.toml: is too big: 9 MB, where 8 MB are the most"


def test_a_link_to_itself_and_a_link_to_nothing_are_clear_errors(tmp_path: Path) -> None:
    write(tmp_path, {"inventory.toml": TWO, "inventory/a.toml": "", **CONFIGURATIONS})
    (tmp_path / "inventory" / "self.toml").symlink_to("self.toml")
    (tmp_path / "inventory" / "gone.toml").symlink_to("nowhere.toml")
    (tmp_path / "machines" / "alpha" / "machine.toml").symlink_to("machine.toml")
    found = check(tmp_path).errors

    assert [(str(e.place), e.message) for e in found] == [
        ("inventory/gone.toml", "a symbolic link points to nothing"),
        ("inventory/self.toml", "a symbolic link points to itself, directly or through others"),
        ("machines/alpha/machine.toml", "a symbolic link points to itself, directly or through others"),
    ]


def test_a_link_to_another_file_is_read_as_that_file(tmp_path: Path) -> None:
    write(tmp_path, {"inventory.toml": TWO, "elsewhere/tags.toml": '[tags]\ndb = ["alpha"]\n'})
    (tmp_path / "inventory").symlink_to("elsewhere")

    assert load(tmp_path).tags["db"] == ("alpha",)


def test_a_folder_where_the_inventory_should_be_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "inventory.toml").mkdir()
    (error,) = check(tmp_path).errors

    assert error.code == "CP0111"


def test_nothing_is_left_behind_in_the_fleet_by_reading_it(tmp_path: Path) -> None:
    files = {
        "modules/x.py": "fleet = {}\n",
        "services/mine/service.py": "from clanpy.services import Service\nSERVICE = Service(name='mine', description='', roles={})\n",
    }
    root = write(
        tmp_path, {"inventory.toml": TWO + '[instances.mine]\nmodule.input = "self"\n', **files, **CONFIGURATIONS}
    )
    before = sorted(root.rglob("*"))

    assert check(root).errors == ()
    assert sorted(root.rglob("*")) == before


def test_what_python_modules_wrap_means_what_sigils_mean(tmp_path: Path) -> None:
    wrapped = """
        def fleet(ctx):
            return {"machines": {"alpha": {
                "description": ctx.default("weak"),
                "type": ctx.force("strong"),
                "primary_user": ctx.override(60, "ann"),
                "imports": ctx.after(["z"]),
            }}}
        """
    found = fleet(
        tmp_path,
        TWO + "[machines.alpha.deploy]\n[users.ann]\n[users.bob]\n",
        {
            "inventory/a.toml": '[machines.alpha]\ndescription = "x"\ntype = "y"\nprimary_user = "bob"\nimports = ["a"]\n',
            "modules/x.py": wrapped,
            "modules/nixos/a.nix": "",
            "modules/nixos/z.nix": "",
        },
    ).machines["alpha"]

    assert (found.description, found.type, found.primary_user, found.imports) == ("x", "strong", "ann", ("a", "z"))


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ('class = nixos"', "in quotes"),
        ("enabled = True", "small letters"),
        ('name = "web', "closing quote"),
        ("tags = [1, 2", "closing ]"),
        ('name = "web" class = "nixos"', "line break"),
    ],
)
def test_an_error_of_toml_comes_with_what_to_do_about_it(text: str, remedy: str) -> None:
    with pytest.raises(TomlSyntaxError) as caught:
        parse_toml("inventory.toml", text)

    assert remedy in str(caught.value.hint)
