"""A key that is made for one purpose and never written to a disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from clanpy.ssh.library import asyncssh


@dataclass(frozen=True, slots=True)
class OneTimeKey:
    """Both halves, as OpenSSH writes them: `private` is text that `ssh-add -` takes, `public` a line without a comment."""

    private: str = field(repr=False)
    public: str

    @classmethod
    def make(cls) -> Self:
        """A new one."""
        key = asyncssh.generate_private_key("ssh-ed25519")
        kind, data = key.export_public_key("openssh").decode().split()[:2]
        return cls(key.export_private_key("openssh").decode(), f"{kind} {data}")
