"""Files that are no inventory: one clear error each, through the command that people type."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from clanpy.cli.program import run
from clanpy.inventory import load
from clanpy.inventory.explain import explain
from support.fleets import CONFIGURATIONS, TWO, write


ENDLESS = "x = {}\nfor _ in range(100_000):\n    x = {'a': x}\n"
DEEP_FUNCTION = "def module(config):\n    x = {}\n    for _ in range(300):\n        x = {'a': x}\n    return {'aspects': {'nixos': {'q': x}}}\n"
LAZY = """\
from clanpy.modules import lazy
def module(config):
    return {
        "machines": {
            "alpha": {"description": lazy(lambda: config.machines.beta.description)},
            "beta": {"description": lazy(lambda: config.machines.alpha.description)},
        }
    }
"""
WRAPPED = "from clanpy.modules import mk_before, mk_force\nmodule = {'machines': {'alpha': {'tags': mk_before(mk_force(['x']))}}}\n"


def told(capsys: pytest.CaptureFixture[str], root: Path) -> tuple[int, str]:
    code = run(["check", "--fleet", str(root)])
    return int(code), capsys.readouterr().err


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"modules/a.py": 'module = {"imports": ["b.py"]}', "modules/b.py": 'module = {"imports": ["a.py"]}'},
            "modules/b.py:1:11: modules import each other in a circle: modules/a.py → modules/b.py → modules/a.py (CP0125)",
        ),
        (
            {"modules/a.py": 'module = {"imports": ["_b.py"]}', "modules/_b.py": 'module = {"imports": ["a.py"]}'},
            "modules/_b.py:1:11: modules import each other in a circle: modules/a.py → modules/_b.py → modules/a.py",
        ),
        (
            {"modules/a.py": 'module = {"imports": ["a.py"]}'},
            "modules/a.py:1:11: modules import each other in a circle: modules/a.py → modules/a.py",
        ),
        ({"modules/a.py": "x = 1\nraise ValueError('boom')"}, "modules/a.py:2:1: the module raises ValueError: boom"),
        (
            {"modules/a.py": "def module(config):\n    return {'tags': 1 / 0}"},
            "modules/a.py:2:21: 'module' raised ZeroDivisionError: division by zero",
        ),
        ({"modules/a.py": "import sys\nsys.exit(3)"}, "modules/a.py:2:1: the module raises SystemExit: 3"),
        ({"modules/a.py": "def f(): return f()\nmodule = f()"}, "the module raises RecursionError"),
        (
            {"modules/a.py": 'module = {"imports": ["nope.py"]}'},
            "'modules/nope.py' can't be read: No such file or directory",
        ),
        ({"modules/a.py": "module = ("}, "modules/a.py:1:10: is no Python: '(' was never closed"),
        ({"modules/a.py": LAZY}, "infinite recursion: machines.beta.description (modules/a.py:6:22) → machines.alpha"),
        (
            {"modules/a.py": "def module(config):\n    return {'imports': ['b.py'] if config.meta.name else []}"},
            "modules/a.py:2: infinite recursion: the configuration is read while the modules are being collected",
        ),
        ({"modules/a.py": WRAPPED}, "'mk_force' is inside 'mk_before' at option 'machines.alpha.tags'"),
        (
            {"modules/a.py": ENDLESS + "module = {'aspects': {'nixos': {'q': x}}}"},
            "modules/a.py: gives a value that is nested too deeply",
        ),
        (
            {"modules/a.py": ENDLESS + "fleet = {'aspects': {'nixos': {'q': x}}}"},
            "modules/a.py: gives a value that is nested too deeply",
        ),
        ({"modules/a.py": DEEP_FUNCTION}, "modules/a.py: gives a value that is nested too deeply"),
        (
            {"modules/a.toml": '[aspects.nixos.a]\nimports = ["b"]\n[aspects.nixos.b]\nimports = ["a"]\n'},
            "aspects import each other in a circle: nixos.a → nixos.b → nixos.a",
        ),
        (
            {"inventory/a.toml": 'x = "' + "a" * 10_000_000 + '"\n'},
            "inventory/a.toml: is too big: 10 MB, where 8 MB are the most",
        ),
        ({"inventory/a.toml": "x = " + "[" * 5000 + "]" * 5000}, "inventory/a.toml: is nested too deeply"),
        (
            {"inventory/a.toml": "x = " + "{a=" * 300 + "1" + "}" * 300},
            "inventory/a.toml: is nested more than 64 levels deep",
        ),
        ({"inventory/a.toml": ".".join("a" * 3000) + " = 1"}, "inventory/a.toml: is nested more than 64 levels deep"),
        ({"inventory/a.toml": b'[tags]\nx = "\xff"\n'}, "inventory/a.toml:2:6: is not UTF-8: byte 0xff"),
        ({"modules/a.py": b'x = "\xff"\n'}, "modules/a.py:1:6: is not UTF-8: byte 0xff"),
        ({"inventory.toml": "x = 1".encode("utf-16")}, "inventory.toml:1:1: is not UTF-8: byte 0xff"),
        ({"inventory/a.toml": "\ufeff[tags]\n".encode()}, "inventory/a.toml:1:1: begins with a byte order mark"),
        ({"inventory/a.toml": b'[tags]\nx = "\x00"\n'}, "inventory/a.toml:2:6: is no TOML: illegal character"),
        (
            {"inventory/a.toml": '[tags]\nx = ["alpha"]\nx = ["beta"]\n'},
            "inventory/a.toml:3:13: is no TOML: a key is written twice",
        ),
        ({"inventory/a.toml": "[tags]\n[meta]\n[tags]\n"}, "the table [tags] is written twice"),
    ],
)
def test_a_bad_file_is_told_in_one_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], files: dict[str, str | bytes], message: str
) -> None:
    write(tmp_path, {"inventory.toml": TWO, **CONFIGURATIONS})
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    code, err = told(capsys, tmp_path)
    assert code == 65
    assert message in err
    assert err.count("error: ") == 1


def loop(root: Path) -> None:
    (root / "inventory").mkdir()
    (root / "inventory/a.toml").symlink_to("a.toml")


def nowhere(root: Path) -> None:
    (root / "inventory").mkdir()
    (root / "inventory/a.toml").symlink_to("nope")


def upwards(root: Path) -> None:
    (root / "modules/nixos").mkdir(parents=True)
    (root / "modules/nixos/up").symlink_to("..")


def itself(root: Path) -> None:
    (root / "inventory.toml").unlink()
    (root / "inventory.toml").symlink_to("inventory.toml")


def pipe(root: Path) -> None:
    (root / "inventory").mkdir()
    os.mkfifo(root / "inventory/a.toml")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (loop, "inventory/a.toml: a symbolic link points to itself"),
        (nowhere, "inventory/a.toml: a symbolic link points to nothing"),
        (upwards, "modules/nixos/up: a symbolic link leads back to a folder above it"),
        (itself, "inventory.toml: a symbolic link points to itself"),
        (pipe, "inventory/a.toml: is no file"),
    ],
)
def test_links_that_go_in_circles_and_pipes_are_told_and_not_followed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: Callable[[Path], None], message: str
) -> None:
    write(tmp_path, {"inventory.toml": TWO, **CONFIGURATIONS})
    make(tmp_path)
    code, err = told(capsys, tmp_path)
    assert code == 65
    assert message in err


def test_a_file_that_another_one_imports_as_well_counts_once(tmp_path: Path) -> None:
    files = {
        "modules/a.py": 'module = {"imports": ["b.py", "c.toml"]}',
        "modules/b.py": 'module = {"tags": {"x": {"machines": ["alpha"]}}}',
        "modules/c.toml": '[machines.alpha.deploy]\ntargetHost = "root@alpha"\n',
    }
    fleet = load(write(tmp_path, {"inventory.toml": TWO, **CONFIGURATIONS, **files}))
    assert explain(fleet, "tags.x.machines").value == ["alpha"]
    assert explain(fleet, "machines.alpha.deploy.target_host").value == ["root@alpha"]
