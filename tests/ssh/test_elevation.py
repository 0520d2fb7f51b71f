"""Running a command as somebody else."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from clanpy.ssh import Connection, Dialer, Elevation, ElevationError, Target, connect
from support.sshd import Sshd, running_sshd


ROOT = os.geteuid() == 0
as_root_only = pytest.mark.skipif(not ROOT, reason="needs root, to log in as others")

# Stands for sudo where none is installed: asks as sudo does, reads the answer as sudo does (a byte at a time, so that what
# comes after the line is left for the command), and then runs the command.
STAND_IN = """#!/bin/sh
asks=no
while [ "$1" != -- ]; do
    case $1 in -S) asks=yes ;; -p) prompt=$2; shift ;; -n) asks=never ;; esac
    shift
done
shift
[ -e "{directory}/nopasswd" ] && exec "$@"
[ $asks = yes ] || { echo "sudo: a password is required" >&2; exit 1; }
for try in 1 2 3; do
    printf %s "$prompt" >&2
    IFS= read -r answer
    [ "$answer" = "open sesame" ] && exec "$@"
    echo "Sorry, try again." >&2
done
echo "sudo: 3 incorrect password attempts" >&2
exit 1
"""


@pytest.mark.parametrize("elevation", list(Elevation))
def test_root_needs_nothing_to_be_root(elevation: Elevation) -> None:
    assert elevation.as_root("root") == ()
    assert elevation.as_root("root", may_ask=True) == ()


@pytest.mark.parametrize(
    ("elevation", "words"),
    [
        (Elevation.NONE, ""),
        (Elevation.SUDO, "sudo -n -H --"),
        (Elevation.DOAS, "doas -n --"),
        (Elevation.RUN0, "run0 --no-ask-password --pipe --"),
    ],
)
def test_others_become_root_without_a_terminal(elevation: Elevation, words: str) -> None:
    assert " ".join(elevation.as_root("admin")) == words


@pytest.mark.parametrize(
    ("elevation", "words"),
    [
        (Elevation.SUDO, "sudo -n -H -u liv --"),
        (Elevation.DOAS, "doas -n -u liv --"),
        (Elevation.RUN0, "run0 --no-ask-password --pipe --user=liv --"),
    ],
)
def test_others_become_an_account(elevation: Elevation, words: str) -> None:
    assert " ".join(elevation.as_user("admin", "liv") or ()) == words


def test_nobody_becomes_another_without_means() -> None:
    assert Elevation.NONE.as_user("admin", "liv") is None
    assert Elevation.NONE.as_user("admin", "root") is None
    assert Elevation.NONE.as_user("liv", "liv") == ()


@pytest.mark.parametrize("elevation", list(Elevation))
def test_no_password_is_ever_among_the_words(elevation: Elevation) -> None:
    for words in (elevation.as_root("admin", may_ask=True), elevation.as_user("admin", "liv", may_ask=True) or ()):
        assert "-n" not in words or elevation is not Elevation.SUDO
        assert ("-S" in words) == (elevation is Elevation.SUDO)


@as_root_only
async def test_a_command_runs_as_another_account_in_its_home_and_with_its_words_whole(sshd: Sshd) -> None:
    async with connect(sshd.target()) as conn:
        who = await conn.run("id -un; echo $HOME; pwd", as_user="nobody")
        words = await conn.run(["printf", "%s|", "a b", "it's", "$HOME"], as_user="nobody")
        fed = await conn.run("cat", input=b"from here", as_user="nobody")
        failed = await conn.run("echo out; echo err >&2; exit 3", as_user="nobody")
        lines = [line async for line in conn.follow("echo one; echo two", as_user="nobody")]

    name, home, where = who.stdout.splitlines()
    assert (name, home) == ("nobody", "/nonexistent")
    assert where == "/"
    assert words.stdout == "a b|it's|$HOME|"
    assert fed.stdout == "from here"
    assert (failed.status, failed.stdout, failed.stderr) == (3, "out\n", "err\n")
    assert lines == ["one", "two"]


@as_root_only
async def test_an_account_that_does_not_exist_is_told(sshd: Sshd) -> None:
    async with connect(sshd.target(name="cinnabar")) as conn:
        with pytest.raises(ElevationError) as caught:
            await conn.run("true", as_user="no-such-account")

    assert caught.value.message == "cinnabar does not let us run commands as another account"
    assert "no-such-account" in caught.value.details[-1]


@as_root_only
async def test_being_the_account_already_needs_nothing(sshd: Sshd) -> None:
    async with connect(sshd.target()) as conn:
        assert (await conn.run("id -un", as_user="root", elevate=True)).stdout == "root\n"


@contextlib.contextmanager
def sudoing_host(directory: Path) -> Iterator[Target]:
    """A server on which we are nobody, and where sudo is the stand-in."""
    tools = directory / "tools"
    tools.mkdir(parents=True)
    (tools / "sudo").write_text(STAND_IN.replace("{directory}", str(tools)))
    (tools / "sudo").chmod(0o755)
    for parent in (tools, *tools.parents):
        with contextlib.suppress(PermissionError):
            if parent.stat().st_mode & 0o001 == 0:
                parent.chmod(parent.stat().st_mode | 0o011)
    with running_sshd(directory / "sshd", extra=f"SetEnv PATH={tools}:/usr/bin:/bin") as sshd:
        yield sshd.target(name="cinnabar")


Hook = Callable[[Target], Awaitable[str]]


def answering(password: str, asked: list[Target]) -> Hook:
    async def answer(target: Target) -> str:
        asked.append(target)
        return password

    return answer


def pretend_not_root(conn: Connection) -> None:
    """This computer may have no other account with a shell to log in to."""
    conn.user = "admin"


async def test_a_password_that_sudo_wants_is_given_once_and_only_to_sudo(tmp_path: Path) -> None:
    asked: list[Target] = []
    with sudoing_host(tmp_path) as target:
        async with Dialer(ask_password=answering("open sesame", asked)) as dialer, dialer.connect(target) as conn:
            pretend_not_root(conn)
            fed = await conn.run("cat; echo err >&2", input=b"for the command", elevate=True)
            lines = [line async for line in conn.follow("echo one; echo two", elevate=True)]

    assert (fed.stdout, fed.stderr, fed.status) == ("for the command", "err\n", 0)
    assert lines == ["one", "two"]
    assert asked == [target, target]


async def test_a_password_that_nobody_wants_is_not_asked_for_nor_sent(tmp_path: Path) -> None:
    asked: list[Target] = []
    with sudoing_host(tmp_path) as target:
        (tmp_path / "tools" / "nopasswd").touch()
        async with Dialer(ask_password=answering("open sesame", asked)) as dialer, dialer.connect(target) as conn:
            pretend_not_root(conn)
            done = await conn.run("cat", input=b"for the command", elevate=True)

    assert done.stdout == "for the command"
    assert asked == []


async def test_a_wrong_password_is_tried_once_and_told(tmp_path: Path) -> None:
    asked: list[Target] = []
    with sudoing_host(tmp_path) as target:
        async with Dialer(ask_password=answering("wrong", asked)) as dialer, dialer.connect(target) as conn:
            pretend_not_root(conn)
            with pytest.raises(ElevationError, match="cinnabar did not accept the password for sudo"):
                await conn.run("cat", input=b"for the command", elevate=True)

    assert len(asked) == 1


async def test_without_anybody_to_ask_a_wanted_password_is_an_error_with_its_remedy(tmp_path: Path) -> None:
    with sudoing_host(tmp_path) as target:
        async with connect(target) as conn:
            pretend_not_root(conn)
            with pytest.raises(ElevationError) as caught:
                await conn.run("true", elevate=True)

    assert caught.value.details == ("sudo: a password is required",)
    assert "NOPASSWD" in (caught.value.hint or "")


async def test_a_command_that_fails_behind_sudo_is_no_failure_of_sudo(tmp_path: Path) -> None:
    with sudoing_host(tmp_path) as target:
        (tmp_path / "tools" / "nopasswd").touch()
        async with connect(target) as conn:
            pretend_not_root(conn)
            done = await conn.run("echo 'sudo: looks like it' >&2; exit 1", elevate=True)

    assert (done.status, done.stderr) == (1, "sudo: looks like it\n")


async def test_a_bridge_gets_through_sudo_before_its_first_byte(tmp_path: Path) -> None:
    asked: list[Target] = []
    with sudoing_host(tmp_path) as target:
        async with Dialer(ask_password=answering("open sesame", asked)) as dialer, dialer.connect(target) as conn:
            pretend_not_root(conn)
            async with conn.bridge("cat", elevate=True) as bridge:
                reader, writer = await asyncio.open_unix_connection(str(bridge))
                writer.write(b"x" * 100_000)
                writer.write_eof()
                assert await reader.read() == b"x" * 100_000
                writer.close()


@as_root_only
@pytest.mark.skipif(not shutil.which("sudo"), reason="needs sudo")
async def test_the_real_sudo_lets_root_be_anybody(sshd: Sshd) -> None:
    async with connect(sshd.target()) as conn:
        pretend_not_root(conn)
        assert (await conn.run("id -un", as_user="nobody")).stdout == "nobody\n"
