"""Foreign exceptions, translated in one place."""

from __future__ import annotations

import asyncio
import errno
import json
import socket

import asyncssh
import pytest

from clanpy.errors import ExitCode, catalogue
from clanpy.ssh import (
    AuthenticationError,
    ChannelRefusedError,
    ConnectionLostError,
    HostKeyError,
    RemoteCommandError,
    SshError,
    UnreachableError,
)
from clanpy.ssh.errors import command_failed, is_foreign, revive, translate


def os_error(number: int) -> OSError:
    return OSError(number, "as the system says it")


@pytest.mark.parametrize(
    ("foreign", "kind", "transient"),
    [
        (os_error(errno.ECONNREFUSED), UnreachableError, True),
        (os_error(errno.EHOSTUNREACH), UnreachableError, False),
        (os_error(errno.ENETUNREACH), UnreachableError, False),
        (os_error(errno.ECONNRESET), ConnectionLostError, True),
        (os_error(errno.EPIPE), ConnectionLostError, True),
        (os_error(errno.EIO), UnreachableError, False),
        (TimeoutError(), UnreachableError, False),
        (socket.gaierror(socket.EAI_NONAME, "unknown"), UnreachableError, False),
        (socket.gaierror(socket.EAI_AGAIN, "later"), UnreachableError, True),
        (asyncssh.ConnectionLost("gone"), ConnectionLostError, True),
        (asyncssh.PermissionDenied("no"), AuthenticationError, False),
        (asyncssh.HostKeyNotVerifiable("who?"), HostKeyError, False),
        (asyncssh.ChannelOpenError(2, "open failed"), ChannelRefusedError, False),
        (asyncssh.KeyExchangeFailed("nothing in common"), SshError, False),
        (asyncssh.ProtocolError("what?"), SshError, False),
    ],
    ids=lambda value: getattr(value, "__name__", repr(value)),
)
def test_every_foreign_exception_has_its_error(foreign: Exception, kind: type[SshError], transient: bool) -> None:
    assert is_foreign(foreign)

    error = translate(foreign, "cinnabar")

    assert type(error) is kind
    assert "cinnabar" in error.message
    assert not error.message.endswith(".")
    assert error.transient is transient


def test_cancellation_and_bugs_are_not_translated() -> None:
    assert not is_foreign(asyncio.CancelledError())
    assert not is_foreign(KeyError("a bug"))
    with pytest.raises(KeyError):
        translate(KeyError("a bug"), "cinnabar")


def test_an_error_that_is_ours_already_stays_itself() -> None:
    error = HostKeyError("mine")

    assert translate(error, "cinnabar") is error


def test_codes_are_of_the_room_and_one_a_kind() -> None:
    kinds: list[type[SshError]] = [SshError, *SshError.__subclasses__()]
    codes = [kind.code for kind in kinds]

    assert all(code.startswith("CP03") for code in codes)
    assert len(set(codes)) == len(codes)
    assert all(catalogue()[kind.code] is kind for kind in kinds)
    assert all(kind.__doc__ for kind in kinds)


def test_not_getting_in_has_an_exit_code_of_its_own() -> None:
    kinds = [UnreachableError, HostKeyError, AuthenticationError]

    assert {kind.exit_code for kind in kinds} == {ExitCode.UNREACHABLE}


def test_an_error_survives_the_way_between_processes() -> None:
    error = command_failed("cinnabar", "nix-daemon --stdio", 1, None, "why\nnot\n")

    again = revive(json.loads(json.dumps(error.to_dict())))

    assert type(again) is RemoteCommandError
    assert again.to_dict() == error.to_dict()
