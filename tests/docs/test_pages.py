"""The documentation says what the program does: written pages are up to date, and what they name exists."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path

import pytest

from clanpy.errors import ClanpyError, ExitCode
from clanpy.events import Outcome
from clanpy.inventory import check
from clanpy.inventory.schema import DEPLOY, INSTANCE, MACHINE, META, OPTIONS, ROLE, TAG, USER
from clanpy.rollout.outcome import GOOD, exit_code
from support.fleets import write


ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


def read(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def blocks(text: str, language: str) -> Iterator[str]:
    """The fenced blocks of a language."""
    yield from re.findall(rf"^```{language}[^\n]*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("script", ["docs-commands", "docs-errors", "docs-options", "docs-services"])
def test_a_page_that_is_written_by_a_script_is_up_to_date(script: str) -> None:
    result = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / script), "--check"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert result.returncode == 0, result.stderr


def test_every_error_has_a_code_of_its_own_and_a_meaning() -> None:
    """The page of errors is complete only then; it has imported the whole package to be written, so this does too."""
    found = subprocess.run(
        [sys.executable, "-c", EVERY_ERROR], capture_output=True, text=True, check=True, timeout=60
    ).stdout.splitlines()
    codes = [line.split()[0] for line in found]

    assert sorted(codes) == sorted(set(codes))
    assert [line for line in found if not re.fullmatch(r"CP\d{4} \w+ documented", line)] == []
    assert [code for code in codes if f"| `{code}` |" not in read("errors.md")] == []


EVERY_ERROR = """
import importlib, pkgutil, clanpy
from clanpy.errors import ClanpyError
for module in pkgutil.walk_packages(clanpy.__path__, "clanpy."):
    module.name.endswith("__main__") or importlib.import_module(module.name)
pending = [ClanpyError]
while pending:
    cls = pending.pop()
    pending += cls.__subclasses__()
    print(vars(cls).get("code", cls.code + "?"), cls.__name__, "documented" if vars(cls).get("__doc__") else "")
"""


def test_every_exit_code_is_documented_once() -> None:
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", read("exit-codes.md"), re.MULTILINE)

    assert [(int(number), name) for number, name in rows] == [(int(code), code.name) for code in ExitCode]


def test_the_rule_for_mixed_endings_is_as_documented() -> None:
    """The numbered rule of exit-codes.md, tried on every pair of endings."""
    assert len(re.findall(r"^\d\. ", read("exit-codes.md"), re.MULTILINE)) == 6  # the rules of `expected`
    causes: dict[Outcome, ExitCode] = {
        Outcome.FAILED: ExitCode.HOSTS_FAILED,
        Outcome.UNREACHABLE: ExitCode.UNREACHABLE,
        Outcome.LOCKED: ExitCode.CONFLICT,
        Outcome.ROLLED_BACK: ExitCode.ROLLED_BACK,
        Outcome.CANCELLED: ExitCode.INTERRUPTED,
        Outcome.SKIPPED: ExitCode.BUDGET_SPENT,
    }

    for pair in product(Outcome, repeat=2):
        ends = [(outcome, causes.get(outcome)) for outcome in pair]
        assert exit_code(ends) == expected(pair, causes), pair


def expected(pair: tuple[Outcome, ...], causes: dict[Outcome, ExitCode]) -> ExitCode:
    bad = {outcome for outcome in pair if outcome not in GOOD}
    if Outcome.CANCELLED in bad:
        return ExitCode.INTERRUPTED
    if Outcome.SKIPPED in pair:
        return ExitCode.BUDGET_SPENT
    if not bad:
        return ExitCode.DONE
    if Outcome.ROLLED_BACK in bad:
        return ExitCode.ROLLED_BACK
    return causes[bad.pop()] if len(bad) == 1 else ExitCode.HOSTS_FAILED


@pytest.mark.parametrize(
    ("heading", "keys"),
    [
        ("Top level", dict(OPTIONS)),
        ("Meta", META),
        ("Machines", {**MACHINE, **{f"deploy.{key}": value for key, value in DEPLOY.items()}}),
        ("Tags", TAG),
        ("Users", USER),
        ("Instances", INSTANCE),
        ("Roles", ROLE),
    ],
)
def test_every_key_of_the_inventory_is_documented(heading: str, keys: Mapping[str, object]) -> None:
    section = re.search(rf"^##+ {heading}\n(.*?)(?=^## |^### |\Z)", read("inventory.md"), re.MULTILINE | re.DOTALL)
    assert section, heading
    first = re.search(
        r"^\| Key \|.*?(?=\n\n|\Z)", section[1], re.MULTILINE | re.DOTALL
    )  # others tell of commands, or values
    assert first, heading
    named = re.findall(r"^\| `([^`]+)` \|", first[0], re.MULTILINE)

    assert set(named) == set(keys) - {"deploy"}


def test_the_examples_of_the_inventory_are_in_order(tmp_path: Path) -> None:
    example, *more = blocks(read("inventory.md"), "toml")
    files = {f"machines/{name}/configuration.nix": "{ }" for name in ("harbour", "skiff")}
    aspects = {f"modules/{path}.nix": "{ }" for path in ("system/base", "nixos/server", "nixos/backup", "home/core")}
    fleet = write(tmp_path, {"inventory.toml": example, **files, **aspects})

    assert [str(error) for error in check(fleet).errors] == []
    for n, text in enumerate(more):
        (fleet / "inventory").mkdir(exist_ok=True)
        (fleet / "inventory" / f"{n}.toml").write_text(text, encoding="utf-8")
        assert [str(error) for error in check(fleet).errors] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_toml_on_a_page_is_toml(page: Path) -> None:
    for text in blocks(page.read_text(encoding="utf-8"), "toml"):
        tomllib.loads(text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    targets = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"\w+://", link)]

    assert [link for link in targets if not is_there(page, link)] == []


def is_there(page: Path, link: str) -> bool:
    file, _, anchor = link.partition("#")
    target = (page.parent / file) if file else page
    if not target.exists():
        return False
    if not anchor:
        return True
    headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
    return anchor in {re.sub(r"[\s]+", "-", re.sub(r"[^\w\s-]", "", title).strip().lower()) for title in headings}


def test_decisions_are_numbered_and_listed() -> None:
    pages = sorted(path.name for path in (DOCS / "decisions").glob("[0-9]*.md"))
    numbers = [name[:4] for name in pages]
    titles = [(DOCS / "decisions" / name).read_text(encoding="utf-8").splitlines()[0] for name in pages]

    assert len(numbers) == len(set(numbers))
    assert [title[:6] for title in titles] == [f"# {number}" for number in numbers]
    assert re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", read("decisions/index.md")) == pages


def test_the_site_builds(tmp_path: Path) -> None:
    mkdocs = Path(sys.executable).parent / "mkdocs"
    result = subprocess.run(
        [str(mkdocs), "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )

    assert result.returncode == 0, result.stdout + result.stderr


def test_the_base_of_all_errors_is_no_error_of_its_own() -> None:
    assert ClanpyError.code == "CP0001"
