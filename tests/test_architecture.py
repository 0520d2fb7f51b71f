"""The picture of the rooms in docs/architecture.md, kept true: no import points upwards, and no file grows out of hand."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest


PACKAGE = Path(__file__).resolve().parent.parent / "src" / "clanpy"

FLOORS = {
    "cli": 8,
    "deploy": 7,
    "rollout": 6,
    "vars": 5,
    "machines": 5,
    "nix": 5,
    "inventory": 4,
    "services": 3,
    "activation": 3,
    "ui": 3,
    "modules": 2,
    "secrets": 2,
    "ssh": 2,
    "journal": 2,
    "lab": 2,
    "infra": 2,
    "events": 1,
    "errors": 1,
}
BESIDE = {"deployment": "deploy", "generators": "vars"}  # packages that a file of the map is the door of
ALONE = {"modules"}  # a library of its own: not even the floor below
MAX_LINES = 700


def room(path: Path) -> str:
    name = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return BESIDE.get(name, name)


def imported_rooms(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif not isinstance(node, ast.ImportFrom):
            continue
        else:
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            names = [
                f"{node.module}.{alias.name}" if node.module == "clanpy" else str(node.module) for alias in node.names
            ]
        for name in names:
            parts = name.split(".")
            if parts[0] == "clanpy" and len(parts) > 1 and not parts[1].startswith("__"):
                yield node.lineno, BESIDE.get(parts[1], parts[1])


FILES = sorted(p for p in PACKAGE.rglob("*.py") if p.parent != PACKAGE or not p.name.startswith("__"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_room_imports_only_from_floors_below_its_own(path: Path) -> None:
    here = room(path)
    for line, there in imported_rooms(path):
        if there == here:
            continue
        assert there in FLOORS, f"{path}:{line}: {there} is no room of the map"
        assert here not in ALONE, f"{path}:{line}: {here} imports nothing from the rest of clanpy"
        assert FLOORS[there] < FLOORS[here], (
            f"{path}:{line}: {here} (floor {FLOORS[here]}) imports {there} (floor {FLOORS[there]})"
        )


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_file_grows_beyond_seven_hundred_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_LINES
