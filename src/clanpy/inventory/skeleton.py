"""A new fleet: three machines that deploy to a lab as they are, in files whose comments teach."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from clanpy.errors import Place, UsageError
from clanpy.inventory.schema import ACCOUNT


SKELETON = Path(__file__).parent / "skeleton"
_RENAMED = {"gitignore": ".gitignore"}  # under its own name, it would hide files of this package from git
_NO_KEYS = "\n  # your public key, one line: the content of ~/.ssh/id_ed25519.pub\n"


def make_fleet(folder: Path, *, user: str, ssh_keys: Sequence[str] = ()) -> tuple[Path, ...]:
    """Write a new fleet into a folder that does not exist or is empty. Gives the files, sorted.

    Args:
        folder: where to.
        user: the account of the person who looks after it.
        ssh_keys: their public keys; without any, the inventory says where they belong.

    Raises:
        UsageError: the folder has something in it, can't be written, or `user` is no name of an account.
    """
    if re.fullmatch(ACCOUNT, user) is None:
        raise UsageError(f"'{user}' can't be the name of an account", hint="small letters, digits, '-' and '_'")
    words = {
        "name": re.sub(r"[^A-Za-z0-9_-]+", "-", folder.absolute().name).strip("-") or "fleet",
        "user": user,
        "ssh_keys": ", ".join(json.dumps(key) for key in ssh_keys) or _NO_KEYS,
    }
    try:
        if folder.exists() and any(folder.iterdir()):
            raise UsageError(f"{folder} is not empty", hint="name a folder that does not exist yet")
        return tuple(sorted(_write(path, folder, words) for path in SKELETON.rglob("*") if path.is_file()))
    except OSError as error:
        raise UsageError(
            f"can't write a fleet: {error.strerror}", place=Place(str(error.filename or folder))
        ) from error


def _write(path: Path, folder: Path, words: dict[str, str]) -> Path:
    target = folder / path.relative_to(SKELETON)
    target = target.with_name(_RENAMED.get(target.name, target.name))
    target.parent.mkdir(parents=True, exist_ok=True)
    text = path.read_text(encoding="utf-8")
    if target.name == "inventory.toml":
        text = re.sub(r"@(name|user|ssh_keys)@", lambda match: words[match[1]], text)
    target.write_text(text, encoding="utf-8")
    return target
