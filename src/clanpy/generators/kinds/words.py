"""Tokens, passphrases, and passwords with their hashes."""

from __future__ import annotations

import secrets
import string
from base64 import b64encode
from typing import TYPE_CHECKING

from clanpy.generators.errors import GeneratorFailedError
from clanpy.generators.kinds.crypt import hash_password
from clanpy.secrets import Secret


if TYPE_CHECKING:
    from clanpy.generators.inputs import Inputs, Outputs
    from clanpy.services.generator import BasicAuth, Passphrase, Password, Token

_CONSONANTS = "bdfghjklmnprstvz"
_VOWELS = "aiou"
_SHAPE = (_CONSONANTS, _VOWELS, _CONSONANTS, _VOWELS, _CONSONANTS)  # 4 + 2 + 4 + 2 + 4 bits


def token(kind: Token, inputs: Inputs) -> Outputs:
    if kind.encoding == "alphanumeric":
        alphabet = string.ascii_letters + string.digits
        return {kind.file: Secret("".join(secrets.choice(alphabet) for _ in range(kind.size)))}
    raw = secrets.token_bytes(kind.size)
    return {kind.file: Secret(raw.hex() if kind.encoding == "hex" else b64encode(raw))}


def passphrase(kind: Passphrase, inputs: Inputs) -> Outputs:
    return {kind.file: Secret(_words(kind.words, kind.separator))}


def password(kind: Password, inputs: Inputs) -> Outputs:
    asked = inputs.prompts.get(kind.prompt) if kind.prompt else None
    plain = asked or Secret(_words(kind.words, "-"))
    if b"\n" in plain.reveal() or b"\0" in plain.reveal():
        raise GeneratorFailedError(f"the password for {inputs.name} has a line feed or a null byte in it")
    return {kind.file: plain, kind.hash_file: Secret(hash_password(plain, kind.hash))}


def basic_auth(kind: BasicAuth, inputs: Inputs) -> Outputs:
    password = Secret(secrets.token_urlsafe(32))
    return {kind.file: password, kind.htpasswd_file: Secret(f"{kind.user}:{hash_password(password, 'sha512')}\n")}


def _words(count: int, separator: str) -> str:
    """Words that can be said over the phone: no letter looks or sounds like another one."""
    return separator.join("".join(secrets.choice(letters) for letters in _SHAPE) for _ in range(count))
