"""The text for the login shell, run by real shells of this computer."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clanpy.ssh.shell import guarded, quote, remote, shown
from ssh.watch import gone, hear


POSIX = [shell for shell in ("dash", "bash", "zsh", "busybox") if shutil.which(shell)]
LOGIN = [*POSIX, *(shell for shell in ("fish",) if shutil.which(shell))]
words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)


def argv(shell: str, text: str) -> list[str]:
    return [shell, "sh", "-c", text] if shell == "busybox" else [shell, "-c", text]


def start(shell: str, text: str) -> subprocess.Popen[bytes]:
    """Start a command as sshd does: a session of its own, and pipes for its streams."""
    return subprocess.Popen(
        argv(shell, text),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


@pytest.mark.parametrize("shell", LOGIN)
@settings(max_examples=30, deadline=None)
@given(given_words=st.lists(words, min_size=1, max_size=4))
def test_words_arrive_as_they_were_given(shell: str, given_words: list[str]) -> None:
    text = remote(f"printf '%s\\0' {' '.join(map(quote, given_words))}")

    out = subprocess.run(argv(shell, text), capture_output=True, check=True).stdout

    assert out.decode() == "".join(f"{word}\0" for word in given_words)


@pytest.mark.parametrize("word", ["plain", "a/b-c_d.e", "x=1,2", "user@host:22"])
def test_a_harmless_word_stays_readable(word: str) -> None:
    assert quote(word) == word


@pytest.mark.parametrize("shell", POSIX)
@pytest.mark.parametrize("size", [0, 1, 70_000])
def test_the_input_arrives_whole_and_the_status_comes_back(shell: str, size: int) -> None:
    data = os.urandom(size)
    with start(shell, guarded("cat; exit 7", size)) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        process.stdin.write(data)
        process.stdin.flush()

        # Standard input stays open meanwhile: the command must see its end all the same.
        assert process.stdout.read() == data
        assert process.wait(timeout=10) == 7


@pytest.mark.parametrize("shell", POSIX)
@pytest.mark.parametrize("size", [0, 5])
async def test_the_end_of_input_ends_the_command_and_what_it_started(shell: str, size: int, fifo: Path) -> None:
    with start(shell, guarded(f"sleep 1000 & echo $! >{fifo}; wait", size)) as process:
        assert process.stdin is not None
        process.stdin.write(b"x" * size)
        process.stdin.flush()
        child = int(await hear(fifo))

        process.stdin.close()

        await gone(child)
        await gone(process.pid)


async def test_a_command_that_ignores_the_request_is_killed(fifo: Path) -> None:
    with start("dash", guarded(f"trap '' TERM; echo $$ >{fifo}; while :; do sleep 1000; done")) as process:
        assert process.stdin is not None
        assert int(await hear(fifo)) == process.pid

        process.stdin.close()

        await gone(process.pid)


@pytest.mark.parametrize("size", [0, 5])
async def test_what_runs_in_a_session_of_its_own_is_spared(size: int, fifo: Path) -> None:
    text = guarded(f"setsid sleep 1000 >/dev/null 2>&1 </dev/null & echo $! >{fifo}; wait", size)
    with start("dash", text) as process:
        assert process.stdin is not None
        process.stdin.write(b"x" * size)
        process.stdin.flush()
        child = int(await hear(fifo))

        process.stdin.close()
        await gone(process.pid)

        os.kill(child, 9)  # it is still there, or this fails


async def test_what_a_finished_command_left_running_is_spared(fifo: Path) -> None:
    with start("dash", guarded(f"sleep 1000 >/dev/null 2>&1 & echo $! >{fifo}")) as process:
        assert process.stdin is not None
        child = int(await hear(fifo))
        assert process.wait(timeout=10) == 0

        process.stdin.close()

        os.kill(child, 9)


def test_a_command_sees_programs_of_nix_and_of_the_system() -> None:
    out = subprocess.run(argv("dash", remote("echo $PATH")), capture_output=True, check=True, env={}).stdout.decode()

    assert "/nix/var/nix/profiles/default/bin" in out
    assert "/run/wrappers/bin" in out


def test_a_command_is_shown_on_one_line_of_bounded_length() -> None:
    assert shown("echo a\n  echo b") == "echo a echo b"
    assert shown(["echo", "a b"]) == "echo 'a b'"
    assert shown("# what it is for\necho a") == "what it is for"
    assert len(shown("x" * 1000)) == 200
