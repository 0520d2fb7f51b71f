"""Whom we believe to be talking to."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable
from pathlib import Path

import asyncssh
import pytest

from clanpy.errors import ExitCode
from clanpy.ssh import HostKeyCheck, HostKeyError, Target, connect
from clanpy.ssh.hostkeys import KnownHosts, Name, record
from support.sshd import Sshd, make_key, running_sshd


STRICT, ACCEPT_NEW, NONE = HostKeyCheck.STRICT, HostKeyCheck.ACCEPT_NEW, HostKeyCheck.NONE


@pytest.fixture(scope="session")
def other_key(tmp_path_factory: pytest.TempPathFactory) -> str:
    return public(make_key(tmp_path_factory.mktemp("keys") / "other"))


@pytest.fixture
def known(tmp_path: Path) -> Path:
    return tmp_path / "known_hosts"


def write(path: Path, text: str) -> None:
    path.write_text(text)


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def keygen(arguments: str) -> str:
    return subprocess.run(f"ssh-keygen -q {arguments}", shell=True, check=True, capture_output=True, text=True).stdout


def public(key: Path) -> str:
    return " ".join(key.with_name(f"{key.name}.pub").read_text().split()[:2])


def fingerprint(key: Path) -> str:
    return keygen(f"-l -f {key}.pub").split()[1]


Believing = Callable[[str, HostKeyCheck], Target]


@pytest.fixture
def believing(sshd: Sshd, known: Path, other_key: str) -> Believing:
    """The server as a target, with a file in which keys are filled in."""

    def make(recorded: str, check: HostKeyCheck) -> Target:
        write(known, recorded.format(port=sshd.port, key=sshd.public_host_key, other=other_key))
        return sshd.target(known_hosts=(known,), host_key_check=check)

    return make


async def enters(target: Target) -> bool:
    async with connect(target) as conn:
        return (await conn.run("true")).ok


async def refusal(target: Target) -> HostKeyError:
    with pytest.raises(HostKeyError) as caught:
        await enters(target)
    return caught.value


RIGHT = "[127.0.0.1]:{port} {key}\n"
WRONG = "[127.0.0.1]:{port} {other}\n"


@pytest.mark.parametrize(
    ("recorded", "check", "believed"),
    [
        (RIGHT, STRICT, True),
        (RIGHT, ACCEPT_NEW, True),
        (RIGHT, NONE, True),
        (WRONG, STRICT, False),
        (WRONG, ACCEPT_NEW, False),
        (WRONG, NONE, True),
        ("", STRICT, False),
        ("", ACCEPT_NEW, True),
        ("", NONE, True),
        (WRONG + RIGHT, STRICT, True),
        ("127.0.0.1 {key}\n", STRICT, True),
        ("127.0.0.1 {other}\n", STRICT, False),
        ("127.0.0.1 {other}\n", ACCEPT_NEW, True),
        ("[127.0.0.*]:{port} {key}\n", STRICT, True),
        ("@revoked * {key}\n" + RIGHT, STRICT, False),
        ("@revoked * {key}\n", ACCEPT_NEW, False),
        ("@cert-authority * {other}\n" + RIGHT, STRICT, True),
        ("no key at all\n# a comment\n[127.0.0.1]:{port} ssh-ed25519 AAAA\n" + RIGHT, STRICT, True),
    ],
)
async def test_what_is_recorded_decides_who_is_believed(
    believing: Believing, recorded: str, check: HostKeyCheck, believed: bool
) -> None:
    target = believing(recorded, check)

    if believed:
        assert await enters(target)
    else:
        assert (await refusal(target)).exit_code is ExitCode.UNREACHABLE


async def test_a_hashed_entry_counts_and_is_found_for_the_message(sshd: Sshd, known: Path, other_key: str) -> None:
    write(known, RIGHT.format(port=sshd.port, key=sshd.public_host_key))
    keygen(f"-H -f {known}")
    assert "127.0.0.1" not in read(known)
    assert await enters(sshd.target(known_hosts=(known,)))

    write(known, f"# first line\n[127.0.0.1]:{sshd.port} {other_key}\n")
    keygen(f"-H -f {known}")
    error = await refusal(sshd.target(known_hosts=(known,)))

    assert str(error.place) == f"{known}:2"


async def test_another_key_than_the_recorded_one_is_told_with_line_fingerprint_and_remedy(
    sshd: Sshd, known: Path, other_key: str
) -> None:
    write(known, f"# ours\n\n[127.0.0.1]:{sshd.port} {other_key}\n")

    error = await refusal(sshd.target(name="cinnabar", known_hosts=(known,)))

    shown, recorded = fingerprint(sshd.host_key), asyncssh.import_public_key(other_key).get_fingerprint()
    assert error.message == (f"cinnabar shows another host key than the one that is recorded: ssh-ed25519 {shown}")
    assert str(error.place) == f"{known}:3"
    assert f"{known}:3: ssh-ed25519 {recorded} is recorded" in error.details
    assert f"ssh-keygen -R '[127.0.0.1]:{sshd.port}' -f '{known}'" in (error.hint or "")


async def test_the_remedy_of_a_changed_key_works(sshd: Sshd, known: Path, other_key: str) -> None:
    write(known, WRONG.format(port=sshd.port, other=other_key))
    error = await refusal(sshd.target(known_hosts=(known,)))
    remedy = (error.hint or "").partition("this is its key: ")[2]

    assert remedy.startswith("ssh-keygen -R ")
    keygen(remedy.removeprefix("ssh-keygen "))

    assert await enters(sshd.target(known_hosts=(known,), host_key_check=ACCEPT_NEW))


async def test_an_unknown_key_is_told_with_fingerprint_and_remedy(sshd: Sshd, known: Path) -> None:
    error = await refusal(sshd.target(name="cinnabar", known_hosts=(known,)))

    assert error.message == (f"no host key is recorded for cinnabar; it shows ssh-ed25519 {fingerprint(sshd.host_key)}")
    assert "--host-key-check accept-new" in (error.hint or "")
    assert f"looked for [127.0.0.1]:{sshd.port} in {known}" in error.details


async def test_a_revoked_key_is_told_as_such(sshd: Sshd, known: Path) -> None:
    write(known, f"@revoked * {sshd.public_host_key}\n")

    error = await refusal(sshd.target(name="cinnabar", known_hosts=(known,)))

    assert error.message == "cinnabar shows a host key that is marked as revoked"


async def test_a_new_key_is_written_down_once_and_believed_from_then_on(sshd: Sshd, tmp_path: Path) -> None:
    known = tmp_path / "deep" / "known_hosts"
    new = sshd.target(known_hosts=(known,), host_key_check=ACCEPT_NEW)

    await enters(new)
    await enters(new)

    assert read(known) == RIGHT.format(port=sshd.port, key=sshd.public_host_key)
    assert await enters(sshd.target(known_hosts=(known,)))


async def test_nothing_is_written_where_nothing_is_checked(sshd: Sshd, known: Path) -> None:
    await enters(sshd.target(known_hosts=(known,), host_key_check=NONE))

    assert read(known) == ""


async def test_a_key_of_another_kind_is_no_new_key(known: Path, tmp_path: Path, sshd: Sshd) -> None:
    ecdsa = public(make_key(tmp_path / "ecdsa", "ecdsa"))
    write(known, f"[127.0.0.1]:{sshd.port} {ecdsa}\n")

    error = await refusal(sshd.target(known_hosts=(known,), host_key_check=ACCEPT_NEW))

    assert "shows another host key" in error.message


async def test_of_several_keys_a_host_shows_the_recorded_one(tmp_path: Path, known: Path) -> None:
    directory = tmp_path / "sshd"
    directory.mkdir()
    make_key(directory / "ecdsa_key", "ecdsa")
    with running_sshd(directory, extra=f"HostKey {directory}/ecdsa_key") as sshd:
        for key in (directory / "ecdsa_key", sshd.host_key):
            write(known, f"[127.0.0.1]:{sshd.port} {public(key)}\n")

            assert await enters(sshd.target(known_hosts=(known,)))


async def test_a_certificate_of_a_known_authority_is_believed(tmp_path: Path, known: Path) -> None:
    directory = tmp_path / "sshd"
    directory.mkdir()
    authority, host_key = make_key(tmp_path / "authority"), make_key(directory / "host_key")
    keygen(f"-s {authority} -I cinnabar -h -n 127.0.0.1 {host_key}.pub")
    with running_sshd(directory, extra=f"HostCertificate {directory}/host_key-cert.pub") as sshd:
        write(known, f"@cert-authority * {public(authority)}\n")

        assert await enters(sshd.target(known_hosts=(known,)))


async def test_the_users_own_file_counts_and_is_written_where_the_fleet_has_none(sshd: Sshd, home: Path) -> None:
    mine = home / ".ssh" / "known_hosts"
    target = sshd.target(known_hosts=(), isolated=False)

    await refusal(target)
    await enters(sshd.target(known_hosts=(), isolated=False, host_key_check=ACCEPT_NEW))

    assert read(mine) == RIGHT.format(port=sshd.port, key=sshd.public_host_key)
    assert await enters(target)


async def test_no_file_in_the_users_configuration_is_not_no_check(sshd: Sshd, home: Path) -> None:
    write(home / ".ssh" / "config", "UserKnownHostsFile none\nGlobalKnownHostsFile none\n")

    error = await refusal(sshd.target(known_hosts=(), isolated=False))

    assert "no host key is recorded" in error.message


async def test_many_hosts_accepted_at_once_are_all_written_whole(known: Path) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519").convert_to_public()
    write(known, "# no end of line")

    async with asyncio.TaskGroup() as group:
        for n in range(40):
            group.create_task(asyncio.to_thread(record, known, Name(f"host{n % 20}"), key))

    lines = read(known).splitlines()
    assert lines[0] == "# no end of line"
    assert sorted(line.split()[0] for line in lines[1:]) == sorted(f"host{n}" for n in range(20))


def test_a_file_that_has_changed_is_read_again(known: Path, other_key: str) -> None:
    hosts = KnownHosts()
    assert hosts.lookup([known], Name("cinnabar")).keys == ()

    write(known, f"cinnabar {other_key}\n")

    assert len(hosts.lookup([known], Name("cinnabar")).keys) == 1


async def test_a_key_that_is_recorded_for_the_same_host_elsewhere_is_good_and_no_other(
    sshd: Sshd, tmp_path: Path
) -> None:
    known = tmp_path / "known_hosts"
    known.write_text(f"gate,[elsewhere]:2222 {sshd.public_host_key}\n")
    for entry in ("gate", "[elsewhere]:2222"):
        async with connect(sshd.target(known_hosts=(known,), known_as=(entry,))) as conn:
            assert (await conn.run("true")).ok
    with pytest.raises(HostKeyError, match="no host key is recorded"):
        async with connect(sshd.target(known_hosts=(known,), known_as=("other",))):
            pass
    other = " ".join((make_key(tmp_path / "other").with_name("other.pub")).read_text().split()[:2])
    known.write_text(f"gate {other}\n")
    with pytest.raises(HostKeyError, match="shows another host key") as caught:
        async with connect(
            sshd.target(known_hosts=(known,), known_as=("gate",), host_key_check=HostKeyCheck.ACCEPT_NEW)
        ):
            pass
    assert caught.value.place is not None
    known.write_text(f"gate {other}\n[127.0.0.1]:{sshd.port} {sshd.public_host_key}\n")
    async with connect(sshd.target(known_hosts=(known,), known_as=("gate",))) as conn:
        assert (await conn.run("true")).ok
