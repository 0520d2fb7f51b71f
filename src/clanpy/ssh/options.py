"""What asyncssh is told about one target: the user's SSH configuration, ours above it, the target's own above both."""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clanpy.ssh.errors import SshSetupError
from clanpy.ssh.hostkeys import GLOBAL_FILE, USER_FILE, Known, Name
from clanpy.ssh.library import asyncssh
from clanpy.ssh.target import Target, parse_target


# GCM first: both ends would choose chacha20, which takes 1.7 times the CPU where there is AES in hardware.
CIPHERS = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes256-ctr",
    "aes192-ctr",
    "aes128-ctr",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long things may take, in seconds.

    Attributes:
        connect: until the network connection stands, for each address.
        login: from there until we are let in.
        keepalive_interval: of silence, after which the host is asked whether it is there.
        keepalive_count: how many such questions may stay unanswered before the connection counts as lost.
        close: to say good-bye; after that the connection is dropped.
        stagger: between the beginnings of attempts to reach one host over its several addresses.
    """

    connect: float = 10.0
    login: float = 20.0
    keepalive_interval: float = 15.0
    keepalive_count: int = 3
    close: float = 2.0
    stagger: float = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A target with everything resolved that can be known before dialling."""

    target: Target
    options: asyncssh.SSHClientConnectionOptions
    jump: tuple[Target, ...]
    known_hosts: tuple[Path, ...]

    @property
    def direct(self) -> bool:
        """Whether we open the network connection ourselves, and so know the address."""
        others = self.jump or self.target.socks or self.options.proxy_command
        return not others and not self.options.canonicalize_hostname

    @property
    def label(self) -> str:
        """What the host is called in messages."""
        return self.target.label

    @property
    def user(self) -> str:
        """The account that is used."""
        return self.options.username

    def name_at(self, address: str) -> Name:
        """Under which names the host's key is recorded, when it is dialled at `address` (empty: not known)."""
        if self.options.host_key_alias:
            return Name(self.options.host_key_alias)
        return Name(self.options.host, address, self.options.port, self.target.known_as)

    def keys_offered(self) -> tuple[str, ...]:
        """The keys that are offered to the host, for messages: where each is from and its fingerprint."""
        keys = [_describe(key) for key in self.options.client_keys or ()]
        if self.options.agent_path and self.options.agent_identities is None:
            keys.append(f"the keys of the agent at {self.options.agent_path}")
        return tuple(keys)


async def resolve(target: Target, timeouts: Timeouts) -> Route:
    """Read the user's SSH configuration (unless the target is isolated) and say what holds for this target.

    Raises:
        SshSetupError: the configuration or an identity file can't be used.
    """
    given = _given(target, timeouts)
    try:
        options = await asyncssh.SSHClientConnectionOptions.construct(None, **given)
        if target.user is None and options.config.get("User") is None:
            options = await asyncssh.SSHClientConnectionOptions.construct(None, **{**given, "username": "root"})
        jump = target.jump or _jump(options.tunnel, target)
    except (OSError, ValueError) as error:  # asyncssh's errors about keys and configuration files are ValueErrors
        raise unusable(error, target) from error
    return Route(target=target, options=options, jump=jump, known_hosts=_files(target, options))


def _given(target: Target, timeouts: Timeouts) -> dict[str, Any]:
    config = Path("~/.ssh/config").expanduser()
    return {
        "host": target.host,
        "port": target.port if target.port is not None else (),
        "username": target.user if target.user is not None else (),
        "config": [] if target.isolated or not os.access(config, os.R_OK) else [str(config)],
        "encryption_algs": CIPHERS,
        "compression_algs": ["none"],
        "keepalive_interval": timeouts.keepalive_interval,
        "keepalive_count_max": timeouts.keepalive_count,
        # Both limits are ours: they are told apart in messages, and hold for a proxy command as well.
        "connect_timeout": None,
        "login_timeout": 0,
        "agent_forwarding": False,
        "x11_forwarding": False,
        "gss_kex": False,
        "gss_auth": False,
        "request_pty": False,
        "encoding": None,
        **_identities(target),
    }


def _identities(target: Target) -> dict[str, Any]:
    files = [str(file.expanduser()) for file in target.identity_files]
    if target.isolated:
        return {"client_keys": files or None, "agent_path": None, "ignore_encrypted": False}
    if not files:
        return {}
    # Of the agent's keys only those that were named: a host hangs up after a few wrong ones, and an agent may hold many.
    named = [public for file in target.identity_files if (public := _public_key(file.expanduser())) is not None]
    agent = {"agent_identities": named} if named else {"agent_path": None}
    return {"client_keys": files, "ignore_encrypted": True, **agent}


def _public_key(identity: Path) -> asyncssh.SSHKey | None:
    try:
        return asyncssh.read_public_key(identity.with_name(f"{identity.name}.pub"))
    except (OSError, ValueError):
        pass
    try:
        return asyncssh.read_private_key(identity).convert_to_public()
    except (OSError, ValueError):
        return None  # whether it can be used at all is found out elsewhere


def _files(target: Target, options: asyncssh.SSHClientConnectionOptions) -> tuple[Path, ...]:
    if target.isolated:
        return target.known_hosts
    # Asked of the configuration: asyncssh takes "UserKnownHostsFile none" for "check nothing". It means no file.
    users = _configured_files(options, "UserKnownHostsFile", USER_FILE)
    system = _configured_files(options, "GlobalKnownHostsFile", GLOBAL_FILE)
    return (*target.known_hosts, *users, *system)


def _configured_files(options: asyncssh.SSHClientConnectionOptions, name: str, default: Path) -> list[Path]:
    found = options.config.get(name)
    return [Path(file).expanduser() for file in found] if isinstance(found, list) else [default.expanduser()]


def _jump(tunnel: object, target: Target) -> tuple[Target, ...]:
    """ProxyJump of the SSH configuration. The hosts on the way are checked and entered like the target itself."""
    if not isinstance(tunnel, str) or not tunnel or tunnel.lower() == "none":
        return ()
    like = Target(
        host="",
        identity_files=target.identity_files,
        known_hosts=target.known_hosts,
        host_key_check=target.host_key_check,
    )
    return tuple(parse_target(hop.strip(), like=like) for hop in tunnel.split(","))


def key_algorithms(known: Known) -> list[str]:
    """Host key algorithms in the order of our wish: those of recorded keys first, so that the host shows one of them."""
    names = [alg for key in known.trusted for alg in key.sig_algorithms]
    if known.authorities:
        names = [*asyncssh.public_key.get_default_certificate_algs(), *names]
    every = [
        *names,
        *asyncssh.public_key.get_default_public_key_algs(),
        *asyncssh.public_key.get_default_certificate_algs(),
    ]
    return [name.decode() for name in dict.fromkeys(every)]


def _describe(key: asyncssh.SSHKeyPair) -> str:
    digest = base64.b64encode(hashlib.sha256(key.public_data).digest()).decode().rstrip("=")
    return f"{key.get_comment() or key.get_algorithm()} (SHA256:{digest})"


def unusable(error: Exception, target: Target) -> SshSetupError:
    """The error for a set-up that can't be used, with the identity file in it where it is one that is to blame."""
    for file in target.identity_files:
        try:
            asyncssh.read_private_key(file.expanduser())
        except (OSError, ValueError) as reason:
            told = reason.strerror if isinstance(reason, OSError) else reason
            return SshSetupError(f"identity file {file} for {target.label} can't be used: {told}")
    return SshSetupError(f"the SSH configuration can't be used for {target.label}: {error}")


def locked_identities(route: Route) -> tuple[str, ...]:
    """Identity files that could not be offered because they need a passphrase, for messages."""
    configured = route.options.config.get("IdentityFile")
    named = (*route.target.identity_files, *(configured if isinstance(configured, list) else ()))
    files = [Path(file).expanduser() for file in named]
    return tuple(f"not {file}: it needs a passphrase (ssh-add {file})" for file in files if _needs_passphrase(file))


def _needs_passphrase(file: Path) -> bool:
    try:
        asyncssh.read_private_key(file)
    except (asyncssh.KeyEncryptionError, asyncssh.KeyImportError) as error:
        return "passphrase" in str(error).lower()
    except OSError:
        return False
    return False
