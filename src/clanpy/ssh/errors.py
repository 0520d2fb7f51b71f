"""What goes wrong between here and a target, and the one place where foreign exceptions become errors of clanpy."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import TYPE_CHECKING, Any

from clanpy.errors import ClanpyError, ExitCode
from clanpy.ssh.library import asyncssh


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SHOWN_LINES = 20

_NO_ROUTE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.EADDRNOTAVAIL}
_LOST = {errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED, errno.ESHUTDOWN, errno.ENOTCONN, errno.ETIMEDOUT}


class SshError(ClanpyError):
    """Something between this computer and a target went wrong. `transient`: dialling once more may help."""

    code = "CP0300"

    transient: bool = False


class TargetError(SshError):
    """A target is written in a way that names no host."""

    code = "CP0301"
    exit_code = ExitCode.USAGE


class UnreachableError(SshError):
    """Nobody answered: refused, no route, no such name, or silence."""

    code = "CP0302"
    exit_code = ExitCode.UNREACHABLE


class HostKeyError(SshError):
    """The host showed a key that is not the recorded one, or none is recorded."""

    code = "CP0303"
    exit_code = ExitCode.UNREACHABLE


class AuthenticationError(SshError):
    """The host answered and did not let us in."""

    code = "CP0304"
    exit_code = ExitCode.UNREACHABLE


class RemoteTimeoutError(SshError):
    """A command on a target took longer than it may."""

    code = "CP0305"


class ConnectionLostError(SshError):
    """The connection broke while it was in use."""

    code = "CP0306"


class RemoteCommandError(SshError):
    """A command on a target failed. `status` is its exit status (None when a signal ended it)."""

    code = "CP0307"

    status: int | None = None
    signal: str | None = None


class ChannelRefusedError(SshError):
    """The host is connected and refuses to run a command over the connection."""

    code = "CP0308"


class ElevationError(SshError):
    """A command has to run as another user, and the host does not let us."""

    code = "CP0309"


class SshSetupError(SshError):
    """The SSH set-up on this computer (configuration, identity file) can't be used."""

    code = "CP0310"
    exit_code = ExitCode.USAGE


def last_lines(text: str, count: int = SHOWN_LINES) -> tuple[str, ...]:
    """The last lines of a program's output, as `details` of an error."""
    return tuple(text.rstrip("\n").splitlines()[-count:])


def translate(error: BaseException, host: str, *, doing: str = "connecting to", tried: Sequence[str] = ()) -> SshError:
    """The error of clanpy that a foreign exception stands for. `doing` says what was under way; `tried` names keys."""
    if isinstance(error, SshError):
        return error
    if isinstance(error, asyncssh.Error):
        return _of_asyncssh(error, host, doing, tried)
    if isinstance(error, OSError):
        return _of_system(error, host, doing)
    raise error


def _of_asyncssh(error: asyncssh.Error, host: str, doing: str, tried: Sequence[str]) -> SshError:
    match error:
        case asyncssh.PermissionDenied():
            return _denied(error, host, tried)
        case asyncssh.HostKeyNotVerifiable():
            return HostKeyError(f"the host key of {host} can't be verified: {error.reason}")
        case asyncssh.ChannelOpenError():
            hint = "is MaxSessions of its sshd too low?"
            return ChannelRefusedError(f"{host} refuses to run a command: {error.reason}", hint=hint)
        case asyncssh.ConnectionLost():
            return _lost(error.reason, host, doing)
        case _:
            return SshError(f"{doing} {host} failed: {error.reason}")


def _denied(error: asyncssh.PermissionDenied, host: str, tried: Sequence[str]) -> SshError:
    return AuthenticationError(
        f"{host} let none of our keys in",
        hint="put one of these public keys into authorized_keys there, or name another identity file"
        if tried
        else "there is no key here to offer: name an identity file, or start an SSH agent",
        details=(error.reason, *(f"tried {key}" for key in tried)),
    )


def _lost(reason: str, host: str, doing: str) -> SshError:
    found = ConnectionLostError(f"the connection to {host} was lost while {doing}: {reason}")
    found.transient = True
    return found


def _unresolved(error: socket.gaierror, host: str) -> SshError:
    found = UnreachableError(f"no address is known for {host}", hint="is the name right?", details=(str(error),))
    found.transient = error.errno == socket.EAI_AGAIN
    return found


def _of_system(error: OSError, host: str, doing: str) -> SshError:
    if isinstance(error, socket.gaierror):
        return _unresolved(error, host)
    if isinstance(error, TimeoutError) and error.errno is None:
        return UnreachableError(f"{host} did not answer in time")
    if error.errno in _LOST:
        return _lost(error.strerror or str(error), host, doing)
    if error.errno == errno.ECONNREFUSED:
        found = UnreachableError(f"{host} refuses the connection", hint="is sshd running there, on this port?")
        found.transient = True
        return found
    if error.errno in _NO_ROUTE:
        return UnreachableError(f"there is no way to {host}: {error.strerror}", hint="is the network up?")
    return UnreachableError(f"{doing} {host} failed: {error}")


def command_failed(host: str, command: str, status: int | None, signal: str | None, output: str) -> RemoteCommandError:
    """The error for a command that ended with a status other than 0, or by a signal."""
    how = f"signal {signal}" if signal else f"status {status}"
    error = RemoteCommandError(f"a command failed on {host} with {how}: {command}", details=last_lines(output))
    error.status, error.signal = (None if signal else status), signal
    return error


def revive(report: Mapping[str, Any]) -> SshError:
    """The error that `to_dict` was made of, in another process."""
    kinds = {kind.code: kind for kind in SshError.__subclasses__()}
    kind = kinds.get(str(report["code"]), SshError)
    return kind(report["message"], hint=report["hint"], details=report["details"])


def is_foreign(error: BaseException) -> bool:
    """Whether `translate` knows this exception. Cancellation is never an error."""
    if isinstance(error, asyncio.CancelledError):
        return False
    return isinstance(error, asyncssh.Error | OSError)
