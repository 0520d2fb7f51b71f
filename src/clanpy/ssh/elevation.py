"""Becoming root, or another account, on a target: which words stand before the command."""

from __future__ import annotations

from enum import StrEnum


class Elevation(StrEnum):
    """How an account that is not root becomes root. Without a password: nothing of it may wait for a terminal."""

    NONE = "none"
    SUDO = "sudo"
    DOAS = "doas"
    RUN0 = "run0"

    def as_root(self, user: str) -> tuple[str, ...]:
        """The words that make the command after them run as root, when we are `user`."""
        return () if user == "root" else _TO_ROOT[self]

    def as_user(self, user: str, account: str) -> tuple[str, ...]:
        """The words that make the command after them run as `account` with that account's HOME, when we are `user`."""
        if account == user:
            return ()
        if user == "root":
            # Not sudo: a root login needs none, and a minimal system may not have it.
            return ("/bin/sh", "-c", _SU, account)
        return tuple(word.format(account=account) for word in _TO_ACCOUNT[self])


# `su` hands the words after the account to the shell it starts; "$0" "$@" keeps them whole without another round of quoting.
# It is tried first because root may always use it; macOS has one that knows no -s, and there sudo is always installed.
_SU = """\
if [ "$(uname)" != Darwin ] && command -v su >/dev/null; then exec su -s /bin/sh "$0" -c 'exec "$0" "$@"' -- "$@"; fi
exec sudo -n -H -u "$0" -- "$@\""""

_TO_ROOT: dict[Elevation, tuple[str, ...]] = {
    Elevation.NONE: (),
    Elevation.SUDO: ("sudo", "-n", "-H", "--"),
    Elevation.DOAS: ("doas", "-n", "--"),
    Elevation.RUN0: ("run0", "--no-ask-password", "--pipe", "--"),
}

_TO_ACCOUNT: dict[Elevation, tuple[str, ...]] = {
    Elevation.NONE: (),
    Elevation.SUDO: ("sudo", "-n", "-H", "-u", "{account}", "--"),
    Elevation.DOAS: ("doas", "-n", "-u", "{account}", "--"),
    Elevation.RUN0: ("run0", "--no-ask-password", "--pipe", "--user={account}", "--"),
}
