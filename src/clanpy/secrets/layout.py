"""Where everything lies: the folders and names of clan's layout, as paths relative to the fleet.

vars/per-machine/<machine>/<generator>/<file>/{value|secret}
vars/shared/<generator>/<file>/{value|secret}
vars/per-export/<scope>/<generator>/<file>/{value|secret}
…/<generator>/.validation-hash
…/<file>/{machines,users,groups}/<name>     → sops/{machines,users,groups}/<name>
sops/{users,machines}/<name>/key.json       sops/groups/<group>/{users,machines}/<name> → …
sops/secrets/<name>/{secret,users/,machines/,groups/}
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from os.path import relpath
from pathlib import PurePosixPath
from typing import Self

from clanpy.secrets.errors import AccessError


VARS = PurePosixPath("vars")
SOPS = PurePosixPath("sops")
SECRETS = SOPS / "secrets"
PUBLIC_LEAF = "value"
SECRET_LEAF = "secret"  # noqa: S105 - the name of a file
VALIDATION_LEAF = ".validation-hash"
# Ours alone, and only where a generator expires: clan has no such thing, and leaves files alone that it does not know.
GENERATED_LEAF = ".generated-at"
_NAME = re.compile(r"[A-Za-z0-9_@:%+-][A-Za-z0-9_.@:%+-]*")


class Scope(StrEnum):
    """Whose values they are; the name is that of the folder."""

    MACHINE = "per-machine"
    SHARED = "shared"
    EXPORT = "per-export"


class ReaderKind(StrEnum):
    """Who can be given access; the name is that of the folder."""

    USER = "users"
    MACHINE = "machines"
    GROUP = "groups"


@dataclass(frozen=True, slots=True, order=True)
class Reader:
    """Somebody who may read a secret."""

    kind: ReaderKind
    name: str

    def __str__(self) -> str:
        return f"{self.kind.value.removesuffix('s')} {self.name}"

    @property
    def folder(self) -> PurePosixPath:
        """Where the keys (of a group: the members) are."""
        return SOPS / self.kind.value / self.name


@dataclass(frozen=True, slots=True, order=True)
class Placement:
    """The folder of generators: of a machine, shared, or of an export's scope. `name` is empty when shared."""

    scope: Scope
    name: str = ""

    @classmethod
    def machine(cls, name: str) -> Self:
        """Of one machine."""
        return cls(Scope.MACHINE, name)

    @classmethod
    def shared(cls) -> Self:
        """Of all machines that declare the generator."""
        return cls(Scope.SHARED)

    @property
    def folder(self) -> PurePosixPath:
        """Relative to the fleet."""
        return PurePosixPath(self.text)

    @property
    def text(self) -> str:
        """The folder as text, which is quicker to build on."""
        return f"{VARS}/{self.scope.value}/{self.name}" if self.name else f"{VARS}/{self.scope.value}"

    def __str__(self) -> str:
        return self.name or self.scope.value


@dataclass(frozen=True, slots=True, order=True)
class VarId:
    """One file of one generator."""

    placement: Placement
    generator: str
    file: str

    def __str__(self) -> str:
        return f"{self.placement}/{self.generator}/{self.file}"

    @property
    def generator_folder(self) -> PurePosixPath:
        """Relative to the fleet."""
        return PurePosixPath(f"{self.placement.text}/{self.generator}")

    @property
    def folder(self) -> PurePosixPath:
        """Relative to the fleet."""
        return PurePosixPath(f"{self.placement.text}/{self.generator}/{self.file}")


def link_target(folder: PurePosixPath, reader: Reader) -> str:
    """What the link in `<folder>/<kind>/<name>` says: a relative path, so that the fleet can be moved."""
    return relpath(reader.folder, folder / reader.kind.value)


def check_name(name: str, what: str) -> str:
    """The name itself, when it can be the name of a folder.

    Raises:
        AccessError: it can't, and so there is nothing of that name.
    """
    if _NAME.fullmatch(name) is None:
        raise AccessError(
            f"{name!r} can't be the name of a {what}",
            hint="letters, digits and `_ . @ : % + -`, not beginning with `.`",
        )
    return name
