"""A person is asked about gates that could not be tried; where there is none, nobody is, and nothing hangs."""

from __future__ import annotations

import os
import pty
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from clanpy.cli.live import ask_person
from clanpy.inventory.gates import Gate
from clanpy.rollout.gates import Attempt, Trial, Tried


def trial() -> Trial:
    found = Trial(Gate(name="odd", type="units", timeout=1), lambda: 0.0)
    found.note(Attempt(Tried.NOT_RUN, "there is no systemd"))
    return found


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch, typed: str) -> Iterator[int]:
    """A terminal on which this is typed; gives the end at which what it shows can be read."""
    master, slave = pty.openpty()
    with os.fdopen(slave) as stdin, os.fdopen(os.dup(slave), "w") as stderr:
        monkeypatch.setattr("sys.stdin", stdin)
        monkeypatch.setattr("sys.stderr", stderr)
        os.write(master, typed.encode())
        yield master
    os.close(master)


@pytest.mark.parametrize(("typed", "stays"), [("y\n", True), ("yes\n", True), ("n\n", False), ("\n", False)])
async def test_the_answer_decides(monkeypatch: pytest.MonkeyPatch, typed: str, *, stays: bool) -> None:
    with terminal(monkeypatch, typed) as shown:
        assert await ask_person("web", [trial()]) is stays
        text = b""
        while b"[y/N]" not in text:  # what was typed is echoed before
            text += os.read(shown, 4096)
    assert b"web: gate odd could not be tried: there is no systemd" in text


async def test_a_script_is_not_asked_and_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader) as stdin, os.fdopen(writer, "w"):
        monkeypatch.setattr("sys.stdin", stdin)
        assert await ask_person("web", [trial()]) is False
