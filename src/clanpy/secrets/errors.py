"""What goes wrong with secrets: one class a cause, codes CP0600 to CP0619. Messages name files and keys, never plain text.

SecretsError
├── SecretNotFoundError     there is no such secret
├── NoKeyError              no key at hand opens the file
├── TamperedError           the file was changed by someone who did not have the key
├── SecretFormatError       the file is no sops or age file
│   └── UnknownShapeError   it is one, of a shape that is left to the program
├── RecipientError          a public key is not one, or there is none to encrypt to
├── PlainStoreError         the plain store was asked for outside a lab
├── WriteFailedError        the disk refused
├── TreeLockedError         another process is writing
├── InterruptedWriteError   a write was interrupted and can't be completed from here
├── ProgramFailedError      `sops` or `age` ended with an error
├── PlaintextPlaceError     there is no memory-backed place for a temporary file
└── AccessError             an unknown user, machine or group
"""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING

from clanpy.errors import ClanpyError, ExitCode


if TYPE_CHECKING:
    from collections.abc import Iterator


class SecretsError(ClanpyError):
    """Something is wrong with a secret."""

    code = "CP0600"


class SecretNotFoundError(SecretsError):
    """There is no secret of this name."""

    code = "CP0601"
    exit_code = ExitCode.NOTHING_MATCHED


class NoKeyError(SecretsError):
    """None of the keys at hand opens the file, or there are none."""

    code = "CP0602"


class TamperedError(SecretsError):
    """The content does not match its authentication code: it was changed without the key, or is damaged."""

    code = "CP0603"


class SecretFormatError(SecretsError):
    """The file is not what it should be."""

    code = "CP0604"
    exit_code = ExitCode.FLEET_INVALID


class UnknownShapeError(SecretFormatError):
    """The file is well-formed, of a shape that only the `sops` program handles (KMS, PGP, key groups, comments)."""

    code = "CP0605"


class RecipientError(SecretsError):
    """A public key can't be used, or there is none to encrypt to."""

    code = "CP0606"
    exit_code = ExitCode.FLEET_INVALID


class PlainStoreError(SecretsError):
    """The plain store keeps secrets unencrypted and is for labs and tests."""

    code = "CP0607"
    exit_code = ExitCode.USAGE


class WriteFailedError(SecretsError):
    """The disk refused a write. What was there before is still there, unless the message says otherwise."""

    code = "CP0608"


class TreeLockedError(SecretsError):
    """Another process is writing to the same fleet."""

    code = "CP0609"
    exit_code = ExitCode.CONFLICT


class InterruptedWriteError(SecretsError):
    """An earlier write was interrupted after its point of no return, and could not be completed."""

    code = "CP0610"
    exit_code = ExitCode.CONFLICT


class ProgramFailedError(SecretsError):
    """The `sops` or `age` program ended with an error."""

    code = "CP0611"


class PlaintextPlaceError(SecretsError):
    """Plain text would have to be written to a disk."""

    code = "CP0612"
    exit_code = ExitCode.TOOL_MISSING


class AccessError(SecretsError):
    """A user, machine or group is not known, exists already, or can't be used as asked."""

    code = "CP0613"
    exit_code = ExitCode.USAGE


_REASONS = {
    errno.ENOSPC: "no space is left on the device",
    errno.EDQUOT: "the disk quota is spent",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
}


def reason(error: OSError) -> str:
    """An operating system's error as part of a sentence."""
    return _REASONS.get(error.errno or 0, (error.strerror or type(error).__name__).lower())


@contextmanager
def disk_errors(what: str, *, hint: str | None = None) -> Iterator[None]:
    """Translate an `OSError` into `WriteFailedError`: `could not <what>: <reason>`."""
    try:
        yield
    except OSError as error:
        raise WriteFailedError(f"could not {what}: {reason(error)}", hint=hint) from error
