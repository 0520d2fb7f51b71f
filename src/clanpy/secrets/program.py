"""The `sops` program, for what is not done in this process: PGP, KMS, key groups, plugins of age, unknown shapes.

Plain text goes in by stdin and comes out by stdout; no argument and no file ever holds it.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clanpy.errors import ToolMissingError
from clanpy.secrets import age, sops
from clanpy.secrets.access import PublicKey
from clanpy.secrets.errors import ProgramFailedError
from clanpy.secrets.value import Secret


_SECONDS = 120  # somebody may have to touch a hardware key
_SHOWN_LINES = 15


@dataclass(frozen=True, slots=True)
class SopsProgram:
    """The program and the environment it gets, in which it looks for keys."""

    path: str
    environment: Mapping[str, str]

    @classmethod
    def find(cls, environment: Mapping[str, str]) -> SopsProgram:
        """Find it on the PATH.

        Raises:
            ToolMissingError: it is not there.
        """
        path = shutil.which("sops", path=environment.get("PATH"))
        if path is None:
            raise ToolMissingError(
                "the program `sops` is needed for this file and is not on the PATH",
                hint="files that are encrypted to keys of age alone need no program",
            )
        return cls(path, environment)

    def decrypt(self, path: Path, *, kind: str = "binary", to: str | None = None) -> Secret:
        """The plain content of a file of a kind (`binary`, `json`, `yaml`, `dotenv`, `ini`).

        Raises:
            ProgramFailedError: it could not be decrypted.
        """
        options = ["--input-type", kind, "--output-type", to or kind]
        return Secret(self._run(["decrypt", *options, str(path)], f"decrypt {path.name}"))

    def encrypt(self, plain: Secret, recipients: Sequence[PublicKey], *, kind: str = "binary") -> bytes:
        """A new file, and the certainty that it is encrypted to exactly these recipients.

        Raises:
            ProgramFailedError: it could not be encrypted, or not to all of them.
        """
        options = ["--input-type", kind, "--output-type", kind]
        for name in ("age", "pgp"):
            if keys := [key.text for key in recipients if key.kind == name]:
                options += [f"--{name}", ",".join(keys)]
        done = self._run(["encrypt", *options, "/dev/stdin"], "encrypt", given=plain)
        if kind in ("binary", "json"):
            _require_recipients(done, recipients)
        return done

    def _run(self, arguments: Sequence[str], what: str, given: Secret | None = None) -> bytes:
        try:
            done = subprocess.run(
                [self.path, *arguments],
                env=dict(self.environment),
                cwd="/",  # so that no creation rules of a .sops.yaml apply
                input=given.reveal() if given else b"",
                capture_output=True,
                check=False,
                timeout=_SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ProgramFailedError(f"`sops` could not {what}: {type(error).__name__}") from None
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").splitlines()[-_SHOWN_LINES:]
            raise ProgramFailedError(f"`sops` could not {what} (exit {done.returncode})", details=said)
        return done.stdout


def _require_recipients(raw: bytes, wanted: Sequence[PublicKey]) -> None:
    """A plugin that is missing must not lead to a file that its owner can't read."""
    there = {age.normal(recipient) for recipient in sops.parse(raw, "what sops wrote").recipients}
    if missing := [key.text for key in wanted if key.normal not in there]:
        raise ProgramFailedError(
            "`sops` did not encrypt to all recipients",
            hint="the plugins of their keys have to be on the PATH",
            details=[f"not for {text}" for text in missing],
        )
