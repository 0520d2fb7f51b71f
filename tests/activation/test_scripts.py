"""The scripts as texts: they hold to POSIX, and every shell that a host may have reads them."""

from __future__ import annotations

import re
import shutil
import subprocess
from importlib.resources import files
from importlib.resources.abc import Traversable

import pytest

from clanpy.activation import guard_text
from clanpy.activation.scripts import assemble, assignments, part, printer, records
from clanpy.activation.wire import read


TEXTS = {
    "facts": ("locking", "facts"),
    "standing": ("locking", "boots", "standing", "facts"),
    "doctor": ("locking", "facts", "doctor"),
    "lock": ("locking", "lock"),
    "guard": ("locking", "classes", "limit", "reboot", "secrets", "guard"),
    "deliver": ("secrets", "deliver"),
    "start": ("start",),
    "attach": ("attach",),
    "generations": ("generations",),
    "preview": ("classes", "preview"),
    "contents": ("boots", "contents"),
}
# SC2154: variables that another part sets. SC2034: variables for another part. SC2015: `a && b || c` is meant as it stands.
PARTS = sorted(
    (file for file in files("clanpy.activation.scripts").iterdir() if file.name.endswith(".sh")),
    key=lambda file: file.name,
)
EXCLUDED = "SC2154,SC2034,SC2015"


def run(words: list[str], text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, input=text, text=True, capture_output=True, check=False)


@pytest.mark.parametrize("name", TEXTS)
def test_shellcheck_finds_nothing(name: str) -> None:
    if not shutil.which("shellcheck"):
        pytest.skip("there is no shellcheck here")
    found = run(["shellcheck", "-s", "sh", "-e", EXCLUDED, "-"], assemble(*TEXTS[name], variables={}))
    assert found.stdout == ""


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("shell", [["dash"], ["bash", "--posix"], ["busybox", "sh"]], ids=lambda words: words[0])
def test_every_shell_can_read_them(shell: list[str], name: str) -> None:
    if not shutil.which(shell[0]):
        pytest.skip(f"there is no {shell[0]} here")
    assert run([*shell, "-n"], assemble(*TEXTS[name], variables={})).stderr == ""


def test_the_guard_is_short_enough_to_be_read() -> None:
    assert len(part("guard").splitlines()) <= 250


@pytest.mark.parametrize("file", PARTS, ids=lambda file: file.name)
def test_no_script_uses_what_only_some_hosts_have(file: Traversable) -> None:
    """Neither flock, timeout, readlink -f, mktemp nor the words of one shell are there on all of them."""
    lines = [line.split(" #")[0] for line in file.read_text("utf-8").splitlines() if not line.lstrip().startswith("#")]
    assert not re.search(r"\b(flock|timeout|readlink -f|mktemp|local \w|date -d)\b|\[\[", "\n".join(lines))


@pytest.mark.parametrize("text", ["plain", "two words", 'it\'s "quoted" $HOME `x` \\n', "", "ünïcode", "a\nb"])
def test_a_value_reaches_the_shell_as_it_is(text: str) -> None:
    assert run(["dash"], assignments({"x": text}) + 'printf "%s" "$x"').stdout == text


@pytest.mark.parametrize("text", ["plain", "it's $HOME `x` \\n 'y'", "a\nb"])
def test_a_text_in_a_function_is_printed_as_it_is(text: str) -> None:
    assert run(["dash"], printer("show", text) + "show").stdout == text + "\n"


def test_a_record_is_one_line_however_long_its_value() -> None:
    assert records({"reason": "one\ntwo  three"}) == "reason=one two three\n"


def test_what_a_login_shell_writes_before_is_passed_over() -> None:
    said = read(["Welcome to folder!", "x=1", "@a=b=c", "|a line", "@empty="])
    assert said.fields == {"a": "b=c", "empty": ""}
    assert said.lines == ("a line",)


def test_the_guard_needs_nothing_that_is_not_in_its_text() -> None:
    """It lies on the host while it runs; the host has no clanpy."""
    assert guard_text().count("resolve() {") == 1
    assert "import" not in guard_text()
