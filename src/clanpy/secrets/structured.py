"""Structured sops files (JSON and YAML), as sops-nix and others use them: many values in one file, each encrypted.

They are read here where all is known, and by the program otherwise; they are written by the program alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from clanpy.secrets import cipher, sops, yaml
from clanpy.secrets.errors import SecretFormatError, SecretNotFoundError, UnknownShapeError, disk_errors
from clanpy.secrets.keyring import Keyring
from clanpy.secrets.program import SopsProgram
from clanpy.secrets.sops import SopsFile
from clanpy.secrets.value import Secret


Kind = Literal["json", "yaml", "dotenv", "ini", "binary"]
_KINDS: Mapping[str, Kind] = {".json": "json", ".yaml": "yaml", ".yml": "yaml", ".env": "dotenv", ".ini": "ini"}
_SUFFIX = "_unencrypted"


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A value: its path without and with the positions in lists, and what stands there."""

    path: tuple[str, ...]
    place: tuple[str, ...]
    value: Any


def read_structured(path: Path, keyring: Keyring) -> Mapping[str, Secret]:
    """Every value of a file by its place (`users/alice/0/password`), in the order of the file.

    Raises:
        SecretFormatError: it is no sops file.
        NoKeyError, TamperedError: it can't be decrypted.
        ToolMissingError, ProgramFailedError: only the program could read it, and it can't.
    """
    kind = _KINDS.get(path.suffix, "binary")
    try:
        return decrypt_structured(path.read_bytes(), kind, path.name, keyring)
    except UnknownShapeError:
        plain = SopsProgram.find(keyring.environment).decrypt(path, kind=kind, to="json")
        document = json.loads(plain.reveal(), parse_int=str, parse_float=str)
        return {"/".join(leaf.place): Secret(_text(leaf.value)) for leaf in _leaves(document)}
    except OSError as error:
        with disk_errors(f"read {path}"):
            raise error from None


@dataclass(frozen=True, slots=True)
class Outline:
    """What can be seen of a file without a key: the places of its values, and the keys of age that it is encrypted to."""

    places: tuple[str, ...]
    recipients: tuple[str, ...]


def outline(path: Path) -> Outline:
    """What can be seen of a file without a key.

    Raises:
        SecretFormatError: it is no sops file, or of a kind that has no structure.
        SecretNotFoundError: it is not there.
    """
    try:
        document = _parsed(path.read_bytes(), _KINDS.get(path.suffix, "binary"), path.name)
    except UnknownShapeError as error:
        raise SecretFormatError(f"{path.name} is neither JSON nor YAML: its values can't be seen by name") from error
    except FileNotFoundError:
        raise SecretNotFoundError(f"there is no file {path}") from None
    meta = document.pop("sops", None) if isinstance(document, dict) else None
    if not isinstance(meta, dict):
        raise SecretFormatError(f"{path.name} is not a sops file: it has no part `sops`")
    places = tuple("/".join(leaf.place) for leaf in _leaves(document))
    return Outline(places, tuple(SopsFile(document, meta, path.name).recipients))


def decrypt_structured(raw: bytes, kind: Kind, name: str, keyring: Keyring) -> Mapping[str, Secret]:
    """As `read_structured`, in this process alone.

    Raises:
        UnknownShapeError: this is for the program.
    """
    document = _parsed(raw, kind, name)
    meta = document.pop("sops", None) if isinstance(document, dict) else None
    if not isinstance(meta, dict):
        raise SecretFormatError(f"{name} is not a sops file: it has no part `sops`")
    file = SopsFile(document, meta, name)
    key = sops.data_key(file, keyring.require())
    is_secret = _rule(meta, name)
    found, covered = {}, []
    for leaf in _leaves(document):
        text, code = _opened(leaf, key, name, is_secret=is_secret(leaf.path))
        found["/".join(leaf.place)] = Secret(text)
        if code is not None and (is_secret(leaf.path) or not meta.get("mac_only_encrypted")):
            covered.append(code)
    sops.check_code(file, key, covered)
    return found


def _parsed(raw: bytes, kind: Kind, name: str) -> Any:
    if kind == "yaml":
        return yaml.load(raw.decode(), name)
    if kind != "json":
        raise UnknownShapeError(f"{name} is of a kind that only the program `sops` reads")
    try:
        return json.loads(raw)
    except ValueError:
        raise SecretFormatError(f"{name} is no JSON") from None


def _leaves(value: Any, path: tuple[str, ...] = (), place: tuple[str, ...] = ()) -> Iterator[_Leaf]:
    """Every value in order. Positions in lists belong to the place and not to the path that is authenticated."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, (*path, key), (*place, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _leaves(inner, path, (*place, str(number)))
    elif value is not None:
        yield _Leaf(path, place, value)


def _opened(leaf: _Leaf, key: bytes, name: str, *, is_secret: bool) -> tuple[str | bytes, bytes | None]:
    """A value as text, and the bytes of it that the authentication code covers."""
    if not is_secret:
        if isinstance(leaf.value, float):
            raise UnknownShapeError(f"{name} has a number in the open that only the program `sops` reads")
        return _text(leaf.value), _covered(leaf.value)
    if not isinstance(leaf.value, str):
        raise SecretFormatError(f"{name} holds something that is not encrypted where an encrypted value should be")
    plain, kind = cipher.unseal(key, leaf.value, "".join(f"{part}:" for part in leaf.path), name=name)
    return (plain.lower() if kind == "bool" else plain), plain


def _covered(value: Any) -> bytes:
    if isinstance(value, bool):
        return b"True" if value else b"False"
    return str(value).encode()


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _rule(meta: Mapping[str, Any], name: str) -> Any:
    """Which values are encrypted. A value is when the rule says so for any part of its path."""
    rules = {
        "unencrypted_suffix": lambda text: lambda path: not any(part.endswith(text) for part in path),
        "encrypted_suffix": lambda text: lambda path: any(part.endswith(text) for part in path),
        "unencrypted_regex": lambda text: lambda path: not _any_match(text, path, name),
        "encrypted_regex": lambda text: lambda path: _any_match(text, path, name),
    }
    for comment_rule in ("encrypted_comment_regex", "unencrypted_comment_regex"):
        if meta.get(comment_rule):
            raise UnknownShapeError(f"{name} is encrypted by its comments")
    given = [(rule, str(meta[rule])) for rule in rules if meta.get(rule)]
    if len(given) > 1:
        raise UnknownShapeError(f"{name} has several rules for what is encrypted")
    rule, text = given[0] if given else ("unencrypted_suffix", _SUFFIX)
    return rules[rule](text)


def _any_match(pattern: str, path: Sequence[str], name: str) -> bool:
    try:
        return any(re.search(pattern, part) for part in path)
    except re.error:  # Go's syntax is not quite ours
        raise UnknownShapeError(f"{name} has a rule that only the program `sops` understands") from None
