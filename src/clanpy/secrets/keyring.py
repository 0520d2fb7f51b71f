"""The private keys at hand, found where the `sops` program looks for them.

All of these are looked at, and every key that is found is used:

    SOPS_AGE_KEY                    the key itself
    SOPS_AGE_KEY_FILE               a file of keys
    SOPS_AGE_KEY_CMD                a program that prints keys
    SOPS_AGE_SSH_PRIVATE_KEY_FILE   an ssh key; without it ~/.ssh/id_ed25519 and ~/.ssh/id_rsa where they can be used
    $XDG_CONFIG_HOME/sops/age/keys.txt (~/.config, or ~/Library/Application Support on macOS)
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from clanpy.secrets import age
from clanpy.secrets.errors import NoKeyError, reason
from clanpy.secrets.value import Secret


if TYPE_CHECKING:
    from collections.abc import Iterator

    from clanpy.secrets.age import Identity

_COMMAND_SECONDS = 60
_HINT = "make one with `clanpy secrets key generate`, or name it with SOPS_AGE_KEY_FILE"


@dataclass(frozen=True, slots=True)
class Keyring:
    """Private keys, in the order in which they were found.

    Attributes:
        identities: the keys.
        skipped: places that were looked at and had no usable key, with the reason, for people.
        environment: what programs that need keys are started with.
    """

    identities: tuple[Identity, ...]
    skipped: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def recipients(self) -> tuple[str, ...]:
        """The public keys of the native ones."""
        return tuple(dict.fromkeys(i.recipient for i in self.identities if i.recipient is not None))

    def require(self) -> tuple[Identity, ...]:
        """The keys.

        Raises:
            NoKeyError: there is none.
        """
        if not self.identities:
            raise NoKeyError("there is no private key at hand", hint=_HINT, details=self.skipped)
        return self.identities

    def holds(self, recipients: Mapping[str, object] | frozenset[str] | tuple[str, ...]) -> bool:
        """Whether any of the public keys is one of ours."""
        return any(age.normal(recipient) in self.recipients for recipient in recipients)


def load_keyring(environment: Mapping[str, str] | None = None, home: Path | None = None) -> Keyring:
    """Find the keys.

    Raises:
        NoKeyError: a place that was named on purpose (a variable) holds something that is no usable key. A file that is
            not there (yet) is no error by itself: not everything needs a key.
    """
    env = dict(os.environ if environment is None else environment)
    where = Path(env.get("HOME", "~")).expanduser() if home is None else home
    skipped: list[str] = []
    found = [*_named(env, skipped), *_usual(env, where, skipped)]
    return Keyring(tuple(_unique(found)), tuple(skipped), env)


def keys_file(environment: Mapping[str, str], home: Path) -> Path:
    """The file that new keys are put into."""
    if named := environment.get("SOPS_AGE_KEY_FILE"):
        return Path(named)
    base = environment.get("XDG_CONFIG_HOME")
    if not base:
        base = str(home / ("Library/Application Support" if sys.platform == "darwin" else ".config"))
    return Path(base) / "sops" / "age" / "keys.txt"


def _named(env: Mapping[str, str], skipped: list[str]) -> Iterator[Identity]:
    """Keys from places that a variable names."""
    if text := env.get("SOPS_AGE_KEY"):
        yield from age.parse_identities(Secret(text), origin="SOPS_AGE_KEY")
    for variable in ("SOPS_AGE_KEY_FILE", "SOPS_AGE_SSH_PRIVATE_KEY_FILE"):
        path = env.get(variable)
        if path and not Path(path).exists():
            skipped.append(f"{variable}={path}: there is no such file")
        elif path:
            yield from age.parse_identities(_read(Path(path), variable), origin=f"{variable}={path}")
    if command := env.get("SOPS_AGE_KEY_CMD"):
        yield from age.parse_identities(_run(command, env), origin="SOPS_AGE_KEY_CMD")


def _usual(env: Mapping[str, str], home: Path, skipped: list[str]) -> Iterator[Identity]:
    """Keys from the usual places. One that can't be used there is no error: it may serve another purpose."""
    paths = [] if env.get("SOPS_AGE_KEY_FILE") else [keys_file(env, home)]
    if not env.get("SOPS_AGE_SSH_PRIVATE_KEY_FILE"):
        paths += [home / ".ssh" / "id_ed25519", home / ".ssh" / "id_rsa"]
    for path in paths:
        if not path.exists():
            skipped.append(f"{path}: there is no such file")
            continue
        try:
            yield from age.parse_identities(Secret(path.read_bytes()), origin=str(path))
        except NoKeyError as error:
            skipped.append(f"{path}: {error.hint or error.message}")
        except OSError as error:
            skipped.append(f"{path}: {reason(error)}")


def _read(path: Path, variable: str) -> Secret:
    try:
        return Secret(path.read_bytes())
    except OSError as error:
        raise NoKeyError(f"the key file {path}, which {variable} names, can't be read: {reason(error)}") from None


def _run(command: str, env: Mapping[str, str]) -> Secret:
    words = shlex.split(command)
    with suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(
            words, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=_COMMAND_SECONDS
        )
        if done.returncode == 0:
            return Secret(done.stdout)
    raise NoKeyError(
        f"the program that SOPS_AGE_KEY_CMD names ({words[0] if words else 'nothing'}) gave no key",
        hint="run it by hand to see why",
    )


def _unique(identities: list[Identity]) -> Iterator[Identity]:
    seen: set[str] = set()
    for identity in identities:
        if identity.recipient is None or identity.recipient not in seen:
            yield identity
        seen.add(identity.recipient or "")
