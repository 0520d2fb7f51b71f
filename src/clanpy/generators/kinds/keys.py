"""Key pairs: ssh, age, WireGuard."""

from __future__ import annotations

import secrets
from base64 import b64encode
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from clanpy.secrets import Secret, age
from clanpy.services import generator as declared


if TYPE_CHECKING:
    from clanpy.generators.inputs import Inputs, Outputs
    from clanpy.services.generator import AgeKey, BorgKeys, SshKey, WireGuardKey

_RSA_EXPONENT = 65537


def ssh_key(kind: SshKey, inputs: Inputs) -> Outputs:
    key = (
        Ed25519PrivateKey.generate() if kind.algorithm == "ed25519" else generate_private_key(_RSA_EXPONENT, kind.bits)
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    comment = f" {kind.comment}" if kind.comment else ""
    return {kind.private: Secret(private), f"{kind.private}.pub": Secret(public + f"{comment}\n".encode())}


def borg_keys(kind: BorgKeys, inputs: Inputs) -> Outputs:
    pair = ssh_key(declared.SshKey(file=kind.file, comment=f"borg@{inputs.machine or 'fleet'}"), inputs)
    return {**pair, kind.repository_file: Secret(secrets.token_urlsafe(32))}


def age_key(kind: AgeKey, inputs: Inputs) -> Outputs:
    private, public = age.generate()
    return {kind.file: private, kind.public_file: Secret(public)}


def wireguard_key(kind: WireGuardKey, inputs: Inputs) -> Outputs:
    key = X25519PrivateKey.from_private_bytes(_clamped(X25519PrivateKey.generate().private_bytes_raw()))
    return {
        kind.file: Secret(b64encode(key.private_bytes_raw())),
        kind.public_file: Secret(b64encode(key.public_key().public_bytes_raw())),
    }


def _clamped(raw: bytes) -> bytes:
    """The bits that the curve ignores, set as `wg genkey` sets them: some programs compare keys by their bytes."""
    key = bytearray(raw)
    key[0] &= 248
    key[31] = (key[31] & 127) | 64
    return bytes(key)
