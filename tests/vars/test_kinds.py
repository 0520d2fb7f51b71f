from __future__ import annotations

import re
import subprocess
from base64 import b64decode
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from clanpy.generators.errors import GeneratorFailedError
from clanpy.generators.inputs import Outputs
from clanpy.generators.kinds import make, zerotier
from clanpy.generators.kinds.certificates import validity
from clanpy.generators.kinds.crypt import hash_password, sha512_crypt, verify
from clanpy.secrets import Secret, age
from clanpy.services.generator import (
    AgeKey,
    Generator,
    Kind,
    Passphrase,
    Password,
    Prompt,
    SshCertificate,
    SshKey,
    Token,
    WireGuardKey,
    X509Authority,
    X509Certificate,
    ZeroTierIdentity,
)
from clanpy.vars import Inputs
from support.vault import NOON


def inputs(**dependencies: Outputs) -> Inputs:
    return Inputs(name="web/g", machine="web", now=NOON, dependencies=dependencies)


def written(folder: Path, outputs: Outputs) -> Path:
    for name, value in outputs.items():
        path = folder / name
        path.write_bytes(value.reveal())
        path.chmod(0o600)
    return folder


def output_of(*command: object, given: bytes = b"") -> str:
    return subprocess.run([str(c) for c in command], input=given, capture_output=True, check=True).stdout.decode()


KINDS: list[Kind] = [
    SshKey(),
    SshKey(algorithm="rsa", bits=2048, file="k"),
    AgeKey(),
    WireGuardKey(),
    Token(),
    Passphrase(),
    Password(hash="sha512"),
    X509Authority(common_name="ca"),
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: type(kind).__name__)
def test_a_kind_makes_the_files_that_it_says(kind: Kind) -> None:
    first, second = make(kind, inputs()), make(kind, inputs())

    assert sorted(first) == sorted(kind.files()) == sorted(Generator(name="g", kind=kind).outputs())
    assert all(first[name] != second[name] for name in first)


@pytest.mark.parametrize("algorithm", ["ed25519", "rsa"])
def test_ssh_keygen_knows_the_key_pair(tmp_path: Path, algorithm: str) -> None:
    kind = SshKey(algorithm=algorithm, bits=2048, comment="a b")  # type: ignore[arg-type]  # a literal
    written(tmp_path, make(kind, inputs()))

    derived = output_of("ssh-keygen", "-y", "-f", tmp_path / kind.private).split()[:2]
    public = (tmp_path / f"{kind.private}.pub").read_text()

    assert public.split()[:2] == derived
    assert public.endswith(" a b\n")


@pytest.mark.parametrize("type_", ["host", "user"])
def test_ssh_keygen_reads_the_certificate(tmp_path: Path, type_: str) -> None:
    ca, key = make(SshKey(file="id_ed25519"), inputs()), make(SshKey(), inputs())
    kind = SshCertificate(authority="ca", key="key", principals=("web", "web.lan"), type=type_, days=30)  # type: ignore[arg-type]  # a literal
    made = make(kind, inputs(ca=ca, key=key))
    written(tmp_path, {**made, **ca})

    told = output_of("ssh-keygen", "-L", "-f", tmp_path / kind.file)

    assert f"{type_} certificate" in told
    assert re.search(r"Principals:\s+web\s+web\.lan\s", told)
    fingerprint = output_of("ssh-keygen", "-l", "-f", tmp_path / "id_ed25519.pub").split()[1]
    assert fingerprint in told
    assert ("permit-pty" in told) is (type_ == "user")
    life = validity(Generator(name="g", kind=kind), kind.file, made[kind.file].reveal())
    assert life is not None
    assert life.end == NOON + timedelta(days=30)


def test_an_ssh_certificate_without_an_end_is_good_for_ever(tmp_path: Path) -> None:
    ca, key = make(SshKey(file="id_ed25519"), inputs()), make(SshKey(), inputs())
    kind = SshCertificate(authority="ca", key="key", principals=("web",))
    made = make(kind, inputs(ca=ca, key=key))
    written(tmp_path, made)

    assert "Valid: forever" in output_of("ssh-keygen", "-L", "-f", tmp_path / kind.file)
    assert validity(Generator(name="g", kind=kind), kind.file, made[kind.file].reveal()) is None


def test_openssl_verifies_the_certificate(tmp_path: Path) -> None:
    ca = make(X509Authority(common_name="our ca"), inputs())
    kind = X509Certificate(authority="ca", names=("web.example", "10.0.0.1", "::1"))
    leaf = make(kind, inputs(ca=ca))
    written(tmp_path, {**ca, **leaf})

    said = output_of(
        *("openssl", "verify", "-x509_strict", "-attime", int(NOON.timestamp()), "-purpose", "sslserver"),
        *("-verify_hostname", "web.example", "-CAfile", tmp_path / "ca.crt", tmp_path / "tls.crt"),
    )

    assert said.strip().endswith("OK")
    assert output_of("openssl", "pkey", "-in", tmp_path / "tls.key", "-pubout") == output_of(
        "openssl", "x509", "-in", tmp_path / "tls.crt", "-pubkey", "-noout"
    )
    life = validity(Generator(name="g", kind=kind), "tls.crt", leaf["tls.crt"].reveal())
    assert life is not None
    assert life.end == NOON + timedelta(days=365)


def test_a_certificate_does_not_outlive_its_authority() -> None:
    ca = make(X509Authority(common_name="ca", days=10), inputs())
    leaf = make(X509Certificate(authority="ca", names=("a",), days=365), inputs(ca=ca))

    ends = [x509.load_pem_x509_certificate(s.reveal()).not_valid_after_utc for s in (ca["ca.crt"], leaf["tls.crt"])]
    assert ends[0] == ends[1]


@pytest.mark.parametrize(
    "kind",
    [
        SshCertificate(authority="ca", key="key", principals=("a",)),
        X509Certificate(
            authority="ca", names=("a",), authority_file="id_ed25519", authority_certificate_file="id_ed25519"
        ),
    ],
)
def test_an_authority_that_is_none_is_told_and_not_shown(kind: Kind) -> None:
    planted = {"id_ed25519": Secret("PLANTED"), "ssh.id_ed25519.pub": Secret("PLANTED")}
    with pytest.raises(GeneratorFailedError, match="web/g can't use 'id_ed25519' of generator 'ca'") as failure:
        make(kind, inputs(ca=planted, key=planted))
    assert "PLANTED" not in str(failure.value)


def test_a_file_that_a_dependency_does_not_make_is_told() -> None:
    with pytest.raises(GeneratorFailedError, match="web/g needs 'id_ed25519' of generator 'ca', which makes x"):
        make(SshCertificate(authority="ca", key="key", principals=("a",)), inputs(ca={"x": Secret("")}))


def test_an_age_key_belongs_together() -> None:
    made = make(AgeKey(), inputs())
    assert age.public_key(made["age-key"]) == made["age-key.pub"].text()


def test_a_wireguard_key_belongs_together() -> None:
    made = make(WireGuardKey(), inputs())
    private = b64decode(made["privatekey"].reveal())
    # openssl knows the curve: the same private key gives the same public one
    der = bytes.fromhex("302e020100300506032b656e04220420") + private
    public = subprocess.run(
        ["openssl", "pkey", "-inform", "DER", "-pubout", "-outform", "DER"], input=der, capture_output=True, check=True
    ).stdout
    assert public[-32:] == b64decode(made["publickey"].reveal())
    assert private[0] & 7 == 0
    assert private[31] & 192 == 64


@pytest.mark.parametrize(
    ("kind", "pattern"),
    [
        (Token(size=16), r"[0-9a-f]{32}"),
        (Token(encoding="base64", size=32), r"[A-Za-z0-9+/]{43}="),
        (Token(encoding="alphanumeric", size=20), r"[A-Za-z0-9]{20}"),
        (Passphrase(words=3, separator=" "), r"[a-z]{5} [a-z]{5} [a-z]{5}"),
    ],
)
def test_random_texts_look_as_asked_for(kind: Token | Passphrase, pattern: str) -> None:
    assert re.fullmatch(pattern, make(kind, inputs())[kind.file].text())


def test_a_password_that_is_asked_for_is_hashed_and_an_empty_answer_means_a_new_one() -> None:
    kind = Password(hash="sha512", prompt="p")
    generator = Generator(name="g", kind=kind, prompts={"p": Prompt(type="hidden")})

    told = make(kind, Inputs(name="n", machine=None, now=NOON, prompts={"p": Secret("hunter2")}))
    made = make(kind, Inputs(name="n", machine=None, now=NOON, prompts={"p": Secret("")}))

    assert told["password"] == Secret("hunter2")
    assert verify(Secret("hunter2"), told["password-hash"].text())
    assert len(made["password"]) > 20
    assert verify(made["password"], made["password-hash"].text())
    assert generator.outputs()["password"].deploy is False
    assert generator.outputs()["password-hash"].needed_for == "users"
    with pytest.raises(GeneratorFailedError, match="line feed"):
        make(kind, Inputs(name="n", machine=None, now=NOON, prompts={"p": Secret("a\nb")}))


@settings(deadline=None, max_examples=10)
@given(
    st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1, max_size=100),
    st.from_regex(r"[a-zA-Z0-9./]{1,16}", fullmatch=True),
)
def test_openssl_hashes_passwords_to_the_same(password: str, salt: str) -> None:
    given = f"{password}\n".encode()
    theirs = output_of("openssl", "passwd", "-6", "-salt", salt, "-stdin", given=given).strip()

    assert sha512_crypt(password.encode(), salt) == theirs


@pytest.mark.parametrize("method", ["auto", "sha512", "yescrypt"])
def test_hashes_are_verified(method: str) -> None:
    hashed = hash_password(Secret("pässword"), method)  # type: ignore[arg-type]  # a literal

    assert hashed.startswith("$6$" if method == "sha512" else "$y$")
    assert verify(Secret("pässword"), hashed)
    assert not verify(Secret("password"), hashed)


# An identity that is published in the tests of ZeroTier itself.
KNOWN = "8e4df28b72"
KNOWN_PUBLIC = bytes.fromhex(
    "ac3d46abe0c21f3cfe7a6c8d6a85cfcffcb82fbd55af6a4d6350657c68200843"
    "fa2e16f9418bbd9702cae365f2af5fb4c420908b803a681d4daef6114d78a2d7"
)


def test_a_known_zerotier_key_has_its_known_address() -> None:
    assert zerotier.address_of(KNOWN_PUBLIC) == KNOWN


def test_a_zerotier_key_that_was_not_paid_for_has_none() -> None:
    assert zerotier.address_of(bytes([KNOWN_PUBLIC[0] ^ 1]) + KNOWN_PUBLIC[1:]) is None


@pytest.mark.slow
def test_a_zerotier_identity_can_be_made_and_belongs_together() -> None:
    made = make(ZeroTierIdentity(), inputs())

    address, version, public, private = made["zerotier-identity-secret"].text().split(":")
    assert made["zerotier-identity"].text() == f"{address}:{version}:{public}"
    assert made["zerotier-address"].text() == address == zerotier.address_of(bytes.fromhex(public))
    assert len(private) == 128
