"""The fleet as one evaluation of the module system: modules in Python, priorities, laziness."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from hypothesis import given
from hypothesis import strategies as st

from clanpy.errors import CombinedError
from clanpy.inventory import check, load, resolve
from clanpy.inventory.model import Fleet
from clanpy.inventory.sigils import decode, encode
from clanpy.modules import types
from clanpy.modules.deferred import NixData, NixFile
from support.fleets import CONFIGURATIONS, META, TWO, errors, fleet, line_of, write


def test_a_python_module_is_a_function_of_the_configuration(tmp_path: Path) -> None:
    module = """
        from clanpy.modules import mk_if, mk_default

        def module(config, lib):
            return {
                "users": {"ann": {"email": lib.lazy(lambda: f"ann@{config.meta.domain}")}},
                "machines": {"alpha": {"description": mk_default(lib.lazy(lambda: config.machines.beta.system))}},
                "tags": mk_if(config.machines.alpha.system == "x86_64-linux", {"fast": {"machines": ["alpha"]}}),
            }
        """
    found = fleet(tmp_path, TWO, {"modules/x.py": module})

    assert found.users["ann"].email == "ann@lan"
    assert found.machines["alpha"].description == "aarch64-darwin"
    assert "fast" in found.machines["alpha"].tags
    assert "fast" not in found.machines["beta"].tags


def test_a_module_may_declare_options_that_other_files_set(tmp_path: Path) -> None:
    module = """
        from clanpy.modules import lazy, option, types

        options = {"site": {"rack": option(types.attrs_of(types.list_of(types.str)), default={})}}

        def module(config):
            return {
                "options": options,
                "config": {"tags": lazy(lambda: {f"rack-{r}": {"machines": names} for r, names in config.site.rack.items()})},
            }
        """
    found = fleet(tmp_path, TWO, {"modules/racks.py": module, "inventory/racks.toml": '[site.rack]\nr1 = ["beta"]\n'})

    assert found.tags["rack-r1"] == ("beta",)


def test_a_module_may_be_written_without_a_function_and_import_others_beside_it(tmp_path: Path) -> None:
    found = fleet(
        tmp_path,
        TWO,
        {
            "modules/x.py": 'imports = ["./_lib/y.py"]\nconfig = {"users": {"ann": {}}}\n',
            "modules/_lib/y.py": 'module = {"users": {"bob": {}}}\n',
        },
    )

    assert set(found.users) == {"ann", "bob"}


def test_a_module_in_a_machines_folder_is_that_machines_entry(tmp_path: Path) -> None:
    module = "def module(config):\n    return {'tags': [config.meta.domain], 'deploy': {'targetHost': 'root@a'}}\n"
    machine = fleet(tmp_path, TWO, {"machines/alpha/machine.py": module}).machines["alpha"]

    assert "lan" in machine.tags
    assert machine.deploy.target_host == "root@a"


def test_one_python_file_may_write_aspects_of_several_classes(tmp_path: Path) -> None:
    module = """
        from clanpy.modules import mk_force, mk_before, mk_if

        module = {
            "aspects": {
                "nixos": {"a": {"x": mk_force([1]), "y": mk_if(False, 2)}},
                "home": {"a": {"z": mk_before(["p"])}},
            }
        }
        """
    found = fleet(tmp_path, TWO, {"modules/x.py": module})

    assert found.aspects["nixos", "a"].modules[0].content == NixData(
        {
            "x": {"_type": "override", "priority": 50, "content": [1]},
            "y": {"_type": "if", "condition": False, "content": 2},
        }
    )
    assert found.aspects["home", "a"].modules[0].content == NixData(
        {"z": {"_type": "order", "priority": 500, "content": ["p"]}}
    )


def test_an_aspect_that_tag_and_machine_import_counts_once(tmp_path: Path) -> None:
    inventory = TWO.replace('tags = ["web"]', 'tags = ["web"]\nimports = ["a"]') + '[tags]\nweb = { imports = ["a"] }\n'
    found = fleet(tmp_path, inventory, {"modules/nixos/a.nix": "", "modules/x.toml": "[aspects.nixos.a]\nb = 1\n"})

    keys = [module.key for module in resolve(found, "alpha").modules]
    assert keys.count("nixos.a") == keys.count("nixos.a@modules/x.toml") == 1


def test_an_aspect_may_import_others_of_its_class_by_name_and_each_counts_once(tmp_path: Path) -> None:
    inventory = TWO.replace('tags = ["web"]', 'imports = ["top", "base"]')
    files = {
        "modules/x.toml": '[aspects.nixos.top]\nimports = ["middle", "base"]\na = 1\n[aspects.system.middle]\nimports = ["base"]\n',
        "modules/nixos/base.nix": "",
        "modules/darwin/base.nix": "",
    }
    modules = resolve(fleet(tmp_path, inventory, files), "alpha").modules[1:]

    assert [module.key for module in modules] == [
        "nixos.base",
        "nixos.middle@modules/x.toml#system",
        "nixos.top@modules/x.toml",
    ]
    assert modules[-1].content == NixData({"a": 1})
    assert modules[0].origin.startswith(
        "modules/nixos/base.nix, by aspect nixos.middle, by aspect nixos.top, by machine"
    )


def test_aspects_that_import_what_is_not_there_or_themselves_are_told(tmp_path: Path) -> None:
    text = '[aspects.nixos.a]\nimports = ["b"]\n[aspects.nixos.b]\nimports = ["a", "nope"]\n'
    found = errors(tmp_path, TWO, {"modules/x.toml": text, **CONFIGURATIONS})

    assert [(e.code, str(e.place)) for e in found] == [
        ("CP0125", "modules/x.toml:2:12"),
        ("CP0117", "modules/x.toml:4:17"),
    ]
    assert "nixos.a → nixos.b → nixos.a" in found[0].message


def test_an_aspect_in_data_may_import_nix_files_beside_it(tmp_path: Path) -> None:
    text = '[aspects.nixos.a]\nimports = ["./_parts/b.nix", "../gone.nix"]\nx = 1\n'
    found = fleet(tmp_path, TWO, {"modules/x.toml": text, "modules/_parts/b.nix": "", "gone.nix": ""})
    aspect = found.aspects["nixos", "a"]

    assert [module.key for module in aspect.modules] == [
        "nixos.a@modules/_parts/b.nix",
        "nixos.a@gone.nix",
        "nixos.a@modules/x.toml",
    ]
    assert aspect.modules[0].content == NixFile(tmp_path / "modules/_parts/b.nix")

    (tmp_path / "gone.nix").unlink()
    (error,) = errors(tmp_path, TWO, CONFIGURATIONS)
    assert (error.code, str(error.place)) == ("CP0112", "modules/x.toml:2:1")
    assert "'../gone.nix', which it imports, is not there" in error.message


def test_what_an_aspect_computes_is_computed_when_somebody_imports_it(tmp_path: Path) -> None:
    module = """
        from clanpy.modules import lazy

        module = {"aspects": {"nixos": {"bad": {"x": lazy(lambda: 1 / 0)}, "good": {"x": lazy(lambda: 1)}}}}
        """
    inventory = TWO.replace('tags = ["web"]', 'imports = ["good"]')
    found = fleet(tmp_path, inventory, {"modules/x.py": module, **CONFIGURATIONS})

    assert resolve(found, "alpha").modules[1].content == NixData({"x": 1})
    (error,) = errors(tmp_path, inventory)
    assert (error.code, error.place and error.place.file) == ("CP0112", "modules/x.py")
    assert "ZeroDivisionError" in error.message


def test_an_option_of_the_fleets_own_may_be_renamed_with_a_warning(tmp_path: Path) -> None:
    module = """
        from clanpy.modules import mk_renamed_option_module, option, types

        imports = [mk_renamed_option_module(["site", "old"], ["site", "new"])]
        options = {"site": {"new": option(types.str, default="")}}
        """
    write(tmp_path, {"inventory.toml": TWO + '[site]\nold = "x"\n', "modules/x.py": module, **CONFIGURATIONS})
    found = check(tmp_path)

    assert found.errors == ()
    (warning,) = found.warnings
    assert (warning.code, "site.old" in warning.message) == ("CP0126", True)
    assert str(tmp_path) not in warning.message


MISTAKES = {
    "raises": ("def module(config):\n    return {'meta': 1 / 0}\n", "CP0112", "ZeroDivisionError", 2),
    "reads what it defines": (
        "def module(config, lib):\n    return {'meta': {'description': lib.lazy(lambda: config.meta.description + '!')}}\n",
        "CP0125",
        "infinite recursion: meta.description",
        None,
    ),
    "gives a wrong type": ("module = {'machines': {'alpha': {'tags': [3]}}}\n", "CP0114", "'machines.alpha.tags.0'", 1),
    "defines what is no option": (
        "def module(config):\n    return {\n        'machine': {},\n    }\n",
        "CP0113",
        "unknown key 'machine'",
        3,
    ),
    "ends the process": ("import sys\nsys.exit(3)\n", "CP0112", "SystemExit", 2),
    "ends the process when it is called": ("def module(config):\n    raise SystemExit(3)\n", "CP0112", "SystemExit", 1),
    "has a key that is no text": ("module = {1: 2}\n", "CP0113", "unknown key 1", None),
    "imports no list": ("imports = 3\n", "CP0112", "rather than a list", None),
    "writes an aspect that imports no list": ("module = {'aspects': {'nixos': {'a': {'imports': 3}}}}\n", "CP0112", "should be a list", None),
    "writes an aspect that only Nix could compute": ("module = {'aspects': {'nixos': {'a': lambda pkgs: {}}}}\n", "CP0112", "'pkgs', which only Nix knows", 1),
    "reads the configuration too early": ("def module(config):\n    return {} if config.meta.name else {}\n", "CP0125", "while the modules are being collected", 2),
    "declares what is declared": ("from clanpy.modules import option, types\noptions = {'meta': {'name': option(types.int)}}\n", "CP0112", "in clanpy's schema is already declared", 2),
    "is no module": ("module = 3\n", "CP0112", "expected a module", None),
    "imports what is not there": ("imports = ['./nope.py']\n", "CP0112", "can't be read", None),
    "imports endlessly": ("imports = ['./x.py']\n", "CP0125", "circle", None),
    "asks for an unknown argument": ("def module(confg):\n    return {'meta': {'description': confg}}\n", "CP0112", "confg", None),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_what_is_wrong_with_a_python_module_is_told_with_its_place(name: str, tmp_path: Path) -> None:
    text, code, says, line = MISTAKES[name]
    found = errors(tmp_path, TWO, {"modules/x.py": text, **CONFIGURATIONS})
    error = next((e for e in found if says in e.message), None)

    assert error is not None, [f"{e} {e.code}" for e in found]
    assert error.code == code
    assert error.place is not None
    assert error.place.file == "modules/x.py"
    assert line in {None, error.place.line}


def test_errors_of_all_files_and_of_all_kinds_are_in_one_report(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "inventory.toml": TWO + '[machines.gamma]\nclass = "nixso"\n',
            "inventory/a.toml": "[machines.alpha]\ntagz = []\nsystem = 3\n",
            "modules/x.py": "module = {'users': {'ann': {'email': 5}}}\n",
            "modules/y.toml": "[users.bob]\nssh_keys = [1]\n",
        },
    )
    with pytest.raises(CombinedError) as caught:
        load(tmp_path)
    found = {(e.code, e.place.file if e.place else "") for e in caught.value.errors}

    assert found >= {
        ("CP0114", "inventory.toml"),
        ("CP0115", "inventory.toml"),
        ("CP0113", "inventory/a.toml"),
        ("CP0114", "inventory/a.toml"),
        ("CP0114", "modules/x.py"),
        ("CP0114", "modules/y.toml"),
    }
    assert all(error.place and error.place.line for error in caught.value.errors)


def test_data_can_not_set_what_belongs_to_the_module_system(tmp_path: Path) -> None:
    found = errors(tmp_path, TWO + "[_module]\ncheck = false\n", CONFIGURATIONS)

    assert [(e.code, str(e.place)) for e in found] == [("CP0113", "inventory.toml:14:2")]


def forced(fleet: Fleet) -> int:
    """How many leaves of settings were computed so far."""
    counter = fleet.memo.get("settings")
    return 0 if counter is None else counter.forced


def many(root: Path) -> Fleet:
    machines = "".join(f'[machines.m{n}]\nclass = "nixos"\nsystem = "x86_64-linux"\n' for n in range(20))
    roles = "".join(
        f"[instances.s{n}]\nmodule.name = 'sshd'\nroles.server.machines.m{n}.settings = {{ port = {n + 1}, open_firewall = false }}\n"
        for n in range(20)
    )
    return fleet(root, META + machines + roles)


def test_loading_and_listing_compute_no_settings(tmp_path: Path) -> None:
    found = many(tmp_path)
    list(found.machines.values())

    assert forced(found) == 0


def test_showing_one_machine_computes_its_own_settings_and_those_of_nobody_else(tmp_path: Path) -> None:
    found = many(tmp_path)
    resolve(found, "m3")

    assert forced(found) == 2
    resolve(found, "m3")
    assert forced(found) == 2
    resolve(found, "m4")
    assert forced(found) == 4


def test_members_with_the_same_levels_share_their_settings(tmp_path: Path) -> None:
    machines = "".join(f'[machines.m{n}]\nclass = "nixos"\nsystem = "x86_64-linux"\n' for n in range(20))
    found = fleet(tmp_path, META + machines + "[instances.sshd.roles.server]\ntags.all.settings = { port = 1 }\n")
    for name in found.machines:
        resolve(found, name)

    assert forced(found) == 1


def test_what_nobody_imports_is_never_computed(tmp_path: Path) -> None:
    module = "from clanpy.modules import lazy\nmodule = {'machines': {'alpha': {'description': lazy(lambda: 'x')}}}\n"

    assert fleet(tmp_path, TWO, {"modules/x.py": module}).machines["alpha"].description == "x"


def test_the_order_of_lists_is_that_of_the_module_system(tmp_path: Path) -> None:
    found = fleet(
        tmp_path,
        TWO.replace('tags = ["web"]', 'imports = ["a"]'),
        {
            "inventory/b.toml": "[machines.alpha]\nimports = { _before = ['b'] }\n",
            "inventory/c.toml": "[machines.alpha]\nimports = { _after = ['c'] }\n",
            **{f"modules/nixos/{name}.nix": "" for name in "abc"},
        },
    )

    assert found.machines["alpha"].imports == ("b", "a", "c")


KEYS = st.sampled_from(["a", "b", "_secret", "port"])
SCALARS = st.one_of(st.booleans(), st.integers(-2, 2), st.sampled_from(["", "x"]))
SIGILS = st.sampled_from(["_force", "_default", "_before", "_after"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(KEYS, inner, max_size=3)
        | st.builds(lambda name, value: {name: value}, SIGILS, inner)
        | st.builds(lambda n, value: {"_override": [n, value]}, st.integers(1, 40), inner)
    ),
)


@given(VALUES)
def test_what_was_decoded_is_written_as_it_was(value: Any) -> None:
    problems: list[str] = []
    decoded = decode(value, (), lambda _, why: problems.append(why))

    assert not problems
    assert encode(decoded) == value


def test_the_fleets_own_types_can_be_described_like_any_other() -> None:
    from clanpy.inventory.schema import OPTIONS  # noqa: PLC0415 - what is looked at here alone

    assert OPTIONS["machines"].type.description == "a table of machines"
    assert types.null_or(OPTIONS["machines"].type).description.startswith("null or")


def test_the_place_of_a_mistake_in_a_camel_case_key_is_that_key(tmp_path: Path) -> None:
    text = TWO + "[machines.beta.deploy]\nbuildHost = 3\n"
    (error,) = errors(tmp_path, text, CONFIGURATIONS)

    assert error.code == "CP0114"
    assert error.place is not None
    assert error.place.line == line_of(text, "buildHost")


def test_a_fleet_of_any_machines_is_loaded_as_it_is_written() -> None:
    tree = {
        "meta": {"name": "x"},
        "machines": {f"m{n}": {"class": "nixos", "system": "x86_64-linux"} for n in range(3)},
    }
    with tempfile.TemporaryDirectory() as folder:
        assert set(fleet(Path(folder), tomlkit.dumps(tree)).machines) == {"m0", "m1", "m2"}
