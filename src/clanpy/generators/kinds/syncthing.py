"""Identities of Syncthing: a certificate that signs itself, and the id that is its digest with check letters."""

from __future__ import annotations

from base64 import b32encode
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from clanpy.secrets import Secret


if TYPE_CHECKING:
    from clanpy.generators.inputs import Inputs, Outputs
    from clanpy.services.generator import SyncthingIdentity

_NAME = "syncthing"  # the name that devices expect in each other's certificates
_DAYS = 20 * 365
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_CHECKED, _SHOWN = 13, 7


def identity(kind: SyncthingIdentity, inputs: Inputs) -> Outputs:
    key = ec.generate_private_key(ec.SECP384R1())
    certificate = _certificate(key, inputs)
    return {
        kind.file: Secret(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())),
        kind.certificate_file: Secret(certificate.public_bytes(Encoding.PEM)),
        kind.id_file: Secret(device_id(certificate.public_bytes(Encoding.DER))),
    }


def device_id(certificate: bytes) -> str:
    """The id of the device with a certificate (DER)."""
    digest = b32encode(sha256(certificate).digest()).decode().rstrip("=")
    checked = "".join(part + _check_letter(part) for part in _parts(digest, _CHECKED))
    return "-".join(_parts(checked, _SHOWN))


def _parts(text: str, length: int) -> list[str]:
    return [text[n : n + length] for n in range(0, len(text), length)]


def _check_letter(text: str) -> str:
    """Luhn's check for an alphabet of 32 letters, counted from the left as Syncthing does."""
    total = 0
    for n, letter in enumerate(text):
        value = _ALPHABET.index(letter) * (1 + n % 2)
        total += value // len(_ALPHABET) + value % len(_ALPHABET)
    return _ALPHABET[-total % len(_ALPHABET)]


def _certificate(key: ec.EllipticCurvePrivateKey, inputs: Inputs) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _NAME)])
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    start = inputs.now.replace(hour=0, minute=0, second=0, microsecond=0)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=_DAYS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(_NAME)]), critical=False)
        .sign(key, SHA256())
    )
