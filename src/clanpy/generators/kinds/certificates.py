"""Certificates: of ssh, and X.509 authorities and leaves; and how long the ones that exist are good for."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    SSHCertificate,
    SSHCertificateBuilder,
    SSHCertificateType,
    load_pem_private_key,
    load_ssh_private_key,
    load_ssh_public_identity,
    load_ssh_public_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from clanpy.generators.errors import GeneratorFailedError
from clanpy.secrets import Secret
from clanpy.services.generator import SshCertificate, X509Authority, X509Certificate


if TYPE_CHECKING:
    from collections.abc import Callable

    from clanpy.generators.inputs import Inputs, Outputs
    from clanpy.services.generator import Generator

_FOR_EVER = 2**64 - 1
_CLOCK_SKEW = timedelta(minutes=5)
_SERIAL_BITS = 63
_EVERYTHING_FOR_USERS = (
    b"permit-X11-forwarding",
    b"permit-agent-forwarding",
    b"permit-port-forwarding",
    b"permit-pty",
    b"permit-user-rc",
)
_COMMON_NAME_LENGTH = 64

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Validity:
    """From when until when a certificate is good."""

    start: datetime
    end: datetime


def validity(generator: Generator, file: str, content: bytes) -> Validity | None:
    """How long a file of a generator is good for; None when it is no certificate, or good for ever."""
    kind = generator.kind
    if isinstance(kind, SshCertificate) and file == kind.file:
        return _ssh_validity(content)
    if isinstance(kind, X509Authority | X509Certificate) and file == kind.certificate_file:
        return _x509_validity(content)
    return None


def ssh_certificate(kind: SshCertificate, inputs: Inputs) -> Outputs:
    signer = _loaded(inputs, kind.authority, kind.authority_file, lambda raw: load_ssh_private_key(raw, password=None))
    key = _loaded(inputs, kind.key, kind.key_file, load_ssh_public_key)
    if not isinstance(signer, ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise _unusable(inputs, kind.authority, kind.authority_file)
    if not isinstance(key, ed25519.Ed25519PublicKey | rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise _unusable(inputs, kind.key, kind.key_file)
    start = inputs.now - _CLOCK_SKEW
    builder = (
        SSHCertificateBuilder()
        .public_key(key)
        .serial(secrets.randbits(_SERIAL_BITS))
        .type(SSHCertificateType.HOST if kind.type == "host" else SSHCertificateType.USER)
        .key_id(inputs.name.encode())
        .valid_principals([principal.encode() for principal in kind.principals])
        .valid_after(int(start.timestamp()) if kind.days is not None else 0)
        .valid_before(_FOR_EVER if kind.days is None else int((inputs.now + timedelta(days=kind.days)).timestamp()))
    )
    for extension in _EVERYTHING_FOR_USERS if kind.type == "user" else ():
        builder = builder.add_extension(extension, b"")
    return {kind.file: Secret(builder.sign(signer).public_bytes() + b"\n")}


def authority(kind: X509Authority, inputs: Inputs) -> Outputs:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(kind.common_name)
    certificate = (
        _certificate(name, name, key.public_key(), inputs.now, kind.days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
        .sign(key, SHA256())
    )
    return {kind.file: _pem(key), kind.certificate_file: Secret(certificate.public_bytes(Encoding.PEM))}


def certificate(kind: X509Certificate, inputs: Inputs) -> Outputs:
    issuer = _loaded(inputs, kind.authority, kind.authority_certificate_file, x509.load_pem_x509_certificate)
    signer = _loaded(inputs, kind.authority, kind.authority_file, lambda raw: load_pem_private_key(raw, password=None))
    if not isinstance(signer, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise _unusable(inputs, kind.authority, kind.authority_file)
    key = ec.generate_private_key(ec.SECP256R1())
    common = kind.names[0] if len(kind.names[0]) <= _COMMON_NAME_LENGTH else inputs.name[:_COMMON_NAME_LENGTH]
    made = (
        _certificate(_name(common), issuer.subject, key.public_key(), inputs.now, kind.days, until=issuer)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(authority=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.SubjectAlternativeName([_alternative(name) for name in kind.names]), critical=False)
        .add_extension(_issuer_key(issuer, signer), critical=False)
        .sign(signer, SHA256())
    )
    return {kind.file: _pem(key), kind.certificate_file: Secret(made.public_bytes(Encoding.PEM))}


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime,
    days: int,
    *,
    until: x509.Certificate | None = None,
) -> x509.CertificateBuilder:
    end = now + timedelta(days=days)
    if until is not None:  # nothing outlives what it is signed by
        end = min(end, until.not_valid_after_utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _issuer_key(
    issuer: x509.Certificate, signer: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
) -> x509.AuthorityKeyIdentifier:
    try:
        known = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(known)


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _alternative(name: str) -> x509.GeneralName:
    address: IPv4Address | IPv6Address
    try:
        address = ip_address(name)
    except ValueError:
        return x509.DNSName(name)
    return x509.IPAddress(address)


def _pem(key: ec.EllipticCurvePrivateKey) -> Secret:
    return Secret(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def _loaded(inputs: Inputs, generator: str, file: str, load: Callable[[bytes], T]) -> T:
    try:
        return load(inputs.need(generator, file).reveal())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _unusable(inputs, generator, file) from None


def _unusable(inputs: Inputs, generator: str, file: str) -> GeneratorFailedError:
    return GeneratorFailedError(f"{inputs.name} can't use {file!r} of generator {generator!r}: it is no such key")


def _ssh_validity(content: bytes) -> Validity | None:
    try:
        loaded = load_ssh_public_identity(content)
    except (ValueError, UnsupportedAlgorithm):
        return None
    if not isinstance(loaded, SSHCertificate) or loaded.valid_before >= _FOR_EVER:
        return None
    return Validity(*(datetime.fromtimestamp(t, UTC) for t in (loaded.valid_after, loaded.valid_before)))


def _x509_validity(content: bytes) -> Validity | None:
    try:
        loaded = x509.load_pem_x509_certificate(content)
    except ValueError:
        return None
    return Validity(loaded.not_valid_before_utc, loaded.not_valid_after_utc)
