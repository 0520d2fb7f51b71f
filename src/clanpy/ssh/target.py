"""Where a host is and how it is spoken to: values only, nothing is opened here."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from clanpy.errors import Place
from clanpy.ssh.elevation import Elevation


class HostKeyCheck(StrEnum):
    """What a host key must be: recorded (`strict`), recorded or the first one seen (`accept-new`), anything (`none`)."""

    STRICT = "strict"
    ACCEPT_NEW = "accept-new"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One way to reach one host.

    Attributes:
        host: name or address, without brackets; a name may be an alias of the user's SSH configuration.
        name: what the host is called in messages; the host itself where it is empty.
        user: the account. None: what the SSH configuration says, else root.
        port: None: what the SSH configuration says, else 22.
        identity_files: private keys to offer, by ourselves or by the agent that holds them. Empty: the agent's and the user's own.
        known_hosts: files with host keys, beside the user's; the fleet's own file is the first.
        host_key_check: see `HostKeyCheck`. New keys are written to the first of `known_hosts`, else to the user's file.
        jump: the hosts to go through, the nearest first.
        elevation: how an account that is not root becomes root there.
        socks: `host:port` of a SOCKS proxy on this computer that dials, and looks the name up (tor's, for onion services).
        known_as: entries of known hosts of the same host elsewhere (`name`, `[name]:port`), for a host that is reached on many ways.
        isolated: nothing of the user's own SSH set-up is read: no configuration, known hosts, keys or agent.
    """

    host: str
    name: str = ""
    user: str | None = None
    port: int | None = None
    identity_files: tuple[Path, ...] = ()
    known_hosts: tuple[Path, ...] = ()
    host_key_check: HostKeyCheck = HostKeyCheck.STRICT
    jump: tuple[Target, ...] = ()
    elevation: Elevation = Elevation.SUDO
    socks: str | None = None
    known_as: tuple[str, ...] = ()
    isolated: bool = False

    @property
    def label(self) -> str:
        """What the host is called in messages."""
        return self.name or self.host

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        user = f"{self.user}@" if self.user else ""
        port = f":{self.port}" if self.port is not None else ""
        return f"{user}{host}{port}"


_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]*\$?")
_MAX_PORT = 65535


def parse_target(text: str, *, place: Place | None = None, like: Target | None = None) -> Target:
    """Read `[ssh://][user@]host[:port]`, with IPv6 addresses in brackets. Everything else is taken from `like`.

    Raises:
        TargetError: the text names no host; `hint` says how it is written.
    """
    rest = text.removeprefix("ssh://").removesuffix("/") if text.startswith("ssh://") else text
    user, at, address = rest.rpartition("@")
    try:
        if at:
            _check_user(user)
        host, port = _split_port(address)
        _check_host(host)
    except _WrongError as wrong:
        # The errors import asyncssh, which costs more than everything else here; it is needed only when something is wrong.
        from clanpy.ssh.errors import TargetError  # noqa: PLC0415  (see above)

        hint = wrong.hint or "write [user@]host[:port], an IPv6 address in brackets: root@[fd00::1]:22"
        raise TargetError(f"target {text!r}: {wrong}", place=place, hint=hint) from None
    base = like or Target(host=host)
    return replace(base, host=host, user=user if at else base.user, port=port if port is not None else base.port)


class _WrongError(ValueError):
    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


def _check_user(user: str) -> None:
    if not _USER.fullmatch(user):
        raise _WrongError(f"{user!r} is no account name")


def _split_port(address: str) -> tuple[str, int | None]:
    if address.startswith("["):
        host, bracket, rest = address[1:].partition("]")
        if not bracket:
            raise _WrongError("the bracket of the address is not closed")
        if not _is_ipv6(host):
            raise _WrongError(f"{host!r} in brackets is no IPv6 address")
        if rest and not rest.startswith(":"):
            raise _WrongError(f"{rest!r} after the address is no port")
        return host, _port(rest[1:]) if rest else None
    if address.count(":") > 1:
        hint = f"put it in brackets: [{address}]" if _is_ipv6(address) else None
        raise _WrongError("an IPv6 address without brackets can't be told from a port", hint)
    host, colon, port = address.partition(":")
    return host, _port(port) if colon else None


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 0 < int(text) <= _MAX_PORT:
        raise _WrongError(f"{text!r} is no port", f"a port is a number from 1 to {_MAX_PORT}")
    return int(text)


def _check_host(host: str) -> None:
    if not host:
        raise _WrongError("there is no host in it")
    if not _is_ipv6(host) and not _NAME.fullmatch(host):
        raise _WrongError(f"{host!r} is neither a host name nor an address")


def _is_ipv6(text: str) -> bool:
    try:
        return isinstance(ipaddress.ip_address(text), ipaddress.IPv6Address)
    except ValueError:
        return False
