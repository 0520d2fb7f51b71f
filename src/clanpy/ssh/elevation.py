"""Becoming root, or another account, on a target: which words stand before the command."""

from __future__ import annotations

from enum import StrEnum


# What sudo writes to standard error when it wants the password; nobody sees it.
PROMPT = "[clanpy] password:"


class Elevation(StrEnum):
    """How an account that is not root becomes root, or another account. `none`: it needs not, it may do what we do."""

    NONE = "none"
    SUDO = "sudo"
    DOAS = "doas"
    RUN0 = "run0"

    def as_root(self, user: str, *, may_ask: bool = False) -> tuple[str, ...]:
        """The words that make the command after them run as root, when we are `user`.

        `may_ask`: sudo may read a password from its standard input, after it has written `PROMPT`. Without it, and for all
        others, a password that is needed is a failure: there is no terminal to ask on.
        """
        if user == "root":
            return ()
        return _SUDO_ASKING if may_ask and self is Elevation.SUDO else _TO_ROOT[self]

    def as_user(self, user: str, account: str, *, may_ask: bool = False) -> tuple[str, ...] | None:
        """The words that make the command after them run as `account`, with its HOME, when we are `user`. None: no way."""
        if account == user:
            return ()
        if account == "root":
            return self.as_root(user, may_ask=may_ask) or None
        if user == "root":
            return ("/bin/sh", "-c", _SU, account)
        if may_ask and self is Elevation.SUDO:
            return (*_SUDO_ASKING[:-1], "-u", account, "--")
        return tuple(word.format(account=account) for word in _TO_ACCOUNT[self]) or None


# `su` hands the words after the account to the shell it starts; "$0" "$@" keeps them whole without another round of quoting.
# It is tried first because root may always use it; macOS has one that knows no -s, and there sudo is always installed.
_SU = """\
if [ "$(uname)" != Darwin ] && command -v su >/dev/null; then exec su -s /bin/sh "$0" -c 'exec "$0" "$@"' -- "$@"; fi
exec sudo -n -H -u "$0" -- "$@\""""

_SUDO_ASKING = ("sudo", "-S", "-H", "-p", PROMPT, "--")

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
